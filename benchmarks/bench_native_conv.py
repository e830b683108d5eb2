"""conv2d, its input gradient and its weight gradient beside PyTorch's, float32, one thread.

    pytest benchmarks/bench_native_conv.py     # pytest-benchmark, one benchmark per library
    python benchmarks/bench_native_conv.py     # a table of ratios of minimums, interleaved

PyTorch gets its better layout: channels_last, or contiguous NCHW, whichever is faster.
"""

import os
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch starts its threads

import numpy as np
import pytest

from kcore import _native

torch = pytest.importorskip("torch")

# name: size, channels in, channels out, kernel, stride, depthwise
LAYERS = {
    "3x3 56x56x64": (56, 64, 64, 3, 1, False),
    "3x3 28x28x128": (28, 128, 128, 3, 1, False),
    "3x3 14x14x256": (14, 256, 256, 3, 1, False),
    "3x3 7x7x512": (7, 512, 512, 3, 1, False),
    "7x7 stride 2 224x224x3": (224, 3, 64, 7, 2, False),
    "3x3 stride 2 56x56x128": (56, 128, 128, 3, 2, False),
    "1x1 56x56x64 to 256": (56, 64, 256, 1, 1, False),
    "1x1 14x14x1024 to 256": (14, 1024, 256, 1, 1, False),
    "depthwise 112x112x32": (112, 32, 32, 3, 1, True),
    "depthwise 14x14x512": (14, 512, 512, 3, 1, True),
}
WHAT = ["forward", "input_grad", "weight_grad"]
LIBRARIES = ["kcore", "torch channels_last", "torch nchw"]


def call(library, what, layer, batch):
    """A function of no arguments that runs the layer once and returns its result as NHWC / HWIO."""
    size, c, oc, k, stride, depthwise = LAYERS[layer]
    groups, pad = (c, k // 2) if depthwise else (1, k // 2)
    out = (size + 2 * pad - k) // stride + 1
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, size, size, c), "float32")
    w = rng.standard_normal((k, k, c // groups, oc), "float32") * np.float32(0.05)
    g = rng.standard_normal((batch, out, out, oc), "float32")

    if library == "kcore":
        how = ((stride, stride), ((pad, pad), (pad, pad)), (1, 1), groups, 1)
        kernels = _native.kernels
        return {
            "forward": lambda: kernels.conv2d(x, w, *how),
            "input_grad": lambda: kernels.conv2d_input_grad(g, w, x.shape, *how),
            "weight_grad": lambda: kernels.conv2d_weight_grad(x, g, w.shape, *how),
        }[what]

    torch.set_num_threads(1)
    tx, tg = (torch.from_numpy(a).permute(0, 3, 1, 2) for a in (x, g))
    tw = torch.from_numpy(w).permute(3, 2, 0, 1)
    layout = torch.channels_last if library == "torch channels_last" else torch.contiguous_format
    tx, tg, tw = (t.contiguous(memory_format=layout) for t in (tx, tg, tw))
    if what == "forward":
        return lambda: torch.conv2d(tx, tw, stride=stride, padding=pad, groups=groups)
    mask = [what == "input_grad", what == "weight_grad", False]
    backward = torch.ops.aten.convolution_backward
    how = ([stride] * 2, [pad] * 2, [1, 1], False, [0, 0], groups, mask)
    return lambda: backward(tg, tx, tw, None, *how)


@pytest.mark.skipif(not _native.available, reason=str(_native.reason))
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("what", WHAT)
@pytest.mark.parametrize("layer", LAYERS)
def test_conv(benchmark, layer, what, batch, library):
    benchmark.group = f"{layer}, {what}, batch {batch}"
    benchmark(call(library, what, layer, batch))


def minimums(functions, seconds):
    """The least CPU time of each function, in turns, so that a busy moment meets them all."""
    best = dict.fromkeys(functions, float("inf"))
    for f in functions.values():
        f()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, f in functions.items():
            for _ in range(3):
                start = time.process_time()
                f()
                best[name] = min(best[name], time.process_time() - start)
    return best


def main(words):
    seconds = 1.5
    print(f"SIMD level {_native.simd}; ratio = the better torch layout's time / kcore's, above 1 is faster")
    for layer in LAYERS:
        if any(w not in layer for w in words):
            continue
        for batch in (1, 8):
            cells = []
            for what in WHAT:
                best = minimums({name: call(name, what, layer, batch) for name in LIBRARIES}, seconds)
                ratio = min(v for k, v in best.items() if k != "kcore") / best["kcore"]
                cells.append(f"{what} {ratio:.2f} ({best['kcore'] * 1e3:.2f} ms)")
            print(f"{layer:24} batch {batch}  " + "  ".join(cells), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
