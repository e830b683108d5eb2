"""Definitions and gradient rules of pooling."""

from __future__ import annotations

from kcore import ops
from kcore.backends.reference import pooling
from kcore.backends.reference.layouts import from_last, shape_to_last, to_last
from kcore.backends.reference.pooling import Pool
from kcore.backends.reference.tape import recorded_as, vjp
from kcore.ops import windows
from kcore.ops.mechanism import Plan, Tensor, private_op
from kcore.ops.symbolic import Spec


def max_pool(inputs, pool_size, strides, padding, data_format):
    x = to_last(inputs, data_format)
    y, _ = pooling.max_with_places(x, Pool(pool_size, strides, padding))
    return from_last(y, data_format)


def _pooled(inputs, pool_size, strides, padding, data_format):
    counts, _ = windows.placed(windows.spatial_of(inputs.shape, data_format), pool_size, strides, padding)
    channels = windows.channels_of(inputs.shape, data_format)
    return Spec(windows.image_shape(inputs.shape[0], counts, channels, data_format), inputs.dtype)


def _pooled_with_places(inputs, pool_size, strides, padding, data_format):
    made = _pooled(inputs, pool_size, strides, padding, data_format)
    dtype = pooling.place_dtype(Pool(pool_size, strides, padding))
    return Plan.many((made, Spec(shape_to_last(made.shape, data_format), dtype)))


# The places of the greatest elements (small integers, channels-last) are kept for the gradient, which
# moves elements to them; so it is linear, and its own gradient picks elements from them.


@private_op(rule=_pooled_with_places)
def max_pool_with_places(inputs: Tensor, pool_size, strides, padding, data_format):
    """(the result of max_pool, the place of each element of it in its window)."""
    y, places = pooling.max_with_places(to_last(inputs, data_format), Pool(pool_size, strides, padding))
    return from_last(y, data_format), places


@private_op(rule=lambda g, places, shape, pool_size, strides, padding, data_format: Plan(shape, g.dtype))
def spread_to_places(g: Tensor, places: Tensor, shape, pool_size, strides, padding, data_format):
    """Zeros of `shape`, with each element of g added at its place."""
    pool = Pool(pool_size, strides, padding)
    x = pooling.spread(to_last(g, data_format), places, shape_to_last(shape, data_format), pool)
    return from_last(x, data_format)


@private_op(rule=lambda inputs, places, *how: Plan(_pooled(inputs, *how).shape, inputs.dtype))
def picked_from_places(inputs: Tensor, places: Tensor, pool_size, strides, padding, data_format):
    """The element of each window at its place."""
    y = pooling.picked(to_last(inputs, data_format), places, Pool(pool_size, strides, padding))
    return from_last(y, data_format)


@recorded_as(ops.max_pool)
def _(inputs, *how):
    return max_pool_with_places(inputs, *how)[0]


@vjp(max_pool_with_places)
def _(g, y, inputs, pool_size, strides, padding, data_format):
    return spread_to_places(g[0], y[1], inputs.shape, pool_size, strides, padding, data_format)


@vjp(spread_to_places)
def _(gg, y, g, places, shape, pool_size, strides, padding, data_format):
    return picked_from_places(gg, places, pool_size, strides, padding, data_format), None


@vjp(picked_from_places)
def _(g, y, inputs, places, pool_size, strides, padding, data_format):
    return spread_to_places(g, places, inputs.shape, pool_size, strides, padding, data_format), None


def average_pool(inputs, pool_size, strides, padding, data_format):
    y = pooling.mean(to_last(inputs, data_format), Pool(pool_size, strides, padding))
    return from_last(y, data_format)


@private_op(rule=lambda g, shape, pool_size, strides, padding, data_format: Plan(shape, g.dtype))
def average_pool_grad(g: Tensor, shape, pool_size, strides, padding, data_format):
    """The gradient of sum(g * average_pool(inputs, ...)) by inputs of `shape`."""
    x = pooling.mean_grad(to_last(g, data_format), shape_to_last(shape, data_format), Pool(pool_size, strides, padding))
    return from_last(x, data_format)


@vjp(average_pool_grad)
def _(gg, y, g, shape, pool_size, strides, padding, data_format):
    return averaged(gg, pool_size, strides, padding, data_format)


@private_op(rule=lambda inputs, *how: Plan(_pooled(inputs, *how).shape, inputs.dtype))
def averaged(inputs: Tensor, pool_size, strides, padding, data_format):
    """average_pool, with paddings in numbers."""
    return average_pool(inputs, pool_size, strides, padding, data_format)


@vjp(ops.average_pool)
@vjp(averaged)
def _(g, y, inputs, pool_size, strides, padding, data_format):
    return average_pool_grad(g, inputs.shape, pool_size, strides, padding, data_format)
