"""Ops that pick elements by position, in JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kcore import dtypes
from kcore.ops.index import product_gradients


def basic_index(x, key):
    return x[key]


def get_item(x, key):
    if not any(hasattr(k, "dtype") for k in key):
        return x[key]
    return x.at[tuple(_indices(k) if hasattr(k, "dtype") else k for k in key)].get(mode="fill")


def _indices(k):
    """A mask, or indices in 32 bits, in range or out of it as they were."""
    if k.dtype.itemsize < 8:
        return jnp.asarray(k)
    with jax.enable_x64(True):
        return jnp.clip(jnp.asarray(k), -(2**31), 2**31 - 1).astype("int32")


def take(x, indices, axis):
    if not (x.size if axis is None else x.shape[axis]):  # JAX takes nothing from nothing
        shape = indices.shape if axis is None else (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
        return jnp.full(shape, dtypes.missing(dtypes.name_of(x.dtype)), x.dtype)
    return jnp.take(x, indices, axis, mode="fill")


def take_along_axis(x, indices, axis):
    if axis is None:
        return take(x, indices, None)
    if not x.shape[axis]:
        x = jnp.pad(x, [(0, int(a == axis)) for a in range(x.ndim)])
        indices = jnp.ones_like(indices)  # out of range of that one element
    return jnp.take_along_axis(x, indices, axis, mode="fill")


def one_hot(x, num_classes, axis, dtype, sparse):
    if x.dtype.itemsize < 4 and not jnp.issubdtype(x.dtype, jnp.floating):  # JAX counts classes in the dtype of x
        x = x.astype("int32")
    return jax.nn.one_hot(x, num_classes, axis=axis, dtype=dtypes.to_numpy(dtype))


def slice(inputs, start_indices, shape):
    if all(isinstance(s, int) for s in start_indices):
        return jax.lax.slice(inputs, start_indices, [s + n for s, n in zip(start_indices, shape, strict=True)])
    return jax.lax.dynamic_slice(inputs, _starts(start_indices), shape)


def slice_update(inputs, start_indices, updates):
    return jax.lax.dynamic_update_slice(inputs, updates, _starts(start_indices))


def _starts(start_indices):
    return [jnp.asarray(s, "int32") for s in start_indices]


def scatter_rows(x, indices, updates, reduction):
    if not x.shape[0]:  # JAX has no gradient then
        return x
    if reduction == "mul" and jnp.issubdtype(x.dtype, jnp.inexact):
        return _multiplied(x, indices, updates)
    if x.dtype == bool:  # JAX adds and multiplies none
        reduction = {"add": "max", "mul": "min"}.get(reduction, reduction)
    at = x.at[indices]
    method = {None: at.set, "add": at.add, "max": at.max, "min": at.min, "mul": at.multiply}[reduction]
    return method(updates, mode="drop")


@jax.custom_vjp
def _multiplied(x, indices, updates):
    """JAX has no gradient of its own where indices repeat."""
    return x.at[indices].multiply(updates, mode="drop")


def _multiplied_forward(x, indices, updates):
    return _multiplied(x, indices, updates), (x, indices, updates)


def _multiplied_backward(kept, g):
    gx, gu = product_gradients(g, *kept)
    return gx, None, gu


_multiplied.defvjp(_multiplied_forward, _multiplied_backward)
