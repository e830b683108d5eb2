"""LSTM and GRU as Keras defines them, in torch's and JAX's own terms, on Keras's weights."""

from __future__ import annotations

from typing import Any

from .peers import AS_IS, Layout, jax, jnp, nn, torch


def gates_first(order: tuple[int, ...]) -> Layout:
    """A kernel (inputs, gates * units) as torch has it, (gates * units, inputs), its gates in another order."""

    def to(w: Any) -> Any:
        return torch.cat([w.chunk(len(order), -1)[i] for i in order], -1).T.contiguous()

    def back(w: Any) -> Any:
        parts = w.T.chunk(len(order), -1)
        return torch.cat([parts[order.index(i)] for i in range(len(order))], -1)

    return Layout(to, back)


def bias_of(order: tuple[int, ...]) -> Layout:
    """Keras's bias of a GRU, (2, gates * units), its gates in torch's order."""

    def to(b: Any) -> Any:
        return torch.cat([b.chunk(len(order), -1)[i] for i in order], -1)

    return Layout(to, lambda b: torch.cat([b.chunk(len(order), -1)[order.index(i)] for i in range(len(order))], -1))


# Keras's GRU has its gates as update, reset, candidate; torch as reset, update, candidate.
LSTM_LAYOUTS = (AS_IS, gates_first((0, 1, 2, 3)), gates_first((0, 1, 2, 3)), AS_IS)
GRU_LAYOUTS = (AS_IS, gates_first((1, 0, 2)), gates_first((1, 0, 2)), bias_of((1, 0, 2)))


def torch_lstm(x: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
    """All outputs of torch's fused LSTM; its second bias is 0."""
    zeros = x.new_zeros(1, x.shape[0], recurrent.shape[1])
    weights = [kernel, recurrent, bias, torch.zeros_like(bias)]
    return torch.lstm(x, (zeros, zeros), weights, True, 1, 0.0, True, False, True)[0]


def torch_gru(x: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
    """All outputs of torch's fused GRU."""
    zeros = x.new_zeros(1, x.shape[0], recurrent.shape[1])
    return torch.gru(x, zeros, [kernel, recurrent, bias[0], bias[1]], True, 1, 0.0, True, False, True)[0]


def jax_lstm(x: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
    """All outputs; the products with the inputs are made for all steps at once."""
    units = recurrent.shape[0]
    products = jnp.swapaxes(x @ kernel + bias, 0, 1)

    def step(state: Any, z: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(z + h @ recurrent, 4, -1)
        c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
        h = nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zeros = jnp.zeros((x.shape[0], units), x.dtype)
    return jnp.swapaxes(jax.lax.scan(step, (zeros, zeros), products)[1], 0, 1)


def jax_gru(x: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
    """All outputs, the reset gate applied after the product, as in Keras and torch."""
    units = recurrent.shape[0]
    products = jnp.swapaxes(x @ kernel + bias[0], 0, 1)

    def step(h: Any, z: Any) -> Any:
        zu, zr, zn = jnp.split(z, 3, -1)
        hu, hr, hn = jnp.split(h @ recurrent + bias[1], 3, -1)
        update = nn.sigmoid(zu + hu)
        h = update * h + (1 - update) * jnp.tanh(zn + nn.sigmoid(zr + hr) * hn)
        return h, h

    zeros = jnp.zeros((x.shape[0], units), x.dtype)
    return jnp.swapaxes(jax.lax.scan(step, zeros, products)[1], 0, 1)
