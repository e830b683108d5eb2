"""A sample as calls: cast to a dtype, as the formula gets it, as a backend does, as symbols."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from kcore import config, dtypes, tree
from kcore.backends.host import to_array
from kcore.conformance.record import Case
from kcore.ops.mechanism import role_of
from kcore.ops.symbolic import KerasTensor

Leaf = Callable[[Any, str], Any]  # (operand, parameter name) -> what replaces it


class Call:
    """Arguments for one op, with each tensor operand as a NumPy array, a Python number or a list.

    Args:
        case: The op's record.
        args, arguments: By position and by name, as the sample has them.
    """

    def __init__(self, case: Case, args: tuple, arguments: dict[str, Any]) -> None:
        self.case, self.args, self.arguments = case, args, arguments
        self.op: Any = getattr(case.op, "op", None)  # None for a plain function

    def map(self, leaf: Leaf) -> Call:
        """The same call with `leaf(operand, name)` for each tensor operand."""
        roles, variadic = _roles(self.case.op)
        names = list(roles)
        args = []
        for i, value in enumerate(self.args):
            name = variadic if variadic in names[: i + 1] else names[i] if i < len(names) else ""
            role = "tensor" if name == variadic and roles.get(name) == "tensors" else roles.get(name, "plain")
            args.append(_mapped(leaf, value, name, role))
        arguments = {
            name: _mapped(leaf, value, name, roles.get(name, "plain")) for name, value in self.arguments.items()
        }
        return Call(self.case, tuple(args), arguments)

    def operands(self) -> list[tuple[str, Any]]:
        """(parameter, operand) for each tensor operand, in order."""
        found: list[tuple[str, Any]] = []

        def note(value: Any, name: str) -> Any:
            found.append((name, value))
            return value

        self.map(note)
        return found

    def arrays(self) -> list[np.ndarray]:
        """The operands that are arrays."""
        return [value for _, value in self.operands() if isinstance(value, np.ndarray)]

    def replaced(self, values: list[Any], which: list[int]) -> Call:
        """The same call with the operands numbered `which` replaced by `values`."""
        by_number = dict(zip(which, values, strict=True))
        numbers = iter(range(len(self.operands())))

        def replace(value: Any, _: str) -> Any:
            number = next(numbers)
            return by_number.get(number, value)

        return self.map(replace)

    def run(self) -> Any:
        """The op's result on the active backend."""
        return self.case.op(*self.args, **self.arguments)

    def native(self, backend: Any, lists: bool = False) -> Call:
        """Arrays as the backend's own tensors, and with `lists` those that are written as lists too."""
        kinds = (np.ndarray, list, tuple) if lists else np.ndarray
        return self.map(lambda v, _: backend.convert(v) if isinstance(v, kinds) else v)

    def symbolic(self, unknown: Callable[[int, tuple], tuple] | None = None) -> Call:
        """Arrays as KerasTensors; `unknown(number, shape)` gives the shape of each array by its number."""
        count = iter(range(10**6))

        def leaf(value: Any, _: str) -> Any:
            if not isinstance(value, np.ndarray):
                return value
            shape = value.shape if unknown is None else unknown(next(count), value.shape)
            return KerasTensor(shape, dtypes.name_of(value.dtype))

        return self.map(leaf)

    def bound(self) -> tuple:
        """The arguments in the order of the signature, defaults filled in."""
        filled = self.op.signature.bind(*self.args, **self.arguments)
        filled.apply_defaults()
        return tuple(filled.arguments.values())

    def plan(self) -> Any:
        """The rule's answer; None for functions that have no rule."""
        if self.op is None or "control" in self.op.roles.values():
            return None
        whole = self.map(lambda v, _: to_array(v) if isinstance(v, (list, tuple)) else v)
        return self.op.plan(whole.bound())

    def formula(self, plan: Any, dtype: str) -> list[np.ndarray]:
        """What the record's formula gives for these operands, in float64, as a flat list."""
        call = self.map(lambda v, name: _for_formula(v, None if plan is None else plan.cast_of(name), dtype))
        return [np.asarray(y) for y in tree.flatten(self.case.reference(*call.args, **call.arguments))]


def opened(run: Callable[[Call], Any], call: Call) -> tuple[Callable, list[np.ndarray]]:
    """`run(call)` as a function of the call's arrays, and these."""
    operands = call.operands()
    which = [i for i, (_, v) in enumerate(operands) if isinstance(v, np.ndarray)]
    return lambda *xs: run(call.replaced(list(xs), which)), [operands[i][1] for i in which]


def typed(call: Call, dtype: str) -> Call | None:
    """The call in a dtype: what was written in float64 is cast to it; where nothing was, integers are.

    None where that cannot be: complex values as reals, numbers out of the dtype's range.
    """
    arrays = call.arrays()
    kinds = {a.dtype.kind for a in arrays}
    if "c" in kinds and dtype not in ("float32", "float64", *dtypes.COMPLEX):
        return None
    if dtypes.is_inexact(dtype):
        moved = [a for a in arrays if a.dtype in (np.float64, np.complex128)]
    else:
        moved = [a for a in arrays if a.dtype == np.float64] or [a for a in arrays if a.dtype.kind in "iub"]
    chosen = {id(a) for a in moved}
    try:
        return call.map(lambda v, _: _cast(v, dtype) if id(v) in chosen else v)
    except OverflowError:
        return None


def _cast(x: np.ndarray, dtype: str) -> np.ndarray:
    """Raises OverflowError where a value of x has no counterpart in `dtype`."""
    if x.dtype.kind == "c":
        return x.astype({"float32": "complex64", "float64": "complex128"}.get(dtype, dtype))
    target = dtypes.to_numpy(dtype)
    if dtypes.is_inexact(dtype):
        with np.errstate(over="ignore"):
            y = x.astype(target)
        if (np.isinf(y) & ~np.isinf(x)).any() or ((y == 0) & (x != 0)).any():
            raise OverflowError
        return y
    if dtype == "bool":
        return x > 0 if x.dtype.kind == "f" else x.astype(bool)
    if x.dtype.kind == "f":
        if not np.isfinite(x).all():
            raise OverflowError
        if (x != np.rint(x)).any():
            x = np.rint(3 * x)
        x = np.abs(x) if dtypes.to_numpy(dtype).kind == "u" else x
    bounds = np.iinfo(target)
    if x.size and x.dtype.kind != "b" and (int(x.min()) < bounds.min or int(x.max()) > bounds.max):
        raise OverflowError
    return x.astype(target)


def _for_formula(value: Any, cast: str | None, dtype: str) -> Any:
    """An operand as the formula gets it: floats in float64, integers as the op's rule will see them."""
    if isinstance(value, (list, tuple)):
        value = np.asarray(value)
        if value.dtype == np.float64:
            value = value.astype(config.floatx())
    elif isinstance(value, float):
        # The op sees the number in the dtype of what it meets.
        rounded = dtypes.to_numpy(dtype if dtypes.is_float(dtype) else config.floatx()).type(value)
        return float(rounded)
    if not isinstance(value, np.ndarray):
        return value
    kind = value.dtype.kind
    if kind == "c":
        return value.astype("complex128")
    if kind not in "biu":
        return value.astype("float64")
    if cast is None or cast == dtypes.name_of(value.dtype):
        return value
    if dtypes.is_complex(cast):
        return value.astype("complex128")
    return value.astype("float64") if dtypes.is_float(cast) else value.astype(dtypes.to_numpy(cast))


@functools.cache
def _roles(op: Callable) -> tuple[dict[str, str], str | None]:
    """Parameter -> role, and the name of the one that takes any number of arguments."""
    found = getattr(op, "op", None)
    signature = found.signature if found else inspect.signature(op)
    variadic = [p.name for p in signature.parameters.values() if p.kind is p.VAR_POSITIONAL]
    if found:
        roles = dict(found.roles)
    else:  # a plain function: tensors are known by their annotation
        roles = {n: role_of(p) for n, p in signature.parameters.items()}
        roles = {n: "control" if role == "plain" else role for n, role in roles.items()}
    return roles, variadic[0] if variadic else None


def _mapped(leaf: Leaf, value: Any, name: str, role: str) -> Any:
    if role == "plain" or value is None:
        return value
    if isinstance(value, np.generic):
        value = np.asarray(value)
    if role == "tensors" and isinstance(value, (list, tuple)):
        return type(value)(leaf(v, name) for v in value)
    if role == "control":  # a function's arguments: arrays anywhere in a structure
        return tree.map_structure(lambda v: leaf(v, name) if hasattr(v, "dtype") and hasattr(v, "shape") else v, value)
    return leaf(value, name)
