"""The TensorFlow backend. Importing it imports tensorflow; it changes none of its settings."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # its start-up notices are not for our users
import tensorflow as tf

from kcore import dtypes, tree
from kcore.backends.contract import WIDER, Backend, collect, families
from kcore.backends.coo import Coo, is_sparse
from kcore.backends.host import to_array

DTYPES = {name: getattr(tf, name, None) or tf.as_dtype(dtypes.to_numpy(name)) for name in dtypes.ALL}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


class TensorFlowBackend(Backend):
    """Tensors are tf.Tensor, eager or symbolic."""

    name = "tensorflow"
    slow_calls = True
    _lacking = set()
    tensor_types = (tf.Tensor,)
    module_base = tf.Module
    wider = WIDER

    def convert(self, x: Any, dtype: str | None = None) -> Any:
        if isinstance(x, tf.Variable):
            x = x.value()
        if isinstance(x, tf.Tensor):
            if dtype is None or x.dtype == DTYPES[dtype]:
                return x
            if x.dtype.is_complex and not dtypes.is_complex(dtype):
                x = tf.math.real(x)
            return tf.cast(x, DTYPES[dtype])
        if isinstance(x, tf.IndexedSlices):
            return self.convert(tf.convert_to_tensor(x), dtype)
        if is_sparse(x):
            return self.convert_sparse(x, dtype)
        stacked = self.from_sequence(x, dtype)
        if stacked is not None:
            return stacked
        array = to_array(x, dtype)
        if dtype is not None:
            array = array.astype(dtypes.to_numpy(dtype), copy=False)
        return tf.constant(array)

    def numpy(self, x: Any) -> np.ndarray:
        return x.numpy() if isinstance(x, (tf.Tensor, tf.Variable)) else to_array(x)

    def coo(self, x: Any) -> Coo:
        shape = self.shape(x)
        c = Coo(x.indices, x.values, shape, self.sizes(x))
        if getattr(x, "_kcore_canonical", False) or not shape:
            return c
        flat = stored.places(c)
        fine = tf.reduce_all(flat[1:] > flat[:-1])
        c.unique = c.ordered = False

        def put_right() -> tuple[Any, Any]:
            y = stored.canonical(c)
            return tf.cast(y.indices, tf.int64), y.values

        if tf.executing_eagerly():
            indices, values = (c.indices, c.values) if bool(fine) else put_right()
        else:
            indices, values = tf.cond(fine, lambda: (c.indices, c.values), put_right)
        return Coo(indices, values, shape, c.sizes)

    def from_coo(self, x: Coo) -> tf.SparseTensor:
        x = stored.canonical(x)
        sizes = [tf.cast(d, tf.int64) for d in x.sizes] if None in x.shape else tf.constant(x.shape, tf.int64)
        y = tf.SparseTensor(tf.cast(x.indices, tf.int64), x.values, sizes)
        y._kcore_canonical = True
        return y

    def shape(self, x: Any) -> tuple[int | None, ...]:
        return tuple(x.shape.as_list()) if isinstance(x.shape, tf.TensorShape) else tuple(x.shape)

    def sizes(self, x: Any) -> tuple[Any, ...]:
        known = self.shape(x)
        if None not in known:
            return known
        found = tf.cast(x.dense_shape, tf.int32) if isinstance(x, tf.SparseTensor) else tf.shape(x)
        return tuple(found[i] if d is None else d for i, d in enumerate(known))

    def dtype(self, x: Any) -> str:
        return _NAMES[x.dtype]

    def _on_host(self, op: Any, plan: Any, *args: Any) -> Any:
        if tf.executing_eagerly():
            return super()._on_host(op, plan, *args)
        with_values = super()._on_host

        def run(*arrays: np.ndarray) -> list[np.ndarray]:
            left = iter(arrays)
            given = tree.map_structure(lambda a: next(left) if self.is_tensor(a) else a, list(args))
            return [self.numpy(y) for y in tree.flatten(with_values(op, plan, *given))]

        specs = tree.flatten(plan.outputs)
        made = tf.numpy_function(
            run, [a for a in tree.flatten(list(args)) if self.is_tensor(a)], [DTYPES[s.dtype] for s in specs]
        )
        shaped = [tf.ensure_shape(y, s.shape) for y, s in zip(made, specs, strict=True)]
        return tree.pack_sequence_as(plan.outputs, shaped)

    def on_host(self, function: Callable, inputs: list[Any], dtype: str, shape: Any, read: Callable) -> Any:
        """In a graph: `function` of the inputs, each read into an array by `read`, run in Python at every step."""
        kind = tf.string if dtype == "string" else DTYPES[dtype]
        made = tf.numpy_function(lambda *xs: function(*map(read, xs)), inputs, kind)
        return tf.ensure_shape(made, shape)

    def lacks_kernel(self, error: Exception) -> bool:
        kinds = (
            tf.errors.NotFoundError,
            tf.errors.UnimplementedError,
            tf.errors.InvalidArgumentError,
            TypeError,
            ValueError,
        )
        text = str(error)
        return isinstance(error, kinds) and any(
            s in text
            for s in (
                "Could not find device for node",
                "list of allowed values",
                "No OpKernel",
                "not supported",
                "Unsupported",
            )
        )

    def vjp(self, fn: Callable, leaves: list[Any], once: bool = False) -> tuple[list[Any], Any, Callable]:
        traced = [tf.identity(x) for x in leaves]
        tape = tf.GradientTape(persistent=not once, watch_accessed_variables=False)
        with tape:
            for x in traced:
                tape.watch(x)
            outputs, aux = fn(*traced)

        def pullback(gs: list[Any]) -> list[Any]:
            found = tape.gradient(outputs, traced, list(gs), unconnected_gradients=tf.UnconnectedGradients.ZERO)
            return [tf.convert_to_tensor(g) for g in found]

        return outputs, aux, pullback

    def jit(self, fn: Callable, hastily: bool = False) -> Callable:
        compiled = tf.function(fn, autograph=False)
        return lambda *args: compiled.get_concrete_function(*args)(*args)  # each new shape is its own, on purpose

    def new_storage(self, value: Any, dtype: str, trainable: bool, name: str) -> Any:
        with tf.init_scope():
            return tf.Variable(self.convert(value, dtype), trainable=trainable, name=name)

    def read(self, storage: Any) -> Any:
        return storage.value()

    def write(self, storage: Any, value: Any) -> Any:
        storage.assign(value)
        return storage

    def init_module(self, layer: Any) -> None:
        # Without its own attribute tracking: that would put wrappers around a layer's lists and dicts.
        layer.__dict__["_self_setattr_tracking"] = False

    def compile(self, step: Callable, assigned: list[Any], read: list[Any], *, jit: bool | str) -> Callable:
        def function(with_xla: bool) -> Any:
            return tf.function(step, reduce_retracing=True, autograph=False, jit_compile=with_xla)

        if jit != "auto":
            return function(jit is True)
        # XLA is faster, but lacks some ops (strings, dynamic shapes). It says so before it runs anything.
        chosen, uncompiled = function(True), function(False)
        asked = False

        def run(data: Any) -> Any:
            nonlocal chosen, asked
            if any(isinstance(x, tf.SparseTensor) for x in tree.flatten(data)):  # XLA needs to know how much is stored
                return uncompiled(data)
            if not asked:
                asked = True
                if self.device() == "cpu" and _convolves(chosen.get_concrete_function(data).graph):
                    chosen = uncompiled
            try:
                return chosen(data)
            except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError, tf.errors.InternalError) as error:
                if not any(s in str(error) for s in ("XLA", "compile", "tf2xla")):
                    raise
            chosen = uncompiled
            return chosen(data)

        return run

    def versions(self) -> dict[str, str]:
        return {"tensorflow": tf.__version__}

    def devices(self) -> list[str]:
        found = tf.config.list_logical_devices()
        return ["cpu", *(_named(d.name) for d in found if d.device_type in ("GPU", "TPU"))]

    def device(self) -> str:
        with tf.init_scope():
            return _named(tf.constant(0.0).device)

    def on_device(self, name: str) -> Any:
        kind, _, number = name.partition(":")
        return tf.device(f"/{'GPU' if kind == _GPU else kind.upper()}:{number or 0}")

    def precision(self) -> dict[str, str]:
        return {
            "tf.config.experimental.tensor_float_32_execution_enabled()": str(
                tf.config.experimental.tensor_float_32_execution_enabled()
            )
        }


def _convolves(graph: Any) -> bool:
    """Whether there are convolutions in it, which on a CPU take XLA twice the time of TensorFlow's own kernels."""
    return any("Conv2D" in node.type or "Conv3D" in node.type for node in graph.get_operations())


_GPU = "rocm" if tf.test.is_built_with_rocm() else "cuda"


def _named(device: str) -> str:
    """ "/job:.../device:GPU:0" as "cuda:0"."""
    kind, number = device.lower().split(":")[-2:]
    return "cpu" if kind == "cpu" else f"{_GPU if kind == 'gpu' else kind}:{number}"


backend = TensorFlowBackend()

TensorFlowBackend.ops = collect(*families(__name__))  # only now: the op modules may use the backend

from kcore.backends.tensorflow import sparse  # noqa: E402 - as above
from kcore.ops import stored  # noqa: E402

TensorFlowBackend.sparse_ops = collect(sparse)
