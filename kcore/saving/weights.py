"""Weights in HDF5: the same groups, in the same places, as Keras 3 writes.

Every layer (or metric, or optimizer) that a model holds has a group at the path of attributes that
lead to it, `layers/dense` say, with its own variables in `vars/0`, `vars/1`... Things in a
list or dict are named after their class, numbered where a name repeats.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from kcore import dtypes, naming
from kcore.layers import home
from kcore.layers.layer import Layer
from kcore.layers.tracking import _NOT_STATE

# Attributes of the training loop and of layers' own book-keeping, which no file has.
_INTERNAL = _NOT_STATE | {
    "_own_layers",
    "_own_variables",
    "_compiled_loss",
    "_compiled_metrics",
    "_loss_tracker",
    "_compile_config",
    "_steps_compiled",
    "_inputs_struct",
    "_outputs_struct",
    "_inputs",
    "_outputs",
    "history",
    "loss",
}


def is_saveable(obj: Any) -> bool:
    """Whether an object has a group of its own: layers, metrics, optimizers."""
    return hasattr(obj, "save_own_variables") and hasattr(obj, "load_own_variables") and not isinstance(obj, type)


def children(obj: Any) -> Iterator[tuple[str, Any]]:
    """(name, child) for what an object holds: saveables, and lists, tuples, sets and dicts of them."""
    attributes = {k: v for k, v in vars(obj).items() if k not in _INTERNAL}
    attributes |= {
        k: v for k, v in (vars(obj).get("_modules") or {}).items() if k not in _INTERNAL and not _adopted(obj, k, v)
    }
    if "_own_layers" in vars(obj):  # a functional or sequential model
        attributes["layers"] = obj.layers
    for name in sorted(attributes):
        value = attributes[name]
        if is_saveable(value) or isinstance(value, (list, tuple, set, dict)):
            yield name, value


def _adopted(obj: Any, name: str, value: Any) -> bool:
    """Whether torch's module table has it only for torch's sake: it lives in a list or dict of ours."""
    if "_own_layers" in vars(obj):
        return True
    held = [v for v in vars(obj).values() if isinstance(v, (list, tuple, dict))]
    return any(value is e for v in held for e in (v.values() if isinstance(v, dict) else v))


def walk(obj: Any, path: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, Any]]:
    """(path, saveable) for everything below and including `obj`, each once, in the order of Keras."""
    seen = set() if seen is None else seen
    if id(obj) in seen:
        return
    seen.add(id(obj))
    yield path, obj
    for name, child in children(obj):
        where = f"{path}/{name}" if path else name
        if is_saveable(child):
            yield from walk(child, where, seen)
        else:
            yield from _walk_container(child, where, seen)


def _walk_container(container: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    used: Counter[str] = Counter()
    for item in container.values() if isinstance(container, dict) else container:
        if not is_saveable(item) or id(item) in seen:
            continue
        name = naming.to_snake_case(home.own_class(item).__name__)
        used[name] += 1
        yield from walk(item, f"{path}/{name}" + (f"_{used[name] - 1}" if used[name] > 1 else ""), seen)


class Store(dict):
    """The variables of one object, by key, as arrays."""


def write(file: Any, obj: Any) -> None:
    """Writes the weights of everything that `obj` holds into an open HDF5 file."""
    for path, item in walk(obj):
        store = Store()
        item.save_own_variables(store)
        group = file.create_group(f"{path}/vars" if path else "vars")
        group.attrs["name"] = getattr(item, "name", "")
        for key, value in store.items():
            _put(group, str(key), np.asarray(value))


def _put(group: Any, key: str, value: np.ndarray) -> None:
    name = dtypes.name_of(value.dtype)
    if name == "bfloat16" or name in dtypes.FLOAT8:  # HDF5 has no such type; its bits are kept as integers
        data = group.create_dataset(key, data=value.view({1: "uint8", 2: "int16"}[value.itemsize]))
        data.attrs["dtype"] = name
    else:
        group[key] = value


def read(file: Any, obj: Any, where: str, skip_mismatch: bool = False) -> None:
    """Loads the weights of an open HDF5 file into `obj`; checks everything before it assigns anything.

    Raises:
        ValueError: A weight is missing in the file, left over there, or of another shape.
    """
    plan, used, problems = [], set(), []
    for path, item in walk(obj):
        name = f"{path}/vars" if path else "vars"
        store = _stored(file, name)
        used.add(name)
        problem = _mismatch(item, store, path)
        if problem is None:
            if store:
                plan.append((item, store))
        else:
            problems.append(problem)
    left = sorted(_groups_with_data(file) - used)
    problems += [
        f"the file has weights at {name.removesuffix('/vars') or 'the root'}, where the model has nothing"
        for name in left
    ]
    if problems and not skip_mismatch:
        shown = "\n  - ".join(problems[:8]) + (f"\n  ... and {len(problems) - 8} more" if len(problems) > 8 else "")
        raise ValueError(f"{where} does not fit the model:\n  - {shown}")
    if problems:
        import warnings

        warnings.warn(f"{where}: skipped what does not fit: {'; '.join(problems)}.", stacklevel=3)
    for item, store in plan:
        item.load_own_variables(store)


def _stored(file: Any, name: str) -> Store:
    store = Store()
    if name in file:
        group = file[name]
        for key in group:
            value = np.asarray(group[key])
            stored = group[key].attrs.get("dtype")
            store[key] = value if stored is None else value.view(dtypes.to_numpy(str(stored)))
    return store


def _mismatch(item: Any, store: Store, path: str) -> str | None:
    """What keeps a store from being loaded into an item; None if nothing does."""
    expected = Store()
    place = path or getattr(item, "name", "the model")
    if isinstance(item, Layer) and not item.built and store:
        return f"{place} is not built, but the file has {len(store)} weights for it"
    try:
        item.save_own_variables(expected)
    except Exception as error:
        return f"{place}: {error}"
    if type(item).load_own_variables is not Layer.load_own_variables and isinstance(item, Layer):
        return None  # the layer has its own way to read
    if set(expected) != set(store):
        return f"{place} has {len(expected)} weights, the file {len(store)}"
    for key, value in expected.items():
        if np.shape(value) != np.shape(store[key]):
            return f"weight {key} of {place} has shape {np.shape(value)}, in the file {np.shape(store[key])}"
    return None


def _groups_with_data(file: Any) -> set[str]:
    found: set[str] = set()
    import h5py

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found.add(name.rpartition("/")[0])

    file.visititems(visit)
    return found
