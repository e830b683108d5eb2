"""Sparse tensors: what they are on each backend, what ops make of them, and what is refused."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest
import scipy.sparse

import kcore as keras
from kcore import backends, layers, ops
from kcore.backends import coo
from kcore.ops import sparsity
from kcore.ops.mechanism import REGISTRY
from tests.peers import keras as peer

A = np.array([[0, 1.5, 0, -2], [0, 0, 0, 0], [3, 0, 0.5, 0]], "float32")
B = np.array([[2, 0.5, 0, 0], [0, 0, 1, 0], [-3, 0, 0, 0]], "float32")


def native(name, x, duplicated=False):
    """A sparse tensor made by the framework itself; `duplicated` stores it out of order, and one element in two parts."""
    where = np.stack(np.nonzero(x), 1)
    values = x[tuple(where.T)]
    if duplicated:
        where, values = np.concatenate([where[::-1], where[:1]]), np.concatenate([values[::-1], values[:1]])
        values[-1] /= 2
        values[len(values) - 2] /= 2
    if name == "reference":
        return scipy.sparse.coo_array((values, tuple(where.T)), x.shape)
    if name == "jax":
        from jax.experimental.sparse import BCOO

        return BCOO((keras.ops.convert_to_tensor(values), ops.convert_to_tensor(where.astype("int32"))), shape=x.shape)
    if name == "tensorflow":
        import tensorflow as tf

        return tf.SparseTensor(where, values, x.shape)
    import torch

    return torch.sparse_coo_tensor(torch.tensor(where.T), torch.tensor(values), x.shape)


def values(x):
    return np.asarray(ops.convert_to_numpy(x))


def is_native(backend, x):
    """Whether x is what the framework's users know as a sparse tensor."""
    if backend.name == "torch":
        return x.is_sparse
    return type(x).__name__ == {"jax": "BCOO"}.get(backend.name, "SparseTensor")


# -- made -------------------------------------------------------------------------------


def test_a_sparse_tensor_is_the_frameworks_own(backend):
    x = keras.sparse.tensor([[0, 1], [2, 0]], [1.0, 2.0], (3, 2))
    assert is_native(backend, x)
    assert keras.sparse.is_sparse(x)
    assert ops.is_tensor(x)
    assert ops.shape(x) == (3, 2)
    assert ops.dtype(x) == "float32"
    np.testing.assert_array_equal(values(x), [[0, 1], [0, 0], [2, 0]])


def test_elements_in_any_order_and_in_parts_are_put_in_order_and_summed(backend):
    x = keras.sparse.tensor([[1, 1], [0, 2], [1, 1], [0, 0]], [1.0, 2.0, 3.0, 4.0], (2, 3), dtype="float64")
    indices, stored = keras.sparse.parts(x)
    np.testing.assert_array_equal(values(indices), [[0, 0], [0, 2], [1, 1]])
    np.testing.assert_array_equal(values(stored), [4, 2, 4])
    assert ops.dtype(x) == "float64"


@pytest.mark.parametrize(
    "op", ["absolute", "square", "add", "multiply", "sum", "max", "matmul", "softmax", "concatenate"]
)
def test_a_framework_tensor_with_duplicates_counts_their_sum(backend, op):
    x, y = native(backend.name, A, duplicated=True), native(backend.name, B)
    call = getattr(ops, op)
    with np.errstate(all="ignore"):
        got, want = {
            "absolute": (lambda: call(x), np.abs(A)),
            "square": (lambda: call(x), A**2),
            "add": (lambda: call(x, y), A + B),
            "multiply": (lambda: call(x, y), A * B),
            "sum": (lambda: call(x, 0), A.sum(0)),
            "max": (lambda: call(x, 1), A.max(1)),
            "matmul": (lambda: call(x, B.T), A @ B.T),
            "softmax": (
                lambda: call(x),
                np.nan_to_num(np.where(A, np.exp(A), 0) / np.where(A, np.exp(A), 0).sum(1)[:, None]),
            ),
            "concatenate": (lambda: call([x, y]), np.concatenate([A, B])),
        }[op]
    np.testing.assert_allclose(values(got()), want, rtol=1e-6)


@pytest.mark.parametrize("other", ["reference", "jax", "tensorflow", "torch"])
def test_any_frameworks_sparse_tensor_becomes_one_of_the_active_backend(backend, other):
    if other not in backends.installed():
        pytest.skip(f"{other} is not installed")
    with backends.use(other):
        x = native(other, A)
    y = ops.convert_to_tensor(x)
    assert is_native(backend, y)
    np.testing.assert_array_equal(values(y), A)
    assert not keras.sparse.is_sparse(ops.convert_to_tensor(x, sparse=False))
    np.testing.assert_array_equal(values(ops.convert_to_tensor(x, dtype="float64", sparse=False)), A.astype("float64"))


@pytest.mark.parametrize(
    "kind", ["csr_array", "csc_array", "coo_array", "csr_matrix", "bsr_array", "dok_array", "lil_array"]
)
def test_every_scipy_format_is_taken(backend, kind):
    np.testing.assert_array_equal(values(ops.convert_to_tensor(getattr(scipy.sparse, kind)(A))), A)


def test_other_layouts_of_the_frameworks_are_taken():
    torch = pytest.importorskip("torch")
    with backends.use("torch"):
        for x in (torch.tensor(A).to_sparse_csr(), torch.tensor(A).to_sparse_csc()):
            np.testing.assert_allclose(values(ops.matmul(x, B.T)), A @ B.T, rtol=1e-6)
    pytest.importorskip("jax")
    from jax.experimental import sparse

    with backends.use("jax"):
        for x in (sparse.BCSR.fromdense(A), sparse.BCOO.fromdense(A, n_batch=1), sparse.BCOO.fromdense(A, n_dense=1)):
            np.testing.assert_allclose(values(ops.add(x, x)), 2 * A, rtol=1e-6)
            np.testing.assert_allclose(values(x), A)


@pytest.mark.parametrize(
    ("indices", "stored", "shape", "error", "match"),
    [
        ([[0, 3]], [1.0], (2, 3), ValueError, r"indices\[0\]=\(0, 3\) is out of range for shape=\(2, 3\)"),
        ([[0, 0], [-1, 0]], [1.0, 2.0], (2, 3), ValueError, r"indices\[1\]=\(-1, 0\) is out of range"),
        ([[0, 0]], [1.0, 2.0], (2, 3), ValueError, r"values should have shape \(1,\)"),
        ([[0, 0, 0]], [1.0], (2, 3), ValueError, r"indices should have shape \(stored, 2\)"),
        ([0, 1], [1.0, 2.0], (2, 3), ValueError, r"indices should have shape \(stored, 2\)"),
        ([[0.5, 0]], [1.0], (2, 3), TypeError, "indices should be integers, not float32"),
        ([[0, 0]], [1.0], (None, 3), ValueError, "should be sizes, all known"),
        ([[0, 0]], [1.0], (2, -3), ValueError, "should be sizes, all known"),
    ],
)
def test_what_makes_no_sparse_tensor_is_refused(backend, indices, stored, shape, error, match):
    with pytest.raises(error, match=f"sparse.tensor: .*{match}"):
        keras.sparse.tensor(indices, stored, shape)


@pytest.mark.parametrize("shape", [(3, 4), (0, 4), (3, 0), (2, 0, 3)])
def test_a_tensor_may_store_nothing(backend, shape):
    x = keras.sparse.tensor(np.zeros((0, len(shape)), "int64"), np.zeros(0, "float32"), shape)
    dense = np.zeros(shape, "float32")
    np.testing.assert_array_equal(values(x), dense)
    np.testing.assert_array_equal(values(ops.add(x, x)), dense)
    np.testing.assert_array_equal(values(ops.multiply(x, x)), dense)
    np.testing.assert_array_equal(values(ops.sum(x, 0)), dense.sum(0))
    np.testing.assert_array_equal(values(ops.transpose(x)), dense.T)
    np.testing.assert_array_equal(values(ops.concatenate([x, x], -1)), np.concatenate([dense, dense], -1))
    np.testing.assert_array_equal(values(ops.reshape(x, (-1,) if dense.size else (0,))), dense.reshape(-1))
    if len(shape) == 2:
        w = np.ones((shape[1], 2), "float32")
        np.testing.assert_array_equal(values(ops.matmul(x, w)), dense @ w)
        np.testing.assert_array_equal(values(ops.softmax(x)), dense)
        np.testing.assert_array_equal(values(ops.matmul(x, ops.transpose(x))), dense @ dense.T)


# -- ops --------------------------------------------------------------------------------


def test_operators_follow_the_table_on_the_reference_backend():
    with backends.use("reference"):
        x, y = keras.sparse.from_dense(A), keras.sparse.from_dense(B)
        for got, want, sparse in (
            (x + y, A + B, True),
            (x * 2, A * 2, True),
            (A * x, A * A, True),
            (1 - x, 1 - A, False),
            (x @ B.T, A @ B.T, False),
            (x[0], A[0], True),
            (x[:, ::-2], A[:, ::-2], True),
            (-x, -A, True),
            (abs(x) / 2, abs(A) / 2, True),
            (x**2, A**2, True),
        ):
            assert keras.sparse.is_sparse(got) is sparse
            np.testing.assert_allclose(values(got), want, rtol=1e-6)
        assert x.tocoo().shape == A.shape
        np.testing.assert_array_equal(np.asarray(x), A)


def test_wrong_shapes_are_the_rules_errors_for_sparse_tensors_too(backend):
    x = keras.sparse.from_dense(A)
    with pytest.raises(ValueError, match=r"matmul: shapes \(3, 4\) and \(3, 4\) don't multiply"):
        ops.matmul(x, x)
    with pytest.raises(ValueError, match="add: .*broadcast"):
        ops.add(x, keras.sparse.from_dense(A[:, :3]))
    with pytest.raises(ValueError, match="sum: axis=2 is out of range"):
        ops.sum(x, 2)


def test_an_op_without_a_sparse_form_makes_dense_and_warns_once(backend, monkeypatch):
    monkeypatch.setattr(sparsity, "_warned", set())
    x = keras.sparse.from_dense(A)
    with pytest.warns(UserWarning, match="^cos: a sparse tensor is made dense"):
        y = ops.cos(x)
    np.testing.assert_allclose(values(y), np.cos(A), rtol=1e-6)
    assert not keras.sparse.is_sparse(y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ops.cos(keras.sparse.from_dense(B))
    with pytest.warns(UserWarning, match="^exp: "):
        ops.exp(x)


def test_some_ops_refuse(backend):
    with pytest.raises(ValueError, match="view: a sparse tensor is refused: it reads the bytes"):
        ops.view(keras.sparse.from_dense(A), "int32")
    with pytest.raises(ValueError, match="view: a sparse tensor is refused"):
        ops.view(keras.KerasTensor((3, 4), sparse=True), "int32")


def test_calls_with_dense_and_with_sparse_tensors_of_one_shape_do_not_mix(backend):
    sparse, dense = native(backend.name, A), ops.convert_to_tensor(A)
    sparse = ops.convert_to_tensor(sparse) if backend.name == "reference" else sparse
    keras.sparse.is_sparse(sparse)
    for name in ("tanh", "sum", "transpose", "add", "multiply", "var", "dense", "concatenate"):
        call = getattr(ops, name)
        args = {"add": lambda x: (x, x), "multiply": lambda x: (x, 2.0), "concatenate": lambda x: ([x, x],)}
        args["dense"] = lambda x: (x, B.T)
        for x, kind in ((dense, False), (sparse, True), (dense, False), (sparse, True)):
            y = call(*args.get(name, lambda x: (x,))(x))
            wanted = kind and name in ("tanh", "transpose", "add", "multiply", "concatenate")
            assert keras.sparse.is_sparse(y) is wanted, name
            np.testing.assert_allclose(values(y), values(call(*args.get(name, lambda x: (x,))(A))), rtol=1e-5)


def test_a_torch_tensor_never_seen_before_is_told_from_a_dense_one():
    """In a process of its own: from the first sparse tensor on, plans look at what they are given."""
    pytest.importorskip("torch")
    code = """if True:
        import numpy as np, torch, kcore
        from kcore import ops
        from kcore.ops.mechanism import REGISTRY
        x = torch.tensor([[0.0, 0.5], [0.25, 0.0]])
        for name in {names}:
            call = getattr(ops, name)
            want = call(x)
            got = call(x.to_sparse())
            assert (got.layout is not torch.strided) == (REGISTRY[name].sparse is not None), name
            np.testing.assert_allclose(ops.convert_to_numpy(got), ops.convert_to_numpy(want), rtol=1e-5)
        for f in (ops.cos, ops.tanh, lambda x: ops.sum(x, 0)):
            f(x)
            loss = lambda x: ops.sum(ops.array(f(x)))
            g = kcore.grad(loss)(x.to_sparse())
            assert g.is_sparse
            np.testing.assert_allclose(g.to_dense(), kcore.grad(loss)(x) * (x != 0), rtol=1e-5)
    """
    names = [["tanh", "cos"], ["var"], ["exp", "sqrt"], ["transpose"]]
    for some in names:
        env = {"KCORE_BACKEND": "torch", "PYTHONWARNINGS": "ignore", "PATH": "", "PYTHONPATH": ":".join(sys.path)}
        subprocess.run([sys.executable, "-c", code.replace("{names}", repr(some))], check=True, env=env)


def test_every_op_makes_something_right_of_a_sparse_tensor():
    """Of all unary ops: as for the dense tensor, or refused; and sparse only where the table says so."""
    x = np.where(A > 0, A / 4, 0)
    with backends.use("reference"), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for name, op in REGISTRY.items():
            if list(op.roles.values()).count("tensor") != 1 or next(iter(op.roles.values())) != "tensor":
                continue
            if name.startswith("random") or name in ("softmax", "empty_like") or "control" in op.roles.values():
                continue
            try:
                want = op.call(ops.convert_to_tensor(x))
            except Exception:
                continue  # it takes more than a matrix
            if name in sparsity.REFUSED:
                continue
            got = op.call(keras.sparse.from_dense(x))
            for y, w in zip(keras.tree.flatten(got), keras.tree.flatten(want), strict=True):
                assert op.sparse is not None or not keras.sparse.is_sparse(y), name
                np.testing.assert_allclose(values(y), values(w), rtol=1e-5, atol=1e-6, err_msg=name)


# -- symbols ----------------------------------------------------------------------------


def test_symbolic_tensors_are_sparse_where_real_ones_are():
    x, y, d = (keras.KerasTensor((None, 4), sparse=s) for s in (True, True, False))
    assert "sparse=True" in repr(x)
    assert ops.abs(x).sparse
    assert ops.add(x, y).sparse
    assert not ops.add(x, d).sparse
    assert ops.multiply(x, d).sparse
    assert not ops.matmul(x, keras.KerasTensor((4, 2))).sparse
    assert ops.sum(x, 1).sparse
    assert not ops.sum(x).sparse
    assert not ops.convert_to_tensor(x, sparse=False).sparse
    assert not ops.cos(x).sparse
    assert ops.one_hot(keras.KerasTensor((3,), "int32"), 4, sparse=True).sparse
    assert (x * 2).sparse
    assert x[:, 1:].sparse
    with pytest.raises(ValueError, match="don't go together"):
        keras.KerasTensor((2,), sparse=True, ragged=True)


@pytest.mark.parametrize(
    "call",
    [
        lambda k, x, d: k.ops.abs(x),
        lambda k, x, d: k.ops.sqrt(x),
        lambda k, x, d: k.ops.cos(x),
        lambda k, x, d: k.ops.add(x, x),
        lambda k, x, d: k.ops.add(x, d),
        lambda k, x, d: k.ops.subtract(d, x),
        lambda k, x, d: k.ops.multiply(x, d),
        lambda k, x, d: k.ops.multiply(x, x),
        lambda k, x, d: k.ops.divide(x, d),
        lambda k, x, d: k.ops.divide(x, 2.0),
        lambda k, x, d: k.ops.maximum(x, x),
        lambda k, x, d: k.ops.minimum(x, d),
        lambda k, x, d: k.ops.matmul(x, k.ops.transpose(d)),
        lambda k, x, d: k.ops.matmul(d, k.ops.transpose(x)),
        lambda k, x, d: k.ops.sum(x, 0),
        lambda k, x, d: k.ops.sum(x, 1, keepdims=True),
        lambda k, x, d: k.ops.mean(x, 0),
        lambda k, x, d: k.ops.reshape(x, (4, 3)),
        lambda k, x, d: k.ops.transpose(x),
        lambda k, x, d: k.ops.expand_dims(x, 1),
        lambda k, x, d: k.ops.squeeze(k.ops.expand_dims(x, 1)),
        lambda k, x, d: k.ops.concatenate([x, x]),
        lambda k, x, d: k.ops.concatenate([x, d]),
        lambda k, x, d: k.ops.cast(x, "float16"),
        lambda k, x, d: k.ops.one_hot(np.array([[0, 2]]), 3, sparse=True),
        lambda k, x, d: k.ops.multi_hot(np.array([[0, 2], [1, 1]]), 3, sparse=True),
        lambda k, x, d: k.ops.bincount(np.array([[0, 2], [1, 1]]), minlength=4, sparse=True),
    ],
)
def test_results_are_of_keras_kind_and_value_on_jax(call):
    from jax.experimental import sparse

    k, x = peer(), sparse.BCOO.fromdense(A)
    with backends.use("jax"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got, want = call(keras, x, B + 1), call(k, x, B + 1)
        assert keras.sparse.is_sparse(got) == isinstance(want, sparse.JAXSparse)
        np.testing.assert_allclose(values(got), k.ops.convert_to_numpy(want), rtol=1e-5)


# -- gradients --------------------------------------------------------------------------


def test_gradients_by_a_sparse_tensor_are_sparse_with_its_pattern(backend):
    x, w = keras.sparse.from_dense(A), ops.convert_to_tensor(B.T)

    def loss(x, w):
        return ops.sum(ops.square(ops.matmul(ops.tanh(x), w)))

    value, (gx, gw) = keras.value_and_grad(loss, argnums=(0, 1))(x, w)
    dense_value, (dx, dw) = keras.value_and_grad(loss, argnums=(0, 1))(ops.convert_to_tensor(A), w)
    assert is_native(backend, gx)
    np.testing.assert_allclose(values(value), values(dense_value), rtol=1e-5)
    np.testing.assert_allclose(values(gx), np.where(A, values(dx), 0), rtol=1e-4)
    np.testing.assert_allclose(values(gw), values(dw), rtol=1e-4)


def test_gradients_pass_through_jvp_vjp_and_second_order(backend):
    x = ops.cast(keras.sparse.from_dense(A), "float64")
    y, pull = keras.vjp(ops.square, x)
    (g,) = pull(y)
    np.testing.assert_allclose(values(g), 2 * A.astype("float64") ** 3)
    y, tangent = keras.jvp(ops.square, (x,), (x,))
    np.testing.assert_allclose(values(tangent), 2 * A.astype("float64") ** 2)
    again = keras.grad(lambda x: ops.sum(keras.grad(lambda x: ops.sum(ops.power(x, 3)))(x)))(x)
    np.testing.assert_allclose(values(again), 6 * A.astype("float64"))
    with pytest.raises(TypeError, match="jacobian: an argument is sparse"):
        keras.jacobian(ops.square)(x)


def test_the_softmax_is_over_what_is_stored_and_so_is_its_gradient(backend):
    x = ops.cast(keras.sparse.from_dense(A), "float64")
    weights = np.arange(12.0).reshape(3, 4)

    def loss(x):
        return ops.sum(ops.multiply(ops.softmax(x), weights))

    g = values(keras.grad(loss)(x))
    for i, j in zip(*np.nonzero(A)):
        step = np.zeros_like(weights)
        step[i, j] = 1e-6
        up, down = (float(values(loss(ops.add(x, keras.sparse.from_dense(s))))) for s in (step, -step))
        np.testing.assert_allclose(g[i, j], (up - down) / 2e-6, atol=1e-7)
    np.testing.assert_allclose(values(ops.sum(ops.softmax(x), 1)), [1, 0, 1])


def test_the_frameworks_own_gradients_flow(backend):
    if backend.name == "jax":
        import jax
        from jax.experimental import sparse

        x = sparse.BCOO.fromdense(A)
        g = jax.jit(jax.grad(lambda v: ops.sum(ops.array(ops.square(sparse.BCOO((v, x.indices), shape=x.shape))))))(
            x.data
        )
        np.testing.assert_allclose(g, 2 * x.data)
    elif backend.name == "torch":
        import torch

        x = torch.tensor(A).to_sparse().requires_grad_()
        keras.sparse.is_sparse(x)
        ops.sum(ops.array(ops.matmul(x, B.T))).backward()
        np.testing.assert_allclose(x.grad.to_dense(), np.where(A, np.ones_like(A) * B.sum(0), 0), rtol=1e-6)
    elif backend.name == "tensorflow":
        import tensorflow as tf

        x = tf.sparse.from_dense(A)
        with tf.GradientTape() as tape:
            tape.watch(x.values)
            y = ops.sum(ops.array(ops.square(x)))
        np.testing.assert_allclose(tape.gradient(y, x.values), 2 * x.values)


def test_compiled_functions_take_and_return_sparse_tensors(backend):
    def f(x, y):
        return (
            ops.add(ops.multiply(x, 2.0), y),
            ops.matmul(x, ops.transpose(y)),
            ops.get_item(x, (slice(1, 3), slice(None, None, 2))),
        )

    if backend.name == "jax":
        import jax

        run = jax.jit(f)
    elif backend.name == "tensorflow":
        import tensorflow as tf

        run = tf.function(f, autograph=False)
    else:
        run = f
    got = run(keras.sparse.from_dense(A), keras.sparse.from_dense(B))
    for y, want in zip(got, (2 * A + B, A @ B.T, A[1:3, ::2]), strict=True):
        assert is_native(backend, y)
        np.testing.assert_allclose(values(y), want, rtol=1e-6)


# -- layers -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "sparse"),
    [
        (lambda: layers.Dense(2), False),
        (lambda: layers.Flatten(), True),
        (lambda: layers.Reshape((2, 2)), True),
        (lambda: layers.Permute((1,)), True),
        (lambda: layers.Activation("relu"), True),
        (lambda: layers.ReLU(), True),
        (lambda: layers.Identity(), True),
        (lambda: layers.Dropout(0.5), True),
    ],
)
def test_layers_take_sparse_tensors_and_say_what_they_give(backend, make, sparse):
    layer = make()
    symbol = layer(keras.Input((4,), sparse=True))
    x = keras.sparse.from_dense(A)
    y = layer(x)
    assert symbol.sparse is sparse
    assert keras.sparse.is_sparse(y) is sparse
    np.testing.assert_allclose(values(y), values(layer(ops.convert_to_tensor(A))), rtol=1e-6)
    np.testing.assert_allclose(values(layer(scipy.sparse.csr_array(A))), values(y), rtol=1e-6)


@pytest.mark.parametrize("name", ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"])
def test_merging_layers_keep_sparse_tensors_sparse(backend, name):
    layer = getattr(layers, name)()
    x, y = keras.sparse.from_dense(A), keras.sparse.from_dense(B)
    merged = layer([x, y])
    assert keras.sparse.is_sparse(merged)
    assert layer([keras.Input((4,), sparse=True), keras.Input((4,), sparse=True)]).sparse
    np.testing.assert_allclose(
        values(merged), values(layer([ops.convert_to_tensor(A), ops.convert_to_tensor(B)])), rtol=1e-6
    )


def test_dropout_drops_the_same_elements_of_sparse_and_dense_tensors(backend):
    sparse, dense = (
        layers.Dropout(0.5, seed=3)(x, training=True) for x in (keras.sparse.from_dense(A), ops.convert_to_tensor(A))
    )
    np.testing.assert_array_equal(values(sparse), values(dense))


IDS = np.array([[0, 2, 2], [3, 1, 0]])
TEXTS = np.array([["a", "c", "c"], ["b", "x", "a"]])


@pytest.mark.parametrize(
    ("make", "inputs"),
    [
        (lambda mode, **kw: layers.CategoryEncoding(4, mode, **kw), IDS),
        (lambda mode, **kw: layers.IntegerLookup(vocabulary=[1, 2, 3], output_mode=mode, **kw), IDS),
        (lambda mode, **kw: layers.StringLookup(vocabulary=["a", "b", "c"], output_mode=mode, **kw), TEXTS),
        (lambda mode, **kw: layers.Hashing(5, output_mode=mode, **kw), TEXTS),
        (lambda mode, **kw: layers.Discretization([0.5, 1.5], output_mode=mode, **kw), IDS.astype("float32")),
    ],
    ids=["CategoryEncoding", "IntegerLookup", "StringLookup", "Hashing", "Discretization"],
)
@pytest.mark.parametrize("mode", ["one_hot", "multi_hot", "count"])
def test_vectors_of_categories_come_sparse(backend, make, inputs, mode):
    layer = make(mode, sparse=True)
    y = layer(inputs)
    assert is_native(backend, y)
    want = make(mode)(inputs)
    np.testing.assert_array_equal(values(y), values(want))
    assert ops.dtype(y) == ops.dtype(want)
    kind = "string" if inputs.dtype.kind == "U" else inputs.dtype.name
    assert layer(keras.Input((3,), dtype=kind)).sparse
    assert type(layer).from_config(layer.get_config()).sparse


def test_other_sources_of_sparse_vectors(backend):
    crossed = [np.array(["a", "b"]), np.array([1, 2])]
    y = layers.HashedCrossing(5, "one_hot", sparse=True)(crossed)
    assert is_native(backend, y)
    np.testing.assert_array_equal(values(y), values(layers.HashedCrossing(5, "one_hot")(crossed)))
    how = {"vocabulary": ["a", "b"], "idf_weights": [0.5, 2.0], "output_mode": "tf_idf"}
    y = layers.TextVectorization(sparse=True, **how)(["a b b", "c"])
    assert is_native(backend, y)
    np.testing.assert_allclose(values(y), values(layers.TextVectorization(**how)(["a b b", "c"])))
    weights = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "float32")
    counted = [layers.CategoryEncoding(4, "count", sparse=s)(IDS, count_weights=weights) for s in (True, False)]
    np.testing.assert_array_equal(values(counted[0]), values(counted[1]))


def test_sparse_results_that_are_no_vectors_are_refused():
    for make in (layers.Hashing, lambda n, **kw: layers.Discretization([0.5], **kw)):
        with pytest.raises(ValueError, match="sparse=True is for vectors"):
            make(3, output_mode="int", sparse=True)
    with pytest.raises(ValueError, match="sparse=True is for vectors"):
        layers.IntegerLookup(vocabulary=[1], sparse=True)


def test_scipy_is_imported_only_when_it_is_used():
    code = (
        "import sys, kcore; from kcore import ops; ops.add(ops.ones(2), 1.0); kcore.layers.Dense(2)(ops.ones((2, 3)));"
        "x = kcore.sparse.from_dense([[0.0, 1.0]]); ops.add(x, x); assert not any(m.startswith('scipy') for m in sys.modules)"
    )
    env = {"KCORE_BACKEND": "reference", "PATH": "", "PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)


def test_rows_of_sparse_data_are_cut_out_in_any_order():
    rng = np.random.default_rng(0)
    x = rng.random((7, 2, 3)) * (rng.random((7, 2, 3)) < 0.4)
    rows = coo.Rows(coo.from_dense(x))
    for chosen in (slice(2, 5), slice(0, 0), np.array([6, 0, 3, 3]), np.array([], "int64")):
        np.testing.assert_array_equal(coo.densified(rows[chosen]), x[chosen])
