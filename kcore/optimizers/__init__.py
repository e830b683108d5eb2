"""kcore.optimizers."""

from __future__ import annotations

from typing import Any

from kcore.optimizers import schedules
from kcore.optimizers.adafactor import Adafactor
from kcore.optimizers.adam import Adam, AdamW
from kcore.optimizers.adaptive import Adadelta, Adagrad, Adamax, Nadam
from kcore.optimizers.ftrl import Ftrl
from kcore.optimizers.gradient_descent import SGD
from kcore.optimizers.lamb import Lamb, Lion
from kcore.optimizers.loss_scale import LossScaleOptimizer
from kcore.optimizers.muon import Muon
from kcore.optimizers.optimizer import Optimizer
from kcore.optimizers.rmsprop import RMSprop

ALL: dict[str, type[Optimizer]] = {
    cls.__name__: cls
    for cls in (
        Adadelta,
        Adafactor,
        Adagrad,
        Adam,
        AdamW,
        Adamax,
        Ftrl,
        Lamb,
        Lion,
        LossScaleOptimizer,
        Muon,
        Nadam,
        RMSprop,
        SGD,
    )
}


def serialize(optimizer: Optimizer) -> dict:
    """The serialized form of an optimizer."""
    from kcore import saving

    return saving.serialize_keras_object(optimizer)


def deserialize(config: dict, custom_objects: dict | None = None) -> Any:
    """The optimizer of a serialized form; a lower-case class name will do."""
    from kcore import saving

    names = {name.lower(): name for name in ALL}
    if str(config.get("class_name", "")).lower() in names:
        config = {**config, "class_name": names[config["class_name"].lower()]}
    return saving.deserialize_keras_object(config, module_objects=ALL, custom_objects=custom_objects)


def get(identifier: Any) -> Any:
    """The optimizer for an optimizer, a name, a config, or None.

    Raises:
        ValueError: It stands for none.
    """
    if identifier is None or isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, str):
        names = {name.lower(): cls for name, cls in ALL.items()}
        if identifier.lower() in names:
            made: Any = names[identifier.lower()]
            return made()
    raise ValueError(f"{identifier!r} is no optimizer; expected an Optimizer or one of {', '.join(sorted(ALL))}.")
