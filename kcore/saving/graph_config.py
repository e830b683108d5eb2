"""Configs of functional models: layers and calls of ops, and how they are connected."""

from __future__ import annotations

from typing import Any

from kcore import tree
from kcore.ops.mechanism import OpCall
from kcore.ops.symbolic import KerasTensor, Node
from kcore.saving import op_forms, registry, serialization

# -- writing ----------------------------------------------------------------------------


def functional_config(model: Any) -> dict[str, Any]:
    """The config of a functional model, without what a subclass adds."""
    graph = model._graph
    numbers = graph.numbers()
    layers = []
    for operation in graph.operations:
        entry = operation_form(operation)
        entry["name"] = operation.name
        entry["inbound_nodes"] = [
            _node_form(operation, node, numbers) for _, node in graph.calls_of(operation) if node.inputs
        ]
        layers.append(entry)
    return {
        "name": model.name,
        "trainable": model.trainable,
        "layers": layers,
        "input_layers": tree.map_structure(lambda t: _place(t, numbers), model._inputs_struct),
        "output_layers": tree.map_structure(lambda t: _place(t, numbers), model._outputs_struct),
    }


def operation_form(operation: Any) -> dict[str, Any]:
    """The serialized form of a layer, or of the call of an op."""
    if not isinstance(operation, OpCall):
        return serialization.serialize_keras_object(operation)
    return {
        "module": op_forms.module_of(operation.op),
        "class_name": operation.class_name,
        "config": serialization.serialize_keras_object(op_forms.settings_of(operation)),
        "registered_name": operation.class_name,
    }


def _node_form(operation: Any, node: Node, numbers: dict) -> dict[str, Any]:
    args, kwargs = node.args, node.kwargs
    if isinstance(operation, OpCall):
        args, kwargs = op_forms.node_arguments(operation, args)
    return {"args": _with_places(args, numbers), "kwargs": _with_places(kwargs, numbers)}


def _with_places(structure: Any, numbers: dict) -> Any:
    """Arguments, serialized; each symbolic tensor with where it comes from, numbered within the model."""
    if isinstance(structure, KerasTensor):
        operation, call, index = structure._keras_history  # type: ignore[misc]
        made = operation._inbound_nodes[call].outputs[index]  # a layer may have cast it for itself
        return {
            "class_name": "__keras_tensor__",
            "config": {"shape": made.shape, "dtype": made.dtype, "keras_history": _place(structure, numbers)},
        }
    if isinstance(structure, dict):
        return {k: _with_places(v, numbers) for k, v in structure.items()}
    if isinstance(structure, (list, tuple)):
        return [_with_places(v, numbers) for v in structure]
    return serialization.serialize_keras_object(structure)


def _place(tensor: KerasTensor, numbers: dict) -> list[Any]:
    operation, call, index = tensor._keras_history  # type: ignore[misc]
    return [operation.name, numbers[id(operation), call], index]


# -- reading ----------------------------------------------------------------------------

Results = dict[tuple[str, int], list[KerasTensor]]


def functional_from_config(cls: Any, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
    """The functional model of a config.

    Raises:
        ValueError: A call depends on one that the config lacks.
    """
    with registry.CustomObjectScope(custom_objects):
        results: Results = {}
        waiting: list[tuple[str, Any, Any]] = []
        for entry in config["layers"]:
            operation = serialization._read({k: v for k, v in entry.items() if k not in ("inbound_nodes", "name")})
            own = getattr(operation, "_inbound_nodes", ())
            if own and not own[0].inputs:  # an input
                results[entry["name"], 0] = own[0].outputs
            waiting += [(entry["name"], operation, node) for node in entry["inbound_nodes"]]
        _call_all(waiting, results, config.get("name"))
        inputs, outputs = (_ends(config[key], results) for key in ("input_layers", "output_layers"))
    options = {} if config.get("trainable", True) else {"trainable": False}
    return cls(inputs, outputs, name=config.get("name"), **options)


def _call_all(waiting: list[tuple[str, Any, Any]], results: Results, model: Any) -> None:
    """Makes every call as soon as what it needs is there; calls of one layer keep their order, which numbers them."""
    counts: dict[str, int] = {}
    while waiting:
        left, blocked = [], set()
        for name, operation, node in waiting:
            args, kwargs = _arguments(node)
            if name in blocked or not all(place[:2] in results for place in _places_in((args, kwargs))):
                blocked.add(name)
                left.append((name, operation, node))
                continue
            outputs = operation(*_filled(args, results), **_filled(kwargs, results))
            results[name, counts.get(name, 0)] = tree.flatten(outputs)
            counts[name] = counts.get(name, 0) + 1
        if len(left) == len(waiting):
            stuck = ", ".join(name for name, *_ in left)
            raise ValueError(f"The config of the model {model!r} is incomplete: nothing leads to {stuck}.")
        waiting = left


def _arguments(node: Any) -> tuple[Any, dict[str, Any]]:
    """(args, kwargs) of a node; older files have a list of [name, call, result, kwargs] instead."""
    if isinstance(node, dict):
        return node["args"], node["kwargs"]
    places = [{"class_name": "__keras_tensor__", "config": {"keras_history": list(p[:3])}} for p in node]
    options: dict[str, Any] = {}
    for place in node:
        options |= place[3] if len(place) > 3 else {}
    return (places if len(places) == 1 else [places]), options


def _place_of(value: Any) -> tuple[str, int, int] | None:
    if not isinstance(value, dict) or value.get("class_name") != "__keras_tensor__":
        return None
    name, call, index = value["config"]["keras_history"]
    return name, call, index


def _places_in(value: Any) -> list[tuple[str, int, int]]:
    place = _place_of(value)
    if place is not None:
        return [place]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [p for part in parts for p in _places_in(part)]


def _result(place: tuple[str, int, int], results: Results) -> KerasTensor:
    found = results.get(place[:2])
    if found is None or not 0 <= place[2] < len(found):
        raise ValueError(f"The config refers to {place[0]}[{place[1]}][{place[2]}], which is not there.")
    return found[place[2]]


def _filled(value: Any, results: Results) -> Any:
    place = _place_of(value)
    if place is not None:
        return _result(place, results)
    if isinstance(value, dict) and "class_name" in value and "config" in value:
        return serialization._read(value)
    if isinstance(value, dict):
        return {k: _filled(v, results) for k, v in value.items()}
    return [_filled(v, results) for v in value] if isinstance(value, (list, tuple)) else value


def _ends(places: Any, results: Results) -> Any:
    """The tensors at the model's ends, in the structure that the config has their places in."""
    if isinstance(places, dict):
        return {k: _ends(v, results) for k, v in places.items()}
    if len(places) == 3 and isinstance(places[0], str):
        return _result((places[0], places[1], places[2]), results)
    return [_ends(p, results) for p in places]
