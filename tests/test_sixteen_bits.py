"""bfloat16 and float16 on the reference backend: what float32 gives for the stored values, rounded once."""

import numpy as np
import pytest

import kcore
from kcore import dtypes, ops
from kcore.backends.reference import half
from kcore.ops import mechanism

halves = pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
RNG = np.random.default_rng(7)


def drawn(*shape, low=-3.0, high=3.0):
    return RNG.uniform(low, high, shape).astype("float32")


IMAGES, KERNEL = drawn(2, 9, 8, 5), drawn(3, 3, 5, 7)
SEQUENCE = drawn(3, 5, 4), drawn(3, 6), drawn(4, 24), drawn(6, 24), drawn(24)
CALLS = {
    "add": (ops.add, drawn(40, 33), drawn(33)),
    "multiply by a number": (lambda x: ops.multiply(x, 0.1), drawn(1500)),
    "divide": (ops.divide, drawn(40, 33), drawn(40, 33)),
    "power": (ops.power, drawn(40, low=0.1), drawn(40)),
    "maximum": (ops.maximum, drawn(40, 33), drawn(40, 33)),
    "exp": (ops.exp, drawn(7, 300)),
    "sin": (ops.sin, drawn(7, 300)),
    "relu": (ops.relu, drawn(7, 1000)),
    "gelu": (ops.gelu, drawn(7, 300)),
    "silu": (ops.silu, drawn(7, 300)),
    "softmax": (ops.softmax, drawn(7, 300)),
    "log_softmax": (lambda x: ops.log_softmax(x, 0), drawn(7, 300)),
    "sum": (lambda x: ops.sum(x, 0), drawn(300, 7)),
    "mean": (ops.mean, drawn(300, 7)),
    "cumsum": (lambda x: ops.cumsum(x, 0), drawn(300, 7)),
    "matmul": (ops.matmul, drawn(20, 33), drawn(33, 40)),
    "matmul of a transpose": (lambda a, b: ops.matmul(ops.transpose(a), b), drawn(33, 40), drawn(33, 40)),
    "einsum": (lambda a, b: ops.einsum("bij,jk->bik", a, b), drawn(3, 20, 33), drawn(33, 40)),
    "dense": (lambda x, k, b: ops.dense(x, k, b, "tanh"), drawn(20, 33), drawn(33, 70), drawn(70)),
    "dense gelu": (lambda x, k, b: ops.dense(x, k, b, "gelu"), drawn(20, 33), drawn(33, 70), drawn(70)),
    "conv": (lambda x, k: ops.conv(x, k, padding="same"), IMAGES, KERNEL),
    "max_pool": (lambda x: ops.max_pool(x, 2, 2), IMAGES),
    "average_pool": (lambda x: ops.average_pool(x, 3, 2), IMAGES),
    "layer_normalization": (ops.layer_normalization, drawn(40, 33), drawn(33), drawn(33)),
    "normalize_batch": (lambda x: ops.normalize_batch(x, axis=-1)[0], IMAGES),
    "lstm": (lambda x, h, k, r, b: ops.lstm(x, h, h, k, r, b)[0], *SEQUENCE),
    "erfinv": (ops.erfinv, drawn(40, low=-0.9, high=0.9)),
    "det": (ops.det, drawn(4, 3, 3)),
}


def to_half(arrays, dtype):
    """The arrays in 16 bits, and the same values in float32."""
    narrow = [a.astype(dtypes.to_numpy(dtype)) for a in arrays]
    return narrow, [a.astype("float32") for a in narrow]


@halves
@pytest.mark.parametrize("name", CALLS)
def test_an_op_is_computed_in_float32_and_rounded_once(name, dtype):
    function, *arrays = CALLS[name]
    with kcore.backend("reference"):
        narrow, wide = to_half(arrays, dtype)
        if name == "multiply by a number":  # a number takes the dtype of what it meets
            number = np.float32(np.asarray(0.1, dtypes.to_numpy(dtype)))
            got, want = function(narrow[0]), wide[0] * number
        else:
            got, want = function(*narrow), function(*wide)
    assert dtypes.name_of(got.dtype) == dtype
    np.testing.assert_array_equal(np.asarray(got).view("uint16"), np.asarray(want).astype(got.dtype).view("uint16"))


@pytest.mark.parametrize("dtype", dtypes.FLOAT8)
@pytest.mark.parametrize("name", ["exp", "sum", "softmax", "erfinv", "det"])
def test_eight_bits_are_computed_in_float32_too(name, dtype):
    function, *arrays = CALLS[name]
    with kcore.backend("reference"):
        narrow, wide = to_half(arrays, dtype)
        got, want = function(*narrow), function(*wide)
    assert dtypes.name_of(got.dtype) == dtype
    np.testing.assert_array_equal(np.asarray(got).view("uint8"), np.asarray(want).astype(got.dtype).view("uint8"))


@halves
@pytest.mark.parametrize("bias", [True, False])
def test_a_dense_layer_gives_the_same_bits_while_its_gradient_is_taken(bias, dtype):
    with kcore.backend("reference"):
        (x, kernel, offset), _ = to_half([drawn(20, 33), drawn(33, 70), drawn(70)], dtype)
        arguments = [x, kernel, offset][: 2 + bias]

        def dense(*arguments):
            return ops.dense(*arguments, **({} if bias else {"bias": None}), activation="gelu")

        y, back = kcore.vjp(dense, *map(ops.convert_to_tensor, arguments))
        np.testing.assert_array_equal(np.asarray(y).view("uint16"), np.asarray(dense(*arguments)).view("uint16"))
        assert [dtypes.name_of(g.dtype) for g in back(y)] == [dtype] * len(arguments)


@halves
@pytest.mark.parametrize(
    "name", ["relu", "gelu", "dense gelu", "softmax", "matmul", "conv", "max_pool", "average_pool", "lstm"]
)
def test_a_gradient_is_near_that_in_float32(name, dtype):
    function, *arrays = CALLS[name]
    positions = tuple(range(len(arrays)))
    with kcore.backend("reference"):
        narrow, wide = to_half(arrays, dtype)

        def loss(*xs):
            return ops.sum(ops.cast(function(*xs), "float32"))

        for got, want in zip(kcore.grad(loss, positions)(*narrow), kcore.grad(loss, positions)(*wide), strict=True):
            assert dtypes.name_of(got.dtype) == dtype
            scale = max(1.0, float(np.max(abs(np.asarray(want)))))
            off = abs(np.asarray(got).astype("float32") - np.asarray(want))
            assert np.max(off) <= scale * (3e-2 if dtype == "bfloat16" else 4e-3)


@halves
def test_casts_keep_the_order_in_memory_and_round_to_even(dtype):
    to = dtypes.to_numpy(dtype)
    x = drawn(30, 5, 40)
    for view in (x, x.transpose(2, 0, 1), x[:, ::2], x[::-1], np.broadcast_to(x[:1], x.shape)):
        made = half.narrowed(view, to)
        np.testing.assert_array_equal(made.view("uint16"), view.astype(to).view("uint16"))
        np.testing.assert_array_equal(half.widened(made), view.astype(to).astype("float32"))
    assert half.narrowed(x.transpose(2, 0, 1), to).strides == (2, 400, 80)


def test_ops_that_are_left_in_16_bits_exist():
    backend = kcore.backends.load("reference")
    assert set(backend.ops) | {op.name for op in mechanism._PRIVATE} >= half.EXACT
