"""Ops on half-precision floats: bfloat16 and float16."""

from __future__ import annotations

from kcore import ops

from .bench_conv import RESNET, flat, inputs
from .bench_conv import functions as convolving
from .bench_elementwise import functions as elementwise
from .bench_norms import LAYER, SOFTMAX
from .peers import Call, Layout, forward, jnp, normal, torch
from .rows import Row

TOLERANCE = {"bfloat16": 2e-2, "float16": 3e-3}  # a few units of the last place


def casting(library: str, dtype: str, layout: Layout) -> Layout:
    """`layout`, with numbers as `dtype` inside and as float32 outside."""
    if library == "kcore":
        return Layout(lambda x: layout.to(ops.cast(x, dtype)), lambda y: ops.cast(layout.back(y), "float32"))
    if library == "torch":
        return Layout(lambda x: layout.to(x.to(getattr(torch, dtype))), lambda y: layout.back(y).float())
    return Layout(lambda x: layout.to(x.astype(dtype)), lambda y: layout.back(y).astype("float32"))


def halved(functions: dict, dtype: str, count: int) -> dict:
    """Those of kcore, torch and JAX, of `count` arguments of another dtype."""
    calls = {}
    for peer, function in functions.items():
        library = peer.partition(" ")[0]
        if library == "numpy" or function is None:
            continue
        call = function if isinstance(function, Call) else Call(function)
        arguments = [casting(library, dtype, call.layout(i)) for i in range(count)]
        calls[peer] = Call(call.function, arguments, casting(library, dtype, call.out))
    return calls


MATMUL = {"kcore": ops.matmul, "torch": lambda a, b: torch.matmul(a, b), "jax": lambda a, b: jnp.matmul(a, b)}
CONVOLUTIONS = [
    flat(c) for c in RESNET if (c.size, c.channels, c.filters) in {(56, 64, 64), (14, 1024, 256)} and c.stride == 1
]


def rows():
    for dtype, tolerance in TOLERANCE.items():
        for size in (512, 1024):
            how = halved(MATMUL, dtype, 2)
            yield Row(
                f"matmul {size}x{size}x{size}, {dtype}",
                forward(normal(*[(size, size)] * 2), **how),
                tolerance=tolerance,
            )
        for form in CONVOLUTIONS:
            peers = forward(inputs(form, 1)[0], **halved(convolving(form), dtype, 2))
            yield Row(f"conv {form.name}, batch 1, {dtype}", peers, tolerance=tolerance)
        for name in ("exp", "tanh", "gelu", "add"):
            how = halved(elementwise(name)[1], dtype, 1)
            yield Row(f"{name} 1M, {dtype}", forward(normal((1_000_000,)), **how), tolerance=tolerance)
        yield Row(
            f"layer normalization 4096x768, {dtype}",
            forward(normal((4096, 768), (768,), (768,)), **halved(LAYER, dtype, 3)),
            tolerance=tolerance,
        )
        yield Row(
            f"softmax 1024x1000, {dtype}",
            forward(normal((1024, 1000)), **halved(SOFTMAX, dtype, 1)),
            tolerance=tolerance,
        )


ROWS = list(rows())


def test_half(timed):
    timed()
