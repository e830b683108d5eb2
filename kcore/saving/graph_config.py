"""Configs of functional models: layers and calls of ops, and how they are connected."""

from __future__ import annotations

import functools
from typing import Any

from kcore import backends, tree
from kcore.ops import mechanism
from kcore.ops.mechanism import OpCall
from kcore.ops.symbolic import KerasTensor
from kcore.saving import registry, serialization

# Keras keeps the class behind an op in one of these modules.
_OP_MODULES = {
    "nn": (
        "relu relu6 sigmoid softplus softsign silu swish log_sigmoid leaky_relu hard_sigmoid hard_silu hard_swish elu selu "
        "gelu celu glu tanh_shrink hard_tanh hard_shrink soft_shrink squareplus sparse_plus threshold sparsemax softmax "
        "log_softmax max_pool average_pool conv depthwise_conv separable_conv conv_transpose one_hot multi_hot "
        "binary_crossentropy categorical_crossentropy sparse_categorical_crossentropy moments batch_normalization "
        "layer_normalization rms_normalization normalize ctc_loss ctc_decode psnr dot_product_attention"
    ).split(),
    "math": "segment_sum segment_max logsumexp extract_sequences fft fft2 rfft irfft stft istft rsqrt erf erfinv top_k in_top_k qr".split(),
    "linalg": "cholesky det eig eigh inv lu_factor norm solve solve_triangular svd lstsq".split(),
    "core": "scatter scatter_update slice slice_update switch while_loop stop_gradient shape cast scan cond unstack saturate_cast".split(),
}
_MODULE_OF_OP = {name: f"keras.src.ops.{module}" for module, names in _OP_MODULES.items() for name in names}


@functools.cache
def _ops_by_class() -> dict[str, Any]:
    import kcore.ops  # noqa: F401 - fills the registry

    return {name.replace("_", "").lower(): op for name, op in mechanism.REGISTRY.items()}


def _class_of_op(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


class _OpMaker:
    """Stands for an op's class while a config is read."""

    def __init__(self, op: Any) -> None:
        self.op = op

    def from_config(self, config: dict) -> OpCall:
        config = dict(config)
        name = config.pop("name", None)
        call = OpCall(self.op, {k: serialization._read(v) for k, v in config.items()})
        if name:
            call.name = name
        return call


def op_for_class(class_name: str) -> Any:
    """What makes calls of the op behind one of Keras's operation classes ("Multiply", "GetItem").

    Raises:
        TypeError: There is no such op.
    """
    found = _ops_by_class().get(class_name.lower())
    if found is None:
        raise TypeError(f"The operation {class_name!r} is not known.")
    return _OpMaker(found)


# -- writing ----------------------------------------------------------------------------


def functional_config(model: Any) -> dict:
    """The config of a functional model, without what a subclass adds."""
    inside = model._graph.node_keys
    # A layer may have been called outside of the model too: calls are numbered by those inside.
    numbers: dict[tuple[int, int], int] = {}
    for operation in model.operations:
        at = 0
        for i in range(len(operation._inbound_nodes)):
            if (id(operation), i) in inside:
                numbers[id(operation), i] = at
                at += 1
    layers = []
    for operation in model.operations:
        entry = _operation_form(operation)
        entry["name"] = operation.name
        entry["inbound_nodes"] = [
            _node_form(operation, node, numbers)
            for i, node in enumerate(operation._inbound_nodes)
            if (id(operation), i) in inside and node.inputs
        ]
        layers.append(entry)
    return {
        "name": model.name,
        "trainable": model.trainable,
        "layers": layers,
        "input_layers": _places(model._inputs_struct, numbers),
        "output_layers": _places(model._outputs_struct, numbers),
    }


def _operation_form(operation: Any) -> dict:
    if not isinstance(operation, OpCall):
        return serialization.serialize_keras_object(operation)
    node = operation._inbound_nodes[0]
    plain = {
        name: value
        for (name, role), value in zip(operation.op.roles.items(), node.args, strict=True)
        if role == "plain"
    }
    class_name = _class_of_op(operation.op.name)
    return {
        "module": _MODULE_OF_OP.get(operation.op.name, "keras.src.ops.numpy"),
        "class_name": class_name,
        "config": {"name": operation.name, **serialization.serialize_keras_object(plain)},
        "registered_name": class_name,
    }


def _node_form(operation: Any, node: Any, numbers: dict) -> dict:
    args, kwargs = node.args, node.kwargs
    if isinstance(operation, OpCall):
        args = tuple(a for role, a in zip(operation.op.roles.values(), node.args, strict=True) if role != "plain")
    args, kwargs = tree.map_structure(lambda t: _Placed(t, numbers) if isinstance(t, KerasTensor) else t, (args, kwargs))
    return {"args": _with_places(args), "kwargs": _with_places(kwargs)}


class _Placed:
    """A symbolic tensor and where it comes from, numbered within the model."""

    def __init__(self, tensor: KerasTensor, numbers: dict) -> None:
        operation, node, index = tensor._keras_history  # type: ignore[misc]
        self.form = {
            "class_name": "__keras_tensor__",
            "config": {
                "shape": tensor.shape,
                "dtype": tensor.dtype,
                "keras_history": [operation.name, numbers.get((id(operation), node), node), index],
            },
        }


def _with_places(structure: Any) -> Any:
    if isinstance(structure, _Placed):
        return structure.form
    if isinstance(structure, dict):
        return {k: _with_places(v) for k, v in structure.items()}
    if isinstance(structure, (list, tuple)):
        return type(structure)(_with_places(v) for v in structure)
    return serialization.serialize_keras_object(structure)


def _places(structure: Any, numbers: dict) -> Any:
    def place(tensor: KerasTensor) -> list:
        operation, node, index = tensor._keras_history  # type: ignore[misc]
        return [operation.name, numbers.get((id(operation), node), node), index]

    return tree.map_structure(place, structure)


# -- reading ----------------------------------------------------------------------------


def functional_from_config(cls: Any, config: dict, custom_objects: dict | None = None) -> Any:
    """The functional model of a config.

    Raises:
        ValueError: A call depends on one that the config lacks.
    """
    with registry.CustomObjectScope(custom_objects):
        made: dict[str, Any] = {}
        waiting: list[tuple[Any, dict]] = []
        for entry in config["layers"]:
            operation = serialization._read({k: v for k, v in entry.items() if k not in ("inbound_nodes", "name")})
            made[entry["name"]] = operation
            waiting += [(operation, node) for node in entry["inbound_nodes"]]
        results = {
            (name, 0): tree.flatten(operation._inbound_nodes[0].outputs)
            for name, operation in made.items()
            if not isinstance(operation, OpCall) and operation._inbound_nodes and not operation._inbound_nodes[0].inputs
        }
        names = {id(operation): name for name, operation in made.items()}
        counts: dict[int, int] = {}
        while waiting:
            left = []
            blocked: set[int] = set()
            for operation, node in waiting:
                # Calls of one layer keep their order: their numbers are what others refer to.
                if id(operation) in blocked or not _ready(node, results):
                    blocked.add(id(operation))
                    left.append((operation, node))
                    continue
                at = counts.get(id(operation), 0)
                counts[id(operation)] = at + 1
                results[names[id(operation)], at] = tree.flatten(_call(operation, node, results))
            if len(left) == len(waiting):
                stuck = ", ".join(names[id(operation)] for operation, _ in left)
                raise ValueError(f"The config of {config.get('name')!r} is incomplete: nothing leads to {stuck}.")
            waiting = left
        inputs, outputs = (_find(config[key], results) for key in ("input_layers", "output_layers"))
    with backends.use(backends.active()):
        kwargs = {"name": config.get("name")}
        if config.get("trainable") is False:
            kwargs["trainable"] = False
        return cls(inputs, outputs, **kwargs)


def _tensor_place(value: Any) -> tuple[str, int, int] | None:
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        name, node, index = value["config"]["keras_history"]
        return name, node, index
    return None


def _ready(node: Any, results: dict) -> bool:
    place = _tensor_place(node)
    if place is not None:
        return place[:2] in results
    if isinstance(node, dict):
        return all(_ready(v, results) for v in node.values())
    return all(_ready(v, results) for v in node) if isinstance(node, (list, tuple)) else True


def _filled(value: Any, results: dict) -> Any:
    place = _tensor_place(value)
    if place is not None:
        return results[place[:2]][place[2]]
    if isinstance(value, dict) and "class_name" in value and "config" in value:
        return serialization._read(value)
    if isinstance(value, dict):
        return {k: _filled(v, results) for k, v in value.items()}
    return type(value)(_filled(v, results) for v in value) if isinstance(value, (list, tuple)) else value


def _call(operation: Any, node: dict, results: dict) -> Any:
    args, kwargs = _filled(tuple(node["args"]), results), _filled(node["kwargs"], results)
    if isinstance(operation, OpCall):
        return operation.recall(args, kwargs)
    return operation(*args, **kwargs)


def _find(places: Any, results: dict) -> Any:
    if isinstance(places, dict):
        return {k: _find(v, results) for k, v in places.items()}
    if len(places) == 3 and isinstance(places[0], str):
        return results[places[0], places[1]][places[2]]
    return type(places)(_find(p, results) for p in places)
