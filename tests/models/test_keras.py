"""What a user sees of a model, beside Keras's: summaries, names, shapes, clones, training reports."""

from __future__ import annotations

import functools
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import kcore
from kcore import naming, tree

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "saving"))
import peers
import zoo

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 4)).astype("float32")


@functools.cache
def library(name):
    module = kcore if name == "kcore" else peers.keras()
    return module, zoo.custom(module)


def both(make):
    """make(keras, custom classes) in kcore and in Keras."""
    found = []
    for name in ("kcore", "keras"):
        naming.reset_names()
        peers.keras().backend.clear_session()
        found.append(make(*library(name)))
    return found


def text_of(model, **options):
    """The summary, without the drawing: lines of cells, spaces folded."""
    parts = []
    model.summary(print_fn=lambda line, *_, **__: parts.append(line), **options)
    text = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(parts))
    return [re.sub(r"\s+", " ", line).strip() for line in text.splitlines() if line.strip(" ┃│━─┏┓└┘├┤┡┩╇┳┴┼┬╋")]


@pytest.mark.parametrize("name", [n for n in zoo.MODELS if n not in ("middle", "written")])
@pytest.mark.parametrize("options", [{}, {"expand_nested": True, "show_trainable": True, "line_length": 120}], ids=str)
def test_summaries_read_as_in_keras(name, options, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # Keras cuts columns off at the terminal's end
    ours, theirs = both(zoo.MODELS[name])
    assert text_of(ours, **options) == text_of(theirs, **options)


def names_of(structure):
    return tree.map_structure(lambda t: (tuple(t.shape), str(t.dtype)), structure)


@pytest.mark.parametrize("name", [n for n in zoo.MODELS if n not in ("written", "middle")])
def test_ends_and_layers_are_those_of_keras(name):
    ours, theirs = both(zoo.MODELS[name])
    ends = ("inputs", "outputs") if isinstance(ours, kcore.Sequential) else ("inputs", "outputs", "input", "output")
    for attribute in ends:
        assert names_of(getattr(ours, attribute)) == names_of(getattr(theirs, attribute)), attribute
    for attribute in ("input_shape", "output_shape", "name", "built", "trainable", "dtype", "compute_dtype"):
        assert getattr(ours, attribute) == getattr(theirs, attribute), attribute
    assert ours.count_params() == theirs.count_params()
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert [type(layer).__name__ for layer in ours.layers] == [type(layer).__name__ for layer in theirs.layers]
    groups = ("weights", "trainable_weights", "non_trainable_weights", "variables", "trainable_variables")
    for group in groups:
        assert [v.path for v in getattr(ours, group)] == [v.path for v in getattr(theirs, group)], group
    shape = tree.map_structure(lambda t: (7, *t.shape[1:]), ours.input)
    assert ours.compute_output_shape(shape) == theirs.compute_output_shape(shape)


@pytest.mark.parametrize("name", [n for n in zoo.MODELS if n not in ("written", "ready", "customs")])
def test_clones_are_those_of_keras(name):
    ours, theirs = both(lambda keras, made: keras.models.clone_model(zoo.MODELS[name](keras, made)))
    kinds = [[layer.name for layer in m.layers if type(layer).__name__ != "InputLayer"] for m in (ours, theirs)]
    assert kinds[0] == kinds[1]  # Keras names some inputs of a clone after their tensors
    assert [v.path for v in ours.weights] == [v.path for v in theirs.weights]
    assert ours.name == theirs.name
    model = zoo.fill(zoo.MODELS[name](*library("kcore")))
    clone = kcore.models.clone_model(model)
    clone.set_weights(model.get_weights())
    x = zoo.inputs_for(model)
    for a, b in zip(tree.flatten(clone(x)), tree.flatten(model(x)), strict=True):
        np.testing.assert_array_equal(np.asarray(a).astype("float32"), np.asarray(b).astype("float32"))
    assert not {id(v) for v in clone.weights} & {id(v) for v in model.weights}


def test_clones_with_functions_of_ones_own():
    def make(keras, made):
        x = keras.Input((4,))
        h = keras.layers.Dense(3, name="a")(x)
        model = keras.Model(x, keras.layers.Dropout(0.5, name="d")(keras.layers.Dense(2, name="b")(h)))

        def wider(layer):
            if isinstance(layer, keras.layers.Dense):
                return keras.layers.Dense(layer.units + 1, name=layer.name + "_wide")
            return layer.__class__.from_config(layer.get_config())

        def call(layer, *args, **kwargs):
            return args[0] if isinstance(layer, keras.layers.Dropout) else layer(*args, **kwargs)

        start = keras.Input((4,), name="start")
        return keras.models.clone_model(model, input_tensors=start, clone_function=wider, call_function=call)

    ours, theirs = both(make)
    assert (
        [layer.name for layer in ours.layers]
        == [layer.name for layer in theirs.layers]
        == ["start", "a_wide", "b_wide"]
    )
    assert ours.output_shape == theirs.output_shape == (None, 3)
    assert [v.shape for v in ours.weights] == [tuple(v.shape) for v in theirs.weights]


def test_clones_of_nested_models_layer_by_layer():
    def make(keras, made):
        def freeze(layer):
            new = layer.__class__.from_config(layer.get_config())
            new.trainable = not isinstance(layer, keras.layers.Dense)
            return new

        return keras.models.clone_model(zoo.nested(keras, made), clone_function=freeze, recursive=True)

    ours, theirs = both(make)
    assert [v.path for v in ours.weights] == [v.path for v in theirs.weights]
    assert [v.path for v in ours.trainable_weights] == [v.path for v in theirs.trainable_weights] == []


def test_sequential_models_grow_and_shrink_as_in_keras():
    def make(keras, made):
        model = keras.Sequential(name="s")
        facts = [(model.built, len(model.layers))]
        for step in (
            lambda: model.add(keras.Input((4,))),
            lambda: model.add(keras.layers.Dense(3, name="one")),
            lambda: model.add(keras.layers.Dense(2, name="two")),
            lambda: model.pop(),
            lambda: model.add(keras.layers.Dense(5, name="three")),
            lambda: model.pop(),
            lambda: model.pop(),
        ):
            step()
            shape = model.output_shape if model.built else None
            facts.append((model.built, [x.name for x in model.layers], [v.path for v in model.weights], shape))
        return facts

    ours, theirs = both(make)
    assert ours == theirs


# -- errors -------------------------------------------------------------------------------


def two_inputs(keras, made=None):
    a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b")
    return keras.Model({"a": a, "b": b}, keras.layers.Dense(2)(keras.layers.Concatenate()([a, b])))


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (lambda k: k.Sequential([k.Input((4,)), k.layers.Dense(2)])(np.ones((2, 5), "f4")), ("(2, 5)", "(None, 4)")),
        (lambda k: two_inputs(k)({"a": np.ones((2, 4), "f4")}), ("b",)),
        (lambda k: two_inputs(k)({"a": np.ones((2, 4), "f4"), "b": np.ones((2, 4), "f4")}), ("b", "(2, 4)")),
        (lambda k: two_inputs(k).get_layer("nothing"), ("nothing",)),
        (lambda k: two_inputs(k).get_layer(index=9), ("9",)),
        (lambda k: two_inputs(k).get_layer(), ()),
        (lambda k: k.Sequential([k.layers.Dense(2, name="x"), k.layers.Dense(2, name="x")]), ("x",)),
        (lambda k: k.Sequential([3]), ()),
        (lambda k: (k.Sequential().pop() and None) or k.Sequential().build((None, 3)), ()),
        (lambda k: k.Model(k.Input((3,)), k.Input((3,))), ()),
        (lambda k: k.Model(k.Input((3,)), np.ones(3)), ()),
        (lambda k: two_inputs(k).fit(X, X), ("compile",)),
    ],
)
def test_what_keras_refuses_is_refused(run, words):
    with pytest.raises(Exception) as theirs:
        run(peers.keras())
    with pytest.raises((ValueError, TypeError)) as ours:
        run(kcore)
    assert theirs.value
    for word in words:
        assert word in str(ours.value)


# -- training -----------------------------------------------------------------------------


def regression(keras, made=None):
    x = keras.Input((4,))
    h = keras.layers.Dense(5, activation="tanh")(x)
    h = keras.layers.BatchNormalization()(h)
    return keras.Model(x, keras.layers.Dense(1)(h))


def classification(keras, made=None):
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])


def heads(keras, made=None):
    x = keras.Input((4,))
    h = keras.layers.Dense(5, activation="tanh")(x)
    p = keras.layers.Dense(2, name="p")(h)
    q = keras.layers.Dense(3, activation="softmax", name="q", activity_regularizer="l2")(h)
    return keras.Model(x, [p, q])


def named_heads(keras, made=None):
    model = heads(keras)
    return keras.Model(model.input, {"first": model.outputs[0], "second": model.outputs[1]})


LABELS = RNG.integers(0, 3, 12)
ONE_HOT = np.eye(3, dtype="float32")[LABELS]
TARGETS = RNG.normal(size=(12, 2)).astype("float32")
WEIGHTS = RNG.uniform(0.2, 2, 12).astype("float32")

# make, compile arguments, y, fit arguments
RUNS = {
    "regression": (regression, lambda k: {"loss": "mse", "metrics": ["mae", "mse"]}, X[:, :1], {}),
    "weighted": (
        regression,
        lambda k: {
            "loss": k.losses.Huber(),
            "metrics": ["mae"],
            "weighted_metrics": ["mae", k.metrics.MeanSquaredError()],
        },
        X[:, :1],
        {"sample_weight": WEIGHTS},
    ),
    "a function": (
        regression,
        lambda k: {"loss": lambda y, p: k.ops.mean(k.ops.abs(y - p), axis=-1), "metrics": [lambda y, p: k.ops.max(p)]},
        X[:, :1],
        {},
    ),
    "sparse classes": (
        classification,
        lambda k: {
            "loss": "sparse_categorical_crossentropy",
            "metrics": ["accuracy", "sparse_top_k_categorical_accuracy"],
        },
        LABELS,
        {"class_weight": {0: 0.5, 2: 3.0}},
    ),
    "one-hot classes": (
        classification,
        lambda k: {
            "loss": "categorical_crossentropy",
            "metrics": ["acc", k.metrics.AUC(), k.metrics.Precision(name="p")],
            "weighted_metrics": ["accuracy"],
        },
        ONE_HOT,
        {"class_weight": {0: 0.5, 1: 2.0}},
    ),
    "two losses in a list": (
        heads,
        lambda k: {
            "loss": ["mse", "categorical_crossentropy"],
            "loss_weights": [0.5, 2.0],
            "metrics": [["mae"], ["accuracy"]],
        },
        [TARGETS, ONE_HOT],
        {},
    ),
    "two losses by name": (
        heads,
        lambda k: {
            "loss": {"q": "categorical_crossentropy", "p": "mae"},
            "loss_weights": {"p": 0.25, "q": 1.0},
            "metrics": {"q": ["accuracy", k.metrics.AUC(name="auc")]},
            "weighted_metrics": {"p": "mse"},
        },
        [TARGETS, ONE_HOT],
        {"sample_weight": [WEIGHTS, WEIGHTS[::-1].copy()]},
    ),
    "one loss of two": (heads, lambda k: {"loss": ["mse", None]}, [TARGETS, ONE_HOT], {}),
    "one loss for all": (
        heads,
        lambda k: {"loss": "mse", "metrics": [["mae"], []]},
        [TARGETS, ONE_HOT],
        {"sample_weight": [WEIGHTS, WEIGHTS]},
    ),
    "named outputs": (
        named_heads,
        lambda k: {"loss": {"first": "mse", "second": "categorical_crossentropy"}, "metrics": {"second": ["accuracy"]}},
        {"first": TARGETS, "second": ONE_HOT},
        {"sample_weight": {"first": WEIGHTS, "second": WEIGHTS[::-1].copy()}},
    ),
}


def compiled_pair(name):
    make, arguments, y, options = RUNS[name]
    pair = both(lambda keras, made: zoo.fill(make(keras)))
    for model, keras in zip(pair, (kcore, peers.keras()), strict=True):
        model.compile(keras.optimizers.SGD(0.05), **arguments(keras))
    return pair, y, options


def same_numbers(got, want, tol=2e-5):
    assert got.keys() == want.keys()
    for key in want:
        np.testing.assert_allclose(got[key], want[key], rtol=tol, atol=tol, err_msg=key)


@pytest.mark.parametrize("name", RUNS)
def test_training_reports_what_keras_does(name):
    (ours, theirs), y, options = compiled_pair(name)
    same = {"batch_size": 5, "shuffle": False, "verbose": 0}
    validation = (
        {}
        if "class_weight" in options or isinstance(y, dict)
        else {"validation_data": (X[:6], tree.map_structure(lambda a: a[:6], y))}
    )
    got = ours.fit(X, y, epochs=2, **same, **options, **validation).history
    want = theirs.fit(X, y, epochs=2, **same, **options, **validation).history
    same_numbers(got, want)
    weights = {k: v for k, v in options.items() if k == "sample_weight"}
    got, want = (m.evaluate(X, y, batch_size=5, verbose=0, return_dict=True, **weights) for m in (ours, theirs))
    same_numbers(got, want)
    if name != "weighted":  # Keras's list has a value twice where a metric is plain and weighted
        got, want = (m.evaluate(X, y, batch_size=5, verbose=0) for m in (ours, theirs))
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5)
    batch = X[:7], tree.map_structure(lambda a: a[:7], y)
    for method in ("train_on_batch", "test_on_batch"):
        got, want = (getattr(m, method)(*batch, return_dict=True) for m in (ours, theirs))
        same_numbers(got, want)
        if name != "weighted":
            got, want = (getattr(m, method)(*batch) for m in (ours, theirs))
            np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5)
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), np.asarray(b.numpy()), rtol=5e-5, atol=5e-5)
    got, want = (tree.flatten(m.predict_on_batch(X[:3])) for m in (ours, theirs))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


def test_a_subclass_with_steps_of_its_own():
    def make(keras, made):
        class Own(keras.Model):
            def __init__(self):
                super().__init__()
                self.dense = keras.layers.Dense(1)
                self.seen = keras.metrics.Mean(name="seen")

            def call(self, x, training=False):
                return self.dense(x) * (2.0 if training else 1.0)

            def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
                loss = keras.ops.mean(keras.ops.square(y - y_pred)) + 0.1 * keras.ops.mean(keras.ops.abs(y_pred))
                self.seen.update_state(loss)
                return loss

        model = Own()
        model(X)
        zoo.fill(model).compile(keras.optimizers.SGD(0.05))
        return model

    ours, theirs = both(make)
    options = {"batch_size": 5, "shuffle": False, "verbose": 0, "epochs": 2, "validation_data": (X, X[:, :1])}
    same_numbers(ours.fit(X, X[:, :1], **options).history, theirs.fit(X, X[:, :1], **options).history)


# -- functional use -----------------------------------------------------------------------


def test_stateless_call_is_the_call(backend):
    model = zoo.fill(regression(kcore))
    trainable = [v.value for v in model.trainable_variables]
    others = [v.value for v in model.non_trainable_variables]
    y, after = model.stateless_call(trainable, others, X, training=True)
    assert len(after) == len(others)
    before = [np.asarray(kcore.ops.convert_to_numpy(v)) for v in others]
    for v, b in zip(model.non_trainable_variables, before, strict=True):
        np.testing.assert_array_equal(v.numpy(), b)  # nothing was assigned
    want = model(X, training=True)
    np.testing.assert_allclose(kcore.ops.convert_to_numpy(y), kcore.ops.convert_to_numpy(want), rtol=1e-6)
    for v, a in zip(model.non_trainable_variables, after, strict=True):
        np.testing.assert_allclose(v.numpy(), kcore.ops.convert_to_numpy(a), rtol=1e-6)


def test_a_list_of_one_output_is_that_output():
    def make(keras, made):
        x = keras.Input((4,))
        y = keras.layers.Dense(2)(x)
        found = []
        for outputs in ([y], (y,), {"a": y}):
            model = keras.Model(x, outputs)
            kinds = [type(tree.map_structure(np.asarray, r)) for r in (model(X), model.predict(X, verbose=0))]
            found.append((kinds, type(model(keras.Input((4,)))), type(model.output)))
        return found

    ours, theirs = both(make)
    assert ours == theirs


def test_losses_are_those_of_the_last_call():
    def make(keras, made):
        class Adds(keras.layers.Layer):
            def call(self, x):
                self.add_loss(x[0, 0])
                return x

        adds = Adds()
        dense = keras.layers.Dense(2, activity_regularizer="l2", kernel_regularizer="l1")
        x = keras.Input((4,))
        model = keras.Model(x, adds(dense(adds(x))))
        counts = [len(model.losses)]
        for part in (model, model, dense, adds, adds, model):
            part(np.ones((3, 2 if part is adds else 4), "float32"))
            counts.append((len(model.losses), len(adds.losses)))
        return counts

    ours, theirs = both(make)
    assert ours == theirs
