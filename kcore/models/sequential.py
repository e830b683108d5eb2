"""Sequential: a chain of layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kcore import backends, tree
from kcore.layers.input_layer import Input, InputLayer
from kcore.layers.layer import Layer
from kcore.models.functional import Functional
from kcore.models.model import Model
from kcore.ops.symbolic import KerasTensor


class Sequential(Model):
    """Layers, each called on what the one before gave.

    With an `Input` first the model is built at once, else at its first call.

    Args:
        layers: Layers to add, in order.
        trainable: Whether training changes the weights.
        name: Unique by default.
    """

    def __init__(self, layers: Any = None, trainable: bool = True, name: str | None = None) -> None:
        super().__init__(name=name)
        self._own_layers: list[Layer] = []
        self.__dict__["_functional"] = None
        if layers:
            for layer in layers:
                self._append(layer)
            self._rebuild()
        if not trainable:
            self.trainable = False

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Adds a layer at the end; an `Input` only at the start.

        Raises:
            ValueError: It is no layer, has a name that is taken, or is a second input.
        """
        self._append(layer)
        if rebuild:
            self._rebuild()

    def _append(self, layer: Any) -> None:
        history = getattr(layer, "_keras_history", None)
        if history is not None:  # what Input() returns
            layer = history.operation
        if not isinstance(layer, Layer):
            if callable(layer) and not isinstance(layer, type):
                from kcore.layers import Lambda

                layer = Lambda(layer)
            else:
                raise ValueError(f"Sequential: only layers can be added, not {type(layer).__name__}.")
        if any(x.name == layer.name for x in self._own_layers):
            raise ValueError(f"{self.name}: there is a layer {layer.name!r} already; names in a model are unique.")
        if isinstance(layer, InputLayer) and self._own_layers:
            raise ValueError(
                f"{self.name}: an Input can only come first; the model starts with {self._own_layers[0].name}."
            )
        given = getattr(layer, "_given_batch_shape", None)
        if not self._own_layers and given is not None:
            self._own_layers.append(Input(batch_shape=given)._keras_history.operation)
        self._own_layers.append(layer)

    def pop(self, rebuild: bool = True) -> Layer:
        """Removes the last layer and returns it.

        Raises:
            ValueError: There is none.
        """
        if not self.layers:
            raise ValueError(f"{self.name}: there is no layer to remove.")
        layer = self._own_layers.pop()
        self.built = False
        self.__dict__["_functional"] = None
        if rebuild:
            self._rebuild()
        return layer

    def _rebuild(self) -> None:
        self.built = False
        self.__dict__["_functional"] = None
        first = self._own_layers[0] if self._own_layers else None
        if isinstance(first, InputLayer) and len(self._own_layers) > 1:
            self.build(first.batch_shape)
        elif isinstance(first, Functional) and self._own_layers:
            self.build(first.input_shape)

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the input."""
        own = self._own_layers
        return own[1:] if own and isinstance(own[0], InputLayer) else own[:]

    @layers.setter
    def layers(self, _: Any) -> None:
        raise AttributeError(f"{self.name}: use add() and pop() to change the layers.")

    def _sublayers(self, held: Sequence[Any] | None = None) -> list[Layer]:
        return list(self.__dict__.get("_own_layers", ()))

    def build(self, input_shape: Any = None) -> None:
        """Makes the layers' variables for inputs of that shape."""
        try:
            input_shape = tuple(tuple(s) if isinstance(s, list) else s for s in input_shape)
        except TypeError:
            raise ValueError(f"{self.name}: build takes a shape, not {input_shape!r}.") from None
        if not self._own_layers:
            raise ValueError(f"{self.name}: a Sequential without layers can't be built.")
        first = self._own_layers[0]
        if not isinstance(first, InputLayer):
            dtype = first.compute_dtype
            first = Input(batch_shape=input_shape, dtype=dtype)._keras_history.operation
            self._own_layers.insert(0, first)
        x = inputs = first.output
        for layer in self._own_layers[1:]:
            x = layer(x)
        with backends.use(self._backend):
            functional = Functional(inputs, x)  # under an automatic name at first: Keras counts it too
            functional.__dict__["_name"] = self.name
            self.__dict__["_functional"] = functional
        self._backend_adopts()

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None, **kwargs: Any) -> Any:
        functional = self.__dict__["_functional"]
        if functional is not None:
            return functional.call(inputs, training=training, mask=mask)
        x = inputs
        for layer in self.layers:
            x = layer(x, **kwargs)
        return x

    def compute_output_spec(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        functional = self.__dict__["_functional"]
        if functional is not None:
            return functional.compute_output_spec(inputs, training=training, mask=mask)
        return super().compute_output_spec(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        for layer in self.layers:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

    def _built_functional(self, what: str) -> Functional:
        functional = self.__dict__["_functional"]
        if functional is None:
            raise AttributeError(
                f"{self.name}: there is no {what} before the model is built; add an Input, or call it."
            )
        return functional

    @property
    def inputs(self) -> list[KerasTensor]:
        return self._built_functional("inputs").inputs

    @property
    def outputs(self) -> list[KerasTensor]:
        return self._built_functional("outputs").outputs

    @property
    def input(self) -> Any:
        return self._built_functional("input").input

    @property
    def output(self) -> Any:
        return self._built_functional("output").output

    @property
    def input_shape(self) -> Any:
        return self._built_functional("input_shape").input_shape

    @property
    def output_shape(self) -> Any:
        return self._built_functional("output_shape").output_shape

    @property
    def output_names(self) -> list[str]:
        return self._built_functional("output_names").output_names

    @property
    def input_dtype(self) -> Any:
        """Inputs are cast by the first layer, not by the model."""
        functional = self.__dict__.get("_functional")
        return functional.inputs[0].dtype if functional is not None else self.compute_dtype

    def get_config(self) -> dict:
        from kcore import saving

        config = Layer.get_config(self)
        config["layers"] = [saving.serialize_keras_object(layer) for layer in self._own_layers]
        functional = self.__dict__["_functional"]
        if functional is not None:
            config["build_input_shape"] = functional.input_shape
        return config

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> Any:
        from kcore import saving

        model = cls(name=config.get("name"))
        for entry in config["layers"]:
            model.add(saving.deserialize_keras_object(entry, custom_objects=custom_objects), rebuild=False)
        shape = config.get("build_input_shape")
        model._rebuild()
        if not model.built and shape:
            model.build(tree.lists_to_tuples(shape))
        if config.get("trainable") is False:
            model.trainable = False
        return model
