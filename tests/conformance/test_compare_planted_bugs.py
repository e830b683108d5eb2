"""`compare` bites: each bug that is planted in a copy of the torch backend is pinned to the op that has it."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

import kcore
from kcore import layers, ops
from kcore.conformance import compare
from tests.conformance import planted_backend
from tests.conformance.planted_backend import NAME, planted_op

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(7)
IMAGES = RNG.normal(size=(4, 7, 7, 3)).astype("float32")
SERIES = RNG.normal(size=(4, 5, 3)).astype("float32")
ROWS = RNG.normal(size=(6, 4)).astype("float32")
TOKENS = np.array([[1, 2, 3, 0, 0], [4, 5, 6, 7, 8], [9, 10, 1, 2, 0], [3, 3, 3, 3, 3]])


# -- models -----------------------------------------------------------------------------


def chain(*parts, shape):
    return kcore.Sequential([kcore.Input(shape), *parts])


def vision():
    parts = [
        layers.Conv2D(4, 3, padding="same"),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.AveragePooling2D(3, 2, padding="same"),
        layers.Dropout(0.5, seed=5),
        layers.DepthwiseConv2D(2),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(3, "softmax"),
    ]
    return chain(*parts, shape=(7, 7, 3)), IMAGES, np.eye(3, dtype="float32")[[0, 1, 2, 1]]


def convolution():
    parts = [layers.Conv2D(4, 3, padding="same"), layers.Flatten(), layers.Dense(2)]
    return chain(*parts, shape=(7, 7, 3)), IMAGES, np.ones((4, 2), "float32")


def upscaling():
    parts = [
        layers.Conv2DTranspose(2, 3, strides=2),
        layers.UpSampling2D(2, interpolation="bilinear"),
        layers.GlobalMaxPooling2D(),
    ]
    return chain(*parts, shape=(7, 7, 3)), IMAGES, np.ones((4, 2), "float32")


def recurrent():
    # unrolled: in ops of each step, where the layer would otherwise be one op
    parts = [layers.LSTM(4, return_sequences=True, unroll=True), layers.GRU(3, unroll=True), layers.Dense(2, "tanh")]
    return chain(*parts, shape=(5, 3)), SERIES, np.ones((4, 2), "float32")


def dense():
    parts = [layers.Dense(4, "gelu"), layers.LayerNormalization(), layers.Dense(4, "elu"), layers.Dense(1, "sigmoid")]
    return chain(*parts, shape=(4,)), ROWS, np.array([[0], [1], [1], [0], [1], [0]], "float32")


def attention():
    tokens = kcore.Input((5,), dtype="int32")
    e = layers.Embedding(11, 4, mask_zero=True)(tokens)
    h = layers.LayerNormalization()(layers.Add()([e, layers.MultiHeadAttention(2, 3)(e, e)]))
    return kcore.Model(tokens, layers.Dense(6)(layers.GlobalAveragePooling1D()(h))), TOKENS, np.array([0, 1, 5, 2])


class Skipping(kcore.Model):
    """A subclassed model with operators of its own in its call."""

    def __init__(self):
        super().__init__()
        self.first, self.second = layers.Dense(4), layers.Dense(4)

    def call(self, x):
        y = self.second(ops.tanh(self.first(x)))
        return ops.log_softmax(y * 0.5 + x)


def skipping():
    return Skipping(), ROWS, np.ones((6, 4), "float32")


# -- bugs -------------------------------------------------------------------------------

BUGS = []


def bug(op, model, kind="value", layer=None, steps=0, loss="mse", optimizer="sgd", policy=None, within=None):
    """Declares a bug in an op: the model that has it, and how compare should put it.

    Where the op is called by the portable body of another, `within` is that: compare names it, then the op inside.
    """

    def declare(function):
        BUGS.append(
            pytest.param(op, model, kind, layer, steps, loss, optimizer, policy, within, function, id=function.__name__)
        )
        return function

    return declare


def doubled(y):
    return y.detach() + 2 * (y - y.detach())


@bug("batch_normalization", vision, layer="batch_normalization")
def batch_normalization_has_another_epsilon(right, x, mean, variance, axis, offset, scale, epsilon):
    return right(x, mean, variance, axis, offset, scale, 1e-2)


@bug("batch_normalization", vision, layer="batch_normalization")
def batch_normalization_forgets_the_offset(right, x, mean, variance, axis, offset, scale, epsilon):
    return right(x, mean, variance, axis, mean * 0 + 0.01, scale, epsilon)


@bug("moments", vision, steps=1, within="normalize_batch")
def variance_is_unbiased(right, x, axes, keepdims, *rest):
    mean, variance = right(x, axes, keepdims, *rest)
    count = x.numel() / mean.numel()
    return mean, variance * count / (count - 1)


@bug("conv", convolution, layer="conv2d", within="activated_conv")
def convolution_kernel_is_transposed(right, inputs, kernel, *rest):
    return right(inputs, kernel.transpose(0, 1), *rest)


@bug("conv", convolution, layer="conv2d", within="activated_conv")
def convolution_kernel_is_flipped(right, inputs, kernel, *rest):
    return right(inputs, kernel.flip(0, 1), *rest)


@bug("conv", convolution, layer="conv2d", within="activated_conv")
def convolution_pads_by_the_edge(right, inputs, kernel, *rest):
    y = right(inputs, kernel, *rest)
    return torch.cat([y[:, :1] * 1.2, y[:, 1:]], 1)


@bug("conv", convolution, layer="conv2d", within="activated_conv")
def convolution_rounds_its_kernel_to_bfloat16(right, inputs, kernel, *rest):
    return right(inputs, kernel.to(torch.bfloat16).to(kernel.dtype), *rest)


@bug("average_pool", vision, layer="average_pooling2d")
def average_pooling_divides_by_the_padded_window(right, x, *rest):
    return (
        right(x, *rest)
        / right(torch.ones_like(x), *rest)
        * torch.nn.functional.avg_pool2d(torch.ones_like(x).movedim(-1, 1), 3, 2, 1, count_include_pad=True).movedim(
            1, -1
        )
    )


@bug("max_pool", vision, layer="max_pooling2d")
def max_pooling_starts_from_zero(right, x, *rest):
    return right(x, *rest).clamp(min=0.5)


@bug("depthwise_conv", vision, layer="depthwise_conv2d")
def depthwise_channels_are_rolled(right, inputs, kernel, *rest):
    return right(inputs, kernel.roll(1, 2), *rest)


@bug("softmax", vision, layer="dense")
def softmax_is_over_the_wrong_axis(right, x, axis):
    return right(x, (0,))


@bug("relu", vision, layer="re_lu")
def relu_leaks(right, x):
    return torch.nn.functional.leaky_relu(x, 1e-3)


class _Stale:
    kept = None


@bug("random_dropout", vision, layer="dropout", steps=2)
def dropout_mask_is_stale(right, inputs, key, rate, noise_shape):
    if _Stale.kept is None or _Stale.kept.shape != inputs.shape:
        _Stale.kept = (right(torch.ones_like(inputs), key, rate, noise_shape) != 0).detach()
    return inputs * _Stale.kept / (1 - rate)


@bug("random_dropout", vision, layer="dropout", steps=1)
def dropout_scales_by_the_rate(right, inputs, key, rate, noise_shape):
    return right(inputs, key, rate, noise_shape) * (1 - rate) / rate * 1.01


@bug("conv_transpose", upscaling, layer="conv2d_transpose")
def transposed_convolution_is_shifted(right, *arguments):
    return right(*arguments).roll(1, 1)


@bug("resize", upscaling, layer="up_sampling2d")
def bilinear_resize_aligns_corners(right, images, size, *rest):
    y = torch.nn.functional.interpolate(images.movedim(-1, 1), tuple(size), mode="bilinear", align_corners=True)
    return y.movedim(1, -1)


@bug("split", recurrent, layer="lstm")
def gates_are_swapped(right, x, *rest):
    parts = list(right(x, *rest))
    if len(parts) == 4:
        parts[0], parts[1] = parts[1], parts[0]
    return parts


@bug("sigmoid", recurrent, layer="lstm")
def recurrent_activation_is_hard(right, x):
    return torch.clamp(x / 6 + 0.5, 0, 1)


@bug("stack", recurrent, layer="lstm")
def steps_are_stacked_backwards(right, x, axis):
    return right(list(x)[::-1], axis)


@bug("dense", dense, layer="dense")
def matrix_product_is_in_half_precision(right, x, kernel, bias, activation):
    return right(x.half(), kernel.half(), bias.half(), activation).to(x.dtype)


@bug("dense", dense, layer="dense")
def square_kernel_is_transposed(right, x, kernel, bias, activation):
    return right(x, kernel.T if kernel.shape[0] == kernel.shape[1] else kernel, bias, activation)


@bug("dense", dense, layer="dense")
def bias_is_added_after_the_activation(right, x, kernel, bias, activation):
    return right(x, kernel, None, activation) + bias + 0.01


@bug("dense", dense, layer="dense")
def gelu_is_the_tanh_approximation(right, x, kernel, bias, activation):
    return right(x, kernel, bias, "gelu_tanh" if activation == "gelu" else activation)


@bug("elu", dense, layer="dense")
def elu_has_another_alpha(right, x, alpha):
    return right(x, 0.99)


@bug("layer_normalization", dense, layer="layer_normalization")
def layer_normalization_divides_by_the_deviation_plus_epsilon(right, x, *rest):
    return right(x * 1.0, *rest) * 0.999


@bug("dot_product_attention", attention, layer="multi_head_attention")
def attention_ignores_the_mask(right, query, key, value, bias, mask, *rest):
    return right(query, key, value, bias, None, *rest)


@bug("take", attention, layer="embedding")
def embedding_is_off_by_one(right, x, indices, *rest):
    return right(x, (indices + 1) % x.shape[0], *rest)


@bug("einsum", attention, layer="multi_head_attention")
def heads_are_exchanged(right, subscripts, operands):
    y = right(subscripts, operands)
    return y.flip(2) if y.ndim == 4 else y


@bug("log_softmax", skipping, layer="skipping")
def log_softmax_is_not_shifted(right, x, axis):
    return torch.log(torch.softmax(x, axis[0]) + 1e-3)


@bug("tanh", skipping, layer="skipping")
def tanh_is_clipped(right, x):
    return right(x).clamp(-0.9, 0.9)


# Gradients: the values are right.


@bug("dense", dense, kind="gradient", layer="dense")
def gradient_of_gelu_is_doubled(right, x, kernel, bias, activation):
    y = right(x, kernel, bias, activation)
    return doubled(y) if activation == "gelu" else y


@bug("relu", vision, kind="gradient", layer="re_lu")
def gradient_of_relu_is_straight_through(right, x):
    return x + (right(x) - x).detach()


@bug("max_pool", vision, kind="gradient", layer="max_pooling2d")
def gradient_of_max_pooling_is_cut(right, x, *rest):
    return right(x.detach(), *rest) + 0 * x.sum()


@bug("conv", convolution, kind="gradient", layer="conv2d", within="activated_conv")
def gradient_by_the_kernel_is_transposed(right, inputs, kernel, *rest):
    y = right(inputs, kernel.detach(), *rest)
    wrong = right(inputs.detach(), kernel.flip(0), *rest)
    return y + wrong - wrong.detach()


@bug("layer_normalization", dense, kind="gradient", layer="layer_normalization")
def gradient_of_the_mean_is_forgotten(right, x, *rest):
    y = right(x, *rest)
    return y.detach() + (x - x.detach())


@bug("sparse_categorical_crossentropy", attention, kind="gradient", steps=1, loss="sparse")
def gradient_of_the_loss_is_not_averaged(right, *arguments):
    return doubled(right(*arguments))


# Training steps, and other dtypes.


@bug("square", dense, steps=1, optimizer="adam")
def second_moment_is_of_the_absolute_value(right, x):
    return x.abs() if x.ndim == 2 and x.shape == (4, 4) else right(x)


@bug("sqrt", dense, steps=1, optimizer="adam")
def square_root_is_low_in_precision(right, x):
    return right(x.to(torch.bfloat16)).to(x.dtype)


@bug("binary_crossentropy", dense, steps=1, loss="binary_crossentropy")
def loss_is_in_bits(right, *arguments):
    return right(*arguments) / float(np.log(2))


@bug("dense", dense, layer="dense", policy="mixed_float16")
def float16_overflows_where_it_need_not(right, x, kernel, bias, activation):
    half = x.dtype == torch.float16
    return right(x * 256, kernel * 256, bias, activation) / 256 / 256 if half else right(x, kernel, bias, activation)


@bug("layer_normalization", dense, layer="layer_normalization", policy="mixed_bfloat16")
def bfloat16_keeps_two_bits(right, x, *rest):
    y = right(x, *rest)
    return (y * 2).round() / 2 if y.dtype == torch.bfloat16 else y


# -- tests ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def backend():
    yield planted_backend.install()
    planted_backend.uninstall()


@contextlib.contextmanager
def under(policy):
    before = kcore.mixed_precision.dtype_policy()
    if policy:
        kcore.mixed_precision.set_dtype_policy(policy)
    try:
        yield
    finally:
        kcore.mixed_precision.set_dtype_policy(before)


def made(model, policy, loss, optimizer):
    with kcore.backend("reference"), under(policy):
        kcore.utils.set_random_seed(3)
        net, x, y = model()
        if policy == "mixed_float16":
            x = x * 50
        chosen = kcore.losses.SparseCategoricalCrossentropy(from_logits=True) if loss == "sparse" else loss
        net.compile(optimizer, chosen)
    return net, x, y


@pytest.mark.parametrize(
    ("op", "model", "kind", "layer", "steps", "loss", "optimizer", "policy", "within", "function"), BUGS
)
def test_a_planted_bug_is_pinned_to_its_op(
    backend, op, model, kind, layer, steps, loss, optimizer, policy, within, function
):
    net, x, y = made(model, policy, loss, optimizer)
    _Stale.kept = None
    with planted_op(backend, op, function):
        found = compare(net, x, [NAME], targets=y, training_steps=steps, native=False)
    assert not found
    first = found.first()
    named = within or op
    assert (first.op, first.kind) == (named, kind), str(found)
    assert {f.op for f in found.findings if f.kind in ("value", "gradient")} == {named}, str(found)
    assert within is None or kind == "gradient" or f"inside it, {op} is the first to part" in str(found)
    if layer is not None:
        assert layer in first.layer
        assert first.source.line > 0
    assert first.gap.problem or first.gap.relative > first.gap.tolerance


@pytest.mark.parametrize(
    ("model", "loss", "policy"),
    [
        (vision, "mse", None),
        (upscaling, "mse", None),
        (recurrent, "mse", None),
        (dense, "binary_crossentropy", None),
        (attention, "sparse", None),
        (skipping, "mse", None),
        (dense, "mse", "mixed_float16"),
        (dense, "mse", "mixed_bfloat16"),
    ],
)
def test_without_a_bug_all_agree(backend, model, loss, policy):
    net, x, y = made(model, policy, loss, "adam")
    found = compare(net, x, [NAME], targets=y, training_steps=2)
    assert found, str(found)
    assert not found.notes
    assert compare(net, x, [NAME], training=True)
