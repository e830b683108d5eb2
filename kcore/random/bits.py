"""Random bits: the primitives under every draw, and the keys they start from.

A key is a uint32 tensor of shape (2,). The same key gives the same bits on every backend:
Threefry 2x32 with 20 rounds on the counters 0, 1, 2..., in row-major order of the result.
They are those of `jax.random` for that key data.
"""

from __future__ import annotations

from typing import Any

from kcore.ops import rules
from kcore.ops.mechanism import Plan, Shape, Tensor, op
from kcore.ops.symbolic import Spec


def require_key(key: Spec) -> None:
    """Raises unless it is what `random_bits` takes as a key."""
    if key.shape != (2,) or key.dtype != "uint32":
        raise ValueError(f"a key is of shape (2,) and dtype uint32, not {key.shape} and {key.dtype}.")


def keyed(key: Spec, shape: Shape, dtype: str) -> Plan:
    """A draw of that shape and dtype."""
    require_key(key)
    sizes, given, unsized = rules.open_shape(shape)
    plan = Plan(sizes, dtype, shape=given)
    plan.unsized = unsized
    return plan


@op(rule=lambda key, shape: keyed(key, shape, "uint32"))
def random_bits(key: Tensor, shape: Shape) -> Tensor:
    """Independent random uint32s: the cipher's two words for each counter, xored.

    Args:
        key: uint32 of shape (2,).
        shape: Of the result.

    Raises:
        ValueError: `key` is no key, or a size is negative or no integer.
    """


def _words(key: Spec, shape: Shape) -> Plan:
    plan = keyed(key, shape, "uint32")
    plan.outputs = Spec((*plan.outputs.shape, 2), "uint32")
    return plan


@op(rule=_words)
def random_words(key: Tensor, shape: Shape) -> Tensor:
    """The cipher's two words for each counter: 64 random bits, or a new key, each.

    Args:
        key: uint32 of shape (2,).
        shape: Of the result, less the last axis.

    Returns:
        uint32 of `shape` + (2,).

    Raises:
        ValueError: `key` is no key, or a size is negative or no integer.
    """


def split(key: Any, count: int = 2) -> tuple:
    """`count` new keys, independent of each other; draw from these, then no more from `key`."""
    keys = random_words(key, (count,))
    return tuple(keys[i] for i in range(count))
