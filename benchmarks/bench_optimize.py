"""One step of an optimizer over ten million parameters, in ten variables."""

from __future__ import annotations

import numpy as np

import kcore

from .peers import jax, jnp, torch
from .rows import Row, Subject

COUNT, SIZE = 10, (1000, 1000)


def drawn():
    """Values and gradients; no gradient is so small that Adam's epsilon, which has its places, decides."""
    rng = np.random.default_rng(0)
    values, gradients = ([rng.standard_normal(SIZE, "float32") for _ in range(COUNT)] for _ in range(2))
    return values, [g + np.copysign(np.float32(0.1), g) for g in gradients]


def in_kcore(make):
    """`make(optimizers)` gives the optimizer."""

    def build():
        values, gradients = drawn()
        variables = [kcore.Variable(v) for v in values]
        gradients = [kcore.ops.convert_to_tensor(g) for g in gradients]
        optimizer = make(kcore.optimizers)
        optimizer.build(variables)

        def run():
            optimizer.apply(gradients, variables)

        return Subject(run, moved(run, values[0].copy(), lambda: np.asarray(variables[0])))

    return build


def in_torch(make):
    def build():
        values, gradients = drawn()
        parameters = [torch.nn.Parameter(torch.from_numpy(v.copy())) for v in values]
        for p, g in zip(parameters, gradients):
            p.grad = torch.from_numpy(g)
        optimizer = make(torch.optim, parameters)
        return Subject(optimizer.step, moved(optimizer.step, values[0], lambda: parameters[0].detach().numpy()))

    return build


def in_jax(step, slots):
    """`step(value, gradient, slots, count)` gives the new value and slots."""

    def build():
        arrays = drawn()
        before = arrays[0][0]
        values, gradients = ([jnp.asarray(a) for a in some] for some in arrays)
        kept = [[jnp.zeros(SIZE) for _ in range(slots)] for _ in range(COUNT)]
        state = [values, kept, jnp.zeros((), "int32")]

        def all_steps(values, kept, count, gradients):
            done = [step(v, g, s, count + 1) for v, g, s in zip(values, gradients, kept)]
            return [d[0] for d in done], [d[1] for d in done], count + 1

        compiled = jax.jit(all_steps, donate_argnums=(0, 1))

        def run():
            state[:] = compiled(*state, gradients)
            jax.block_until_ready(state)

        return Subject(run, moved(run, before, lambda: np.asarray(state[0][0])))

    return build


def moved(run, before, read):
    """By how much one step changed the first variable."""

    def result():
        run()
        return [read() - before]

    return result


def adam(value, gradient, slots, count):
    m, v = slots
    m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
    size = 1e-3 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
    return value - size * m / (jnp.sqrt(v) + 1e-7), [m, v]


def momentum(value, gradient, slots, count):
    m = 0.9 * slots[0] - 1e-2 * gradient
    return value + m, [m]


ROWS = [
    Row(
        "Adam, 10M parameters",
        {
            "kcore": in_kcore(lambda o: o.Adam(1e-3)),
            "torch fused": in_torch(lambda o, p: o.Adam(p, 1e-3, eps=1e-7, fused=True)),
            "torch foreach": in_torch(lambda o, p: o.Adam(p, 1e-3, eps=1e-7, foreach=True)),
            "jax": in_jax(adam, 2),
        },
        goal=1.2,
        tolerance=1e-3,
        seconds=3,
    ),
    Row(
        "SGD with momentum, 10M parameters",
        {
            "kcore": in_kcore(lambda o: o.SGD(1e-2, momentum=0.9)),
            "torch fused": in_torch(lambda o, p: o.SGD(p, 1e-2, momentum=0.9, fused=True)),
            "torch foreach": in_torch(lambda o, p: o.SGD(p, 1e-2, momentum=0.9, foreach=True)),
            "jax": in_jax(momentum, 1),
        },
        tolerance=1e-3,
        seconds=3,
    ),
]


def test_optimize(timed):
    timed()
