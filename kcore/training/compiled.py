"""What `compile` makes of losses and metrics: one object for each, for any number of outputs.

Both match their parts to the model's outputs: by position where they come in a list, by name in a
dict; a single one serves every output.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kcore import losses, metrics, ops, tree
from kcore.layers.masks import get_mask
from kcore.losses.loss import FunctionLoss
from kcore.metrics import Mean


class Outputs:
    """The flat outputs of a call, with a name for each: a dict's keys, or the model's output names."""

    def __init__(self, y_pred: Any, names: list[str] | None) -> None:
        pairs = tree.flatten_with_path(y_pred)
        self.values = [v for _, v in pairs]
        self.keyed = isinstance(y_pred, dict)
        if self.keyed:
            self.names = ["_".join(map(str, path)) for path, _ in pairs]
        elif names is not None and len(names) == len(pairs):
            self.names = list(names)
        else:
            self.names = [f"output_{i}" for i in range(len(pairs))] if len(pairs) > 1 else ["output"]

    def matched(self, given: Any, what: str, is_leaf: Callable[[Any], bool]) -> list[Any]:
        """One part of `given` for each output; None where there is none.

        Raises:
            ValueError: A list of another length, or a name that no output has.
        """
        count = len(self.values)
        if given is None:
            return [None] * count
        if is_leaf(given):
            return [given] * count
        if isinstance(given, dict):
            unknown = [k for k in given if k not in self.names]
            if unknown:
                raise ValueError(
                    f"{what} names {', '.join(map(repr, unknown))}; the outputs are {', '.join(self.names)}."
                )
            return [given.get(n) for n in self.names]
        given = list(given)
        if len(given) == 1 and count > 1:
            raise ValueError(f"{what} has 1 entry for {count} outputs; give one each, or a single one without a list.")
        if len(given) != count:
            raise ValueError(f"{what} has {len(given)} entries for {count} outputs ({', '.join(self.names)}).")
        return given

    def targets(self, y: Any, what: str = "y") -> list[Any]:
        """The targets, or sample weights, of the outputs."""
        if len(self.values) == 1:
            flat = tree.flatten(y)
            if len(flat) == 1:
                return flat
        if isinstance(y, dict) and not self.keyed:
            return self.matched(y, what, lambda g: False)
        if y is None:
            return [None] * len(self.values)
        flat = tree.flatten(y)
        if len(flat) != len(self.values):
            raise ValueError(
                f"{what} has {len(flat)} parts, but the model has {len(self.values)} outputs ({', '.join(self.names)})."
            )
        return flat


def _is_one(given: Any) -> bool:
    return given is not None and not isinstance(given, (dict, list, tuple))


class CompiledLoss:
    """The weighted sum of the losses of the outputs; tracks each where there are several.

    Args:
        loss, loss_weights: As given to `compile`.
        output_names: The model's, None where it has none of its own.
    """

    def __init__(self, loss: Any, loss_weights: Any, output_names: list[str] | None) -> None:
        self.loss, self.loss_weights, self.output_names = loss, loss_weights, output_names
        self.trackers: list[Mean] = []
        self._parts: list[tuple[Any, Any]] | None = None

    @property
    def metrics(self) -> list[Any]:
        return self.trackers

    def _build(self, outputs: Outputs, y: list[Any]) -> None:
        losses_ = outputs.matched(self.loss, "loss", _is_one)
        weights = outputs.matched(self.loss_weights, "loss_weights", lambda g: isinstance(g, (int, float)))
        self._parts = [
            (None if one is None else _loss_object(one, target, value), weight)
            for one, weight, target, value in zip(losses_, weights, y, outputs.values, strict=True)
        ]
        names = [n for n, (one, _) in zip(outputs.names, self._parts, strict=True) if one is not None]
        if len(names) > 1:
            self.trackers = [Mean(name=f"{n}_loss") for n in names]

    def build(self, y: Any, y_pred: Any) -> None:
        """Makes the parts, for targets and outputs like these."""
        if self._parts is None:
            outputs = Outputs(y_pred, self.output_names)
            self._build(outputs, outputs.targets(y))

    def __call__(self, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The scalar loss; None where no output has one."""
        outputs = Outputs(y_pred, self.output_names)
        targets = outputs.targets(y)
        if self._parts is None:
            self._build(outputs, targets)
        weights = (
            [sample_weight] * len(targets)
            if _is_tensor(sample_weight)
            else outputs.targets(sample_weight, "sample_weight")
        )
        total, at = None, 0
        for (one, factor), target, value, weight in zip(
            self._parts or (), targets, outputs.values, weights, strict=True
        ):
            if one is None:
                continue
            found = one(target, value, weight)
            if self.trackers:
                self.trackers[at].update_state(found, sample_weight=ops.shape(value)[0])
                at += 1
            if factor is not None:
                found = ops.multiply(found, factor)
            total = found if total is None else ops.add(total, found)
        return total


def _is_tensor(x: Any) -> bool:
    return x is not None and not isinstance(x, (dict, list, tuple))


def _loss_object(identifier: Any, target: Any, output: Any) -> Any:
    """A callable loss: a Loss as it is, a name or function wrapped with the default reduction."""
    if isinstance(identifier, str) and identifier.lower() in ("crossentropy", "ce"):
        identifier = losses.get(
            _by_shape(
                target, output, "binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"
            )
        )
    found = losses.get(identifier)
    if not isinstance(found, losses.Loss):
        found = FunctionLoss(found, name=getattr(found, "__name__", None))
    return found


def _by_shape(target: Any, output: Any, binary: str, categorical: str, sparse: str) -> str:
    """Which of three kinds of classification targets and outputs of these shapes are."""
    wide = output.shape[-1] if len(output.shape) else 1
    if wide == 1:
        return binary
    same = len(target.shape) == len(output.shape) and target.shape[-1] not in (1, None)
    return categorical if same else sparse


class CompiledMetrics:
    """The metrics of the outputs.

    Args:
        given, weighted: As given to `compile` as metrics and weighted_metrics.
        output_names: The model's, None where it has none of its own.
    """

    def __init__(self, given: Any, weighted: Any, output_names: list[str] | None) -> None:
        self.given, self.weighted, self.output_names = given, weighted, output_names
        # For each output: its metrics, and the weighted ones.
        self._parts: list[tuple[list[Any], list[Any]]] | None = None
        self.metrics: list[Any] = []
        self.names: list[str] = []

    @property
    def built(self) -> bool:
        return self._parts is not None

    def build(self, y: Any, y_pred: Any) -> None:
        """Makes the metrics, for targets and outputs like these."""
        outputs = Outputs(y_pred, self.output_names)
        targets = outputs.targets(y)
        several = len(outputs.values) > 1
        parts: list[tuple[list[Any], list[Any]]] = []
        seen: dict[str, Any] = {}
        kinds = [self._for_outputs(kind, outputs) for kind in (self.given, self.weighted)]
        for output, value, target, *identifiers in zip(outputs.names, outputs.values, targets, *kinds, strict=True):
            made: list[list[Any]] = [[], []]
            for weighted in (False, True):
                for identifier in identifiers[weighted]:
                    metric = _metric_object(identifier, target, value)
                    made[weighted].append(metric)
                    name = f"{output}_{metric.name}" if several else metric.name
                    if weighted and name in seen:
                        name = f"weighted_{name}"
                    seen[name] = metric
            parts.append((made[0], made[1]))
        self._parts, self.metrics, self.names = parts, list(seen.values()), list(seen)

    def _for_outputs(self, given: Any, outputs: Outputs) -> list[list[Any]]:
        if given is None:
            return [[] for _ in outputs.values]
        if _is_one(given):
            given = [given]
        if isinstance(given, dict):
            found = outputs.matched(given, "metrics", lambda g: False)
            return [[] if g is None else [g] if _is_one(g) else list(g) for g in found]
        if len(outputs.values) == 1:
            return [[g for g in tree.flatten(given) if g is not None]]
        if len(given) == len(outputs.values):
            return [[] if g is None else [g] if _is_one(g) else list(g) for g in given]
        raise ValueError(
            f"metrics has {len(given)} entries for {len(outputs.values)} outputs; give a list for each, or a dict by name."
        )

    def update_state(self, y: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Feeds a batch to every metric."""
        if self._parts is None:
            self.build(y, y_pred)
        outputs = Outputs(y_pred, self.output_names)
        targets, values = outputs.targets(y), outputs.values
        weights = (
            [sample_weight] * len(values)
            if _is_tensor(sample_weight)
            else outputs.targets(sample_weight, "sample_weight")
        )
        for (plain, weighted), target, value, weight in zip(self._parts or (), targets, values, weights, strict=True):
            mask = get_mask(value)
            for metric in plain:
                metric.update_state(target, value, **({} if mask is None else {"sample_weight": mask}))
            for metric in weighted:
                metric.update_state(target, value, sample_weight=_masked(weight, mask))

    def result(self) -> dict[str, Any]:
        """The results by name."""
        found: dict[str, Any] = {}
        for name, metric in zip(self.names, self.metrics, strict=True):
            value = metric.result()
            found.update(value if isinstance(value, dict) else {name: value})
        return found


def _masked(weight: Any, mask: Any) -> Any:
    if mask is None:
        return weight
    if weight is None:
        return mask
    mask = ops.cast(mask, weight.dtype)
    while len(mask.shape) > len(weight.shape):
        weight = ops.expand_dims(weight, -1)
    return ops.multiply(weight, mask)


def _metric_object(identifier: Any, target: Any, output: Any) -> Any:
    name = identifier if isinstance(identifier, str) else _name_of(identifier)
    if isinstance(identifier, str) and identifier.lower() in ("accuracy", "acc"):
        kind = _by_shape(target, output, "binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy")
        found = metrics.get(kind)
    elif isinstance(identifier, str) and identifier.lower() in ("crossentropy", "ce"):
        kind = _by_shape(
            target, output, "binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"
        )
        found = metrics.get(kind)
    else:
        found = metrics.get(identifier)
    if isinstance(found, metrics.Metric):
        if isinstance(identifier, str):
            found.name = identifier
        return found
    return metrics.MeanMetricWrapper(found, name=name)


def _name_of(function: Any) -> str | None:
    name = getattr(function, "__name__", getattr(function, "name", None))
    return "lambda" if name == "<lambda>" else name
