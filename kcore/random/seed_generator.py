"""Seeds: the generator that draws advance, and the global one."""

from __future__ import annotations

import operator
import random
import threading
from typing import Any

import numpy as np

from kcore import backends, naming, ops
from kcore.state import Variable, revise

# How `next(ordered=False)` scatters the state.
_FACTOR, _MODULUS = 5387, 933199

_ONE = np.array([0, 1], np.uint32)

_global: dict[str, SeedGenerator] = {}
_lock = threading.Lock()


def default_seed() -> int:
    """A seed from Python's own generator, so that `set_random_seed` determines it."""
    return random.randint(1, 10**9)


class SeedGenerator:
    """A source of keys that gives another one each time.

    Its state is a variable, so draws that advance it can be compiled, and repeat when the state is restored.

    Args:
        seed: An int from 0 to 2**32 - 1; None takes one from Python's `random`.
        name: Its name, unique by default.

    Attributes:
        state: A uint32 variable of shape (2,): the seed, and how many keys it has given.

    Raises:
        ValueError: `seed` is no such integer.
    """

    _kcore_state = "seed"  # see kcore.layers.tracking

    def __init__(self, seed: int | None = None, name: str | None = None, **kwargs: Any) -> None:
        if kwargs:
            raise ValueError(f"SeedGenerator: there is no argument {', '.join(kwargs)}.")
        self.name = naming.auto_name(type(self).__name__) if name is None else name
        self._initial_seed = seed
        self.backend = backends.active()
        start = np.array([checked_seed(default_seed() if seed is None else seed), 0], np.uint32)
        with naming.name_scope(self.name):
            self.state = Variable(
                start, dtype="uint32", trainable=False, aggregation="none", name="seed_generator_state"
            )

    def next(self, ordered: bool = True) -> Any:
        """The next key: uint32 of shape (2,).

        Args:
            ordered: Count the state up; else scatter it.
        """
        with backends.use(self.backend):
            # A copy: assigning may change the variable's own memory.
            key = ops.add(self.state.value, 0)
            if ordered:
                after = ops.add(key, _ONE)
            else:
                after = ops.mod(ops.multiply(ops.add(key, 1), _FACTOR), _MODULUS)
            self.state.assign(after)
        return key

    def get_config(self) -> dict[str, Any]:
        return {"seed": self._initial_seed, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SeedGenerator:
        return cls(**config)

    def __repr__(self) -> str:
        return f"<SeedGenerator name={self.name}, seed={self._initial_seed}>"


def checked_seed(seed: Any) -> int:
    """`seed` as an int that fits a key.

    Raises:
        ValueError: It is no integer from 0 to 2**32 - 1.
    """
    try:
        number = operator.index(seed)
    except TypeError:
        number = -1
    if not 0 <= number < 2**32:
        raise ValueError(f"seed={seed!r} should be an integer from 0 to 2**32 - 1.")
    return number


def global_seed_generator() -> SeedGenerator:
    """The generator for draws with seed=None: one for each backend, made when first needed."""
    name = backends.active().name
    with _lock:
        if name not in _global:
            _global[name] = SeedGenerator(name="global_seed_generator")
        return _global[name]


def reset_global_seed_generator() -> None:
    """Forgets the global generators; the next draw starts a new one."""
    with _lock:
        _global.clear()
    revise()  # a captured step may draw from one of them


def draw_key(seed: Any = None) -> Any:
    """A key on the active backend, from what `seed` may be in a draw.

    Args:
        seed: An int, for the same numbers every time; a SeedGenerator, which advances; None for the global one.

    Raises:
        ValueError: It is nothing of these.
    """
    backend = backends.active()
    if seed is None:
        return global_seed_generator().next()
    if isinstance(seed, SeedGenerator):
        key = seed.next()
        return key if seed.backend is backend else backend.convert(seed.backend.numpy(key))
    if not hasattr(seed, "__index__"):
        raise ValueError(f"seed={seed!r} should be an integer, a SeedGenerator or None.")
    return backend.convert(np.array([checked_seed(seed), 0], np.uint32))
