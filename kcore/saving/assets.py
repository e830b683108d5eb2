"""Assets: files of a layer's own, such as a vocabulary, kept in `assets/` under the layer's path."""

from __future__ import annotations

import contextlib
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

from kcore.saving import weights

FOLDER = "assets"


@contextlib.contextmanager
def gathered(model: Any) -> Iterator[dict[str, pathlib.Path]]:
    """Name in the archive -> file, for what the model's layers write with `save_assets(folder)`."""
    with contextlib.ExitStack() as stack:
        found: dict[str, pathlib.Path] = {}
        for path, item in weights.walk(model):
            if not hasattr(item, "save_assets"):
                continue
            folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
            item.save_assets(str(folder))
            for file in sorted(folder.rglob("*")):
                if file.is_file():
                    found["/".join((FOLDER, *_parts(path), *file.relative_to(folder).parts))] = file
        yield found


def hand_out(model: Any, parts: dict[str, bytes], where: pathlib.Path) -> None:
    """Gives each layer its files, in a folder of their own, through `load_assets(folder)`.

    Raises:
        ValueError: A layer can't take them.
    """
    if not any(name.startswith(f"{FOLDER}/") for name in parts):
        return
    for path, item in weights.walk(model):
        prefix = "/".join((FOLDER, *_parts(path), ""))
        own = {name[len(prefix) :]: data for name, data in parts.items() if name.startswith(prefix)}
        if not own or not hasattr(item, "load_assets"):
            continue
        with tempfile.TemporaryDirectory() as folder:
            for name, data in own.items():
                file = pathlib.Path(folder, name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
            try:
                item.load_assets(folder)
            except Exception as error:
                raise ValueError(f"{where}: {item.name} could not take its assets: {error}") from error


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]
