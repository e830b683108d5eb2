"""keras.initializers: the first values of weights, the same on every backend for the same seed."""

from __future__ import annotations

import inspect
from typing import Any

from kcore.initializers.constant_initializers import STFT, Constant, Identity, Ones, Zeros
from kcore.initializers.initializer import Initializer
from kcore.initializers.random_initializers import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    Orthogonal,
    RandomInitializer,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    compute_fans,
)
from kcore.lookup import lookup

# The other names of each class: as attributes here, and for `get`.
constant, identity, ones, stft, zeros = Constant, Identity, Ones, STFT, Zeros
glorot_normal, glorot_uniform, he_normal, he_uniform = GlorotNormal, GlorotUniform, HeNormal, HeUniform
lecun_normal, lecun_uniform, orthogonal = LecunNormal, LecunUniform, Orthogonal
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
variance_scaling = VarianceScaling
IdentityInitializer, OrthogonalInitializer, STFTInitializer = Identity, Orthogonal, STFT

NAMES: dict[str, type] = {
    name: value
    for name, value in list(globals().items())
    if inspect.isclass(value) and issubclass(value, Initializer) and value not in (Initializer, RandomInitializer)
}
NAMES |= {"normal": RandomNormal, "one": Ones, "uniform": RandomUniform, "zero": Zeros}


def serialize(initializer: Any) -> Any:
    """The serialized form of an initializer."""
    from kcore import saving

    return saving.serialize_keras_object(initializer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The initializer of a serialized form or name.

    Raises:
        ValueError: There is no such initializer.
    """
    from kcore import saving

    with saving.CustomObjectScope(custom_objects):
        return lookup(config, "initializer", NAMES)


def get(identifier: Any) -> Any:
    """The initializer for a name, a function (shape, dtype), a serialized form, an array (its values), or None (None).

    Raises:
        ValueError: It stands for none.
    """
    if hasattr(identifier, "shape") and hasattr(identifier, "dtype") and not callable(identifier):
        return Constant(identifier)
    return lookup(identifier, "initializer", NAMES)
