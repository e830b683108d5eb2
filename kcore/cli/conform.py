"""`kcore conform`: the arguments; kcore.conformance does the work."""

from __future__ import annotations

import argparse

from kcore.cli.arguments import add_report_options, backend_name, listed
from kcore.cli.errors import EXIT_CODES

EXAMPLES = """\
examples:
  kcore conform --backend torch --op 'log*'
  kcore conform --backend torch,jax --html report.html
  kcore conform --full --resume run.json            run it again after Ctrl-C to go on
  kcore conform --backend torch --device cuda:0
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = f"{EXAMPLES}\n{EXIT_CODES}"
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
    parser.add_argument("--device", metavar="D", help="where to run, as cpu or cuda:0 (default: the framework's own)")
    parser.add_argument("--full", action="store_true", help="every sample and every check; takes much longer")
    add_report_options(parser)


def run(args: argparse.Namespace) -> int:
    from kcore import conformance

    args.backend = [backend_name(name) for name in listed(args.backend)]
    args.op = listed(args.op)
    args.dtype = listed(args.dtype)
    return int(conformance.command(args) or 0)
