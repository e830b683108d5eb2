"""How an op is declared and run: rules, plans, dispatch, symbolic calls."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from kcore import backends, config, ops
from kcore.ops import mechanism
from kcore.ops.symbolic import KerasTensor
from kcore.state import Variable


def test_an_op_looks_like_the_function_it_was_declared_as():
    assert str(inspect.signature(ops.logsumexp)).startswith("(x")
    assert list(inspect.signature(ops.logsumexp).parameters) == ["x", "axis", "keepdims"]
    assert "overflow" in ops.logsumexp.__doc__
    assert ops.logsumexp.__name__ == "logsumexp"


def test_an_op_with_nothing_but_a_family_docstring_is_a_primitive():
    assert [ops.max.op.body, ops.cumsum.op.body] == [None, None]
    assert ops.max.__doc__.startswith("The greatest element")
    assert ops.min.__doc__.startswith("The least element")


def test_errors_name_the_op_what_came_and_what_was_expected(backend):
    x = np.ones((2, 3), "float32")
    with pytest.raises(
        ValueError, match=r"^sum: axis=2 is out of range for x of shape \(2, 3\); expected -2 <= axis < 2\.$"
    ):
        ops.sum(x, axis=2)
    with pytest.raises(ValueError, match=r"^matmul: shapes \(2, 3\) and \(2, 3\) don't multiply"):
        ops.matmul(x, x)
    with pytest.raises(ValueError, match=r"^add: shapes \(2, 3\) and \(4,\) don't broadcast together"):
        ops.add(x, np.ones(4))


def test_the_error_is_the_same_for_symbolic_arguments():
    with pytest.raises(ValueError, match=r"^sum: axis=2 is out of range for x of shape \(None, 3\)"):
        ops.sum(KerasTensor((None, 3)), axis=2)


def test_python_numbers_are_weak(backend):
    x = ops.convert_to_tensor(np.ones(2, "float16"))
    assert backend.dtype(ops.add(x, 1)) == "float16"
    assert backend.dtype(ops.multiply(x, 0.5)) == "float16"
    n = ops.convert_to_tensor(np.ones(2, "int8"))
    assert backend.dtype(ops.add(n, 1)) == "int8"
    assert backend.dtype(ops.multiply(n, 0.5)) == "float32"


def test_wide_dtypes_survive(backend):
    assert int(backend.numpy(ops.add(np.array(2**40), 1))) == 2**40 + 1
    assert backend.dtype(ops.add(np.array(1.0), np.array(2.0))) == "float64"
    assert int(backend.numpy(ops.add(np.array(2**63, "uint64"), 1))) == 2**63 + 1


def test_small_unsigned_integers_wrap_around(backend):
    for dtype, most in (("uint8", 2**8), ("uint16", 2**16), ("uint32", 2**32)):
        x = np.array([most - 1, 5], dtype)
        y = backend.numpy(ops.multiply(x, 2))
        assert y.dtype == dtype
        assert y.tolist() == [most - 2, 10]


def test_the_users_own_jax_settings_stay():
    jax = pytest.importorskip("jax")
    before = jax.config.jax_enable_x64
    with backends.use("jax"):
        ops.add(np.array(2**40), 1)
    assert jax.config.jax_enable_x64 == before
    assert jax.numpy.ones(2, "float64").dtype == ("float64" if before else "float32")


def test_an_unknown_size_stays_unknown():
    x = KerasTensor((None, 4), "float32")
    assert ops.matmul(x, np.ones((4, 5), "float32")).shape == (None, 5)
    assert ops.sum(x, axis=1).shape == (None,)
    assert ops.reshape(x, (-1, 2)).shape == (None, 2)
    assert x[:, 1:3].shape == (None, 2)
    assert x[:5].shape == (None, 4)
    assert (x * 2 + 1).shape == (None, 4)


def test_variables_and_lists_are_taken(backend):
    v = Variable(np.ones(3, "float32"))
    assert backend.numpy(ops.add(v, [1.0, 2.0, 3.0])).tolist() == [2, 3, 4]
    assert backend.dtype(ops.add([1, 2], [3, 4])) == "int32"


def test_plans_are_forgotten_when_floatx_changes():
    n = np.ones(2, "int32")
    assert ops.exp(n).dtype == "float32"
    config.set_floatx("float64")
    assert ops.exp(n).dtype == "float64"
    config.set_floatx("float32")
    assert ops.exp(n).dtype == "float32"


def test_plans_do_not_grow_without_end():
    op = ops.negative.op
    for n in range(mechanism.MOST_PLANS + 10):
        ops.negative(np.empty((n, 0), "float32"))
    assert len(op.plans) <= mechanism.MOST_PLANS


def test_an_error_inside_a_definition_is_not_swallowed(monkeypatch):
    def broken(x):
        raise KeyError("from inside")

    monkeypatch.setitem(backends.load("reference").ops, "negative", broken)
    ops.negative.op.plans.clear()
    try:
        for _ in range(2):
            with pytest.raises(KeyError, match="from inside"):
                ops.negative(np.ones(3))
    finally:
        ops.negative.op.plans.clear()


def test_a_tensor_is_a_numpy_array_without_a_copy():
    x = np.arange(4.0)
    t = ops.convert_to_tensor(x)
    assert isinstance(t, np.ndarray)
    assert np.shares_memory(t, x)
    assert np.shares_memory(ops.convert_to_numpy(t), x)
    assert type(np.exp(t)) is np.ndarray


def test_operators_follow_kcores_promotion():
    n = ops.convert_to_tensor(np.arange(3, dtype="int32"))
    assert (n * 0.5).dtype == "float32"  # NumPy alone would say float64
    assert (0.5 * n).dtype == "float32"
    assert (np.ones(3, "float32") * n).dtype == "float32"


def test_a_tracked_tensor_is_not_changed_in_place():
    from kcore import gradients

    def f(x):
        x[0] = 3.0
        return ops.sum(x)

    with pytest.raises(ValueError, match="can't be changed in place"):
        gradients.grad(f)(np.ones(3))
