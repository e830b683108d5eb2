"""Records of the ops that sample images at other places."""

from __future__ import annotations

import functools

import numpy as np
import scipy.ndimage

from kcore import ops
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.samples import FIRST, FLOATS, PRECISE, arrays, draw, whole

WEIGHED = {"float32": 3e-6, "float64": 5e-15, "float16": 4e-3, "bfloat16": 3e-2}


def in_dtype_of(images, y, round=np.rint):
    """Integers rounded and kept in range, as their dtype."""
    if images.dtype.kind == "b":
        return y != 0
    if images.dtype.kind not in "iu":
        return y
    limits = np.iinfo(images.dtype)
    return np.clip(round(y), limits.min, limits.max).astype(images.dtype)


def half_away(y):
    return np.sign(y) * np.floor(np.abs(y) + 0.5)


def on_last(formula):
    """A formula on batches of channels-last images, for one image and for channels-first too."""

    @functools.wraps(formula)
    def whole_formula(images, *args, data_format="channels_last", **arguments):
        x = images if data_format == "channels_last" else np.moveaxis(images, -3, -1)
        y = formula(x, *args, **arguments) if x.ndim == 4 else formula(x[None], *args, **arguments)[0]
        return y if data_format == "channels_last" else np.moveaxis(y, -1, -3)

    return whole_formula


# -- resize -----------------------------------------------------------------------------


def sinc(x):
    return 1.0 if x == 0 else np.sin(np.pi * x) / (np.pi * x)


def filter_at(method, x):
    x = abs(x)
    if method in ("bilinear", "linear"):
        return max(1 - x, 0)
    if method in ("bicubic", "cubic"):
        if x < 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0
    radius = int(method[-1])
    return sinc(x) * sinc(x / radius) if x < radius else 0


def filtered(x, axis, place, spread, method):
    """The weighed mean of the pixels around a place on an axis; 0 outside."""
    n = x.shape[axis]
    if not -0.5 <= place <= n - 0.5:
        return np.zeros(np.delete(x.shape, axis))
    weights = np.array([filter_at(method, (place - j) / spread) for j in range(n)])
    return np.tensordot(x, weights / weights.sum(), (axis, 0))


def resized(x, axis, out, method, antialias):
    n = x.shape[axis]
    if n == out:
        return x
    step = n / out
    rows = []
    for i in range(out):
        if method == "nearest":
            rows.append(np.take(x, int((i + 0.5) * step), axis))
        elif method == "area":
            edges = [min(max(i * step, j), (i + 1) * step) for j in range(n + 1)]
            rows.append(np.tensordot(x, np.diff(edges) / step, (axis, 0)))
        else:
            rows.append(filtered(x, axis, (i + 0.5) * step - 0.5, max(step, 1) if antialias else 1, method))
    return np.stack(rows, axis)


@on_last
def resize(
    x,
    size,
    interpolation="bilinear",
    antialias=False,
    crop_to_aspect_ratio=False,
    pad_to_aspect_ratio=False,
    fill_value=0.0,
):
    height, width = x.shape[1:3]
    ratio = size[1] / size[0]
    if crop_to_aspect_ratio:
        h, w = max(min(height, int(width / ratio)), 1), max(min(width, int(height * ratio)), 1)
        top, left = (height - h) // 2, (width - w) // 2
        x = x[:, top : top + h, left : left + w]
    if pad_to_aspect_ratio:
        h, w = max(height, int(width / ratio)), max(width, int(height * ratio))
        top, left = (h - height) // 2, (w - width) // 2
        pads = ((0, 0), (top, h - height - top), (left, w - width - left), (0, 0))
        x = np.pad(x, pads, constant_values=fill_value)
    y = x
    for axis, out in ((1, size[0]), (2, size[1])):
        y = resized(y, axis, out, interpolation, antialias)
    return y if interpolation == "nearest" else in_dtype_of(x, y)


METHODS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5", "area")
# Integers come near halves, where a last digit decides the rounding: they have samples of their own.
SMALLER_AND_LARGER = [Sample(draw(2, 7, 5, 3), (3, 8), method, dtypes=FLOATS) for method in METHODS]
WITH_ANTIALIAS = [Sample(draw(1, 9, 7, 2), (4, 3), method, antialias=True, dtypes=FLOATS) for method in METHODS]

Case(
    ops.image.resize,
    reference=resize,
    samples=[
        Sample(draw(2, 7, 5, 3), (9, 4), "nearest", why="any dtype"),
        *SMALLER_AND_LARGER,
        *WITH_ANTIALIAS,
        Sample(draw(5, 7, 3), (4, 4), dtypes=FLOATS, why="one image"),
        Sample(draw(2, 3, 5, 7), (8, 4), "bicubic", **FIRST, dtypes=FLOATS),
        Sample(draw(3, 5, 7), (8, 4), "nearest", **FIRST),
        Sample(draw(1, 5, 7, 1), (5, 7), dtypes=FLOATS, why="nothing to do"),
        Sample(draw(1, 5, 7, 1), (1, 1), "lanczos3", antialias=True, dtypes=FLOATS),
        Sample(draw(1, 1, 1, 2), (3, 2), "bicubic", dtypes=FLOATS, why="one pixel"),
        Sample(draw(0, 5, 7, 2), (3, 2), dtypes=FLOATS, why="no images"),
        Sample(draw(1, 6, 4, 2), (3, 3), crop_to_aspect_ratio=True, dtypes=FLOATS),
        Sample(draw(1, 4, 9, 2), (8, 12), "nearest", crop_to_aspect_ratio=True),
        Sample(draw(1, 9, 4, 2), (2, 5), "area", crop_to_aspect_ratio=True, dtypes=FLOATS),
        Sample(draw(1, 6, 4, 2), (3, 3), pad_to_aspect_ratio=True, fill_value=-1.0, dtypes=FLOATS),
        Sample(draw(1, 2, 4, 9), (8, 12), "nearest", pad_to_aspect_ratio=True, **FIRST),
        Sample(
            np.array([0.0, 1.0]).reshape(1, 1, 2, 1),
            (1, 4),
            expect=np.array([0, 0.25, 0.75, 1]).reshape(1, 1, 4, 1),
            why="pixels are at their middles",
        ),
        Sample(
            np.array([1.0, 3.0, 5.0, 9.0]).reshape(1, 1, 4, 1),
            (1, 2),
            "area",
            expect=np.array([2.0, 7.0]).reshape(1, 1, 2, 1),
        ),
        Sample(
            np.array([0, 255, 0, 255, 255], "uint8").reshape(1, 1, 5, 1),
            (1, 9),
            "bicubic",
            why="what overshoots stays in the dtype's range",
        ),
        Sample(whole(2, 5, 6, 3, low=-100, high=100), (3, 7), "lanczos3", why="integers are rounded"),
    ],
    errors=[
        Bad(np.ones((5, 5)), (3, 3), match=r"should have 3 to 4 dimensions"),
        Bad(np.ones((5, 5, 1)), (3,), match=r"size=\(3,\) should be \(height, width\)"),
        Bad(np.ones((5, 5, 1)), (0, 3), match=r"size=\(0, 3\)"),
        Bad(np.ones((5, 5, 1)), (3, 3), interpolation="best", match=r"interpolation='best'"),
        Bad(np.ones((5, 5, 1)), (3, 3), fill_mode="reflect", match=r"fill_mode='reflect'"),
        Bad(np.ones((5, 0, 1)), (3, 3), match=r"have no pixels"),
        Bad(
            np.ones((5, 5, 1)), (3, 3), crop_to_aspect_ratio=True, pad_to_aspect_ratio=True, match=r"can't both be True"
        ),
    ],
    tol=WEIGHED,
)

# -- scale_and_translate ----------------------------------------------------------------


def scale_and_translate(x, output_shape, scale, translation, spatial_dims, method, antialias=True):
    for axis, s, t in zip(spatial_dims, scale, translation, strict=True):
        places = [(i + 0.5 - t) / s - 0.5 for i in range(output_shape[axis])]
        x = np.stack([filtered(x, axis, p, max(1 / s, 1) if antialias else 1, method) for p in places], axis)
    return x


SCALE, SHIFT = np.array([0.57, 1.69]), np.array([0.43, -1.31])

Case(
    ops.image.scale_and_translate,
    reference=scale_and_translate,
    samples=[
        *(
            Sample(draw(2, 7, 5, 3), (2, 6, 9, 3), SCALE, SHIFT, (1, 2), method)
            for method in ("linear", "cubic", "lanczos3", "lanczos5")
        ),
        Sample(draw(2, 7, 5, 3), (2, 6, 9, 3), SCALE, SHIFT, (1, 2), "linear", antialias=False),
        Sample(draw(7, 5), (9, 5), SCALE[:1], SHIFT[:1], (0,), "cubic"),
        Sample(draw(7, 5), (7, 8), SCALE[1:], SHIFT[1:], (-1,), "linear", why="an axis from the end"),
    ],
    errors=[
        Bad(
            np.ones((7, 5)), (9, 6), np.ones(1), np.ones(1), (0,), "linear", match=r"differs from \(7, 5\) along axis 1"
        ),
        Bad(np.ones((7, 5)), (9,), np.ones(1), np.ones(1), (0,), "linear", match=r"should have 2 sizes"),
        Bad(np.ones((7, 5)), (9, 5), np.ones(2), np.ones(1), (0,), "linear", match=r"scale should have shape \(1,\)"),
        Bad(np.ones((7, 5)), (9, 5), np.ones(1), np.ones(1), (0,), "nearest", match=r"method='nearest'"),
        Bad(np.ones((7, 5)), (9, 5), np.ones(2), np.ones(2), (0, 0), "linear", match=r"names an axis twice"),
    ],
    tol={"float32": 1e-5, "float64": 2e-14, "float16": 4e-3, "bfloat16": 3e-2},
)

# -- looking up coordinates -------------------------------------------------------------

SCIPY_MODES = {
    "constant": "grid-constant",
    "nearest": "nearest",
    "wrap": "grid-wrap",
    "mirror": "mirror",
    "reflect": "reflect",
}
FILL_MODES = tuple(SCIPY_MODES)


def looked_up(x, coordinates, order, fill_mode="constant", fill_value=0):
    if order == 0:
        coordinates = half_away(coordinates)
    return scipy.ndimage.map_coordinates(
        x.astype("float64"), coordinates, order=order, mode=SCIPY_MODES[fill_mode], cval=fill_value
    )


def map_coordinates(x, coordinates, order, fill_mode="constant", fill_value=0):
    y = looked_up(x, coordinates, order, fill_mode, fill_value)
    return in_dtype_of(x, y, half_away)


AROUND = draw(2, 4, 6, low=-9, high=12)

Case(
    ops.image.map_coordinates,
    reference=map_coordinates,
    samples=[
        *(Sample(draw(5, 4), AROUND, order, mode, fill_value=0.75) for order in (0, 1) for mode in FILL_MODES),
        Sample(draw(7), draw(1, 9, low=-3, high=9), 1, "mirror"),
        Sample(draw(3, 4, 5), draw(3, 7, low=-1, high=5), 1, "reflect"),
        Sample(draw(1, 4), draw(2, 5, low=-3, high=4), 1, "mirror", why="an axis of one element is all mirror images"),
        Sample(draw(1, 4), draw(2, 5, low=-3, high=4), 1, "reflect"),
        arrays(
            [10.0, 20, 30],
            [[-0.5, 0.5, 1.5, 2.5]],
            0,
            expect=[0.0, 20, 30, 0],
            grad=False,
            why="halves go away from zero",
        ),
        arrays([10.0, 20, 30], [[-0.5, 2.25]], 1, fill_value=4.0, expect=[7.0, 23.5], why="blends into the fill"),
        Sample(whole(5, 4), draw(2, 7, low=-1, high=4), 1, grad=False, why="integers are rounded"),
    ],
    errors=[
        Bad(np.ones((3, 4)), np.ones((3, 5)), 1, match=r"coordinates should have shape \(2, ...\).*not \(3, 5\)"),
        Bad(np.ones((3, 4)), np.ones((2, 5)), 2, match=r"order=2"),
        Bad(np.ones((3, 4)), np.ones((2, 5)), 1, "edge", match=r"fill_mode='edge'"),
        Bad(np.ones((3, 0)), np.ones((2, 5)), 1, match=r"nothing to look up"),
    ],
    tol={"float32": 2e-5, "float64": 2e-14, "float16": 4e-3, "bfloat16": 3e-2},
)


def warped(x, matrices, interpolation, fill_mode, fill_value):
    """Each image, looked up where its 3 x 3 matrix takes (column, row, 1)."""
    order = ("nearest", "bilinear").index(interpolation)
    row, column = np.indices(x.shape[1:3])
    grid = np.stack([column, row, np.ones_like(row)]).astype("float64")
    y = np.empty(x.shape)
    for n, matrix in enumerate(np.broadcast_to(matrices, (x.shape[0], 3, 3))):
        u, v, k = np.einsum("ij,jhw->ihw", matrix, grid)
        for c in range(x.shape[-1]):
            y[n, ..., c] = looked_up(x[n, ..., c], np.stack([v / k, u / k]), order, fill_mode, fill_value)
    return in_dtype_of(x, y, half_away)


@on_last
def affine_transform(x, transform, interpolation="bilinear", fill_mode="constant", fill_value=0):
    rows = np.reshape(transform, (-1, 8)).astype("float64")
    matrices = np.concatenate([rows, np.ones((len(rows), 1))], 1).reshape(-1, 3, 3)
    return warped(x, matrices, interpolation, fill_mode, fill_value)


TURNED = np.array([0.913, -0.317, 0.457, 0.353, 1.127, -0.649, 0.0, 0.0])
TURNS = np.stack([TURNED, np.array([0.713, 0.117, -2.059, 0.307, 1.223, 0.151, 0.021, -0.033])])
CLOSE = {"float32": 2e-5, "float64": 5e-14, "float16": 4e-3, "bfloat16": 3e-2}

Case(
    ops.image.affine_transform,
    reference=affine_transform,
    samples=[
        *(Sample(draw(2, 5, 6, 3), TURNED, how, mode) for how in ("nearest", "bilinear") for mode in FILL_MODES),
        Sample(draw(2, 5, 6, 3), TURNS, fill_value=0.5, why="one transform each, one of them projective"),
        Sample(draw(2, 3, 5, 4), TURNS, "bilinear", "reflect", **FIRST),
        Sample(draw(5, 6, 2), TURNED, why="one image"),
        Sample(draw(5, 6, 2), TURNS[:1], why="one image, a batch of one transform"),
        arrays(draw(1, 4, 5, 2), [1.0, 0, 0, 0, 1, 0, 0, 0], grad=False, expect=draw(1, 4, 5, 2), why="nothing moves"),
        Sample(whole(1, 4, 5, 2, high=200, dtype="uint8"), TURNED, grad=False, why="integers are rounded"),
    ],
    errors=[
        Bad(np.ones((2, 4, 5, 3)), np.ones(7), match=r"transform should have shape \(8,\)"),
        Bad(np.ones((2, 4, 5, 3)), np.ones((3, 8)), match=r"one for each image, not \(3, 8\)"),
        Bad(np.ones((4, 5)), np.ones(8), match=r"3 to 4 dimensions"),
        Bad(np.ones((4, 5, 1)), np.ones(8), "cubic", match=r"interpolation='cubic'"),
    ],
    tol=CLOSE,
)


@on_last
def perspective_transform(x, start_points, end_points, interpolation="bilinear", fill_value=0):
    starts, ends = np.reshape(start_points, (-1, 4, 2)), np.reshape(end_points, (-1, 4, 2))
    count = max(len(starts), len(ends))
    matrices = []
    for start, end in zip(np.broadcast_to(starts, (count, 4, 2)), np.broadcast_to(ends, (count, 4, 2)), strict=True):
        equations, wanted = [], []
        for (u, v), (x_, y_) in zip(start, end, strict=True):
            equations += [[x_, y_, 1, 0, 0, 0, -u * x_, -u * y_], [0, 0, 0, x_, y_, 1, -v * x_, -v * y_]]
            wanted += [u, v]
        matrices.append(np.append(np.linalg.solve(equations, wanted), 1).reshape(3, 3))
    return warped(x, np.array(matrices), interpolation, "constant", fill_value)


CORNERS = np.array([[0.0, 0.0], [5.0, 0.0], [0.0, 4.0], [5.0, 4.0]])
MOVED = CORNERS + np.array([[0.35, 0.2], [-0.4, 0.6], [0.3, -0.7], [-0.15, 0.1]])
MOVED_TWICE = np.stack([MOVED, CORNERS + np.array([[-0.3, 0.4], [0.45, -0.2], [0.1, 0.7], [0.25, -0.35]])])

Case(
    ops.image.perspective_transform,
    reference=perspective_transform,
    samples=[
        Sample(draw(2, 5, 6, 3), CORNERS, MOVED),
        Sample(draw(2, 5, 6, 3), CORNERS, MOVED, "nearest"),
        Sample(draw(2, 5, 6, 3), np.stack([CORNERS] * 2), MOVED_TWICE, fill_value=0.5),
        Sample(draw(2, 3, 5, 6), CORNERS, MOVED_TWICE, **FIRST),
        Sample(draw(5, 6, 1), MOVED, CORNERS, why="one image"),
        Sample(whole(1, 5, 6, 2, high=200, dtype="uint8"), CORNERS, MOVED, grad=False, why="integers are rounded"),
    ],
    errors=[
        Bad(np.ones((2, 4, 5, 3)), np.ones((3, 2)), np.ones((4, 2)), match=r"start_points should have shape \(4, 2\)"),
        Bad(np.ones((2, 4, 5, 3)), np.ones((4, 2)), np.ones((3, 4, 2)), match=r"end_points should have shape"),
    ],
    tol={"float32": 2e-4, "float64": 2e-13, "float16": 8e-2, "bfloat16": 3e-1},
    dtypes=PRECISE,
)

Case(
    ops.image.elastic_transform,
    # Where pixels go is random; where nothing can tell, the images stay as they are.
    reference=lambda images, *args, **arguments: images,
    samples=[
        Sample(draw(2, 5, 6, 3), alpha=0.0, seed=1, why="no shift"),
        Sample(draw(5, 6, 3), 0.0, 2.0, "nearest", seed=1, why="one image"),
        Sample(draw(2, 3, 5, 6), alpha=0.0, seed=1, fill_mode="constant", **FIRST),
        Sample(np.full((2, 5, 6, 1), 0.7), alpha=9.0, sigma=1.0, seed=3, grad=False, why="all pixels alike"),
    ],
    errors=[
        Bad(np.ones((4, 5, 1)), sigma=0, match=r"sigma=0"),
        Bad(np.ones((4, 5, 1)), fill_mode="edge", match=r"fill_mode='edge'"),
    ],
    tol=CLOSE,
)
