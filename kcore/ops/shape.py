"""Ops that give elements another arrangement: reshape, transpose, flip, roll.

None of them computes: values come through bit for bit, in every dtype, and gradients follow
the elements to where they went.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

from kcore import config, dtypes, ops
from kcore.backends.host import to_array
from kcore.ops import rules
from kcore.ops.mechanism import Axes, Plan, Shape, Tensor, op
from kcore.ops.symbolic import KerasTensor, Spec

# -- another shape ----------------------------------------------------------------------


def _reshaped(x: Spec, newshape: Shape) -> Plan:
    many = newshape if isinstance(newshape, (tuple, list)) else (newshape,)
    sizes = [rules.known_size(d) for d in many]
    given = [(-1 if m is None else m) if d is None else d for d, m in zip(sizes, many, strict=True)]
    if any(d is not None and d < -1 for d in sizes):
        raise ValueError(f"newshape={newshape!r} has a negative size besides -1.")
    opened = [i for i, g in enumerate(given) if isinstance(g, int) and g == -1]
    total = rules.size_of(x.shape)
    if len(opened) > 1 and (total is not None or sizes.count(-1) > 1):
        raise ValueError(f"newshape={newshape!r} leaves more than one size open.")
    known = math.prod(d for d in sizes if d not in (-1, None))
    traced = any(d is None and i not in opened for i, d in enumerate(sizes))
    if opened and not traced and total is not None:
        if known == 0 or total % known:
            raise ValueError(f"x of shape {x.shape} has {total} elements, which don't fit newshape={newshape!r}.")
        sizes[opened[0]] = given[opened[0]] = total // known
    elif not opened and None not in (*sizes, total) and known != total:
        raise ValueError(f"x of shape {x.shape} has {total} elements, which don't fit newshape={newshape!r}.")
    return Plan([None if d == -1 else d for d in sizes], dtypes.concrete(x.dtype), newshape=tuple(given))


@op(rule=_reshaped)
def reshape(x: Tensor, newshape: Shape) -> Tensor:
    """The same elements, in row-major order, in another shape.

    Args:
        x: Any shape and dtype.
        newshape: Sizes; one may be -1 (or None), and is then what is left.

    Raises:
        ValueError: The number of elements differs, or more than one size is open.

    >>> ops.reshape([1, 2, 3, 4], (2, -1))
    Tensor([[1, 2],
           [3, 4]], dtype=int32)
    """


@op(rule=lambda x: Plan((rules.size_of(x.shape),), dtypes.concrete(x.dtype)))
def ravel(x: Tensor) -> Tensor:
    """The elements in row-major order, in one dimension.

    >>> ops.ravel([[1, 2], [3, 4]])
    Tensor([1, 2, 3, 4], dtype=int32)
    """
    return ops.reshape(x, (-1,)) if 0 not in x.shape else ops.reshape(x, (0,))


def _broadcast_to(x: Spec, shape: Shape) -> Plan:
    sizes, given, unsized = rules.open_shape(shape)
    if len(sizes) < x.ndim or rules.broadcast(x.shape, sizes) != rules.broadcast((), sizes):
        raise ValueError(f"x of shape {x.shape} does not broadcast to shape={sizes}.")
    plan = Plan(sizes, dtypes.concrete(x.dtype), shape=given)
    plan.unsized = unsized
    return plan


@op(rule=_broadcast_to)
def broadcast_to(x: Tensor, shape: Shape) -> Tensor:
    """x repeated along axes of size 1, and new ones in front, to `shape`.

    Raises:
        ValueError: A size differs and is not 1.

    >>> ops.broadcast_to([1, 2], (2, 2))
    Tensor([[1, 2],
           [1, 2]], dtype=int32)
    """


def _expanded(x: Spec, axis: Axes) -> Plan:
    many = axis if isinstance(axis, (tuple, list)) else (axis,)
    ndim = x.ndim + len(many)
    axes = sorted(rules.normalize_axis(a, ndim) for a in many)
    if len(set(axes)) < len(axes):
        raise ValueError(f"axis={axis!r} names an axis twice for the result's {ndim} dimensions.")
    sizes = iter(x.shape)
    shape = tuple(1 if i in axes else next(sizes) for i in range(ndim))
    return Plan(shape, dtypes.concrete(x.dtype), axis=tuple(axes))


@op(rule=_expanded)
def expand_dims(x: Tensor, axis: Axes) -> Tensor:
    """x with a new axis of size 1 at each position `axis` of the result.

    Raises:
        ValueError: A position is out of range or named twice.

    >>> ops.expand_dims([1, 2], 1)
    Tensor([[1],
           [2]], dtype=int32)
    """


def _squeezed(x: Spec, axis: Axes = None) -> Plan:
    if axis is None:
        axes = tuple(i for i, d in enumerate(x.shape) if d == 1)
    else:
        axes = rules.normalize_axes(axis, x.shape)
        for a in axes:
            if x.shape[a] not in (1, None):
                raise ValueError(
                    f"axis={axis!r} of x of shape {x.shape} has size {x.shape[a]}; only 1 can be squeezed."
                )
    return Plan(rules.fold(x.shape, axes, False), dtypes.concrete(x.dtype), axis=axes)


@op(rule=_squeezed)
def squeeze(x: Tensor, axis: Axes = None) -> Tensor:
    """x without axes of size 1: those named, or all of them.

    A size that is not known is squeezed only if it is named.

    Raises:
        ValueError: A named axis is out of range or of another size.

    >>> ops.squeeze([[[1], [2]]]).shape
    (2,)
    """


# -- axes in another order --------------------------------------------------------------


def _transposed(x: Spec, axes: Sequence[int] | None = None) -> Plan:
    if axes is None:
        order = tuple(reversed(range(x.ndim)))
    else:
        order = tuple(rules.normalize_axis(a, x.ndim, x.shape, "axes") for a in axes)
        if sorted(order) != list(range(x.ndim)):
            raise ValueError(f"axes={axes!r} should name each axis of x of shape {x.shape} once.")
    return Plan(tuple(x.shape[a] for a in order), dtypes.concrete(x.dtype), axes=order)


@op(rule=_transposed)
def transpose(x: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    """x with its axes in the order `axes`; reversed for None.

    Raises:
        ValueError: `axes` does not name each axis once.

    >>> ops.transpose([[1, 2], [3, 4]])
    Tensor([[1, 3],
           [2, 4]], dtype=int32)
    """


def _swapped(x: Spec, axis1: int, axis2: int) -> Plan:
    i, j = (rules.normalize_axis(a, x.ndim, x.shape, n) for a, n in ((axis1, "axis1"), (axis2, "axis2")))
    sizes = list(x.shape)
    sizes[i], sizes[j] = sizes[j], sizes[i]
    return Plan(tuple(sizes), dtypes.concrete(x.dtype), axis1=i, axis2=j)


@op(rule=_swapped)
def swapaxes(x: Tensor, axis1: int, axis2: int) -> Tensor:
    """x with two axes exchanged.

    Raises:
        ValueError: An axis is out of range.

    >>> ops.swapaxes(ops.zeros((2, 3, 4)), 0, 2).shape
    (4, 3, 2)
    """


def _moved(x: Spec, source: Axes, destination: Axes) -> Plan:
    given = [tuple(a) if isinstance(a, (tuple, list)) else (a,) for a in (source, destination)]
    sources, destinations = (
        tuple(rules.normalize_axis(a, x.ndim, x.shape, n) for a in many)
        for many, n in zip(given, ("source", "destination"), strict=True)
    )
    if len(sources) != len(destinations) or len(set(sources)) < len(sources) or len(set(destinations)) < len(sources):
        raise ValueError(f"source={source!r} and destination={destination!r} should be as many different axes.")
    order = [a for a in range(x.ndim) if a not in sources]
    for to, a in sorted(zip(destinations, sources, strict=True)):
        order.insert(to, a)
    # Every backend transposes: it gets the whole order.
    return Plan(tuple(x.shape[a] for a in order), dtypes.concrete(x.dtype), source=tuple(order), destination=None)


@op(rule=_moved)
def moveaxis(x: Tensor, source: Axes, destination: Axes) -> Tensor:
    """x with the axes `source` at the positions `destination`, the others in their order.

    Raises:
        ValueError: An axis is out of range or named twice, or the numbers of them differ.

    >>> ops.moveaxis(ops.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    return ops.transpose(x, source)


def _reversed(x: Spec, axis: Axes = None) -> Plan:
    return Plan(x.shape, dtypes.concrete(x.dtype), axis=rules.normalize_axes(axis, x.shape))


@op(rule=_reversed)
def flip(x: Tensor, axis: Axes = None) -> Tensor:
    """x with the order of elements reversed along the axes, all of them for None.

    Raises:
        ValueError: An axis is out of range or named twice.

    >>> ops.flip([[1, 2], [3, 4]])
    Tensor([[4, 3],
           [2, 1]], dtype=int32)
    """


@op(rule=lambda x: _reversed(rules.at_least(x, 2), 1))
def fliplr(x: Tensor) -> Tensor:
    """x reversed along axis 1.

    Raises:
        ValueError: x has fewer than 2 dimensions.

    >>> ops.fliplr([[1, 2], [3, 4]])
    Tensor([[2, 1],
           [4, 3]], dtype=int32)
    """
    return ops.flip(x, 1)


@op(rule=lambda x: _reversed(rules.at_least(x, 1), 0))
def flipud(x: Tensor) -> Tensor:
    """x reversed along axis 0.

    Raises:
        ValueError: x is a scalar.

    >>> ops.flipud([[1, 2], [3, 4]])
    Tensor([[3, 4],
           [1, 2]], dtype=int32)
    """
    return ops.flip(x, 0)


def _turned(array: Spec, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Plan:
    rules.at_least(array, 2, "array")
    pair = tuple(rules.normalize_axis(a, array.ndim, array.shape, "axes") for a in axes)
    if len(set(pair)) != 2 or len(axes) != 2:
        raise ValueError(f"axes={axes!r} should be two different axes.")
    turns = operator.index(k) % 4
    sizes = list(array.shape)
    if turns % 2:
        sizes[pair[0]], sizes[pair[1]] = sizes[pair[1]], sizes[pair[0]]
    return Plan(tuple(sizes), dtypes.concrete(array.dtype), k=turns, axes=pair)


@op(rule=_turned)
def rot90(array: Tensor, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Tensor:
    """array turned by k quarter turns in the plane of two axes, from the first towards the second.

    Raises:
        ValueError: The axes are equal or out of range, or array has fewer than 2 dimensions.

    >>> ops.rot90([[1, 2], [3, 4]])
    Tensor([[2, 4],
           [1, 3]], dtype=int32)
    """
    if k == 2:
        return ops.flip(array, axes)
    if k == 1:
        return ops.swapaxes(ops.flip(array, axes[1]), *axes)
    return ops.flip(ops.swapaxes(array, *axes), axes[1]) if k == 3 else array


def _rolled(x: Spec, shift: Any, axis: Axes = None) -> Plan:
    given = tuple(shift) if isinstance(shift, (tuple, list)) else (shift,)
    shifts = tuple(s if rules.is_traced(s) else operator.index(s) for s in given)
    if axis is None:
        if len(shifts) > 1:
            raise ValueError(f"shift={shift!r} is for several axes; name them.")
        return Plan(x.shape, dtypes.concrete(x.dtype), shift=shifts, axis=None)
    axes = tuple(
        rules.normalize_axis(a, x.ndim, x.shape) for a in (axis if isinstance(axis, (tuple, list)) else (axis,))
    )
    count = max(len(shifts), len(axes))
    if len(shifts) not in (1, count) or len(axes) not in (1, count):
        raise ValueError(f"shift={shift!r} and axis={axis!r} should be as many.")
    shifts, axes = shifts * (count // len(shifts)), axes * (count // len(axes))
    return Plan(x.shape, dtypes.concrete(x.dtype), shift=shifts, axis=axes)


@op(rule=_rolled)
def roll(x: Tensor, shift: int | Sequence[int], axis: Axes = None) -> Tensor:
    """x shifted along the axes by `shift` places; what leaves at one end enters at the other.

    Args:
        x: Any shape and dtype.
        shift: An int, or one for each axis. Negative shifts go towards the start.
        axis: Axes; None shifts the flattened x. An axis that is named twice is shifted by the sum.

    Raises:
        ValueError: An axis is out of range, or there are not as many shifts as axes.

    >>> ops.roll([1, 2, 3, 4], 1)
    Tensor([4, 1, 2, 3], dtype=int32)
    """


# -- blocks and patterns ----------------------------------------------------------------


def _block_plan(x: Spec, block_size: int, data_format: str | None, deeper: bool) -> Plan:
    layout = config.image_data_format() if data_format is None else data_format
    rules.one_of(layout, ("channels_last", "channels_first"), "data_format")
    rules.require_ndim(x, 4)
    b = operator.index(block_size)
    if b < 2:
        raise ValueError(f"block_size={block_size!r} should be at least 2.")
    last = layout == "channels_last"
    n, (height, width), channels = (
        (x.shape[0], x.shape[1:3], x.shape[3]) if last else (x.shape[0], x.shape[2:], x.shape[1])
    )
    if deeper:
        divided = [("height", height, b), ("width", width, b)]
        height, width = (None if d is None else d // b for d in (height, width))
        channels = None if channels is None else channels * b * b
    else:
        divided = [("number of channels", channels, b * b)]
        height, width = (None if d is None else d * b for d in (height, width))
        channels = None if channels is None else channels // (b * b)
    for name, size, by in divided:
        if size is not None and size % by:
            raise ValueError(f"the {name} of x of shape {x.shape} is not divisible by {by}.")
    shape = (n, height, width, channels) if last else (n, channels, height, width)
    return Plan(shape, dtypes.concrete(x.dtype), block_size=b, data_format=layout)


@op(rule=lambda x, block_size, data_format="channels_last": _block_plan(x, block_size, data_format, False))
def depth_to_space(x: Tensor, block_size: int, data_format: str | None = "channels_last") -> Tensor:
    """Channels laid out as blocks of block_size x block_size pixels, row by row.

    With channels last, consecutive channels are those of one pixel; with channels first, the pixels of one channel.

    Args:
        x: (batch, height, width, channels), or (batch, channels, height, width) for "channels_first".
        block_size: At least 2.
        data_format: Where the channels are.

    Returns:
        (batch, height * block_size, width * block_size, channels / block_size**2), or with channels first.

    Raises:
        ValueError: x has another number of dimensions, or the channels don't divide.

    >>> ops.depth_to_space(ops.reshape(ops.arange(4), (1, 1, 1, 4)), 2)[0, :, :, 0]
    Tensor([[0, 1],
           [2, 3]], dtype=int32)
    """
    b = block_size
    if data_format == "channels_last":
        n, height, width, channels = ops.shape(x)
        y = ops.reshape(x, (n, height, width, b, b, channels // (b * b)))
        return ops.reshape(ops.transpose(y, (0, 1, 3, 2, 4, 5)), (n, height * b, width * b, channels // (b * b)))
    n, channels, height, width = ops.shape(x)
    y = ops.reshape(x, (n, channels // (b * b), b, b, height, width))
    return ops.reshape(ops.transpose(y, (0, 1, 4, 2, 5, 3)), (n, channels // (b * b), height * b, width * b))


@op(rule=lambda x, block_size, data_format="channels_last": _block_plan(x, block_size, data_format, True))
def space_to_depth(x: Tensor, block_size: int, data_format: str | None = "channels_last") -> Tensor:
    """Blocks of block_size x block_size pixels laid out as channels: the inverse of `depth_to_space`.

    Args:
        x: (batch, height, width, channels), or (batch, channels, height, width) for "channels_first".
        block_size: At least 2.
        data_format: Where the channels are.

    Returns:
        (batch, height / block_size, width / block_size, channels * block_size**2), or with channels first.

    Raises:
        ValueError: x has another number of dimensions, or height or width don't divide.

    >>> ops.space_to_depth(ops.reshape(ops.arange(4), (1, 2, 2, 1)), 2)
    Tensor([[[[0, 1, 2, 3]]]], dtype=int32)
    """
    b = block_size
    if data_format == "channels_last":
        n, height, width, channels = ops.shape(x)
        y = ops.reshape(x, (n, height // b, b, width // b, b, channels))
        return ops.reshape(ops.transpose(y, (0, 1, 3, 2, 4, 5)), (n, height // b, width // b, channels * b * b))
    n, channels, height, width = ops.shape(x)
    y = ops.reshape(x, (n, channels, height // b, b, width // b, b))
    return ops.reshape(ops.transpose(y, (0, 1, 3, 5, 2, 4)), (n, channels * b * b, height // b, width // b))


def rearrange(tensor: Tensor, pattern: str, **axes_lengths: int) -> Tensor:
    """`tensor` with its axes split, reordered and merged, as a pattern says.

    `rearrange(x, "b (h w) c -> b c h w", h=4)` splits the second axis into h rows and w columns, and moves the last one.

    Args:
        tensor: Any dtype.
        pattern: Names of axes before and after "->", separated by spaces. Parentheses hold the parts of one axis, 1 is an
            axis of size 1, and ... stands for any number of axes.
        **axes_lengths: Sizes of named axes. Of each split axis one may be left out.

    Raises:
        ValueError: The pattern is malformed, names an axis on one side only or twice, or does not fit the tensor.

    >>> ops.rearrange([[1, 2], [3, 4]], "rows columns -> (columns rows)")
    Tensor([1, 3, 2, 4], dtype=int32)
    """
    if not hasattr(tensor, "shape"):
        tensor = ops.convert_to_tensor(tensor)
    left, right = _pattern_sides(pattern)
    sizes = shape(tensor)
    left, right = _without_ellipsis(left, right, len(sizes), pattern)
    if len(left) != len(sizes):
        raise ValueError(f"rearrange: pattern={pattern!r} is for {len(left)} axes, tensor has shape {sizes}.")
    names = [n for group in left for n in group]
    if len(set(names)) < len(names) or sorted(names) != sorted(n for group in right for n in group):
        raise ValueError(f"rearrange: pattern={pattern!r} should name each axis once on each side.")
    unknown = set(axes_lengths) - set(names)
    if unknown:
        raise ValueError(f"rearrange: pattern={pattern!r} has no axis {', '.join(sorted(unknown))}.")
    lengths = dict(axes_lengths)
    for group, size in zip(left, sizes, strict=True):
        _split_axis(group, size, lengths, pattern)
    y = ops.reshape(tensor, [lengths[n] for n in names])
    y = ops.transpose(y, [names.index(n) for group in right for n in group])
    merged = [[lengths[n] for n in group] for group in right]
    return ops.reshape(y, [None if None in group else math.prod(group) for group in merged])


ELLIPSIS = ["...", "..."]  # outside of parentheses: each of its axes stays one


def _pattern_sides(pattern: str) -> tuple[list[list[str]], list[list[str]]]:
    """The groups of names before and after the arrow."""
    sides = pattern.split("->")
    if len(sides) != 2:
        raise ValueError(f"rearrange: pattern={pattern!r} should have one '->'.")
    found = []
    for side in sides:
        groups: list[list[str]] = []
        inside = False
        for word in side.replace("(", " ( ").replace(")", " ) ").replace("...", " ... ").split():
            if word in "()":
                if inside == (word == "("):
                    raise ValueError(f"rearrange: the parentheses of pattern={pattern!r} don't match.")
                inside = word == "("
                groups += [[]] if inside else []
            elif not (word.isidentifier() or word in ("1", "...")):
                raise ValueError(f"rearrange: {word!r} in pattern={pattern!r} is no name of an axis.")
            elif inside:
                groups[-1] += [word] if word != "1" else []
            else:
                groups.append(ELLIPSIS if word == "..." else [word] if word != "1" else [])
        if inside:
            raise ValueError(f"rearrange: the parentheses of pattern={pattern!r} don't match.")
        found.append(groups)
    return found[0], found[1]


def _without_ellipsis(left: list, right: list, ndim: int, pattern: str) -> tuple[list, list]:
    """Both sides with a name for each axis that ... stands for."""
    if ELLIPSIS not in left:
        return left, right
    at = left.index(ELLIPSIS)
    names = [f"...{i}" for i in range(ndim - len(left) + 1)]
    left = [*left[:at], *([n] for n in names), *left[at + 1 :]]
    wide = []
    for group in right:
        if group == ELLIPSIS:
            wide += [[n] for n in names]
        else:
            wide.append([m for n in group for m in (names if n == "..." else [n])])
    return left, wide


def _split_axis(group: list[str], size: Any, lengths: dict[str, Any], pattern: str) -> None:
    """Adds the size of the one axis of a group that is not told yet, and checks that they fit."""
    missing = [n for n in group if n not in lengths]
    told = math.prod(lengths[n] for n in group if n in lengths)
    if len(missing) > 1:
        raise ValueError(f"rearrange: pattern={pattern!r} needs the sizes of all but one of {', '.join(missing)}.")
    known = isinstance(size, int)
    if known and (size % told if missing and told else size != told):
        raise ValueError(f"rearrange: pattern={pattern!r} splits an axis of size {size} into parts of {told}.")
    if missing:
        lengths[missing[0]] = None if size is None else size // told if told else 0


# -- what a tensor is -------------------------------------------------------------------


def shape(x: Any) -> tuple[Any, ...]:
    """The sizes of x.

    A size that is not known is None for a KerasTensor, and a scalar tensor inside a tf.function.

    >>> ops.shape([[1, 2]])
    (1, 2)
    """
    from kcore import backends

    if isinstance(x, KerasTensor):
        return x.shape
    if hasattr(x, "__kcore_value__"):
        return tuple(x.shape)
    backend = backends.active()
    if backend.is_tensor(x):
        return backend.sizes(x)
    return tuple(x.shape) if hasattr(x, "shape") else to_array(x).shape


def ndim(x: Any) -> int:
    """The number of dimensions of x.

    >>> ops.ndim([[1, 2]])
    2
    """
    return len(x.shape) if hasattr(x, "shape") else to_array(x).ndim


def size(x: Any) -> Any:
    """The number of elements of x: an int; for unknown sizes a scalar tensor, or None for a KerasTensor.

    >>> ops.size([[1, 2]])
    2
    """
    sizes = shape(x)
    return None if None in sizes else math.prod(sizes)
