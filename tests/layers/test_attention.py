"""Attention layers."""

import numpy as np
import pytest

from kcore import layers, ops
from kcore.layers.masks import set_mask

RNG = np.random.default_rng(0)


def real(*shape):
    return RNG.normal(size=shape).astype("float32")


Q, V, K = real(2, 4, 6), real(2, 5, 6), real(2, 5, 6)
Q_MASK = np.array([[1, 1, 1, 0], [1, 0, 1, 1]], bool)
V_MASK = np.array([[1, 1, 0, 1, 0], [1, 1, 1, 1, 1]], bool)
PAIRS = np.tril(np.ones((2, 4, 5), bool))


@pytest.mark.parametrize(
    ("expression", "inputs", "call"),
    [
        ("L.Attention()", [Q, V], {}),
        ("L.Attention(use_scale=True, score_mode='concat')", [Q, V], {}),
        ("L.Attention(use_scale=True)", [Q, V, K], {}),
        ("L.Attention()", [Q, V, K], {"mask": [Q_MASK, V_MASK]}),
        ("L.Attention()", [Q, V], {"use_causal_mask": True}),
        ("L.Attention()", [Q, V], {"return_attention_scores": True, "mask": [None, V_MASK]}),
        ("L.AdditiveAttention()", [Q, V], {}),
        ("L.AdditiveAttention(use_scale=False)", [Q, V, K], {"mask": [Q_MASK, V_MASK]}),
        ("L.AdditiveAttention()", [Q, V], {"return_attention_scores": True, "use_causal_mask": True}),
    ],
)
def test_dense_attention_matches_keras(same_as_keras, expression, inputs, call):
    same_as_keras(expression, *inputs, call=call, symbolic=False)


MULTI = [
    ("L.MultiHeadAttention(2, 3)", {}),
    # Keras on JAX takes its own attention op where no scores are asked for, which lacks another value_dim.
    ("L.MultiHeadAttention(2, 3, value_dim=4, output_shape=5, use_bias=False)", {"return_attention_scores": True}),
    ("L.MultiHeadAttention(2, 3, kernel_initializer='he_normal', bias_regularizer='l2')", {}),
    ("L.MultiHeadAttention(2, 3)", {"return_attention_scores": True}),
    ("L.MultiHeadAttention(2, 3)", {"attention_mask": PAIRS}),
    ("L.MultiHeadAttention(2, 3)", {"use_causal_mask": True, "return_attention_scores": True}),
    ("L.MultiHeadAttention(2, 3)", {"query_mask": Q_MASK, "value_mask": V_MASK}),
    ("L.MultiHeadAttention(2, 3, use_gate=True)", {}),
    ("L.MultiHeadAttention(2, 3, dropout=0.5)", {}),
    ("L.MultiHeadAttention(2, 3, dtype='mixed_bfloat16')", {}),
    ("L.GroupQueryAttention(3, 4, 2)", {}),
    ("L.GroupQueryAttention(3, 4, 2)", {"return_attention_scores": True, "use_causal_mask": True}),
    ("L.GroupQueryAttention(3, 4, 4, use_bias=False)", {"attention_mask": PAIRS}),
    ("L.GroupQueryAttention(3, 2, 1)", {"value_mask": V_MASK}),
]


@pytest.mark.parametrize(("expression", "call"), MULTI)
def test_attention_of_many_heads_matches_keras(both, expression, call):
    ours, theirs = both(expression)
    given = {"value": V, "key": K, **call}
    ours(Q, **given)
    theirs(Q, **given)
    assert [w.path.split("/")[1:] for w in ours.weights] == [w.path.split("/")[1:] for w in theirs.weights]
    assert [tuple(w.shape) for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        value = 0.5 * RNG.normal(size=a.shape)
        a.assign(value)
        b.assign(value)
    y, want = ours(Q, **given), theirs(Q, **given)
    tol = 5e-2 if "bfloat16" in expression else 2e-5
    for a, b in zip(*((t if isinstance(t, (list, tuple)) else [t]) for t in (y, want)), strict=True):
        a, b = np.asarray(a, "float32"), np.asarray(b, "float32")
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=tol, atol=tol)
    shapes = [
        ours.compute_output_shape(Q.shape, V.shape, K.shape),
        theirs.compute_output_shape(Q.shape, V.shape, K.shape),
    ]
    assert tuple(shapes[0]) == tuple(shapes[1])
    assert type(ours).from_config(ours.get_config()).get_config() == ours.get_config()


def test_attention_axes_may_be_several(both):
    x = real(2, 3, 4, 6)
    ours, theirs = both("L.MultiHeadAttention(2, 3, attention_axes=(1, 2))")
    ours(x, x)
    theirs(x, x)
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(ours(x, x), theirs(x, x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "make", [lambda: layers.MultiHeadAttention(2, 3), lambda: layers.GroupedQueryAttention(3, 2, 1)]
)
def test_what_is_masked_is_as_if_it_were_cut(make):
    layer = make()
    mask = np.arange(5) < np.array([[3], [3]])
    whole = layer(Q, V, value_mask=mask)
    np.testing.assert_allclose(whole, layer(Q, V[:, :3]), rtol=1e-4, atol=1e-5)
    carried = ops.convert_to_tensor(V)
    set_mask(carried, mask)
    np.testing.assert_allclose(layer(Q, carried), whole, rtol=1e-5, atol=1e-6)


def test_backends_agree(backend):
    weights = [RNG.normal(size=s) for s in ((6, 2, 3), (2, 3), (6, 2, 3), (2, 3), (6, 2, 3), (2, 3), (2, 3, 6), (6,))]
    from kcore import backends

    def run():
        layer = layers.MultiHeadAttention(2, 3)
        layer.build(Q.shape, V.shape)
        layer.set_weights(weights)
        return ops.convert_to_numpy(layer(Q, V, use_causal_mask=True))

    got = run()
    with backends.use("reference"):
        np.testing.assert_allclose(got, run(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.MultiHeadAttention(0, 3), r"num_heads=0 should be"),
        (lambda: layers.MultiHeadAttention(2, -1), r"key_dim=-1 should be"),
        (lambda: layers.GroupedQueryAttention(3, 4, 3), r"num_query_heads=4"),
        (lambda: layers.Attention(score_mode="sum"), r"score_mode='sum' should be"),
        (lambda: layers.Attention()(Q), r"attention\w*: "),
    ],
)
def test_errors_say_what_came_and_what_was_expected(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()
