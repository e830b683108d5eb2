"""What records can't say of shapes and indices: sizes that are not known, tracers, conversions, aliasing."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

import kcore
from kcore import KerasTensor, ops

X = np.arange(24, dtype="float32").reshape(2, 3, 4)

# -- sizes that are not known -----------------------------------------------------------


def test_shape_is_a_tuple_of_ints(backend):
    x = ops.convert_to_tensor(X)
    assert ops.shape(x) == (2, 3, 4)
    assert all(type(d) is int for d in ops.shape(x))
    assert (ops.ndim(x), ops.size(x), ops.dtype(x)) == (3, 24, "float32")


def test_shape_of_things_that_are_no_tensors():
    assert ops.shape([[1, 2, 3]]) == (1, 3)
    assert ops.shape(2.5) == ()
    assert ops.dtype([1, 2]) == "int32"
    assert ops.shape(KerasTensor((None, 3))) == (None, 3)
    assert ops.size(KerasTensor((None, 3))) is None


def test_a_size_of_none_makes_a_call_symbolic():
    batch = ops.shape(KerasTensor((None, 3)))[0]
    assert ops.zeros((batch, 2), "int32").shape == (None, 2)
    assert ops.full((batch, 2), 1.0).shape == (None, 2)
    assert ops.arange(batch).shape == (None,)
    assert ops.eye(batch, 2).shape == (None, 2)
    assert ops.broadcast_to(np.ones(2), (batch, 2)).shape == (None, 2)
    assert isinstance(ops.zeros((batch,)) + 1, KerasTensor)


def test_reshape_keeps_what_is_known():
    x = KerasTensor((None, 4, 6))
    assert ops.reshape(x, (-1, 24)).shape == (None, 24)
    assert ops.reshape(x, (ops.shape(x)[0], 2, 12)).shape == (None, 2, 12)
    assert ops.ravel(x).shape == (None,)


def test_slices_of_an_unknown_axis():
    x = KerasTensor((None, 4))
    assert ops.get_item(x, slice(1, None)).shape == (None, 4)
    assert ops.get_item(x, slice(0, 0)).shape == (0, 4)
    assert x[0].shape == (4,)
    assert x[:, ::-2].shape == (None, 2)


# The functions are written out, and compared with what they give eagerly.
IN_A_GRAPH = {
    "reshape": lambda x, i: ops.reshape(x, (ops.shape(x)[0], -1)),
    "reshape to the rest": lambda x, i: ops.reshape(x, (-1, ops.shape(x)[2])),
    "zeros": lambda x, i: ops.zeros(ops.shape(x)),
    "full": lambda x, i: ops.full((ops.shape(x)[0], 2), 3.0),
    "full_like": lambda x, i: ops.full_like(x, 3.0),
    "eye": lambda x, i: ops.eye(ops.shape(x)[0], 3),
    "arange": lambda x, i: ops.arange(ops.shape(x)[1], dtype="float32"),
    "broadcast_to": lambda x, i: ops.broadcast_to(x, (5, *ops.shape(x))),
    "expand and squeeze": lambda x, i: ops.squeeze(ops.expand_dims(x, (0, 2)), 2),
    "concatenate": lambda x, i: ops.concatenate([x, x], 1),
    "split": lambda x, i: ops.split(x, [1, 2], 2),
    "split evenly": lambda x, i: ops.split(x, 3, 1),
    "unstack": lambda x, i: ops.unstack(x, 2),
    "tile": lambda x, i: ops.tile(x, (2, 1, 2, 1)),
    "repeat": lambda x, i: ops.repeat(x, 2, 1),
    "repeat by each": lambda x, i: ops.repeat(x, [1, 0, 2], 1),
    "pad": lambda x, i: ops.pad(x, ((0, 1), (2, 5), (1, 0)), "reflect"),
    "pad at the edge": lambda x, i: ops.pad(x, 2, "edge"),
    "meshgrid": lambda x, i: ops.meshgrid(i, i),
    "tril": lambda x, i: ops.tril(x),
    "diagonal": lambda x, i: ops.diagonal(x, 1),
    "get_item": lambda x, i: ops.get_item(x, (slice(0, ops.shape(x)[0] - 1), -1)),
    "get_item backwards": lambda x, i: ops.get_item(x, (slice(None), slice(None, 0, -1))),
    "get_item by tensor": lambda x, i: ops.get_item(x, (slice(None), i)),
    "get_item by two": lambda x, i: ops.get_item(x, (i, slice(None), i)),
    "get_item by mask": lambda x, i: ops.get_item(x, ops.greater(x, 5.0)),
    "take": lambda x, i: ops.take(x, i, -1),
    "take_along_axis": lambda x, i: ops.take_along_axis(x, ops.reshape(i, (1, 1, -1)), 1),
    "slice": lambda x, i: ops.slice(x, i[:3], (1, 2, 3)),
    "slice the rest": lambda x, i: ops.slice(x, (-1, 0, 1), (1, -1, 2)),
    "slice_update": lambda x, i: ops.slice_update(x, i[:3], x[:1, :1]),
    "scatter": lambda x, i: ops.scatter(ops.expand_dims(i, 1), ops.cast(i, "float32"), (ops.shape(x)[0],)),
    "one_hot": lambda x, i: ops.one_hot(i, 3),
    "sort": lambda x, i: ops.sort(x, 1),
    "top_k": lambda x, i: ops.top_k(x, 2),
    "unique": lambda x, i: ops.unique(i, return_inverse=True),
    "bincount": lambda x, i: ops.bincount(i),
    "segment_sum": lambda x, i: ops.segment_sum(ops.cast(i, "float32"), i),
    "rearrange": lambda x, i: ops.rearrange(x, "a b (c d) -> (a c) (b d)", c=2),
    "depth_to_space": lambda x, i: ops.depth_to_space(ops.expand_dims(x, 0), 2),
}


@pytest.mark.parametrize("name", IN_A_GRAPH)
def test_sizes_only_a_graph_will_know(name):
    tf = pytest.importorskip("tensorflow")
    indices = np.array([0, 1, 5, -1], "int32")
    specs = [tf.TensorSpec([None] * 3, tf.float32), tf.TensorSpec([None], tf.int32)]
    with kcore.backend("tensorflow"):
        eagerly = tf.nest.flatten(IN_A_GRAPH[name](tf.constant(X), tf.constant(indices)))
        graph = tf.function(IN_A_GRAPH[name], input_signature=specs)
        for got, want in zip(tf.nest.flatten(graph(X, indices)), eagerly, strict=True):
            np.testing.assert_array_equal(got, want)


def test_autograph_leaves_ops_alone(recwarn):
    tf = pytest.importorskip("tensorflow")
    with kcore.backend("tensorflow"):
        tf.function(lambda x: ops.transpose(ops.sort(x)))(X[0])
    assert not [w for w in recwarn if "AutoGraph" in str(w.message)]


# -- indices ----------------------------------------------------------------------------


def test_indices_and_starts_may_be_tracers():
    jax = pytest.importorskip("jax")
    with kcore.backend("jax"):
        got = jax.jit(lambda x, i: (x[i], ops.get_item(x, (slice(None), i)), ops.slice(x, (i, 0, 1), (1, 2, 2))))(X, 1)
    np.testing.assert_array_equal(got[0], X[1])
    np.testing.assert_array_equal(got[1], X[:, 1])
    np.testing.assert_array_equal(got[2], X[1:2, :2, 1:3])


def test_tensors_and_arrays_index_alike(backend):
    key = np.array([[2, 0], [1, 1]])
    for made in (key, key.tolist(), ops.convert_to_tensor(key), ops.convert_to_tensor(key.astype("uint8"))):
        got = ops.convert_to_numpy(ops.get_item(ops.convert_to_tensor(X), (slice(None), made)))
        np.testing.assert_array_equal(got, X[:, key])


@pytest.mark.parametrize("key", [([0, 5, -4], 1), (0, [0, 1], [3, 9]), ([[0], [7]], [0, 2])])
def test_what_is_out_of_range_is_nan_on_every_backend(backend, key):
    shape = np.broadcast_shapes(*(np.shape(k) for k in key))
    rows = [np.broadcast_to(k, shape) for k in key]
    outside = np.any([(r < -d) | (r >= d) for r, d in zip(rows, X.shape, strict=False)], axis=0)
    want = X[tuple(np.where(outside, 0, r) for r in rows)].copy()
    want[outside] = np.nan
    key = tuple(np.array(k) if isinstance(k, list) else k for k in key)
    np.testing.assert_array_equal(ops.convert_to_numpy(ops.get_item(ops.convert_to_tensor(X), key)), want)


def test_starts_in_tensors_are_moved_inside(backend):
    starts = ops.convert_to_tensor(np.array([1, 5, -1]))
    got = ops.slice(ops.convert_to_tensor(X), starts, (2, 2, 1))
    np.testing.assert_array_equal(ops.convert_to_numpy(got), X[0:2, 1:3, 3:4])


def test_a_key_is_not_kept_alive_by_its_plan():
    key = np.array([0, 1], "int32")
    ops.get_item(ops.convert_to_tensor(X), (slice(None), key))
    kept = weakref.ref(key)
    del key
    assert kept() is None


def test_embedding_gradients_add_up_in_large_tables(backend):
    table = np.ones((50, 128))
    indices = np.arange(200) % 40
    grad = kcore.grad(lambda t: ops.sum(ops.take(t, indices, 0)))(ops.convert_to_tensor(table))
    np.testing.assert_array_equal(ops.convert_to_numpy(grad)[:, 0], [5.0] * 40 + [0.0] * 10)


# -- conversions ------------------------------------------------------------------------


def test_convert_to_tensor_and_back(backend):
    x = ops.convert_to_tensor([[1, 2.5]])
    assert ops.is_tensor(x)
    assert not ops.is_tensor([1.0])
    assert ops.dtype(x) == "float32"
    y = ops.convert_to_numpy(x)
    assert type(y) is np.ndarray
    assert y.dtype == "float32"
    assert ops.dtype(ops.convert_to_tensor(y, "int8")) == "int8"


def test_a_kerastensor_converts_to_itself_and_has_no_values():
    x = KerasTensor((None, 2))
    assert ops.convert_to_tensor(x) is x
    assert ops.convert_to_tensor(x, "int8").dtype == "int8"
    with pytest.raises(ValueError, match="symbolic"):
        ops.convert_to_numpy(x)


def test_a_copy_shares_no_memory():
    x = ops.convert_to_tensor(np.zeros(3))
    y = ops.copy(x)
    x[0] = 1
    assert y[0] == 0


def test_a_plan_for_indices_serves_other_arrays_of_their_kind_only(backend):
    x = ops.reshape(ops.arange(12), (3, 4))
    ops.get_item(x, (0, 1))
    with pytest.raises(TypeError, match="a single bool is no index"):
        ops.get_item(x, (False, True))
    found = [backend.numpy(ops.get_item(x, rows)).tolist() for rows in ([1, 0], [1, 1], [True, False, True])]
    assert found == [[[4, 5, 6, 7], [0, 1, 2, 3]], [[4, 5, 6, 7]] * 2, [[0, 1, 2, 3], [8, 9, 10, 11]]]
    columns = [np.array([0, 2]), np.array([3, 1])]
    plans = []
    for at in columns:
        assert backend.numpy(ops.get_item(x, (slice(1, None), at))).tolist() == [
            [4 + at[0], 4 + at[1]],
            [8 + at[0], 8 + at[1]],
        ]
        plans.append(len(ops.get_item.op.plans))
    assert plans[0] == plans[1]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int32", "uint8", "bool"])
@pytest.mark.parametrize("kind", ["random", "ties", "nan and zeros of both signs"])
def test_sorting_by_the_fast_way_keeps_the_order_of_the_stable_one(dtype, kind):
    rng = np.random.default_rng(0)
    for shape in [(7,), (100,), (5, 200), (3, 4, 64)]:
        x = rng.standard_normal(shape) * 100
        x = (np.round(x / 50) if kind == "ties" else np.abs(x) if dtype == "uint8" else x).astype(dtype)
        if kind.startswith("nan") and dtype.startswith("float"):
            x.flat[::5], x.flat[1::3], x.flat[2::7], x.flat[3::9] = np.nan, -0.0, 0.0, np.inf
        with kcore.backend("reference"):
            assert np.asarray(ops.sort(x)).tobytes() == np.sort(x, -1, kind="stable").tobytes()
            order = shape[-1] - 1 - np.argsort(x[..., ::-1], -1, kind="stable")[..., ::-1]
            for k in (0, 1, 2, shape[-1] // 5, shape[-1]):
                values, indices = (np.asarray(t) for t in ops.top_k(x, k))
                np.testing.assert_array_equal(indices, order[..., :k])
                assert values.tobytes() == np.take_along_axis(x, order[..., :k], -1).tobytes()


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("name", ["max", "min"])
def test_segments_of_many_rows_fold_like_those_of_few(name, ordered):
    rng = np.random.default_rng(0)
    data, ids = rng.standard_normal((700, 9)).astype("float32"), rng.integers(-1, 40, 700)
    data[5, 3] = np.nan
    ids = np.sort(ids) if ordered else ids
    want = np.full((40, 9), -np.inf if name == "max" else np.inf, "float32")
    (np.maximum if name == "max" else np.minimum).at(want, ids[ids >= 0], data[ids >= 0])
    got = getattr(ops, f"segment_{name}")(data, ids, 40)
    np.testing.assert_array_equal(got, want)
