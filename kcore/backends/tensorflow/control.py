"""Control flow in TensorFlow: Python's own in eager calls, the graph's inside tf.function."""

from __future__ import annotations

from functools import partial

import tensorflow as tf

from kcore import state
from kcore.backends.scoped import Scope, threaded
from kcore.ops import control

stop_gradient = tf.stop_gradient


def _threaded(attempt):
    """As `threaded`, inside a StatelessScope; elsewhere variables are TensorFlow's, and assigned by the graph itself."""
    if state.in_stateless_scope():
        return threaded(attempt)
    return attempt([], [], [])[1]


class _NoScope:
    """Variables as they are."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def values(self):
        return []


def _scope(found, held, values):
    return Scope(found, held, values) if state.in_stateless_scope() else _NoScope()


def branch(index, functions):
    if tf.executing_eagerly():
        return control.branch.op.body(index, functions)

    def attempt(found, held, values):
        def traced(function):
            with _scope(found, held, values) as scope:
                y = function()
            return [*scope.values(), *y, tf.constant(0)]  # never empty, nor of one: TensorFlow unpacks those

        many = tf.switch_case(index, [partial(traced, f) for f in functions])[:-1]
        return many[: len(held)], many[len(held) :]

    return _threaded(attempt)


def loop(test, body, values, limit):
    if tf.executing_eagerly():
        return control.loop.op.body(test, body, values, limit)

    def attempt(found, held, inner):
        n = len(held)

        def going_on(*state):
            with _scope(found, held, state[:n]):
                return test(list(state[n:]))

        def step(*state):
            with _scope(found, held, state[:n]) as scope:
                after = body(list(state[n:]))
            return [*scope.values(), *after]

        after = tf.while_loop(going_on, step, [*inner, *values], maximum_iterations=limit)
        return after[:n], after[n:]

    return _threaded(attempt)


def scan_steps(step, carry, xs, length, reverse, unroll):
    if tf.executing_eagerly():
        return control.scan_steps.op.body(step, carry, xs, length, reverse, unroll)
    count = tf.shape(xs[0])[0] if length is None else length

    def attempt(found, held, inner):
        def one(inner, carry, i):
            with _scope(found, held, inner) as scope:
                carry, y = step(list(carry), [x[i] for x in xs])
            return scope.values(), carry, y

        # Arrays for the ys need dtypes and shapes: a trace that is thrown away tells them.
        trial = tf.function(lambda: one(inner, carry, tf.constant(0))[2], autograph=False).get_concrete_function()
        arrays = [tf.TensorArray(y.dtype, count, element_shape=y.shape) for y in trial.outputs]

        def body(k, inner, carry, arrays):
            i = count - 1 - k if reverse else k
            inner, carry, y = one(inner, carry, i)
            return k + 1, inner, carry, [a.write(i, e) for a, e in zip(arrays, y, strict=True)]

        _, inner, last, arrays = tf.while_loop(
            lambda k, *_: k < count, body, (tf.constant(0), inner, list(carry), arrays), maximum_iterations=count
        )
        ys = [a.stack() for a in arrays]
        for y in ys:
            y.set_shape([length, *y.shape[1:]])
        return inner, (last, ys)

    return _threaded(attempt)


def map_rows(f, xs):
    return tf.vectorized_map(lambda row: f(list(row)), list(xs))


def custom_call(f, xs):
    @tf.custom_gradient
    def run(*xs):
        def gradient(*gs, variables=None):
            # A second run: a gradient of the gradient goes through what `pull` uses, which must depend on xs.
            found = f(xs)[1](gs)
            return (found, [None] * len(variables)) if variables else found

        return f(xs)[0], gradient

    return run(*xs)
