"""Records of the convolutions."""

from __future__ import annotations

import functools

import numpy as np

from kcore import ops
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.samples import FIRST, draw, whole

# Sums of up to a hundred products, in any order.
SUMS = {"float32": 4e-6, "float64": 1e-14}
sum_of_products = functools.partial(Case, tol=SUMS)


def spoiled(*kernel, **more):
    """A sample with nan and inf in some of an odd number of channels."""
    x = draw(1, 6, 3)
    x[0, 2, 0], x[0, 4, 2] = np.nan, np.inf
    why = "nan and infinities reach their own windows alone"
    return Sample(x, np.ones(kernel), grad=False, dtypes=("float32", "float64", "bfloat16"), why=why, **more)


def per_axis(value, rank):
    return (value,) * rank if isinstance(value, int) else tuple(value)


def windows_of(x, size, strides, dilation, pads):
    """The windows of channels-last images: (batch, *positions, channels, *size)."""
    rank = len(size)
    x = np.pad(x, ((0, 0), *pads, (0, 0)))
    span = [(k - 1) * d + 1 for k, d in zip(size, dilation, strict=True)]
    view = np.lib.stride_tricks.sliding_window_view(x, span, axis=tuple(range(1, rank + 1)))
    moved = tuple(slice(None, None, s) for s in strides)
    apart = tuple(slice(None, None, d) for d in dilation)
    return view[(slice(None), *moved, slice(None), *apart)]


def padding_of(sizes, size, strides, dilation, padding):
    if padding == "valid":
        return [(0, 0)] * len(size)
    if padding != "same":
        return padding
    pads = []
    for n, k, s, d in zip(sizes, size, strides, dilation, strict=True):
        total = max((int(np.ceil(n / s)) - 1) * s + (k - 1) * d + 1 - n, 0)
        pads.append((total // 2, total - total // 2))
    return pads


def conv(x, kernel, strides=1, padding="valid", data_format="channels_last", dilation_rate=1):
    if data_format == "channels_first":
        return np.moveaxis(conv(np.moveaxis(x, 1, -1), kernel, strides, padding, "channels_last", dilation_rate), -1, 1)
    size, rank = kernel.shape[:-2], kernel.ndim - 2
    strides, dilation = per_axis(strides, rank), per_axis(dilation_rate, rank)
    seen = windows_of(x, size, strides, dilation, padding_of(x.shape[1:-1], size, strides, dilation, padding))
    groups = x.shape[-1] // kernel.shape[-2]
    if x.dtype.kind == "b":
        seen, kernel = seen.astype("int32"), kernel.astype("int32")
    axes = list(range(rank + 2, 2 * rank + 2))
    runs = zip(np.split(seen, groups, rank + 1), np.split(kernel, groups, -1), strict=True)
    return np.concatenate([np.tensordot(s, k, ([*axes, rank + 1], [*range(rank), rank])) for s, k in runs], -1)


def conv_transpose(
    x, kernel, strides=1, padding="valid", output_padding=None, data_format="channels_last", dilation_rate=1
):
    if data_format == "channels_first":
        y = conv_transpose(
            np.moveaxis(x, 1, -1), kernel, strides, padding, output_padding, "channels_last", dilation_rate
        )
        return np.moveaxis(y, -1, 1)
    rank = kernel.ndim - 2
    strides, dilation = per_axis(strides, rank), per_axis(dilation_rate, rank)
    sizes = x.shape[1:-1]
    extra = (None,) * rank if output_padding is None else per_axis(output_padding, rank)
    cuts, ends = [], []
    for n, k, s, d, e in zip(sizes, kernel.shape, strides, dilation, extra, strict=False):
        span = (k - 1) * d + 1
        if padding == "valid":
            end = (n - 1) * s + span + e if e is not None else n * s + max(span - s, 0)
            before = 0
        else:
            end = n * s if e is None else (n - 1) * s + span - 2 * (span // 2) + e
            before = max((n - 1) * s + span - end, 0) // 2
        cuts.append(before)
        ends.append(end)
    room = [
        max((n - 1) * s + (k - 1) * d + 1, b + e)
        for n, s, k, d, b, e in zip(sizes, strides, kernel.shape, dilation, cuts, ends, strict=False)
    ]
    full = np.zeros((x.shape[0], *room, kernel.shape[-2]), x.dtype)
    for place in np.ndindex(*sizes):
        where = tuple(
            slice(p * s, p * s + (k - 1) * d + 1, d)
            for p, s, k, d in zip(place, strides, kernel.shape, dilation, strict=False)
        )
        copies = np.tensordot(x[(slice(None), *place)], kernel, (1, kernel.ndim - 1))
        full[(slice(None), *where)] += copies
    return full[(slice(None), *(slice(b, b + e) for b, e in zip(cuts, ends, strict=True)))]


def depthwise(x, kernel, *args, **arguments):
    return conv(x, kernel.reshape(*kernel.shape[:-2], 1, -1), *args, **arguments)


def separable(x, depthwise_kernel, pointwise_kernel, **arguments):
    y = depthwise(x, depthwise_kernel, **arguments)
    return conv(y, pointwise_kernel, data_format=arguments.get("data_format", "channels_last"))


def images(*shape):
    return draw(*shape, seed=2)


sum_of_products(
    ops.conv,
    reference=conv,
    samples=[
        Sample(images(2, 7, 3), draw(3, 3, 4)),
        Sample(images(2, 7, 3), draw(2, 3, 5), padding="same", why="an even kernel pads more at the end"),
        Sample(images(2, 8, 3), draw(3, 3, 4), padding="same", strides=2, why="one zero, and it is at the end"),
        Sample(images(2, 9, 2), draw(3, 2, 4), dilation_rate=2, padding="same"),
        Sample(images(2, 11, 2), draw(3, 2, 4), dilation_rate=2, strides=2, padding="same"),
        Sample(images(3, 4, 7), draw(2, 2, 6), padding="same", **FIRST, why="two groups"),
        Sample(images(2, 7, 2), draw(3, 2, 3), padding=((2, 0),), why="causal: each position sees those before it"),
        Sample(images(2, 5, 7, 3), draw(3, 2, 3, 4)),
        Sample(images(2, 5, 7, 3), draw(3, 2, 3, 4), padding="same"),
        Sample(images(2, 6, 7, 3), draw(3, 3, 3, 4), padding="same", strides=2, why="asymmetric along one axis only"),
        Sample(images(2, 6, 9, 3), draw(3, 2, 3, 4), strides=(1, 3), padding="same"),
        Sample(images(2, 7, 5, 3), draw(1, 1, 3, 4), strides=2, padding="same", why="windows with gaps between them"),
        Sample(images(2, 9, 8, 3), draw(3, 2, 3, 2), dilation_rate=(2, 3)),
        Sample(images(1, 9, 10, 2), draw(2, 3, 2, 3), dilation_rate=2, strides=(2, 3), padding="same"),
        Sample(images(2, 5, 6, 4), draw(3, 2, 2, 6), padding="same", why="two groups"),
        Sample(
            images(1, 7, 6, 6), draw(3, 2, 2, 3), strides=2, dilation_rate=(2, 1), why="three groups, strided, dilated"
        ),
        Sample(images(2, 5, 6, 3), draw(3, 2, 1, 6), padding="same", why="as many groups as channels"),
        Sample(images(2, 3, 5, 6), draw(3, 2, 3, 4), padding="same", strides=2, **FIRST),
        Sample(images(2, 4, 5, 6), draw(2, 3, 2, 4), dilation_rate=(2, 1), **FIRST),
        Sample(images(2, 5, 6, 2), draw(2, 3, 2, 3), padding=((3, 0), (1, 2)), why="more padding than kernel"),
        Sample(images(1, 4, 5, 6, 2), draw(2, 3, 2, 2, 3)),
        Sample(images(1, 4, 5, 6, 2), draw(2, 3, 3, 2, 3), padding="same", strides=(1, 2, 2)),
        Sample(
            images(1, 5, 4, 6, 4),
            draw(2, 2, 3, 2, 2),
            padding="same",
            dilation_rate=(2, 1, 2),
            why="groups and dilation",
        ),
        Sample(images(1, 2, 5, 4, 6), draw(3, 2, 2, 2, 3), padding="same", **FIRST),
        Sample(images(0, 5, 6, 3), draw(3, 2, 3, 4), why="no images"),
        Sample(images(1, 1, 1, 1), draw(1, 1, 1, 1)),
        Sample(whole(2, 5, 6, 3), whole(3, 2, 3, 4, low=-3, high=4), padding="same", why="integers stay"),
        spoiled(1, 3, 2),
    ],
    errors=[
        Bad(np.ones((2, 5, 5, 3)), np.ones((3, 3, 4, 8)), match=r"3 channels.*\(3, 3, 4, 8\) takes a multiple of 4"),
        Bad(np.ones((2, 5, 5, 4)), np.ones((3, 3, 2, 5)), match=r"5 channels, which 2 groups can't share"),
        Bad(np.ones((2, 5, 5, 4)), np.ones((3, 4, 5)), match=r"kernel of 4 dimensions"),
        Bad(np.ones((5, 5)), np.ones((3, 4)), match=r"should have 3 to 5 dimensions"),
        Bad(np.ones((2, 2, 5, 4)), np.ones((3, 3, 4, 5)), match=r"does not fit spatial sizes \(2, 5\)"),
        Bad(np.ones((2, 5, 4)), np.ones((3, 4, 5)), padding="full", match=r"padding='full'"),
        Bad(np.ones((2, 5, 4)), np.ones((3, 4, 5)), strides=0, match=r"strides=0"),
        Bad(np.ones((2, 5, 4)), np.ones((3, 4, 5)), data_format="NHWC", match=r"data_format='NHWC'"),
    ],
)

sum_of_products(
    ops.conv_transpose,
    reference=conv_transpose,
    samples=[
        Sample(images(2, 4, 3), draw(3, 5, 3)),
        Sample(images(2, 4, 3), draw(2, 5, 3), strides=2, padding="same"),
        Sample(images(2, 4, 3), draw(4, 2, 3), strides=2, padding="same"),
        Sample(images(2, 4, 3), draw(2, 2, 3), strides=3, why="gaps between the copies, and one behind the last"),
        Sample(images(2, 4, 3), draw(3, 2, 3), strides=2, padding="same", output_padding=1),
        Sample(images(2, 4, 3), draw(3, 2, 3), strides=2, output_padding=3, why="more output_padding than strides"),
        Sample(images(2, 4, 3), draw(1, 2, 3), strides=4, padding="same", output_padding=2),
        Sample(images(2, 4, 3), draw(3, 2, 3), dilation_rate=2, padding="same"),
        Sample(images(2, 4, 3), draw(3, 2, 3), dilation_rate=2, strides=2, output_padding=1),
        Sample(images(2, 3, 4), draw(3, 2, 3), strides=2, padding="same", **FIRST),
        Sample(images(2, 4, 5, 3), draw(3, 2, 5, 3)),
        Sample(images(2, 4, 5, 3), draw(3, 2, 5, 3), strides=2, padding="same"),
        Sample(images(2, 3, 5, 3), draw(3, 4, 2, 3), strides=(2, 3), padding="same"),
        Sample(images(2, 3, 4, 2), draw(3, 3, 4, 2), strides=2, padding="same", output_padding=(1, 0)),
        Sample(images(2, 3, 4, 2), draw(3, 2, 4, 2), dilation_rate=(2, 3), padding="same"),
        Sample(images(2, 3, 4, 5), draw(3, 2, 4, 3), strides=2, **FIRST),
        Sample(images(1, 2, 3, 4, 2), draw(3, 2, 2, 3, 2), strides=(1, 2, 2), padding="same"),
        Sample(images(1, 2, 3, 2, 2), draw(2, 3, 2, 3, 2), strides=(1, 2, 1), dilation_rate=(2, 1, 1)),
        Sample(images(1, 2, 2, 3, 4), draw(2, 3, 2, 3, 2), strides=2, padding="same", output_padding=1, **FIRST),
        Sample(images(0, 4, 5, 3), draw(3, 2, 5, 3), why="no images"),
        Sample(whole(2, 4, 3), whole(3, 5, 3, low=-3, high=4), strides=2, why="integers stay"),
        spoiled(1, 2, 3),
    ],
    errors=[
        Bad(np.ones((2, 5, 5, 3)), np.ones((3, 3, 8, 4)), match=r"3 channels.*\(3, 3, 8, 4\) takes 4"),
        Bad(np.ones((2, 5, 3)), np.ones((3, 3, 8, 3)), match=r"kernel of 3 dimensions"),
        Bad(np.ones((2, 5, 3)), np.ones((3, 8, 3)), padding="causal", match=r"padding='causal'"),
        Bad(np.ones((2, 5, 3)), np.ones((3, 8, 3)), output_padding=-1, match=r"output_padding=-1"),
    ],
)

sum_of_products(
    ops.depthwise_conv,
    reference=depthwise,
    samples=[
        Sample(images(2, 7, 3), draw(3, 3, 1)),
        Sample(images(2, 7, 3), draw(2, 3, 2), strides=2, padding="same"),
        Sample(images(2, 9, 3), draw(3, 3, 2), dilation_rate=2, padding="same"),
        Sample(images(2, 3, 7), draw(3, 3, 2), padding="same", **FIRST),
        Sample(images(2, 5, 7, 3), draw(3, 2, 3, 1), padding="same"),
        Sample(images(2, 6, 7, 3), draw(3, 3, 3, 2), padding="same", strides=2),
        Sample(images(2, 6, 7, 3), draw(3, 2, 3, 2), strides=(1, 2), why="unequal strides"),
        Sample(images(2, 7, 8, 3), draw(3, 2, 3, 2), dilation_rate=(2, 1)),
        Sample(images(1, 7, 8, 2), draw(2, 2, 2, 3), dilation_rate=2, strides=2, padding="same"),
        Sample(images(2, 3, 5, 6), draw(3, 2, 3, 2), strides=2, **FIRST),
        Sample(images(2, 5, 6, 1), draw(3, 2, 1, 3), padding="same", why="one channel"),
        Sample(images(1, 4, 5, 3, 2), draw(2, 3, 2, 2, 2), padding="same"),
        Sample(images(0, 5, 6, 3), draw(3, 2, 3, 2), why="no images"),
        spoiled(2, 3, 1, differs={"jax": "in float64 XLA multiplies the channels of other groups by 0"}),
    ],
    errors=[
        Bad(np.ones((2, 5, 5, 3)), np.ones((3, 3, 4, 1)), match=r"3 channels.*\(3, 3, 4, 1\) takes 4"),
        Bad(np.ones((2, 2, 5, 3)), np.ones((3, 3, 3, 1)), match=r"does not fit spatial sizes"),
    ],
)

sum_of_products(
    ops.separable_conv,
    reference=separable,
    samples=[
        Sample(images(2, 7, 3), draw(3, 3, 2), draw(1, 6, 4)),
        Sample(images(2, 5, 7, 3), draw(3, 2, 3, 2), draw(1, 1, 6, 5), strides=2, padding="same"),
        Sample(images(2, 3, 5, 6), draw(3, 2, 3, 1), draw(1, 1, 3, 2), padding="same", dilation_rate=2, **FIRST),
    ],
    errors=[
        Bad(np.ones((2, 5, 3)), np.ones((3, 3, 2)), np.ones((1, 5, 4)), match=r"makes 6 channels, but .* takes 5"),
        Bad(np.ones((2, 5, 3)), np.ones((3, 3, 2)), np.ones((2, 6, 4)), match=r"spatial sizes of 1"),
    ],
)


def unfold(x, kernel_size, dilation=1, padding=0, stride=1):
    size, apart, pads, steps = (per_axis(v, 2) for v in (kernel_size, dilation, padding, stride))
    pads = [(p, p) for p in pads]
    seen = windows_of(np.moveaxis(x, 1, -1), size, steps, apart, pads)  # (batch, rows, columns, channels, *size)
    batch, rows, columns, *window = seen.shape
    return seen.reshape(batch, rows * columns, int(np.prod(window))).swapaxes(1, 2)


def fold(x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    end, size, apart, pads, steps = (per_axis(v, 2) for v in (output_size, kernel_size, dilation, padding, stride))
    batch, channels = x.shape[0], x.shape[1] // (size[0] * size[1])
    x = x.astype("int32") if x.dtype.kind == "b" else x
    y = np.zeros((batch, channels, *end), x.dtype)
    count = (end[1] + 2 * pads[1] - (size[1] - 1) * apart[1] - 1) // steps[1] + 1
    for element, (i, j) in enumerate(np.ndindex(*size)):
        for column in range(x.shape[2]):
            row = column // count * steps[0] + i * apart[0] - pads[0]
            at = column % count * steps[1] + j * apart[1] - pads[1]
            if 0 <= row < end[0] and 0 <= at < end[1]:
                y[:, :, row, at] += x[:, element :: size[0] * size[1], column]
    return y


Case(
    ops.unfold,
    reference=unfold,
    samples=[
        Sample(images(2, 3, 5, 6), 2),
        Sample(images(2, 3, 5, 6), (2, 3), stride=2, why="the last column is in no window"),
        Sample(images(2, 3, 5, 6), (3, 2), padding=(2, 1), stride=(1, 2)),
        Sample(images(2, 2, 6, 7), (2, 3), dilation=(3, 2), padding=1),
        Sample(images(1, 1, 3, 4), (3, 4), why="one window, the whole image"),
        Sample(
            np.arange(6.0).reshape(1, 1, 2, 3),
            2,
            expect=[[[0.0, 1.0], [1.0, 2.0], [3.0, 4.0], [4.0, 5.0]]],
            why="columns are windows, row by row",
        ),
        Sample(images(0, 2, 3, 4), 2, why="no images"),
        Sample(whole(2, 3, 4, 5), 2, padding=1, why="integers stay"),
    ],
    errors=[
        Bad(np.ones((3, 5, 6)), 2, match=r"should have 4 dimensions, not shape \(3, 5, 6\)"),
        Bad(np.ones((1, 3, 5, 6)), (2, 2, 2), match=r"kernel_size=\(2, 2, 2\)"),
        Bad(np.ones((1, 3, 5, 6)), 0, match="kernel_size=0"),
        Bad(np.ones((1, 3, 5, 6)), 2, padding=-1, match="padding=-1"),
        Bad(np.ones((1, 3, 5, 6)), 2, stride=0, match="stride=0"),
        Bad(np.ones((1, 3, 5, 6)), 6, match=r"spans \(6, 6\) does not fit spatial sizes \(5, 6\)"),
    ],
    tol={"float32": 0.0, "float64": 0.0},
)

Case(
    ops.fold,
    reference=fold,
    samples=[
        Sample(draw(2, 12, 20), (5, 6), 2),
        Sample(draw(2, 12, 4), (5, 6), (2, 3), stride=2),
        Sample(draw(2, 12, 48), (5, 6), (2, 3), padding=(2, 1), stride=1),
        Sample(draw(1, 18, 15), (6, 7), (2, 3), dilation=(3, 2), padding=1, stride=(2, 1)),
        Sample(draw(1, 12, 1), (3, 4), (3, 4), why="one window, the whole image"),
        Sample(np.ones((1, 4, 2)), (2, 3), 2, expect=[[[[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]]]], why="overlaps add up"),
        Sample(draw(0, 8, 6), (3, 4), 2, why="no images"),
        Sample(whole(2, 12, 30), (4, 5), 2, padding=1, why="integers stay"),
    ],
    errors=[
        Bad(np.ones((12, 20)), (5, 6), 2, match=r"should have 3 dimensions, not shape \(12, 20\)"),
        Bad(np.ones((1, 13, 20)), (5, 6), 2, match=r"13 elements, which kernel_size=2 can't share"),
        Bad(np.ones((1, 12, 21)), (5, 6), 2, match=r"21 columns, but output_size=\(5, 6\) has 20 windows"),
        Bad(np.ones((1, 12, 20)), (5, 6, 7), 2, match=r"output_size=\(5, 6, 7\)"),
    ],
    tol={"float32": 1e-6, "float64": 2e-15},
)
