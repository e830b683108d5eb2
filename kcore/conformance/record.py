"""What a conformance record is. One `Case` per op, in the module of the op's family.

From a record come the checks of value, shape, dtype, symbolic result, error text, portable
body, strided and read-only inputs, and first and second gradient, on every backend.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

# Every Case that has been declared, by op name. Filled as the family modules are imported.
CASES: dict[str, Case] = {}

UNSET: Any = object()


class Sample:
    """One call of the op, and what is known of its result.

    Args:
        *args, **arguments: The call's. Arrays of floats are drawn or written in float64 and
            cast to each dtype that is tested; other arrays stay as they are.
        expect: The result, where it is known independently of the reference formula (a closed form, a
            special value). Compared as well as the formula's result.
        grad: Whether first and second gradients are checked here, or the names of the arguments that they are
            checked by. False at kinks where no subgradient is promised, and where the result is not
            differentiable or not finite.
        gradient: The gradient of sum(result) by each float tensor argument, where the op's docstring
            promises one at a kink: checked exactly, instead of by differences.
        dtypes: The dtypes to test this sample in; None is the case's.
        differs: backend -> reason for which this sample's values may differ there; a reason that no longer
            holds fails.
        unsized: Whether the symbolic result is compared with sizes unknown too; not where a size decides its rank.
        why: What a hand-picked sample is there for.
    """

    def __init__(
        self,
        *args: Any,
        expect: Any = UNSET,
        grad: bool | Sequence[str] = True,
        gradient: Any = None,
        dtypes: Sequence[str] | None = None,
        differs: Mapping[str, str] | None = None,
        unsized: bool = True,
        why: str = "",
        **arguments: Any,
    ) -> None:
        self.args, self.arguments, self.unsized = args, arguments, unsized
        self.expect, self.grad, self.gradient = expect, grad, gradient
        self.dtypes, self.differs, self.why = dtypes, differs or {}, why

    def __repr__(self) -> str:
        return f"Sample({_call(self.args, self.arguments)})"


class Bad:
    """One call that must be refused on every backend, eagerly and symbolically, with this error."""

    def __init__(
        self, *args: Any, match: str, error: type[Exception] | tuple = (ValueError, TypeError), **arguments: Any
    ) -> None:
        self.args, self.arguments, self.match, self.error = args, arguments, match, error

    def __repr__(self) -> str:
        return f"Bad({_call(self.args, self.arguments)})"


# For ops of one rounding or a few: about 4 units in the last place.
EXACT_TO_ROUNDING = {
    "float64": 1e-15,
    "float32": 5e-7,
    "float16": 4e-3,
    "bfloat16": 3e-2,
    "complex128": 2e-15,
    "complex64": 1e-6,
}


@dataclasses.dataclass
class Case:
    """The record of one op.

    Attributes:
        op: The public function (kcore.ops.logsumexp).
        reference: The formula, in NumPy or SciPy alone, called with float64 (or integer, bool,
            complex128) arrays and the sample's other arguments. Independent of kcore.
        samples: The calls to check; a list, or a function of a numpy Generator that returns one.
        errors: Calls that must be refused.
        tol: dtype -> largest allowed |got - want| / max(1, |want|). Integers and bools are
            compared exactly.
        dtypes: The dtypes each sample is tested in, those of its float arrays standing for all.
            Integer-only ops name their own.
        grad: Whether the op is differentiable at all, or the names of the arguments that it is differentiable by.
        grad_tol: The same measure for gradients in float64 against central differences.
        differs: backend -> reason for values that differ there and may; with `differs_tol` a
            looser tolerance, else the sample is only run. A reason that no longer holds fails.
        differs_tol: backend -> dtype -> tolerance; "grad" in place of a dtype is for gradients.
        symbolic: Whether the symbolic result is compared (not where it depends on values).
        compare: How results compare, where elementwise is wrong: a function (got, want, tol)
            that raises AssertionError (eigenvectors up to sign, say).
    """

    op: Callable
    reference: Callable
    samples: Sequence[Sample] | Callable[[np.random.Generator], Sequence[Sample]]
    errors: Sequence[Bad] = ()
    tol: Mapping[str, float] = dataclasses.field(default_factory=lambda: dict(EXACT_TO_ROUNDING))
    dtypes: Sequence[str] = ("float32", "float64")
    grad: bool | Sequence[str] = True
    grad_tol: float = 1e-6
    differs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    differs_tol: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    symbolic: bool = True
    compare: Callable | None = None

    def __post_init__(self) -> None:
        self.name: str = self.op.op.name if hasattr(self.op, "op") else self.op.__name__
        if self.name in CASES:
            raise ValueError(f"There are two conformance records of {self.name}.")
        unreasoned = set(self.differs_tol) - set(self.differs)
        if unreasoned:
            raise ValueError(f"{self.name}: differs_tol for {', '.join(sorted(unreasoned))} needs a reason in differs.")
        CASES[self.name] = self


def _call(args: tuple, arguments: dict[str, Any]) -> str:
    return ", ".join([_short(a) for a in args] + [f"{k}={_short(v)}" for k, v in arguments.items()])


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size > 8:
        return f"<{value.dtype} {value.shape}>"
    return " ".join(repr(value).split())
