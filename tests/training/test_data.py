"""What `fit` takes: the same batches give the same training, whatever they come in."""

from __future__ import annotations

import numpy as np
import pytest

import kcore as keras
from kcore.data import adapters

layers = keras.layers
X = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
Y = X.sum(1, keepdims=True)


def trained(data, **arguments):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    return model.fit(data, verbose=0, epochs=2, **arguments).history["loss"]


@pytest.fixture
def expected():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    return model.fit(X, Y, batch_size=8, shuffle=False, verbose=0, epochs=2).history["loss"]


class Slices(keras.utils.PyDataset):
    def __len__(self):
        return 5

    def __getitem__(self, i):
        return X[8 * i : 8 * i + 8], Y[8 * i : 8 * i + 8]


def generator():
    while True:
        for i in range(5):
            yield X[8 * i : 8 * i + 8], Y[8 * i : 8 * i + 8]


@pytest.mark.parametrize("workers", [1, 3])
def test_a_py_dataset(expected, workers):
    np.testing.assert_allclose(trained(Slices(workers=workers), shuffle=False), expected, rtol=1e-6)


def test_a_generator(expected):
    np.testing.assert_allclose(trained(generator(), steps_per_epoch=5), expected, rtol=1e-6)


def test_a_tf_dataset(expected):
    tf = pytest.importorskip("tensorflow")
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
    np.testing.assert_allclose(trained(data), expected, rtol=1e-6)


def test_a_torch_data_loader(expected):
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    loader = torch.utils.data.DataLoader(data, batch_size=8)
    np.testing.assert_allclose(trained(loader), expected, rtol=1e-6)


def test_pandas(expected):
    pd = pytest.importorskip("pandas")
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    losses = model.fit(pd.DataFrame(X), pd.Series(Y[:, 0]), batch_size=8, shuffle=False, verbose=0, epochs=2).history[
        "loss"
    ]
    np.testing.assert_allclose(losses, expected, rtol=1e-6)


def test_tensors_of_the_backend(backend):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(backend.convert(X), backend.convert(Y), batch_size=8, shuffle=False, verbose=0)
    assert history.history["loss"][0] > 0


def test_a_data_set_brings_its_own_targets():
    with pytest.raises(ValueError, match="brings its own targets and weights; leave y out"):
        adapters.get_adapter(Slices(), Y)


def test_a_data_set_that_comes_in_batches_takes_no_batch_size():
    with pytest.raises(ValueError, match="leave batch_size out"):
        adapters.get_adapter(Slices(), batch_size=3)


def test_every_sample_comes_once_in_a_shuffled_epoch():
    adapter = adapters.get_adapter(np.arange(10), batch_size=3, shuffle=True, seed=lambda: 5)
    first, second = (np.concatenate([b[0] for b in adapter.batches()]) for _ in range(2))
    assert sorted(first) == list(range(10))
    assert first.tolist() == second.tolist()
    assert first.tolist() != list(range(10))


def test_a_split_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match="leaves one side without any"):
        adapters.split((np.ones(3), None, None), 0.9)
