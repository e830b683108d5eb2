"""Pooling layers."""

import numpy as np
import pytest

from kcore import layers

RNG = np.random.default_rng(0)
IMAGES = {
    1: RNG.normal(size=(2, 8, 3)).astype("float32"),
    2: RNG.normal(size=(2, 8, 9, 3)).astype("float32"),
    3: RNG.normal(size=(2, 5, 6, 4, 3)).astype("float32"),
}
FIRST = {rank: np.ascontiguousarray(np.moveaxis(x, -1, 1)) for rank, x in IMAGES.items()}
MASK = np.arange(16).reshape(2, 8) % 3 > 0


@pytest.mark.parametrize("kind", ["Max", "Average"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_matches_keras(same_as_keras, kind, rank):
    for options in ("2", "3, strides=2, padding='same'", "2, strides=1"):
        same_as_keras(f"L.{kind}Pooling{rank}D({options})", IMAGES[rank])
    same_as_keras(f"L.{kind}Pooling{rank}D(2, data_format='channels_first')", FIRST[rank])
    same_as_keras(f"L.Global{kind}Pooling{rank}D()", IMAGES[rank])
    same_as_keras(f"L.Global{kind}Pooling{rank}D(keepdims=True, data_format='channels_first')", FIRST[rank])


def test_max_pooling_has_a_default_size(same_as_keras):
    same_as_keras("L.MaxPooling2D()", IMAGES[2])
    same_as_keras("L.MaxPool1D()", IMAGES[1])


def test_global_average_pooling_leaves_out_what_is_masked(same_as_keras):
    same_as_keras("L.GlobalAveragePooling1D()", IMAGES[1], call={"mask": MASK}, symbolic=False)
    x = np.where(MASK[..., None], IMAGES[1], np.inf)
    y = layers.GlobalAveragePooling1D()(x, mask=MASK)
    np.testing.assert_allclose(y[0], IMAGES[1][0][MASK[0]].mean(0), rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.MaxPooling2D(0), r"pool_size=0 should be an integer of at least 1"),
        (lambda: layers.AveragePooling2D(2, padding="full"), r"padding='full' should be 'valid' or 'same'"),
        (lambda: layers.MaxPooling2D(2)(IMAGES[1]), r"should have 4 dimensions; it has shape \(2, 8, 3\)"),
    ],
)
def test_errors_say_what_came_and_what_was_expected(make, message):
    with pytest.raises(ValueError, match=message):
        make()
