"""Layers that change images."""

import numpy as np
import pytest

import kcore
from kcore import layers, models, ops

RNG = np.random.default_rng(0)
X = (RNG.random((2, 6, 7, 3)) * 255).astype("float32")
LABELS = np.eye(2, dtype="float32")


def drawn_alike(both, expression, x, tol=1e-5):
    ours, theirs = both(expression)
    for _ in range(3):
        y, want = ours(x, training=True), theirs(x, training=True)
        if isinstance(x, dict):
            for key, value in y.items():
                np.testing.assert_allclose(value, want[key], rtol=1e-4, atol=tol * 255)
        else:
            np.testing.assert_allclose(y, want, rtol=1e-4, atol=tol * 255)
    return ours, theirs


@pytest.mark.parametrize(
    "expression",
    [
        *(f"L.RandomFlip('{mode}', seed=SEED)" for mode in ("horizontal", "vertical", "horizontal_and_vertical")),
        "L.RandomCrop(4, 5, seed=SEED)",
        "L.RandomRotation(0.2, seed=SEED)",
        "L.RandomRotation((0.1, 0.3), 'constant', 'nearest', seed=SEED, fill_value=3.0)",
        "L.RandomZoom(0.2, seed=SEED)",
        "L.RandomZoom((0.1, 0.3), (-0.2, 0.1), fill_mode='nearest', seed=SEED)",
        "L.RandomTranslation(0.2, (-0.3, 0.1), fill_mode='wrap', seed=SEED)",
        "L.RandomShear(0.2, (0.1, 0.3), seed=SEED)",
        "L.RandomPerspective(0.7, scale=0.5, seed=SEED)",
        "L.RandomContrast(0.4, seed=SEED)",
        "L.RandomContrast((0.2, 0.4), (0, 200), seed=SEED)",
        "L.RandomBrightness(0.3, seed=SEED)",
        "L.RandomSaturation(0.4, seed=SEED)",
        "L.RandomHue(0.3, seed=SEED)",
        "L.RandomSharpness((0.1, 0.9), seed=SEED)",
        "L.RandomColorDegeneration(0.4, seed=SEED)",
        "L.RandomInvert(0.8, seed=SEED)",
        "L.RandomGrayscale(0.6, seed=SEED)",
        "L.RandomPosterization(4, seed=SEED)",
        "L.RandomPosterization((2, 7), seed=SEED)",
        "L.Solarization(0.2, 0.3, seed=SEED)",
        "L.AutoContrast()",
    ],
)
def test_draws_and_changes_what_keras_does_on_jax(both, expression):
    for seed in (3, 4):
        ours, theirs = drawn_alike(both, expression.replace("SEED", str(seed)), X)
        assert [v.path.split("/")[-1] for v in ours.variables] == [v.path.split("/")[-1] for v in theirs.variables]
        again = type(ours).from_config(ours.get_config())
        assert again.get_config() == ours.get_config()
        assert ours.compute_output_shape((None, *X.shape[1:])) == theirs.compute_output_shape((None, *X.shape[1:]))
        assert ours(kcore.KerasTensor((None, *X.shape[1:]))).shape[1:] == tuple(ours(X, training=True).shape[1:])


def test_mixup_blends_images_and_labels_alike(both):
    ours, theirs = both("L.MixUp(0.4, seed=3)")
    y = ours({"images": X, "labels": LABELS})
    weights = np.asarray(y["labels"]).diagonal()
    for i, w in enumerate(weights):
        np.testing.assert_allclose(y["images"][i], w * X[i] + (1 - w) * X[1 - i], rtol=1e-3, atol=1e-2)
    drawn = {"mix_weight": np.float32([0.3, 0.6]), "permutation_order": np.array([1, 0])}
    np.testing.assert_allclose(ours.transform_images(X, drawn), theirs.transform_images(X, drawn), rtol=1e-5)
    np.testing.assert_allclose(ours.transform_labels(LABELS, drawn), theirs.transform_labels(LABELS, drawn), rtol=1e-5)


@pytest.mark.parametrize(
    ("expression", "x"),
    [
        ("L.Resizing(3, 9)", X),
        ("L.Resizing(9, 5, 'bicubic', antialias=True)", X),
        ("L.Resizing(4, 4, 'nearest')", X),
        ("L.Resizing(4, 9, crop_to_aspect_ratio=True)", X),
        ("L.Resizing(4, 9, pad_to_aspect_ratio=True, fill_value=2.0)", X),
        ("L.Resizing(3, 9, data_format='channels_first')", np.moveaxis(X, -1, 1)),
        ("L.Resizing(3, 9)", X[0]),
        ("L.CenterCrop(3, 4)", X),
        ("L.CenterCrop(9, 4)", X),
        ("L.CenterCrop(3, 4, data_format='channels_first')", np.moveaxis(X, -1, 1)),
        ("L.CenterCrop(3, 4)", X[0]),
    ],
)
def test_sizes_match_keras(both, expression, x):
    ours, theirs = both(expression)
    for training in (True, False):
        np.testing.assert_allclose(ours(x, training=training), theirs(x, training=training), rtol=1e-4, atol=1e-3)
    assert ours.compute_output_shape(x.shape) == theirs.compute_output_shape(x.shape)


ALL = [
    *("RandomFlip()", "RandomRotation(0.2)", "RandomZoom(0.2)", "RandomTranslation(0.2, 0.2)", "RandomShear(0.1, 0.1)"),
    *("RandomPerspective()", "RandomContrast(0.3)", "RandomBrightness(0.3)", "RandomSaturation(0.3)"),
    *("RandomHue(0.3)", "RandomSharpness(0.3)", "RandomColorDegeneration(0.3)", "RandomInvert()", "RandomGrayscale()"),
    *("RandomPosterization(3)", "Solarization(0.1, 0.1)"),
]


@pytest.mark.parametrize("expression", ALL)
def test_nothing_happens_outside_of_training(expression):
    layer = eval(f"layers.{expression}")
    y = layer(X.astype("uint8"), training=False)
    assert y.dtype == "float32"
    np.testing.assert_array_equal(y, X.astype("uint8"))


@pytest.mark.parametrize("expression", [e for e in ALL if "Perspective" not in e])
def test_channels_first_is_the_same_with_the_channels_in_front(expression):
    last = eval(f"layers.{expression[:-1]}, seed=5, data_format='channels_last')".replace("(,", "("))
    first = eval(f"layers.{expression[:-1]}, seed=5, data_format='channels_first')".replace("(,", "("))
    y = np.moveaxis(np.asarray(first(np.moveaxis(X, -1, 1))), 1, -1)
    np.testing.assert_allclose(y, last(X), rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("name", ["RandomRotation(0.3, seed=2)", "RandomFlip(seed=2)", "RandomCrop(3, 3, seed=2)"])
def test_masks_go_with_their_images_and_stay_integers(name):
    masks = RNG.integers(0, 4, (2, 6, 7, 1)).astype("int32")
    layer = eval(f"layers.{name}")
    y = layer({"images": X, "segmentation_masks": masks, "labels": LABELS, "name": "kept"})
    assert y["segmentation_masks"].dtype == "int32"
    assert set(np.unique(y["segmentation_masks"])) <= {0, 1, 2, 3}
    assert tuple(y["segmentation_masks"].shape[:3]) == tuple(y["images"].shape[:3])
    np.testing.assert_array_equal(y["labels"], LABELS)
    assert y["name"] == "kept"
    if "Flip" in name or "Crop" in name:
        again = eval(f"layers.{name}")({"images": X, "segmentation_masks": X.astype("int32")})
        np.testing.assert_array_equal(again["segmentation_masks"], np.asarray(again["images"]).astype("int32"))


def test_cutmix_takes_a_rectangle_and_its_share_of_the_label():
    images = np.stack([np.zeros((20, 30, 1)), np.ones((20, 30, 1))]).astype("float32")
    seen = set()
    layer = layers.CutMix(seed=1)
    for _ in range(6):
        y = layer({"images": images, "labels": LABELS})
        share = np.asarray(y["images"]).mean((1, 2, 3))
        np.testing.assert_allclose(np.asarray(y["labels"])[:, 1], share, atol=1e-5)
        seen |= set(share.round(3))
    assert len(seen) > 4
    again = layers.CutMix.from_config(layer.get_config())
    assert again.factor == (0, 1.0)


@pytest.mark.parametrize(
    "expression",
    [
        "L.RandomErasing((1.0, 1.0), (0.1, 0.2), seed=3)",
        "L.RandomGaussianBlur((1.0, 1.0), (3, 5), (0.5, 2.0), seed=3)",
        "L.RandomColorJitter(brightness_factor=0.2, hue_factor=0.1, seed=3)",
    ],
)
def test_effects_have_the_config_of_keras_and_nothing_happens_outside_of_training(both, expression):
    ours, _ = both(expression)
    np.testing.assert_array_equal(ours(X, training=False), X)
    y = np.asarray(ours(X, training=True))
    assert not np.array_equal(y, X) or not np.array_equal(ours(X, training=True), X)
    assert type(ours).from_config(ours.get_config()).get_config() == ours.get_config()


def test_erasing_fills_a_rectangle_of_such_an_area():
    images = np.zeros((60, 20, 30, 2), "float32")
    y = np.asarray(layers.RandomErasing((1.0, 1.0), (0.04, 0.25), fill_value=7.0, seed=1)(images))
    assert set(np.unique(y)) == {0.0, 7.0}
    shares = (y == 7).mean((1, 2, 3))
    assert shares.max() <= 0.3
    assert 0.05 < shares.mean() < 0.2
    rows, columns = (y[..., 0] == 7).any(2), (y[..., 0] == 7).any(1)
    np.testing.assert_array_equal(y[..., 0] == 7, rows[:, :, None] & columns[:, None])
    noisy = np.asarray(layers.RandomErasing((1.0, 1.0), (0.2, 0.3), value_range=(0, 1), seed=1)(images[:4]))
    assert 0 <= noisy.min()
    assert noisy.max() <= 1
    assert len(np.unique(noisy)) > 50


def test_blur_keeps_what_is_flat_and_is_that_of_ops():
    layer = layers.RandomGaussianBlur(1.0, (3, 5), value_range=(0, 255), seed=1)
    drawn = {"should_apply_blur": np.array([True, False]), "blur_factor": np.float32([0.8, 1.2])}
    y = np.asarray(layer.transform_images(ops.convert_to_tensor(X), drawn))
    np.testing.assert_array_equal(y[1], X[1])
    flat = np.asarray(layer.transform_images(ops.full((2, 9, 9, 1), 8.0), drawn))
    np.testing.assert_allclose(flat[0, 2:-2, 2:-2], 8.0, rtol=1e-5)
    again = layers.RandomGaussianBlur(1.0, (3, 5), seed=1)
    np.testing.assert_allclose(again(X), layers.RandomGaussianBlur(1.0, (3, 5), seed=1)(X), rtol=1e-6)


def test_jitter_is_its_parts_one_after_the_other():
    y = layers.RandomColorJitter((0, 255), 0.3, 0.3, 0.3, 0.3, seed=4)(X)
    want = X
    for kind in (layers.RandomBrightness, layers.RandomContrast, layers.RandomSaturation, layers.RandomHue):
        want = kind(0.3, seed=4)(want)
    np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-2)


def test_random_crop_resizes_outside_of_training():
    layer = layers.RandomCrop(4, 3)
    assert layer(X, training=False).shape == (2, 4, 3, 3)
    assert layer(X[:, :2], training=True).shape == (2, 4, 3, 3)


def test_a_pipeline_runs_its_layers_in_order_and_comes_back():
    pipeline = layers.Pipeline([layers.Rescaling(1 / 255), layers.RandomFlip(seed=1), layers.Resizing(3, 3)])
    y = pipeline(X, training=True)
    flipped = layers.RandomFlip(seed=1)(X / 255, training=True)
    np.testing.assert_allclose(y, layers.Resizing(3, 3)(flipped), rtol=1e-5)
    again = layers.Pipeline.from_config(pipeline.get_config())
    np.testing.assert_allclose(again(X, training=True), y, rtol=1e-5)


def test_draws_are_the_same_on_every_backend(backend):
    with kcore.backends.use("reference"):
        want = [np.asarray(layers.RandomRotation(0.2, seed=1)(X)), np.asarray(layers.RandomHue(0.2, seed=1)(X))]
    got = [layers.RandomRotation(0.2, seed=1)(X), layers.RandomHue(0.2, seed=1)(X)]
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(a), b, rtol=1e-3, atol=0.05)
    model = models.Sequential(
        [layers.Input((6, 7, 3)), layers.RandomFlip(), layers.RandomCrop(4, 4), layers.Flatten(), layers.Dense(1)]
    )
    model.compile(optimizer="sgd", loss="mse")
    model.fit(X / 255, LABELS[:, :1], epochs=1, verbose=0)
    assert model.predict(X, verbose=0).shape == (2, 1)


def test_inside_a_tf_data_pipeline_every_batch_has_new_draws():
    tf = pytest.importorskip("tensorflow")
    images = np.broadcast_to(X[:1], (12, *X.shape[1:]))
    layer = layers.RandomBrightness(0.4, seed=1)
    data = tf.data.Dataset.from_tensor_slices(images).batch(2).map(layer)
    batches = [b.numpy() for b in data]
    assert isinstance(next(iter(data)), tf.Tensor)
    assert len({round(float(b.mean()), 3) for b in batches}) == 6
    fresh = layers.RandomBrightness(0.4, seed=1)
    np.testing.assert_allclose(batches[0], fresh(images[:2]), rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.RandomFlip("diagonal"), r"random_flip\w*: mode='diagonal' should be one of horizontal"),
        (lambda: layers.RandomContrast(-0.5), r"factor=-0.5 should be a number, or two, within \[0, 1\]"),
        (lambda: layers.RandomRotation("a"), r"factor='a' should be a number, or two, within \[-1, 1\]"),
        (lambda: layers.RandomZoom(2), r"height_factor=2 should be"),
        (lambda: layers.RandomHue(0.1, (3, 1)), r"value_range=\(3, 1\) should be two ascending numbers"),
        (lambda: layers.RandomRotation(0.1, "edge"), r"fill_mode='edge' should be one of constant, nearest"),
        (lambda: layers.RandomPosterization(9), r"factor=9 should be an integer from 1 to 8"),
        (lambda: layers.Resizing(0, 3), r"height=0 should be an integer of at least 1"),
        (lambda: layers.Resizing(3, 3, "cubic"), r"interpolation='cubic' should be one of nearest"),
        (lambda: layers.RandomFlip()(X[0, 0]), r"3 dimensions, or 4 with a batch, not shape \(7, 3\)"),
        (lambda: layers.MixUp()(X), r"should be a dict with 'images' and 'labels'"),
        (lambda: layers.RandomFlip()({"labels": LABELS}), r"should have 'images'; it has 'labels'"),
        (lambda: layers.RandomFlip()({"images": X, "bounding_boxes": {}}), r"does not move bounding boxes"),
    ],
)
def test_errors_say_what_came_and_what_was_expected(make, message):
    with pytest.raises(ValueError, match=message):
        make()
