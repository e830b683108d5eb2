"""Dense, EinsumDense, Embedding, Lambda, Masking, Identity, Wrapper; adapters."""

import numpy as np
import pytest

from kcore import _native, layers, naming, ops, saving
from kcore.gradients import grad, vjp

RNG = np.random.default_rng(0)
X2 = RNG.normal(size=(2, 3)).astype("float32")
X3 = RNG.normal(size=(2, 8, 3)).astype("float32")
X4 = RNG.normal(size=(2, 8, 9, 3)).astype("float32")
INDICES = np.array([[1, 2, 0], [3, 0, 4]])


@pytest.mark.parametrize(
    ("expression", "x", "options"),
    [
        ("L.Dense(4)", X2, {}),
        ("L.Dense(4, 'relu', use_bias=False, kernel_regularizer='l2', bias_constraint='non_neg')", X3, {}),
        ("L.Dense(4, activity_regularizer='l1', kernel_initializer='he_normal', trainable=False)", X4, {}),
        ("L.Dense(4, dtype='mixed_bfloat16')", X2, {"tol": 2e-2}),
        ("L.Dense(4, dtype='mixed_float16')", X2, {"tol": 2e-3}),
        ("L.Dense(4)", np.arange(6, dtype="int32").reshape(2, 3), {}),
        ("L.EinsumDense('abc,cd->abd', (None, 4), bias_axes='d', activation='tanh')", X3, {}),
        ("L.EinsumDense('ab...,bc->ac...', 5, bias_axes='c')", X4, {}),
        ("L.EinsumDense('abc,cde->abde', (None, 4, 2), bias_axes='de')", X3, {}),
        ("L.EinsumDense('abc,cde->abde', (8, 4, 2), bias_axes='e')", X3, {}),
        # Keras swaps sizes in its symbolic shape here.
        ("L.EinsumDense('...x,xy->...y', 4, bias_axes='y')", X4, {"symbolic": False}),
        ("L.Embedding(5, 4)", INDICES, {}),
        ("L.Embedding(5, 4, mask_zero=True, embeddings_regularizer='l2')", INDICES, {}),
        ("L.Embedding(5, 4, dtype='mixed_bfloat16')", INDICES, {"tol": 1e-2}),
        ("L.Embedding(5, 4)", INDICES.astype("float32"), {}),
        ("L.ReversibleEmbedding(5, 4)", INDICES, {}),
        ("L.ReversibleEmbedding(5, 4, tie_weights=False, logit_soft_cap=2.0)", INDICES, {}),
        ("L.Masking(0.0)", X3, {}),
        ("L.Identity()", X3, {}),
    ],
)
def test_matches_keras(same_as_keras, expression, x, options):
    same_as_keras(expression, x, **options)


@pytest.mark.parametrize(
    ("expression", "x"),
    [
        ("L.ReversibleEmbedding(5, 3)", X3),
        ("L.ReversibleEmbedding(5, 3, tie_weights=False, logit_soft_cap=2.0)", X3),
    ],
)
def test_reversible_embedding_projects_back_as_in_keras(pair, expression, x):
    ours, theirs = pair(expression, INDICES)
    np.testing.assert_allclose(ours(x, reverse=True), theirs(x, reverse=True), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "expression",
    [
        "L.Dense(4)",
        "L.EinsumDense('ab,bc->ac', 4)",
        "L.Conv1D(4, 1)",
        "L.Embedding(5, 4, embeddings_initializer='ones')",
    ],
)
def test_adapters_are_named_and_saved_as_in_keras(pair, expression):
    x = INDICES if "Embedding" in expression else X3 if "Conv" in expression else X2
    ours, theirs = pair(expression, x)
    for layer in (ours, theirs):
        layer.enable_lora(2, lora_alpha=3)
    assert [(w.path, w.shape, w.trainable) for w in ours.weights] == [
        (w.path, tuple(w.shape), w.trainable) for w in theirs.weights
    ]
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        a.assign(np.full(a.shape, 0.5))
        b.assign(np.full(a.shape, 0.5))
    np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-5)
    assert ours.get_config()["lora_rank"] == theirs.get_config()["lora_rank"] == 2
    saved, wanted = {}, {}
    ours.save_own_variables(saved)
    theirs.save_own_variables(wanted)
    assert list(saved) == list(wanted)
    for key in saved:
        np.testing.assert_allclose(saved[key], np.asarray(wanted[key]), rtol=1e-5)


def test_an_adapter_starts_as_what_the_layer_was_and_reads_merged_files():
    layer = layers.Dense(4)
    before = np.asarray(layer(X2))
    layer.enable_lora(2)
    np.testing.assert_allclose(layer(X2), before, rtol=1e-6)
    layer.lora_kernel_b.assign(np.ones((2, 4)))
    changed, store = np.asarray(layer(X2)), {}
    layer.save_own_variables(store)
    layer.load_own_variables(store)
    np.testing.assert_allclose(layer(X2), changed, rtol=1e-5)
    assert layer.trainable_weights == [layer.bias, layer.lora_kernel_a, layer.lora_kernel_b]


def test_a_lora_rank_in_the_constructor_enables_the_adapter_at_build():
    layer = layers.Dense(4, lora_rank=2)
    layer.build((None, 3))
    assert layer.lora_enabled
    assert [w.name for w in layer.weights] == ["kernel", "bias", "lora_kernel_a", "lora_kernel_b"]


def test_dense_activation_can_be_replaced():
    layer = layers.Dense(4)
    layer(X2)
    layer.activation = ops.relu
    assert np.asarray(layer(X2)).min() >= 0


@pytest.mark.parametrize("units", [3, 400])  # 400 are enough for a kernel
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ["relu", "tanh", "silu", "gelu", ops.gelu])
def test_dense_gives_the_bits_of_its_parts_and_their_gradients(activation, bias, units):
    layer, plain = layers.Dense(units, activation, use_bias=bias), layers.Dense(units, use_bias=bias)
    x = ops.convert_to_tensor(X3)
    layer(x), plain(x)
    plain.set_weights(layer.get_weights() if not bias else [layer.kernel, RNG.normal(size=units)])
    layer.set_weights(plain.get_weights())

    def fused(x, scale):
        return layer(x * scale)

    def apart(x, scale):
        return layer.activation(plain(x * scale))

    np.testing.assert_array_equal(layer(x), apart(x, 1.0))
    y, back = vjp(fused, x, ops.convert_to_tensor(1.0))
    np.testing.assert_array_equal(y, layer(x))
    for got, want in zip(back(ops.cos(y)), vjp(apart, x, ops.convert_to_tensor(1.0))[1](ops.cos(y)), strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("activation", ["linear", "relu", "sigmoid", "silu", "gelu", "gelu_tanh"])
def test_dense_without_the_extension_differs_by_rounding(monkeypatch, activation):
    arguments = [ops.convert_to_tensor(a) for a in (X3, X3[0, :, :].T.copy(), X3[1, :, 0])]

    def results():
        y, back = vjp(lambda *xs: ops.dense(*xs, activation), *arguments)
        return y, *back(ops.cos(y))

    want = results()
    monkeypatch.setattr(_native, "available", False)
    monkeypatch.setattr(_native, "kernels", None)
    for got, y in zip(results(), want, strict=True):
        np.testing.assert_allclose(got, y, rtol=1e-5, atol=1e-5)


def test_dense_takes_a_layer_as_its_activation_and_owns_its_weights():
    layer = layers.Dense(4, activation=layers.PReLU())
    layer(X2)
    assert [w.name for w in layer.weights] == ["kernel", "bias", "alpha"]
    again = layers.deserialize(layers.serialize(layer))
    assert isinstance(again.activation, layers.PReLU)


def test_embedding_gives_nan_for_an_index_that_is_no_row():
    y = np.asarray(layers.Embedding(3, 2)(np.array([5, -1, 2])))
    assert np.isnan(y[0]).all()
    np.testing.assert_array_equal(y[1], y[2])


def test_embedding_starts_with_the_weights_given():
    table = np.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(layers.Embedding(3, 2, weights=[table])(np.array([2, 0])), table[[2, 0]])


def test_masking_masks_an_infinite_value_too():
    x = np.array([[[np.inf, np.inf], [1.0, np.inf]]], "float32")
    layer = layers.Masking(np.inf)
    np.testing.assert_array_equal(layer(x), [[[0, 0], [1, np.inf]]])
    np.testing.assert_array_equal(layer.compute_mask(x), [[False, True]])


# -- Lambda -----------------------------------------------------------------------------


def test_lambda_passes_mask_training_and_arguments():
    seen = {}

    def function(x, scale, mask=None, training=None):
        seen.update(mask=mask, training=training)
        return x * scale

    layer = layers.Lambda(function, arguments={"scale": 3})
    np.testing.assert_allclose(layer(X2, mask=X2[..., 0] > 0, training=True), 3 * X2)
    assert seen["training"] is True
    assert seen["mask"].shape == (2,)


def test_lambda_with_code_is_refused_unless_it_is_trusted():
    config = layers.Lambda(lambda x: x * 2, name="twice").get_config()
    with pytest.raises(ValueError, match=r"'twice' holds Python code"):
        layers.Lambda.from_config(config)
    with pytest.raises(ValueError, match=r"'twice' holds Python code"):
        saving.deserialize_keras_object(layers.serialize(layers.Lambda(lambda x: x * 2, name="twice")))
    np.testing.assert_allclose(layers.Lambda.from_config(config, safe_mode=False)(X2), 2 * X2)


def test_lambda_code_carries_defaults_and_closure():
    factor = 5
    layer = layers.Lambda(lambda x, plus=1: x * factor + plus)
    again = layers.Lambda.from_config(layer.get_config(), safe_mode=False)
    np.testing.assert_allclose(again(X2), 5 * X2 + 1, rtol=1e-6)


def test_lambda_reads_keras_code(pair):
    _, theirs = pair("L.Lambda(lambda x: x * 3)", X2)
    np.testing.assert_allclose(layers.Lambda.from_config(theirs.get_config(), safe_mode=False)(X2), 3 * X2)


def test_lambda_output_shape_is_taken_at_its_word():
    x = ops.symbolic.KerasTensor((None, 3))
    assert layers.Lambda(lambda x: x, output_shape=(7,))(x).shape == (None, 7)
    assert layers.Lambda(lambda x: x, output_shape=lambda s: (*s, 2))(x).shape == (None, 3, 2)
    assert layers.Lambda(lambda x: ops.sum(x, -1))(x).shape == (None,)


# -- Wrapper ----------------------------------------------------------------------------


def test_wrapper_owns_the_layer_and_comes_back_from_its_config():
    wrapper = layers.Wrapper(layers.Dense(2, name="inside"))
    wrapper.build((None, 3))
    assert [w.path.split("/")[-2:] for w in wrapper.weights] == [["inside", "kernel"], ["inside", "bias"]]
    again = layers.Wrapper.from_config(wrapper.get_config())
    assert again.layer.units == 2
    with pytest.raises(TypeError, match=r"Wrapper: layer should be a Layer, not 3"):
        layers.Wrapper(3)


# -- gradients, names, errors -----------------------------------------------------------


def test_gradients_reach_weights_and_inputs():
    layer = layers.Dense(4, "tanh")
    layer(X2)

    def loss(x, kernel, bias):
        outputs, _ = layer.stateless_call([kernel, bias], [], x)
        return ops.sum(ops.square(outputs))

    kernel, bias = (w.numpy() for w in layer.weights)
    gx, gk, gb = grad(loss, (0, 1, 2))(X2, kernel, bias)
    h = np.tanh(X2 @ kernel + bias)
    g = 2 * h * (1 - h**2)
    np.testing.assert_allclose(gx, g @ kernel.T, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gk, X2.T @ g, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gb, g.sum(0), rtol=1e-4, atol=1e-5)


def test_automatic_names_count_by_class():
    naming.reset_names()
    assert [layers.Dense(1).name, layers.Dense(1).name, layers.PReLU().name] == ["dense", "dense_1", "p_re_lu"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Dense(0), r"dense\w*: units=0 should be an integer of at least 1"),
        (lambda: layers.Dense(2.5), r"dense\w*: units=2.5 should be an integer of at least 1"),
        (lambda: layers.Dense(True), r"units=True should be"),
        (lambda: layers.Dense(3, foo=1), r"Dense: there is no argument 'foo'"),
        (lambda: layers.Dense(3, "nothing"), r"no activation 'nothing'"),
        (lambda: layers.Dense(3)(np.ones(3)), r"dense\w*: .* at least 2 dimensions; it has shape \(3,\)"),
        (lambda: layers.Dense(3).build((2, None)), r"size of the inputs along axis -1 should be known .* \(2, None\)"),
        (lambda: layers.Embedding(0, 2), r"embedding\w*: input_dim=0 should be"),
        (lambda: layers.EinsumDense("ab", 3).build((2, 3)), r"should be of the form 'inputs,kernel->result'"),
        (lambda: layers.EinsumDense("abc,cd->abd", (4, 4)).build((2, 3, 5)), r"has size 4 for axis 'b' .* have 3"),
        (lambda: layers.EinsumDense("abc,cd->abd", 4).build((2, 3, 5)), r"output_shape=\(4,\) should have 2 sizes"),
        (lambda: layers.EinsumDense("abc,cd->abe", (None, 4)).build((2, 3, 5)), r"tell the size of axis 'd'"),
        (lambda: layers.EinsumDense("abc,cd->abd", (None, 4)).build((2, 3)), r"don't have the axes of equation"),
        (lambda: layers.EinsumDense("ab,bc->ac", 3, bias_axes="q").build((2, 3)), r"bias_axes='q' has 'q'"),
        (lambda: layers.Dense(3).enable_lora(2), r"build the layer before enable_lora"),
    ],
)
def test_errors_name_the_layer_what_came_and_what_was_expected(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_built_layer_refuses_inputs_of_another_size():
    layer = layers.Dense(3, name="last")
    layer(X2)
    with pytest.raises(ValueError, match=r"last: the input should have size 3 along axis -1; it has shape \(2, 5\)"):
        layer(np.ones((2, 5)))
