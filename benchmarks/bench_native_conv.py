"""Convolutions and pools beside PyTorch, JAX and ONNX Runtime: float32, one thread.

    pytest benchmarks/bench_native_conv.py     # pytest-benchmark, one benchmark per library
    python benchmarks/bench_native_conv.py     # a table of ratios of minimums of CPU time, interleaved
    python benchmarks/bench_native_conv.py pool 56x56      # the rows that hold one of the words

A ratio is the fastest peer's time / kcore's, so above 1 kcore is faster. PyTorch gets its better
layout: channels_last, or contiguous NCHW. JAX is compiled, NHWC. ONNX Runtime, forward only, has its
weights as constants, which it packs beforehand, NCHW. kcore's forward is what `predict` calls: its
packed weights are kept, too; "fast" is the same under `numerics("fast")`.
"""

import os
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch starts its threads
os.environ.setdefault("KCORE_NUM_THREADS", os.environ["OMP_NUM_THREADS"])
if os.environ["OMP_NUM_THREADS"] == "1":
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import numpy as np
import pytest

from kcore import _native, config
from kcore.backends.reference import convolution, pooling

torch = pytest.importorskip("torch")
THREADS = int(os.environ["OMP_NUM_THREADS"])
if THREADS == 1 and __name__ == "__main__":
    # JAX computes in a thread of its own, whose CPU time is exact only where it takes turns with the main one.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

# name: size, channels in, channels out, kernel, stride, groups. ResNet50's, with the stride in either place.
LAYERS = {
    "7x7/2 224x224x3 to 64": (224, 3, 64, 7, 2, 1),
    "1x1 56x56x64 to 64": (56, 64, 64, 1, 1, 1),
    "1x1 56x56x64 to 256": (56, 64, 256, 1, 1, 1),
    "1x1 56x56x256 to 64": (56, 256, 64, 1, 1, 1),
    "3x3 56x56x64": (56, 64, 64, 3, 1, 1),
    "1x1/2 56x56x256 to 128": (56, 256, 128, 1, 2, 1),
    "1x1/2 56x56x256 to 512": (56, 256, 512, 1, 2, 1),
    "3x3/2 56x56x128": (56, 128, 128, 3, 2, 1),
    "1x1 28x28x128 to 512": (28, 128, 512, 1, 1, 1),
    "1x1 28x28x512 to 128": (28, 512, 128, 1, 1, 1),
    "3x3 28x28x128": (28, 128, 128, 3, 1, 1),
    "1x1/2 28x28x512 to 1024": (28, 512, 1024, 1, 2, 1),
    "3x3/2 28x28x256": (28, 256, 256, 3, 2, 1),
    "1x1 14x14x256 to 1024": (14, 256, 1024, 1, 1, 1),
    "1x1 14x14x1024 to 256": (14, 1024, 256, 1, 1, 1),
    "3x3 14x14x256": (14, 256, 256, 3, 1, 1),
    "1x1/2 14x14x1024 to 2048": (14, 1024, 2048, 1, 2, 1),
    "3x3/2 14x14x512": (14, 512, 512, 3, 2, 1),
    "1x1 7x7x512 to 2048": (7, 512, 2048, 1, 1, 1),
    "1x1 7x7x2048 to 512": (7, 2048, 512, 1, 1, 1),
    "3x3 7x7x512": (7, 512, 512, 3, 1, 1),
    "depthwise 112x112x32": (112, 32, 32, 3, 1, 32),
    "depthwise/2 112x112x64": (112, 64, 64, 3, 2, 64),
    "depthwise 56x56x128": (56, 128, 128, 3, 1, 128),
    "depthwise/2 56x56x128": (56, 128, 128, 3, 2, 128),
    "depthwise 28x28x256": (28, 256, 256, 3, 1, 256),
    "depthwise/2 28x28x256": (28, 256, 256, 3, 2, 256),
    "depthwise 14x14x512": (14, 512, 512, 3, 1, 512),
    "depthwise/2 14x14x512": (14, 512, 512, 3, 2, 512),
    "grouped 3x3 56x56x128 by 32": (56, 128, 128, 3, 1, 32),
    "grouped 3x3 14x14x512 by 32": (14, 512, 512, 3, 1, 32),
}
# name: size, channels, window, stride, kind
POOLS = {
    "max pool 3x3/2 112x112x64": (112, 64, 3, 2, "max"),
    "max pool 2x2/2 56x56x64": (56, 64, 2, 2, "max"),
    "avg pool 2x2/2 56x56x64": (56, 64, 2, 2, "avg"),
    "avg pool 3x3/1 28x28x192": (28, 192, 3, 1, "avg"),
    "global avg pool 7x7x2048": (7, 2048, 7, 1, "avg"),
}
FORWARD, BACKWARD = ["forward", "fast"], ["input_grad", "weight_grad"]
PEERS = ["torch channels_last", "torch nchw", "jax", "onnx"]


def call(library, what, layer, batch):
    """A function of no arguments that runs the layer once; None where the library has no such thing."""
    if layer in POOLS:
        return pool_call(library, what, layer, batch) if what != "fast" else None
    size, c, oc, k, stride, groups = LAYERS[layer]
    pad = k // 2
    out = (size + 2 * pad - k) // stride + 1
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, size, size, c), "float32")
    w = rng.standard_normal((k, k, c // groups, oc), "float32") * np.float32(0.05)
    g = rng.standard_normal((batch, out, out, oc), "float32")
    if what == "fast":
        if (k, stride, groups) != (3, 1, 1):  # it is as "forward" there
            return None
        what = "forward"
    if library == "kcore":
        return kcore_call(what, x, w, g, convolution.How((stride,) * 2, ((pad, pad),) * 2, (1, 1)))
    if library == "jax":
        return jax_call(what, x, w, g, stride, pad, groups)
    if library == "onnx":
        return onnx_call(x, w, stride, pad, groups) if what == "forward" else None
    tx, tg, tw = torch_tensors(library, x, g, w)
    if what == "forward":
        return lambda: torch.conv2d(tx, tw, stride=stride, padding=pad, groups=groups)
    mask = [what == "input_grad", what == "weight_grad", False]
    backward = torch.ops.aten.convolution_backward
    how = ([stride] * 2, [pad] * 2, [1, 1], False, [0, 0], groups, mask)
    return lambda: backward(tg, tx, tw, None, *how)


def kcore_call(what, x, w, g, how):
    return {
        "forward": lambda: convolution.conv(x, w, how),
        "input_grad": lambda: convolution.input_grad(g, w, x.shape, how),
        "weight_grad": lambda: convolution.kernel_grad(x, g, w.shape, how),
    }[what]


def torch_tensors(library, x, g, w=None):
    torch.set_num_threads(THREADS)
    layout = torch.channels_last if library == "torch channels_last" else torch.contiguous_format
    tensors = [torch.from_numpy(a).permute(0, 3, 1, 2) for a in (x, g)]
    if w is not None:
        tensors.append(torch.from_numpy(w).permute(3, 2, 0, 1))
    return [t.contiguous(memory_format=layout) for t in tensors]


def jax_call(what, x, w, g, stride, pad, groups):
    import jax

    def forward(x, w):
        return jax.lax.conv_general_dilated(
            x,
            w,
            (stride, stride),
            ((pad, pad), (pad, pad)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )

    function = {
        "forward": forward,
        "input_grad": lambda x, w, g: jax.vjp(lambda x: forward(x, w), x)[1](g)[0],
        "weight_grad": lambda x, w, g: jax.vjp(lambda w: forward(x, w), w)[1](g)[0],
    }[what]
    arguments = [jax.numpy.asarray(a) for a in ((x, w) if what == "forward" else (x, w, g))]
    compiled = jax.jit(function)
    return lambda: compiled(*arguments).block_until_ready()


def onnx_call(x, w, stride, pad, groups):
    import onnx
    import onnxruntime
    from onnx import helper, numpy_helper

    images = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    kernel = np.ascontiguousarray(w.transpose(3, 2, 0, 1))
    node = helper.make_node(
        "Conv", ["x", "w"], ["y"], strides=[stride] * 2, pads=[pad] * 4, group=groups, kernel_shape=w.shape[:2]
    )
    graph = helper.make_graph(
        [node],
        "conv",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, images.shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(kernel, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": images})


def pool_call(library, what, layer, batch):
    size, c, k, stride, kind = POOLS[layer]
    pad = 1 if k == 3 else 0
    out = (size + 2 * pad - k) // stride + 1
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, size, size, c), "float32")
    g = rng.standard_normal((batch, out, out, c), "float32")
    if what not in ("forward", "input_grad") or library in ("jax", "onnx"):
        return None
    if library == "kcore":
        bounds = pooling.Pool((k, k), (stride, stride), ((pad, pad), (pad, pad))).bounds((size, size))
        if kind == "avg":
            forward, backward = (
                lambda: pooling.mean(x, bounds),
                lambda: pooling.mean_grad(g, x.shape, bounds),
            )
        else:
            places = pooling.max_with_places(x, bounds)[1]
            forward, backward = (
                lambda: pooling.max_with_places(x, bounds),
                lambda: pooling.spread(g, places, x.shape, bounds),
            )
        return forward if what == "forward" else backward
    tx, tg = torch_tensors(library, x, g)
    aten = torch.ops.aten
    if kind == "max":
        how = ([k, k], [stride, stride], [pad, pad], [1, 1], False)
        if what == "forward":
            return lambda: aten.max_pool2d_with_indices(tx, *how)
        places = aten.max_pool2d_with_indices(tx, *how)[1]
        return lambda: aten.max_pool2d_with_indices_backward(tg, tx, *how, places)
    how = ([k, k], [stride, stride], [pad, pad], False, False, None)
    if what == "forward":
        return lambda: aten.avg_pool2d(tx, *how)
    return lambda: aten.avg_pool2d_backward(tg, tx, *how)


@pytest.mark.skipif(not _native.available, reason=str(_native.reason))
@pytest.mark.parametrize("library", ["kcore", *PEERS])
@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("what", FORWARD + BACKWARD)
@pytest.mark.parametrize("layer", [*LAYERS, *POOLS])
def test_conv(benchmark, layer, what, batch, library):
    benchmark.group = f"{layer}, {what}, batch {batch}"
    function = call(library, what, layer, batch)
    if function is None:
        pytest.skip(f"{library} has no {what} of it")
    with config.numerics_scope("fast" if what == "fast" else "standard"):
        benchmark(function)


def minimums(functions, seconds):
    """The least CPU time of each function, in turns, so that a busy moment meets them all."""
    best = dict.fromkeys(functions, float("inf"))
    for f in functions.values():
        for _ in range(3):
            f()
    clock = time.process_time if THREADS == 1 else time.perf_counter
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, f in functions.items():
            for _ in range(3):
                start = clock()
                f()
                best[name] = min(best[name], clock() - start)
    return best


def main(words):
    seconds = float(os.environ.get("SECONDS_EACH", "1.5"))
    print(f"SIMD level {_native.simd}, {THREADS} threads; ratio = the fastest peer's time / kcore's, above 1 is faster")
    for layer in [*LAYERS, *POOLS]:
        if words and not any(w in layer for w in words):
            continue
        for batch in (1, 8):
            cells = []
            for what in FORWARD + BACKWARD:
                own = call("kcore", what, layer, batch)
                if own is None:
                    continue
                peers = {name: call(name, what, layer, batch) for name in PEERS}
                with config.numerics_scope("fast" if what == "fast" else "standard"):
                    best = minimums({"kcore": own, **{k: v for k, v in peers.items() if v}}, seconds)
                fastest = min((k for k in best if k != "kcore"), key=best.get)
                ratio = best[fastest] / best["kcore"]
                cells.append(f"{what} {ratio:.2f} ({best['kcore'] * 1e3:.2f} ms, {fastest})")
            print(f"{layer:27} batch {batch}  " + "  ".join(cells), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
