"""Disagreements of Keras's backends, each as one expression: `python findings.py > ../../docs/findings.md`.

Every expression is run on each backend in a process of its own, by public functions alone; one that all of them answer alike
is left out. They were found by `disagreements.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings

BACKENDS = ("jax", "torch", "tensorflow")

# (expression, the right answer, why)
SILENT = [
    (
        "ops.average_pool(np.arange(8, dtype='float32').reshape(1, 8, 1), 3, 2, padding='same')[0, :, 0]",
        "[1, 3, 5, 6.5]",
        "the last window has two elements, 6 and 7; the edge is not counted twice",
    ),
    (
        "ops.rot90(np.array([[1, 2, 3], [4, 5, 6]]), k=2)",
        "[[6, 5, 4], [3, 2, 1]]",
        "two quarter turns reverse both axes",
    ),
    ("ops.threshold(np.array([nan], 'float32'), 0.5, 7.0)", "[nan]", "a nan in is a nan out"),
    ("ops.hard_shrink(np.array([nan], 'float32'))", "[nan]", "a nan in is a nan out"),
    ("ops.soft_shrink(np.array([nan], 'float32'))", "[nan]", "a nan in is a nan out"),
    ("ops.sign(np.array([nan], 'float32'))", "[nan]", "a nan in is a nan out"),
    (
        "ops.saturate_cast(np.array([nan, 1e20], 'float32'), 'int32')",
        "[0, 2147483647]",
        "nan has no nearest integer: 0, as the same cast of JAX; and saturating is what the op is for",
    ),
    ("ops.squeeze(np.ones((1, 3), 'float32'), axis=()).shape", "(1, 3)", "no axis is named, so none goes"),
    ("ops.std(np.ones((2, 3), 'float32'), axis=()).shape", "(2, 3)", "no axis is named, so none is folded"),
    ("ops.slice(np.arange(12).reshape(3, 4), (1, 1), (-1, 2)).shape", "(2, 2)", "-1 is the rest of the axis"),
    ("ops.slice_update(np.zeros(3, 'float32'), (-1,), np.ones(1, 'float32'))", "[0, 0, 1]", "-1 counts from the end"),
    ("ops.vstack([np.ones(3, 'float32'), np.ones(3, 'float32')]).shape", "(2, 3)", "vectors are rows"),
    ("len(ops.nonzero(np.array([[0, 1], [1, 0]])))", "2", "one array of indices for each axis"),
    (
        "ops.full((2, 3), np.array([[1.0], [2.0]], 'float32')).shape",
        "(2, 3)",
        "the value is broadcast to the shape that was asked for",
    ),
    ("ops.pad(np.ones((2, 3), 'float32'), (1, 2)).shape", "(5, 6)", "one pair is for every axis"),
    (
        "ops.linspace(0, -10, num=4, dtype='int32')",
        "[0, -4, -7, -10]",
        "rounded down, as NumPy does; torch rounds towards 0",
    ),
    (
        "ops.linspace(np.array([1.0, 2.0], 'float32'), np.array([3.0, 4.0], 'float32'), num=1)",
        "[[1, 2]]",
        "one number is the start",
    ),
    (
        "ops.einsum('ba', np.ones((3, 4), 'float32')).shape",
        "(4, 3)",
        "without an output, the axes are in alphabetical order",
    ),
    (
        "ops.clip(np.array([0.5], 'float32'), 2.0, 1.0)",
        "[1]",
        "where the bounds cross, the upper one wins, as in NumPy",
    ),
    ("ops.hypot(np.array([inf], 'float32'), np.array([nan], 'float32'))", "[inf]", "IEEE 754: whatever the other is"),
    ("ops.isclose(np.array([inf], 'float32'), np.array([inf], 'float32'))", "[True]", "equal infinities are close"),
    ("ops.floor_divide(np.array([inf], 'float32'), np.array([1.0], 'float32'))", "[nan]", "as in NumPy and Python"),
    ("ops.heaviside(np.array([nan], 'float32'), np.array([1.0], 'float32'))", "[nan]", "a nan in is a nan out"),
    ("ops.angle(np.array([nan], 'float32'))", "[nan]", "a nan in is a nan out"),
    ("ops.argmax(np.array([1.0, nan, 3.0], 'float32'))", "1", "the first nan, as in NumPy"),
    ("ops.argmin(np.array([1.0, nan, 0.0], 'float32'))", "1", "the first nan, as in NumPy"),
    ("ops.argmax(np.array([-0.0, 0.0], 'float32'))", "0", "-0 equals 0, and the first of ties counts"),
    ("ops.sort(np.array([nan, 0.0, 1.0], 'float32'))", "[0, 1, nan]", "nan is last"),
    ("ops.argsort(np.array([nan, 1.0, 0.0], 'float32'))", "[2, 1, 0]", "nan is last"),
    (
        "ops.top_k(np.array([1.0, 3.0, 3.0, 2.0, 3.0], 'float32'), 3)[1]",
        "[1, 2, 4]",
        "equals in their order, as the other backends have them",
    ),
    (
        "ops.searchsorted(np.array([1.0, 2.0, nan], 'float32'), np.array([nan], 'float32'), side='left')",
        "[2]",
        "before the first nan",
    ),
    (
        "ops.digitize(np.array([0.0, 1.0, 2.0], 'float32'), np.array([2.0, 1.0, 0.0], 'float32'))",
        "[2, 1, 0]",
        "edges may descend, as in NumPy",
    ),
    ("ops.in_top_k(np.array([4]), np.array([[0.1, 0.2, 0.3]], 'float32'), k=3)", "[False]", "there is no class 4"),
    (
        "ops.one_hot(np.array([3], 'uint8'), 300)[0, 259]",
        "0",
        "300 classes do not fit uint8, and class 3 is class 3 alone",
    ),
    ("ops.unravel_index(np.array([5]), (2, 3))", "[1], [2]", "element 5 of 6"),
    ("ops.unravel_index(np.array([255], 'uint8'), (2, 300))", "[0], [255]", "300 does not fit uint8"),
    (
        "ops.moments(np.array([[1e4], [1e4 + 1], [1e4 + 2], [1e4 + 3]], 'float32'), axes=0)[1]",
        "[1.25]",
        "the mean is subtracted first; E[x^2] - E[x]^2 cancels",
    ),
    (
        "ops.ldexp(np.array([2.0**-100], 'float32'), np.array([200]))",
        "[1.2676506e+30]",
        "2**200 alone overflows, the result does not",
    ),
    (
        "ops.histogram(np.array([2.0, 2.0], 'float32'), bins=2)[1]",
        "[1.5, 2, 2.5]",
        "a range of no width is widened by a half to either side",
    ),
    (
        "ops.segment_max(np.zeros((0, 1), 'float32'), np.zeros(0, 'int32'), num_segments=1)",
        "[[-inf]]",
        "the maximum of nothing",
    ),
    ("ops.nancumsum(np.array([nan, inf], 'float32'))", "[0, inf]", "only nan is passed over"),
    (
        "ops.sparse_categorical_crossentropy(np.array([2]), np.array([[1.0, 2.0, 1.0]], 'float32'))",
        "[1.3862944]",
        "-log(1/4): probabilities are normalized first",
    ),
    (
        "ops.lu_factor(np.array([[0.0, 1.0], [1.0, 0.0]], 'float32'))[1]",
        "[1, 1]",
        "LAPACK's pivots: row i was exchanged with row p[i]",
    ),
    ("ops.median(np.float32(1.0), keepdims=True).shape", "()", "a scalar has no axis to keep"),
    ("ops.ptp(np.array([1.0, 3.0], 'float32'), keepdims=True).shape", "(1,)", "keepdims keeps them"),
    (
        "ops.average(np.ones((3, 4), 'float32'), weights=np.ones((3, 4), 'float32')).shape",
        "()",
        "without an axis, over all",
    ),
    (
        "ops.correlate(np.array([1.0, 2.0], 'float32'), np.array([0.0, 1.0], 'float32'), mode='valid').shape",
        "(1,)",
        "one shift is an array of one",
    ),
    (
        "ops.cholesky(np.array([[4.0, 1.0], [3.0, 5.0]], 'float32'))[1, 0]",
        "one of the two",
        "the lower triangle alone, or the symmetric part: a matter of definition, but of one",
    ),
    (
        "ops.depth_to_space(np.arange(8, dtype='float32').reshape(1, 8, 1, 1), 2, data_format='channels_first')[0, 1]",
        "one of the two",
        "channels in the order (i, j, c) of the block, or (c, i, j): a matter of definition, but of one",
    ),
    ("ops.get_item(np.arange(6).reshape(3, 2), [0, 2, 0])", "[[0, 1], [4, 5], [0, 1]]", "a list picks rows"),
    ("ops.unique(np.array([nan, 1.0, 0.0], 'float32'))", "[0, 1, nan]", "nan is last"),
    (
        "ops.ctc_loss(np.array([[2, 2]]), np.zeros((1, 3, 3), 'float32')[:, :2], np.array([2]), np.array([2]))",
        "[inf]",
        "two steps cannot hold two equal labels and the blank between",
    ),
    (
        "ops.depthwise_conv(np.zeros((0, 5, 6, 3), 'float32'), np.ones((3, 2, 3, 2), 'float32')).shape",
        "(0, 3, 5, 6)",
        "no images, of the usual size",
    ),
]
RAISING = [
    ("ops.roll(np.arange(6).reshape(2, 3), 1, axis=(0, 1))", "one shift is for both axes"),
    ("ops.arange(3, 0)", "there is nothing on the way"),
    ("ops.imag(np.array([1.0], 'float32'))", "the imaginary part of a real is 0"),
    ("ops.vdot(np.ones((2, 3), 'float32'), np.ones((2, 3), 'float32'))", "the arrays are flattened: 6"),
    ("ops.dot(np.ones((2, 3, 4), 'float32'), np.ones((5, 4, 2), 'float32')).shape", "the axes are kept, not paired: (2, 3, 5, 2)"),
    ("ops.cross(np.array([1.0, 0.0], 'float32'), np.array([0.0, 1.0], 'float32'))", "vectors of two have a cross product, 1"),
    ("ops.norm(np.ones((2, 3, 4), 'float32'))", "flattened: the root of 24"),
    ("ops.eye(2, 2, 5)", "a diagonal off the matrix is empty"),
    ("ops.diagonal(np.ones((2, 3)), offset=9).shape", "a diagonal off the matrix is empty"),
    ("ops.meshgrid(np.array([1.0, 2.0], 'float32'), np.array([1, 2]))[1].shape", "dtypes may differ"),
    ("ops.repeat(np.array([1, 2, 3]), [2, 0, 1])", "each its own number"),
    ("ops.vstack([np.ones((2, 3), 'float32'), np.ones(3, 'float32')]).shape", "a vector is a row: (3, 3)"),
    ("ops.one_hot(np.array([3]), 3)", "no such class: a row of zeros"),
    ("ops.average(np.ones((2, 3), 'float32'), axis=0, weights=np.ones((2, 3), 'float32'))", "a weight for each element"),
    ("ops.logsumexp(np.ones((2, 3), 'float32'), axis=()).shape", "no axis is named, so none is folded"),
    ("ops.solve(np.tile(np.eye(3, dtype='float32'), (2, 1, 1)), np.ones((2, 3), 'float32')).shape", "a batch of vectors"),
    ("ops.segment_sum(np.ones(3, 'float32'), np.array([0, 1, 5]), num_segments=2)", "an id out of range is left out"),
    ("ops.scatter_update(np.zeros((3, 2), 'float32'), np.array([[0, 1]]), 5.0)", "one update is for all indices"),
    ("ops.geomspace(np.array([1.0, 2.0], 'float32'), np.array([4.0, 8.0], 'float32'), num=3, axis=-1).shape", "the documented argument: (2, 3)"),
]  # fmt: skip


def answers() -> dict[str, str]:
    """expression -> what this process's Keras says."""
    import keras
    import numpy as np
    from keras import ops

    scope = {"np": np, "ops": ops, "keras": keras, "nan": np.nan, "inf": np.inf}
    return {e: _answer(e, scope) for e in (*(s[0] for s in SILENT), *(r[0] for r in RAISING))}


def _answer(expression: str, scope: dict) -> str:
    try:
        return _told(eval(expression, scope))
    except Exception as error:
        return f"{type(error).__name__}"


def _told(y) -> str:
    import keras
    import numpy as np

    if isinstance(y, (int, str)) or (isinstance(y, tuple) and all(isinstance(d, int) for d in y)):
        return str(tuple(y) if isinstance(y, tuple) else y)
    if isinstance(y, (list, tuple)):
        return ", ".join(_told(e) for e in y)
    if not hasattr(y, "shape"):
        return str(y).removeprefix("torch.")
    values = np.asarray(keras.ops.convert_to_numpy(y))
    return f"shape {values.shape}" if values.size > 12 else " ".join(_plain(values.tolist()).split())


def _plain(x) -> str:
    if isinstance(x, list):
        return f"[{', '.join(map(_plain, x))}]"
    return f"{x:.8g}" if isinstance(x, float) else str(x)


def main() -> None:
    said = {}
    for backend in BACKENDS:
        environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(
            [sys.executable, __file__, "--answer"], env=environment, capture_output=True, text=True, check=True
        )
        said[backend] = json.loads(done.stdout.splitlines()[-1])
    head = f"| expression | right | {' | '.join(BACKENDS)} | why |\n|---|---|{'---|' * len(BACKENDS)}---|"
    print(head)
    for expression, right, why in SILENT:
        row = [said[b][expression] for b in BACKENDS]
        if len(set(row)) > 1:
            print(f"| `{expression}` | {right} | {' | '.join(row)} | {why} |")
    print(f"\n{head.replace('| right ', '', 1).replace('---|', '', 1)}")
    for expression, why in RAISING:
        row = [said[b][expression] for b in BACKENDS]
        if len(set(row)) > 1:
            print(f"| `{expression}` | {' | '.join(row)} | {why} |")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if "--answer" in sys.argv:
        print(json.dumps(answers()))
    else:
        main()
