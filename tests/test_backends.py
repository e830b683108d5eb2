"""Backends by name: finding them, choosing one, several at once."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import threading

import numpy as np
import pytest

import kcore
from kcore import backends, config, ops
from kcore.random.keyed import random_categorical


def run(code: str, **environment: str) -> subprocess.CompletedProcess:
    """Runs a program with these settings alone. (Keras, where TensorFlow imports it, writes a settings file.)"""
    env = {k: v for k, v in os.environ.items() if k not in ("KCORE_BACKEND", "KERAS_BACKEND")}
    env |= {"KERAS_HOME": tempfile.mkdtemp(prefix="kcore-tests-")} | environment
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)


SHOW = "import kcore; print(kcore.config.backend())"


def test_reference_is_the_default():
    assert run(SHOW).stdout.strip() == "reference"


def test_the_environment_names_the_default():
    assert run(SHOW, KCORE_BACKEND="jax").stdout.strip() == "jax"
    assert run(SHOW, KERAS_BACKEND="torch").stdout.strip() == "torch"
    assert run(SHOW, KCORE_BACKEND="jax", KERAS_BACKEND="torch").stdout.strip() == "jax"


def test_numpy_means_reference():
    assert run(SHOW, KERAS_BACKEND="numpy").stdout.strip() == "reference"


def test_the_config_file_names_the_default(tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "jax", "floatx": "float64", "epsilon": 1e-5}')
    code = "import kcore; print(kcore.config.backend(), kcore.config.floatx(), kcore.config.epsilon())"
    assert run(code, KERAS_HOME=str(tmp_path)).stdout.strip() == "jax float64 1e-05"


def test_a_broken_config_file_is_named(tmp_path):
    (tmp_path / "keras.json").write_text("{")
    done = run("import kcore; kcore.config.floatx()", KERAS_HOME=str(tmp_path))
    assert str(tmp_path / "keras.json") in done.stderr
    assert "not valid JSON" in done.stderr


def test_an_unknown_backend_is_refused_with_the_names_there_are():
    with pytest.raises(ValueError, match=r"no backend 'theano'; expected one of reference, jax"):
        backends.load("theano")


def test_a_framework_that_is_missing_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(backends, "_has", lambda module: False)
    monkeypatch.delitem(backends._loaded, "torch", raising=False)
    with pytest.raises(ImportError, match=r"needs torch, which is not installed; install it with pip install"):
        backends.load("torch")


def test_set_backend_leaves_the_default_alone_when_it_fails():
    before = config.backend()
    with pytest.raises(ValueError, match="no backend"):
        config.set_backend("nothing")
    assert config.backend() == before


def test_ops_follow_set_backend_also_where_they_have_run_before():
    x = np.ones(3, "float32")
    assert isinstance(ops.add(x, x), np.ndarray)
    config.set_backend("torch")
    assert type(ops.add(x, x)).__module__ == "torch"
    config.set_backend("reference")
    assert isinstance(ops.add(x, x), np.ndarray)


def test_a_backend_holds_inside_its_block_alone():
    with kcore.backend("jax"):
        assert config.backend() == "jax"
        with kcore.backend("torch"):
            assert config.backend() == "torch"
        assert config.backend() == "jax"
    assert config.backend() == "reference"


def test_threads_have_their_own_backend():
    seen = {}
    barrier = threading.Barrier(2)

    def work(name):
        with kcore.backend(name):
            barrier.wait()
            seen[name] = type(ops.ones((2,))).__module__
            barrier.wait()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("torch", "reference")]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert seen == {"torch": "torch", "reference": "kcore.backends.reference.tensor"}


def test_async_tasks_have_their_own_backend():
    async def work(name):
        with kcore.backend(name):
            await asyncio.sleep(0)
            return config.backend()

    async def main():
        return await asyncio.gather(work("jax"), work("torch"))

    assert asyncio.run(main()) == ["jax", "torch"]


def test_arrays_of_one_backend_are_taken_by_another(backend):
    for other in ("reference", "jax", "torch", "tensorflow"):
        with backends.use(other):
            x = ops.convert_to_tensor(np.array([1.0, 2.0], "float32"))
        y = ops.add(x, 1)
        assert backend.is_tensor(y)
        assert backend.numpy(y).tolist() == [2.0, 3.0]


def test_an_argmax_inside_an_op_of_int64_is_compiled_where_jax_has_32_bits():
    jax = pytest.importorskip("jax")
    logits, key = np.array([[0.0, 50.0, 0.0]], "float32"), np.array([1, 2], "uint32")
    with kcore.backend("jax"):
        found = jax.jit(lambda x, key: random_categorical(x, key, 4, "int64"))(logits, key)
    np.testing.assert_array_equal(found, [[1, 1, 1, 1]])


@pytest.mark.parametrize(("inner", "outer"), [(0, 3), (3, 0)])
def test_a_product_over_nothing_and_a_bias_is_the_bias_in_a_graph(inner, outer):
    tf = pytest.importorskip("tensorflow")
    x, kernel, bias = np.ones((2, inner), "float32"), np.ones((inner, outer), "float32"), np.ones(outer, "float32")
    with kcore.backend("tensorflow"):
        found = tf.function(ops.dense, autograph=False)(*map(tf.constant, (x, kernel, bias)))
    np.testing.assert_array_equal(found, np.ones((2, outer)))


def test_uint64_is_computed_on_the_host_in_a_graph():
    tf = pytest.importorskip("tensorflow")
    x, y = np.array([7, 200, 2**63 + 5], "uint64"), np.array([2, 30, 10], "uint64")
    with kcore.backend("tensorflow"):
        found = tf.function(ops.fmod, autograph=False)(tf.constant(x), tf.constant(y))
    np.testing.assert_array_equal(found, x % y)
