"""Goldens of models: a `.keras` file with inputs, and what it gives in float64."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kcore import backends, dtypes, gradients, tree
from kcore.conformance import runner
from kcore.conformance.checks import without_kernels
from kcore.conformance.comparison import distance
from kcore.conformance.goldens import files
from kcore.conformance.goldens.calls import Recorded, drawn_weights, widened
from kcore.conformance.goldens.files import Golden
from kcore.conformance.goldens.values import Writer

# A model's tolerance, for each result and gradient: so many times what rounding makes of it in the reference
# backend's run in the model's own dtype, and no less than LEAST. Another order of summation moves it as far.
FACTOR, LEAST = 10.0, 2e-6
NAME = "model"


def record_model(
    path: str | os.PathLike,
    inputs: Mapping[str, np.ndarray] | None = None,
    seed: int = 0,
    batch: int = 2,
    gradients: bool = True,
) -> tuple[Golden, bytes]:
    """Records what a saved model gives when it is computed in float64.

    Args:
        path: A `.keras` file.
        inputs: Arrays by the names of the model's inputs, or of any names, in their order. None draws floats from a
            standard normal distribution.
        seed: For the draw.
        batch: How many rows to draw.
        gradients: Whether to record those of a weighted sum of the outputs by the float inputs and the trainable
            variables.

    Returns:
        (a Golden, the bytes of the model's file), for `goldens.write`.

    Raises:
        UnknownName: The file is no model, or the inputs don't suit it; a ValueError.
        FileNotFoundError: There is no such file.
    """
    data = Path(path).read_bytes()
    reference = backends.load("reference")
    with backends.use(reference), runner._quiet(), np.errstate(all="ignore"):
        try:
            model = _loaded(path)
        except (ValueError, TypeError) as error:
            raise runner.UnknownName(str(error)) from None
        arrays = _drawn(model, seed, batch) if inputs is None else _named(model, inputs)
        writer = Writer()
        said = _structure(model, [writer.array(x, f"{NAME}/{name}") for name, x in arrays.items()])
        entry = {"id": NAME, "model": files.MODEL, "dtype": model.compute_dtype, "arguments": {"inputs": said}}
        _add_outputs(entry, model, writer, gradients)
    return Golden([entry], writer.arrays), data


class RecordedModel(Recorded):
    """A model's entry: as `Recorded`, with the model from its file in place of an op.

    Args:
        entry, arrays: As for `Recorded`.
        folder: Where the model's file is.
        model: The model, where it is at hand.
    """

    def __init__(
        self, entry: Mapping[str, Any], arrays: Mapping[str, np.ndarray], folder: Path, model: Any = None
    ) -> None:
        if entry["model"] != files.MODEL:
            raise ValueError(f"model should be {files.MODEL!r}, not {entry['model']!r}.")
        self.path, self.model = folder / files.MODEL, model
        super().__init__(entry, arrays, function=lambda inputs: inputs)
        self.variables = [g["variable"] for g in entry.get("gradients", ()) if "variable" in g]

    def results(self, backend: Any, inputs: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
        model = self.model if self.model is not None else _loaded(self.path)
        paths = [v.path for v in model.trainable_variables]
        trainable = [v.value for v in model.trainable_variables]
        rest = [v.value for v in model.non_trainable_variables]
        chosen = [paths.index(name) for name in self.variables]
        weighted = [i for i, c in enumerate(self.cotangents) if c is not None]

        def run(*leaves: Any) -> tuple[list[Any], list[Any]]:
            given = {**inputs, **dict(zip(self.by, leaves))}
            values = dict(zip(chosen, leaves[len(self.by) :], strict=True))
            weights = [values.get(i, v) for i, v in enumerate(trainable)]
            (structure,) = self.call(given) if self._is_single() else (self._given(given),)
            y, _ = model.stateless_call(weights, rest, structure, training=False)
            ys = tree.flatten(y)
            return [ys[i] for i in weighted], ys

        leaves = [*(inputs[name] for name in self.by), *(trainable[i] for i in chosen)]
        if not leaves:
            return run()[1], []
        _, pull, ys = gradients.vjp(run, *leaves, has_aux=True)
        return ys, list(pull([backend.convert(self.cotangents[i], backend.dtype(ys[i])) for i in weighted]))

    def _is_single(self) -> bool:
        return "array" in self.entry["arguments"]["inputs"]

    def _given(self, tensors: Mapping[str, Any]) -> Any:
        flat = iter(self.call(tensors))
        said = self.entry["arguments"]["inputs"]
        if isinstance(said, list):
            return list(flat)
        return dict(zip(sorted(said["dict"]), flat, strict=True))


def _loaded(path: str | os.PathLike) -> Any:
    from kcore import saving

    return saving.load_model(path, compile=False)


def _wide(model: Any) -> Any:
    """The same model in float64."""
    from kcore import saving

    wide: Any = saving.deserialize_keras_object(_in_float64(saving.serialize_keras_object(model)))
    if not wide.built:
        wide.build_from_config(model.get_build_config())
    wide.set_weights([np.asarray(w) for w in model.get_weights()])
    return wide


def _in_float64(config: Any) -> Any:
    """A config with every float policy and input made float64."""
    if isinstance(config, list):
        return [_in_float64(c) for c in config]
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "DTypePolicy":
        return {**config, "config": {**config["config"], "name": "float64"}}
    wide = {k: _in_float64(v) for k, v in config.items()}
    if wide.get("dtype") in dtypes.FLOATS and "name" in wide:
        wide["dtype"] = "float64"
    return wide


def _inputs(model: Any) -> list[Any]:
    """The symbolic inputs; none for a model that has none."""
    try:
        return list(model.inputs or ())
    except (AttributeError, ValueError):
        return []


def _drawn(model: Any, seed: int, batch: int) -> dict[str, np.ndarray]:
    symbols = _inputs(model)
    if not symbols:
        raise runner.UnknownName("The model has no inputs of known shape to draw; give them.")
    rng = np.random.default_rng(seed)
    found = {}
    for i, symbol in enumerate(symbols):
        if symbol.dtype not in dtypes.FLOATS:
            raise runner.UnknownName(
                f"The model's input {symbol.name} is {symbol.dtype}, and no float to draw; give it."
            )
        shape = [batch if axis == 0 else d for axis, d in enumerate(symbol.shape)]
        if None in shape:
            raise runner.UnknownName(f"The model's input {symbol.name} has shape {symbol.shape}; give an array for it.")
        found[symbol.name or f"input{i}"] = rng.standard_normal(shape).astype(dtypes.to_numpy(symbol.dtype))
    return found


def _named(model: Any, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inputs in the model's order."""
    names = [s.name for s in _inputs(model)]
    if not names:
        return dict(given)
    if set(names) == set(given):
        return {name: given[name] for name in names}
    if len(names) != len(given):
        raise runner.UnknownName(
            f"The model has {len(names)} inputs ({', '.join(names)}), but {len(given)} arrays are given "
            f"({', '.join(given)})."
        )
    return dict(zip(names, given.values(), strict=True))


def _structure(model: Any, said: list[dict[str, Any]]) -> Any:
    """The model's inputs in its own structure, as the JSON file has them."""
    if not _inputs(model):
        return said[0] if len(said) == 1 else said
    own = model.input
    if isinstance(own, dict):
        return {"dict": dict(zip(sorted(own), said, strict=True))}
    return said if isinstance(own, (list, tuple)) else said[0]


def _add_outputs(entry: dict[str, Any], model: Any, writer: Writer, gradients: bool) -> None:
    reference = backends.load("reference")
    plain = RecordedModel({**entry, "outputs": []}, writer.arrays, Path(), model)
    wide = RecordedModel({**entry, "outputs": []}, writer.arrays, Path(), _wide(model))
    tensors = {n: reference.convert(x) for n, x in plain.inputs.items()}
    exact = {n: reference.convert(widened(x)) for n, x in plain.inputs.items()}
    rng = np.random.default_rng(0)
    if gradients:
        cotangents: list[Any] = []
        for i, y in enumerate(plain.results(reference, tensors)[0]):
            weights = drawn_weights(rng, y.shape)
            is_float = reference.dtype(y) in dtypes.FLOATS
            cotangents.append(writer.array(weights, f"{NAME}/cotangent{i}") if is_float else None)
        by = [{"argument": n} for n, x in plain.inputs.items() if dtypes.name_of(x.dtype) in dtypes.FLOATS]
        by += [{"variable": v.path} for v in model.trainable_variables]
        if any(c is not None for c in cotangents):
            said = {**entry, "outputs": [], "cotangents": cotangents, "gradients": by}
            plain = RecordedModel(said, writer.arrays, Path(), model)
            wide = RecordedModel(said, writer.arrays, Path(), wide.model)
            entry |= {"cotangents": cotangents, "gradients": by}
    rounded = plain.results(reference, tensors)
    with without_kernels():
        wanted = wide.results(reference, exact)
    arrays = [[widened(np.asarray(reference.numpy(y))) for y in part] for part in wanted]
    errors = [
        [distance(np.asarray(reference.numpy(y)), w).error for y, w in zip(*pair, strict=True)]
        for pair in zip(rounded, arrays, strict=True)
    ]
    entry["outputs"] = [
        {
            **writer.array(y, f"{NAME}/output{i}"),
            "given": reference.dtype(rounded[0][i]),
            "tolerance": _tolerance(errors[0]) if y.dtype.kind in "fc" else 0.0,
        }
        for i, y in enumerate(arrays[0])
    ]
    for i, (g, said) in enumerate(zip(arrays[1], entry.get("gradients", ()), strict=True)):
        said |= {**writer.array(g, f"{NAME}/gradient{i}"), "tolerance": _tolerance(errors[1])}


def _tolerance(errors: list[float]) -> float:
    """One for all results, or all gradients: what is off by little may be so by luck."""
    return max(LEAST, FACTOR * max(errors, default=0.0))
