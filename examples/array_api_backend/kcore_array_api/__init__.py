"""A kcore backend on array_api_strict: an example of a backend from another package.

What the standard has is translated in `elementwise`, `reduce` and `shape`; the rest comes from the ops'
portable bodies and, for primitives, from kcore's NumPy definitions on the host. Gradients come from the rules that kcore
has for its own tape (`tape`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import array_api_strict as xp
import numpy as np

from kcore import backends, dtypes, tree
from kcore.backends.contract import Backend, collect
from kcore.backends.host import to_array
from kcore_array_api import tape
from kcore_array_api.tensor import NoKernel, Tensor


class ArrayApiBackend(Backend):
    """Tensors are `Tensor`, around an array of the library."""

    name = "array_api"
    tensor_types = (Tensor,)
    _lacking = set()
    # The standard has no such floats: ops run in float32 and cast back. It does no arithmetic on bools: that is done by
    # kcore's own definitions.
    wider = {
        "float16": "float32",
        "bfloat16": "float32",
        "float8_e4m3fn": "float32",
        "float8_e5m2": "float32",
        "bool": None,
    }

    def convert(self, x: Any, dtype: str | None = None) -> Any:
        if isinstance(x, Tensor):
            if dtype is None or x.dtype == dtypes.to_numpy(dtype):
                return x
            if x._node is not None:
                from kcore import ops

                return ops.cast(x, dtype)
        stacked = self.from_sequence(x, dtype)
        if stacked is not None:
            return stacked
        array = to_array(x, dtype)
        if dtype is not None and array.dtype != dtypes.to_numpy(dtype):
            array = array.real if array.dtype.kind == "c" and not dtypes.is_complex(dtype) else array
            with np.errstate(all="ignore"):
                array = array.astype(dtypes.to_numpy(dtype))
        return Tensor.of(array)

    def numpy(self, x: Any) -> np.ndarray:
        return to_array(x)

    def implementation(self, op: Any) -> Callable:
        own = self.ops.get(op.name)
        if own is not None:
            return own
        if op.body is not None and op.definition is None:
            return op.body
        return _on_the_host(op)

    def bind(self, op: Any, plan: Any, sources: Any, once: bool = False) -> Callable:
        by_body = op.body is not None and op.definition is None
        if by_body and op.name not in self.ops:  # the ops in it are recorded one by one
            return super().bind(op, plan, sources, once)
        fn = self.prepared(op, self.implementation(op), plan, sources)
        steps = [source.step(self) for source in sources]

        def run(*args: Any) -> Any:
            values = [a if step is None else step(a) for a, step in zip(args, steps, strict=True)]
            if not tape.tracked(values):
                return fn(*values)
            if op.vjp is None and by_body:
                return op.body(*values)
            return tape.run_recorded(op, fn, values)

        return run

    def lacks_kernel(self, error: Exception) -> bool:
        return isinstance(error, NoKernel)

    def vjp(self, fn: Callable, leaves: list[Any], once: bool = False) -> tuple[list[Any], Any, Callable]:
        backends.load("reference")  # where the gradient rules are registered
        with tape.recording():
            traced = [tape.leaf(x) for x in leaves]
            outputs, aux = fn(*traced)
        if tape.active:  # inside another gradient
            return outputs, aux, lambda gs: tape.backward(outputs, gs, traced)
        detached = tree.map_structure(tape.detach, (outputs, aux))
        return detached[0], detached[1], lambda gs: tape.backward(outputs, gs, traced)

    def new_storage(self, value: Any, dtype: str, trainable: bool, name: str) -> Tensor:
        return tape.detach(self.convert(value, dtype))

    def write(self, storage: Any, value: Any) -> Any:
        return tape.detach(value)  # arrays of the standard can't be changed by others, so this needs no copy

    def versions(self) -> dict[str, str]:
        return {"array_api_strict": xp.__version__}


def _on_the_host(op: Any) -> Callable:
    """kcore's NumPy definition of a primitive that is not translated here."""

    def run(*args: Any) -> Any:
        definition = op.definition or backends.load("reference").ops[op.name]
        arrays = tree.map_structure(lambda a: a.numpy() if isinstance(a, Tensor) else a, list(args))
        return tree.map_structure(lambda y: Tensor.of(np.asarray(y)), definition(*arrays))

    return run


backend = ArrayApiBackend()

from kcore_array_api import control, elementwise, reduce, shape  # noqa: E402 - their functions use the backend

ArrayApiBackend.ops = collect(control, elementwise, reduce, shape)

from kcore.ops import operators  # noqa: E402 - the operators of a Tensor are ops, too

operators.attach(Tensor, backend=lambda _: backend)
