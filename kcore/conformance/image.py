"""Records of the other ops on images."""

from __future__ import annotations

import colorsys
import math

import numpy as np
import scipy.ndimage
from numpy import nan

from kcore import ops
from kcore.conformance.conv import padding_of, per_axis, windows_of
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.resample import in_dtype_of, on_last
from kcore.conformance.samples import FIRST, arrays, draw, whole

# -- cropping and padding ---------------------------------------------------------------


def two_of(n, before, after, target):
    """(before, after) from two of the three, for cropping; for padding the numbers are negative."""
    if before is None:
        before = n - target - after
    return before, n - target - before if after is None else after


def crop(x, top=None, left=None, bottom=None, right=None, target_height=None, target_width=None):
    (top, bottom), (left, right) = (
        two_of(x.shape[1], top, bottom, target_height),
        two_of(x.shape[2], left, right, target_width),
    )
    return x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]


def pad(x, top=None, left=None, bottom=None, right=None, target_height=None, target_width=None):
    before = [None if v is None else -v for v in (top, left)]
    after = [None if v is None else -v for v in (bottom, right)]
    targets = (target_height, target_width)
    ends = [two_of(n, b, a, t) for n, b, a, t in zip(x.shape[1:3], before, after, targets, strict=True)]
    return np.pad(x, ((0, 0), *((-b, -a) for b, a in ends), (0, 0)))


def renamed(formula, suffix):
    """The formula with top_cropping, top_padding... for top, and so on."""

    @on_last
    def named(x, *args, **arguments):
        return formula(x, *args, **{k.removesuffix(suffix): v for k, v in arguments.items()})

    return named


Case(
    ops.image.crop_images,
    reference=renamed(crop, "_cropping"),
    samples=[
        Sample(draw(2, 5, 7, 3), 1, 2, 1, 0),
        Sample(draw(2, 5, 7, 3), top_cropping=1, left_cropping=2, target_height=3, target_width=2),
        Sample(draw(2, 5, 7, 3), bottom_cropping=1, right_cropping=0, target_height=3, target_width=5),
        Sample(draw(2, 3, 5, 7), 1, 2, 1, 3, **FIRST),
        Sample(draw(5, 7, 3), 0, 0, 0, 0, why="one image, and nothing goes"),
        Sample(draw(1, 5, 7, 1), 5, 0, 0, 0, why="nothing stays"),
        Sample(whole(2, 5, 7, 3), 1, 2, 1, 0),
    ],
    errors=[
        Bad(np.ones((2, 5, 7, 3)), 1, 2, 1, match=r"exactly two of left_cropping, right_cropping, target_width"),
        Bad(np.ones((2, 5, 7, 3)), 1, 2, 1, 1, target_height=3, match=r"exactly two of top_cropping"),
        Bad(np.ones((2, 5, 7, 3)), -1, 2, 1, 1, match=r"integers of at least 0"),
        Bad(np.ones((2, 5, 7, 3)), 1, 2, target_height=5, target_width=1, match=r"only 5 pixels to crop from"),
    ],
)

Case(
    ops.image.pad_images,
    reference=renamed(pad, "_padding"),
    samples=[
        Sample(draw(2, 5, 7, 3), 1, 2, 3, 0),
        Sample(draw(2, 5, 7, 3), top_padding=1, left_padding=2, target_height=7, target_width=9),
        Sample(draw(2, 5, 7, 3), bottom_padding=1, right_padding=0, target_height=8, target_width=8),
        Sample(draw(2, 3, 5, 7), 1, 2, 1, 3, **FIRST),
        Sample(draw(5, 7, 3), 0, 1, 2, 0, why="one image"),
        Sample(whole(2, 5, 7, 3), 1, 2, 1, 0),
    ],
    errors=[
        Bad(np.ones((2, 5, 7, 3)), 1, 2, 1, match=r"exactly two of left_padding, right_padding, target_width"),
        Bad(np.ones((2, 5, 7, 3)), 1, -2, 1, 1, match=r"integers of at least 0"),
        Bad(np.ones((2, 5, 7, 3)), 1, 2, target_height=5, target_width=9, match=r"have 5 pixels already"),
    ],
)

# -- patches ----------------------------------------------------------------------------


def patches(rank):
    def formula(x, size, strides=None, dilation_rate=1, padding="valid", data_format="channels_last"):
        if data_format == "channels_first":
            y = formula(np.moveaxis(x, -rank - 1, -1), size, strides, dilation_rate, padding)
            return np.moveaxis(y, -1, -rank - 1)
        if x.ndim == rank + 1:
            return formula(x[None], size, strides, dilation_rate, padding)[0]
        size = per_axis(size, rank)
        steps, dilation = size if strides is None else per_axis(strides, rank), per_axis(dilation_rate, rank)
        seen = windows_of(x, size, steps, dilation, padding_of(x.shape[1:-1], size, steps, dilation, padding))
        seen = np.moveaxis(seen, rank + 1, -1)  # (batch, *positions, *size, channels)
        return seen.reshape(*seen.shape[: rank + 1], math.prod(seen.shape[rank + 1 :]))

    return formula


Case(
    ops.image.extract_patches,
    reference=patches(2),
    samples=[
        Sample(draw(2, 5, 7, 3), (2, 3)),
        Sample(draw(2, 4, 9, 3), (2, 3), why="windows that fill the image"),
        Sample(draw(2, 3, 4, 9), (2, 3), **FIRST, why="windows that fill the image"),
        Sample(draw(2, 5, 7, 3), 2, padding="same"),
        Sample(draw(1, 5, 7, 2), (3, 2), 1),
        Sample(draw(1, 6, 7, 2), 3, 2, padding="same"),
        Sample(draw(1, 6, 7, 2), (2, 3), (3, 1), (2, 1), padding="same"),
        Sample(draw(2, 3, 5, 7), (2, 3), strides=2, **FIRST),
        Sample(draw(5, 7, 2), 2, why="one image"),
        Sample(draw(0, 5, 7, 2), 2, why="no images"),
        Sample(whole(2, 5, 7, 3), (2, 3), padding="same"),
    ],
    errors=[
        Bad(np.ones((5, 7)), 2, match=r"3 to 4 dimensions"),
        Bad(np.ones((2, 5, 7, 3)), 6, match=r"does not fit spatial sizes \(5, 7\)"),
        Bad(np.ones((2, 5, 7, 3)), (2, 2, 2), match=r"size=\(2, 2, 2\)"),
        Bad(np.ones((2, 5, 7, 3)), 2, padding="full", match=r"padding='full'"),
    ],
)

Case(
    ops.image.extract_patches_3d,
    reference=patches(3),
    samples=[
        Sample(draw(1, 4, 5, 6, 2), (2, 3, 2)),
        Sample(draw(4, 3, 6, 2), (2, 3, 2), why="windows that fill one volume"),
        Sample(draw(2, 3, 4, 6), 2, **FIRST, grad=False),
        Sample(draw(1, 4, 5, 6, 2), 2, (1, 2, 3), padding="same"),
        Sample(draw(1, 2, 4, 5, 6), (2, 1, 3), **FIRST),
        Sample(draw(4, 5, 6, 2), 2, dilation_rate=(1, 2, 3), why="one volume"),
    ],
    errors=[
        Bad(np.ones((5, 7, 3)), 2, match=r"4 to 5 dimensions"),
        Bad(np.ones((2, 2, 5, 7, 3)), 3, match=r"does not fit spatial sizes"),
    ],
)

# -- filters ----------------------------------------------------------------------------


def bell(size, sigma):
    x = np.arange(size) - (size - 1) / 2
    y = np.exp(-(x**2) / (2 * sigma**2))
    return y / y.sum()


def along(x, weights, axis):
    """Each pixel as the weighed sum of its neighbours on an axis, zeros beyond the edges."""
    # scipy puts the middle of an even number of weights one later than "same" padding does.
    return scipy.ndimage.correlate1d(
        x.astype("float64"), weights, axis, mode="constant", origin=-(1 - len(weights) % 2)
    )


@on_last
def gaussian_blur(x, kernel_size=(3, 3), sigma=(1.0, 1.0)):
    y = along(along(x, bell(kernel_size[0], sigma[0]), 1), bell(kernel_size[1], sigma[1]), 2)
    return in_dtype_of(x, y)


NARROW = {"float32": 5e-7, "float64": 1e-15, "float16": 4e-3, "bfloat16": 3e-2}

Case(
    ops.image.gaussian_blur,
    reference=gaussian_blur,
    samples=[
        Sample(draw(2, 5, 7, 3)),
        Sample(draw(2, 5, 7, 3), (3, 5), (0.7, 2.0), why="height and width apart"),
        Sample(draw(1, 6, 5, 2), (4, 2), (1.0, 1.5), why="even sizes"),
        Sample(draw(2, 3, 5, 7), (5, 3), **FIRST),
        Sample(draw(5, 7, 2), (3, 3), (2.0, 1.0), why="one image"),
        Sample(np.ones((1, 3, 4, 1)), (1, 1), expect=np.ones((1, 3, 4, 1)), why="a window of one pixel"),
        Sample(whole(1, 5, 7, 3, high=250, dtype="uint8"), why="integers are rounded"),
    ],
    errors=[
        Bad(np.ones((1, 5, 7, 3)), (0, 3), match=r"kernel_size=\(0, 3\)"),
        Bad(np.ones((1, 5, 7, 3)), (3, 3), (1.0, 0.0), match=r"sigma=\(1.0, 0.0\)"),
        Bad(np.ones((5, 7)), match=r"3 to 4 dimensions"),
    ],
    tol=NARROW,
)


def sobel(x, data_format="channels_last"):
    @on_last
    def one(x, first, second):
        return along(along(x, np.array(first), 1), np.array(second), 2)

    slope, smooth = [-1.0, 0.0, 1.0], [1.0, 2.0, 1.0]
    return np.stack([one(x, *f, data_format=data_format) for f in ((slope, smooth), (smooth, slope))], -1)


Case(
    ops.image.sobel_edges,
    reference=sobel,
    samples=[
        Sample(draw(2, 5, 7, 3)),
        Sample(draw(2, 3, 5, 7), **FIRST),
        Sample(draw(5, 7, 2), why="one image"),
        Sample(draw(1, 1, 1, 1), expect=np.zeros((1, 1, 1, 1, 2)), why="a lone pixel has no slope"),
    ],
    errors=[Bad(np.ones((5, 7)), match=r"3 to 4 dimensions")],
    tol=NARROW,
)


def ssim(image1, image2, max_val=1.0, filter_size=11, filter_sigma=1.5, k1=0.01, k2=0.03, data_format="channels_last"):
    if data_format == "channels_first":
        image1, image2 = np.moveaxis(image1, -3, -1), np.moveaxis(image2, -3, -1)
    if image1.ndim == 3:
        return ssim(image1[None], image2[None], max_val, filter_size, filter_sigma, k1, k2)[0]
    w = np.outer(*[bell(filter_size, filter_sigma)] * 2)
    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    a, b = (
        np.lib.stride_tricks.sliding_window_view(t.astype("float64"), (filter_size,) * 2, (1, 2))
        for t in (image1, image2)
    )
    mean_a, mean_b = (np.sum(t * w, (-2, -1)) for t in (a, b))
    da, db = a - mean_a[..., None, None], b - mean_b[..., None, None]
    var_a, var_b, cov = (np.sum(t * w, (-2, -1)) for t in (da * da, db * db, da * db))
    local = (2 * mean_a * mean_b + c1) * (2 * cov + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return local.mean((1, 2, 3))


PAIR = draw(2, 13, 12, 3, low=0, high=1), draw(2, 13, 12, 3, low=0, high=1, seed=1)

Case(
    ops.image.ssim,
    reference=ssim,
    samples=[
        Sample(*PAIR),
        Sample(PAIR[0], 0.8 * PAIR[0] + 0.1 * PAIR[1], 2.0, 5, 1.0, 0.02, 0.05),
        Sample(*(t.transpose(0, 3, 1, 2) for t in PAIR), filter_size=7, **FIRST),
        Sample(PAIR[0][0], PAIR[1][0], filter_size=4, why="one image, an even window"),
        Sample(PAIR[0], PAIR[0], expect=np.ones(2), grad=False, why="an image is like itself"),
        Sample(
            np.full((1, 5, 5, 1), 1000.0),
            np.full((1, 5, 5, 1), 1000.0),
            filter_size=3,
            expect=np.ones(1),
            grad=False,
            why="E[x*x] - E[x]**2 would lose the variance",
        ),
        Sample(np.where(PAIR[0] == PAIR[0].max(), nan, PAIR[0]), PAIR[1], grad=False, why="nan, in one of the images"),
    ],
    errors=[
        Bad(np.ones((2, 12, 12, 3)), np.ones((2, 12, 12, 1)), match=r"should have one shape"),
        Bad(np.ones((2, 9, 12, 3)), np.ones((2, 9, 12, 3)), match=r"smaller than filter_size=11"),
    ],
    tol={"float32": 2e-6, "float64": 5e-15, "float16": 2e-2, "bfloat16": 1e-1},
)

# -- colours ----------------------------------------------------------------------------


@on_last
def grayscale(x):
    if x.shape[-1] == 1:
        return x
    y = x.astype("float64") @ np.array([[0.2989], [0.587], [0.114]])
    return in_dtype_of(x, y, np.trunc)


Case(
    ops.image.rgb_to_grayscale,
    reference=grayscale,
    samples=[
        Sample(draw(2, 4, 5, 3)),
        Sample(draw(2, 3, 4, 5), **FIRST),
        Sample(draw(4, 5, 3), why="one image"),
        Sample(draw(2, 4, 5, 1), why="grey already"),
        Sample(whole(2, 4, 5, 3, high=250, dtype="uint8"), why="integers lose their fraction"),
    ],
    errors=[
        Bad(np.ones((2, 4, 5, 4)), match=r"have 4 channels \(channels_last\); expected 3 or 1"),
        Bad(np.ones((4, 5)), match=r"3 to 4 dimensions"),
    ],
)


def each_pixel(convert):
    @on_last
    def formula(x):
        return np.array([convert(*p) for p in x.reshape(-1, 3)]).reshape(x.shape)

    return formula


# Red, green, blue; equal pairs, grey, black, white and a pixel of each hue.
COLOURS = np.array(
    [[0.1, 0.5, 0.3], [0.9, 0.2, 0.1], [0.2, 0.3, 0.7], [0.7, 0.25, 0.65], [0.6, 0.55, 0.1], [0.15, 0.5, 0.9]]
).reshape(1, 2, 3, 3)
EDGES = np.array(
    [[0.3, 0.3, 0.3], [0, 0, 0], [1, 1, 1], [0.2, 0.2, 0.7], [0.7, 0.2, 0.7], [1, 1, 0], [0, 0.5, 0.5], [1, 0, 0]],
    "float64",
).reshape(1, 2, 4, 3)
NO_COLOURS = [
    Bad(np.ones((2, 4, 5, 4)), match=r"have 4 channels \(channels_last\); expected 3"),
    Bad(np.ones((2, 4, 5, 3), "int32"), match=r"images should be floats, not int32"),
]

Case(
    ops.image.rgb_to_hsv,
    reference=each_pixel(colorsys.rgb_to_hsv),
    samples=[
        Sample(COLOURS),
        Sample(draw(2, 5, 4, 3, low=0, high=1)),
        Sample(draw(2, 3, 5, 4, low=0, high=1), **FIRST),
        Sample(draw(5, 4, 3, low=0, high=1), why="one image"),
        Sample(EDGES, grad=False, why="equal channels, grey, black"),
        arrays([[[nan, 0.5, 0.2]]], expect=[[[nan, nan, nan]]], grad=False, why="nan"),
    ],
    errors=NO_COLOURS,
    tol={"float32": 1e-6, "float64": 2e-15, "float16": 1e-2, "bfloat16": 8e-2},
)

Case(
    ops.image.hsv_to_rgb,
    reference=each_pixel(lambda h, s, v: colorsys.hsv_to_rgb(h % 1, s, v)),
    samples=[
        Sample(COLOURS),
        Sample(draw(2, 5, 4, 3, low=0, high=1)),
        Sample(draw(2, 3, 5, 4, low=0, high=1), **FIRST),
        Sample(draw(5, 4, 3, low=0, high=1), why="one image"),
        Sample(EDGES, grad=False, why="hues at whole sixths"),
        Sample(np.array([[-0.3, 0.8, 0.5], [1.3, 0.8, 0.5]]).reshape(1, 2, 3), why="hues go round"),
    ],
    errors=NO_COLOURS,
    tol={"float32": 2e-6, "float64": 4e-15, "float16": 1e-2, "bfloat16": 8e-2},
)
