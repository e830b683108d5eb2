"""What the wheel and the source archive hold."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = {
    "kcore/__init__.py",
    "kcore/py.typed",
    "kcore/cli/__init__.py",
    "kcore/benchmarks/rows.py",
    "kcore/benchmarks/bench_conv.py",
    "kcore/benchmarks/results.schema.json",
    "kcore/data/digits/__init__.py",
    "kcore/data/digits/README.md",
    "kcore/data/digits/digits.csv.gz",
    "kcore/conformance/report.schema.json",
    "kcore/conformance/page/page.html",
    "kcore/conformance/page/page.css",
    "kcore/conformance/page/page.js",
    "kcore/conformance/goldens/shipped/golden.json",
    "kcore/conformance/goldens/shipped/arrays.npz",
    "kcore/conformance/goldens/shipped/SHA256SUMS",
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """The checkout without what builds and tools have left in it."""
    target = tmp_path_factory.mktemp("tree") / "kcore-source"
    leave = shutil.ignore_patterns(".*", "build", "dist", "tests", "*.so", "*.egg-info", "__pycache__")
    return Path(shutil.copytree(ROOT, target, ignore=leave))


@pytest.fixture(scope="module")
def wheel(tree, tmp_path_factory) -> Path:
    """A wheel built without the extension, which every test here can do without."""
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    run([*command, "--wheel-dir", str(target), str(tree)], KCORE_NO_EXTENSION="1")
    (path,) = target.glob("kcore-*.whl")
    return path


def run(command: list[str], cwd: Path | None = None, **environment: str) -> str:
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_its_data_and_no_tests(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert names >= SHIPPED
    packages = {name.partition("/")[0] for name in names}
    assert {p for p in packages if not p.endswith(".dist-info")} == {"kcore"}


@pytest.mark.slow
def test_every_module_of_the_package_is_in_the_wheel(wheel, tree):
    names = set(zipfile.ZipFile(wheel).namelist())
    here = {p.relative_to(tree).as_posix() for p in (tree / "kcore").rglob("*.py")}
    missing = sorted(here - names)
    assert not missing


@pytest.mark.slow
def test_an_installed_wheel_reads_its_data_and_has_the_command(wheel, tmp_path):
    site = tmp_path / "site"
    run([sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(site), str(wheel)])
    script = "import kcore; from kcore.data import digits; print(kcore.__file__, digits.load()[1][0].shape)"
    said = run([sys.executable, "-c", script], cwd=tmp_path, PYTHONPATH=str(site))
    assert said.split(maxsplit=1) == [str(site / "kcore" / "__init__.py"), "(359, 8, 8, 1)\n"]
    assert (site / "bin" / "kcore").is_file()
    script = "from kcore.cli import main; main(['bench', '--list', 'eager'])"
    rows = run([sys.executable, "-c", script], cwd=tmp_path, PYTHONPATH=str(site))
    assert "eager/add of 4 elements: numpy" in rows


@pytest.mark.slow
def test_the_source_archive_has_all_that_a_build_needs(tree, tmp_path):
    run([sys.executable, "setup.py", "-q", "sdist", "--dist-dir", str(tmp_path)], cwd=tree)
    (archive,) = tmp_path.glob("kcore-*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    native = {
        p.relative_to(tree).as_posix()
        for p in (tree / "kcore" / "_native").rglob("*")
        if p.suffix in {".pyx", ".pxd", ".h"} or p.parent.name == "src"
    }
    in_wheel = {name for name in SHIPPED if name.startswith("kcore/benchmarks/")}
    in_archive = {name.removeprefix("kcore/") for name in in_wheel}
    assert names >= (SHIPPED - in_wheel) | in_archive | {"setup.py", "pyproject.toml", "README.md", "LICENSE"}
    missing = sorted({name for name in native if (tree / name).is_file()} - names)
    assert not missing
