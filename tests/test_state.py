"""Variables, and the scopes that read and write them without touching them."""

from __future__ import annotations

import numpy as np
import pytest

from kcore import backends, ops
from kcore.ops.symbolic import KerasTensor
from kcore.state import AutocastScope, StatelessScope, Variable


def test_a_variable_keeps_what_it_is_assigned(backend):
    v = Variable(np.zeros((2, 3), "float32"), name="v")
    v.assign(np.ones((2, 3)))
    v.assign_add(np.full((2, 3), 2.0))
    v.assign_sub(1)
    assert v.numpy().tolist() == [[2.0] * 3] * 2
    assert v.dtype == "float32"
    assert v.numpy().dtype == np.float32


def test_a_value_of_another_shape_is_refused_and_changes_nothing(backend):
    v = Variable(np.zeros((2, 3), "float32"), name="v")
    with pytest.raises(ValueError, match=r"v: can't assign a value of shape \(3, 2\) to a variable of shape \(2, 3\)"):
        v.assign(np.ones((3, 2)))
    assert v.numpy().sum() == 0


def test_what_numpy_gives_is_a_copy(backend):
    v = Variable(np.zeros(3, "float32"))
    v.numpy()[:] = 7
    assert v.numpy().tolist() == [0, 0, 0]


def test_a_variable_computes_on_the_backend_it_was_made_under():
    with backends.use("torch"):
        v = Variable(np.ones(3, "float32"))
    assert type(v + 1).__module__ == "torch"
    assert type(1 + v).__module__ == "torch"


def test_a_scope_takes_reads_and_writes(backend):
    v = Variable(np.zeros(3, "float32"))
    with StatelessScope([(v, np.ones(3))]) as scope:
        assert float(ops.sum(v)) == 3
        v.assign_add(np.ones(3))
        assert float(ops.sum(v)) == 6
    assert v.numpy().sum() == 0
    assert backend.numpy(scope.get_current_value(v)).sum() == 6


def test_an_inner_scope_reads_through_to_the_outer(backend):
    v, w = Variable(np.zeros(1, "float32")), Variable(np.zeros(1, "float32"))
    with StatelessScope([(v, np.ones(1))]), StatelessScope([(w, np.ones(1))]):
        assert float(ops.sum(ops.add(v, w))) == 2


def test_a_scope_refuses_a_value_of_another_shape():
    v = Variable(np.zeros(3, "float32"), name="v")
    with pytest.raises(ValueError, match=r"the value for v has shape \(2,\), the variable \(3,\)"):
        StatelessScope([(v, np.ones(2))])


def test_autocasting_reads_floats_in_the_compute_dtype(backend):
    v, n = Variable(np.ones(3, "float32")), Variable(np.ones(3, "int32"))
    with AutocastScope("bfloat16"):
        assert (v.dtype, backend.dtype(v.value)) == ("bfloat16", "bfloat16")
        assert (n.dtype, backend.dtype(n.value)) == ("int32", "int32")
    assert v.dtype == "float32"


def test_a_variable_without_a_known_shape_is_refused():
    with pytest.raises(ValueError, match="unknown size"):
        Variable(lambda shape, dtype: np.zeros(shape), shape=(None, 2))


def test_tracing_assigns_nothing():
    v = Variable(np.zeros(3, "float32"))
    v.assign(KerasTensor((3,)))
    assert v.numpy().sum() == 0


def test_gradients_flow_to_a_variables_value(backend):
    from kcore import gradients

    v = Variable(np.array([1.0, 2.0], "float32"))

    def loss(value):
        with StatelessScope([(v, value)]):
            return ops.sum(ops.square(v))

    assert backend.numpy(gradients.grad(loss)(v.value)).tolist() == [2.0, 4.0]
