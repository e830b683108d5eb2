"""The libraries: how each takes arrays, calls a function, pulls gradients back and gives arrays.

A framework is imported when it is first used, so that rows can be listed, and run, without it.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import kcore as kcore_package
from kcore import ops

from .rows import Subject

MODULES = {
    "torch": "torch",
    "jax": "jax",
    "tensorflow": "tensorflow",
    "keras": "keras",
    "onnxruntime": "onnxruntime",
}
# Distributions that bring the modules, for the versions in a file of results.
DISTRIBUTIONS = ("numpy", "torch", "jax", "tensorflow-cpu", "tensorflow", "keras", "onnxruntime")


class Lazy:
    """A module that is imported when an attribute is first asked for."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        value = getattr(importlib.import_module(self._module), name)
        setattr(self, name, value)  # a call that is timed should not pay for this
        return value


torch: Any = Lazy("torch")
functional: Any = Lazy("torch.nn.functional")
jax: Any = Lazy("jax")
jnp: Any = Lazy("jax.numpy")
nn: Any = Lazy("jax.nn")


def missing(peer: str) -> list[str]:
    """The modules that a peer needs and that are not installed."""
    needed = [MODULES[word] for word in re.split(r"[- ]", peer) if word in MODULES]
    needed += ["onnx"] if "onnxruntime" in needed else []
    return [name for name in needed if importlib.util.find_spec(name) is None]


def set_threads(count: int) -> None:
    """For what does not read it from the environment."""
    if importlib.util.find_spec("torch"):
        torch.set_num_threads(count)


@dataclass(frozen=True)
class Layout:
    """How a library wants an argument, from how NumPy has it, and the way back."""

    to: Callable[[Any], Any]
    back: Callable[[Any], Any]


AS_IS = Layout(lambda x: x, lambda x: x)


@dataclass(frozen=True)
class Call:
    """A function of a library's own arrays, and how it wants them.

    Attributes:
        function: Of the arguments; returns one array or several.
        arguments: A Layout for each; as they are where there are fewer.
        out: The layout of the first result.
    """

    function: Callable
    arguments: Sequence[Layout] = ()
    out: Layout = AS_IS

    def layout(self, i: int) -> Layout:
        return self.arguments[i] if i < len(self.arguments) else AS_IS

    def prepared(self, arrays: Sequence[Any]) -> list[Any]:
        return [self.layout(i).to(a) for i, a in enumerate(arrays)]


class _Library:
    """What is the same for all: forward, and a gradient by way of `pull`."""

    def take(self, array: np.ndarray) -> Any:
        return array

    def give(self, array: Any) -> np.ndarray:
        return np.asarray(array)

    def timed(self, function: Callable, arguments: list[Any]) -> Callable[[], Any]:
        return lambda: function(*arguments)

    def pull(self, function: Callable, arguments: list[Any], by: Sequence[int], g: Any) -> Callable[[], Any]:
        raise ValueError("This library has no gradients.")

    def forward(self, call: Call, arrays: Sequence[np.ndarray]) -> Subject:
        run = self.timed(call.function, call.prepared([self.take(a) for a in arrays]))

        def result() -> list[np.ndarray]:
            first, *rest = _several(run())
            return [self.give(call.out.back(first)), *map(self.give, rest)]

        return Subject(run, result)

    def backward(self, call: Call, arrays: Sequence[np.ndarray], by: Sequence[int], g: np.ndarray) -> Subject:
        arguments = call.prepared([self.take(a) for a in arrays])
        run = self.pull(call.function, arguments, by, call.out.to(self.take(g)))
        return Subject(run, lambda: [self.give(call.layout(i).back(d)) for i, d in zip(by, _several(run()))])


def _several(result: Any) -> Sequence[Any]:
    return result if isinstance(result, (tuple, list)) else (result,)


class _NumPy(_Library):
    pass


class _Kcore(_Library):
    def take(self, array: np.ndarray) -> Any:
        return ops.convert_to_tensor(array)

    def pull(self, function: Callable, arguments: list[Any], by: Sequence[int], g: Any) -> Callable[[], Any]:
        _, back = kcore_package.vjp(lambda *xs: function(*_with(arguments, by, xs)), *(arguments[i] for i in by))
        return lambda: back(g)


class _Torch(_Library):
    def take(self, array: np.ndarray) -> Any:
        return torch.from_numpy(array)

    def give(self, array: Any) -> np.ndarray:
        return array.detach().numpy()

    def timed(self, function: Callable, arguments: list[Any]) -> Callable[[], Any]:
        def run() -> Any:
            with torch.inference_mode():
                return function(*arguments)

        return run

    def pull(self, function: Callable, arguments: list[Any], by: Sequence[int], g: Any) -> Callable[[], Any]:
        leaves = [arguments[i].detach().requires_grad_() for i in by]
        y = _several(function(*_with(arguments, by, leaves)))[0]
        return lambda: torch.autograd.grad(y, leaves, g, retain_graph=True)


class _Jax(_Library):
    def take(self, array: np.ndarray) -> Any:
        return jnp.asarray(array)

    def timed(self, function: Callable, arguments: list[Any]) -> Callable[[], Any]:
        compiled = jax.jit(function)
        return lambda: jax.block_until_ready(compiled(*arguments))

    def pull(self, function: Callable, arguments: list[Any], by: Sequence[int], g: Any) -> Callable[[], Any]:
        def forward(*arguments: Any) -> Any:
            def varied(*xs: Any) -> Any:
                return _several(function(*_with(arguments, by, xs)))[0]

            return jax.vjp(varied, *(arguments[i] for i in by))

        # The function that pulls back is a tree of what forward kept: an argument as any other.
        _, kept = jax.jit(forward)(*arguments)
        return self.timed(lambda back, g: back(g), [kept, g])


def _with(arguments: Sequence[Any], places: Sequence[int], values: Sequence[Any]) -> list[Any]:
    """The arguments, with those at `places` replaced."""
    replaced = dict(zip(places, values))
    return [replaced.get(i, a) for i, a in enumerate(arguments)]


LIBRARIES: dict[str, _Library] = {"kcore": _Kcore(), "numpy": _NumPy(), "torch": _Torch(), "jax": _Jax()}

Inputs = Callable[[np.random.Generator], Sequence[np.ndarray]]
Builders = dict[str, Callable[[], Subject]]


def _library(peer: str) -> _Library:
    return LIBRARIES[peer.partition(" ")[0]]


def _calls(functions: Mapping[str, Callable | Call | None]) -> dict[str, Call]:
    return {p: f if isinstance(f, Call) else Call(f) for p, f in functions.items() if f is not None}


def forward(inputs: Inputs, **functions: Callable | Call | None) -> Builders:
    """A builder for each library's function of the same arrays."""

    def build(peer: str, call: Call) -> Subject:
        return _library(peer).forward(call, inputs(np.random.default_rng(0)))

    return {p: lambda p=p, c=c: build(p, c) for p, c in _calls(functions).items()}


def backward(inputs: Inputs, by: Sequence[int] = (0,), **functions: Callable | Call | None) -> Builders:
    """A builder for each library's gradient by the arguments `by`: backward alone, with what forward kept."""

    def build(peer: str, call: Call) -> Subject:
        *arrays, g = inputs(np.random.default_rng(0))
        return _library(peer).backward(call, arrays, by, g)

    return {p: lambda p=p, c=c: build(p, c) for p, c in _calls(functions).items()}


def in_onnxruntime(file: bytes, feeds: Mapping[str, np.ndarray], back: Callable[[Any], Any] = AS_IS.back) -> Subject:
    """An ONNX file run on those inputs; `back` gives the first result the layout that NumPy has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return Subject(lambda: session.run(None, feeds), lambda: [back(session.run(None, feeds)[0])])


def normal(*shapes: tuple[int, ...], scale: float = 1.0) -> Inputs:
    """Inputs drawn from the normal distribution."""

    def draw(rng: np.random.Generator) -> list[np.ndarray]:
        return [_aligned(rng.standard_normal(shape, "float32") * np.float32(scale)) for shape in shapes]

    return draw


def _aligned(x: np.ndarray) -> np.ndarray:
    """A copy on cache lines, as results of every library lie, where NumPy's allocator has it in a quarter of cases."""
    room = np.empty(x.nbytes + 64, "uint8")
    start = -room.ctypes.data % 64
    placed = room[start : start + x.nbytes].view(x.dtype).reshape(x.shape)
    placed[...] = x
    return placed
