"""LSTM and GRU layers, all outputs of a batch of sequences, forward and backward by inputs and weights."""

from __future__ import annotations

import functools

import kcore

from .peers import Call, backward, forward, normal
from .recurrence import GRU_LAYOUTS, LSTM_LAYOUTS, jax_gru, jax_lstm, torch_gru, torch_lstm
from .rows import Row

# batch, length, inputs, units
SIZES = [(32, 40, 64, 64), (32, 64, 64, 128), (1, 64, 64, 128), (128, 28, 28, 128), (64, 100, 128, 256)]
KINDS = {
    "LSTM": (4, Call(torch_lstm, LSTM_LAYOUTS), jax_lstm),
    "GRU": (3, Call(torch_gru, GRU_LAYOUTS), jax_gru),
}


def functions(kind, width, units):
    _, in_torch, in_jax = KINDS[kind]

    @functools.cache
    def made():
        layer = getattr(kcore.layers, kind)(units, return_sequences=True)
        layer.build((None, None, width))
        return layer

    def in_kcore(x, *weights):
        return made().stateless_call(list(weights), made().non_trainable_variables, x)[0]

    return {"kcore": in_kcore, "torch": in_torch, "jax": in_jax}


def inputs(kind, batch, length, width, units, gradient=False):
    gates = KINDS[kind][0]
    bias = (2, gates * units) if kind == "GRU" else (gates * units,)

    def draw(rng):
        x, *g = normal((batch, length, width), *([(batch, length, units)] if gradient else []))(rng)
        weights = normal((width, gates * units), (units, gates * units), bias, scale=units**-0.5)(rng)
        return [x, *weights, *g]

    return draw


def rows():
    for kind in KINDS:
        for size in SIZES:
            name = f"{kind} {size[0]}x{size[1]}x{size[2]} to {size[3]}"
            how = functions(kind, *size[2:])
            yield Row(name, forward(inputs(kind, *size), **how), goal=1.0, seconds=2)
            yield Row(
                f"{name}, backward",
                backward(inputs(kind, *size, gradient=True), (0, 1, 2, 3), **how),
                goal=1.0,
                seconds=2,
            )


ROWS = list(rows())


def test_recurrent(timed):
    timed()
