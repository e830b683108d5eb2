"""Losses: against Keras, and where kcore says more than Keras does."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import kcore
from kcore import losses, ops
from kcore.gradients import grad

sys.path.insert(0, str(Path(__file__).parent))
from peers import keras

RNG = np.random.default_rng(0)
SHAPE = (5, 3)
PROBABILITIES = RNG.uniform(0.05, 0.95, SHAPE).astype("float32")
LOGITS = RNG.normal(size=SHAPE).astype("float32")
REALS = RNG.normal(size=SHAPE).astype("float32")
POSITIVE = RNG.uniform(0.1, 3, SHAPE).astype("float32")
CLASSES = np.array([0, 2, 1, 1, 0])
ONE_HOT = np.eye(3, dtype="float32")[CLASSES]
BITS = (RNG.uniform(size=SHAPE) > 0.5).astype("float32")
UNIT = LOGITS / np.linalg.norm(LOGITS, axis=-1, keepdims=True)
WEIGHTS = np.array([0.5, 2.0, 0.0, 1.0, 3.0], "float32")
STEPS = RNG.normal(size=(5, 6, 4)).astype("float32")
LABELS = np.array([[1, 2, 0], [3, 0, 0], [1, 1, 2], [2, 3, 1], [0, 0, 0]])

# class -> [(options, y_true, y_pred)]
CALLS = {
    "MeanSquaredError": [({}, REALS, LOGITS)],
    "MeanAbsoluteError": [({}, REALS, LOGITS)],
    "MeanAbsolutePercentageError": [({}, REALS, LOGITS), ({}, BITS, LOGITS)],
    "MeanSquaredLogarithmicError": [({}, POSITIVE, PROBABILITIES), ({}, REALS, LOGITS)],
    "Huber": [({}, 3 * REALS, LOGITS), ({"delta": 0.3}, REALS, LOGITS)],
    "LogCosh": [({}, REALS, LOGITS), ({}, 100 * REALS, LOGITS)],
    "CosineSimilarity": [({}, REALS, LOGITS), ({}, 0 * REALS, LOGITS), ({"axis": 0}, REALS, LOGITS)],
    "Hinge": [({}, BITS, LOGITS), ({}, 2 * BITS - 1, LOGITS), ({}, REALS, LOGITS)],
    "SquaredHinge": [({}, BITS, LOGITS), ({}, 2 * BITS - 1, LOGITS)],
    "CategoricalHinge": [({}, ONE_HOT, LOGITS)],
    "KLDivergence": [({}, ONE_HOT, PROBABILITIES), ({}, POSITIVE, PROBABILITIES)],
    "Poisson": [({}, POSITIVE, PROBABILITIES)],
    "BinaryCrossentropy": [
        ({}, BITS, PROBABILITIES),
        ({}, BITS, 1 - BITS),
        ({"label_smoothing": 0.2}, BITS, PROBABILITIES),
        ({"from_logits": True}, BITS, LOGITS),
        ({"from_logits": True, "label_smoothing": 0.2}, BITS, 50 * LOGITS),
        ({"axis": 0}, BITS, PROBABILITIES),
    ],
    "BinaryFocalCrossentropy": [
        ({}, BITS, PROBABILITIES),
        ({"apply_class_balancing": True, "alpha": 0.3, "gamma": 1.5}, BITS, PROBABILITIES),
        ({"from_logits": True, "label_smoothing": 0.2}, BITS, LOGITS),
    ],
    "CategoricalCrossentropy": [
        ({}, ONE_HOT, PROBABILITIES),
        ({"label_smoothing": 0.2}, ONE_HOT, PROBABILITIES),
        ({"from_logits": True}, ONE_HOT, 50 * LOGITS),
        ({"from_logits": True, "label_smoothing": 0.2}, ONE_HOT, LOGITS),
        ({"axis": 0}, ONE_HOT, PROBABILITIES),
    ],
    "CategoricalFocalCrossentropy": [
        ({}, ONE_HOT, PROBABILITIES),
        ({"alpha": 0.4, "gamma": 1.0}, ONE_HOT, PROBABILITIES),
        ({"from_logits": True, "label_smoothing": 0.2}, ONE_HOT, LOGITS),
    ],
    "SparseCategoricalCrossentropy": [
        ({}, CLASSES, PROBABILITIES),
        ({}, CLASSES[:, None], PROBABILITIES),
        ({"from_logits": True}, CLASSES, 50 * LOGITS),
        ({"ignore_class": 1}, CLASSES, PROBABILITIES),
        ({"ignore_class": -1, "from_logits": True}, np.where(CLASSES == 2, -1, CLASSES), LOGITS),
    ],
    "CategoricalGeneralizedCrossEntropy": [({}, CLASSES, PROBABILITIES), ({"q": 0.9}, CLASSES, PROBABILITIES)],
    "Dice": [({}, BITS, PROBABILITIES), ({"axis": 1}, BITS, PROBABILITIES), ({}, 0 * BITS, 0 * BITS)],
    "Tversky": [({}, BITS, PROBABILITIES), ({"alpha": 0.3, "beta": 0.8, "axis": 1}, BITS, PROBABILITIES)],
    "CTC": [({}, LABELS, STEPS)],
    "Circle": [
        ({}, CLASSES, UNIT),
        ({"gamma": 2.0, "margin": 0.1}, CLASSES, UNIT),
        ({"remove_diagonal": False, "gamma": 5.0}, np.array([0, 1, 2, 0, 3]), UNIT),
        ({"gamma": 5.0}, np.array([0, 1, 2, 0, 3]), UNIT),
    ],
}
# Their losses are not one for each sample.
WHOLE = {
    "Dice": [0, 2],
    "Tversky": [0],
    "CosineSimilarity": [2],
    "BinaryCrossentropy": [5],
    "CategoricalCrossentropy": [4],
}
EACH = [(name, i) for name, calls in CALLS.items() for i in range(len(calls))]
REDUCTIONS = ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None]


def close(got, want, rtol=2e-5):
    np.testing.assert_allclose(np.asarray(got), np.asarray(want), rtol=rtol, atol=2e-5)


def both(name, number, **more):
    """(our loss, Keras's, y_true, y_pred) of one call in the table."""
    options, y_true, y_pred = CALLS[name][number]
    theirs = getattr(keras().losses, name)(**options, **more)
    return getattr(losses, name)(**options, **more), theirs, y_true, y_pred


def test_every_loss_class_is_compared():
    assert set(CALLS) == set(losses.CLASSES)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("name", "number"), EACH)
def test_loss_agrees_with_keras(name, number, reduction):
    ours, theirs, y_true, y_pred = both(name, number, reduction=reduction)
    close(ours(y_true, y_pred), theirs(y_true, y_pred))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("name", "number"), [e for e in EACH if e[1] not in WHOLE.get(e[0], ())])
def test_weighted_loss_agrees_with_keras(name, number, reduction):
    ours, theirs, y_true, y_pred = both(name, number, reduction=reduction)
    close(ours(y_true, y_pred, WEIGHTS), theirs(y_true, y_pred, WEIGHTS))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("name", "number"), [e for e in EACH if e[1] not in WHOLE.get(e[0], ()) and e[0] != "Circle"])
def test_masked_loss_is_that_of_the_samples_left(name, number, reduction, weighted):
    options, y_true, y_pred = CALLS[name][number]
    loss = getattr(losses, name)(**options, reduction=reduction)
    mask = np.array([True, False, True, True, False])
    masked = ops.convert_to_tensor(y_pred)
    masked._keras_mask = mask
    weights = WEIGHTS if weighted else None
    got = np.asarray(loss(y_true, masked, weights))
    if reduction in ("none", None):
        got = got[mask]
    if name in ("Hinge", "SquaredHinge"):  # whether labels are 0 and 1 is asked of all of them
        y_true = 2 * y_true - 1 if set(np.unique(y_true)) == {0, 1} else y_true
    close(got, loss(y_true[mask], y_pred[mask], weights[mask] if weighted else None))


@pytest.mark.parametrize(("name", "number"), EACH)
def test_gradient_agrees_with_keras(name, number):
    import jax

    ours, theirs, y_true, y_pred = both(name, number)
    want = jax.grad(lambda p: theirs(y_true, p))(y_pred)
    got = grad(lambda p: ours(y_true, p))(ops.convert_to_tensor(y_pred))
    if name == "SparseCategoricalCrossentropy" and "ignore_class" in CALLS[name][number][0]:
        want = np.nan_to_num(want)
    close(got, want, rtol=2e-4)


@pytest.mark.parametrize(("name", "number"), EACH)
def test_loss_is_the_same_on_every_backend(name, number, backend):
    options, y_true, y_pred = CALLS[name][number]
    loss = getattr(losses, name)(**options)
    got = backend.numpy(loss(y_true, ops.convert_to_tensor(y_pred)))
    with kcore.backends.use("reference"):
        want = np.asarray(loss(y_true, y_pred))
    close(got, want)


@pytest.mark.parametrize(("name", "number"), EACH)
def test_loss_runs_in_a_graph_of_unknown_batch_size(name, number):
    tf = pytest.importorskip("tensorflow")
    options, y_true, y_pred = CALLS[name][number]
    with kcore.backends.use("tensorflow"):
        loss = getattr(losses, name)(**options)
        shapes = [tf.TensorSpec((None, *y.shape[1:]), y.dtype) for y in (y_true, y_pred)]
        compiled = tf.function(lambda true, pred: loss(true, pred), input_signature=shapes)
        close(compiled(y_true, y_pred), loss(y_true, y_pred))


@pytest.mark.parametrize("name", sorted(set(CALLS) - {"SparseCategoricalCrossentropy", "CTC", "Circle"}))
def test_float64_losses_stay_float64(name, backend):
    options, y_true, y_pred = CALLS[name][0]
    loss = getattr(losses, name)(**options, dtype="float64")
    y = loss(y_true.astype("float64") if y_true.dtype.kind == "f" else y_true, y_pred.astype("float64"))
    assert backend.dtype(y) == "float64"
    with kcore.backends.use("reference"):
        want = np.asarray(loss(y_true, y_pred.astype("float64")))
    np.testing.assert_allclose(backend.numpy(y), want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", sorted(CALLS))
def test_configs_are_read_by_keras_and_back(name):
    options, _, _ = CALLS[name][-1]
    ours = getattr(losses, name)(**options)
    theirs = keras().saving.deserialize_keras_object(losses.serialize(ours))
    assert type(theirs).__name__ == name
    back = losses.deserialize(keras().losses.serialize(theirs))
    assert type(back) is type(ours)
    config = ours.get_config()
    assert {k: config[k] for k in back.get_config() if k not in ("delta", "axis")}.items() <= back.get_config().items()
    assert losses.deserialize(losses.serialize(ours)).get_config() == config


def test_names_find_functions_and_classes():
    assert losses.get("mse") is losses.get("MSE") is losses.mean_squared_error
    assert isinstance(losses.get("Huber"), losses.Huber)
    assert losses.get(None) is None
    assert losses.get(losses.hinge) is losses.hinge
    with pytest.raises(ValueError, match="no loss 'nope'"):
        losses.get("nope")
    with pytest.raises(ValueError, match="3 is no loss"):
        losses.get(3)


def test_options_are_checked():
    with pytest.raises(ValueError, match="reduction='most'"):
        losses.Huber(reduction="most")
    with pytest.raises(ValueError, match="q=1"):
        losses.CategoricalGeneralizedCrossEntropy(q=1)
    with pytest.raises(ValueError, match=r"y_true should have shape \(batch, labels\)"):
        losses.ctc(LABELS[0], STEPS[0])


def test_own_loss_gets_name_and_reduction():
    class Gap(losses.Loss):
        def call(self, y_true, y_pred):
            return ops.max(y_pred - y_true, -1)

    loss = Gap()
    assert loss.name.startswith("gap")
    close(loss(REALS, LOGITS), np.mean(np.max(LOGITS - REALS, -1)))


def test_weights_of_samples_spread_over_their_positions():
    y_true, y_pred = REALS.reshape(1, 5, 3), LOGITS.reshape(1, 5, 3)
    y_true, y_pred = np.concatenate([y_true, y_pred]), np.concatenate([y_pred, 2 * y_true])
    each = np.mean((y_true - y_pred) ** 2, -1)
    close(losses.MeanSquaredError()(y_true, y_pred, np.array([1.0, 3.0])), np.mean(each * [[1.0], [3.0]]))
    close(losses.MeanSquaredError()(y_true, y_pred, WEIGHTS[None]), np.mean(each * WEIGHTS))


def test_a_last_axis_of_one_is_matched():
    close(losses.MeanSquaredError(reduction="none")(REALS[:, 0], LOGITS[:, :1]), (REALS - LOGITS)[:, 0] ** 2)
    close(losses.MeanSquaredError(reduction="none")(REALS[:, :1], LOGITS[:, 0]), (REALS - LOGITS)[:, 0] ** 2)


def test_nothing_and_everything_masked_give_zero():
    loss = losses.MeanSquaredError()
    assert float(loss(REALS[:0], LOGITS[:0])) == 0
    masked = ops.convert_to_tensor(LOGITS)
    masked._keras_mask = np.zeros(5, bool)
    assert float(loss(REALS, masked)) == 0


def test_class_numbers_keep_their_digits_in_a_float16_loss():
    y_pred = np.zeros((1, 4096), "float16")
    y_pred[0, 4095] = 10
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float16")
    assert float(loss(np.array([4095]), y_pred)) < 0.5


def test_impossible_ctc_target_is_infinite_without_a_gradient(backend):
    y_pred = ops.convert_to_tensor(STEPS[:1, :3])
    target = ops.convert_to_tensor(np.array([[1, 1, 1]], "int32"))  # needs a blank between equal labels
    lengths = ops.convert_to_tensor(np.array([3], "int32"))

    def loss(x):
        return ops.sum(ops.ctc_loss(target, x, lengths, lengths))

    assert np.isinf(backend.numpy(loss(y_pred)))
    assert not backend.numpy(grad(loss)(y_pred)).any()


def test_losses_need_no_framework():
    assert importlib.util.find_spec("kcore.losses") is not None
    source = Path(losses.__file__).parent
    for file in source.glob("*.py"):
        assert not {"import jax", "import torch", "import tensorflow"} & set(
            map(str.strip, file.read_text().splitlines())
        )


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_a_class_without_probability_has_no_gradient(native, kind, monkeypatch):
    """Its quotient is clipped, so the loss is flat there: 0, not 0 / 0."""
    from kcore import _native

    if not native:
        monkeypatch.setattr(_native, "available", False)
    p, target = np.array([[0.0, 1.0], [0.5, 0.5]], kind), np.array([0, 1])
    with kcore.backend("reference"):
        found = grad(lambda p: ops.sum(ops.sparse_categorical_crossentropy(target, p)))(p)
    np.testing.assert_allclose(found, [[0, 0], [1, -1]], rtol=1e-6)
