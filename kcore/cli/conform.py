"""`kcore conform`: the arguments; kcore.conformance does the work."""

from __future__ import annotations

import argparse

from kcore.cli.arguments import backend_name, listed


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--backend",
        action="append",
        metavar="NAME",
        help="a backend to check; may be repeated, or a comma list (default: every installed one)",
    )
    parser.add_argument(
        "--op",
        action="append",
        metavar="PATTERN",
        help="ops to check, as a shell pattern such as 'log*'; may be repeated, or a comma list (default: all)",
    )
    parser.add_argument(
        "--dtype",
        action="append",
        metavar="NAME",
        help="dtypes to check; may be repeated, or a comma list (default: those of each record)",
    )
    parser.add_argument("--json", metavar="FILE", help="write the results to FILE as JSON")
    parser.add_argument("--full", action="store_true", help="every sample and every check; takes much longer")


def run(args: argparse.Namespace) -> int:
    from kcore import conformance

    args.backend = [backend_name(name) for name in listed(args.backend)]
    args.op = listed(args.op)
    args.dtype = listed(args.dtype)
    return int(conformance.command(args) or 0)
