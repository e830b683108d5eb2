"""The reference backend: NumPy definitions that say what each op means, and native kernels under them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kcore import _native, dtypes, tree
from kcore.backends.contract import Backend, collect
from kcore.backends.host import number, to_array
from kcore.backends.reference import tape
from kcore.backends.reference.tensor import Tensor, detach, wrap


class ReferenceBackend(Backend):
    """Tensors are NumPy arrays (`Tensor`, an ndarray subclass); gradients come from the tape."""

    name = "reference"
    tensor_types = (np.ndarray,)
    fused_steps = frozenset({"adam", "sgd"} if _native.available else ())

    def convert(self, x: Any, dtype: str | None = None) -> Any:
        if isinstance(x, Tensor):
            if dtype is None or x.dtype == dtypes.to_numpy(dtype):
                return x
            if x._node is not None:
                from kcore import ops

                return ops.cast(x, dtype)
            return x.view(np.ndarray).astype(dtypes.to_numpy(dtype)).view(Tensor)
        stacked = self.from_sequence(x, dtype)
        if stacked is not None:
            return stacked
        return np.asarray(to_array(x, dtype), None if dtype is None else dtypes.to_numpy(dtype)).view(Tensor)

    def numpy(self, x: Any) -> np.ndarray:
        return to_array(x)

    def bind(self, op: Any, plan: Any, sources: Sequence[Any], once: bool = False) -> Callable:
        definition = op.definition or self.ops.get(op.name)
        if definition is None:  # a portable body: the ops in it do the rest, and Tensors' operators
            run = super().bind(op, plan, sources)
            return lambda *args: run(*[_tensors(a) for a in args])
        roles = list(op.roles.values())
        steps = [source.step(self) for source in sources]

        def run_slowly(*args: Any) -> Any:
            values = [a if step is None else step(a) for a, step in zip(args, steps)]
            parents = tape.parents_of(roles, values) if tape.active else None
            if parents is not None:
                if op.vjp is not None:
                    return tape.run_recorded(op.vjp, roles, definition, values, parents)
                if op.body is not None:
                    return op.body(*[_tensors(a) for a in values])
            return wrap(definition(*[tape._plain(a) for a in values]))

        return run_slowly if once else _specialized(plan, sources, steps, definition, run_slowly)

    def vjp(self, fn: Callable, leaves: list[Any], once: bool = False) -> tuple[list[Any], Any, Callable]:
        with tape.recording():
            traced = [tape.leaf(x) for x in leaves]
            outputs, aux = fn(*traced)
        nested = bool(tape.active)

        def pullback(gs: list[Any]) -> list[Any]:
            return tape.backward(outputs, [wrap(g) for g in gs], traced)

        if nested:
            return outputs, aux, pullback
        return [detach(y) for y in outputs], tree.map_structure(detach, aux), pullback

    def new_storage(self, value: Any, dtype: str, trainable: bool, name: str) -> Tensor:
        return np.array(value, dtypes.to_numpy(dtype), order="C").view(Tensor)

    def write(self, storage: Any, value: Any) -> Any:
        np.copyto(storage.view(np.ndarray), value)
        return storage

    def optimizer_step(
        self, kind: str, variables: list[Any], gradients: list[Any], slots: list[list[Any]], **numbers: Any
    ) -> bool:
        from kcore.backends.reference import optimize

        return optimize.step(kind, variables, gradients, slots, **numbers)

    def versions(self) -> dict[str, str]:
        return {"numpy": np.__version__}


def _tensors(a: Any) -> Any:
    """An argument with NumPy's arrays as Tensors: NumPy's own operators follow its promotion, and are on no tape."""
    if isinstance(a, (list, tuple)):
        return type(a)([_tensors(e) for e in a]) if not hasattr(a, "_fields") else a
    return a.view(Tensor) if isinstance(a, np.ndarray) and a.__class__ is not Tensor else a


def _specialized(plan: Any, sources: Sequence[Any], steps: list, definition: Callable, slowly: Callable) -> Callable:
    """`slowly` without its loops, for this one kind of arguments: it looks at nothing again.

    The tensors' memory goes to the definition as plain arrays (ufuncs are three times
    slower on a subclass) and the result is viewed as a Tensor.
    """
    from kcore.ops.symbolic import Spec

    names: list[str] = []
    given: list[str] = []
    scope: dict[str, Any] = {"definition": definition, "slowly": slowly, "tape": tape}
    for i, (source, step) in enumerate(zip(sources, steps, strict=True)):
        n = f"a{i}"
        names.append(n)
        if source.kind == "tensor" and step is None:
            given.append(f"{n}.view(ndarray)")
        elif source.kind == "number":
            given.append(f"number({n}, {source.cast!r})")
        elif source.kind == "plain":
            given.append(n if step is None else f"v{i}")
            scope[f"v{i}"] = source.value
        elif source.kind == "index":
            given.append(f"step{i}({n})")
        elif source.kind == "tensors":
            given.append(f"[view(x, ndarray) for x in step{i}({n})]")
        else:
            given.append(f"step{i}({n}).view(ndarray)")
        scope[f"step{i}"] = step
    args = ", ".join(names)
    call = f"definition({', '.join(given)})"
    single = isinstance(plan.outputs, Spec) and plan.outputs.shape != ()
    code = f"""
def run({args}):
    if tape.active:
        return slowly({args})
    return {call + ".view(Tensor)" if single else f"wrap({call})"}
"""
    scope |= {"ndarray": np.ndarray, "number": number, "Tensor": Tensor, "wrap": wrap, "view": np.ndarray.view}
    exec(compile(code, "<reference>", "exec"), scope)  # as kcore.ops.mechanism does
    return scope["run"]


backend = ReferenceBackend()

from kcore.backends.reference import families  # noqa: E402 - the definitions' gradient rules call ops, and so need the backend

ReferenceBackend.ops = collect(*families.MODULES)

from kcore.ops import operators  # noqa: E402 - as above

operators.attach(Tensor, backend=lambda _: backend)
