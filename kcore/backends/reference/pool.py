"""Definitions and gradient rules of pooling."""

from __future__ import annotations

from kcore import ops
from kcore.backends.reference import pooling
from kcore.backends.reference.layouts import from_last, shape_to_last, to_last
from kcore.backends.reference.pooling import Adaptive, Pool
from kcore.backends.reference.tape import recorded_as, vjp
from kcore.ops import windows
from kcore.ops.mechanism import Plan, Tensor, private_op
from kcore.ops.symbolic import Spec

# `pool` is a Pool or an Adaptive: both tell where windows lie.


def _bounds(shape, pool, data_format):
    return pool.bounds(windows.spatial_of(shape, data_format))


def _pooled(inputs, pool, data_format):
    counts = pooling.counts(_bounds(inputs.shape, pool, data_format))
    channels = windows.channels_of(inputs.shape, data_format)
    return Spec(windows.image_shape(inputs.shape[0], counts, channels, data_format), inputs.dtype)


def _pooled_with_places(inputs, pool, data_format):
    made = _pooled(inputs, pool, data_format)
    dtype = pooling.place_dtype(_bounds(inputs.shape, pool, data_format))
    return Plan.many((made, Spec(shape_to_last(made.shape, data_format), dtype)))


# -- the greatest -----------------------------------------------------------------------


def _greatest(inputs, pool, data_format):
    bounds = _bounds(inputs.shape, pool, data_format)
    return from_last(pooling.greatest(to_last(inputs, data_format), bounds), data_format)


def max_pool(inputs, pool_size, strides, padding, data_format):
    return _greatest(inputs, Pool(pool_size, strides, padding), data_format)


def adaptive_max_pool(inputs, output_size, data_format):
    return _greatest(inputs, Adaptive(output_size), data_format)


# The places of the greatest elements (small integers, channels-last) are kept for the gradient, which
# moves elements to them; so it is linear, and its own gradient picks elements from them.


@private_op(rule=_pooled_with_places)
def max_pool_with_places(inputs: Tensor, pool, data_format):
    """(the greatest element of each window, its place in the window)."""
    bounds = _bounds(inputs.shape, pool, data_format)
    y, places = pooling.max_with_places(to_last(inputs, data_format), bounds)
    return from_last(y, data_format), places


@private_op(rule=lambda g, places, shape, pool, data_format: Plan(shape, g.dtype))
def spread_to_places(g: Tensor, places: Tensor, shape, pool, data_format):
    """Zeros of `shape`, with each element of g added at its place."""
    bounds = _bounds(shape, pool, data_format)
    x = pooling.spread(to_last(g, data_format), places, shape_to_last(shape, data_format), bounds)
    return from_last(x, data_format)


@private_op(rule=lambda inputs, places, *how: Plan(_pooled(inputs, *how).shape, inputs.dtype))
def picked_from_places(inputs: Tensor, places: Tensor, pool, data_format):
    """The element of each window at its place."""
    bounds = _bounds(inputs.shape, pool, data_format)
    return from_last(pooling.picked(to_last(inputs, data_format), places, bounds), data_format)


@recorded_as(ops.max_pool)
def _(inputs, pool_size, strides, padding, data_format):
    return max_pool_with_places(inputs, Pool(pool_size, strides, padding), data_format)[0]


@recorded_as(ops.adaptive_max_pool)
def _(inputs, output_size, data_format):
    return max_pool_with_places(inputs, Adaptive(output_size), data_format)[0]


@vjp(max_pool_with_places)
def _(g, y, inputs, pool, data_format):
    return spread_to_places(g[0], y[1], inputs.shape, pool, data_format)


@vjp(spread_to_places)
def _(gg, y, g, places, shape, pool, data_format):
    return picked_from_places(gg, places, pool, data_format), None


@vjp(picked_from_places)
def _(g, y, inputs, places, pool, data_format):
    return spread_to_places(g, places, inputs.shape, pool, data_format), None


# -- the mean ---------------------------------------------------------------------------


def _mean(inputs, pool, data_format):
    bounds = _bounds(inputs.shape, pool, data_format)
    return from_last(pooling.mean(to_last(inputs, data_format), bounds), data_format)


def average_pool(inputs, pool_size, strides, padding, data_format):
    return _mean(inputs, Pool(pool_size, strides, padding), data_format)


def adaptive_average_pool(inputs, output_size, data_format):
    return _mean(inputs, Adaptive(output_size), data_format)


@private_op(rule=lambda inputs, *how: Plan(_pooled(inputs, *how).shape, inputs.dtype))
def averaged(inputs: Tensor, pool, data_format):
    """The mean of each window."""
    return _mean(inputs, pool, data_format)


@private_op(rule=lambda g, shape, pool, data_format: Plan(shape, g.dtype))
def averaged_grad(g: Tensor, shape, pool, data_format):
    """The gradient of sum(g * averaged(inputs, ...)) by inputs of `shape`."""
    bounds = _bounds(shape, pool, data_format)
    x = pooling.mean_grad(to_last(g, data_format), shape_to_last(shape, data_format), bounds)
    return from_last(x, data_format)


@vjp(ops.average_pool)
def _(g, y, inputs, pool_size, strides, padding, data_format):
    return averaged_grad(g, inputs.shape, Pool(pool_size, strides, padding), data_format)


@recorded_as(ops.adaptive_average_pool)
def _(inputs, output_size, data_format):
    return averaged(inputs, Adaptive(output_size), data_format)


@vjp(averaged)
def _(g, y, inputs, pool, data_format):
    return averaged_grad(g, inputs.shape, pool, data_format)


@vjp(averaged_grad)
def _(gg, y, g, shape, pool, data_format):
    return averaged(gg, pool, data_format)
