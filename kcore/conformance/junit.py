"""Results as JUnit XML, which CI systems show."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from kcore.conformance import report
from kcore.conformance.results import DIFFERS, UNSUPPORTED, Result


def to_xml(results: Sequence[Result], about: Mapping[str, Any]) -> ElementTree.Element:
    """A testsuite for each backend, with a testcase for each op.

    What a backend does not support is skipped; what differs for a known reason passes, and says so in its output.
    """
    root = ElementTree.Element("testsuites", name="kcore conformance", **_counts(results))
    for name in dict.fromkeys(r.backend for r in results):
        own = [r for r in results if r.backend == name]
        suite = ElementTree.SubElement(root, "testsuite", name=name, **_counts(own))
        properties = ElementTree.SubElement(suite, "properties")
        for key, value in _flat(about["backends"].get(name, {})):
            ElementTree.SubElement(properties, "property", name=key, value=value)
        for result in own:
            _add_case(suite, result)
    return root


def write(path: str | os.PathLike, results: Sequence[Result], about: Mapping[str, Any]) -> None:
    """Writes `to_xml` to a file, whole or not at all.

    Raises:
        OSError: It can't be written there.
    """
    root = to_xml(results, about)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    report.write_text(path, f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n')


def _add_case(suite: ElementTree.Element, result: Result) -> None:
    case = ElementTree.SubElement(
        suite, "testcase", classname=f"kcore.{result.backend}", name=result.op, time=f"{result.seconds:.3f}"
    )
    if result.failed:
        lines = report.failure_lines(result) or [result.verdict]
        kinds = ", ".join(dict.fromkeys(f.check for f in result.failures)) or result.verdict
        failure = ElementTree.SubElement(case, "failure", type=kinds, message=_legal(lines[0]))
        failure.text = _legal("\n".join(lines))
    elif result.verdict == UNSUPPORTED:
        ElementTree.SubElement(case, "skipped", message=_legal(result.reason))
    elif result.verdict == DIFFERS:
        ElementTree.SubElement(case, "system-out").text = _legal(f"differs: {result.reason}")


def _counts(results: Sequence[Result]) -> dict[str, str]:
    return {
        "tests": str(len(results)),
        "failures": str(sum(r.failed for r in results)),
        "errors": "0",
        "skipped": str(sum(r.verdict == UNSUPPORTED for r in results)),
        "time": f"{sum(r.seconds for r in results):.3f}",
    }


def _flat(said: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = []
    for key, value in said.items():
        found += _flat(value) if isinstance(value, Mapping) else [(key, str(value))]
    return found


def _legal(text: str) -> str:
    """`text` without the characters that XML can't hold."""
    return "".join(
        c if c in "\t\n" or " " <= c < "\ud800" or "\ue000" <= c <= "\ufffd" or c > "\uffff" else "?" for c in text
    )
