"""`.keras` and `.weights.h5` files. A file is written beside its place and moved there when it is whole."""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import os
import pathlib
import tempfile
import zipfile
from collections.abc import Iterator
from typing import Any

from kcore.saving import registry, serialization, weights

# The Keras version whose format is written.
FORMAT_VERSION = "3.15.1"
_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"


@contextlib.contextmanager
def atomic(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A temporary path beside `path`, which takes its place at the end; on an error nothing changes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = pathlib.Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp's files are private; this one is meant as any other
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _target(filepath: Any, endings: tuple[str, ...], overwrite: bool, what: str) -> pathlib.Path:
    path = pathlib.Path(os.fspath(filepath))
    if not str(path).endswith(endings):
        raise ValueError(f"{what}: {str(path)!r} should end in {' or '.join(map(repr, endings))}.")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{what}: {path} exists; give overwrite=True to replace it.")
    return path


def save_model(model: Any, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
    """Writes a model: its config, weights, and, if compiled, how it is trained and the optimizer's state.

    Args:
        model: A built model.
        filepath: Ends in ".keras"; with `zipped=False` it is a folder.
        overwrite: Whether a file that is there is replaced; else FileExistsError.
        zipped: Whether it is one file; True unless given.

    Raises:
        ValueError: The ending is another, or the model holds something without a config.
        FileExistsError: The file is there and `overwrite` is False.
    """
    if kwargs:
        raise ValueError(f"save_model: there is no argument {', '.join(map(repr, kwargs))}.")
    path = _target(filepath, (".keras",) if zipped is not False else ("",), overwrite, "save_model")
    parts = _model_parts(model)
    if zipped is False:
        path.mkdir(parents=True, exist_ok=True)
        for name, data in parts.items():
            with atomic(path / name) as temporary:
                temporary.write_bytes(data)
        return
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def _model_parts(model: Any) -> dict[str, bytes]:
    config = json.dumps(serialization.serialize_keras_object(model))
    saved = datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S")
    metadata = json.dumps({"keras_version": FORMAT_VERSION, "date_saved": saved})
    return {_METADATA: metadata.encode(), _CONFIG: config.encode(), _WEIGHTS: _weights_bytes(model)}


def _weights_bytes(obj: Any) -> bytes:
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        weights.write(file, obj)
    return buffer.getvalue()


def load_model(filepath: Any, custom_objects: dict | None = None, compile: bool = True, safe_mode: bool = True) -> Any:
    """The model of a `.keras` file, or of a folder that `zipped=False` made.

    Args:
        filepath: The file.
        custom_objects: Name -> class or function, for what is not kcore's.
        compile: Whether it is compiled as it was when it was saved.
        safe_mode: Whether code in the file is refused.

    Raises:
        ValueError: It is no such file, it is damaged, or it brings code while in safe mode.
        TypeError: It names a class that is not known.
    """
    path = pathlib.Path(os.fspath(filepath))
    parts = _read_parts(path)
    try:
        config = json.loads(parts[_CONFIG])
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: its {_CONFIG} is not valid JSON ({error}); the file is damaged.") from None
    if not isinstance(config, dict) or "class_name" not in config:
        raise ValueError(f"{path}: its {_CONFIG} describes no model.")
    if not compile:
        config.pop("compile_config", None)
    with registry.CustomObjectScope(custom_objects):
        model = serialization.deserialize_keras_object(config, safe_mode=safe_mode)
    with _open_weights(parts[_WEIGHTS], path) as file:
        _drop_optimizer_unless_wanted(file, model, compile)
        weights.read(file, model, str(path))
    return model


def _drop_optimizer_unless_wanted(file: Any, model: Any, compile: bool) -> None:
    """The optimizer's state is left out where the model has no optimizer to take it."""
    optimizer = getattr(model, "optimizer", None)
    if "optimizer" in file and (not compile or optimizer is None or not optimizer.built):
        del file["optimizer"]


def _read_parts(path: pathlib.Path) -> dict[str, bytes]:
    if not path.exists():
        raise ValueError(f"There is no file {path}.")
    wanted = (_METADATA, _CONFIG, _WEIGHTS)
    if path.is_dir():
        missing = [n for n in wanted if not (path / n).is_file()]
        if missing:
            raise ValueError(f"{path} is no saved model: it lacks {', '.join(missing)}.")
        return {n: (path / n).read_bytes() for n in wanted}
    try:
        with zipfile.ZipFile(path) as archive:
            missing = [n for n in wanted if n not in archive.namelist()]
            if missing:
                raise ValueError(f"{path} is no saved model: it lacks {', '.join(missing)}.")
            return {n: archive.read(n) for n in wanted}
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise ValueError(f"{path} is no .keras file, or is damaged: {error}") from None


@contextlib.contextmanager
def _open_weights(data: bytes, path: pathlib.Path) -> Iterator[Any]:
    """The HDF5 file in memory; changes to it go nowhere."""
    import h5py

    try:
        file = h5py.File(io.BytesIO(data), "r+")
    except OSError as error:
        raise ValueError(f"{path}: its weights are no HDF5 file, or are damaged: {error}") from None
    with file:
        _refuse_links(file, path)
        yield file


def _refuse_links(file: Any, path: pathlib.Path) -> None:
    """External links and datasets would read other files of this machine."""
    import h5py

    def visit(name: str) -> None:
        link = file.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise ValueError(f"{path}: {name} links to another file, {link.filename!r}; such a file is not loaded.")
        item = file[name]
        if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
            raise ValueError(f"{path}: {name} keeps its data in another file; such a file is not loaded.")

    file.visit_links(visit)


def save_weights(
    model: Any, filepath: Any, overwrite: bool = True, max_shard_size: float | None = None, **kwargs: Any
) -> None:
    """Writes a model's weights alone.

    Args:
        model: A built model.
        filepath: Ends in ".weights.h5"; with `max_shard_size` in ".weights.json".
        overwrite: Whether a file that is there is replaced; else FileExistsError.
        max_shard_size: The most gigabytes in one file; the `.weights.json` then says which has what.
    """
    if kwargs:
        raise ValueError(f"save_weights: there is no argument {', '.join(map(repr, kwargs))}.")
    if not model.built:
        raise ValueError(
            f"save_weights: {model.name} is not built, so it has no weights yet; call it once, or build it."
        )
    if max_shard_size is not None:
        from kcore.saving.shards import save_shards

        save_shards(model, _target(filepath, (".weights.json",), overwrite, "save_weights"), max_shard_size)
        return
    path = _target(filepath, (".weights.h5",), overwrite, "save_weights")
    data = _weights_bytes(model)
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def load_weights(model: Any, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> None:
    """Loads weights into a model that is built.

    Args:
        model: The model.
        filepath: A `.weights.h5`, `.weights.json` or `.keras` file.
        skip_mismatch: Whether what does not fit is left out, with a warning.

    Raises:
        ValueError: The file is damaged, or does not fit; then nothing is loaded.
    """
    if kwargs:
        raise ValueError(f"load_weights: there is no argument {', '.join(map(repr, kwargs))}.")
    path = pathlib.Path(os.fspath(filepath))
    if str(path).endswith(".keras"):
        data = _read_parts(path)[_WEIGHTS]
    elif str(path).endswith(".weights.json"):
        from kcore.saving.shards import joined_shards

        data = joined_shards(path)
    elif str(path).endswith((".weights.h5", ".h5", ".hdf5")):
        if not path.is_file():
            raise ValueError(f"There is no file {path}.")
        data = path.read_bytes()
    else:
        raise ValueError(f"load_weights: {str(path)!r} should end in '.weights.h5', '.weights.json' or '.keras'.")
    with _open_weights(data, path) as file:
        _drop_optimizer_unless_wanted(file, model, True)
        weights.read(file, model, str(path), skip_mismatch)
