"""Attention by kernels against its formula in long doubles, and against the op's portable body."""

import numpy as np
import pytest

import kcore
from kcore import ops

LONG = np.longdouble
EPS = {"float32": 2.0**-24, "float64": 2.0**-53}
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
# batch, queries, keys, key heads, heads for each, depth, value depth
SIZES = [
    (1, 1, 1, 1, 1, 1, 1),
    (2, 3, 5, 1, 2, 4, 3),
    (1, 14, 32, 2, 1, 16, 32),
    (2, 15, 33, 1, 3, 17, 31),
    (1, 130, 260, 1, 1, 8, 40),
    (1, 257, 129, 2, 1, 33, 5),
    (1, 40, 700, 1, 2, 20, 16),
    (3, 1, 64, 2, 2, 64, 64),
    (1, 300, 1100, 1, 1, 5, 70),
    (2, 1, 1300, 2, 2, 40, 33),  # few queries: keys and values are not packed, but cut into chunks
    (1, 4, 515, 1, 3, 17, 70),
    (2, 2, 70, 3, 1, 64, 64),
]
every_size = pytest.mark.parametrize("sizes", SIZES, ids=lambda s: "x".join(map(str, s)))
KINDS = ["plain", "causal", "mask", "bias", "cap", "causal mask", "causal mask bias cap"]


class Call:
    """Random arguments of one kind, and what attention and its gradients are by the formula."""

    def __init__(self, rng, sizes, kind, dtype):
        batch, rows, columns, key_heads, group, depth, value_depth = sizes
        heads = key_heads * group

        def drawn(*shape):
            x = rng.standard_normal(shape).astype(dtype)
            x.flags.writeable = False
            return x

        def some(*shape):
            return [d if rng.random() < 0.6 else 1 for d in shape]

        logits = (batch, heads, rows, columns)
        self.q, self.k = drawn(batch, rows, heads, depth), drawn(batch, columns, key_heads, depth)
        self.v, self.g = drawn(batch, columns, key_heads, value_depth), drawn(batch, rows, heads, value_depth)
        self.bias = drawn(*some(*logits)) if "bias" in kind else None
        self.mask = rng.random(some(*logits)) < 0.4 if "mask" in kind else None
        self.scale, self.causal, self.cap = depth**-0.5, "causal" in kind, 1.5 if "cap" in kind else 0.0
        self.how = (self.bias, self.mask, self.scale, self.causal, self.cap)
        self.inputs, self.group = (self.q, self.k, self.v), group

    def expected(self):
        """y, and the gradients of sum(g * y) by q, k, v and the logits."""
        q, g = self.q.astype(LONG), self.g.astype(LONG)
        k, v = (np.repeat(t.astype(LONG), self.group, 2) for t in (self.k, self.v))
        logits = np.einsum("bqhd,bkhd->bhqk", q, k) * LONG(self.scale)
        slope = 1
        if self.cap:
            bent = np.tanh(logits / self.cap)
            logits, slope = self.cap * bent, 1 - bent**2
        if self.bias is not None:
            logits = logits + self.bias
        seen = np.ones(logits.shape, bool) if self.mask is None else np.broadcast_to(self.mask, logits.shape)
        if self.causal:
            seen = seen & np.tri(*logits.shape[-2:], dtype=bool)
        logits = np.where(seen, logits, -2e38)
        p = np.exp(logits - logits.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        rise = np.einsum("bqhd,bkhd->bhqk", g, v)
        dlogits = p * (rise - (p * rise).sum(-1, keepdims=True)) * seen
        bent = dlogits * slope * self.scale
        dk, dv = np.einsum("bhqk,bqhd->bkhd", bent, q), np.einsum("bhqk,bqhd->bkhd", p, g)
        dk, dv = (t.reshape(*t.shape[:2], -1, self.group, t.shape[3]).sum(3) for t in (dk, dv))
        return np.einsum("bhqk,bkhd->bqhd", p, v), np.einsum("bhqk,bkhd->bqhd", bent, k), dk, dv, dlogits


def close(got, want, eps, units):
    scale = max(1.0, float(np.max(np.abs(want))))
    np.testing.assert_allclose(got.astype(LONG), want, rtol=0, atol=units * eps * scale)


@both_dtypes
@pytest.mark.parametrize("kind", KINDS)
@every_size
def test_attention_and_its_gradients_match_the_formula(kernels, rng, sizes, kind, dtype):
    call = Call(rng, sizes, kind, dtype)
    want, *wanted = call.expected()
    y, peak, total = kernels.attention(*call.inputs, *call.how)
    assert y.dtype == dtype
    close(y, want, EPS[dtype], 40)
    found = kernels.attention_grad(call.g, *call.inputs, *call.how, y, peak, total, True)
    for got, want in zip(found, wanted, strict=True):
        close(got, want, EPS[dtype], 120)


@both_dtypes
@pytest.mark.parametrize("kind", ["plain", "causal mask bias cap"])
@pytest.mark.parametrize("sizes", SIZES[3:], ids=lambda s: "x".join(map(str, s)))
def test_the_number_of_threads_changes_no_bit(kernels, rng, sizes, kind, dtype):
    call = Call(rng, sizes, kind, dtype)
    one, three = (kernels.attention(*call.inputs, *call.how, threads) for threads in (1, 3))
    for a, b in zip(one, three, strict=True):
        np.testing.assert_array_equal(a, b)
    one, three = (kernels.attention_grad(call.g, *call.inputs, *call.how, *one, True, threads) for threads in (1, 3))
    for a, b in zip(one, three, strict=True):
        np.testing.assert_array_equal(a, b)


@both_dtypes
@pytest.mark.parametrize("causal", [False, True])
def test_a_query_that_sees_nothing_averages_and_its_logits_pull_on_nothing(kernels, rng, causal, dtype):
    call = Call(rng, (1, 40, 300, 1, 1, 8, 8), "plain", dtype)
    mask = np.ones((1, 1, 40, 1), bool)
    mask[..., 7, :] = False
    how = (None, mask, call.scale, causal, 0.0)
    y, peak, total = kernels.attention(*call.inputs, *how)
    close(y[0, 7], call.v.astype(LONG).mean(1)[0], EPS[dtype], 8)
    alone = np.zeros_like(call.g)
    alone[0, 7] = call.g[0, 7]
    dq, dk, dv, dlogits = kernels.attention_grad(alone, *call.inputs, *how, y, peak, total, True)
    for zero in (dq, dk, dlogits):
        np.testing.assert_array_equal(zero, 0)
    close(dv[0], np.broadcast_to(call.g[0, 7].astype(LONG) / 300, dv[0].shape), EPS[dtype], 8)


@both_dtypes
def test_logits_far_apart_or_infinite_stay_what_the_softmax_makes_of_them(kernels, rng, dtype):
    call = Call(rng, (1, 6, 600, 1, 1, 4, 4), "plain", dtype)
    bias = np.zeros((1, 1, 6, 600), dtype)
    bias[0, 0, 0, 599] = 1e4  # the last block has it all
    bias[0, 0, 1, :300] = -np.inf  # a block and more of nothing first
    bias[0, 0, 2] = -np.inf
    bias[0, 0, 3, 400] = np.inf
    bias[0, 0, 4, 10] = np.nan
    y, _, _ = kernels.attention(*call.inputs, bias, None, call.scale)
    np.testing.assert_array_equal(y[0, 0], call.v[0, 599])
    rest, _, _ = kernels.attention(call.q, call.k[:, 300:].copy(), call.v[:, 300:].copy(), None, None, call.scale)
    close(y[0, 1], rest[0, 1].astype(LONG), EPS[dtype], 8)
    assert np.isnan(y[0, 2:5]).all()
    assert np.isfinite(y[0, 5]).all()


def test_arguments_that_do_not_fit_are_errors(kernels):
    q, k = np.zeros((1, 3, 4, 2), "float32"), np.zeros((1, 5, 2, 2), "float32")
    for wrong in (k[..., :1].copy(), k[:, :, :0].copy(), np.zeros((2, 5, 2, 2), "float32")):
        with pytest.raises(ValueError, match="expected shape|no attention"):
            kernels.attention(q, wrong, wrong)
    with pytest.raises(ValueError, match="no attention"):
        kernels.attention(q, np.zeros((1, 5, 3, 2), "float32"), np.zeros((1, 5, 3, 2), "float32"))
    with pytest.raises(TypeError, match="bool mask"):
        kernels.attention(q, k, k, None, np.zeros((3, 5), "uint8"))
    for part in (np.zeros((5, 3), "float32"), np.zeros((1, 1, 1, 3, 5), "float32")):
        with pytest.raises(ValueError, match="broadcasts"):
            kernels.attention(q, k, k, part)
    with pytest.raises(TypeError, match="one dtype"):
        kernels.attention(q, k, k.astype("float64"))
    y, peak, total = kernels.attention(q, k, k)
    with pytest.raises(ValueError, match="expected shape"):
        kernels.attention_grad(y, q, k, k, None, None, 1.0, False, 0.0, y, peak[:, :2].copy(), total)


OPTIONS = [
    {},
    {"is_causal": True},
    {"mask": np.arange(35).reshape(1, 1, 5, 7) % 3 > 0},
    {"mask": np.zeros((5, 7), bool), "is_causal": True},
    {"attn_logits_soft_cap": 0.5, "scale": 2.0},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: " ".join(o) or "plain")
def test_the_op_by_kernels_has_the_gradients_of_its_body(rng, options):
    q, k, v, bias = (rng.standard_normal(s) for s in ((2, 5, 4, 3), (2, 7, 2, 3), (2, 7, 2, 6), (4, 1, 7)))

    def first(flash):
        def loss(*parts):
            return ops.sum(ops.sin(ops.dot_product_attention(*parts, flash_attention=flash, **options)))

        return kcore.grad(loss, argnums=(0, 1, 2, 3))

    def second(flash):
        def norm(*parts):
            return ops.sum(ops.stack([ops.sum(ops.square(g)) for g in first(flash)(*parts)]))

        return kcore.grad(norm, argnums=(0, 1, 2, 3))

    for order in (first, second):
        for got, want in zip(order(None)(q, k, v, bias), order(False)(q, k, v, bias), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_floats_are_rounded_once(rng, dtype):
    parts = [ops.cast(rng.standard_normal((1, 9, 2, 8)), dtype) for _ in range(3)]
    y = ops.dot_product_attention(*parts)
    want = ops.dot_product_attention(*(ops.cast(p, "float32") for p in parts), flash_attention=False)
    assert kcore.dtypes.name_of(y.dtype) == dtype
    unit = {"float16": 2.0**-11, "bfloat16": 2.0**-8}[dtype]
    np.testing.assert_allclose(np.asarray(y, "float32"), want, rtol=2 * unit, atol=1e-5)
    grads = kcore.grad(lambda q: ops.sum(ops.cast(ops.dot_product_attention(q, *parts[1:]), "float32")))(parts[0])
    assert kcore.dtypes.name_of(grads.dtype) == dtype
