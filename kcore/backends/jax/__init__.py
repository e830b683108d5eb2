"""The JAX backend. Importing it imports jax; it changes none of jax's settings."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np

from kcore import backends, dtypes, tree
from kcore.backends.contract import NO_CONTEXT, Backend, collect, families
from kcore.backends.coo import Coo, is_sparse, to_coo
from kcore.backends.host import to_array
from kcore.state import StatelessScope


class JaxBackend(Backend):
    """Tensors are jax.Array, tracers too.

    JAX cuts 64-bit dtypes to 32 unless its x64 mode is on. Ops that see or make a 64-bit dtype
    run inside that mode, so the dtype that was asked for is the dtype that comes back, and
    the user's own setting stays as it is.
    """

    name = "jax"
    compiles_shapes = True
    pads_sparse = True
    tensor_types = (jax.Array,)

    def convert(self, x: Any, dtype: str | None = None) -> Any:
        if isinstance(x, jax.Array):
            if dtype is None or x.dtype == dtypes.to_numpy(dtype):
                return x
            with _mode(dtypes.is_wide(dtype) or _wide(x)):
                if jnp.iscomplexobj(x) and not dtypes.is_complex(dtype):
                    x = jnp.real(x)
                return jax.lax.convert_element_type(x, dtypes.to_numpy(dtype))
        if is_sparse(x):
            return self.convert_sparse(x, dtype)
        stacked = self.from_sequence(x, dtype)
        if stacked is not None:
            return stacked
        array = to_array(x, dtype)
        if dtype is not None:
            array = array.astype(dtypes.to_numpy(dtype), copy=False)
        # Inside a transformation too it is a value, not a part of the trace: what is kept of it does not leak.
        with _mode(dtypes.is_wide(dtypes.name_of(array.dtype))), jax.ensure_compile_time_eval():
            return jnp.asarray(array)

    def coo(self, x: Any) -> Coo:
        x = x if hasattr(x, "n_batch") and type(x).__name__ == "BCOO" else x.to_bcoo()
        with _mode(_wide(x.data) or _wide(x.indices)):
            if x.n_batch or x.n_dense:
                x = x.update_layout(n_batch=0, n_dense=0)
            if not x.unique_indices:
                x = x.sum_duplicates(nse=x.nse)
        return Coo(x.indices, x.data, x.shape, ordered=x.indices_sorted)

    def from_coo(self, x: Coo) -> Any:
        from jax.experimental.sparse import BCOO

        with _mode(_wide(x.values)):
            indices = x.indices.astype("int32")
            y = BCOO((x.values, indices), shape=x.shape, indices_sorted=x.ordered, unique_indices=x.unique)
            return y if x.unique else y.sum_duplicates(nse=min(y.nse, math.prod(x.shape)))

    def numpy(self, x: Any) -> np.ndarray:
        return np.asarray(x) if isinstance(x, jax.Array) else to_array(x)

    def prepared(self, op: Any, fn: Callable, plan: Any, sources: Sequence[Any]) -> Callable:
        seen = [s.dtype for source in sources for s in (source, *source.parts) if s.dtype]
        if not any(dtypes.is_wide(d) for d in (*seen, *(s.dtype for s in tree.flatten(plan.outputs)))):
            return fn

        def run(*args: Any) -> Any:
            with jax.enable_x64(True):
                return fn(*args)

        return run

    def vjp(self, fn: Callable, leaves: list[Any], once: bool = False) -> tuple[list[Any], Any, Callable]:
        split, joined = _aside(fn)
        wide = any(_wide(x) for x in leaves)
        with _mode(wide):
            outputs, pull, arrays = jax.vjp(split, *leaves, has_aux=True)

        def pullback(gs: list[Any]) -> list[Any]:
            with _mode(wide):
                return list(pull(list(gs)))

        return list(outputs), joined(arrays), pullback

    def jvp(self, fn: Callable, leaves: list[Any], tangents: list[Any]) -> tuple[list[Any], Any, list[Any]]:
        split, joined = _aside(fn)
        with _mode(any(_wide(x) for x in leaves)):
            outputs, found, arrays = jax.jvp(split, tuple(leaves), tuple(tangents), has_aux=True)
        return list(outputs), joined(arrays), list(found)

    def jit(self, fn: Callable, hastily: bool = False) -> Callable:
        compiled = jax.jit(fn, compiler_options=_HASTILY if hastily else None)

        def run(*args: Any) -> Any:
            with _mode(any(_has_wide(a) for a in args)):
                return compiled(*args)

        return run

    def forget_compiled(self) -> None:
        jax.clear_caches()

    def new_storage(self, value: Any, dtype: str, trainable: bool, name: str) -> Any:
        with _mode(dtypes.is_wide(dtype)), jax.ensure_compile_time_eval():
            return jnp.array(self.convert(value, dtype))  # a copy: a donated buffer must be our own

    def write(self, storage: Any, value: Any) -> Any:
        if isinstance(value, jax.core.Tracer):
            raise ValueError(
                "A variable can't be assigned inside a JAX transformation (jit, grad, vmap...): the value would be "
                "that of a trace. Use stateless_call, or a StatelessScope whose new values the function returns."
            )
        return value

    def compile(self, step: Callable, assigned: list[Any], read: list[Any], *, jit: bool | str) -> Callable:
        if jit is False:
            return step

        shell: Any = None  # the result's structure: JAX itself would sort a dict's keys

        def pure(state: list[Any], constants: list[Any], data: Any) -> tuple[list[Any], list[Any]]:
            nonlocal shell
            pairs = [*zip(assigned, state, strict=True), *zip(read, constants, strict=True)]
            with backends.use(self), StatelessScope(pairs) as scope:
                result = step(data)
            shell = tree.map_structure(lambda _: None, result)
            return tree.flatten(result), [scope.get_current_value(v) for v in assigned]

        # The old state's memory is given to the new one's.
        compiled = jax.jit(pure, donate_argnums=0)
        wide = any(dtypes.is_wide(v._dtype) for v in (*assigned, *read))

        def run(data: Any) -> Any:
            with _mode(wide or any(map(_has_wide, tree.flatten(data)))):
                leaves, state = compiled([v._storage for v in assigned], [v._storage for v in read], data)
            for variable, value in zip(assigned, state, strict=True):
                variable._storage = value
            return tree.pack_sequence_as(shell, leaves)

        return run

    def full_width(self, *names: str) -> Any:
        return _mode(any(map(dtypes.is_wide, names)))

    def as_step_input(self, x: Any) -> Any:
        # jit takes NumPy arrays, and puts them on the device without the Python of jnp.asarray.
        if type(x) is np.ndarray and x.dtype.kind in "fiubcV":  # V: ml_dtypes' floats
            return x
        if is_sparse(x) and not self.is_sparse(x):
            return self.convert(_rounded_up(to_coo(x)))
        return self.convert(x)

    def synchronize(self, x: Any) -> None:
        jax.block_until_ready(x)

    def versions(self) -> dict[str, str]:
        return {"jax": jax.__version__, "jaxlib": jaxlib.__version__}

    def devices(self) -> list[str]:
        found = list(self._devices())
        return found if "cpu" in found else ["cpu", *found]

    def _devices(self) -> dict[str, Any]:
        """JAX's devices by our names; the host's is there beside an accelerator's, as "cpu"."""
        return {_named(d): d for d in (*jax.devices(), *jax.devices("cpu"))}

    def device(self) -> str:
        chosen = jax.config.jax_default_device
        if isinstance(chosen, str):
            chosen = jax.devices(chosen)[0]
        return _named(chosen or jax.devices()[0])

    def on_device(self, name: str) -> Any:
        return jax.default_device(self._devices()[name])

    def precision(self) -> dict[str, str]:
        return {"jax_default_matmul_precision": str(jax.config.jax_default_matmul_precision or "default")}


def _named(device: Any) -> str:
    """A device as "cpu", "cuda:0", "tpu:3"."""
    if device.platform == "cpu":
        return "cpu" if device.id == 0 else f"cpu:{device.id}"
    vendor = "rocm" if "rocm" in device.client.platform_version.lower() else "cuda"
    return f"{vendor if device.platform in ('gpu', 'cuda', 'rocm') else device.platform}:{device.id}"


# The same program, with loops as they come, in one module that LLVM does not optimize: an eighth of the time to compile.
_HASTILY = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}


def _wide(x: Any) -> bool:
    return (x.dtype.itemsize == 8 and x.dtype.kind in "iuf") or x.dtype == np.complex128


def _rounded_up(x: Coo) -> Coo:
    """With padding up to a power of 2, so that batches that store unlike numbers of elements share a program."""
    stored = len(x.values)
    more = max(8, 1 << (stored - 1).bit_length()) - stored if x.ndim else 0
    indices = np.concatenate([x.indices, np.full((more, x.ndim), x.shape)])
    return Coo(indices, np.concatenate([x.values, np.zeros(more, x.values.dtype)]), x.shape)


def _has_wide(x: Any) -> bool:
    return (isinstance(x, (jax.Array, np.ndarray)) or is_sparse(x)) and _wide(x)


def _aside(fn: Callable) -> tuple[Callable, Callable]:
    """`fn(*xs) -> (outputs, aux)` with only the arrays of aux as its second result, and what makes aux of these again.

    Nothing but arrays leaves a JAX transformation as a value; whatever else is in aux goes round it.
    """
    aside: list[Any] = []

    def split(*xs: Any) -> tuple[list[Any], list[Any]]:
        outputs, aux = fn(*xs)
        aside[:] = [tree.map_structure(lambda a: _ARRAY if isinstance(a, jax.Array) or is_sparse(a) else a, aux)]
        return outputs, [a for a in tree.flatten(aux) if isinstance(a, jax.Array) or is_sparse(a)]

    def joined(arrays: Any) -> Any:
        found = iter(arrays)
        return tree.map_structure(lambda a: next(found) if a is _ARRAY else a, aside[0])

    return split, joined


_ARRAY = object()


def _mode(wide: bool) -> Any:
    """JAX's 64-bit mode for the block if `wide`, else whatever the user has set."""
    return jax.enable_x64(True) if wide else NO_CONTEXT


backend = JaxBackend()

JaxBackend.ops = collect(*families(__name__))  # only now: the op modules may use the backend
