"""The `kcore` command.

Each subcommand is a module here with `configure(parser)` and `run(args) -> int`, imported only
when it is asked for, so that `kcore --help` starts at once.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from kcore.cli.errors import EXIT_CODES, UserError
from kcore.version import __version__

__all__ = ["main"]

# name -> what `kcore --help` says of it
COMMANDS = {
    "info": "show versions, backends, CPU and settings, for a bug report",
    "demo": "train a digit classifier, save it, load it in a second process, compare",
    "conform": "hold backends to the oracle, op by op, value and gradient",
    "golden": "write down what the oracle gives, and hold backends to it later and elsewhere",
    "diff": "run a model on several backends in lockstep and name the first op that parts",
    "bench": "time ops, layers and models beside other libraries, and show what moved since an earlier run",
}

BROKEN = 4


class _Parser(argparse.ArgumentParser):
    """argparse with our form of error: one sentence, no usage block."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message.rstrip('.')}; see `{self.prog} --help`.")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the `kcore` command.

    Args:
        argv: The arguments after the program's name; the process's own for None.

    Returns:
        The exit code, one of those that `kcore.cli.errors.EXIT_CODES` lists.
    """
    try:
        return _dispatch(list(sys.argv[1:] if argv is None else argv))
    except UserError as error:
        print(f"kcore: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return 130  # what a shell reports for Ctrl-C
    except BrokenPipeError:
        # The reader (`head`, say) has gone. Python flushes stdout once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:
        traceback.print_exc()
        print("kcore: this is a bug in kcore; please report it with what `kcore info` prints.", file=sys.stderr)
        return BROKEN


def _dispatch(argv: list[str]) -> int:
    parser = _Parser(
        prog="kcore",
        description="The Keras 3 API with a numerical oracle.",
        epilog=f"`kcore COMMAND --help` tells more about a command.\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="show kcore's version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=_sentence(summary))
        if name in argv:
            importlib.import_module(f"kcore.cli.{name}").configure(command)
    args = parser.parse_args(argv)
    if args.version:
        print(f"kcore {__version__}")
        return 0
    if args.command is None:
        parser.print_help()
        return 0
    code: int = importlib.import_module(f"kcore.cli.{args.command}").run(args)
    return code


def _sentence(summary: str) -> str:
    return f"{summary[0].upper()}{summary[1:]}."
