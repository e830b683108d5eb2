"""Python functions without a name to find them by, as text: for Lambda layers in files."""

from __future__ import annotations

import base64
import marshal
import types
from collections.abc import Callable
from typing import Any


def dump_function(function: Callable) -> dict[str, Any]:
    """A lambda's code, default values and closure.

    The code is Python's own: the same version of Python can read it, another may not.
    """
    cells = function.__closure__  # type: ignore[attr-defined]
    return {
        "class_name": "__lambda__",
        "config": {
            "code": base64.encodebytes(marshal.dumps(function.__code__)).decode("ascii"),  # type: ignore[attr-defined]
            "defaults": function.__defaults__,  # type: ignore[attr-defined]
            "closure": tuple(cell.cell_contents for cell in cells) if cells else None,
        },
    }


def is_dumped(config: Any) -> bool:
    """Whether it is what `dump_function` makes."""
    return isinstance(config, dict) and config.get("class_name") == "__lambda__"


def load_function(config: dict[str, Any], names: dict[str, Any]) -> Callable:
    """The function of `dump_function`'s result, seeing `names` as its globals. Running it runs whatever it holds.

    Raises:
        ValueError: The code is of another version of Python.
    """
    inner = config["config"]
    try:
        code = marshal.loads(base64.decodebytes(inner["code"].encode("ascii")))
    except (ValueError, EOFError, TypeError) as error:
        raise ValueError(
            f"A lambda's code can't be read: {error}. Another version of Python may have written it."
        ) from None
    defaults = inner["defaults"]
    closure = inner["closure"]
    cells = None if closure is None else tuple(types.CellType(value) for value in closure)
    return types.FunctionType(code, names, code.co_name, None if defaults is None else tuple(defaults), cells)
