"""One seed for everything that draws at random."""

from __future__ import annotations

import random

import numpy as np

from kcore.random.seed_generator import checked_seed, reset_global_seed_generator


def set_random_seed(seed: int) -> None:
    """Seeds Python's `random`, NumPy's global generator and kcore's.

    What is drawn afterwards with `seed=None`, by draws, initializers and layers, repeats from run to run and is
    the same on every backend. Generators of the frameworks themselves, which kcore does not use, are left alone.

    Args:
        seed: From 0 to 2**32 - 1.

    Raises:
        ValueError: It is no such integer.
    """
    number = checked_seed(seed)
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002 - the global generator is the point
    reset_global_seed_generator()
