"""Metrics: against Keras, state and result, and where kcore says more than Keras does."""

import sys
from pathlib import Path

import numpy as np
import pytest

import kcore
from kcore import metrics, ops

sys.path.insert(0, str(Path(__file__).parent))
from peers import keras

RNG = np.random.default_rng(1)
SHAPE = (6, 3)
WEIGHTS = np.array([0.5, 2.0, 0.0, 1.0, 3.0, 1.5], "float32")


def batch(kind):
    """(y_true, y_pred) of a kind, new ones each time."""
    scores = RNG.uniform(0.02, 0.98, SHAPE).astype("float32")
    logits = RNG.normal(size=SHAPE).astype("float32")
    classes = RNG.integers(0, 3, SHAPE[0]).astype("int32")
    one_hot = np.eye(3, dtype="float32")[classes]
    bits = (RNG.uniform(size=SHAPE) > 0.5).astype("float32")
    return {
        "bits": (bits, scores),
        "bit logits": (bits, logits),
        "signs": (2 * bits - 1, logits),
        "one hot": (one_hot, scores),
        "one hot logits": (one_hot, logits),
        "classes": (classes, scores),
        "class columns": (classes[:, None], scores),
        "class logits": (classes, logits),
        "class pairs": (classes, RNG.integers(0, 3, SHAPE[0]).astype("int32")),
        "sorted ids": (classes, np.argsort(-scores, -1).astype("int32")),
        "reals": (logits, RNG.normal(size=SHAPE).astype("float32")),
        "positive": (scores + 0.1, RNG.uniform(0.1, 2, SHAPE).astype("float32")),
    }[kind]


# class -> [(arguments, kind of batch)]
CALLS = {
    "Accuracy": [({}, "class pairs")],
    "BinaryAccuracy": [({}, "bits"), ({"threshold": 0.3}, "bits")],
    "CategoricalAccuracy": [({}, "one hot")],
    "SparseCategoricalAccuracy": [({}, "classes"), ({}, "class columns")],
    "TopKCategoricalAccuracy": [({"k": 2}, "one hot"), ({}, "one hot")],
    "SparseTopKCategoricalAccuracy": [
        ({"k": 2}, "classes"),
        ({"k": 1}, "class columns"),
        ({"k": 2, "from_sorted_ids": True}, "sorted ids"),
    ],
    "MeanSquaredError": [({}, "reals")],
    "RootMeanSquaredError": [({}, "reals")],
    "MeanAbsoluteError": [({}, "reals")],
    "MeanAbsolutePercentageError": [({}, "reals")],
    "MeanSquaredLogarithmicError": [({}, "positive")],
    "LogCoshError": [({}, "reals")],
    "CosineSimilarity": [({}, "reals")],
    "PearsonCorrelation": [({}, "reals")],
    "ConcordanceCorrelation": [({}, "reals")],
    "Hinge": [({}, "signs"), ({}, "bits")],
    "SquaredHinge": [({}, "signs")],
    "CategoricalHinge": [({}, "one hot logits")],
    "KLDivergence": [({}, "positive"), ({}, "one hot")],
    "Poisson": [({}, "positive")],
    "BinaryCrossentropy": [({}, "bits"), ({"from_logits": True, "label_smoothing": 0.2}, "bit logits")],
    "CategoricalCrossentropy": [({}, "one hot"), ({"from_logits": True, "label_smoothing": 0.2}, "one hot logits")],
    "SparseCategoricalCrossentropy": [
        ({}, "classes"),
        ({"from_logits": True}, "class logits"),
        ({"ignore_class": 1}, "classes"),
    ],
    "TruePositives": [({}, "bits"), ({"thresholds": [0.7, 0.2]}, "bits")],
    "TrueNegatives": [({}, "bits"), ({"thresholds": 0.3}, "bits")],
    "FalsePositives": [({}, "bits")],
    "FalseNegatives": [({}, "bits"), ({"thresholds": [i / 20 for i in range(21)]}, "bits")],
    "Precision": [
        ({}, "bits"),
        ({"thresholds": [0.6, 0.2]}, "bits"),
        ({"top_k": 2}, "one hot"),
        ({"class_id": 1}, "bits"),
        ({"top_k": 1, "class_id": 2}, "one hot"),
        ({"top_k": 2, "thresholds": 0.5}, "one hot"),
        ({"thresholds": [0.9, *(i / 20 for i in range(17))]}, "bits"),
    ],
    "Recall": [({}, "bits"), ({"thresholds": 0.2}, "bits"), ({"top_k": 2}, "one hot"), ({"class_id": 0}, "bits")],
    "SensitivityAtSpecificity": [({"specificity": s}, "bits") for s in (0.1, 0.5, 0.9)]
    + [({"specificity": 0.4, "num_thresholds": 1}, "bits"), ({"specificity": 0.4, "class_id": 1}, "bits")],
    "SpecificityAtSensitivity": [({"sensitivity": s}, "bits") for s in (0.1, 0.5, 0.9)],
    "PrecisionAtRecall": [({"recall": s}, "bits") for s in (0.1, 0.5, 0.9)],
    "RecallAtPrecision": [({"precision": s}, "bits") for s in (0.1, 0.5, 0.9)],
    "AUC": [
        ({"curve": curve, "summation_method": method}, "bits")
        for curve in ("ROC", "PR", "PRGAIN")
        for method in ("interpolation", "minoring", "majoring")
    ]
    + [
        ({"num_thresholds": 3}, "bits"),
        ({"num_thresholds": 5, "curve": "PR"}, "bits"),
        ({"thresholds": [0.6, 0.3]}, "bits"),
        ({"multi_label": True}, "bits"),
        ({"multi_label": True, "num_labels": 3, "label_weights": [1.0, 2.0, 3.0]}, "bits"),
        ({"multi_label": True, "curve": "PR"}, "bits"),
        ({"from_logits": True}, "bit logits"),
    ],
    "F1Score": [
        ({}, "one hot"),
        ({"average": "micro"}, "one hot"),
        ({"average": "weighted", "threshold": 0.4}, "bits"),
    ],
    "FBetaScore": [({"beta": 2.0, "average": "macro", "threshold": 0.5}, "bits"), ({"beta": 0.5}, "one hot")],
    "R2Score": [
        ({}, "reals"),
        ({"class_aggregation": None}, "reals"),
        ({"class_aggregation": "variance_weighted_average", "num_regressors": 2}, "reals"),
    ],
    "IoU": [
        ({"num_classes": 3, "target_class_ids": [0, 2]}, "class pairs"),
        ({"num_classes": 3, "target_class_ids": [1], "ignore_class": 0}, "class pairs"),
        ({"num_classes": 2, "target_class_ids": [0, 1]}, "class pairs"),
        ({"num_classes": 3, "target_class_ids": [0], "sparse_y_true": False, "sparse_y_pred": False}, "one hot"),
    ],
    "MeanIoU": [({"num_classes": 3}, "class pairs"), ({"num_classes": 5}, "class pairs")],
    "BinaryIoU": [({"threshold": 0.3}, "bits"), ({"target_class_ids": [1]}, "bits")],
    "OneHotIoU": [({"num_classes": 3, "target_class_ids": [0, 1]}, "one hot")],
    "OneHotMeanIoU": [({"num_classes": 3}, "one hot")],
}
VALUES = ["Mean", "Sum"]
EACH = [(name, i) for name, calls in CALLS.items() for i in range(len(calls))]


def close(got, want):
    np.testing.assert_allclose(np.asarray(got), np.asarray(want), rtol=2e-5, atol=2e-6)


def test_every_metric_class_is_compared():
    assert {*CALLS, *VALUES, "MeanMetricWrapper"} == set(metrics.CLASSES)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "number"), EACH)
def test_metric_agrees_with_keras(name, number, weighted):
    arguments, kind = CALLS[name][number]
    ours, theirs = getattr(metrics, name)(**arguments), getattr(keras().metrics, name)(**arguments)
    weights = np.rint(WEIGHTS) if "IoU" in name else WEIGHTS  # Keras keeps whole numbers there
    if name == "BinaryIoU":  # and wants a weight for each element
        weights = np.tile(weights[:, None], (1, 3))
    if arguments.get("ignore_class") == 1 and not weighted:
        pytest.skip("Keras counts ignored samples as 0 unless there are weights")
    for _ in range(2):
        y_true, y_pred = batch(kind)
        given = (weights,) if weighted else ()
        ours.update_state(y_true, y_pred, *given)
        theirs.update_state(y_true, y_pred, *given)
    close(ours.result(), theirs.result())
    assert [v.name for v in ours.variables] == [v.name for v in theirs.variables]
    for a, b in zip(ours.variables, theirs.variables, strict=True):
        assert str(a.dtype) == str(b.dtype)
        close(a.numpy(), b.numpy())


@pytest.mark.parametrize(("name", "number"), EACH)
def test_metric_is_the_same_on_every_backend(name, number, backend):
    arguments, kind = CALLS[name][number]
    y_true, y_pred = batch(kind)
    metric = getattr(metrics, name)(**arguments)
    got = backend.numpy(metric(ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred), WEIGHTS))
    with kcore.backends.use("reference"):
        want = getattr(metrics, name)(**arguments)(y_true, y_pred, WEIGHTS)
    close(got, want)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "number"), EACH)
def test_masked_metric_is_that_of_the_samples_left(name, number, weighted):
    arguments, kind = CALLS[name][number]
    y_true, y_pred = batch(kind)
    mask = np.array([True, False, True, True, True, False])
    masked = ops.convert_to_tensor(y_pred)
    masked._keras_mask = mask
    weights = (WEIGHTS, WEIGHTS[mask]) if weighted else (None, None)
    if "IoU" in name or name in ("Hinge",):
        pytest.skip("classes carry no mask; whether labels are 0 and 1 is asked of all of them")
    if name == "R2Score" and arguments.get("num_regressors"):
        pytest.skip("the adjustment counts masked samples")
    cls = getattr(metrics, name)
    close(cls(**arguments)(y_true, masked, weights[0]), cls(**arguments)(y_true[mask], y_pred[mask], weights[1]))


@pytest.mark.parametrize(("name", "number"), EACH)
def test_stateless_use_gives_the_same_and_keeps_the_state(name, number, backend):
    arguments, kind = CALLS[name][number]
    y_true, y_pred = batch(kind)
    metric = getattr(metrics, name)(**arguments)
    metric(y_true, y_pred)  # some make their variables now
    metric.reset_state()
    before = [v.numpy() for v in metric.variables]
    state = metric.stateless_reset_state()
    for a, b in zip(state, before, strict=True):
        close(backend.numpy(a), b)
    state = metric.stateless_update_state(state, y_true, y_pred, WEIGHTS)
    for v, b in zip(metric.variables, before, strict=True):
        close(v.numpy(), b)
    result = metric.stateless_result(state)
    metric.update_state(y_true, y_pred, WEIGHTS)
    close(backend.numpy(result), backend.numpy(metric.result()))
    with pytest.raises(ValueError, match="variables, but 0 values"):
        metric.stateless_result([])


@pytest.mark.parametrize(("name", "number"), EACH)
def test_metric_runs_in_a_graph_of_unknown_batch_size(name, number):
    tf = pytest.importorskip("tensorflow")
    arguments, kind = CALLS[name][number]
    y_true, y_pred = batch(kind)
    with kcore.backends.use("tensorflow"):
        metric = getattr(metrics, name)(**arguments)
        metric(y_true, y_pred)  # some make their variables now
        state = metric.stateless_reset_state()
        shapes = [tf.TensorSpec((None, *y.shape[1:]), y.dtype) for y in (y_true, y_pred, WEIGHTS)]

        @tf.function(input_signature=[[tf.TensorSpec(v.shape, v.dtype) for v in state], *shapes])
        def compiled(state, y_true, y_pred, weights):
            return metric.stateless_update_state(state, y_true, y_pred, weights)

        got = compiled(state, y_true, y_pred, WEIGHTS)
        want = metric.stateless_update_state(state, y_true, y_pred, WEIGHTS)
    for a, b in zip(got, want, strict=True):
        close(a, b)


@pytest.mark.parametrize(("name", "number"), EACH)
def test_metric_runs_compiled_by_jax(name, number):
    jax = pytest.importorskip("jax")
    arguments, kind = CALLS[name][number]
    y_true, y_pred = batch(kind)
    with kcore.backends.use("jax"):
        metric = getattr(metrics, name)(**arguments)
        metric(y_true, y_pred)
        state = metric.stateless_reset_state()
        got = jax.jit(metric.stateless_update_state)(state, y_true, y_pred, WEIGHTS)
        want = metric.stateless_update_state(state, y_true, y_pred, WEIGHTS)
    for a, b in zip(got, want, strict=True):
        close(a, b)


@pytest.mark.parametrize("name", sorted(CALLS))
def test_configs_are_read_by_keras_and_back(name):
    arguments, kind = CALLS[name][-1]
    ours = getattr(metrics, name)(**arguments)
    theirs = keras().metrics.deserialize(metrics.serialize(ours))
    assert type(theirs).__name__ == name
    back = metrics.deserialize(keras().metrics.serialize(theirs))
    y_true, y_pred = batch(kind)
    if name != "SparseTopKCategoricalAccuracy":  # Keras drops from_sorted_ids
        close(back(y_true, y_pred), ours(y_true, y_pred))
    assert metrics.deserialize(metrics.serialize(ours)).get_config() == ours.get_config()


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize(
    ("values", "weights"),
    [
        (3.0, None),
        (3.0, 2.0),
        ([1.0, 2.0, 4.0], None),
        ([1.0, 2.0, 4.0], [1.0, 0.0, 3.0]),
        ([1.0, 2.0, 4.0], 2.0),
        ([[1.0, 2.0, 4.0], [3.0, 5.0, 1.0]], [1.0, 3.0]),
        ([[1.0, 2.0, 4.0], [3.0, 5.0, 1.0]], [[1.0], [3.0]]),
        ([[1.0, 2.0, 4.0], [3.0, 5.0, 1.0]], [[1.0, 2.0, 0.0], [3.0, 1.0, 1.0]]),
        ([[1.0, 2.0, 4.0], [3.0, 5.0, 1.0]], None),
        (np.arange(24.0).reshape(2, 3, 4), np.arange(6.0).reshape(2, 3)),
    ],
)
def test_values_are_added_up_as_keras_does(name, values, weights):
    ours, theirs = getattr(metrics, name)(), getattr(keras().metrics, name)()
    ours.update_state(values, weights)
    theirs.update_state(values, weights)
    close(ours.result(), theirs.result())
    for a, b in zip(ours.variables, theirs.variables, strict=True):
        close(a.numpy(), b.numpy())


def test_metrics_without_samples_are_zero():
    for name, calls in CALLS.items():
        metric = getattr(metrics, name)(**calls[0][0])
        assert name == "R2Score" or not np.asarray(metric.result()).any()


@pytest.mark.parametrize(
    "name",
    [
        "accuracy",
        "AUC",
        "auc",
        "bce",
        "MSE",
        "mape",
        "binary_accuracy",
        "f1_score",
        "R2Score",
        "poisson",
        "binary_io_u",
    ],
)
def test_names_find_what_keras_finds(name):
    assert type(metrics.get(name)).__name__ == type(keras().metrics.get(name)).__name__


def test_names_that_are_none_are_refused():
    assert metrics.get(None) is None
    assert metrics.get(metrics.hinge) is metrics.hinge
    for name in ("acc", "nope"):
        with pytest.raises(ValueError, match=f"no metric '{name}'"):
            metrics.get(name)
    with pytest.raises(ValueError, match="3 is no metric"):
        metrics.get(3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: metrics.Precision(thresholds=[0.2, 1.2]), r"thresholds=\[0.2, 1.2\]"),
        (lambda: metrics.AUC(curve="x"), "curve='x'"),
        (lambda: metrics.AUC(num_thresholds=1), "num_thresholds=1"),
        (lambda: metrics.AUC(num_labels=2), "num_labels is only for"),
        (lambda: metrics.RecallAtPrecision(1.5), "precision=1.5"),
        (lambda: metrics.F1Score(average="x"), "average='x'"),
        (lambda: metrics.FBetaScore(beta=0.0), "beta=0.0"),
        (lambda: metrics.F1Score(threshold=2.0), "threshold=2.0"),
        (lambda: metrics.R2Score("x"), "class_aggregation='x'"),
        (lambda: metrics.IoU(2, [2]), r"target_class_ids=\[2\]"),
        (lambda: metrics.F1Score()(np.ones(3), np.ones(3)), r"shape \(batch, outputs\)"),
        (lambda: metrics.AUC()(np.ones((3, 1)), np.ones((4, 1))), r"same shape, not \(3, 1\) and \(4, 1\)"),
    ],
)
def test_options_and_shapes_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_many_thresholds_count_as_few_do():
    y_true, y_pred = batch("bits")
    y_pred[0] = 0.25, 0.5, 1.0  # on thresholds
    grid = [i / 8 for i in range(9)]
    many = metrics.TruePositives(thresholds=grid)(y_true, y_pred, WEIGHTS)
    each = [float(metrics.TruePositives(thresholds=t)(y_true, y_pred, WEIGHTS)) for t in grid]
    close(many, each)


def test_metric_stays_on_its_backend():
    with kcore.backends.use("jax") as jax:
        metric = metrics.Mean()
    metric.update_state(np.array([1.0, 3.0]))
    assert jax.is_tensor(metric.result())
    assert float(metric.result()) == 2


def test_own_metric_holds_variables_and_metrics():
    class Range(metrics.Metric):
        def __init__(self):
            super().__init__(name="range")
            self.low = self.add_weight(name="low", initializer="zeros")
            self.high = self.add_variable((), None, name="high")
            self.parts = {"mean": metrics.Mean(name="inner")}

        def update_state(self, values):
            self.low.assign(ops.minimum(self.low, ops.min(values)))
            self.high.assign(ops.maximum(self.high, ops.max(values)))
            self.parts["mean"].update_state(values)

        def result(self):
            return {"width": self.high - self.low, "mean": self.parts["mean"].result()}

    metric = Range()
    found = metric(np.array([-1.0, 4.0]))
    assert (float(found["width"]), float(found["mean"])) == (5.0, 1.5)
    assert [v.path for v in metric.variables] == ["range/low", "range/high", "inner/total", "inner/count"]
    metric.reset_state()
    assert not any(v.numpy() for v in metric.variables)


def test_top_k_takes_ties_and_no_nan():
    scores = np.array([[1.0, 1.0, 1.0], [np.nan, 1.0, 0.0], [0.0, 2.0, np.inf]], "float32")
    got = metrics.sparse_top_k_categorical_accuracy(np.array([2, 0, 2]), scores, k=1)
    close(got, [1.0, 0.0, 1.0])


def test_ignored_classes_do_not_count():
    metric = metrics.SparseCategoricalCrossentropy(ignore_class=1)
    scores = np.full((3, 2), 0.5, "float32")
    close(metric(np.array([0, 1, 0]), scores), np.log(2))
    close(metric.count.numpy(), 2)


def test_weights_of_iou_need_not_be_whole():
    metric = metrics.IoU(2, [0], dtype="float32")
    close(metric([0, 0, 1, 1], [0, 1, 0, 1], sample_weight=[0.3, 0.3, 0.3, 0.1]), 1 / 3)


def test_float64_metrics_keep_their_digits(backend):
    metric = metrics.MeanSquaredError(dtype="float64")
    y = metric(np.zeros((1, 2)), np.array([[1.0, 1 + 1e-9]]))
    assert backend.dtype(y) == "float64"
    assert float(backend.numpy(y)) == pytest.approx(1 + 1e-9, abs=1e-14)
