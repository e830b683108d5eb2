"""`kcore golden record` and `kcore golden check`: the arguments; kcore.conformance.goldens does the work."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kcore.cli import arguments
from kcore.cli.arguments import add_report_options, backend_name, listed, read_arrays
from kcore.cli.errors import EXIT_CODES, DamagedFile, UserError

if TYPE_CHECKING:
    from kcore.conformance.goldens.files import Golden
    from kcore.conformance.results import Result

EXAMPLES = """\
examples:
  kcore golden check --backend torch                the goldens that kcore ships, of every op
  kcore golden record softmax/ --op '*softmax'
  kcore golden record mine/ --model mine.keras --inputs batch.npz
  kcore golden check mine/ --backend jax --device cuda:0
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = f"{EXAMPLES}\n{EXIT_CODES}"
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    _configure_record(actions)
    _configure_check(actions)


def _configure_record(actions: Any) -> None:
    record = actions.add_parser(
        "record",
        help="write down what the float64 oracle gives for ops or a model",
        description="Write down what the float64 oracle gives for ops or a model: inputs, results, gradients and "
        "tolerances, in files that any tool can read (docs/goldens.md).",
    )
    record.add_argument("folder", metavar="DIR", type=Path, help="the folder to write; made if it is not there")
    what = record.add_mutually_exclusive_group()
    what.add_argument(
        "--op",
        action="append",
        metavar="PATTERN",
        help="ops to record, as a shell pattern; may be repeated, or a comma list (default: all)",
    )
    what.add_argument("--model", type=Path, metavar="FILE.keras", help="record this model instead of ops")
    record.add_argument("--inputs", type=Path, metavar="FILE.npz", help="the model's inputs, by name or in order")
    record.add_argument("--seed", type=arguments.seed, metavar="N", help="draw the model's inputs instead (default: 0)")
    record.add_argument("--batch", type=arguments.positive, metavar="N", help="rows to draw (default: 2)")
    record.add_argument("--dtype", metavar="NAME", help="of ops' float inputs (default: float32)")
    record.add_argument("--samples", type=arguments.positive, metavar="N", help="calls of each op (default: 2)")
    record.add_argument(
        "--no-gradients", dest="gradients", action="store_false", help="leave the model's gradients out"
    )


def _configure_check(actions: Any) -> None:
    check = actions.add_parser(
        "check",
        help="hold a backend to a golden",
        description="Hold a backend to a golden.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("folder", metavar="DIR", type=Path, nargs="?", help="the golden (default: the one kcore ships)")
    check.add_argument(
        "--backend",
        action="append",
        metavar="NAME",
        required=True,
        help="a backend to check; may be repeated, or a comma list",
    )
    check.add_argument("--device", metavar="D", help="where to run, as cpu or cuda:0 (default: the framework's own)")
    check.add_argument(
        "--op", action="append", metavar="PATTERN", help="ops to check; may be repeated, or a comma list (default: all)"
    )
    check.add_argument("--samples", type=arguments.positive, metavar="N", help="calls of each op (default: all)")
    add_report_options(check)


def run(args: argparse.Namespace) -> int:
    args.op = listed(args.op)
    return _record(args) if args.action == "record" else _check(args)


def _record(args: argparse.Namespace) -> int:
    from kcore.conformance import goldens
    from kcore.conformance.runner import UnknownName

    for option, value, needs in (
        ("--inputs", args.inputs, "--model"),
        ("--seed", args.seed, "--model"),
        ("--batch", args.batch, "--model"),
    ):
        if value is not None and args.model is None:
            raise UserError(f"{option} is for {needs}, which is not given.")
    for option, value in (("--dtype", args.dtype), ("--samples", args.samples)):
        if value is not None and args.model is not None:
            raise UserError(f"{option} is for ops, and --model is given.")
    if args.inputs is not None and (args.seed is not None or args.batch is not None):
        raise UserError("--inputs brings the inputs, so --seed and --batch have nothing to draw.")
    try:
        if args.model is None:
            golden = goldens.record(args.op or None, args.dtype or "float32", args.samples or 2)
            goldens.write(args.folder, golden)
        else:
            golden = _of_model(args)
    except (UnknownName, goldens.GoldenError) as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(f"{args.folder} can't be written: {error.strerror}.") from None
    _tell(args.folder, golden)
    return 0


def _of_model(args: argparse.Namespace) -> Golden:
    from kcore.conformance import goldens

    inputs = None if args.inputs is None else read_arrays(args.inputs)
    try:
        golden, model = goldens.record_model(
            args.model, inputs, seed=args.seed or 0, batch=args.batch or 2, gradients=args.gradients
        )
    except FileNotFoundError:
        raise DamagedFile(f"--model {args.model} is missing.") from None
    goldens.write(args.folder, golden, model)
    return golden


def _tell(folder: Path, golden: Golden) -> None:
    of = f"{len(golden.entries)} calls of {len(golden.ops)} ops" if golden.ops else "a model"
    size = sum(p.stat().st_size for p in folder.iterdir())
    print(f"{folder} has {of}, {size / 1e6:.2f} MB.")
    for name, reason in golden.left_out.items():
        print(f"{name} is left out: {reason}")


def _check(args: argparse.Namespace) -> int:
    from kcore.conformance import goldens, terminal

    args.backend = [backend_name(name) for name in listed(args.backend)]
    names = terminal.chosen_backends(args.backend, args.device)
    folder = args.folder or goldens.SHIPPED
    try:
        golden = goldens.read(folder)
    except goldens.GoldenError as error:
        raise DamagedFile(str(error)) from None
    options = {
        "command": "golden check",
        "golden": goldens.digest(folder),
        "backends": names,
        "ops": args.op or None,
        "samples": args.samples,
        "device": args.device,
    }

    def run(progress: Any, done: Any) -> list[Result]:
        return goldens.check(golden, names, args.op or None, args.device, args.samples, progress, done)

    return terminal.carry_out(run, names, options, args)
