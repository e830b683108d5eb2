"""kcore.random: random numbers, the same on every backend for the same seed."""

from kcore.random.draws import (
    beta,
    binomial,
    categorical,
    dropout,
    gamma,
    normal,
    randint,
    shuffle,
    truncated_normal,
    uniform,
)
from kcore.random.seed_generator import SeedGenerator
