"""Every public op shows what it does, and what its docstring shows is so."""

from __future__ import annotations

import doctest
import inspect

import numpy as np
import pytest

import kcore
from kcore import ops

NAMESPACES = (ops, ops.image, ops.numpy, ops.nn, ops.linalg)


def public_ops() -> dict[str, object]:
    """Every op, and every function that only `kcore.ops` itself offers under the name it was written with."""
    found = {}
    for namespace in NAMESPACES:
        for name, call in vars(namespace).items():
            plain = inspect.isfunction(call) and name in PLAIN
            if not name.startswith("_") and (plain or hasattr(getattr(call, "op", None), "roles")):
                found[call.__name__] = call
    return found


# Those that no rule stands behind: they take functions or structures, or answer with plain Python.
PLAIN = {
    "cond",
    "convert_to_numpy",
    "convert_to_tensor",
    "custom_gradient",
    "dtype",
    "is_tensor",
    "multi_hot",
    "ndim",
    "rearrange",
    "shape",
    "size",
    "vectorize",
}
OPS = public_ops()


def test_the_public_ops_are_found():
    assert len(OPS) > 330
    assert set(OPS) >= {*PLAIN, "sum", "conv", "solve", "resize", "bitwise_invert"}


@pytest.mark.parametrize("name", OPS)
def test_an_op_has_an_example_and_it_is_right(name):
    globs = {"ops": ops, "kcore": kcore, "np": np}
    test = doctest.DocTestParser().get_doctest(inspect.getdoc(OPS[name]) or "", globs, name, None, None)
    assert any(example.want for example in test.examples), f"{name} has no example that shows a result"
    told: list[str] = []
    with np.printoptions(precision=4, suppress=True):
        failed, _ = doctest.DocTestRunner(verbose=False).run(test, out=told.append)
    assert not failed, "".join(told)
