"""Weights in several files of limited size, with a JSON index."""

from __future__ import annotations

import io
import json
import pathlib
from typing import Any

from kcore.saving import weights
from kcore.saving.files import atomic


def save_shards(model: Any, index: pathlib.Path, max_shard_size: float) -> None:
    """Writes `index` and, beside it, files of at most `max_shard_size` gigabytes, a layer never cut in two."""
    import h5py

    limit = max_shard_size * 2**30
    stem = str(index.name).removesuffix(".weights.json")
    shards: list[list[tuple[str, Any]]] = [[]]
    size = total = 0
    for path, item in weights.walk(model):
        store = weights.Store()
        item.save_own_variables(store)
        own = sum(v.nbytes for v in store.values())
        if size and size + own > limit:
            shards.append([])
            size = 0
        shards[-1].append((path, item))
        size += own
        total += own
    where: dict[str, list[str]] = {}
    for i, items in enumerate(shards):
        name = f"{stem}_{i:05}.weights.h5"
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            for path, item in items:
                store = weights.Store()
                item.save_own_variables(store)
                group = file.create_group(f"{path}/vars" if path else "vars")
                group.attrs["name"] = getattr(item, "name", "")
                for key, value in store.items():
                    weights._put(group, str(key), value)
                where[f"/{path}/vars" if path else "/vars"] = [name]
        with atomic(index.parent / name) as temporary:
            temporary.write_bytes(buffer.getvalue())
    with atomic(index) as temporary:
        temporary.write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": where}, indent=4))


def joined_shards(index: pathlib.Path) -> bytes:
    """The HDF5 file that the shards would be as one.

    Raises:
        ValueError: The index or a shard is missing or damaged.
    """
    import h5py

    try:
        found = json.loads(index.read_text())["weight_map"]
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{index} is no index of weights: {error}") from None
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as whole:
        for path, names in found.items():
            for name in [names] if isinstance(names, str) else names:
                shard = index.parent / pathlib.PurePath(name).name
                try:
                    with h5py.File(shard, "r") as part:
                        if path.strip("/") not in whole and path in part:
                            part.copy(part[path], whole, name=path.strip("/"))
                except OSError as error:
                    raise ValueError(f"{shard}, named in {index.name}, is missing or damaged: {error}") from None
    return buffer.getvalue()
