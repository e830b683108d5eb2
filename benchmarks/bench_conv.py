"""Convolutions: every one of ResNet-50, MobileNet's depthwise ones, and other forms; forward and backward.

kcore and JAX take images channels last, ONNX Runtime channels first; torch in both layouts, weights in the same.
Weights are a variable for kcore, as in a layer, and constants for ONNX Runtime, forward only: both pack them once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kcore import Variable, ops

from .peers import AS_IS, Call, Layout, backward, forward, in_onnxruntime, jax, normal, torch
from .resnet import Convolution, convolutions
from .rows import Row, Subject

SECONDS = 1.0  # there are many
LAST, FIRST = "torch channels_last", "torch nchw"


@dataclass(frozen=True)
class Form:
    """A convolution of any rank.

    Attributes:
        image: Its sizes, and the channels.
        kernel: Its sizes, and the channels that come in and go out, all groups together.
        transposed: Whether it is the gradient of a convolution by its image, which "same" padding enlarges
            by the stride.
        first: Whether kcore and JAX, too, take images channels first.
    """

    name: str
    image: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: int = 1
    groups: int = 1
    transposed: bool = False
    first: bool = False

    @property
    def rank(self) -> int:
        return len(self.image) - 1

    @property
    def depthwise(self) -> bool:
        return self.groups == self.image[-1] > 1

    @property
    def pads(self) -> tuple[int, ...]:
        """What the images, or a transposed convolution's results, have around them."""
        return tuple((k - (self.stride if self.transposed else 1)) // 2 for k in self.kernel[:-2])

    @property
    def out(self) -> tuple[int, ...]:
        """The result's shape, without the batch."""
        scale = (lambda n: n * self.stride) if self.transposed else (lambda n: -(-n // self.stride))
        return *map(scale, self.image[:-1]), self.kernel[-1]

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        """(*sizes, channels in of one group, channels out); the two change places where it is transposed."""
        *sizes, channels, filters = self.kernel
        return (*sizes, filters, channels) if self.transposed else (*sizes, channels // self.groups, filters)


def flat(c: Convolution, groups: int = 1) -> Form:
    """A convolution of ResNet's, or one like it in groups."""
    width = c.channels // groups
    kind = "" if groups == 1 else "depthwise " if width == 1 else f"{groups} groups of {width}, "
    image, kernel = (c.size, c.size, c.channels), (c.kernel, c.kernel, c.channels, c.filters)
    return Form(kind + c.name, image, kernel, c.stride, groups)


def same(size: int, channels: int, stride: int = 1) -> Convolution:
    """3x3, with as many channels out as in."""
    return Convolution(size, channels, channels, 3, stride)


# Those of the paper, and the 3x3 ones that newer versions of the network stride in.
RESNET = [*dict.fromkeys(convolutions()), *(same(2 * size, c, 2) for size, c in ((28, 128), (14, 256), (7, 512)))]
GROUPED = [flat(same(size, channels), 32) for size, channels in ((56, 128), (28, 256), (14, 512))]
DEPTHWISE = [(112, 32, 1), (112, 64, 2), (56, 128, 1), (56, 128, 2), (28, 256, 1), (28, 256, 2), (14, 512, 1)]
DEPTHWISE += [(14, 512, 2), (7, 1024, 1)]
OTHERS = [
    Form("channels first 3x3 56x56x64 to 64", (56, 56, 64), (3, 3, 64, 64), first=True),
    Form("channels first 1x1 14x14x1024 to 256", (14, 14, 1024), (1, 1, 1024, 256), first=True),
    Form("channels first depthwise 3x3 56x56x128", (56, 56, 128), (3, 3, 128, 128), groups=128, first=True),
    Form("transposed 4x4 stride 2 14x14x256 to 128", (14, 14, 256), (4, 4, 256, 128), 2, transposed=True),
    Form("transposed 2x2 stride 2 28x28x128 to 64", (28, 28, 128), (2, 2, 128, 64), 2, transposed=True),
    Form("1D 9 1024x64 to 64", (1024, 64), (9, 64, 64)),
    Form("1D 3 stride 2 512x256 to 256", (512, 256), (3, 256, 256), 2),
    Form("3D 3x3x3 8x28x28x64 to 64", (8, 28, 28, 64), (3, 3, 3, 64, 64)),
    Form("3D 3x3x3 stride 2 16x32x32x3 to 32", (16, 32, 32, 3), (3, 3, 3, 3, 32), 2),
]


def torch_images(memory_format: str) -> Layout:
    """Of images, NHWC in NumPy, as torch has them in that memory format."""
    return _in_torch(memory_format, (0, -1), (0, 1))


def torch_kernels(memory_format: str) -> Layout:
    """The same of kernels, HWIO."""
    return _in_torch(memory_format, (-1, -2), (0, 1))


def _in_torch(memory_format: str, axes: tuple[int, int], places: tuple[int, int]) -> Layout:
    def to(x: Any) -> Any:
        suffix = "_3d" if x.ndim == 5 and memory_format == "channels_last" else ""
        return x.movedim(axes, places).contiguous(memory_format=getattr(torch, memory_format + suffix))

    return Layout(to, lambda x: x.movedim(places, axes))


def functions(form: Form) -> dict[str, Call]:
    """What each library calls the convolution."""
    peers = {"kcore": in_kcore(form), FIRST: in_torch(form, "contiguous_format"), "jax": in_jax(form)}
    if form.rank > 1 and not form.first:  # sequences have no such memory format
        peers[LAST] = in_torch(form, "channels_last")
    return peers


def in_kcore(form: Form) -> Call:
    def call(x, w):
        data_format = "channels_first" if form.first else "channels_last"
        if form.transposed:
            return ops.conv_transpose(x, w, form.stride, "same", data_format=data_format)
        own = ops.depthwise_conv if form.depthwise else ops.conv
        return own(x, w, form.stride, tuple((p, p) for p in form.pads), data_format)

    ahead = Layout(lambda x: ops.moveaxis(x, -1, 1), lambda x: ops.moveaxis(x, 1, -1))

    def swapped(w):
        # A depthwise kernel is (h, w, channels, 1) in Keras, and (h, w, 1, channels) as a grouped one.
        return ops.swapaxes(w, -1, -2) if form.depthwise else w

    weights = Layout(lambda w: Variable(swapped(w)).value, swapped)
    image = ahead if form.first else AS_IS
    return Call(call, [image, weights], image)


def in_torch(form: Form, memory_format: str) -> Call:
    def call(x, w):
        name = f"conv{'_transpose' * form.transposed}{form.rank}d"
        return getattr(torch, name)(x, w, stride=form.stride, padding=form.pads, groups=form.groups)

    image = torch_images(memory_format)
    return Call(call, [image, torch_kernels(memory_format)], image)


def in_jax(form: Form) -> Call:
    axes = "DHW"[-form.rank :]
    images = f"NC{axes}" if form.first else f"N{axes}C"

    def call(x, w):
        how = (form.stride,) * form.rank
        pads = [(p, p) for p in form.pads]
        names = (images, f"{axes}IO", images)
        if form.transposed:
            pads = [(k - 1 - p, k - 1 - p) for k, p in zip(form.kernel, form.pads)]
            return jax.lax.conv_transpose(x, w, how, pads, dimension_numbers=names, transpose_kernel=True)
        return jax.lax.conv_general_dilated(x, w, how, pads, dimension_numbers=names, feature_group_count=form.groups)

    ahead = Layout(lambda x: jax.numpy.moveaxis(x, -1, 1), lambda x: jax.numpy.moveaxis(x, 1, -1))
    image = ahead if form.first else AS_IS
    return Call(call, [image, AS_IS], image)


def onnx_subject(form: Form, batch: int) -> Subject:
    """Forward in ONNX Runtime, its weights constants."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    x, w = inputs(form, batch)[0](np.random.default_rng(0))
    x = np.ascontiguousarray(np.moveaxis(x, -1, 1))
    w = np.ascontiguousarray(np.moveaxis(w, (-1, -2), (0, 1)))
    kind = "ConvTranspose" if form.transposed else "Conv"
    how = {"strides": [form.stride] * form.rank, "pads": [*form.pads] * 2, "group": form.groups}
    out = (batch, form.out[-1], *form.out[:-1])
    graph = helper.make_graph(
        [helper.make_node(kind, ["x", "w"], ["y"], **how)],
        "conv",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, out)],
        [numpy_helper.from_array(w, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return in_onnxruntime(model.SerializeToString(), {"x": x}, lambda y: np.moveaxis(y, 1, -1))


def inputs(form: Form, batch: int):
    """For forward and for backward."""
    x, w = (batch, *form.image), form.kernel_shape
    return normal(x, w), normal(x, w, (batch, *form.out))


def forward_row(form: Form, batch: int, suffix: str = "", **more: Any) -> Row:
    peers = forward(inputs(form, batch)[0], **functions(form))
    peers["onnxruntime"] = lambda: onnx_subject(form, batch)
    return Row(f"{form.name}, batch {batch}{suffix}", peers, **more)


def gradient_rows(form: Form, batch: int, goal: float) -> list[Row]:
    def row(by: int, what: str) -> Row:
        calls = functions(form)
        if form.groups > 1 and not form.depthwise:
            del calls["jax"]  # takes seconds
        peers = backward(inputs(form, batch)[1], (by,), **calls)
        return Row(f"{form.name}, batch {batch}, {what} gradient", peers, goal=goal, seconds=SECONDS)

    return [row(0, "input"), row(1, "kernel")]


def rows():
    many = [*map(flat, RESNET), *GROUPED, *(flat(same(size, c, s), c) for size, c, s in DEPTHWISE)]
    for form in many:
        yield forward_row(form, 1, goal=1.0, seconds=SECONDS)
    for form in [*many, *OTHERS]:
        goal = 1.0 if form.groups > 1 and not form.first else 0.95
        yield forward_row(form, 8, goal=goal, seconds=SECONDS)
        yield from gradient_rows(form, 8, goal)
    for c in RESNET:
        if (c.kernel, c.stride) == (3, 1):
            for batch in (1, 8):
                goal = 1.7 if batch * c.out**2 >= 200 else None
                yield forward_row(flat(c), batch, ", fast numerics", goal=goal, tolerance=1e-3, numerics="fast")
    for c in (same(56, 64), same(14, 256), RESNET[0]):
        name = f"{c.name}, batch 8, two threads against one"
        yield Row(name, on_threads(flat(c)), goal=1.6, apart=True, threads=2, seconds=4)


def on_threads(form: Form):
    own = forward(inputs(form, 8)[0], kcore=in_kcore(form))["kcore"]
    return {"kcore": own, "kcore one thread": own}


ROWS = list(rows())


def test_conv(timed):
    timed()
