"""The pool that memory for large results comes from."""

import gc

import numpy as np
import pytest

import kcore
from kcore import _native

pytestmark = pytest.mark.skipif(not _native.available, reason=str(_native.reason))
LARGE = (600, 1000)  # 2.4 MB of float32


@pytest.fixture
def pool():
    kernels = _native.kernels
    limit = kernels.pool_state()["limit"]
    gc.collect()
    kernels.release_pool()
    kernels.set_pool_limit(64 << 20)
    yield kernels
    kernels.release_pool()
    kernels.set_pool_limit(limit)


def test_a_block_is_used_again_once_its_array_is_gone(pool):
    a = pool.new_array(LARGE, "float32")
    at = a.ctypes.data
    before = pool.pool_state()
    assert before["in_use"] >= a.nbytes
    del a
    b = pool.new_array(LARGE, "float32")
    assert b.ctypes.data == at
    after = pool.pool_state()
    assert (after["reused"] - before["reused"], after["fresh"] - before["fresh"]) == (1, 0)


def test_a_view_keeps_its_block(pool):
    a = pool.new_array(LARGE, "float32")
    a[:] = 7
    view = a[5:, 3:].view()
    del a
    b = pool.new_array(LARGE, "float32")
    b[:] = 1
    assert (view == 7).all()


@pytest.mark.parametrize(("shape", "pooled"), [((1000, 1000), True), ((600, 1000), False), ((3, 5), False)])
def test_a_variable_lies_in_huge_pages_where_it_nearly_fills_them(pool, shape, pooled):
    before = pool.pool_state()["in_use"]
    with kcore.backend("reference"):
        value = np.arange(np.prod(shape), dtype="float32").reshape(shape)
        variable = kcore.Variable(value)
    np.testing.assert_array_equal(variable.numpy(), value)
    assert (pool.pool_state()["in_use"] > before) == pooled


def test_arrays_are_writable_aligned_and_as_asked(pool):
    for shape in (LARGE, (), (0, 3), (7,), (2, 3, 200_000)):
        for dtype in ("float32", "float64"):
            a = pool.new_array(shape, dtype)
            assert (a.shape, a.dtype) == (shape, dtype)
            assert a.flags.writeable
            assert a.flags.c_contiguous
    assert pool.new_array(LARGE, "float32").ctypes.data % 64 == 0


def test_results_too_small_for_it_begin_on_a_cache_line_from_16_kib(pool):
    before = pool.pool_state()
    arrays = [pool.new_array((64, 64 + i), "float32") for i in range(50)]
    assert all(a.ctypes.data % 64 == 0 for a in arrays)
    for i, a in enumerate(arrays):
        a[...] = i
    assert all((a == i).all() for i, a in enumerate(arrays))
    del arrays, a
    assert pool.pool_state() == before


def test_results_of_kernels_come_from_it(pool):
    x = np.zeros(LARGE, "float32")
    in_use = pool.pool_state()["in_use"]
    y = pool.curve("exp", x)
    assert pool.pool_state()["in_use"] >= in_use + y.nbytes


def test_it_keeps_no_more_than_its_limit(pool):
    pool.set_pool_limit(8 << 20)
    arrays = [pool.new_array(LARGE, "float32") for _ in range(5)]
    del arrays
    assert 0 < pool.pool_state()["kept"] <= 8 << 20
    pool.set_pool_limit(0)
    assert pool.pool_state()["kept"] == 0
    del_me = pool.new_array(LARGE, "float32")
    del del_me
    assert pool.pool_state()["kept"] == 0


def test_releasing_it_leaves_arrays_alone(pool):
    a = pool.new_array(LARGE, "float32")
    a[:] = 3
    b = pool.new_array(LARGE, "float32")
    del b
    assert pool.pool_state()["kept"] > 0
    pool.release_pool()
    assert pool.pool_state()["kept"] == 0
    assert (a == 3).all()


def test_small_arrays_are_cut_from_a_larger_block_which_is_whole_again_without_them(pool):
    a = pool.new_array((5_000_000,), "float32")
    at = a.ctypes.data
    del a
    before = pool.pool_state()
    small = [pool.new_array(LARGE, "float32") for _ in range(4)]
    assert sorted(b.ctypes.data for b in small)[0] == at
    for i in range(4):
        small[i][:] = i
    assert [b.min() for b in small] == [b.max() for b in small] == [0, 1, 2, 3]
    for order in ([1, 3, 0, 2], [0, 1, 2, 3], [3, 2, 1, 0]):
        for i in order:
            small[i] = None
        assert pool.pool_state()["kept"] == before["kept"]
        again = pool.new_array((5_000_000,), "float32")
        assert again.ctypes.data == at
        del again
        small = [pool.new_array(LARGE, "float32") for _ in range(4)]
    assert pool.pool_state()["fresh"] == before["fresh"]


def test_what_is_kept_beside_arrays_in_use_obeys_the_limit_too(pool):
    a = pool.new_array((5_000_000,), "float32")
    del a
    b = pool.new_array(LARGE, "float32")
    b[:] = 5
    pool.set_pool_limit(1 << 20)
    assert pool.pool_state()["kept"] == 0
    c = pool.new_array(LARGE, "float32")  # has to find its pages anew
    c[:] = 6
    assert (b == 5).all()
    assert (c == 6).all()
    del b, c
    assert pool.pool_state()["kept"] == pool.pool_state()["in_use"] == 0


def test_whatever_comes_and_goes_arrays_never_overlap(pool):
    pool.set_pool_limit(24 << 20)
    rng = np.random.default_rng(0)
    arrays = {}
    for i in range(400):
        if arrays and rng.random() < 0.5:
            key = rng.choice(list(arrays))
            assert (arrays.pop(key) == key).all()
        else:
            arrays[i] = pool.new_array((int(rng.integers(1, 12)) * 200_000,), "float32")
            arrays[i][:] = i
        state = pool.pool_state()
        assert state["kept"] <= 24 << 20
        assert state["in_use"] >= sum(a.nbytes for a in arrays.values() if a.nbytes >= 1 << 20)
    assert all((a == i).all() for i, a in arrays.items())
    arrays.clear()
    assert pool.pool_state()["in_use"] == 0


def test_unfit_requests_are_errors(pool):
    with pytest.raises(TypeError, match="float32 or float64"):
        pool.new_array((3,), "int32")
    with pytest.raises(ValueError, match="at least 0"):
        pool.new_array((-1,), "float32")
