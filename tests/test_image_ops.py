"""Image ops beyond their records: layouts, random shifts, sizes that only the run tells."""

import numpy as np
import pytest

from kcore import backends, config, ops
from kcore.ops.symbolic import KerasTensor


@pytest.fixture(params=backends.installed())
def backend(request):
    with backends.use(request.param) as found:
        yield found


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(size=(2, 9, 8, 3)).astype("float32")


def test_elastic_transform_moves_pixels_alike_on_every_backend(backend, images):
    got = backend.numpy(ops.image.elastic_transform(images, sigma=2.0, seed=5))
    with backends.use("reference"):
        want = np.asarray(ops.image.elastic_transform(images, sigma=2.0, seed=5))
    np.testing.assert_allclose(got, want, atol=1e-5)
    assert np.abs(got - images).mean() > 0.05


def test_another_seed_moves_other_pixels(images):
    with backends.use("reference"):
        one, two = (np.asarray(ops.image.elastic_transform(images, seed=s)) for s in (1, 2))
    assert not np.allclose(one, two)


def test_the_default_layout_counts_from_the_moment_it_is_set():
    x, kernel = np.ones((1, 4, 6, 4), "float32"), np.ones((3, 3, 4, 2), "float32")
    before = config.image_data_format()
    try:
        with backends.use("reference"):
            config.set_image_data_format("channels_last")
            assert ops.conv(x, kernel).shape == (1, 2, 4, 2)
            config.set_image_data_format("channels_first")
            assert ops.conv(x, kernel).shape == (1, 2, 4, 2)
            assert ops.max_pool(x, 2).shape == (1, 4, 3, 2)
            assert ops.image.resize(x, (2, 5)).shape == (1, 4, 2, 5)
    finally:
        config.set_image_data_format(before)


def test_unknown_sizes_stay_unknown_until_they_are_set():
    x = KerasTensor((None, None, None, 3))
    assert ops.conv(x, KerasTensor((3, 3, 3, 8)), padding="same").shape == (None, None, None, 8)
    assert ops.max_pool(x, 2).shape == (None, None, None, 3)
    assert ops.image.resize(x, (4, 5)).shape == (None, 4, 5, 3)
    assert ops.image.crop_images(x, 1, 1, 1, 1).shape == (None, None, None, 3)


@pytest.mark.skipif("tensorflow" not in backends.installed(), reason="needs tensorflow")
@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda x: ops.conv(x, np.ones((3, 3, 3, 2), "float32"), 2, "same"), (2, 5, 4, 2)),
        (lambda x: ops.conv(x, np.ones((3, 3, 3, 2), "float32"), 2, "same", dilation_rate=2), (2, 5, 4, 2)),
        (lambda x: ops.conv_transpose(x, np.ones((3, 3, 2, 3), "float32"), 2, "same"), (2, 18, 16, 2)),
        (lambda x: ops.depthwise_conv(x, np.ones((2, 2, 3, 2), "float32"), 2, "same"), (2, 5, 4, 6)),
        (lambda x: ops.average_pool(x, 2, padding="same"), (2, 5, 4, 3)),
        (lambda x: ops.adaptive_max_pool(x, (4, 3)), (2, 4, 3, 3)),
        (lambda x: ops.image.resize(x, (4, 5), antialias=True, crop_to_aspect_ratio=True), (2, 4, 5, 3)),
        (lambda x: ops.image.resize(x, (4, 5), "bicubic", pad_to_aspect_ratio=True), (2, 4, 5, 3)),
        (lambda x: ops.image.extract_patches(x, 2, padding="same"), (2, 5, 4, 12)),
        (
            lambda x: ops.image.affine_transform(x, np.float32([1, 0, 2, 0, 1, -1, 0, 0]), fill_mode="wrap"),
            (2, 9, 8, 3),
        ),
    ],
)
def test_in_a_tf_function_sizes_may_be_unknown(function, shape, images):
    import tensorflow as tf

    with backends.use("tensorflow"):
        traced = tf.function(function, input_signature=[tf.TensorSpec((None, None, None, 3))])(images)
    with backends.use("reference"):
        want = np.asarray(function(images))
    assert traced.shape == want.shape == shape
    np.testing.assert_allclose(traced, want, atol=1e-5)
