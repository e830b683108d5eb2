"""The shipped digits: what load() gives, and what it says to a wrong argument."""

import gzip
import hashlib
from importlib import resources

import numpy as np
import pytest

from kcore.data import digits

# Of load() with its defaults; a change here changes what every user trains on.
FIRST_LABELS = [6, 6, 6, 6, 6, 9, 7, 6, 9, 9, 5, 6]
FIRST_DIGEST = "156486ada622c638"


def test_the_split_has_all_images_in_the_promised_form():
    (x_train, y_train), (x_test, y_test) = digits.load()
    assert x_train.shape == (1438, 8, 8, 1)
    assert x_test.shape == (359, 8, 8, 1)
    assert (x_train.dtype, x_test.dtype) == (np.float32, np.float32)
    assert (y_train.shape, y_test.shape) == ((1438,), (359,))
    assert (y_train.dtype, y_test.dtype) == (np.int32, np.int32)
    assert (x_train.min(), x_train.max()) == (0, 1)
    assert set(y_test.tolist()) == set(range(10))


def test_every_image_is_in_one_part_with_its_own_label():
    (x_train, y_train), (x_test, y_test) = digits.load(0.3, seed=5)
    got = np.concatenate([x_train, x_test]).reshape(-1, 64) * 16
    got = np.column_stack([got, np.concatenate([y_train, y_test])]).astype(int)
    packed = resources.files("kcore.data.digits").joinpath("digits.csv.gz").read_bytes()
    want = [tuple(map(int, line.split(b","))) for line in gzip.decompress(packed).splitlines()]
    assert sorted(map(tuple, got.tolist())) == sorted(want)


def test_the_file_is_the_one_its_readme_describes():
    folder = resources.files("kcore.data.digits")
    digest = hashlib.sha256(folder.joinpath("digits.csv.gz").read_bytes()).hexdigest()
    readme = folder.joinpath("README.md").read_text(encoding="utf-8")
    assert digest in readme
    assert "CC BY 4.0" in readme


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5])
def test_each_class_is_held_out_in_proportion(fraction):
    (_, y_train), (_, y_test) = digits.load(fraction)
    share = np.bincount(y_test) / np.bincount(np.concatenate([y_train, y_test]))
    assert np.abs(share - fraction).max() < 1 / 170  # a class has 174 images or more


def test_the_same_seed_gives_the_same_split_everywhere():
    (x, y), _ = digits.load()
    assert y[:12].tolist() == FIRST_LABELS
    assert hashlib.sha256(x.tobytes()).hexdigest().startswith(FIRST_DIGEST)


def test_another_seed_gives_another_split():
    (_, y), _ = digits.load(seed=1)
    (_, z), _ = digits.load(seed=2)
    assert not np.array_equal(y, z)


def test_a_loaded_array_is_the_callers_own():
    (x, _), _ = digits.load()
    x[:] = -1
    (again, _), _ = digits.load()
    assert again.min() == 0


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, 1e-9, float("nan")])
def test_a_fraction_that_leaves_a_part_empty_is_refused(fraction):
    with pytest.raises(ValueError, match=rf"test_fraction={fraction!r} .* 0 < test_fraction < 1"):
        digits.load(fraction)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(ValueError, match=rf"seed={seed} is out of range; expected 0 <= seed"):
        digits.load(seed=seed)


@pytest.mark.parametrize("arguments", [{"test_fraction": "0.2"}, {"seed": 0.5}, {"seed": True}])
def test_an_argument_of_another_type_is_refused(arguments):
    (name,) = arguments
    with pytest.raises(TypeError, match=f"digits.load: {name}="):
        digits.load(**arguments)
