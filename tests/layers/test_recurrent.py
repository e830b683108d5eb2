"""Recurrent layers, their cells, and the layers around them."""

import numpy as np
import pytest

import kcore
from kcore import backends, layers, models, ops
from kcore.gradients import grad

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 5, 3)).astype("float32")
STEP = X[:, 0]
MASK = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1]], bool)
MASKED = {"call": {"mask": MASK}, "symbolic": False}
TRAINING = {"training": (True, True)}
SEQUENCES = {
    1: RNG.normal(size=(2, 3, 6, 3)).astype("float32"),
    2: RNG.normal(size=(2, 3, 6, 5, 3)).astype("float32"),
    3: RNG.normal(size=(2, 2, 4, 5, 4, 2)).astype("float32"),
}
KINDS = ("SimpleRNN", "LSTM", "GRU")


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    ("options", "given"),
    [
        ("activation='relu', use_bias=False, kernel_regularizer='l2', recurrent_constraint='max_norm'", {}),
        ("return_sequences=True, return_state=True", {}),
        ("go_backwards=True, return_sequences=True, unroll=True", {}),
        ("return_sequences=True", MASKED),
        ("return_state=True, go_backwards=True", MASKED),
        ("return_sequences=True, zero_output_for_mask=True", MASKED),
        ("stateful=True", {"training": (False, False), "symbolic": False}),
        ("dropout=0.3, seed=3", TRAINING),
        ("recurrent_dropout=0.3, seed=3", TRAINING),
        ("dropout=0.3, recurrent_dropout=0.3, seed=3, return_sequences=True", TRAINING),
    ],
)
def test_matches_keras(same_as_keras, name, options, given):
    same_as_keras(f"L.{name}(4, {options})", X, **given)


@pytest.mark.parametrize(
    ("expression", "options"),
    [
        ("L.GRU(4, reset_after=False)", {}),
        ("L.GRU(4, reset_after=False, recurrent_dropout=0.3, seed=2)", TRAINING),
        ("L.LSTM(4, unit_forget_bias=False, use_cudnn=False)", {}),
        ("L.LSTM(4, activity_regularizer='l1', dtype='mixed_bfloat16')", {"tol": 3e-2}),
        ("L.RNN(L.SimpleRNNCell(4), return_sequences=True)", {}),
        ("L.RNN([L.LSTMCell(4, dropout=0.2, seed=1), L.GRUCell(3)], return_state=True)", TRAINING),
        ("L.RNN(L.StackedRNNCells([L.SimpleRNNCell(4), L.GRUCell(3)]), return_sequences=True)", MASKED),
        ("L.Bidirectional(L.LSTM(4))", {}),
        ("L.Bidirectional(L.GRU(4, return_sequences=True), merge_mode='ave')", MASKED),
        ("L.Bidirectional(L.LSTM(4, return_sequences=True, return_state=True), merge_mode=None)", {}),
        ("L.Bidirectional(L.GRU(4), 'sum', backward_layer=L.GRU(4, go_backwards=True, activation='relu'))", {}),
        ("L.Bidirectional(L.SimpleRNN(4, stateful=True), 'mul')", {"training": (False, False), "symbolic": False}),
    ],
)
def test_options_match_keras(same_as_keras, expression, options):
    same_as_keras(expression, X, **options)


@pytest.mark.parametrize(
    ("expression", "x", "options"),
    [
        ("L.TimeDistributed(L.Dense(4))", X, {}),
        ("L.TimeDistributed(L.Conv2D(4, 2))", SEQUENCES[2], {}),
        ("L.TimeDistributed(L.BatchNormalization())", X, {"training": (True, False)}),
        (
            "L.TimeDistributed(L.LSTM(4))",
            SEQUENCES[1],
            {"call": {"mask": RNG.random((2, 3, 6)) > 0.4}, "symbolic": False},
        ),
    ],
)
def test_time_distributed_matches_keras(same_as_keras, expression, x, options):
    same_as_keras(expression, x, **options)


@pytest.mark.parametrize(
    ("rank", "options", "given"),
    [
        *((rank, "padding='same', return_sequences=True, return_state=True", {}) for rank in (1, 2, 3)),
        (1, "strides=2, go_backwards=True, use_bias=False", {}),
        (2, "dilation_rate=2, activation='relu', unit_forget_bias=False", {}),
        (2, "stateful=True", {"training": (False, False), "symbolic": False}),
        (2, "dropout=0.3, recurrent_dropout=0.2, seed=4", TRAINING),
    ],
)
def test_conv_lstm_matches_keras(same_as_keras, rank, options, given):
    same_as_keras(f"L.ConvLSTM{rank}D(4, 2, {options})", SEQUENCES[rank], **given)


def test_conv_lstm_matches_keras_in_channels_first(same_as_keras):
    same_as_keras("L.ConvLSTM2D(4, 2, data_format='channels_first')", np.moveaxis(SEQUENCES[2], -1, 2))


@pytest.mark.parametrize("name", KINDS)
def test_cells_match_keras(pair, name):
    ours, theirs = pair(f"L.RNN(L.{name}Cell(4))", X)
    states = [RNG.normal(size=(2, 4)).astype("float32") for _ in range(2 if name == "LSTM" else 1)]
    y, made = ours.cell(STEP, states)
    want, theirs_made = theirs.cell(STEP, states)
    np.testing.assert_allclose(y, want, rtol=1e-5, atol=1e-6)
    for a, b in zip(made, theirs_made, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert ours.cell.get_config() | {"name": ""} == {**theirs.cell.get_config(), "name": ""}


@pytest.mark.parametrize(
    "make",
    [
        *(lambda name=name, **given: getattr(layers, name)(4, **given) for name in KINDS),
        lambda **given: layers.Bidirectional(layers.LSTM(4, **given)),
        lambda **given: layers.RNN([layers.GRUCell(4), layers.LSTMCell(3)], **given),
    ],
)
def test_a_masked_end_is_as_if_it_were_cut(make):
    mask = np.arange(5) < np.array([[3], [3]])
    layer = make()
    np.testing.assert_allclose(layer(X, mask=mask), layer(X[:, :3]), rtol=1e-5, atol=1e-6)


def test_conv_lstm_leaves_out_masked_steps():
    x = SEQUENCES[2]
    layer = layers.ConvLSTM2D(2, 2, return_sequences=True)
    mask = np.array([[True, False, True], [True, True, False]])
    y = np.asarray(layer(np.where(mask[:, :, None, None, None], x, np.nan), mask=mask))
    np.testing.assert_array_equal(y[0, 1], y[0, 0])
    np.testing.assert_allclose(y[0, 2], np.asarray(layer(x[:1, [0, 2]]))[0, 1], rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"activation": "relu"}], ids=["whole", "by steps"])
@pytest.mark.parametrize("name", KINDS)
def test_nan_at_masked_steps_has_no_part_in_gradients(name, options):
    layer = getattr(layers, name)(4, **options)
    layer(X)
    values, rest = ([v.value for v in some] for some in (layer.trainable_variables, layer.non_trainable_variables))

    def gradients(x):
        def loss(*values):
            return ops.sum(layer.stateless_call(list(values), rest, x, mask=MASK)[0])

        return grad(loss, tuple(range(len(values))))(*values)

    for got, want in zip(gradients(np.where(MASK[:, :, None], X, np.nan)), gradients(X), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_initial_states_come_from_the_call_too(pair):
    states = [RNG.normal(size=(2, 4)).astype("float32") for _ in range(2)]
    for expression, given in (("L.LSTM(4)", states), ("L.Bidirectional(L.GRU(4))", states)):
        ours, theirs = pair(expression, X)
        np.testing.assert_allclose(ours(X, initial_state=given), theirs(X, initial_state=given), rtol=1e-5, atol=1e-6)


def test_an_encoder_hands_its_state_to_a_decoder_in_a_functional_model():
    source, target = layers.Input((None, 3)), layers.Input((None, 3))
    _, *states = layers.LSTM(4, return_state=True)(source)
    y = layers.LSTM(4, return_sequences=True)(target, initial_state=states)
    model = models.Model([source, target], y)
    assert model([X, X]).shape == (2, 5, 4)
    again = models.Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_allclose(again([X, X[:, :3]]), model([X, X[:, :3]]), rtol=1e-6)


def test_a_layer_of_a_callable_cell_and_one_of_several_states():
    class Plain:
        state_size = (3, 2)

        def __call__(self, x, states):
            total, count = states
            total = total + x
            return total / (count[:, :1] + 1), [total, count + 1]

    y, total, count = layers.RNN(Plain(), return_state=True)(X)
    np.testing.assert_allclose(y, X.mean(1), rtol=1e-5)
    np.testing.assert_allclose(total, X.sum(1), rtol=1e-5)
    assert (np.asarray(count) == 5).all()


def test_a_stateful_layer_goes_on_where_it_stopped_and_starts_again_when_reset():
    layer = layers.GRU(4, stateful=True)
    plain = layers.GRU(4)
    layer(X[:, :2])
    plain.build(X.shape)
    plain.set_weights(layer.get_weights())
    np.testing.assert_allclose(layer(X[:, 2:]), plain(X), rtol=1e-5, atol=1e-6)
    layer.reset_state()
    np.testing.assert_allclose(layer(X[:, :2]), plain(X[:, :2]), rtol=1e-5, atol=1e-6)


BUILDERS = [
    *(lambda name=name: getattr(layers, name)(4, return_sequences=True) for name in KINDS),
    lambda: layers.Bidirectional(layers.GRU(4, reset_after=False, return_sequences=True)),
    lambda: layers.RNN([layers.LSTMCell(4), layers.SimpleRNNCell(3)], go_backwards=True),
    lambda: layers.TimeDistributed(layers.Dense(2)),
]


@pytest.mark.parametrize("name", ["jax", "tensorflow", "torch"])
def test_backends_agree_on_values_and_gradients(name):
    if name not in backends.installed():
        pytest.skip(f"{name} is not installed")

    def outcome(make, weights, masked):
        layer = make()
        given = {"mask": MASK} if masked else {}
        layer(X)
        layer.set_weights(weights)
        found = [ops.convert_to_numpy(layer(X, **given))]

        def loss(*values):
            rest = [v.value for v in layer.non_trainable_variables]
            outputs, _ = layer.stateless_call(list(values), rest, X, **given)
            return ops.sum(ops.square(outputs))

        values = [ops.convert_to_tensor(w) for w in weights]
        found += [ops.convert_to_numpy(g) for g in grad(loss, tuple(range(len(values))))(*values)]
        return found

    for i, make in enumerate(BUILDERS):
        layer = make()
        layer(X)
        weights = [RNG.normal(size=w.shape).astype("float32") / 2 for w in layer.weights]
        want = outcome(make, weights, masked=i < 5)
        with backends.use(name):
            found = outcome(make, weights, masked=i < 5)
        for a, b in zip(found, want, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


def test_fit_learns_to_sum_on_every_backend(backend):
    kcore.utils.set_random_seed(1)
    x = np.random.default_rng(0).normal(size=(64, 6, 2)).astype("float32")
    y = np.cumsum(x.sum(-1), 1)[..., None]
    model = models.Sequential([layers.GRU(8, return_sequences=True), layers.TimeDistributed(layers.Dense(1))])
    model.compile(optimizer=kcore.optimizers.Adam(0.03), loss="mse")
    losses = model.fit(x, y, epochs=4, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize("name", ["reference", "jax", "tensorflow", "torch"])
def test_dropout_draws_the_same_on_every_backend(name):
    if name not in backends.installed():
        pytest.skip(f"{name} is not installed")
    make = lambda: layers.LSTM(4, dropout=0.4, recurrent_dropout=0.4, seed=1, kernel_initializer="ones")  # noqa: E731
    weights = [RNG.normal(size=shape).astype("float32") for shape in ((3, 16), (4, 16), (16,))]

    def run():
        layer = make()
        layer.build(X.shape)
        layer.set_weights(weights)
        return ops.convert_to_numpy(layer(X, training=True))

    want = run()
    with backends.use(name):
        np.testing.assert_allclose(run(), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", [*BUILDERS, lambda: layers.ConvLSTM1D(2, 2)])
def test_a_saved_model_comes_back(make, tmp_path):
    x = SEQUENCES[1] if isinstance(make(), layers.ConvLSTM1D) else X
    model = models.Sequential([layers.Input(x.shape[1:]), make()])
    model.save(tmp_path / "m.keras")
    again = kcore.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again(x), model(x), rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.LSTM(0), r"lstm_cell: units=0 should be an integer of at least 1"),
        (lambda: layers.GRU(3)(STEP), r"gru\w*: .* 3 dimensions; it has shape \(2, 3\)"),
        (lambda: layers.LSTM(3, dropout="a"), r"dropout='a' should be a number"),
        (lambda: layers.RNN(3), r"a cell is a callable with a state_size, .* not 3"),
        (lambda: layers.LSTM(4)(X, initial_state=[STEP]), r"the cell has 2 states, but initial_state has 1"),
        (lambda: layers.GRU(4)(X, initial_state=STEP), r"an initial state has shape \(2, 3\).*\(2, 4\)"),
        (lambda: layers.GRU(4, stateful=True).build((None, 5, 3)), r"needs to know the batch size.*\(None, 5, 3\)"),
        (lambda: layers.Bidirectional(layers.Dense(2)), r"is no recurrent layer"),
        (lambda: layers.Bidirectional(layers.GRU(2), "min"), r"merge_mode='min' should be one of"),
        (lambda: layers.Bidirectional(layers.GRU(2), backward_layer=layers.GRU(2)), r"one should go back"),
        (lambda: layers.TimeDistributed(layers.Dense(2))(STEP), r"at least 3 dimensions, .* not shape \(2, 3\)"),
        (lambda: layers.ConvLSTM2D(2, 2, padding="causal"), r"padding='causal' should be 'valid' or 'same'"),
        (lambda: layers.ConvLSTM2D(2, 2)(SEQUENCES[1]), r"5 dimensions; it has shape \(2, 3, 6, 3\)"),
    ],
)
def test_errors_say_what_came_and_what_was_expected(make, message):
    with pytest.raises(ValueError, match=message):
        make()
