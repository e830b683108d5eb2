"""Every backend offers the ops, no more and no less, and takes their arguments."""

from __future__ import annotations

import inspect

import numpy as np

from kcore import backends, ops
from kcore.conformance.record import CASES
from kcore.conformance.runner import load_records
from kcore.ops.mechanism import REGISTRY

BROKEN = load_records()  # private families (kcore.random...) declare their ops as their records are imported


def test_every_module_of_records_can_be_imported():
    assert not BROKEN


def test_every_op_has_a_record():
    assert sorted(set(REGISTRY) - set(CASES)) == []


def test_every_op_has_a_docstring():
    wanting = [
        name for name, op in REGISTRY.items() if not (op.call.__doc__ or "").strip() or "(replaced" in op.call.__doc__
    ]
    assert wanting == []


def test_a_backend_defines_nothing_that_is_no_op(backend):
    assert sorted(set(backend.ops) - set(REGISTRY)) == []


def test_a_primitive_is_defined_or_listed_as_unsupported(backend):
    primitives = {name for name, op in REGISTRY.items() if op.body is None}
    assert sorted(primitives - set(backend.ops) - set(backend.unsupported)) == []


def test_what_is_unsupported_is_a_primitive_and_has_a_reason(backend):
    for name, reason in backend.unsupported.items():
        assert REGISTRY[name].body is None, f"{name} has a portable body"
        assert name not in backend.ops, f"{name} is defined after all"
        assert len(reason.split()) > 2, f"{name}: {reason!r} gives no reason"


def test_a_function_has_its_ops_parameters(backend):
    wrong = {}
    for name, function in backend.ops.items():
        if name in REGISTRY and inspect.isfunction(function) and function.__module__.startswith("kcore."):
            problem = _unlike(function, REGISTRY[name])
            if problem:
                wrong[name] = problem
    assert wrong == {}


def _unlike(function, op) -> str | None:
    """How a backend's function takes other arguments than the op; None if it takes the same."""
    theirs = list(inspect.signature(function).parameters.values())
    ours = [p.name for p in op.signature.parameters.values()]
    if any(p.kind is p.VAR_POSITIONAL for p in theirs):
        return None
    names = [p.name for p in theirs if p.default is p.empty or p.name in ours]
    return None if names == ours else f"({', '.join(names)}) instead of ({', '.join(ours)})"


def test_arrays_go_into_the_reference_backend_without_a_copy():
    reference = backends.load("reference")
    x = np.arange(6.0).reshape(2, 3)
    assert np.shares_memory(reference.convert(x), x)
    assert np.shares_memory(reference.numpy(reference.convert(x)), x)
    with backends.use(reference):
        assert np.shares_memory(ops.reshape(x, (3, 2)), x)


def test_a_scalar_and_an_empty_tensor_of_every_dtype_go_in_and_out(backend):
    from kcore import dtypes

    for name in dtypes.ALL:
        for shape in ((), (0, 3), (2,)):
            x = np.ones(shape, dtypes.to_numpy(name))
            y = backend.numpy(backend.convert(x))
            assert (y.dtype, y.shape, y.tobytes()) == (x.dtype, x.shape, x.tobytes()), (name, shape)
