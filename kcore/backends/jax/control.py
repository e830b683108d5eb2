"""Control flow in JAX."""

from __future__ import annotations

from functools import partial

import jax

from kcore.backends.scoped import Scope, threaded

stop_gradient = jax.lax.stop_gradient


def _in_mode(values):
    """JAX's 64-bit mode if any of the values needs it."""
    from kcore.backends.jax import _mode, _wide

    return _mode(any(_wide(x) for x in jax.tree.leaves(values)))


def branch(index, functions):
    if not isinstance(index, jax.core.Tracer):
        return functions[int(index)]()

    def attempt(found, held, values):
        def traced(function, values):
            with Scope(found, held, values) as scope:
                y = function()
            return scope.values(), y

        return jax.lax.switch(index, [partial(traced, f) for f in functions], values)

    return threaded(attempt)


def loop(test, body, values, limit):
    if isinstance(limit, int):
        return _limited(test, body, values, limit)

    def attempt(found, held, inner):
        def going_on(state):
            count, inner, values = state
            with Scope(found, held, inner):
                more = test(list(values))
            return more if limit is None else more & (count < limit)

        def step(state):
            count, inner, values = state
            with Scope(found, held, inner) as scope:
                values = body(list(values))
            return count + jax.numpy.int32(1), scope.values(), values

        _, inner, after = jax.lax.while_loop(going_on, step, (jax.numpy.int32(0), inner, list(values)))
        return inner, after

    with _in_mode(values):
        return threaded(attempt)


def _limited(test, body, values, limit):
    """A while loop that can be differentiated: a scan, whose steps do nothing once the test has failed."""

    def attempt(found, held, inner):
        def work(state):
            inner, values = state
            with Scope(found, held, inner) as scope:
                values = body(list(values))
            return scope.values(), values

        def step(state, _):
            going_on, inner, values = state
            with Scope(found, held, inner):
                going_on = going_on & test(list(values))
            inner, values = jax.lax.cond(going_on, work, lambda state: state, (inner, values))
            return (going_on, inner, values), None

        start = (jax.numpy.array(True), inner, list(values))
        (_, inner, after), _ = jax.lax.scan(step, start, None, length=limit)
        return inner, after

    with _in_mode(values):
        return threaded(attempt)


def scan_steps(step, carry, xs, length, reverse, unroll):
    def attempt(found, held, inner):
        def one(state, row):
            inner, carry = state
            with Scope(found, held, inner) as scope:
                carry, y = step(list(carry), list(row))
            return (scope.values(), carry), y

        (inner, last), ys = jax.lax.scan(one, (inner, list(carry)), list(xs), length, reverse, unroll)
        return inner, (last, ys)

    with _in_mode((carry, xs)):
        return threaded(attempt)


def map_rows(f, xs):
    with _in_mode(xs):
        return jax.vmap(lambda row: f(list(row)))(list(xs))


def custom_call(f, xs):
    @jax.custom_gradient
    def run(*xs):
        ys, pull = f(xs)
        return ys, lambda gs: tuple(pull(gs))

    with _in_mode(xs):
        return run(*xs)


def checkpoint(f, xs):
    def attempt(found, held, inner):
        @jax.checkpoint
        def run(inner, xs):
            with Scope(found, held, inner) as scope:
                ys = f(list(xs))
            return scope.values(), ys

        return run(inner, list(xs))

    with _in_mode(xs):
        return threaded(attempt)
