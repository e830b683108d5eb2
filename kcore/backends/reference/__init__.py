"""The reference backend: NumPy definitions that say what each op means, and native kernels under them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kcore import _native, dtypes, tree
from kcore.backends.contract import Backend, collect, families
from kcore.backends.coo import Coo, is_sparse
from kcore.backends.host import number, to_array
from kcore.backends.reference import half, tape, tracer
from kcore.backends.reference.quiet import quiet
from kcore.backends.reference.tensor import SparseTensor, Storage, Tensor, detach, wrap
from kcore.backends.reference.tracer import Tracer


class ReferenceBackend(Backend):
    """Tensors are NumPy arrays (`Tensor`, an ndarray subclass); gradients come from the tape."""

    name = "reference"
    tensor_types = (np.ndarray, Tracer)
    fused_steps = frozenset({"adam", "sgd"} if _native.available else ())

    def convert(self, x: Any, dtype: str | None = None) -> Any:
        if x.__class__ is np.ndarray and dtype is None:
            return x.view(Tensor)
        if isinstance(x, (Tensor, Tracer)):
            if dtype is None or x.dtype == dtypes.to_numpy(dtype):
                return x
            if x._node is not None or x.__class__ is Tracer:
                from kcore import ops

                return ops.cast(x, dtype)
            return x.view(np.ndarray).astype(dtypes.to_numpy(dtype)).view(Tensor)
        if is_sparse(x):
            return self.convert_sparse(x, dtype)
        stacked = self.from_sequence(x, dtype)
        if stacked is not None:
            return stacked
        return np.asarray(to_array(x, dtype), None if dtype is None else dtypes.to_numpy(dtype)).view(Tensor)

    def coo(self, x: Any) -> Coo:
        return x

    def from_coo(self, x: Coo) -> SparseTensor:
        x = stored.canonical(x)
        return SparseTensor(np.asarray(x.indices, "int64"), x.values, x.shape)

    def bind(self, op: Any, plan: Any, sources: Sequence[Any], once: bool = False) -> Callable:
        definition = op.definition or self.ops.get(op.name)
        if definition is None:  # a portable body: the ops in it do the rest, and Tensors' operators
            run = super().bind(op, plan, sources)
            return lambda *args: run(*[_tensors(a) for a in args])
        definition = half.in_float32(op.name, definition, plan, sources)
        roles = list(op.roles.values())
        steps = [source.step(self) for source in sources]
        outputs = plan.outputs  # the plan itself has the arrays of an index, which must not be kept

        def run_slowly(*args: Any) -> Any:
            values = [a if step is None else step(a) for a, step in zip(args, steps)]
            capture = tracer.found_in(values) if tracer.active else None
            if capture is not None:
                return capture.run(op, roles, outputs, definition, values)
            parents = tape.parents_of(roles, values) if tape.active else None
            if parents is not None:
                if op.vjp is not None:
                    return tape.run_recorded(op.vjp, roles, definition, values, parents)
                if op.body is not None:
                    return op.body(*[_tensors(a) for a in values])
            return wrap(definition(*[tape._plain(a) for a in values]))

        traced = any(s.kind == "traced" for source in sources for s in (source, *source.parts))
        return run_slowly if once or traced else _specialized(op, plan, sources, steps, definition, run_slowly)

    def vjp(self, fn: Callable, leaves: list[Any], once: bool = False) -> tuple[list[Any], Any, Callable]:
        with tape.recording():
            traced = [tape.leaf(x) for x in leaves]
            outputs, aux = fn(*traced)
        nested = bool(tape.active)

        def pullback(gs: list[Any]) -> list[Any]:
            return tape.backward(outputs, [wrap(g) for g in gs], traced, once and not nested)

        if nested:
            return outputs, aux, pullback
        return [detach(y) for y in outputs], tree.map_structure(detach, aux), pullback

    def new_storage(self, value: Any, dtype: str, trainable: bool, name: str) -> Storage:
        return Storage(value, dtypes.to_numpy(dtype))

    def read(self, storage: Any) -> Any:
        return storage.value

    def write(self, storage: Any, value: Any) -> Any:
        np.copyto(storage.changing(), value)
        return storage

    def compile(self, step: Callable, assigned: list[Any], read: list[Any], *, jit: bool | str) -> Callable:
        from kcore.backends.reference.step import CapturedStep

        return CapturedStep(step, self) if jit else step

    def increase(self, storage: Any, value: Any) -> bool:
        array = storage.array
        if value.__class__ is Tensor:
            if value._node is not None or value.dtype != array.dtype or value.shape != array.shape:
                return False
        elif value.__class__ is not int or array.dtype.char not in "ilqfd" or not -(2**31) <= value < 2**31:
            return False
        with quiet():
            np.add(array, value, out=storage.changing())
        return True

    def optimizer_step(
        self, kind: str, variables: list[Any], gradients: list[Any], slots: list[list[Any]], numbers: Callable, at: Any
    ) -> bool:
        from kcore.backends.reference import optimize

        return optimize.step(kind, variables, gradients, slots, numbers, at)

    def versions(self) -> dict[str, str]:
        return {"numpy": np.__version__}


def _tensors(a: Any) -> Any:
    """An argument with NumPy's arrays as Tensors: NumPy's own operators follow its promotion, and are on no tape."""
    if isinstance(a, (list, tuple)):
        return type(a)([_tensors(e) for e in a]) if not hasattr(a, "_fields") else a
    return a.view(Tensor) if isinstance(a, np.ndarray) and a.__class__ is not Tensor else a


def _specialized(
    op: Any, plan: Any, sources: Sequence[Any], steps: list, definition: Callable, slowly: Callable
) -> Callable:
    """`slowly` without its loops, for this one kind of arguments: it looks at nothing again.

    The tensors' memory goes to the definition as plain arrays (ufuncs are three times
    slower on a subclass) and the result is viewed as a Tensor. While a gradient is taken, what
    `tape.run_recorded` does is done here too, for ops with one result and a rule; others go the slow way.
    """
    from kcore.ops.symbolic import Spec

    one = plan.outputs if isinstance(plan.outputs, Spec) else None
    differentiable = one is None or dtypes.is_float(one.dtype) or dtypes.is_complex(one.dtype)
    rule = op.vjp if one is not None and isinstance(op.vjp, tape.Rule) else None
    scope: dict[str, Any] = {"definition": definition, "slowly": slowly, "tape": tape, "tracer": tracer}
    scope |= {"Node": tape.Node}
    tensors: list[str] = []  # statements: while recording, an argument is asked for its node before it is used
    call, recorded, values, kept, parents, found = [], [], [], [], [], []
    for i, (source, step, role) in enumerate(zip(sources, steps, op.roles.values(), strict=True)):
        a, value, parent = f"a{i}", f"a{i}", "None"
        scope |= {f"step{i}": step, f"v{i}": source.value}
        if source.kind == "number":
            call.append(f"number({a}, {source.cast!r})")
            recorded.append(call[-1])
            value = f"step{i}({a})"
        elif source.kind == "plain":
            value = a if step is None else f"v{i}"
            call.append(value)
            recorded.append(value)
        elif source.kind == "index":
            value = f"step{i}({a})"
            call.append(value)
            recorded.append(value)
        elif source.kind == "tensors":
            rule = None
            call.append(f"[view(x, ndarray) for x in step{i}({a})]")
        else:
            x, n = f"x{i}", f"n{i}"
            made = a if step is None else f"step{i}({a})"
            tensors += [f"{x} = {made}", f"{n} = {x}._node if {x}.__class__ is Tensor else None"]
            call.append(f"{made}.view(ndarray)")
            recorded.append(f"{x}.view(ndarray)")
            found.append(f"{n} is not None")
            value, parent = x, f"({n}, {x}._output, {x}.shape, {x}.dtype) if {n} is not None else None"
        values.append(value)
        if role != "plain":
            parents.append(parent)
        if rule is not None and i < len(rule.keeps):
            kept.append(value if rule.keeps[i] or role == "plain" else "None")

    def run_by(arguments: list[str]) -> str:
        y = f"definition({', '.join(arguments)})"
        return f"{y}.view(Tensor)" if one is not None and one.shape != () else f"wrap({y})"

    args = ", ".join(f"a{i}" for i in range(len(sources)))
    lines = [f"def run({args}):"]
    if any(source.kind in ("variable", "tensors", "index") for source in sources):  # these may give tracers
        lines += ["    if tracer.active:", f"        return slowly({args})"]
    if differentiable and (rule is None or not found):
        lines += ["    if tape.active:", f"        return slowly({args})"]
    elif differentiable:
        scope |= {"rule": rule.function, "rather": rule.rather}  # type: ignore[union-attr]
        tried = [f"y = rather({', '.join(values)})", "if y is not None:", "    return y"]
        lines += [
            "    if tape.active:",
            *(f"        {line}" for line in tensors),
            f"        if {' or '.join(found)}:",
            *(f"            {line}" for line in tried if rule.rather),  # type: ignore[union-attr]
            # A definition may hand an argument back; a node must not end up on the caller's tensor.
            f"            y = asarray(definition({', '.join(recorded)})).view(Tensor)",
            f"            Node(rule, [{', '.join(kept)}], [{', '.join(parents)}], y, {rule.keeps_y})",  # type: ignore[union-attr]
            "            return y",
            f"        return {run_by(recorded)}",
        ]
    lines.append(f"    return {run_by(call)}")
    scope |= {"ndarray": np.ndarray, "asarray": np.asarray, "view": np.ndarray.view}
    scope |= {"number": number, "Tensor": Tensor, "wrap": wrap}
    exec(compile("\n".join(lines), f"<reference {op.name}>", "exec"), scope)  # as kcore.ops.mechanism does
    return scope["run"]


backend = ReferenceBackend()

# Only now: the definitions' gradient rules call ops, and so need the backend.
ReferenceBackend.ops = collect(*families(__name__))

from kcore.backends.reference import sparse  # noqa: E402 - as above
from kcore.ops import operators, stored  # noqa: E402

ReferenceBackend.sparse_ops = collect(sparse)
operators.attach(Tensor, backend=lambda _: backend)
operators.attach(Tracer, backend=lambda _: backend)
operators.attach(SparseTensor, backend=lambda _: backend)
