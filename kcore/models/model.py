"""Model: a layer with a training loop, a summary and a file."""

from __future__ import annotations

import weakref
from typing import Any

from kcore import backends
from kcore.layers import home
from kcore.layers.layer import Layer
from kcore.training.trainer import Trainer


class Model(Trainer, Layer):
    """A layer that can be trained, evaluated, saved and loaded.

    Made in one of three ways: `Model(inputs, outputs)` from symbolic tensors, a list of layers in a
    `Sequential`, or a subclass with a `call`.

    Args:
        inputs, outputs: KerasTensors in any structure, for a functional model.
        name: Unique by default.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is Model and _is_functional_call(args, kwargs):
            from kcore.models.functional import Functional

            return Functional.__new__(Functional, *args, **kwargs)
        return super().__new__(cls, *args, **kwargs)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        Trainer.__init__(self)
        if _is_functional_call(args, kwargs):
            # A subclass that calls super().__init__(inputs, outputs) is a functional model with more methods.
            from kcore.models.functional import Functional

            if not isinstance(self, Functional):
                self.__class__ = home.home_class(functional_class(home.own_class(self)), self._backend)
                Functional.__init__(self, *args, **kwargs)
                return
        Layer.__init__(self, *args, **kwargs)

    @property
    def layers(self) -> list[Layer]:
        """The layers directly in the model, in order."""
        return self._flatten_layers(include_self=False, recursive=False)

    @layers.setter
    def layers(self, _: Any) -> None:
        raise AttributeError(f"{self.name}: `layers` is what the model found in its attributes; it can't be set.")

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer with that name, or at that index.

        Raises:
            ValueError: There is none, or neither or both are given.
        """
        if (name is None) == (index is None):
            raise ValueError("get_layer: give either name or index.")
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(f"get_layer: index={index}, but {self.name} has {len(self.layers)} layers.")
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ValueError(
            f"get_layer: {self.name} has no layer {name!r}; it has {', '.join(x.name for x in self.layers)}."
        )

    def call(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no call method; a subclass of Model defines one.")

    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Any = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
    ) -> None:
        """Prints a table of the layers, their output shapes and parameters.

        Args:
            line_length: The width in characters; the terminal's by default.
            positions: Relative or absolute ends of the columns.
            print_fn: Called with the text instead of printing it.
            expand_nested: Whether nested models are shown layer by layer.
            show_trainable: Whether a column tells which layers are trained.
            layer_range: (first, last) layer names, or patterns of them, to show.
        """
        from kcore.models.summary import print_summary

        print_summary(self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range)

    def save(self, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
        """Writes the model to a `.keras` file: configuration, weights, optimizer state."""
        from kcore import saving

        saving.save_model(self, filepath, overwrite=overwrite, zipped=zipped, **kwargs)

    def save_weights(self, filepath: Any, overwrite: bool = True, max_shard_size: float | None = None) -> None:
        """Writes the weights to a `.weights.h5` file, or several of at most `max_shard_size` GB."""
        from kcore import saving

        saving.save_weights(self, filepath, overwrite=overwrite, max_shard_size=max_shard_size)

    def load_weights(self, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> None:
        """Reads the weights of a `.weights.h5` or `.keras` file.

        Raises:
            ValueError: A weight is missing, left over, or of another shape, unless `skip_mismatch`.
        """
        from kcore import saving

        saving.load_weights(self, filepath, skip_mismatch=skip_mismatch, **kwargs)

    def to_json(self, **kwargs: Any) -> str:
        """The configuration as JSON; `kcore.models.model_from_json` reads it."""
        import json

        from kcore.saving import serialization

        with serialization.shared_layers():
            return json.dumps(serialization.serialize_keras_object(self), **kwargs)

    def _not_traced(self, error: Exception) -> None:
        self.built = False
        raise ValueError(
            f"{self.name}: build could not trace the call for these shapes ({error}); call the model once on data instead."
        ) from error

    def build_from_config(self, config: dict) -> None:
        """Builds with the input shapes of `get_build_config`."""
        if not config or self.built:
            return
        with backends.use(self._backend):
            Layer.build_from_config(self, config)

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> Any:
        """The model of a config."""
        from kcore.models.functional import Functional
        from kcore.saving import functional_from_config

        if {"name", "layers", "input_layers", "output_layers"} <= set(config):
            return functional_from_config(Functional if cls is Model else cls, config, custom_objects)
        return cls(**config)


_functional_classes: weakref.WeakKeyDictionary[type, type] = weakref.WeakKeyDictionary()


def functional_class(cls: type) -> type:
    """A subclass of Model that was made with inputs and outputs, joined with Functional."""
    from kcore.models.functional import Functional

    if cls not in _functional_classes:

        def reduce_ex(self: Any, protocol: Any) -> tuple:
            return _remake_functional, (cls, self._backend.name), Functional.__reduce_ex__(self, protocol)[2]

        body = {
            "__module__": cls.__module__,
            "__qualname__": cls.__qualname__,
            "__doc__": cls.__doc__,
            "__reduce_ex__": reduce_ex,
            "_kcore_public": cls,
        }
        _functional_classes[cls] = type(cls.__name__, (cls, Functional), body)
    return _functional_classes[cls]


def _remake_functional(cls: type, backend_name: str) -> Any:
    return home.remake(functional_class(cls), backend_name)


def _is_functional_call(args: tuple, kwargs: dict) -> bool:
    return len(args) >= 2 or (len(args) == 1 and "outputs" in kwargs) or ("inputs" in kwargs and "outputs" in kwargs)
