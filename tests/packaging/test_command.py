"""The `kcore` command, as a user meets it: in a process of its own."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kcore import cli
from kcore.cli import demo

ROOT = Path(__file__).resolve().parents[2]
FRAMEWORKS = {"jax", "tensorflow", "torch"}


def kcore(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "kcore.cli", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
    )


def test_info_as_json_says_what_is_here():
    done = kcore("info", "--json", KCORE_BACKEND="reference")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["python"] == platform.python_version()
    assert found["libraries"]["numpy"] == np.__version__
    assert found["backends"]["reference"]["installed"] is True
    assert set(found["backends"]) >= {"reference", *FRAMEWORKS}
    assert found["default_backend"] == "reference"
    assert found["threads"] >= 1
    assert found["cpu"]["count"] >= 1
    assert isinstance(found["extension"]["available"], bool)
    assert found["extension"]["available"] or found["extension"]["reason"]


def test_info_finds_backends_without_importing_them():
    script = (
        "import sys; from kcore.cli import main; main(['info', '--json']); "
        f"print('IMPORTED', *sorted(set(sys.modules) & {FRAMEWORKS}))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].split() == ["IMPORTED"]


def test_info_as_a_table_names_every_backend():
    done = kcore("info")
    assert done.returncode == 0, done.stderr
    for name in ("reference", *FRAMEWORKS):
        assert f"backend {name}" in done.stdout


def test_info_shows_what_the_config_file_sets(tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "jax", "floatx": "float64"}')
    environment = {"KERAS_HOME": str(tmp_path), "KCORE_BACKEND": "", "KERAS_BACKEND": ""}
    found = json.loads(kcore("info", "--json", **environment).stdout)
    assert found["default_backend"] == "jax"
    assert found["config_file"]["settings"] == {"backend": "jax", "floatx": "float64"}
    (tmp_path / "keras.json").write_text("{")
    found = json.loads(kcore("info", "--json", **environment).stdout)
    assert found["config_file"]["settings"] is None
    assert [p for p in found["problems"] if "keras.json is not valid JSON" in p]


@pytest.mark.parametrize("table", [False, True])
@pytest.mark.parametrize("setting", ["KCORE_BACKEND", "KCORE_NUM_THREADS"])
def test_info_reports_a_bad_setting_instead_of_failing_on_it(setting, table):
    done = kcore("info", *([] if table else ["--json"]), **{setting: "theano"})
    assert done.returncode == 0, done.stderr
    assert "theano" in done.stdout if table else "theano" in json.loads(done.stdout)["problems"][0]


@pytest.mark.parametrize("arguments", [["--help"], [], *([c, "--help"] for c in cli.COMMANDS)])
def test_help_is_there_for_every_command(arguments, capsys):
    try:
        code = cli.main(arguments)
    except SystemExit as leaving:
        code = leaving.code
    assert code == 0
    assert "usage: kcore" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train"], "invalid choice: 'train'"),
        (["info", "--xml"], "unrecognized arguments: --xml"),
        (["demo", "--epochs", "0"], "'0' is not a whole number from 1 up"),
        (["demo", "--seed", "-1"], "'-1' is not a whole number from 0 to 2**32 - 1"),
        (["demo", "--backend", "theano"], "'theano'; expected one of reference, jax"),
    ],
)
def test_a_users_error_is_one_sentence_and_exit_code_2(arguments, sentence, capsys):
    assert cli.main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("kcore: ")
    assert sentence in said
    assert said.rstrip().endswith(".")
    assert said.count("\n") == 1


def test_the_version_is_shown():
    done = kcore("--version")
    assert done.stdout.split()[0] == "kcore"
    assert done.stdout.split()[1][0].isdigit()


def test_the_demo_notices_one_differing_bit():
    want = np.full((2, 3), 0.1, np.float32)
    got = want.copy()
    assert demo._compare(want, got) is None
    got[1, 2] = np.nextafter(got[1, 2], np.float32(1))
    assert demo._compare(want, got).startswith("1 of 6 predictions differ")
    assert "float64" in demo._compare(want, want.astype(float))
    assert "could not load" in demo._compare(want, None)
