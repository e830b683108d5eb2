"""clone_model: the same architecture with new layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kcore import backends, tree
from kcore.layers import home
from kcore.layers.input_layer import Input, InputLayer
from kcore.layers.layer import Layer
from kcore.models.functional import Functional, made_like_functional
from kcore.models.graph import Key, key_of
from kcore.models.model import Model
from kcore.models.sequential import Sequential
from kcore.ops.mechanism import OpCall
from kcore.ops.symbolic import KerasTensor

CloneFunction = Callable[[Layer], Layer]


def clone_model(
    model: Any,
    input_tensors: Any = None,
    clone_function: CloneFunction | None = None,
    call_function: Callable | None = None,
    recursive: bool = False,
    **kwargs: Any,
) -> Any:
    """A model of the same layers, made anew, with fresh weights.

    Args:
        model: A functional or sequential model; or a model with a config of its own, without any of the further arguments.
        input_tensors: KerasTensors to start from, in the structure of the model's inputs.
        clone_function: Makes the new layer from each layer but the inputs; from its config by default.
        call_function: Called as (new layer, *args, **kwargs) where a functional model calls the layer.
        recursive: Whether layers of nested models go through `clone_function` one by one, not the nested models whole.

    Returns:
        The new model, compiled as `model` is.

    Raises:
        ValueError: An argument does not go with this kind of model, or an input is no KerasTensor.
    """
    if kwargs:
        raise ValueError(f"clone_model: there is no argument {', '.join(map(repr, kwargs))}.")
    for tensor in tree.flatten([] if input_tensors is None else input_tensors):
        if not isinstance(tensor, KerasTensor):
            raise ValueError(f"clone_model: input_tensors should be KerasTensors, not {type(tensor).__name__}.")
    function = clone_function or _from_config
    if recursive:
        function = _recursive(function, call_function)
    with backends.use(getattr(model, "_backend", backends.active())):
        if isinstance(model, Sequential):
            if call_function is not None:
                raise ValueError(
                    "clone_model: call_function is for functional models; a Sequential's layers are only listed."
                )
            clone = _clone_sequential(model, input_tensors, function)
        elif isinstance(model, Functional) and made_like_functional(home.public_class(model)):
            clone = _clone_functional(model, input_tensors, function, call_function)
        elif input_tensors is not None or clone_function is not None or call_function is not None:
            raise ValueError(
                f"clone_model: input_tensors, clone_function and call_function are for functional and sequential models, "
                f"not for {type(model).__name__}."
            )
        else:
            clone = _from_config(model)
        if getattr(model, "compiled", False) and not getattr(clone, "compiled", False):
            clone.compile_from_config(model.get_compile_config())
    return clone


def _from_config(layer: Any) -> Any:
    return type(layer).from_config(layer.get_config())


def _recursive(function: CloneFunction, call_function: Callable | None) -> CloneFunction:
    def clone(layer: Any) -> Any:
        if not isinstance(layer, (Sequential, Functional)):
            return function(layer)
        inner_calls = None if isinstance(layer, Sequential) else call_function
        return clone_model(layer, clone_function=clone, call_function=inner_calls)

    return clone


def _clone_sequential(model: Sequential, input_tensors: Any, function: CloneFunction) -> Model:
    first = model._own_layers[0] if model._own_layers else None
    inputs = []
    if input_tensors is not None:
        given = tree.flatten(input_tensors)
        if len(given) != 1:
            raise ValueError(f"clone_model: a Sequential has one input, but {len(given)} input_tensors were given.")
        inputs = [_as_input(given[0])]
    elif isinstance(first, InputLayer):
        inputs = [_new_input(first)]
    layers = [function(layer) for layer in model.layers]
    return Sequential([*inputs, *layers], name=model.name, trainable=model.trainable)


def _clone_functional(model: Functional, input_tensors: Any, function: CloneFunction, call: Callable | None) -> Model:
    if input_tensors is None:
        inputs = tree.map_structure(lambda t: _new_input(t._keras_history.operation), model._inputs_struct)
    else:
        flat = tree.flatten(input_tensors)
        if len(flat) != len(model.inputs):
            raise ValueError(
                f"clone_model: the model has {len(model.inputs)} inputs, but {len(flat)} input_tensors were given."
            )
        inputs = tree.pack_sequence_as(model._inputs_struct, [_as_input(t) for t in flat])
    made: dict[Key, KerasTensor] = {
        key_of(old): new for old, new in zip(model.inputs, tree.flatten(inputs), strict=True)
    }
    clones: dict[int, Any] = {}

    def renewed(x: Any) -> Any:
        return made[key_of(x)] if isinstance(x, KerasTensor) else x

    for node in model._graph.nodes.values():
        if not node.inputs:
            continue
        operation = node.operation
        args, kwargs = tree.map_structure(renewed, (node.args, node.kwargs))
        if isinstance(operation, OpCall):
            outputs = operation.op.trace(args, OpCall(operation.op, operation.called, operation.name))
        else:
            if id(operation) not in clones:
                clones[id(operation)] = function(operation) if isinstance(operation, Layer) else _from_config(operation)
            clone = clones[id(operation)]
            outputs = clone(*args, **kwargs) if call is None else call(clone, *args, **kwargs)
        for old, new in zip(node.outputs, tree.flatten(outputs), strict=True):
            made[key_of(old)] = new
    outputs = tree.map_structure(renewed, model._outputs_struct)
    options = {} if model.trainable else {"trainable": False}
    return home.public_class(model)(inputs, outputs, name=model.name, **options)


def _new_input(layer: InputLayer) -> KerasTensor:
    return InputLayer.from_config(layer.get_config()).output


def _as_input(tensor: KerasTensor) -> KerasTensor:
    """A tensor that a model can start from: an input's own, or an input in its place."""
    history = tensor._keras_history
    if history is not None and isinstance(history.operation, InputLayer):
        return tensor
    return Input(batch_shape=tensor.shape, dtype=tensor.dtype, sparse=tensor.sparse)
