"""Draws that are proposed and accepted or not: gamma, beta, binomial.

Proposal t of an element depends on the key, t and the element alone, so the first accepted one is the same on every
backend, but for rounding. No gradients flow through these draws.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from kcore import backends, ops
from kcore.ops.mechanism import Plan, Shape, Tensor, op
from kcore.random.bits import random_words, split
from kcore.random.keyed import drawn, random_normal, random_unit

# The most proposals. The worst acceptance is above 0.85, so a draw without any happens once in 10**100.
_TRIES = 128


@functools.lru_cache(maxsize=128)
def _compiled(backend: Any, draw: Callable, shape: tuple[int, ...], dtype: str) -> Callable:
    return backend.jit(functools.partial(draw, shape=shape, dtype=dtype))


def _run(draw: Callable, shape: Any, dtype: str, *tensors: Any) -> Any:
    """The draw, compiled where that pays: its loop would be compiled anew in every call otherwise."""
    tensors = tuple(ops.stop_gradient(x) for x in tensors)
    backend = backends.active()
    if backend.compiles_shapes and all(isinstance(d, int) for d in shape):
        return _compiled(backend, draw, shape, dtype)(*tensors)
    return draw(*tensors, shape=shape, dtype=dtype)


def _first_accepted(propose: Callable, key: Any, start: Any, done: Any) -> Any:
    """`propose(keys) -> (accepted, value)` again and again, until every element has a value.

    Args:
        propose: Takes two keys.
        start: The value of elements that are done from the start.
        done: Which these are.
    """
    keys = random_words(key, (_TRIES, 2))

    def going_on(t: Any, done: Any, value: Any) -> Any:
        return ops.logical_and(t < _TRIES, ops.logical_not(ops.all(done)))

    def step(t: Any, done: Any, value: Any) -> tuple:
        here = ops.take(keys, t, 0)
        accepted, proposed = propose(here[0], here[1])
        value = ops.where(ops.logical_and(accepted, ops.logical_not(done)), proposed, value)
        return t + 1, ops.logical_or(done, accepted), value

    return ops.while_loop(going_on, step, (0, done, start))[2]


def _log_unit(key: Any, shape: Any, dtype: str) -> Any:
    """The logarithm of a number evenly spread over (0, 1]."""
    return ops.log1p(-random_unit(key, shape, dtype))


# -- gamma and beta ---------------------------------------------------------------------


def _log_gamma_draw(key: Any, alpha: Any, shape: Any, dtype: str) -> Any:
    """The logarithm of a gamma draw, finite where the draw itself would underflow; alpha is positive.

    G. Marsaglia and W. W. Tsang, "A simple method for generating gamma variables" (2000). Below 1, a draw for
    alpha + 1 times a power of a uniform number.
    """
    boost, tries = split(key)
    small = alpha < 1
    d = ops.where(small, alpha + 1, alpha) - 1 / 3
    c = 1 / (3 * ops.sqrt(d))

    def propose(k1: Any, k2: Any) -> tuple:
        x = random_normal(k1, shape, dtype=dtype)
        v = (1 + c * x) ** 3
        positive = v > 0
        log_v = ops.log(ops.where(positive, v, ops.ones_like(v)))
        accepted = _log_unit(k2, shape, dtype) < x * x / 2 + d - d * v + d * log_v
        return ops.logical_and(positive, accepted), log_v

    log_v = _first_accepted(propose, tries, ops.zeros_like(d), ops.zeros_like(d, "bool"))
    scaled = ops.log(d) + log_v
    return ops.where(small, scaled + _log_unit(boost, shape, dtype) / alpha, scaled)


def _gamma_draw(key: Any, alpha: Any, shape: Any, dtype: str) -> Any:
    exact = "float64" if dtype == "float64" else "float32"
    alpha = ops.broadcast_to(ops.cast(alpha, exact), shape)
    positive = alpha > 0
    y = ops.exp(_log_gamma_draw(key, ops.where(positive, alpha, ops.ones_like(alpha)), shape, exact))
    outside = ops.where(ops.equal(alpha, 0), ops.zeros_like(y), ops.full_like(y, math.nan))
    return ops.cast(ops.where(positive, y, outside), dtype)


@op(rule=drawn)
def random_gamma(key: Tensor, shape: Shape, alpha: Tensor, dtype: Any = None) -> Tensor:
    """Gamma distributed, with scale 1.

    Args:
        key: uint32 of shape (2,).
        shape: Of the result.
        alpha: The shape parameter, broadcasts to `shape`; 0 gives 0, less gives nan.
        dtype: A float dtype; the default float for None.
    """
    return _run(_gamma_draw, shape, dtype, key, alpha)


def _beta_draw(key: Any, alpha: Any, beta: Any, shape: Any, dtype: str) -> Any:
    exact = "float64" if dtype == "float64" else "float32"
    alpha, beta = (ops.broadcast_to(ops.cast(p, exact), shape) for p in (alpha, beta))
    positive = ops.logical_and(alpha > 0, beta > 0)
    k1, k2 = split(key)
    ones = ops.ones_like(alpha)
    x = _log_gamma_draw(k1, ops.where(positive, alpha, ones), shape, exact)
    y = _log_gamma_draw(k2, ops.where(positive, beta, ones), shape, exact)
    return ops.cast(ops.where(positive, ops.sigmoid(x - y), ops.full_like(x, math.nan)), dtype)


@op(rule=drawn)
def random_beta(key: Tensor, shape: Shape, alpha: Tensor, beta: Tensor, dtype: Any = None) -> Tensor:
    """Beta distributed: x / (x + y) for gamma draws x and y.

    Args:
        key: uint32 of shape (2,).
        shape: Of the result.
        alpha, beta: The parameters, broadcast to `shape`; nan where one is not positive.
        dtype: A float dtype; the default float for None.
    """
    return _run(_beta_draw, shape, dtype, key, alpha, beta)


# -- binomial ---------------------------------------------------------------------------

# Below this mean successes are counted one by one; above, they are drawn by transformed rejection.
_COUNTED = 10


def _binomial_draw(key: Any, counts: Any, probabilities: Any, shape: Any, dtype: str) -> Any:
    n, p = (ops.broadcast_to(x, shape) for x in (counts, probabilities))
    n = ops.floor(n)
    valid = ops.logical_and(n >= 0, ops.logical_and(p >= 0, p <= 1))
    n, p = (ops.where(valid, x, ops.zeros_like(x)) for x in (n, p))
    # The rarer outcome is drawn, and the other one is the rest.
    rare = ops.minimum(p, 1 - p)
    few = n * rare < _COUNTED
    k1, k2 = split(key)
    none = ops.zeros_like(n)
    counted = _successes(k1, ops.where(few, n, none), rare, shape)
    drawn = _transformed(k2, ops.where(few, ops.full_like(n, 100.0), n), ops.where(few, none + 0.5, rare), few, shape)
    y = ops.where(few, counted, drawn)
    y = ops.where(p > 0.5, n - y, y)
    return ops.cast(ops.where(valid, y, ops.full_like(y, math.nan)), dtype)


def _successes(key: Any, n: Any, p: Any, shape: Any) -> Any:
    """How many waiting times for a success, which are geometric, fit into n trials."""
    keys = random_words(key, (_TRIES,))
    rate = ops.log1p(-p)
    rate = ops.where(rate < 0, rate, ops.full_like(rate, -1e-300))

    def going_on(t: Any, passed: Any, count: Any) -> Any:
        return ops.logical_and(t < _TRIES, ops.any(passed <= n))

    def step(t: Any, passed: Any, count: Any) -> tuple:
        waited = ops.ceil(_log_unit(ops.take(keys, t, 0), shape, "float64") / rate)
        passed = passed + ops.maximum(waited, ops.ones_like(waited))
        return t + 1, passed, ops.where(passed <= n, count + 1, count)

    return ops.while_loop(going_on, step, (0, ops.zeros_like(n), ops.zeros_like(n)))[2]


def _transformed(key: Any, n: Any, p: Any, done: Any, shape: Any) -> Any:
    """W. Hörmann, "The generation of binomial random variates" (1993): algorithm BTRS."""
    q = 1 - p
    spread = ops.sqrt(n * p * q)
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * p
    c = n * p + 0.5
    scale = (2.83 + 5.1 / b) * spread
    mode = ops.floor((n + 1) * p)
    odds = p / q

    def log_density(k: Any) -> Any:
        """log(f(k) / f(mode))."""
        return (
            (mode + 0.5) * ops.log((mode + 1) / (odds * (n - mode + 1)))
            + (n + 1) * ops.log((n - mode + 1) / (n - k + 1))
            + (k + 0.5) * ops.log(odds * (n - k + 1) / (k + 1))
            + _stirling(mode)
            + _stirling(n - mode)
            - _stirling(k)
            - _stirling(n - k)
        )

    def propose(k1: Any, k2: Any) -> tuple:
        u = random_unit(k1, shape, "float64") - 0.5
        v = 1 - random_unit(k2, shape, "float64")
        us = 0.5 - ops.absolute(u)
        us = ops.where(us > 0, us, ops.full_like(us, 1e-300))
        k = ops.floor((2 * a / us + b) * u + c)
        inside = ops.logical_and(k >= 0, k <= n)
        k = ops.where(inside, k, mode)
        clear = ops.logical_and(us >= 0.07, v <= 0.92 - 4.2 / b)
        exact = ops.log(v * scale / (a / (us * us) + b)) <= log_density(k)
        return ops.logical_and(inside, ops.logical_or(clear, exact)), k

    return _first_accepted(propose, key, ops.zeros_like(n), done)


def _stirling(k: Any) -> Any:
    """log(k!) less Stirling's formula for it, to 3e-4 at 0, where it hardly counts, and 1e-6 from 2 on."""
    z = 1 / (k + 1)
    return z * (1 / 12 - z * z * (1 / 360 - z * z / 1260))


def _binomial(**given: Any) -> Plan:
    plan = drawn(**given)
    plan.cast = {"key": None, "counts": "float64", "probabilities": "float64"}
    return plan


@op(rule=_binomial)
def random_binomial(key: Tensor, shape: Shape, counts: Tensor, probabilities: Tensor, dtype: Any = None) -> Tensor:
    """How many of `counts` trials succeed, each with that probability.

    Args:
        key: uint32 of shape (2,).
        shape: Of the result.
        counts: Whole numbers, broadcast to `shape`; nan where one is negative.
        probabilities: From 0 to 1, broadcast to `shape`; nan where one is not.
        dtype: A float dtype; the default float for None.
    """
    return _run(_binomial_draw, shape, dtype, key, counts, probabilities)
