"""The pages a stranger reads first say what is so."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    *(f"docs/{p}.md" for p in ("design", "goldens", "conformance", "sparse")),
]


@pytest.mark.parametrize("command", ["make demo", "make test"])
def test_the_readme_names_both_commands(command):
    assert command in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_make_target_that_a_page_names_exists(page):
    named = set(re.findall(r"\bmake ([a-z]+)\b", (ROOT / page).read_text(encoding="utf-8")))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert named - {"sure"} <= set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES)
def test_every_link_to_a_file_leads_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    missing = [link for link in links if not ((ROOT / page).parent / link).exists()]
    assert not missing


def test_the_checks_of_a_change_are_one_executable_script():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    text = script.read_text(encoding="utf-8")
    assert "set -euo pipefail" in text
    assert {"make check", "make test"} <= set(text.splitlines())


def test_the_page_on_sparse_tensors_has_the_table_that_ops_follow():
    import kcore.random.keyed  # noqa: F401 - declares ops, too
    from kcore.ops import sparse

    assert sparse.table() in (ROOT / "docs/sparse.md").read_text(encoding="utf-8")
