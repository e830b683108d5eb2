"""Weights in several files of limited size, with a JSON index."""

from __future__ import annotations

import contextlib
import io
import json
import pathlib
from typing import Any

import numpy as np

from kcore.saving import weights
from kcore.saving.files import atomic, refuse_links

Part = tuple[str, Any, dict[str, np.ndarray]]  # (path, layer or optimizer, its variables)


def save_shards(model: Any, index: pathlib.Path, max_shard_size: float) -> None:
    """Writes `index` and, beside it, files of at most `max_shard_size` gigabytes, a layer never cut in two."""
    import h5py

    shards = _shards(model, max_shard_size * 2**30)
    stem = index.name.removesuffix(".weights.json")
    names = [f"{stem}_{i:05}.weights.h5" for i in range(len(shards))]
    where: dict[str, list[str]] = {}
    total = 0
    with atomic(*(index.parent / name for name in names), index) as made:
        for name, file, parts in zip(names, made[:-1], shards, strict=True):
            with h5py.File(file, "w") as shard:
                for path, item, values in parts:
                    weights.write_one(shard, path, item, values)
                    total += sum(v.nbytes for v in values.values())
                    if values:
                        where[f"/{weights.group_of(path)}"] = [name]
        made[-1].write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": where}, indent=4))


def _shards(model: Any, limit: float) -> list[list[Part]]:
    found: list[list[Part]] = [[]]
    size = 0
    for path, item in weights.walk(model):
        values = weights.variables_of(item)
        own = sum(v.nbytes for v in values.values())
        if size and size + own > limit:
            found.append([])
            size = 0
        found[-1].append((path, item, values))
        size += own
    return found


def joined_shards(index: pathlib.Path) -> bytes:
    """The HDF5 file that the shards would be as one.

    Raises:
        ValueError: The index or a shard is missing or damaged.
    """
    import h5py

    try:
        groups = {
            str(group).strip("/"): [names] if isinstance(names, str) else list(names)
            for group, names in json.loads(index.read_text())["weight_map"].items()
        }
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{index} is no index of weights: {type(error).__name__}: {error}") from None
    buffer = io.BytesIO()
    with contextlib.ExitStack() as stack, h5py.File(buffer, "w") as whole:
        opened: dict[str, Any] = {}
        for group, names in groups.items():
            for name in names:
                shard = (
                    index.parent / pathlib.PurePath(str(name)).name
                )  # beside the index, wherever the name would lead
                try:
                    if shard.name not in opened:
                        opened[shard.name] = stack.enter_context(h5py.File(shard, "r"))
                        refuse_links(opened[shard.name], shard)
                    _copy(opened[shard.name], whole, group)
                except weights.DAMAGE as error:
                    raise ValueError(f"{shard}, named in {index.name}, is missing or damaged: {error}") from None
    return buffer.getvalue()


def _copy(shard: Any, whole: Any, group: str) -> None:
    """Copies the data sets of a group; Keras may have cut it over several files."""
    import h5py

    for key, data in shard.get(group, {}).items():
        if isinstance(data, h5py.Dataset) and key not in whole.require_group(group):
            shard.copy(data, whole[group], name=key)
