"""Rules about the source itself: which imports are where, how long a module is."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "kcore"
FRAMEWORKS = {"jax", "jaxlib", "tensorflow", "tf_keras", "torch", "keras"}
# What each backend's folder may import.
OWN = {"jax": {"jax", "jaxlib"}, "tensorflow": {"tensorflow"}, "torch": {"torch"}}
LONGEST = 800
LONGER = set()  # modules that may be longer than that, each with its reason


def imported(source: str) -> list[tuple[int, str]]:
    """(line, top-level module) of each import, `import_module("...")` included."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module]
        elif isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", None))
            if called not in {"import_module", "__import__"} or not node.args:
                continue
            first = node.args[0]
            names = [first.value] if isinstance(first, ast.Constant) else []
        else:
            continue
        found += [(node.lineno, str(name).partition(".")[0]) for name in names]
    return found


def test_the_scan_sees_every_form_of_import():
    source = "def f():\n import torch.nn as nn\nfrom jax import x\nimport_module('keras.ops')\nfrom . import y"
    assert {name for _, name in imported(source)} == {"torch", "jax", "keras"}


def test_a_framework_is_imported_only_by_its_backend():
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        folders = path.relative_to(PACKAGE).parts
        own = OWN.get(folders[1], set()) if folders[0] == "backends" else set()
        banned = FRAMEWORKS - own
        wrong += [
            f"{path.relative_to(ROOT)}:{line} imports {name}"
            for line, name in imported(path.read_text(encoding="utf-8"))
            if name in banned
        ]
    assert not wrong, "\n".join(wrong)


def test_no_module_is_too_long():
    paths = [p for p in PACKAGE.rglob("*") if p.suffix in {".py", ".pyx", ".pxd"}]
    sizes = {p.relative_to(ROOT).as_posix(): len(p.read_bytes().splitlines()) for p in paths}
    long = {name: size for name, size in sizes.items() if size > LONGEST and name not in LONGER}
    assert not long, f"over {LONGEST} lines, to be split by subject: {long}"


@pytest.mark.parametrize("module", ["kcore", "kcore.cli", "kcore.data.digits"])
def test_importing_needs_numpy_and_nothing_else(module):
    script = f"import {module}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    top = {name.partition(".")[0] for name in done.stdout.split()}
    heavy = {"scipy", "h5py", "rich", "pandas", "optree"} | FRAMEWORKS
    assert not top & heavy
