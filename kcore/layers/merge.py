"""Layers of several inputs: sums, products, concatenation, dot products."""

from __future__ import annotations

import functools
from typing import Any

from kcore import ops
from kcore.layers.arguments import config_of
from kcore.layers.layer import Layer


class _Merge(Layer):
    """One tensor of several, which broadcast together.

    Of inputs with fewer dimensions, the missing ones are taken to be behind the batch axis. The
    mask of the result, where every input has one, is true where any of theirs is.

    Raises:
        ValueError: The inputs are no list, or don't broadcast together.
    """

    _count: int | None = None  # how many inputs there must be; None: at least one

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        shapes = _shapes(self, input_shape)
        if self._count is not None and len(shapes) != self._count:
            raise ValueError(f"{self.name}: the layer takes {self._count} inputs, not {len(shapes)}: {shapes}.")
        self._check(shapes)

    def _check(self, shapes: list[tuple]) -> None:
        ndim = max(map(len, shapes))
        aligned = [s if len(s) == ndim else (*s[:1], *(1,) * (ndim - len(s)), *s[1:]) for s in shapes]
        for sizes in zip(*aligned, strict=True):
            known = {d for d in sizes if d not in (1, None)}
            if len(known) > 1:
                raise ValueError(
                    f"{self.name}: inputs of shapes {', '.join(map(str, shapes))} don't broadcast together."
                )

    def _merge(self, inputs: list[Any]) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no _merge.")

    def call(self, inputs: Any) -> Any:
        inputs = _list(self, inputs)
        ndims = [len(x.shape) for x in inputs]
        most = max(ndims)
        if min(ndims) < most:
            inputs = [
                x if n == most else ops.expand_dims(x, tuple(range(1, most - n + 1)))
                for x, n in zip(inputs, ndims, strict=True)
            ]
        return self._merge(inputs)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None:
            return None
        if not isinstance(mask, (list, tuple)):
            raise ValueError(f"{self.name}: the mask should be a list of masks, not {mask!r}.")
        if any(m is None for m in mask):
            return None
        return functools.reduce(ops.logical_or, mask)


def _list(layer: Any, inputs: Any) -> list[Any]:
    """The inputs as a list.

    Raises:
        ValueError: They are no list.
    """
    if not isinstance(inputs, (list, tuple)) or not inputs:
        raise ValueError(f"{layer.name}: the layer takes a list of tensors, not {inputs!r}.")
    return list(inputs)


def _shapes(layer: Any, input_shape: Any) -> list[tuple]:
    """The shapes of the inputs.

    Raises:
        ValueError: It is the shape of one.
    """
    if not input_shape or not all(isinstance(s, (tuple, list)) for s in input_shape):
        raise ValueError(f"{layer.name}: the layer takes a list of tensors, not one of shape {input_shape}.")
    return [tuple(s) for s in input_shape]


class Add(_Merge):
    """The sum of the inputs."""

    def _merge(self, inputs: list[Any]) -> Any:
        return functools.reduce(ops.add, inputs)


class Subtract(_Merge):
    """The first input less the second."""

    _count = 2

    def _merge(self, inputs: list[Any]) -> Any:
        return ops.subtract(*inputs)


class Multiply(_Merge):
    """The product of the inputs."""

    def _merge(self, inputs: list[Any]) -> Any:
        return functools.reduce(ops.multiply, inputs)


class Average(_Merge):
    """The mean of the inputs; integers become floats."""

    def _merge(self, inputs: list[Any]) -> Any:
        return ops.divide(functools.reduce(ops.add, inputs), len(inputs))


class Maximum(_Merge):
    """The greatest of the inputs, element by element; nan where any is."""

    def _merge(self, inputs: list[Any]) -> Any:
        return functools.reduce(ops.maximum, inputs)


class Minimum(_Merge):
    """The least of the inputs, element by element; nan where any is."""

    def _merge(self, inputs: list[Any]) -> Any:
        return functools.reduce(ops.minimum, inputs)


class Concatenate(_Merge):
    """The inputs joined along an axis.

    Args:
        axis: Where.

    The mask of the result, if any input has one, is theirs joined too; an input without one counts as
    all true. Along an axis that masks don't have, it is true where any of theirs is.

    Raises:
        ValueError: The inputs are no list, or differ in another axis.
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def _check(self, shapes: list[tuple]) -> None:
        first = shapes[0]
        alike = all(len(s) == len(first) for s in shapes)
        if alike and not -len(first) <= self.axis < len(first):
            raise ValueError(f"{self.name}: axis={self.axis} is out of range for inputs of shape {first}.")
        for i, sizes in enumerate(zip(*shapes, strict=False)):
            alike = alike and (i == self.axis % len(first) or len({d for d in sizes if d is not None}) < 2)
        if not alike:
            raise ValueError(
                f"{self.name}: inputs of shapes {', '.join(map(str, shapes))} differ in more than axis {self.axis}."
            )

    def call(self, inputs: Any) -> Any:
        return ops.concatenate(_list(self, inputs), axis=self.axis)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None:
            return None
        if not isinstance(mask, (list, tuple)) or len(mask) != len(inputs):
            raise ValueError(f"{self.name}: the mask should be a list of masks, one for each input.")
        if all(m is None for m in mask):
            return None
        ndim = next(len(m.shape) for m in mask if m is not None)
        at = self.axis % len(inputs[0].shape)
        if at < ndim:
            there = [
                ops.ones(ops.shape(x)[:ndim], "bool") if m is None else ops.cast(m, "bool")
                for x, m in zip(inputs, mask, strict=True)
            ]
            return ops.concatenate(there, axis=at)
        if any(m is None for m in mask):
            return ops.ones(ops.shape(inputs[0])[:ndim], "bool")
        return functools.reduce(ops.logical_or, mask)

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "axis")


class Dot(_Merge):
    """Dot products of two inputs, sample by sample, along an axis of each.

    Args:
        axes: The axis of both, or (of the first, of the second). Not the batch axis.
        normalize: Whether to divide by the lengths along these axes first: cosines.

    Input: (batch, ...) twice. Output: the batch axis, the other axes of the first, those of the second; a
    size of 1 where there are none.

    Raises:
        ValueError: The sizes along the axes differ, or an input has no such axis.
        TypeError: `axes` is something else.
    """

    _count = 2

    def __init__(self, axes: Any, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        pair = list(axes) if isinstance(axes, (list, tuple)) else [axes, axes]
        if len(pair) != 2 or not all(isinstance(a, int) for a in pair):
            raise TypeError(f"{self.name}: axes={axes!r} should be an integer or two.")
        self.axes = axes
        self.normalize = normalize
        self._pair = pair

    def _check(self, shapes: list[tuple]) -> None:
        sizes = []
        for shape, axis in zip(shapes, self._pair, strict=True):
            if not -len(shape) < axis < len(shape) or axis == 0:
                raise ValueError(f"{self.name}: axes={self.axes!r} should name an axis behind the first of {shape}.")
            sizes.append(shape[axis])
        if None not in sizes and sizes[0] != sizes[1]:
            raise ValueError(
                f"{self.name}: inputs of shapes {shapes[0]} and {shapes[1]} have sizes {sizes[0]} and {sizes[1]} "
                f"along axes={self.axes!r}."
            )

    def call(self, inputs: Any) -> Any:
        first, second = _list(self, inputs)
        i, j = (axis % len(x.shape) for axis, x in zip(self._pair, (first, second), strict=True))
        if self.normalize:
            first, second = ops.normalize(first, i), ops.normalize(second, j)
        rows, columns = len(first.shape) - 2, len(second.shape) - 2
        first, second = ops.moveaxis(first, i, -1), ops.moveaxis(second, j, -1)
        # (batch, rows..., n) and (batch, columns..., n) as matrices for each sample.
        kept, gone = ops.shape(first)[1:-1], ops.shape(second)[1:-1]
        left = first if rows == 1 else ops.reshape(first, (*_batch(first), -1, first.shape[-1]))
        right = second if columns == 1 else ops.reshape(second, (*_batch(second), -1, second.shape[-1]))
        y = ops.matmul(left, ops.swapaxes(right, 1, 2))
        if rows == 1 and columns == 1:
            return y
        return ops.reshape(y, (*_batch(y), *(kept + gone or (1,))))

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        return None

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "axes", "normalize")


def _batch(x: Any) -> tuple:
    return ops.shape(x)[:1]


def add(inputs: Any, **kwargs: Any) -> Any:
    """The sum of the inputs; see `Add`."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Any, **kwargs: Any) -> Any:
    """The first input less the second; see `Subtract`."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Any, **kwargs: Any) -> Any:
    """The product of the inputs; see `Multiply`."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Any, **kwargs: Any) -> Any:
    """The mean of the inputs; see `Average`."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Any, **kwargs: Any) -> Any:
    """The greatest of the inputs; see `Maximum`."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Any, **kwargs: Any) -> Any:
    """The least of the inputs; see `Minimum`."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
    """The inputs joined along an axis; see `Concatenate`."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Any, axes: Any = -1, **kwargs: Any) -> Any:
    """Dot products of two inputs; see `Dot`."""
    return Dot(axes=axes, **kwargs)(inputs)
