"""Goldens: what the float64 oracle gives, written down in an open format, and backends held to it.

    golden = goldens.record(["softmax"])
    goldens.write("softmax", golden)
    results = goldens.check("softmax", ["torch"])

docs/goldens.md describes the files. `SHIPPED` is the folder of a golden of every op, which is part of the package.
"""

from __future__ import annotations

from kcore.conformance.goldens.checking import check
from kcore.conformance.goldens.files import SHIPPED, Golden, GoldenError, digest, read, write
from kcore.conformance.goldens.models import record_model
from kcore.conformance.goldens.recording import record

__all__ = ["SHIPPED", "Golden", "GoldenError", "check", "digest", "read", "record", "record_model", "write"]
