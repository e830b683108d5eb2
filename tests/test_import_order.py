"""The frameworks and kcore work in one process, in whatever order they are imported."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest

PROGRAM = """
import importlib, sys
for name in sys.argv[1].split(","):
    importlib.import_module(name)
import numpy as np
import kcore
for name in [n for n in sys.argv[1].split(",") if n != "kcore"] + ["reference"]:
    with kcore.backend(name):
        value, gradient = kcore.value_and_grad(lambda x: kcore.ops.sum(kcore.ops.square(x)))(np.array([1.0, 2.0, 3.0]))
        assert float(value) == 14.0, (name, value)
        assert kcore.ops.convert_to_numpy(gradient).tolist() == [2.0, 4.0, 6.0], (name, gradient)
print("computed")
"""


@pytest.mark.parametrize("order", itertools.permutations(["jax", "tensorflow", "torch", "kcore"]), ids=",".join)
def test_every_import_order_works_and_computes(order):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, ",".join(order)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().endswith("computed")


@pytest.mark.parametrize("name", ["reference", "jax", "tensorflow", "torch"])
def test_loading_a_backend_draws_no_random_numbers(name):
    code = (
        "import random, numpy as np, kcore\n"
        "kcore.utils.set_random_seed(3)\n"
        f"with kcore.backend({name!r}): kcore.ops.add(1.0, 2.0)\n"
        "found = random.random(), np.random.random()\n"
        "kcore.utils.set_random_seed(3)\n"
        "assert found == (random.random(), np.random.random())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_importing_kcore_imports_no_framework_nor_anything_slow():
    code = (
        "import sys, kcore; print(sorted({'jax', 'torch', 'tensorflow', 'scipy', 'h5py', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_training_on_reference_imports_no_framework():
    code = (
        "import sys, numpy as np, kcore as keras\n"
        "model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])\n"
        "model.compile('adam', 'mse')\n"
        "model.fit(np.ones((8, 4)), np.ones((8, 2)), verbose=0)\n"
        "print(sorted({'jax', 'torch', 'tensorflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "[]"
