"""What the environment switches, and the thread setting."""

import os
import subprocess
import sys

import pytest

from kcore import _native
from kcore._native import threads

compiled = pytest.mark.skipif(not _native.available, reason=str(_native.reason))


def run(script, **environment):
    names = ("KCORE_NATIVE", "KCORE_SIMD", "KCORE_NUM_THREADS")
    kept = {k: v for k, v in os.environ.items() if k not in names}
    return subprocess.run([sys.executable, "-c", script], env={**kept, **environment}, capture_output=True, text=True)


def test_the_extension_can_be_switched_off():
    script = "from kcore import _native as n; print(n.kernels, n.available, n.simd, n.reason)"
    said = run(script, KCORE_NATIVE="0").stdout
    assert said == "None False None switched off by KCORE_NATIVE=0\n"


@compiled
@pytest.mark.parametrize("level", _native.kernels.simd_levels() if _native.available else [])
def test_the_simd_level_can_be_chosen(level):
    script = "from kcore import _native as n; print(n.simd, n.kernels.get_simd())"
    assert run(script, KCORE_SIMD=level).stdout == f"{level} {level}\n"


@compiled
def test_an_unknown_simd_level_is_an_error_that_names_the_known_ones():
    done = run("import kcore._native", KCORE_SIMD="sse9")
    assert done.returncode != 0
    assert "KCORE_SIMD: SIMD level 'sse9' is not available on this CPU" in done.stderr
    assert "baseline" in done.stderr


@compiled
def test_the_widest_level_is_the_default():
    script = "from kcore import _native as n; print(n.simd == n.kernels.simd_levels()[0])"
    assert run(script).stdout == "True\n"


def test_the_number_of_threads_comes_from_the_environment():
    script = "from kcore._native import threads as t; print(t.get_threads(), t.threads_for(10**9))"
    assert run(script, KCORE_NUM_THREADS="3").stdout == "3 3\n"


def test_a_wrong_number_of_threads_is_an_error():
    done = run("from kcore._native import threads as t; t.get_threads()", KCORE_NUM_THREADS="no")
    assert "KCORE_NUM_THREADS='no' is not a number of threads" in done.stderr
    with pytest.raises(ValueError, match="n=0"):
        threads.set_threads(0)


def test_small_work_gets_one_thread():
    before = threads.get_threads()
    try:
        threads.set_threads(8)
        assert threads.threads_for(1000) == 1
        assert threads.threads_for(10**9) == 8
    finally:
        threads.set_threads(before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_uses_one_thread_and_does_not_hang():
    script = """
import os, numpy as np
from kcore import _native
from kcore._native import threads
threads.set_threads(2)
x = np.zeros((512, 512), "float32")
if _native.available:
    _native.kernels.softmax_rows(x, threads.threads_for(x.size))
if os.fork() == 0:
    if _native.available:
        _native.kernels.softmax_rows(x, threads.threads_for(x.size))
    os._exit(10 + threads.get_threads())
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    assert run(script).stdout == "11\n"
