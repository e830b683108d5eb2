"""Convolutions: every one of ResNet-50, forward and backward, and depthwise ones.

kcore and JAX take images channels last; torch in both layouts, weights in the same.
"""

from __future__ import annotations

from typing import Any

from kcore import ops

from .peers import AS_IS, Call, Layout, backward, forward, jax, normal, torch
from .resnet import Convolution, convolutions
from .rows import Row

RESNET = list(dict.fromkeys(convolutions()))
DEPTHWISE = [(112, 32), (56, 128), (14, 512)]
SECONDS = 1.0  # there are many
LAST, FIRST = "torch channels_last", "torch nchw"


def torch_layouts(memory_format):
    """Of an image, NHWC in NumPy, and of a kernel, HWIO, as torch has them in that memory format."""
    layout = getattr(torch, memory_format)
    image = Layout(lambda x: x.permute(0, 3, 1, 2).contiguous(memory_format=layout), lambda x: x.permute(0, 2, 3, 1))
    kernel = Layout(lambda w: w.permute(3, 2, 0, 1).contiguous(memory_format=layout), lambda w: w.permute(2, 3, 1, 0))
    return image, kernel


class Chosen(Layout):
    """A torch layout that asks for torch when it is first used."""

    def __init__(self, memory_format: str, which: int) -> None:
        super().__init__(
            lambda x: torch_layouts(memory_format)[which].to(x), lambda x: torch_layouts(memory_format)[which].back(x)
        )


def functions(c: Convolution, groups: int = 1) -> dict[str, Any]:
    """What each library calls the convolution."""
    pad, same = c.pad, ((c.pad, c.pad),) * 2
    own = ops.depthwise_conv if groups > 1 else ops.conv

    def in_kcore(x, w):
        return own(x, w, c.stride, same)

    def in_torch(x, w):
        return torch.conv2d(x, w, stride=c.stride, padding=pad, groups=groups)

    def in_jax(x, w):
        form = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(
            x, w, (c.stride,) * 2, same, dimension_numbers=form, feature_group_count=groups
        )

    def laid_out(memory_format):
        image, kernel = Chosen(memory_format, 0), Chosen(memory_format, 1)
        return Call(in_torch, [image, kernel], image)

    # A depthwise kernel is (h, w, channels, 1) in Keras, and (h, w, 1, channels) as a grouped one.
    swapped = Layout(lambda w: ops.transpose(w, (0, 1, 3, 2)), lambda w: ops.transpose(w, (0, 1, 3, 2)))
    return {
        "kcore": Call(in_kcore, [AS_IS, swapped]) if groups > 1 else in_kcore,
        LAST: laid_out("channels_last"),
        FIRST: laid_out("contiguous_format"),
        "jax": in_jax,
    }


def inputs(c: Convolution, batch: int, groups: int = 1):
    x, w = (batch, c.size, c.size, c.channels), (c.kernel, c.kernel, c.channels // groups, c.filters)
    return normal(x, w), normal(x, w, (batch, c.out, c.out, c.filters))


def rows_of(c: Convolution, batch: int, groups: int, goals: tuple[float, float, float]) -> list[Row]:
    """Forward, and backward by the image and by the kernel."""
    name = f"{'depthwise ' if groups > 1 else ''}{c.name}, batch {batch}"
    two, three = inputs(c, batch, groups)
    how = functions(c, groups)
    return [
        Row(name, forward(two, **how), goal=goals[0], seconds=SECONDS),
        Row(f"{name}, input gradient", backward(three, (0,), **how), goal=goals[1], seconds=SECONDS),
        Row(f"{name}, kernel gradient", backward(three, (1,), **how), goal=goals[2], seconds=SECONDS),
    ]


def threads(c: Convolution, batch: int):
    builders = forward(inputs(c, batch)[0], **functions(c))
    own = builders["kcore"]
    return {"kcore": own, "kcore one thread": own, LAST: builders[LAST], FIRST: builders[FIRST]}


def goals(c: Convolution, batch: int) -> tuple[float, float, float]:
    forward_goal = 1.0 if batch == 1 else 0.85 if c.channels == 512 and c.kernel == 3 else 0.92
    return forward_goal, 0.9, 0.95


ROWS = [row for c in RESNET for batch in (1, 8) for row in rows_of(c, batch, 1, goals(c, batch))]
ROWS += [
    Row(
        f"{c.name}, batch {batch}, fast numerics",
        forward(inputs(c, batch)[0], **functions(c)),
        goal=1.7 if batch * c.out**2 >= 200 else None,
        tolerance=1e-3,
        numerics="fast",
    )
    for c in RESNET
    for batch in (1, 8)
    if c.kernel == 3
]
ROWS += [
    row
    for size, channels in DEPTHWISE
    for batch in (1, 8)
    for row in rows_of(Convolution(size, channels, channels, 3, 1), batch, channels, (1.0, 1.0, 1.0))
]
ROWS += [
    Row(f"{c.name}, batch 8, two threads against one", threads(c, 8), goal=1.6, apart=True, threads=2, seconds=4)
    for c in RESNET
    if (c.size, c.channels, c.kernel) in {(56, 64, 3), (14, 256, 3), (224, 3, 7)}
]


def test_conv(timed):
    timed()
