"""ResNet-50 as its paper has it (He et al. 2015, table 1): written in Keras's layers, in torch and as ONNX.

Bottlenecks halve the image in their first convolution. One list of weights, in the order in which
Keras lists them, serves all three.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .peers import functional, torch

STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))  # width, bottlenecks, stride of the first
CLASSES, SIZE, EPSILON = 1000, 224, 1e-5


@dataclass(frozen=True)
class Convolution:
    """A convolution, without bias; batch normalization follows."""

    size: int  # of the image that it takes
    channels: int
    filters: int
    kernel: int
    stride: int

    @property
    def out(self) -> int:
        return -(-self.size // self.stride)

    @property
    def pad(self) -> int:
        return self.kernel // 2

    @property
    def name(self) -> str:
        k, s = self.kernel, f" stride {self.stride}" if self.stride > 1 else ""
        return f"{k}x{k}{s} {self.size}x{self.size}x{self.channels} to {self.filters}"


STEM = Convolution(SIZE, 3, 64, 7, 2)


@dataclass(frozen=True)
class Bottleneck:
    """Three convolutions beside a shortcut, which has one of its own where the shape changes."""

    convolutions: tuple[Convolution, Convolution, Convolution]
    shortcut: Convolution | None


def bottlenecks() -> Iterator[Bottleneck]:
    """All of them, in order."""
    size, channels = 56, 64
    for width, count, first in STAGES:
        for i in range(count):
            stride = first if i == 0 else 1
            down = Convolution(size, channels, width, 1, stride)
            three = down, Convolution(down.out, width, width, 3, 1), Convolution(down.out, width, 4 * width, 1, 1)
            yield Bottleneck(three, Convolution(size, channels, 4 * width, 1, stride) if i == 0 else None)
            size, channels = down.out, 4 * width


def convolutions() -> list[Convolution]:
    """In the order of the weights: a bottleneck's shortcut comes last."""
    found = [STEM]
    for block in bottlenecks():
        found += [*block.convolutions, *([block.shortcut] if block.shortcut else [])]
    return found


def weights(seed: int = 0) -> list[np.ndarray]:
    """For each convolution its kernel (HWIO), then scale, offset, mean and variance; then the classifier's two.

    The last scale of a bottleneck is small, so that activations stay of one size through 16 of them."""
    rng = np.random.default_rng(seed)
    blocks = list(bottlenecks())
    lasts = {id(b.convolutions[2]) for b in blocks}
    order = [STEM, *(c for b in blocks for c in (*b.convolutions, b.shortcut) if c)]
    found: list[np.ndarray] = []
    for c in order:
        inputs = c.kernel**2 * c.channels
        found.append(rng.standard_normal((c.kernel, c.kernel, c.channels, c.filters)) * np.sqrt(2 / inputs))
        scale = rng.uniform(0.5, 1.5, c.filters) * (0.3 if id(c) in lasts else 1)
        found += [scale, rng.normal(size=c.filters) * 0.1, rng.normal(size=c.filters) * 0.1]
        found.append(rng.uniform(0.5, 1.5, c.filters))
    found += [rng.standard_normal((2048, CLASSES)) * 0.02, np.zeros(CLASSES)]
    return [w.astype("float32") for w in found]


def in_keras(keras: Any, values: list[np.ndarray]) -> Any:
    """A functional model of Keras's or kcore's layers."""
    layers = keras.layers
    made: list[Any] = []  # in the order of the weights, which a functional model does not keep

    def kept(layer: Any) -> Any:
        made.append(layer)
        return layer

    def convolved(x: Any, c: Convolution) -> Any:
        if c.stride > 1 and c.kernel > 1:
            x = layers.ZeroPadding2D(c.pad)(x)  # "same" would put the odd pixel on the other side
        padding = "valid" if c.stride > 1 else "same"
        x = kept(layers.Conv2D(c.filters, c.kernel, strides=c.stride, padding=padding, use_bias=False))(x)
        return kept(layers.BatchNormalization(epsilon=EPSILON))(x)

    def bottleneck(x: Any, block: Bottleneck) -> Any:
        first, second, third = block.convolutions
        y = layers.ReLU()(convolved(x, first))
        y = layers.ReLU()(convolved(y, second))
        y = convolved(y, third)
        x = convolved(x, block.shortcut) if block.shortcut else x
        return layers.ReLU()(layers.Add()([y, x]))

    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.ReLU()(convolved(inputs, STEM))
    x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))  # zeros: no number is below them after relu
    for block in bottlenecks():
        x = bottleneck(x, block)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, kept(layers.Dense(CLASSES))(x))
    left = iter(values)
    for layer in made:
        layer.set_weights([next(left) for _ in layer.weights])
    return model


def in_torch(values: list[np.ndarray], memory_format: Any) -> Any:
    """A torch module, in evaluation mode, with its weights in `memory_format`."""
    left = iter([torch.from_numpy(w) for w in values])

    class Convolved(torch.nn.Module):
        def __init__(self, c: Convolution) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(c.channels, c.filters, c.kernel, c.stride, c.pad, bias=False)
            self.norm = torch.nn.BatchNorm2d(c.filters, eps=EPSILON)
            self.conv.weight.data = next(left).permute(3, 2, 0, 1).contiguous()
            self.norm.weight.data, self.norm.bias.data = next(left), next(left)
            self.norm.running_mean, self.norm.running_var = next(left), next(left)

        def forward(self, x: Any) -> Any:
            return self.norm(self.conv(x))

    class Block(torch.nn.Module):
        def __init__(self, block: Bottleneck) -> None:
            super().__init__()
            self.first, self.second, self.third = (Convolved(c) for c in block.convolutions)
            self.shortcut = Convolved(block.shortcut) if block.shortcut else torch.nn.Identity()

        def forward(self, x: Any) -> Any:
            y = torch.relu(self.second(torch.relu(self.first(x))))
            return torch.relu(self.third(y) + self.shortcut(x))

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = Convolved(STEM)
            self.blocks = torch.nn.Sequential(*(Block(b) for b in bottlenecks()))
            self.classify = torch.nn.Linear(2048, CLASSES)
            self.classify.weight.data = next(left).T.contiguous()
            self.classify.bias.data = next(left)

        def forward(self, x: Any) -> Any:
            x = functional.max_pool2d(torch.relu(self.stem(x)), 3, 2, 1)
            return self.classify(self.blocks(x).mean((2, 3)))

    return Network().eval().to(memory_format=memory_format)


def in_onnx(values: list[np.ndarray], batch: int) -> bytes:
    """An ONNX file."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[Any] = []
    tensors: list[Any] = []
    left = iter(values)

    def held(value: np.ndarray) -> str:
        name = f"w{len(tensors)}"
        tensors.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(kind: str, *inputs: str, **attributes: Any) -> str:
        out = f"x{len(nodes)}"
        nodes.append(helper.make_node(kind, inputs, [out], **attributes))
        return out

    def convolved(x: str, c: Convolution) -> str:
        kernel = held(next(left).transpose(3, 2, 0, 1))
        x = node("Conv", x, kernel, strides=[c.stride] * 2, pads=[c.pad] * 4)
        return node("BatchNormalization", x, *(held(next(left)) for _ in range(4)), epsilon=EPSILON)

    x = node("Relu", convolved("x", STEM))
    x = node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for block in bottlenecks():
        first, second, third = block.convolutions
        y = node("Relu", convolved(node("Relu", convolved(x, first)), second))
        y = convolved(y, third)
        x = node("Relu", node("Add", y, convolved(x, block.shortcut) if block.shortcut else x))
    x = node("Flatten", node("GlobalAveragePool", x))
    x = node("Gemm", x, held(next(left)), held(next(left)))
    graph = helper.make_graph(
        nodes,
        "resnet50",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, [batch, CLASSES])],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()
