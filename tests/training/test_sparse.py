"""Models with sparse inputs train as with the same data dense, on every backend."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

import kcore as keras
from kcore import backends, layers, ops

RNG = np.random.default_rng(0)
X = scipy.sparse.random_array((50, 10), density=0.3, format="csr", rng=np.random.default_rng(1), dtype="float32")
IDS = scipy.sparse.csr_array((RNG.integers(0, 6, (50, 4)) * (RNG.random((50, 4)) < 0.5)).astype("int32"))
Y = RNG.random((50, 1)).astype("float32")


def dense_model(sparse, optimizer="adam", **compiled):
    keras.utils.set_random_seed(1)
    x = keras.Input((10,), sparse=sparse)
    y = layers.Dense(1)(layers.Dropout(0.2)(layers.Dense(8, activation="relu")(x)))
    model = keras.Model(x, y)
    model.compile(optimizer, "mse", **compiled)
    return model


def embedding_model(sparse, optimizer="adam"):
    keras.utils.set_random_seed(1)
    x = keras.Input((4,), sparse=sparse, dtype="int32")
    model = keras.Model(x, layers.Dense(1)(layers.Flatten()(layers.Embedding(6, 3)(x))))
    model.compile(optimizer, "mse")
    return model


def losses(model, x, **fit):
    keras.utils.set_random_seed(2)
    found = model.fit(x, Y, epochs=3, batch_size=16, verbose=0, **fit).history
    return np.concatenate([found["loss"], found.get("val_loss", [])])


@pytest.mark.parametrize(
    ("make", "x", "optimizer"),
    [(dense_model, X, "adam"), (embedding_model, IDS, "adam"), (embedding_model, IDS, "sgd")],
    ids=["dense", "embedding-adam", "embedding-sgd"],
)
def test_losses_are_those_of_dense_data(backend, make, x, optimizer):
    sparse, dense = make(True, optimizer), make(False, optimizer)
    np.testing.assert_allclose(losses(sparse, x), losses(dense, x.toarray()), atol=1e-5)
    np.testing.assert_allclose(sparse.predict(x, verbose=0), dense.predict(x.toarray(), verbose=0), atol=1e-5)
    for v, w in zip(sparse.trainable_variables, dense.trainable_variables, strict=True):
        np.testing.assert_allclose(v.numpy(), w.numpy(), atol=1e-5)


def test_every_kind_of_sparse_data_is_cut_into_the_same_batches(backend):
    want = losses(dense_model(True), X, validation_split=0.2)
    for x in (scipy.sparse.coo_matrix(X), keras.sparse.tensor(np.stack(X.nonzero(), 1), X.data, X.shape)):
        np.testing.assert_allclose(losses(dense_model(True), x, validation_split=0.2), want, atol=1e-5)


def test_sparse_and_dense_inputs_go_together(backend):
    keras.utils.set_random_seed(1)
    a, b = keras.Input((10,), sparse=True, name="a"), keras.Input((3,), name="b")
    model = keras.Model([a, b], layers.Dense(1)(layers.Concatenate()([layers.Dense(4)(a), b])))
    model.compile("sgd", "mse")
    side = RNG.random((50, 3)).astype("float32")
    history = model.fit({"a": X, "b": side}, Y, epochs=2, verbose=0, shuffle=False).history
    assert history["loss"][1] < history["loss"][0]
    np.testing.assert_allclose(
        model.predict([X, side], verbose=0), model.predict([X.toarray(), side], verbose=0), atol=1e-5
    )


def test_a_model_may_take_sparse_vectors_from_a_layer(backend):
    keras.utils.set_random_seed(1)
    ids = RNG.integers(0, 6, (50, 4))
    models = []
    for sparse in (True, False):
        keras.utils.set_random_seed(1)
        x = keras.Input((4,), dtype="int32")
        model = keras.Model(x, layers.Dense(1)(layers.CategoryEncoding(6, sparse=sparse)(x)))
        model.compile("sgd", "mse")
        models.append(losses(model, ids))
    np.testing.assert_allclose(*models, atol=1e-5)


def test_the_frameworks_own_data_sets_bring_sparse_batches(backend):
    want = losses(dense_model(True), X, shuffle=False)
    model = dense_model(True)
    keras.utils.set_random_seed(2)
    parts = [slice(i, min(i + 16, 50)) for i in range(0, 50, 16)]
    if backend.name == "tensorflow":
        import tensorflow as tf

        data = tf.data.Dataset.from_tensor_slices((tf.sparse.from_dense(X.toarray()), Y)).batch(16)
    elif backend.name == "torch":
        import torch

        batches = [(torch.tensor(X[p].toarray()).to_sparse(), torch.tensor(Y[p])) for p in parts]
        data = torch.utils.data.DataLoader(batches, batch_size=None)
    else:
        data = (batch for _ in range(3) for batch in [(X[p], Y[p]) for p in parts])
    steps = 4 if backend.name in ("reference", "jax") else None
    got = model.fit(data, epochs=3, steps_per_epoch=steps, verbose=0).history["loss"]
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_single_batches_and_subclassed_models_take_sparse_data(backend):
    class Scores(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = layers.Dense(1)

        def call(self, x):
            return self.inner(x)

    model = Scores()
    model.compile("sgd", "mse")
    first = model.train_on_batch(X, Y)
    assert model.train_on_batch(X, Y) < first
    assert model.test_on_batch(X, Y) < first
    np.testing.assert_allclose(model.predict_on_batch(X), ops.convert_to_numpy(model(X.toarray())), atol=1e-5)
    assert model.fit(X, Y, verbose=0).history["loss"]


def test_a_sparse_input_survives_a_file(backend, tmp_path):
    model = dense_model(True)
    want = model.predict(X, verbose=0)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    assert again.inputs[0].sparse
    np.testing.assert_allclose(again.predict(X, verbose=0), want, atol=1e-6)


def test_torch_runs_the_step_eagerly_on_sparse_batches_when_asked_to_compile():
    if "torch" not in backends.installed():
        pytest.skip("torch is not installed")
    with backends.use("torch"):
        want = losses(dense_model(True), X)
        np.testing.assert_allclose(losses(dense_model(True, jit_compile=True), X), want, atol=1e-5)


def test_jax_compiles_one_step_for_batches_that_store_unlike_numbers_of_elements():
    if "jax" not in backends.installed():
        pytest.skip("jax is not installed")
    with backends.use("jax") as jax:
        sizes = {len(keras.sparse.parts(jax.as_step_input(X[i : i + 8]))[1]) for i in range(0, 40, 8)}
        assert len(sizes) == 1
