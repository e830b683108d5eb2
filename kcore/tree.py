"""Nested structures: tuples, named tuples, lists and dicts, with anything else as a leaf.

Dicts are walked in the order of their sorted keys where the keys sort, else as inserted,
as JAX and optree do; None is a leaf.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_nested: dict[type, bool] = {}  # asking an abstract class takes ten times as long as looking here


def is_nested(structure: Any) -> bool:
    """Whether it is a tuple, list or dict, even an empty one."""
    kind = structure.__class__
    known = _nested.get(kind)
    if known is None:
        known = _nested[kind] = issubclass(kind, (tuple, list, Mapping))
    return known


def _keys(mapping: Mapping) -> list:
    try:
        return sorted(mapping)
    except TypeError:
        return list(mapping)


def _children(structure: Any) -> Iterable[Any]:
    if isinstance(structure, (tuple, list)):  # asked first: it is answered faster
        return structure  # type: ignore[no-any-return]
    if isinstance(structure, Mapping):
        return (structure[k] for k in _keys(structure))
    return iter(structure)  # type: ignore[no-any-return]


def _rebuild(like: Any, children: list) -> Any:
    if like.__class__ is list:
        return children
    if like.__class__ is tuple:
        return tuple(children)
    if isinstance(like, Mapping):
        values = dict(zip(_keys(like), children, strict=True))
        ordered = ((k, values[k]) for k in like)
        if isinstance(like, defaultdict):
            return defaultdict(like.default_factory, ordered)
        return OrderedDict(ordered) if isinstance(like, OrderedDict) else dict(ordered)
    if hasattr(like, "_fields"):
        return type(like)(*children)
    return tuple(children) if isinstance(like, tuple) else list(children)


def flatten(structure: Any) -> list:
    """The leaves, depth first."""
    if not is_nested(structure):
        return [structure]
    leaves: list = []
    for child in _children(structure):
        if is_nested(child):
            leaves += flatten(child)
        else:
            leaves.append(child)
    return leaves


def flatten_with_path(structure: Any) -> list[tuple[tuple, Any]]:
    """(path, leaf) for each leaf; a path is the tuple of keys and positions that lead to it."""
    if not is_nested(structure):
        return [((), structure)]
    names = _keys(structure) if isinstance(structure, Mapping) else range(len(structure))
    pairs = zip(names, _children(structure), strict=True)
    return [((name, *path), leaf) for name, child in pairs for path, leaf in flatten_with_path(child)]


def pack_sequence_as(structure: Any, flat_sequence: Any) -> Any:
    """`flat_sequence` in the shape of `structure`.

    Raises:
        ValueError: The number of leaves differs.
    """
    leaves = list(flat_sequence)
    packed, used = _pack(structure, leaves, 0)
    if used != len(leaves):
        raise ValueError(f"The structure has {used} leaves, the sequence {len(leaves)}.")
    return packed


def _pack(structure: Any, leaves: list, at: int) -> tuple[Any, int]:
    if not is_nested(structure):
        if at >= len(leaves):
            raise ValueError(f"The structure has more leaves than the sequence, which has {len(leaves)}.")
        return leaves[at], at + 1
    children = []
    for child in _children(structure):
        packed, at = _pack(child, leaves, at)
        children.append(packed)
    return _rebuild(structure, children), at


def assert_same_structure(a: Any, b: Any, check_types: Any = None) -> None:
    """Raises ValueError, naming where, unless both nest alike.

    `check_types` is deprecated and does nothing; `assert_same_paths` takes lists for tuples.
    """
    if check_types is not None:
        warnings.warn("assert_same_structure: check_types does nothing; use assert_same_paths.", stacklevel=2)
    _assert_same(a, b, "the root")


def assert_same_paths(a: Any, b: Any) -> None:
    """Raises ValueError, naming the paths, unless the leaves of both have the same paths, in whatever containers."""
    paths = [{path for path, _ in flatten_with_path(s)} for s in (a, b)]
    if paths[0] != paths[1]:
        only = [sorted(map(str, paths[i] - paths[1 - i])) for i in (0, 1)]
        raise ValueError(f"The paths differ: only in a: {only[0]}; only in b: {only[1]}.")


def _assert_same(a: Any, b: Any, where: str) -> None:
    kinds = [None if not is_nested(s) else Mapping if isinstance(s, Mapping) else type(s) for s in (a, b)]
    if kinds[0] is not kinds[1]:
        raise ValueError(f"The structures differ at {where}: {type(a).__name__} and {type(b).__name__}.")
    if kinds[0] is None:
        return
    names = [_keys(s) if isinstance(s, Mapping) else list(range(len(s))) for s in (a, b)]
    if names[0] != names[1]:
        raise ValueError(f"The structures differ at {where}: it holds {names[0]} and {names[1]}.")
    for name, x, y in zip(names[0], _children(a), _children(b), strict=True):
        _assert_same(x, y, f"{where}[{name!r}]")


def map_structure(func: Callable, *structures: Any, none_is_leaf: bool = True) -> Any:
    """`func` of the corresponding leaves, in the shape of the first structure.

    With `none_is_leaf=False`, None stays None and `func` never sees it.
    """
    if not callable(func):
        raise TypeError(f"map_structure needs a function, not {func!r}.")
    if not structures:
        raise ValueError("map_structure needs at least one structure.")
    for other in structures[1:]:
        assert_same_structure(structures[0], other)
    return _map(func, structures, none_is_leaf)


def _map(func: Callable, structures: tuple, none_is_leaf: bool) -> Any:
    first = structures[0]
    if is_nested(first):
        groups = zip(*(_children(s) for s in structures), strict=True)
        return _rebuild(first, [_map(func, group, none_is_leaf) for group in groups])
    if first is None and not none_is_leaf:
        return None
    return func(*structures)


def map_structure_up_to(shallow_structure: Any, func: Callable, *structures: Any) -> Any:
    """`func` of the parts of `structures` that stand where `shallow_structure` has leaves."""
    if not is_nested(shallow_structure):
        return func(*structures)
    children = []
    for name, part in zip(
        _keys(shallow_structure) if isinstance(shallow_structure, Mapping) else range(len(shallow_structure)),
        _children(shallow_structure),
        strict=True,
    ):
        children.append(map_structure_up_to(part, func, *(s[name] for s in structures)))
    return _rebuild(shallow_structure, children)


def map_shape_structure(func: Callable, structure: Any) -> Any:
    """`func` of the shapes in a structure: of tuples and lists of sizes, None among them."""
    if _is_shape(structure):
        return func(tuple(structure))
    if isinstance(structure, (tuple, list, Mapping)):
        return _rebuild(structure, [map_shape_structure(func, child) for child in _children(structure)])
    raise ValueError(f"map_shape_structure: {structure!r} is no shape.")


def _is_shape(x: Any) -> bool:
    return isinstance(x, (tuple, list)) and all(d is None or isinstance(d, int) for d in x)


class MAP_TO_NONE:
    """A sentinel: `traverse` turns it into None, where None itself would mean "go on"."""


def traverse(func: Callable, structure: Any, top_down: bool = True) -> Any:
    """Applies `func` to every substructure; what it returns replaces it, None keeps it.

    Top down, a replaced substructure is not entered. `MAP_TO_NONE` replaces by None.
    """
    if top_down:
        found = func(structure)
        if found is not None:
            return None if found is MAP_TO_NONE else found
    if is_nested(structure):
        structure = _rebuild(structure, [traverse(func, c, top_down) for c in _children(structure)])
    if top_down:
        return structure
    found = func(structure)
    if found is None:
        return structure
    return None if found is MAP_TO_NONE else found


def lists_to_tuples(structure: Any) -> Any:
    """The same structure with each list as a tuple."""
    return traverse(lambda s: tuple(lists_to_tuples(c) for c in s) if isinstance(s, list) else None, structure)
