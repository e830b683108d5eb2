"""dtypes: names, kinds, and the promotion lattice, held to the installed Keras."""

from __future__ import annotations

import functools
import itertools
import json
import os
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

from kcore import dtypes

PLAIN = (*dtypes.BOOL, *dtypes.INTEGERS, *dtypes.FLOATS, *dtypes.COMPLEX)
SCALARS = (bool, int, float)

# Run under Keras: what each pair of dtypes and of dtype and Python type gives.
ASK_KERAS = """
import json, sys
try:
    import keras
except ImportError as error:
    sys.exit(f"missing: {error}")
names = json.loads(sys.argv[1])
kinds = {"bool": bool, "int": int, "float": float}
operands = [(n, n) for n in names] + [(f"<{n}>", kind) for n, kind in kinds.items()]
found = {}
for a, x in operands:
    for b, y in operands:
        try:
            found[f"{a},{b}"] = keras.backend.result_type(x, y)
        except ValueError:
            found[f"{a},{b}"] = None
print(json.dumps(found))
"""


@functools.cache
def keras_table():
    """(operand, operand) -> dtype, by Keras in a process of its own. Skips where it is not installed."""
    done = subprocess.run(
        [sys.executable, "-c", ASK_KERAS, json.dumps(PLAIN)],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "jax"},
        timeout=300,
    )
    if done.stderr.strip().startswith("missing: "):
        pytest.skip(f"Keras or its backend is not installed ({done.stderr.strip()})")
    assert done.returncode == 0, done.stderr
    return {tuple(key.split(",")): value for key, value in json.loads(done.stdout.splitlines()[-1]).items()}


def operands():
    """Every dtype and Python type, by the name that the table has for it."""
    return {**{name: name for name in PLAIN}, **{f"<{kind.__name__}>": kind for kind in SCALARS}}


# Keras cuts what has 64 bits, unless it is told otherwise; kcore does not.
CUT = {"int64": "int32", "uint64": "uint32", "float64": "float32", "complex128": "complex64"}


@pytest.mark.parametrize("first", operands())
def test_promotion_of_every_pair_is_that_of_keras_but_for_its_cut_to_32_bits(first):
    theirs, kinds = keras_table(), operands()
    ours = {(first, b): dtypes.result_type(kinds[first], kinds[b]) for b in kinds}
    assert {pair: CUT.get(dtype, dtype) for pair, dtype in ours.items()} == {pair: theirs[pair] for pair in ours}


def test_64_bits_are_kept_as_jax_keeps_them_in_its_64_bit_mode():
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        for a, b in itertools.product(PLAIN, repeat=2):
            if not no_common_integer(a, b):
                assert dtypes.promote(a, b) == str(jax.numpy.promote_types(a, b)), (a, b)


def no_common_integer(*names):
    """Whether uint64 meets a signed integer: they meet in a float, and which one is left to the others."""
    return "uint64" in names and bool(set(names) & set(dtypes.SIGNED))


def test_promotion_does_not_depend_on_the_order_of_two():
    for a, b in itertools.combinations(operands().values(), 2):
        assert dtypes.result_type(a, b) == dtypes.result_type(b, a), (a, b)


def test_promotion_does_not_depend_on_the_grouping_of_three():
    for a, b, c in itertools.product(PLAIN, repeat=3):
        if not no_common_integer(a, b, c):
            left = dtypes.promote(dtypes.promote(a, b), c)
            right = dtypes.promote(a, dtypes.promote(b, c))
            assert left == right == dtypes.promote(a, b, c), (a, b, c)


def test_promotion_of_three_does_not_depend_on_their_order():
    for names in itertools.combinations(PLAIN, 3):
        assert len({dtypes.promote(*order) for order in itertools.permutations(names)}) == 1, names


def test_uint64_with_a_signed_integer_is_a_float_that_leaves_the_others_theirs():
    assert dtypes.promote("uint64", "int8") == "float32"
    assert dtypes.promote("uint64", "int8", "float16") == "float16"


def test_promotion_of_one_dtype_is_itself():
    for name in dtypes.ALL:
        assert dtypes.promote(name) == dtypes.promote(name, name) == name


def test_python_numbers_alone_are_bool_int32_floatx_and_complex64():
    found = [dtypes.result_type(kind) for kind in (bool, int, float, complex)]
    assert found == ["bool", "int32", "float32", "complex64"]


def test_python_numbers_widen_the_kind_and_nothing_else():
    assert dtypes.result_type("int8", 3) == "int8"
    assert dtypes.result_type("float16", 3.0) == "float16"
    assert dtypes.result_type("uint64", 0.5) == "float32"
    assert dtypes.result_type("bfloat16", 1j) == "complex64"
    assert dtypes.result_type("float64", 1j) == "complex128"
    assert dtypes.result_type("bool", 3) == "int32"


@pytest.mark.parametrize("eight", dtypes.FLOAT8)
def test_float8_meets_no_other_float_by_itself(eight):
    assert dtypes.result_type(eight, 2.0) == dtypes.result_type(eight, 2) == dtypes.result_type(eight, "bool") == eight
    for other in (*dtypes.FLOATS, *dtypes.INTEGERS, *dtypes.COMPLEX):
        with pytest.raises(ValueError, match="cast float8 explicitly"):
            dtypes.promote(eight, other)


def test_results_of_ops_have_the_promoted_dtype(backend):
    from kcore import ops

    for a, b in itertools.product(
        ("bool", "uint8", "int32", "uint32", "float16", "bfloat16", "float32", "float64"), repeat=2
    ):
        x, y = (ops.ones((2,), dtype=d) for d in (a, b))
        assert backend.dtype(ops.add(x, y)) == dtypes.promote(a, b), (a, b)


def test_names_of_dtypes_come_from_anything_that_names_one():
    assert dtypes.name_of("float32") == dtypes.name_of(np.float32) == dtypes.name_of(np.dtype("float32")) == "float32"
    assert dtypes.name_of("torch.bfloat16") == dtypes.name_of(ml_dtypes.bfloat16) == "bfloat16"
    assert [dtypes.name_of(kind) for kind in (bool, int, float, complex)] == ["bool", "int32", "float32", "complex64"]
    for name in dtypes.ALL:
        assert dtypes.name_of(dtypes.to_numpy(name)) == name


@pytest.mark.parametrize("wrong", ["float31", "", None, object(), np.dtype("S3")])
def test_what_names_no_dtype_is_refused(wrong):
    with pytest.raises(ValueError, match="is no dtype; expected one of bool, int8"):
        dtypes.name_of(wrong)


def test_every_dtype_is_of_one_kind():
    kinds = (dtypes.is_bool, dtypes.is_int, dtypes.is_float, dtypes.is_complex)
    for name in (*dtypes.ALL, "int", "float", "complex"):
        assert sum(kind(name) for kind in kinds) == 1, name


def test_float_results_keep_floats_and_make_floatx_of_the_rest():
    assert [dtypes.float_of(d) for d in ("bool", "int64", "float16", "bfloat16", "float64", "complex64")] == [
        "float32", "float32", "float16", "bfloat16", "float64", "complex64"
    ]  # fmt: skip
    assert [dtypes.real_of(d) for d in ("complex64", "complex128", "float16")] == ["float32", "float64", "float16"]
