"""Every op on JAX, beside `test_all_ops`: one file is one process, and JAX takes as long as the others together."""

from __future__ import annotations

import pytest

from tests.conformance.test_all_ops import OPS, holds


@pytest.mark.parametrize("op", OPS)
def test_an_op_holds(op):
    holds("jax", op)
