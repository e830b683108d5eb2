"""Weights in HDF5: the same groups, in the same places, as Keras 3 writes.

Every layer (or optimizer) that a model holds has a group at the path of attributes that lead to it,
`layers/dense` say, with its own variables in `vars/0`, `vars/1`... Things in a list or dict are
named after their class, numbered where a name repeats; a list in a list is a "container".
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from kcore import dtypes, naming
from kcore.layers import home
from kcore.layers.layer import Layer
from kcore.layers.tracking import _NOT_STATE
from kcore.optimizers.optimizer import Optimizer

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
# What h5py raises where a file is damaged inside.
DAMAGE = (OSError, RuntimeError, KeyError)

# The classes that every layer and model derives from: what they define is book-keeping too.
_BASES = ("kcore.layers.layer", "kcore.layers.tracking", "kcore.operation", "kcore.training.trainer")


# -- what is where ----------------------------------------------------------------------


def is_saveable(obj: Any) -> bool:
    """Whether an object has a group of its own: layers and optimizers."""
    return hasattr(obj, "save_own_variables") and hasattr(obj, "load_own_variables") and not isinstance(obj, type)


def children(obj: Any, older: bool = False) -> Iterator[tuple[str, Any]]:
    """(name, child) for what an object holds: saveables, and lists, tuples, sets and dicts of them.

    By name, those that start with an underscore last; `older` has them among the others, as files from before
    Keras 3.15 do.
    """
    from kcore.models.model import Model

    own = vars(obj)
    names = {k for k in own if k not in _INTERNAL}
    names |= {k for k, v in (own.get("_modules") or {}).items() if k not in _INTERNAL and not _adopted(obj, k, v)}
    names |= _properties(type(obj))
    if isinstance(obj, Model):
        names.add("layers")
    for name in sorted(names) if older else sorted(names, key=lambda n: (n.startswith("_"), n)):
        try:
            value = getattr(obj, name)
        except Exception:  # a property of a layer that is not built yet, say
            continue
        if is_saveable(value) or isinstance(value, (list, tuple, set, dict)):
            yield name, value


def _properties(cls: type) -> set[str]:
    """Properties that a layer's class, not one of the common bases, defines."""
    found: set[str] = set()
    for c in cls.__mro__:
        if c.__module__ not in _BASES and not c.__module__.startswith("kcore.models.") and issubclass(c, Layer):
            found |= {name for name, value in vars(c).items() if isinstance(value, property)}
    return found


def _adopted(obj: Any, name: str, value: Any) -> bool:
    """Whether torch's module table has it only for torch's sake: it lives in a list or dict of ours."""
    if "_own_layers" in vars(obj):
        return True
    held = [v for k, v in vars(obj).items() if k not in _INTERNAL and isinstance(v, (list, tuple, dict))]
    return any(value is leaf for v in held for leaf in _leaves(v))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, (list, tuple, set, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _leaves(part)
    else:
        yield value


def walk(obj: Any, older: bool = False) -> Iterator[tuple[str, Any]]:
    """(path, saveable) for everything below and including `obj`, each once, in the order of Keras."""
    yield from _walk(obj, "", set(), older)


def _walk(obj: Any, path: str, seen: set[int], older: bool) -> Iterator[tuple[str, Any]]:
    if id(obj) in seen:
        return
    seen.add(id(obj))
    yield path, obj
    for name, child in children(obj, older):
        where = f"{path}/{name}" if path else name
        if is_saveable(child):
            yield from _walk(child, where, seen, older)
        else:
            yield from _walk_container(child, where, seen, older)


def _walk_container(container: Any, path: str, seen: set[int], older: bool) -> Iterator[tuple[str, Any]]:
    used: Counter[str] = Counter()
    for item in container.values() if isinstance(container, dict) else container:
        nested = isinstance(item, (list, tuple, set, dict))
        if not is_saveable(item) and not (nested and any(map(is_saveable, _leaves(item)))):
            continue
        name = "container" if nested else naming.to_snake_case(home.own_class(item).__name__)
        used[name] += 1  # things that have been seen elsewhere are counted too
        where = f"{path}/{name}" + (f"_{used[name] - 1}" if used[name] > 1 else "")
        if nested:
            yield from _walk_container(item, where, seen, older)
        else:
            yield from _walk(item, where, seen, older)


def group_of(path: str) -> str:
    """The name of the group with the variables of what is at `path`."""
    return f"{path}/vars" if path else "vars"


# -- writing ----------------------------------------------------------------------------


def write(file: Any, obj: Any) -> None:
    """Writes the weights of everything that `obj` holds into an open HDF5 file."""
    for path, item in walk(obj):
        write_one(file, path, item, variables_of(item))


def variables_of(item: Any) -> dict[str, np.ndarray]:
    """What a layer or optimizer puts into a file."""
    store: dict[str, Any] = {}
    item.save_own_variables(store)
    return {str(key): np.asarray(value) for key, value in store.items()}


def write_one(file: Any, path: str, item: Any, values: dict[str, np.ndarray]) -> None:
    """Writes the variables of one layer or optimizer."""
    write_values(file, path, getattr(item, "name", ""), values)


def write_values(file: Any, path: str, name: str, values: dict[str, np.ndarray]) -> None:
    """Writes arrays as the variables of what is at `path`."""
    group = file.create_group(group_of(path))
    group.attrs["name"] = name
    for key, value in values.items():
        dtype = dtypes.name_of(value.dtype)
        if dtype == "bfloat16" or dtype in dtypes.FLOAT8:  # HDF5 has no such type: bytes, and which they are
            data = group.create_dataset(key, data=value.view(f"V{value.itemsize}"))
            data.attrs["dtype"] = dtype
        else:
            group[key] = value


# -- reading ----------------------------------------------------------------------------


def read(file: Any, obj: Any, where: str, skip_mismatch: bool = False) -> None:
    """Loads the weights of an open HDF5 file into `obj`; checks everything before it assigns anything.

    The state of another optimizer, or of one built for other variables, is left out with a warning.

    Raises:
        ValueError: A weight is missing in the file, left over there, or of another shape; then nothing is loaded.
    """
    try:
        plan, problems, left_out = _matched(file, obj, older=False)
        if problems:
            older = _matched(file, obj, older=True)
            if not older[1]:
                plan, problems, left_out = older
        loaded = [(item, {key: value_of(data) for key, data in found.items()}) for item, found in plan]
    except DAMAGE as error:
        raise ValueError(f"{where}: its weights are damaged: {error}") from None
    if problems and not skip_mismatch:
        shown = "\n  - ".join(problems[:8]) + (f"\n  ... and {len(problems) - 8} more" if len(problems) > 8 else "")
        raise ValueError(f"{where} does not fit the model:\n  - {shown}")
    if problems:
        warnings.warn(f"{where}: skipped what does not fit: {'; '.join(problems)}.", stacklevel=3)
    if left_out:
        warnings.warn(f"{where}: the optimizer's state is not loaded: {'; '.join(left_out)}.", stacklevel=3)
    _load(loaded, where, skip_mismatch)


def _matched(file: Any, obj: Any, older: bool) -> tuple[list[tuple[Any, dict[str, Any]]], list[str], list[str]]:
    """([(item, its data sets by key)], what does not fit, what does not fit the optimizer)."""
    plan, known = [], set()
    problems: list[str] = []
    left_out: list[str] = []
    for path, item in walk(obj, older):
        known.add(group_of(path))
        found = _data_sets(file, group_of(path))
        if isinstance(item, Optimizer) and len(found) == item.unbuilt_count < len(item._variables):
            continue  # it had done nothing yet
        problem = _mismatch(item, found, path)
        if problem is not None:
            (left_out if isinstance(item, Optimizer) else problems).append(problem)
        elif found:
            plan.append((item, found))
    left = sorted(_groups_with_data(file) - known)
    names = [name.removesuffix("/vars") if name != "vars" else "the root" for name in left]
    problems += [f"the file has weights at {name}, where the model has nothing" for name in names]
    return plan, problems, left_out


def _load(plan: list[tuple[Any, dict[str, np.ndarray]]], where: str, skip_mismatch: bool) -> None:
    """Hands the values out. What reads them in a way of its own may fail: it comes first, and is put back if it does."""
    before: list[tuple[Any, dict[str, np.ndarray]]] = []
    for item, values in plan:
        if _is_checked(item):
            continue
        before.append((item, variables_of(item)))
        try:
            item.load_own_variables(values)
        except Exception as error:
            what = f"{where}: {item.name} could not take its weights: {error}"
            for other, old in before if not skip_mismatch else before[-1:]:
                other.load_own_variables(old)
            if not skip_mismatch:
                raise ValueError(what) from error
            warnings.warn(f"{what}; it keeps those that it had.", stacklevel=4)
    for item, values in plan:
        if _is_checked(item):
            item.load_own_variables(values)


def _is_checked(item: Any) -> bool:
    """Whether an item takes what it saves, so that `_mismatch` can tell; a method of the user's may take other things,
    and so may a lookup, whose vocabulary comes with the file."""
    if getattr(item, "_weights_come_with_files", False):
        return False
    defining = next(c for c in type(item).__mro__ if "load_own_variables" in vars(c))
    return defining.__module__.startswith("kcore.")


def _data_sets(file: Any, name: str) -> dict[str, Any]:
    """The data sets of a group by key, unread: a wrong shape shall cost no memory."""
    import h5py

    group = file.get(name)
    if not isinstance(group, h5py.Group):
        return {}
    return {key: group[key] for key in group if isinstance(group[key], h5py.Dataset)}


def value_of(data: Any) -> np.ndarray:
    """The array of a data set, in the dtype that it was saved from."""
    value, stored = np.asarray(data), data.attrs.get("dtype")
    return value if stored is None else value.view(dtypes.to_numpy(str(stored)))


def _mismatch(item: Any, found: dict[str, Any], path: str) -> str | None:
    """What keeps data sets from being loaded into an item; None if nothing does."""
    place = path or getattr(item, "name", "the model")
    if isinstance(item, Layer) and not item.built and found:
        return f"{place} is not built, but the file has {len(found)} weights for it"
    try:
        expected = {k: np.shape(v) for k, v in variables_of(item).items()}
    except Exception as error:
        return f"{place}: {error}"
    kinds = [
        f"weight {key} of {place} holds {data.dtype} values" for key, data in found.items() if not _is_numeric(data)
    ]
    if kinds:
        return kinds[0]
    if not _is_checked(item):
        return None
    if set(expected) != set(found):
        return f"{place} has {len(expected)} weights, the file {len(found)}"
    for key, shape in expected.items():
        if shape != found[key].shape:
            return f"weight {key} of {place} has shape {shape}, in the file {found[key].shape}"
    return None


def _is_numeric(data: Any) -> bool:
    stored = data.attrs.get("dtype")
    if stored is None:
        return data.dtype.kind in "biufc"
    known = str(stored) == "bfloat16" or str(stored) in dtypes.FLOAT8
    return known and dtypes.to_numpy(str(stored)).itemsize == data.dtype.itemsize


def _groups_with_data(file: Any) -> set[str]:
    import h5py

    found: set[str] = set()

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found.add(name.rpartition("/")[0])

    file.visititems(visit)
    return found
