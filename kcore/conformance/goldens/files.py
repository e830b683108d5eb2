"""A golden on disk: a folder with `golden.json`, `arrays.npz`, perhaps `model.keras`, and `SHA256SUMS`.

docs/goldens.md is the description of the format. Nothing here runs what a file brings.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

FORMAT, VERSION = "kcore-golden", 1
MANIFEST, ARRAYS, MODEL, SUMS = "golden.json", "arrays.npz", "model.keras", "SHA256SUMS"
SHIPPED = Path(__file__).parent / "shipped"  # of every op; part of the package


class GoldenError(ValueError):
    """A golden's file is missing, damaged or of another format version; the message names the file."""


@dataclasses.dataclass
class Golden:
    """What was recorded.

    Attributes:
        entries: A dict for each call, in the form of the JSON file.
        arrays: The arrays that they name.
        made_by: Names and versions of what recorded it.
        left_out: Op -> why none of its calls could be recorded.
        folder: Where it was read from.
    """

    entries: list[dict[str, Any]]
    arrays: Mapping[str, np.ndarray]
    made_by: dict[str, str] = dataclasses.field(default_factory=lambda: versions())
    left_out: dict[str, str] = dataclasses.field(default_factory=dict)
    folder: Path | None = None

    @property
    def ops(self) -> list[str]:
        """The names of the ops that calls of are recorded."""
        return list(dict.fromkeys(e["op"] for e in self.entries if "op" in e))


def versions() -> dict[str, str]:
    """What records a golden here."""
    import scipy

    from kcore.version import __version__

    return {
        "kcore": __version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def write(folder: str | os.PathLike, golden: Golden, model: bytes | None = None) -> None:
    """Writes a golden; the folder is made if it is not there, and the checksums are written last.

    Raises:
        OSError: It can't be written there.
        GoldenError: The folder holds other files.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    strangers = sorted(p.name for p in target.iterdir() if p.name not in (MANIFEST, ARRAYS, MODEL, SUMS))
    if strangers:
        raise GoldenError(f"{target} holds other files ({strangers[0]}); a golden has a folder of its own.")
    for name in (SUMS, MODEL):  # what is half written has no checksums
        (target / name).unlink(missing_ok=True)
    _write(target / MANIFEST, manifest(golden).encode())
    with _replacing(target / ARRAYS) as file:
        np.savez_compressed(file, allow_pickle=False, **dict(golden.arrays))  # type: ignore[arg-type]
    if model is not None:
        _write(target / MODEL, model)
    names = [MANIFEST, ARRAYS, *([MODEL] if model is not None else [])]
    _write(target / SUMS, "".join(f"{_digest(target / n)}  {n}\n" for n in names).encode())


def manifest(golden: Golden) -> str:
    """The text of `golden.json`: each entry on a line of its own."""
    head = {"format": FORMAT, "version": VERSION, "made_by": golden.made_by, "left_out": golden.left_out}
    lines = [json.dumps(e, allow_nan=False) for e in golden.entries]
    return (
        json.dumps(head, indent=1)[:-2] + ',\n "entries": [\n' + ",\n".join(f"  {line}" for line in lines) + "\n ]\n}\n"
    )


def read(folder: str | os.PathLike) -> Golden:
    """Reads a golden, and checks it against its checksums.

    Raises:
        GoldenError: A file is missing, damaged or of another version.
    """
    source = Path(folder)
    if not source.is_dir():
        raise GoldenError(f"{source} is no folder; a golden is a folder with {MANIFEST}, {ARRAYS} and {SUMS}.")
    _check_version(source / MANIFEST)  # another version may keep its checksums otherwise
    _check_sums(source)
    said = json.loads((source / MANIFEST).read_text(encoding="utf-8"))
    entries, made_by, left_out = said.get("entries"), said.get("made_by"), said.get("left_out")
    if not isinstance(entries, list) or not isinstance(made_by, dict) or not isinstance(left_out, dict):
        raise GoldenError(f"{source / MANIFEST} should have a list of entries, and objects made_by and left_out.")
    for number, entry in enumerate(entries):
        _check_entry(source / MANIFEST, number, entry)
    return Golden(entries, _arrays(source / ARRAYS), made_by, left_out, source)


def digest(folder: str | os.PathLike) -> str:
    """What tells this golden from others: the SHA-256 of its checksums.

    Raises:
        GoldenError: They are missing.
    """
    try:
        return _digest(Path(folder) / SUMS)
    except OSError:
        raise GoldenError(f"{Path(folder) / SUMS} is missing, so {folder} was not written to its end.") from None


def _check_version(path: Path) -> None:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GoldenError(f"{path} is missing, so {path.parent} is no golden.") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise GoldenError(f"{path} is damaged: {_sentence(error)}") from None
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise GoldenError(f'{path} is not a golden\'s: it does not say "format": "{FORMAT}".')
    version = said.get("version")
    if not isinstance(version, int):
        raise GoldenError(f"{path} is damaged: version {version!r} should be a whole number.")
    if version > VERSION:
        raise GoldenError(
            f"{path} is of format version {version}; this kcore reads version {VERSION}, so a newer kcore is needed."
        )
    if version < VERSION:
        raise GoldenError(
            f"{path} is of format version {version}, which is no longer read; record it again with "
            f"`kcore golden record`, which writes version {VERSION}."
        )


def _check_sums(folder: Path) -> None:
    path = folder / SUMS
    try:
        text = path.read_bytes().decode("ascii")
    except FileNotFoundError:
        raise GoldenError(f"{path} is missing, so {folder} was not written to its end.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise GoldenError(f"{path} is damaged: {_sentence(error)}") from None
    sums: dict[str, str] = {}
    for line in text.removesuffix("\n").split("\n"):
        digest, _, name = line.partition("  ")
        if len(digest) != 64 or name not in (MANIFEST, ARRAYS, MODEL):
            raise GoldenError(f"{path} is damaged: it has the line {line[:80]!r}.")
        sums[name] = digest
    for name in (MANIFEST, ARRAYS):
        if name not in sums:
            raise GoldenError(f"{path} is damaged: it has no line for {name}.")
    for name, digest in sums.items():
        if not (folder / name).is_file():
            raise GoldenError(f"{folder / name} is missing.")
        found = _digest(folder / name)
        if found != digest:
            raise GoldenError(
                f"{folder / name} is damaged or was changed: its SHA-256 is {found[:12]}..., "
                f"but {SUMS} says {digest[:12]}...."
            )


def _check_entry(path: Path, number: int, entry: Any) -> None:
    """Whether an entry has the fields that `checking` reads."""
    problem = None
    if not isinstance(entry, dict):
        problem = "it should be an object"
    elif not isinstance(entry.get("id"), str):
        problem = "it has no id"
    elif ("op" in entry) == ("model" in entry):
        problem = "it should have an op or a model"
    elif not isinstance(entry.get("arguments"), dict) or not isinstance(entry.get("outputs"), list):
        problem = "it should have arguments, an object, and outputs, a list"
    elif not all(
        isinstance(o, dict) and {"array", "dtype", "shape", "given", "tolerance"} <= o.keys() for o in entry["outputs"]
    ):
        problem = "each output should have array, dtype, shape, given and tolerance"
    if problem:
        raise GoldenError(f"{path} is wrong at entry {number}: {problem}.")


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise GoldenError(f"{path} is damaged: {_sentence(error)}") from None


def _write(path: Path, data: bytes) -> None:
    with _replacing(path) as file:
        file.write(data)


@dataclasses.dataclass
class _Replacing:
    """A file that takes its name when it is whole."""

    path: Path

    def __enter__(self) -> Any:
        handle, self.temporary = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        self.file = os.fdopen(handle, "wb")
        return self.file

    def __exit__(self, kind: Any, *_: Any) -> None:
        self.file.close()
        if kind is not None:
            os.unlink(self.temporary)
            return
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(self.temporary, 0o666 & ~mask)  # as any other new file; mkstemp's is for its owner alone
        os.replace(self.temporary, self.path)


_replacing = _Replacing


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sentence(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if text.endswith(".") else f"{text}."
