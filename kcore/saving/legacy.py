"""The HDF5 files of Keras 1 and 2, which Keras 3 still writes for a name that ends in `.h5`: they are read, not written.

A file of weights has a group for each layer of the model, named after it, with its weights in order. A file of a whole
model keeps these in `model_weights`, beside the config, how it was compiled, and the optimizer's state.
"""

from __future__ import annotations

import json
import pathlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from kcore import backends
from kcore.saving import files, registry, weights

TOP = "top_level_model_weights"  # the model's own, beside those of its layers
# What configs of older optimizers hold, and none of these understands.
_DROPPED = ("decay", "is_legacy_optimizer", "jit_compile")


def is_legacy(file: Any) -> bool:
    """Whether an open HDF5 file is of this kind."""
    return "layer_names" in file.attrs or "layer_names0" in file.attrs or "model_weights" in file


# -- whole models -----------------------------------------------------------------------


def load_model(path: pathlib.Path, custom_objects: dict | None, compile: bool, safe_mode: bool) -> Any:
    """The model of an `.h5` file.

    Raises:
        ValueError: It holds no model, is damaged, or brings code while in safe mode.
        TypeError: It names a class that is not known.
    """
    with files.opened(files.bytes_of(path), path) as file, registry.CustomObjectScope(custom_objects):
        if "model_config" not in file.attrs or "model_weights" not in file:
            raise ValueError(f"{path} holds no model with its config; weights alone are read by load_weights.")
        config = _config(file, "model_config", path)
        model = files.model_of(config, path, safe_mode)
        _load(_plan(file["model_weights"], model, path, by_name=False, skip_mismatch=False), path)
        if compile and "training_config" in file.attrs:
            _compile(model, _config(file, "training_config", path), file, path)
    return model


def _config(file: Any, name: str, path: pathlib.Path) -> dict[str, Any]:
    try:
        config = json.loads(file.attrs[name])
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{path}: its {name} is not valid JSON ({error}); the file is damaged.") from None
    if not isinstance(config, dict):
        raise ValueError(f"{path}: its {name} should be a dictionary.")
    return config


def _compile(model: Any, config: dict[str, Any], file: Any, path: pathlib.Path) -> None:
    """Compiles as the file says; a model that can't be is left as it is, with a warning."""
    from kcore import losses, metrics, optimizers

    try:
        optimizer = dict(config["optimizer_config"])
        optimizer["config"] = {k: v for k, v in optimizer["config"].items() if k not in _DROPPED}
        options: dict[str, Any] = {
            "optimizer": optimizers.deserialize(optimizer),
            "loss": _objects(config.get("loss"), losses.deserialize),
            "loss_weights": config.get("loss_weights"),
            "metrics": _objects(config.get("metrics"), metrics.deserialize),
            "weighted_metrics": _objects(config.get("weighted_metrics"), metrics.deserialize),
        }
        model.compile(**options)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        warnings.warn(f"{path}: the model is not compiled as it was: {error}", stacklevel=4)
        return
    if "optimizer_weights" not in file or not model.built:
        return
    group = file["optimizer_weights"]
    with backends.use(model._backend):
        model.optimizer.build(model.trainable_variables)
        try:
            model.optimizer.set_weights([np.asarray(group[name]) for name in _names(group, "weight_names")])
        except (ValueError, KeyError) as error:
            warnings.warn(f"{path}: the optimizer's state is not loaded: {error}", stacklevel=4)


def _objects(value: Any, read: Callable[[dict], Any]) -> Any:
    """Serialized losses or metrics, in any structure, as objects; names stay."""
    if isinstance(value, dict):
        if "class_name" in value and "config" in value:
            return read(value)
        return {k: _objects(v, read) for k, v in value.items()}
    return [_objects(v, read) for v in value] if isinstance(value, list) else value


# -- weights ----------------------------------------------------------------------------


def load_weights(file: Any, model: Any, path: pathlib.Path, by_name: bool, skip_mismatch: bool) -> None:
    """Loads the weights of an open file: layer by layer in their order, or `by_name`.

    Raises:
        ValueError: The file does not fit the model; then nothing is loaded.
    """
    group = file.get("model_weights", file)
    _load(_plan(group, model, path, by_name, skip_mismatch), path)


Plan = list[tuple[Any, Any]]  # (variable, data set)


def _plan(group: Any, model: Any, path: pathlib.Path, by_name: bool, skip_mismatch: bool) -> Plan:
    """What goes where."""
    try:
        stored = {name: _data(group[name]) for name in _names(group, "layer_names")}
        own = _data(group[TOP]) if TOP in group else []
    except weights.DAMAGE as error:
        raise ValueError(f"{path}: its weights are damaged: {error}") from None
    if not model.built and stored:
        raise ValueError(f"{path}: {model.name} is not built, so it has no weights to load; call it once, or build it.")
    plan: Plan = []
    problems: list[str] = []
    for what, variables, data in _pairs(stored, model, by_name, path):
        problem = _mismatch(what, variables, data)
        if problem is None:
            plan += zip(variables, data, strict=True)
        else:
            problems.append(problem)
    if own or model._own_weights():
        problem = _mismatch("the model itself", model._own_weights(), own)
        if problem is None:
            plan += zip(model._own_weights(), own, strict=True)
        else:
            problems.append(problem)
    if problems and not skip_mismatch:
        raise ValueError(f"{path} does not fit the model:\n  - " + "\n  - ".join(problems[:8]))
    if problems:
        warnings.warn(f"{path}: skipped what does not fit: {'; '.join(problems)}.", stacklevel=5)
    return plan


def _pairs(stored: dict[str, list], model: Any, by_name: bool, path: pathlib.Path) -> Iterator[tuple[str, list, list]]:
    """(layer's name, its variables, its data sets)."""
    layers = [(layer, _variables(layer)) for layer in model.layers]
    if by_name:
        for layer, variables in layers:
            if layer.name in stored:
                yield layer.name, variables, stored[layer.name]
        return
    layers = [(layer, variables) for layer, variables in layers if variables]
    filled = [(name, data) for name, data in stored.items() if data]
    if len(layers) != len(filled):
        names = ", ".join(name for name, _ in filled) or "none"
        raise ValueError(
            f"{path} does not fit the model: it has weights for {len(filled)} layers ({names}), "
            f"the model has {len(layers)} with weights."
        )
    for (layer, variables), (name, data) in zip(layers, filled, strict=True):
        yield layer.name if layer.name == name else f"{layer.name} ({name} in the file)", variables, data


def _variables(layer: Any) -> list[Any]:
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def _mismatch(what: str, variables: list[Any], data: list[Any]) -> str | None:
    if len(variables) != len(data):
        return f"{what} has {len(variables)} weights, the file {len(data)}"
    for variable, found in zip(variables, data, strict=True):
        if variable.shape != found.shape:
            return f"{variable.name} of {what} has shape {variable.shape}, in the file {found.shape}"
        if found.dtype.kind not in "biufc":
            return f"{variable.name} of {what} holds {found.dtype} values"
    return None


def _load(plan: Plan, path: pathlib.Path) -> None:
    try:
        values = [(variable, np.asarray(data)) for variable, data in plan]
    except weights.DAMAGE as error:
        raise ValueError(f"{path}: its weights are damaged: {error}") from None
    for variable, value in values:
        variable.assign(value)


def _names(group: Any, attribute: str) -> list[str]:
    """A list of names; a long one is kept in parts, `layer_names0`, `layer_names1`..."""
    found = group.attrs.get(attribute)
    names = list(found) if found is not None else []
    part = 0
    while f"{attribute}{part}" in group.attrs:
        names += list(group.attrs[f"{attribute}{part}"])
        part += 1
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _data(group: Any) -> list[Any]:
    return [group[name] for name in _names(group, "weight_names")]
