"""get_file: a file of the internet, kept on this machine."""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from typing import Any

from kcore import config
from kcore.utils.messages import print_message


def get_file(
    fname: str | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: Any = "auto",
    cache_dir: Any = None,
    force_download: bool = False,
) -> str:
    """The path of a file that is downloaded if it is not there yet.

    Args:
        fname: What it is called here; as in `origin` by default.
        origin: Its address.
        untar, extract: Whether it is an archive; the path is then that of the folder with what was in it.
        md5_hash, file_hash: What the file's hash must be; the first is an older name.
        cache_subdir, cache_dir: The folder, in the folder of the settings (`~/.keras`) unless given.
        hash_algorithm: "md5", "sha256" or "auto": by the length of the hash.
        archive_format: "tar", "zip", "auto", or several.
        force_download: Whether it is downloaded even if it is there.

    Raises:
        ValueError: There is no origin, the name is a path, the hash is another, or an archive leads out of its folder.
        OSError: It can't be downloaded. Nothing is left behind.
    """
    if not origin:
        raise ValueError("get_file: origin should be the address of the file.")
    name = fname if fname is not None else os.path.basename(urllib.parse.urlsplit(origin).path)
    if not name:
        raise ValueError(f"get_file: {origin} has no file name; give fname.")
    if os.path.basename(name) != name or name in (".", ".."):
        raise ValueError(f"get_file: fname={name!r} should be a name, not a path; cache_dir says where it goes.")
    wanted = file_hash or md5_hash
    folder = (pathlib.Path(cache_dir) if cache_dir is not None else config.path().parent) / cache_subdir
    folder.mkdir(parents=True, exist_ok=True)
    unpacked = untar or extract
    file = folder / (f"{name}.archive" if unpacked else name)
    if force_download or not file.exists() or (wanted and not _has_hash(file, wanted, hash_algorithm)):
        _download(origin, file, wanted, hash_algorithm)
        if unpacked:
            shutil.rmtree(folder / name, ignore_errors=True)
    if unpacked and not (folder / name).exists():
        _unpack(file, folder / name, "tar" if untar else archive_format)
    return str(folder / name)


def _download(origin: str, file: pathlib.Path, wanted: str | None, algorithm: str) -> None:
    print_message(f"Downloading {origin}")
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    made = pathlib.Path(name)
    try:
        with os.fdopen(handle, "wb") as target, urllib.request.urlopen(origin) as source:
            shutil.copyfileobj(source, target)
        if wanted and not _has_hash(made, wanted, algorithm):
            raise ValueError(f"get_file: what is at {origin} does not have the hash {wanted}.")
        os.replace(made, file)
    except urllib.error.URLError as error:
        raise OSError(f"get_file: {origin} can't be downloaded: {error.reason}") from error
    finally:
        made.unlink(missing_ok=True)


def _has_hash(file: pathlib.Path, wanted: str, algorithm: str) -> bool:
    if algorithm == "auto":
        algorithm = "sha256" if len(wanted) == 64 else "md5"
    if algorithm not in ("md5", "sha256"):
        raise ValueError(f"get_file: hash_algorithm={algorithm!r} should be 'auto', 'md5' or 'sha256'.")
    found = hashlib.new(algorithm)
    with file.open("rb") as source:
        while block := source.read(1 << 20):
            found.update(block)
    return found.hexdigest() == wanted.lower()


def _unpack(file: pathlib.Path, folder: pathlib.Path, formats: Any) -> None:
    """Unpacks an archive into a folder, whole or not at all; no entry may lead out of it."""
    kinds = ("tar", "zip") if formats == "auto" else (formats,) if isinstance(formats, str) else tuple(formats or ())
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        inside = pathlib.Path(scratch, "content")
        inside.mkdir()
        try:
            if "tar" in kinds and tarfile.is_tarfile(file):
                with tarfile.open(file) as archive:
                    archive.extractall(inside, filter="data")
            elif "zip" in kinds and zipfile.is_zipfile(file):
                with zipfile.ZipFile(file) as archive:
                    outside = [n for n in archive.namelist() if not _stays(inside, n)]
                    if outside:
                        raise ValueError(f"get_file: the entry {outside[0]!r} of {file.name} leads out of the archive.")
                    archive.extractall(inside)
            else:
                raise ValueError(f"get_file: {file} is no archive of the kinds {', '.join(kinds)}.")
        except tarfile.FilterError as error:
            raise ValueError(f"get_file: {file.name}: {error}; such an archive is not unpacked.") from error
        inside.rename(folder)


def _stays(folder: pathlib.Path, name: str) -> bool:
    return (folder / name).resolve().is_relative_to(folder.resolve())
