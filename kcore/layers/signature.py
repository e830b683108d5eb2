"""What a layer class's `call` and `build` take; read once per class."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any


class CallSignature:
    """The parameters of `call`.

    Attributes:
        names: Positional and keyword parameters, in order, without self.
        first: The name of the first one, None if call takes only *args.
        has_training, has_mask, takes_kwargs: Whether `call` takes `training`, `mask`, **kwargs.
        mask_of: Parameter -> the parameter that gets its mask: "query" -> "query_mask"; the
            first parameter's is "mask".
        training_default: The default of `training`, None if it has none.
    """

    def __init__(self, call: Callable) -> None:
        signature = inspect.signature(call)
        parameters = signature.parameters
        self.signature = signature
        self.names = [n for n, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters.values())
        self.takes_kwargs = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        self.first = self.names[0] if self.names else None
        self.has_training = "training" in parameters
        self.has_mask = "mask" in parameters
        self.mask_of = {n: f"{n}_mask" for n in self.names if f"{n}_mask" in parameters}
        if self.has_mask and self.first is not None and self.first != "mask":
            self.mask_of.setdefault(self.first, "mask")
        training = parameters.get("training")
        has_default = training is not None and training.default is not inspect.Parameter.empty
        self.training_default = training.default if has_default else None

    def named(self, args: tuple, kwargs: dict) -> dict[str, Any]:
        """The arguments by parameter name.

        Raises:
            TypeError: They don't fit.
        """
        return dict(self.signature.bind(*args, **kwargs).arguments)


@functools.lru_cache(maxsize=4096)
def call_signature(call: Callable) -> CallSignature:
    """The signature of an unbound `call`, without self."""

    def without_self() -> None:
        """Takes what `call` takes after self."""

    signature = inspect.signature(call)
    without_self.__signature__ = signature.replace(parameters=list(signature.parameters.values())[1:])  # type: ignore[attr-defined]
    return CallSignature(without_self)


@functools.lru_cache(maxsize=4096)
def build_parameters(build: Callable) -> tuple[str, ...]:
    """The parameters of an unbound `build`, without self."""
    parameters = list(inspect.signature(build).parameters.values())[1:]
    return tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
