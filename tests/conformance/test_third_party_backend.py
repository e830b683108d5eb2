"""Another package's backend: found by its entry point, told what is missing and wrong, and used like kcore's own."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("array_api_strict")

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "array_api_backend"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """An environment in which the example is as if installed: its metadata as its pyproject.toml says."""
    site = tmp_path_factory.mktemp("site")
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = [
        f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("".join(groups))
    paths = [str(ROOT), str(site), str(EXAMPLE)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "KCORE_BACKEND": "reference"}


def python(environment, *arguments, code=0):
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_the_example_conforms(installed):
    ops = "add,exp,sum,mean,matmul,where,softmax,logsumexp,conv,average_pool,layer_normalization,get_item,random_bits"
    said = python(installed, "-m", "kcore.cli", "conform", "--backend", "array_api", "--op", ops)
    assert "13 ops on array_api: 13 pass" in said


def test_what_is_missing_and_what_is_wrong_is_told(installed, tmp_path):
    (tmp_path / "young.py").write_text(
        "from kcore_array_api import ArrayApiBackend, tape\n"
        "from kcore_array_api.tensor import translated\n"
        "import array_api_strict as xp\n"
        "class Young(ArrayApiBackend):\n"
        "    name = 'young'\n"
        "    _lacking = set()\n"
        "    unsupported = {'erf': 'it is still to be written'}\n"
        "backend = Young()\n"
        "backend.ops = {**ArrayApiBackend.ops, 'exp': translated(lambda x: xp.exp(x) * 1.0001)}\n"
    )
    (tmp_path / "young-1.dist-info").mkdir()
    (tmp_path / "young-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: young\nVersion: 1\n")
    (tmp_path / "young-1.dist-info" / "entry_points.txt").write_text("[kcore.backends]\nyoung = young:backend\n")
    environment = {**installed, "PYTHONPATH": installed["PYTHONPATH"] + os.pathsep + str(tmp_path)}
    said = python(environment, "-m", "kcore.cli", "conform", "--backend", "young", "--op", "exp,erf,log", code=1)
    assert "exp on young: value" in said
    assert "off by more than the tolerance" in said
    assert "it is still to be written" in said
    assert "1 pass, 1 unsupported, 1 FAIL" in said


def test_models_train_and_compare_on_it(installed):
    program = """
import numpy as np
import kcore
from kcore import backends, layers
from kcore.conformance import compare

assert "array_api" in backends.names()
x = np.random.default_rng(0).normal(size=(8, 6, 6, 2)).astype("float32")
y = np.eye(3, dtype="float32")[np.arange(8) % 3]

def made():
    kcore.utils.set_random_seed(1)
    net = kcore.Sequential([
        kcore.Input((6, 6, 2)), layers.Conv2D(3, 3, activation="relu"), layers.BatchNormalization(),
        layers.MaxPooling2D(), layers.Dropout(0.3), layers.Flatten(), layers.Dense(3, "softmax"),
    ])
    net.compile("adam", "categorical_crossentropy")
    return net

histories = []
for name in ("reference", "array_api"):
    with kcore.backend(name):
        histories.append(made().fit(x, y, epochs=3, batch_size=4, verbose=0).history["loss"])
np.testing.assert_allclose(*histories, rtol=1e-4)
with kcore.backend("reference"):
    found = compare(made(), x, ["array_api"], targets=y, training_steps=1)
print(found)
assert found and found.checked["array_api"] > 50
"""
    assert "all agree" in python(installed, "-c", program)
