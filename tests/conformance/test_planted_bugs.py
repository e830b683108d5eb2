"""The runner bites: each bug that is planted in a backend is reported by the check that should, and clean ops pass."""

from __future__ import annotations

import numpy as np
import pytest

from kcore import _native, ops
from kcore.ops.mechanism import Plan
from tests.conformance import mutations, planting
from tests.conformance.planting import ADD, BITS, EXP, MATMUL, MAX, MEAN, NEGATIVE, RELU, SQUARE, SUM, TOP

BUGS = []


def bug(case, backend, check, says, part="function"):
    """Declares a bug: where it is planted, and the check and the words that should report it."""
    return lambda function: BUGS.append(pytest.param(case, backend, part, function, check, says, id=function.__name__))


# -- values -----------------------------------------------------------------------------


@bug(MEAN, "torch", "value", "off by more")
def divides_by_one_less(right, x, axis, keepdims):
    count = np.prod([x.shape[a] for a in axis])
    return right(x, axis, keepdims) * (count / (count - 1))


@bug(SUM, "reference", "value", "off by more")
def accumulates_float64_in_float32(right, x, axis, keepdims):
    return (
        right(x.astype("float32"), axis, keepdims).astype(x.dtype)
        if x.dtype == np.float64
        else right(x, axis, keepdims)
    )


@bug(SUM, "torch", "value", "off by more")  # reference computes bfloat16 in float32, whatever the function does
def accumulates_bfloat16_in_bfloat16(right, x, axis, keepdims):
    if str(x.dtype) != "torch.bfloat16":
        return right(x, axis, keepdims)
    total = x.new_zeros(())
    for e in x.ravel().repeat(40):
        total = total + e / 40
    return total


@bug(MAX, "reference", "value", "nan is out of place")
def skips_nan(right, x, axis, keepdims, initial):
    return np.fmax.reduce(x, axis=axis, keepdims=keepdims)


@bug(RELU, "torch", "value", "an infinity is out of place")
def clips_the_infinity(right, x):
    return right(x).clamp(max=1e30)


@bug(NEGATIVE, "jax", "expect", "a zero has the wrong sign")
def subtracts_from_zero(right, x):
    return 0 - x


@bug(EXP, "tensorflow", "value", "out of place")
def overflows_early(right, x):
    return right(x / 2) * right(x / 2) - right(x / 2) * 0


@bug(BITS, "torch", "value", "values differ")
def confuses_and_with_or(right, x, y):
    return x | y


@bug(MATMUL, "reference", "value", "off by more")
def drops_the_last_term(right, x1, x2):
    return right(x1[..., :-1], x2[..., :-1, :] if x2.ndim > 1 else x2[:-1])


@bug(SQUARE, "torch", "value", "values differ")
def saturates_integers(right, x):
    return right(x) if x.is_floating_point() else right(x).clamp(max=20)


@bug(ADD, "reference", "value", "raised ValueError")
def does_not_broadcast(right, x1, x2):
    if x1.shape != x2.shape:
        raise ValueError("shapes differ")
    return right(x1, x2)


@bug(TOP, "torch", "value", "values differ")
def counts_indices_from_one(right, x, k, sorted):
    values, indices = right(x, k, sorted)
    return values, indices + 1


# -- shape, dtype and structure ---------------------------------------------------------


@bug(SUM, "torch", "value", "dtype float32 instead of float64")
def answers_in_float32(right, x, axis, keepdims):
    return right(x, axis, keepdims).float()


@bug(SUM, "jax", "value", "shape")
def forgets_keepdims(right, x, axis, keepdims):
    return right(x, axis, False)


@bug(TOP, "reference", "value", "the result is a list")
def answers_with_a_list(right, x, k, sorted):
    return list(right(x, k, sorted))


@bug(EXP, "torch", "value", "no tensor of this backend")
def answers_with_an_array(right, x):
    return right(x).numpy()


# -- arguments --------------------------------------------------------------------------


@bug(RELU, "torch", "value", "an argument was changed")
def works_in_place(right, x):
    return x.clamp_(min=0)


@bug(EXP, "reference", "strided", "off by more")
def reads_memory_in_order(right, x):
    memory = x if x.flags.c_contiguous or x.base is None else x.base
    return right(memory.reshape(-1)[: x.size].reshape(x.shape))


@bug(EXP, "reference", "read-only", "raised ValueError")
def needs_to_write(right, x):
    x.flags.writeable = True
    return right(x)


@bug(SQUARE, "torch", "transposed", "raised RuntimeError")
def needs_contiguous_memory(right, x):
    return right(x.view(-1)).view(x.shape) if x.ndim else right(x)


# -- rules: symbolic results and errors -------------------------------------------------


@bug(SUM, "reference", "symbolic", "unknown shape", part="rule")
def takes_an_unknown_size_for_one(right, x, axis, keepdims):
    plan = right(x, axis, keepdims)
    plan.outputs.shape = tuple(1 if d is None else d for d in plan.outputs.shape)
    return plan


@bug(SUM, "reference", "symbolic", "unknown it raised", part="rule")
def counts_elements_of_an_unknown_size(right, x, axis, keepdims):
    assert sum(d * 2 for d in x.shape) >= 0
    return right(x, axis, keepdims)


@bug(SUM, "torch", "value", "shape () instead of (1,)", part="rule")
def infers_another_shape(right, x, axis, keepdims):
    plan = right(x, axis, keepdims)
    return Plan((*plan.outputs.shape, 1), plan.outputs.dtype, cast=plan.cast, **plan.arguments)


@bug(SUM, "torch", "error", "the message should match", part="rule")
def tells_of_another_axis(right, x, axis, keepdims):
    try:
        return right(x, axis, keepdims)
    except ValueError:
        raise ValueError("bad axis") from None


@bug(SUM, "jax", "error", "expected ValueError or TypeError", part="rule")
def raises_another_error(right, x, axis, keepdims):
    try:
        return right(x, axis, keepdims)
    except ValueError as error:
        raise IndexError(str(error)) from None


@bug(SUM, "reference", "error", "eagerly was not refused", part="rule")
def wraps_an_axis_round(right, x, axis, keepdims):
    return right(x, axis % len(x.shape) if isinstance(axis, int) else axis, keepdims)


# -- gradients --------------------------------------------------------------------------


@bug(SQUARE, "reference", "gradient", "along a random direction", part="vjp")
def forgets_the_factor(right, g, y, x):
    return g * x


@bug(RELU, "reference", "gradient", "which the record promises", part="vjp")
def passes_the_gradient_at_zero(right, g, y, x):
    return ops.where(ops.greater_equal(x, 0), g, ops.zeros_like(g))


@bug(MAX, "reference", "gradient", "which the record promises", part="vjp")
def gives_a_tie_the_whole_gradient(right, g, y, x, axis, keepdims, initial):
    shape = [1 if i in axis else d for i, d in enumerate(x.shape)]
    return ops.where(ops.equal(x, ops.reshape(y, shape)), ops.reshape(g, shape), 0.0)


@bug(SQUARE, "reference", "second gradient", "along a random direction", part="vjp")
def holds_the_first_gradient_constant(right, g, y, x):
    return g * (2 * np.asarray(x))


@bug(MATMUL, "torch", "gradient", "along a random direction")
def cuts_the_graph(right, x1, x2):
    return right(x1.detach(), x2)


@bug(ADD, "jax", "gradient", "along a random direction")
def stops_the_gradient(right, x1, x2):
    import jax

    return right(x1, jax.lax.stop_gradient(x2))


@bug(EXP, "tensorflow", "gradient", "along a random direction")
def doubles_the_gradient(right, x):
    import tensorflow as tf

    y = right(x)
    return 2 * y - tf.stop_gradient(y)


@bug(ADD, "reference", "gradient", "raised ValueError", part="vjp")
def gives_one_gradient_for_two_arguments(right, g, y, x1, x2):
    return (g,)


# -- paths that a plain call does not take ----------------------------------------------


@bug(RELU, "torch", "body", "off by more", part="body")
def has_another_body(right, x):
    return ops.maximum(x, 0.01)


@bug(EXP, "tensorflow", "compiled", "raised")
def needs_values_in_a_graph(right, x):
    return right(x + 0 * float(x.numpy().sum() < -1))


@bug(EXP, "reference", "definition", "off by more")
def differs_without_the_kernels(right, x):
    return right(x) if _native.available else right(x) * (1 + 1e-5)


@pytest.mark.parametrize(("case", "backend", "part", "wrong", "check", "says"), BUGS)
def test_a_planted_bug_is_reported(case, backend, part, wrong, check, says):
    with planting.planted(case, backend, part, wrong):
        result = planting.judge(case, backend)
    assert result.verdict == "FAIL"
    found = [f for f in result.failures if f.check == check and says in f.problem]
    assert found, "\n".join(f"{f.check}: {f.problem}" for f in result.failures)
    assert found[0].rerun.startswith(f"kcore conform --backend {backend} --op {case.name}")


@pytest.mark.parametrize("case", planting.ALL, ids=lambda case: case.name)
def test_a_clean_op_passes(case, backend):
    result = planting.judge(case, backend.name)
    assert result.verdict == "pass", result.failures
    assert result.cases > 10


@pytest.mark.slow
def test_bugs_planted_by_the_dozen_are_reported():
    found = list(mutations.plant(every=12))
    assert len(found) > 100
    assert [(kind, op) for kind, op, reported in found if not reported] == []
