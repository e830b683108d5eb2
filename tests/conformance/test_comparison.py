"""How far results are apart: the measure, and what no tolerance excuses."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from kcore.conformance.comparison import distance

nan, inf = np.nan, np.inf


def apart(got, want, **how):
    return distance(np.asarray(got), np.asarray(want), **how)


def test_error_is_relative_above_one_and_absolute_below():
    assert apart([1010.0], [1000.0]).error == pytest.approx(0.01)
    assert apart([0.01], [0.0]).error == pytest.approx(0.01)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", ml_dtypes.bfloat16])
@pytest.mark.parametrize("value", [1.0, 1.5, 1.9375, 1e-3, 100.0, 0.25])
def test_the_next_number_is_one_ulp_away(dtype, value):
    want = np.asarray(value, dtype)
    got = want + np.asarray(ml_dtypes.finfo(dtype).eps, dtype) * np.asarray(2.0 ** np.floor(np.log2(value)), dtype)
    assert distance(got, want.astype("float64")).ulp == pytest.approx(1.0)


def test_the_worst_element_is_named():
    found = apart([[1.0, 2.0], [3.0, 5.0]], [[1.0, 2.0], [3.0, 4.0]])
    assert found.where == (1, 1)
    assert found.error == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("got", "want", "says"),
    [
        ([1.0, nan], [1.0, 2.0], "nan"),
        ([1.0, 2.0], [1.0, nan], "nan"),
        ([inf], [1.0], "infinity"),
        ([-inf], [inf], "infinity"),
        ([1e300], [inf], "infinity"),
        ([[1.0]], [1.0], "shape"),
        ([1], [2], "values differ"),
        ([True], [False], "values differ"),
        ([1 + 1j], [complex(1, nan)], "nan"),
    ],
)
def test_what_is_out_of_place_is_a_problem_whatever_the_tolerance(got, want, says):
    assert says in apart(got, want).problem


def test_nan_and_infinities_in_their_places_are_no_distance():
    assert apart([nan, inf, -inf, 1.0], [nan, inf, -inf, 1.0]) == apart([1.0], [1.0])._replace(where=(0,))


def test_where_the_dtype_overflows_infinity_is_right():
    assert apart(np.asarray([inf], "float16"), [1e6]).problem is None
    assert apart(np.asarray([-inf], "float16"), [1e6]).problem is not None


def test_the_sign_of_zero_counts_when_asked_for():
    assert apart([0.0], [-0.0]).problem is None
    assert "zero" in apart([0.0], [-0.0], signs=True).problem


def test_integers_wrap_around_as_the_op_does():
    assert apart(np.asarray([44], "uint8"), np.asarray([300])).problem is None


def test_large_integers_are_compared_exactly():
    assert apart(np.asarray([2**63 - 1]), np.asarray([2**63 - 2])).problem is not None


def test_complex_numbers_are_measured_by_their_modulus():
    assert apart([3 + 4j], [3 + 4j]).error == 0
    assert apart([6 + 8j], [3 + 4j]).error == pytest.approx(1.0)


def test_nothing_is_no_distance():
    assert apart(np.zeros((0, 3)), np.zeros((0, 3))).error == 0
