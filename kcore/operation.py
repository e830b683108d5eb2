"""What layers, and calls of ops in a symbolic model, have in common."""

from __future__ import annotations

import inspect
from typing import Any

from kcore import naming, tree
from kcore.backends.coo import is_sparse
from kcore.ops import symbolic
from kcore.ops.symbolic import KerasTensor


class Operation:
    """Something that can be called on tensors, symbolic ones too, and has a name and a config.

    A subclass defines `call`; it is traced on KerasTensors as it is run on tensors.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = cls._new_instance()
        # What a class without a get_config of its own is remade from.
        self.__dict__["_init_call"] = (args, kwargs)
        return self

    @classmethod
    def _new_instance(cls) -> Any:
        return object.__new__(cls)

    def __init__(self, name: str | None = None) -> None:
        name = naming.auto_name(type(self).__name__) if name is None else name
        if not isinstance(name, str) or "/" in name:
            raise ValueError(f"{type(self).__name__}: name={name!r} should be a string without '/'.")
        self.__dict__["_name"] = name
        self.__dict__["_inbound_nodes"] = []

    @property
    def name(self) -> str:
        return self.__dict__["_name"]

    def call(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no call method.")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if symbolic.any_symbolic(args, kwargs):
            return self.symbolic_call(*args, **kwargs)
        return self.call(*args, **kwargs)

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """The symbolic result of a call, recorded for models to be made from."""
        outputs = self.compute_output_spec(*args, **kwargs)
        symbolic.record(self, args, kwargs, outputs)
        return outputs

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """KerasTensors of the result's shapes and dtypes."""
        args, kwargs = tree.map_structure(_unrecorded, (args, kwargs))
        return _fresh(self.call(*args, **kwargs))

    @property
    def input(self) -> Any:
        """The symbolic input of the only call.

        Raises:
            ValueError: There was no symbolic call, or several.
        """
        node = self._only_node("input")
        return tree.flatten(node.inputs)[0] if len(node.inputs) == 1 else node.inputs

    @property
    def output(self) -> Any:
        """The symbolic output of the only call.

        Raises:
            ValueError: There was no symbolic call, or several.
        """
        node = self._only_node("output")
        return node.outputs[0] if len(node.outputs) == 1 else node.outputs

    def _only_node(self, what: str) -> symbolic.Node:
        nodes = self.__dict__["_inbound_nodes"]
        if len(nodes) != 1:
            raise ValueError(f"{self.name} was called on symbolic tensors {len(nodes)} times, so it has no one {what}.")
        return nodes[0]

    def get_config(self) -> dict:
        """What the object can be made from again: its name, and the arguments of its __init__ where they are plain."""
        config = {"name": self.name}
        args, kwargs = self.__dict__["_init_call"]
        own = getattr(type(self), "_kcore_class", type(self))
        if own.__init__ is not Operation.__init__:
            bound = inspect.signature(own.__init__).bind(self, *args, **kwargs)
            for key, value in list(bound.arguments.items())[1:]:
                parameter = inspect.signature(own.__init__).parameters[key]
                if parameter.kind is parameter.VAR_KEYWORD:
                    config.update(value)
                elif parameter.kind is not parameter.VAR_POSITIONAL:
                    config[key] = value
        return config

    @classmethod
    def from_config(cls, config: dict) -> Any:
        """An object made from a config."""
        try:
            return cls(**config)
        except TypeError as error:
            raise TypeError(
                f"{cls.__name__} can't be made from its config {config}: {error}. "
                "Give it a get_config that matches its __init__."
            ) from error


def _unrecorded(x: Any) -> Any:
    """The same symbolic tensor outside of any graph, for tracing the inside of a call."""
    if not isinstance(x, KerasTensor):
        return x
    y = KerasTensor(x.shape, x.dtype, sparse=x.sparse, record_history=False, name=x.name)
    if getattr(x, "_keras_mask", None) is not None:
        y._keras_mask = x._keras_mask  # type: ignore[attr-defined]
    return y


def _fresh(outputs: Any) -> Any:
    """New KerasTensors like these: a result may be an argument handed back."""
    return tree.map_structure(
        lambda t: (
            KerasTensor(t.shape, t.dtype, getattr(t, "sparse", False) or is_sparse(t)) if hasattr(t, "shape") else t
        ),
        outputs,
    )
