"""`.keras` and `.weights.h5` files. A file is written beside its place and moved there when it is whole."""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import os
import pathlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from typing import Any

from kcore.saving import assets, registry, serialization, weights

# The Keras version whose format is written.
FORMAT_VERSION = "3.15.1"
CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"


# -- writing ----------------------------------------------------------------------------


@contextlib.contextmanager
def atomic(*paths: pathlib.Path) -> Iterator[list[pathlib.Path]]:
    """Temporary paths, which take the places of `paths` at the end, in order; on an error nothing changes."""
    temporary: list[pathlib.Path] = []
    try:
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            os.close(handle)
            temporary.append(pathlib.Path(name))
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        for made, path in zip(temporary, paths, strict=True):
            made.chmod(0o666 & ~umask)  # mkstemp's files are private; these are meant as any other
            os.replace(made, path)
    finally:
        for made in temporary:
            made.unlink(missing_ok=True)


def _target(filepath: Any, endings: tuple[str, ...], overwrite: bool, what: str) -> pathlib.Path:
    try:
        path = pathlib.Path(os.fspath(filepath))
    except TypeError:
        raise ValueError(f"{what}: filepath should be a path, not {filepath!r}.") from None
    if not str(path).endswith(endings):
        hint = (
            " Whole models in HDF5 are Keras 2's format, which kcore reads but does not write."
            if path.suffix in (".h5", ".hdf5")
            else ""
        )
        raise ValueError(f"{what}: {str(path)!r} should end in {' or '.join(map(repr, endings))}.{hint}")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{what}: {path} exists; give overwrite=True to replace it.")
    return path


def _refuse(what: str, kwargs: dict[str, Any]) -> None:
    if kwargs:
        raise ValueError(f"{what}: there is no argument {', '.join(map(repr, kwargs))}.")


def save_model(model: Any, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
    """Writes a model: its config, weights, and, if compiled, how it is trained and the optimizer's state.

    Args:
        model: A built model.
        filepath: Ends in ".keras"; with `zipped=False` it is a folder, of any name.
        overwrite: Whether a file that is there is replaced; else FileExistsError.
        zipped: Whether it is one file; True unless given.

    Raises:
        ValueError: The ending is another, or the model holds something without a config.
        FileExistsError: The file is there and `overwrite` is False.
    """
    _refuse("save_model", kwargs)
    if zipped is False:
        _save_folder(model, _target(filepath, ("",), overwrite, "save_model"))
        return
    path = _target(filepath, (".keras",), overwrite, "save_model")
    texts = _texts(model)
    with atomic(path) as (made,), assets.gathered(model) as files, _scratch(path.parent) as scratch:
        _write_weights(model, scratch)
        with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
            for name, text in texts.items():
                archive.writestr(name, text)
            for name, file in ({WEIGHTS: scratch} | files).items():
                archive.write(file, name)


def _save_folder(model: Any, folder: pathlib.Path) -> None:
    texts = _texts(model)
    with assets.gathered(model) as files:
        names = [*texts, WEIGHTS, *files]
        with atomic(*(folder / name for name in names)) as made:
            for name, path in zip(names, made, strict=True):
                if name in texts:
                    path.write_text(texts[name])
                elif name == WEIGHTS:
                    _write_weights(model, path)
                else:
                    shutil.copyfile(files[name], path)


def _texts(model: Any) -> dict[str, str]:
    saved = datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S")
    metadata = {"keras_version": FORMAT_VERSION, "date_saved": saved}
    with serialization.shared_layers():
        config = json.dumps(serialization.serialize_keras_object(model))
    return {METADATA: json.dumps(metadata), CONFIG: config}


@contextlib.contextmanager
def _scratch(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """A file that is gone at the end, on the disk where there must be room for its like anyway."""
    with tempfile.NamedTemporaryFile(prefix=".", suffix=".weights.h5", dir=folder) as file:
        yield pathlib.Path(file.name)


def _write_weights(model: Any, path: pathlib.Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        weights.write(file, model)


def save_weights(
    model: Any, filepath: Any, overwrite: bool = True, max_shard_size: float | None = None, **kwargs: Any
) -> None:
    """Writes a model's weights alone.

    Args:
        model: A built model.
        filepath: Ends in ".weights.h5"; with `max_shard_size` in ".weights.json".
        overwrite: Whether a file that is there is replaced; else FileExistsError.
        max_shard_size: The most gigabytes in one file; the `.weights.json` then says which has what.

    Raises:
        ValueError: The ending is another, or the model is not built.
        FileExistsError: The file is there and `overwrite` is False.
    """
    _refuse("save_weights", kwargs)
    if not model.built:
        raise ValueError(
            f"save_weights: {model.name} is not built, so it has no weights yet; call it once, or build it."
        )
    if max_shard_size is not None:
        from kcore.saving.shards import save_shards

        save_shards(model, _target(filepath, (".weights.json",), overwrite, "save_weights"), max_shard_size)
        return
    path = _target(filepath, (".weights.h5",), overwrite, "save_weights")
    with atomic(path) as (made,):
        _write_weights(model, made)


# -- reading ----------------------------------------------------------------------------


def load_model(filepath: Any, custom_objects: dict | None = None, compile: bool = True, safe_mode: bool = True) -> Any:
    """The model of a `.keras` file, or of a folder that `zipped=False` made.

    Args:
        filepath: The file; an `.h5` one of Keras 2's kind is read too.
        custom_objects: Name -> class or function, for what is not kcore's.
        compile: Whether it is compiled as it was when it was saved.
        safe_mode: Whether code in the file is refused.

    Raises:
        ValueError: It is no such file, it is damaged, or it brings code while in safe mode.
        TypeError: It names a class that is not known.
    """
    path = pathlib.Path(os.fspath(filepath))
    if path.suffix in (".h5", ".hdf5"):
        from kcore.saving import legacy

        return legacy.load_model(path, custom_objects, compile, safe_mode)
    parts = read_parts(path)
    try:
        config = json.loads(parts[CONFIG])
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: its {CONFIG} is not valid JSON ({error}); the file is damaged.") from None
    if not isinstance(config, dict) or "class_name" not in config:
        raise ValueError(f"{path}: its {CONFIG} describes no model.")
    if not compile:
        config.pop("compile_config", None)
    with registry.CustomObjectScope(custom_objects):
        model = model_of(config, path, safe_mode)
    with opened(parts[WEIGHTS], path) as file:
        _drop_optimizer_unless_wanted(file, model, compile)
        weights.read(file, model, str(path))
    assets.hand_out(model, parts, path)
    return model


def model_of(config: dict, path: pathlib.Path, safe_mode: bool) -> Any:
    """The model of a config; errors name the file."""
    from kcore.layers.layer import Layer

    try:
        model = serialization.deserialize_keras_object(config, safe_mode=safe_mode)
    except (KeyError, IndexError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path}: its {CONFIG} is damaged: {type(error).__name__}: {error}.") from error
    except (ValueError, TypeError) as error:
        raise type(error)(f"{path}: {error}") from error
    if not isinstance(model, Layer):
        raise ValueError(f"{path}: its {CONFIG} describes no model, but a {type(model).__name__}.")
    return model


def _drop_optimizer_unless_wanted(file: Any, model: Any, compile: bool) -> None:
    """The optimizer's state is left out where the model has no optimizer to take it."""
    if "optimizer" in file and (not compile or getattr(model, "optimizer", None) is None):
        del file["optimizer"]


def read_parts(path: pathlib.Path) -> dict[str, bytes]:
    """The files in a `.keras` file, or in the folder that one is, by name.

    Raises:
        ValueError: There is none, or it is damaged or lacks a part.
    """
    if not path.exists():
        raise ValueError(f"There is no file {path}.")
    try:
        parts = _folder_parts(path) if path.is_dir() else _archive_parts(path)
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{path} is no .keras file, or is damaged: {error}") from None
    missing = [n for n in (METADATA, CONFIG, WEIGHTS) if n not in parts]
    if missing:
        raise ValueError(f"{path} is no saved model: it lacks {', '.join(missing)}.")
    return parts


def _folder_parts(path: pathlib.Path) -> dict[str, bytes]:
    files = [path / n for n in (METADATA, CONFIG, WEIGHTS)] + sorted((path / assets.FOLDER).rglob("*"))
    return {f.relative_to(path).as_posix(): f.read_bytes() for f in files if f.is_file() and not f.is_symlink()}


def _archive_parts(path: pathlib.Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        names = [n for n in archive.namelist() if not n.endswith("/")]
        strange = [n for n in names if not _is_inside(n)]
        if strange:
            raise ValueError(f"{path}: its entry {strange[0]!r} leads out of the archive; such a file is not loaded.")
        wanted = [n for n in names if n in (METADATA, CONFIG, WEIGHTS) or n.startswith(f"{assets.FOLDER}/")]
        return {n: archive.read(n) for n in wanted}


def _is_inside(name: str) -> bool:
    parts = pathlib.PurePosixPath(name.replace("\\", "/")).parts
    return bool(parts) and ".." not in parts and not parts[0].endswith((":", "/"))


@contextlib.contextmanager
def opened(data: bytes, path: pathlib.Path) -> Iterator[Any]:
    """An HDF5 file in memory; changes to it go nowhere.

    Raises:
        ValueError: It is none, is damaged, or refers to other files.
    """
    import h5py

    with contextlib.ExitStack() as stack:
        try:
            if not data:  # h5py would make a new file of it
                raise OSError("there is nothing in it")
            file = stack.enter_context(h5py.File(io.BytesIO(data), "r+"))
            refuse_links(file, path)
        except weights.DAMAGE as error:
            raise ValueError(f"{path}: its weights are no HDF5 file, or are damaged: {error}") from None
        yield file


def refuse_links(file: Any, path: pathlib.Path) -> None:
    """Raises ValueError for links and data sets that would read other files of this machine."""
    import h5py

    names: list[str] = []
    file.visit_links(names.append)  # an error raised in there would come out as another one
    for name in names:
        link = file.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise ValueError(f"{path}: {name} links to another file, {link.filename!r}; such a file is not loaded.")
        item = file.get(name)
        if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
            raise ValueError(f"{path}: {name} keeps its data in another file; such a file is not loaded.")


def load_weights(model: Any, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> None:
    """Loads weights into a model that is built.

    Args:
        model: The model.
        filepath: A `.weights.h5`, `.weights.json` or `.keras` file, or an `.h5` one of Keras 2's kind.
        skip_mismatch: Whether what does not fit is left out, with a warning.
        **kwargs: `by_name=True`, for files of Keras 2's kind: layers are matched by name, those of other names left out.

    Raises:
        ValueError: The file is damaged, or does not fit; then nothing is loaded.
    """
    by_name = kwargs.pop("by_name", False)
    _refuse("load_weights", kwargs)
    path = pathlib.Path(os.fspath(filepath))
    with opened(weights_data(path), path) as file:
        if str(path).endswith((".h5", ".hdf5")):
            from kcore.saving import legacy

            if legacy.is_legacy(file):
                legacy.load_weights(file, model, path, by_name, skip_mismatch)
                return
        if by_name:
            raise ValueError(f"load_weights: by_name=True is for files of Keras 2's kind, which {path} is not.")
        _drop_optimizer_unless_wanted(file, model, True)
        weights.read(file, model, str(path), skip_mismatch)


def weights_data(path: pathlib.Path) -> bytes:
    """The HDF5 file of weights that a path stands for.

    Raises:
        ValueError: There is none, or it has another ending.
    """
    if str(path).endswith(".keras"):
        return read_parts(path)[WEIGHTS]
    if str(path).endswith(".weights.json"):
        from kcore.saving.shards import joined_shards

        return joined_shards(path)
    if not str(path).endswith((".weights.h5", ".h5", ".hdf5")):
        raise ValueError(f"load_weights: {str(path)!r} should end in '.weights.h5', '.weights.json' or '.keras'.")
    return bytes_of(path)


def bytes_of(path: pathlib.Path) -> bytes:
    """What is in a file.

    Raises:
        ValueError: There is none.
    """
    if not path.is_file():
        raise ValueError(f"There is no file {path}.")
    return path.read_bytes()
