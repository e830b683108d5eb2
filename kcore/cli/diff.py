"""`kcore diff`: a model on several backends, op by op; kcore.conformance.compare does the work."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from kcore.cli.arguments import backend_name, listed, positive, read_arrays
from kcore.cli.errors import DamagedFile, UserError


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a .keras file")
    parser.add_argument(
        "--inputs",
        metavar="FILE",
        required=True,
        help="a .npy file, or a .npz file with an array for each input of the model, by name or in order; "
        "arrays called y and sample_weight are the targets and their weights",
    )
    parser.add_argument(
        "--backends",
        action="append",
        metavar="NAMES",
        help="backends to hold to the oracle; a comma list (default: every installed one)",
    )
    parser.add_argument("--no-gradients", action="store_true", help="compare values alone")
    parser.add_argument(
        "--steps", type=positive, default=0, metavar="N", help="compare N training steps too (needs y in the inputs)"
    )
    parser.add_argument("--training", action="store_true", help="call the model as in training")
    parser.add_argument("--json", metavar="FILE", help="write everything that is found to FILE as JSON")
    parser.add_argument("--script", metavar="FILE", help="write a program that shows what parts first to FILE")


def run(args: argparse.Namespace) -> int:
    import kcore
    from kcore import conformance

    arrays = read_arrays(args.inputs)
    targets, weights = arrays.pop("y", None), arrays.pop("sample_weight", None)
    if args.steps and targets is None:
        raise UserError(f"--steps needs targets; put an array called y into {args.inputs}.")
    names = [backend_name(name) for name in listed(args.backends)] or None
    keras: Any = kcore
    try:
        with kcore.backend("reference"):
            model = keras.models.load_model(args.model)
    except (ValueError, TypeError, OSError) as error:
        raise DamagedFile(str(error)) from None
    try:
        found = conformance.compare(
            model,
            _as_inputs(model, arrays),
            names,
            targets=targets,
            sample_weight=weights,
            gradients=not args.no_gradients,
            training_steps=args.steps,
            training=args.training,
        )
    except (ValueError, TypeError, ImportError, OSError) as error:
        raise UserError(str(error)) from None
    print(found)
    _write(args.json, json.dumps(found.json(), indent=1) + "\n")
    first = found.first()
    if args.script and first is not None:
        _write(args.script, first.script or f"# {first}\n".replace("\n", "\n# "))
    return 0 if found else 1


def _as_inputs(model: Any, arrays: dict[str, Any]) -> Any:
    """The arrays as the model takes them: by the names of its inputs where they have these, else in order."""
    if not arrays:
        raise UserError("--inputs holds no array for the model.")
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    names = [t._keras_history.operation.name for t in getattr(model, "_inputs", None) or []]
    return [arrays[n] for n in names] if set(names) == set(arrays) else list(arrays.values())


def _write(path: str | None, text: str) -> None:
    if path:
        try:
            Path(path).write_text(text)
        except OSError as error:
            raise UserError(f"{path} can't be written: {error.strerror}.") from None
