"""`Loss`: what losses have in common, and how sample weights, masks and reductions make one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kcore import backends, config, dtype_policies, naming, ops, tree
from kcore.layers import masks
from kcore.losses.functions import same_rank

REDUCTIONS = ("sum", "mean", "sum_over_batch_size", "mean_with_sample_weight", "none", None)


def checked_reduction(reduction: str | None) -> str | None:
    """`reduction` if it is one.

    Raises:
        ValueError: It is not.
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction={reduction!r} should be one of {', '.join(map(repr, REDUCTIONS))}.")
    return reduction


class Loss:
    """A loss. A subclass defines `call(y_true, y_pred)`, which returns a loss for each sample.

    Args:
        name: Its name; made from the class's unless given.
        reduction: What becomes of the samples' losses. "sum_over_batch_size" and "mean" divide
            their sum by their number, masked ones not counted; "mean_with_sample_weight" by the
            sum of the weights; "sum" adds, "none" or None leaves them. Without any samples, or with all
            masked, a mean is 0.
        dtype: What it computes in: a dtype or policy; the default float unless given.

    Raises:
        ValueError: The reduction or dtype is none.
    """

    integer_targets = False  # whether `call` takes targets in their own dtype, not in the loss's

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: Any = None
    ) -> None:
        self.name = naming.auto_name(type(self).__name__) if name is None else name
        self.reduction = checked_reduction(reduction)
        self._dtype_policy = dtype_policies.get(config.floatx() if dtype is None else dtype)

    @property
    def dtype(self) -> str:
        return self._dtype_policy.compute_dtype

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """A loss for each sample, or each position of one."""
        raise NotImplementedError(f"{type(self).__name__} has no call method.")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The loss: a scalar, unless the reduction is "none".

        Args:
            y_true, y_pred: Tensors, or structures of them. A mask that `y_pred` carries leaves
                its positions out.
            sample_weight: A weight for each sample, or each position of one: the leading axes of
                the losses, or what broadcasts with them.
        """
        with backends.active().full_width(self.dtype), masks.mask_scope():
            convert_target = ops.convert_to_tensor if self.integer_targets else self._cast
            if tree.is_nested(y_pred) or tree.is_nested(y_true):
                first = tree.flatten(y_pred)
                given = masks.get_mask(first[0]) if len(first) == 1 else None
                y_pred, y_true = tree.map_structure(self._cast, y_pred), tree.map_structure(convert_target, y_true)
            else:
                given = masks.get_mask(y_pred)
                y_pred, y_true = self._cast(y_pred), convert_target(y_true)
            losses = self.call(y_true, y_pred)
            found = masks.get_mask(losses)
            if given is not None and found is not None:
                found = ops.logical_and(given, found)
            return reduce_losses(losses, sample_weight, given if found is None else found, self.reduction)

    def _cast(self, x: Any) -> Any:
        return ops.convert_to_tensor(x, dtype=self.dtype)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**config)


class FunctionLoss(Loss):
    """A loss function as a Loss.

    Args:
        fn: Takes `y_true`, `y_pred` and the options.
        reduction, name, dtype: As for `Loss`.
        options: Passed to `fn`, and kept in the config.
    """

    def __init__(
        self,
        fn: Callable,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(name or fn.__name__, reduction, dtype)
        self.fn, self._options = fn, options

    def __getattr__(self, name: str) -> Any:
        options = self.__dict__.get("_options", {})
        if name in options:
            return options[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        if tree.is_nested(y_pred) or tree.is_nested(y_true):
            return self.fn(y_true, y_pred, **self._options)
        y_true, y_pred = (y_true, y_pred) if self.integer_targets else same_rank(y_true, y_pred)
        return self.fn(y_true, y_pred, **self._options)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._options}

    def __repr__(self) -> str:
        options = "".join(f", {k}={v!r}" for k, v in self._options.items())
        return f"<{type(self).__name__} name={self.name}, reduction={self.reduction}{options}>"


def reduce_losses(losses: Any, sample_weight: Any, mask: Any, reduction: str | None) -> Any:
    """Losses weighted, masked and reduced."""
    losses = ops.convert_to_tensor(losses)
    dtype = losses.dtype
    if sample_weight is not None:
        sample_weight = aligned(ops.cast(ops.convert_to_tensor(sample_weight), dtype), losses)
    if mask is not None:
        mask = aligned(ops.cast(ops.convert_to_tensor(mask), dtype), losses)
        sample_weight = mask if sample_weight is None else sample_weight * mask
    if sample_weight is not None:
        losses = losses * sample_weight
    if reduction in ("none", None):
        return losses
    if sample_weight is None and reduction != "sum" and all(losses.shape):  # sizes that are known, and not 0
        return ops.mean(losses)
    total = ops.sum(losses)
    if reduction == "sum":
        return total
    if reduction == "mean_with_sample_weight" and sample_weight is not None:
        return ops.divide_no_nan(total, _spread_sum(sample_weight, losses))
    if mask is not None:
        return ops.divide_no_nan(total, _spread_sum(mask, losses))
    return ops.divide_no_nan(total, ops.cast(ops.size(losses), dtype))


def _spread_sum(weight: Any, losses: Any) -> Any:
    """The sum of weights, each counted for every loss that it goes to."""
    return ops.sum(ops.broadcast_to(weight, ops.shape(losses)))


def aligned(weight: Any, losses: Any) -> Any:
    """Weights or a mask with as many axes as the losses: one for each sample spreads over the sample's positions."""
    have, want = len(weight.shape), len(losses.shape)
    while have > want and weight.shape[-1] == 1:
        weight, have = ops.squeeze(weight, -1), have - 1
    leading = all(w in (1, None, s) or s is None for w, s in zip(weight.shape, losses.shape, strict=False))
    if 0 < have < want and leading:
        weight = ops.reshape(weight, (*ops.shape(weight), *[1] * (want - have)))
    return weight
