"""Loss ops: crossentropies between targets and predictions.

Predictions are logits (any real numbers), or probabilities, which are kept `config.epsilon()`
away from 0 (and, for two classes, from 1) so that no loss is infinite. Probabilities in
16-bit floats are taken as float32, where 1 - epsilon is not 1.
"""

from __future__ import annotations

from kcore import backends, config, dtypes, ops
from kcore.backends.beams import beam_search
from kcore.ops import rules
from kcore.ops.mechanism import Plan, Tensor, op
from kcore.ops.numerics import narrow, present, wide
from kcore.ops.symbolic import Shape, Spec


def _require_same(target: Spec, output: Spec) -> None:
    if not rules.agree(target.shape, output.shape):
        raise ValueError(f"target and output should have the same shape, not {target.shape} and {output.shape}.")


def _merged(a: Shape, b: Shape) -> Shape:
    """One shape from two that agree: a size that either knows is known."""
    return tuple(y if x is None else x for x, y in zip(a, b, strict=True))


def _without(shape: Shape, axis: int) -> Shape:
    return tuple(d for i, d in enumerate(shape) if i != axis)


def _classwise(target: Spec, output: Spec, from_logits: bool, axis: int) -> Plan:
    if output.ndim < 1:
        raise ValueError("output should have at least 1 dimension: that of the classes.")
    _require_same(target, output)
    at = rules.normalize_axis(axis, output.ndim, output.shape)
    dtype = dtypes.float_of(output.dtype)
    return Plan(_without(_merged(output.shape, target.shape), at), dtype, cast=dtype, axis=at)


def _sparse(target: Spec, output: Spec, from_logits: bool, axis: int) -> Plan:
    if output.ndim < 1:
        raise ValueError("output should have at least 1 dimension: that of the classes.")
    at = rules.normalize_axis(axis, output.ndim, output.shape)
    shape = _without(output.shape, at)
    given = target.shape
    if len(given) == output.ndim and given[at] == 1:
        given = _without(given, at)
    if not rules.agree(given, shape):
        raise ValueError(
            f"target should have the shape of output without its classes, {shape}, "
            f"not {target.shape}; output has shape {output.shape} and axis={axis!r}."
        )
    dtype = dtypes.float_of(output.dtype)
    integer = target.dtype if dtypes.is_int(target.dtype) and not dtypes.is_weak(target.dtype) else "int32"
    return Plan(_merged(shape, given), dtype, cast={"target": integer, "output": dtype}, axis=at)


def _elementwise(target: Spec, output: Spec, from_logits: bool) -> Plan:
    _require_same(target, output)
    dtype = dtypes.float_of(output.dtype)
    return Plan(_merged(output.shape, target.shape), dtype, cast=dtype)


def _log_probabilities(output: Tensor, from_logits: bool, axis: int) -> Tensor:
    """log(p) for each class, where p adds up to 1 along `axis`; for 16-bit probabilities in float32."""
    if from_logits:
        return ops.log_softmax(output, axis)
    p = wide(output)
    p = p / ops.sum(p, axis, keepdims=True)
    epsilon = config.epsilon()
    return ops.log(ops.clip(p, epsilon, 1 - epsilon))


@op(rule=_classwise)
def categorical_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False, axis: int = -1) -> Tensor:
    """-sum(target * log(p)) over the classes.

    Args:
        target: Probabilities (or one-hot), of the shape of `output`.
        output: Logits, or probabilities in any scale: they are divided by their sum.
        from_logits: Whether `output` holds logits; p is then their softmax.
        axis: The axis of the classes.

    Returns:
        The shape of `output` without `axis`, in its float dtype. Probabilities that are all 0
        give nan.

    Raises:
        ValueError: The shapes differ, there is no axis, or it is out of range.

    >>> ops.categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]])
    Tensor([0.6931], dtype=float32)
    """
    log_p = _log_probabilities(output, from_logits, axis)
    return narrow(-ops.sum((target if from_logits else wide(target)) * log_p, axis), dtypes.name_of(output.dtype))


@op(rule=_sparse)
def sparse_categorical_crossentropy(
    target: Tensor, output: Tensor, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """-log(p) of the class that each target names.

    Args:
        target: Class numbers, of the shape of `output` without `axis`, or with size 1 there.
            Floats are cut to integers. A number that is no class gives loss and gradient 0.
        output: Logits, or probabilities in any scale: they are divided by their sum.
        from_logits: Whether `output` holds logits; p is then their softmax.
        axis: The axis of the classes.

    Returns:
        The shape of `output` without `axis`, in its float dtype.

    Raises:
        ValueError: The shapes don't fit, there is no axis, or it is out of range.

    >>> ops.sparse_categorical_crossentropy([1], [[0.0, 100.0]], from_logits=True)
    Tensor([-0.], dtype=float32)
    """
    log_p = _log_probabilities(output, from_logits, axis)
    if len(target.shape) < len(output.shape):
        target = ops.expand_dims(target, axis)
    valid = ops.logical_and(target >= 0, target < ops.shape(output)[axis])
    picked = ops.take_along_axis(log_p, ops.where(valid, target, 0), axis)
    return narrow(ops.squeeze(ops.where(valid, -picked, 0), axis), dtypes.name_of(output.dtype))


@op(rule=_elementwise)
def binary_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False) -> Tensor:
    """-target * log(p) - (1 - target) * log(1 - p), element by element.

    Args:
        target: Probabilities, of the shape of `output`.
        output: Logits, or probabilities.
        from_logits: Whether `output` holds logits; p is then their sigmoid.

    Returns:
        The shape of `output`, in its float dtype.

    Raises:
        ValueError: The shapes differ.

    >>> ops.binary_crossentropy([1.0, 0.0], [0.5, 0.25])
    Tensor([0.6931, 0.2877], dtype=float32)
    """
    if from_logits:
        # softplus(x) - x target, with the large parts, which cancel, taken apart from the small one
        positive = ops.relu(output)
        return positive - output * target + ops.softplus(output - 2 * positive)
    epsilon = config.epsilon()
    target, p = wide(target), ops.clip(wide(output), epsilon, 1 - epsilon)
    loss = -(target * ops.log(p) + (1 - target) * ops.log1p(-p))
    return narrow(loss, dtypes.name_of(output.dtype))


# -- connectionist temporal classification ----------------------------------------------

# The log probability of what can't be: finite, so that no gradient meets inf - inf.
_NEVER = -1e30


def _aligned(target: Spec, output: Spec, target_length: Spec, output_length: Spec, mask_index: int) -> Plan:
    rules.require_ndim(target, 2, "target")
    rules.require_ndim(output, 3, "output")
    rules.require_ndim(target_length, 1, "target_length")
    rules.require_ndim(output_length, 1, "output_length")
    sizes = {s.shape[0] for s in (target, output, target_length, output_length)} - {None}
    if len(sizes) > 1:
        raise ValueError(
            f"the batch size differs in target {target.shape}, output {output.shape}, "
            f"target_length {target_length.shape} and output_length {output_length.shape}."
        )
    classes = output.shape[2]
    if classes is not None and not 0 <= mask_index < classes:
        raise ValueError(f"mask_index={mask_index!r} is no class; output of shape {output.shape} has {classes}.")
    dtype = dtypes.float_of(output.dtype)
    batch = next(iter(sizes), None)
    integers = dict.fromkeys(("target", "target_length", "output_length"), "int32")
    return Plan((batch,), dtype, cast={**integers, "output": dtype}, mask_index=int(mask_index))


@op(rule=_aligned)
def ctc_loss(
    target: Tensor, output: Tensor, target_length: Tensor, output_length: Tensor, mask_index: int = 0
) -> Tensor:
    """-log of the probability that the output spells the target, over all alignments (Graves et al. 2006).

    Args:
        target: (batch, labels) class numbers, without blanks up to `target_length`.
        output: (batch, steps, classes) logits.
        target_length: (batch,) how many labels count.
        output_length: (batch,) how many steps count, whatever stands at the others.
        mask_index: The class of the blank.

    Returns:
        (batch,), in the float dtype of `output`; inf, with gradient 0, where the target can't be
        spelled in that many steps.

    Raises:
        ValueError: A shape doesn't fit, or `mask_index` is no class.

    >>> logits = ops.zeros((1, 4, 3))  # class 0 is the blank
    >>> ops.ctc_loss([[1, 2]], logits, target_length=[2], output_length=[4])
    Tensor([1.6864], dtype=float32)
    """
    batch, steps, _ = ops.shape(output)
    log_p = ops.log_softmax(present(wide(output), ops.arange(steps) < output_length[:, None]), -1)
    dtype = dtypes.name_of(log_p.dtype)
    # A blank before, between and after the labels.
    blanks = ops.full_like(target, mask_index)
    states = ops.concatenate(
        [ops.reshape(ops.stack([blanks, target], 2), (batch, -1)), ops.full_like(target_length, mask_index)[:, None]], 1
    )
    count = ops.shape(states)[1]
    # From one label to the next without a blank, unless they are the same.
    skips = ops.logical_and(states[:, 2:] != states[:, :-2], states[:, 2:] != mask_index)
    skips = ops.pad(skips, ((0, 0), (2, 0)), constant_values=False)
    emitted = ops.take_along_axis(log_p, ops.broadcast_to(ops.expand_dims(states, 1), (batch, steps, count)), 2)
    first = ops.cast(ops.arange(count) == 0, dtype)
    start = ops.broadcast_to((1 - first) * _NEVER, (batch, count))

    def step(alpha: Tensor, given: tuple) -> tuple:
        log_e, t = given
        one = ops.pad(alpha[:, :-1], ((0, 0), (1, 0)), constant_values=_NEVER)
        two = ops.where(skips, ops.pad(alpha[:, :-2], ((0, 0), (2, 0)), constant_values=_NEVER), _NEVER)
        total = _log_sum(alpha, one, two)
        return ops.where((t < output_length)[:, None], total + log_e, alpha), None

    alpha, _ = ops.scan(step, start, (ops.transpose(emitted, (1, 0, 2)), ops.arange(steps)))
    end = 2 * target_length[:, None]
    last = ops.take_along_axis(alpha, end, 1)
    before = ops.where(end > 0, ops.take_along_axis(alpha, ops.maximum(end - 1, 0), 1), _NEVER)
    loss = -ops.squeeze(_log_sum(last, before), 1)
    return narrow(ops.where(loss > -0.1 * _NEVER, float("inf"), loss), dtypes.name_of(output.dtype))


def _log_sum(*parts: Tensor) -> Tensor:
    """log(sum of exp(part)), with a gradient of every order where a part is `_NEVER`."""
    peak = parts[0]
    for part in parts[1:]:
        peak = ops.maximum(peak, part)
    peak = ops.stop_gradient(peak)
    total = ops.exp(parts[0] - peak)
    for part in parts[1:]:
        total = total + ops.exp(part - peak)
    return peak + ops.log(total)


def _decoded(
    inputs: Spec,
    sequence_lengths: Spec,
    strategy: str,
    beam_width: int,
    top_paths: int,
    merge_repeated: bool,
    mask_index: int,
) -> Plan:
    rules.require_ndim(inputs, 3, "inputs")
    rules.require_ndim(sequence_lengths, 1, "sequence_lengths")
    rules.one_of(strategy, ("greedy", "beam_search"), "strategy")
    batch, steps, classes = inputs.shape
    if not rules.agree((batch,), sequence_lengths.shape):
        raise ValueError(
            f"the batch size differs in inputs {inputs.shape} and sequence_lengths {sequence_lengths.shape}."
        )
    if classes is not None and not 0 <= mask_index < classes:
        raise ValueError(f"mask_index={mask_index!r} is no class; inputs of shape {inputs.shape} have {classes}.")
    (beam_width,) = rules.integers(beam_width, 1, "beam_width")
    (top_paths,) = rules.integers(top_paths, 1, "top_paths")
    if strategy == "beam_search" and top_paths > beam_width:
        raise ValueError(f"top_paths={top_paths} should be at most beam_width={beam_width}.")
    paths = top_paths if strategy == "beam_search" else 1
    dtype = dtypes.float_of(inputs.dtype)
    batch = sequence_lengths.shape[0] if batch is None else batch
    return Plan.many(
        (Spec((paths, batch, steps), "int32"), Spec((batch, paths), dtype)),
        cast={"inputs": dtype, "sequence_lengths": "int32"},
        beam_width=beam_width,
        top_paths=top_paths,
        mask_index=int(mask_index),
    )


@op(rule=_decoded)
def ctc_decode(
    inputs: Tensor,
    sequence_lengths: Tensor,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: int = 0,
) -> tuple[Tensor, Tensor]:
    """The label sequences that the outputs of a model trained with `ctc_loss` spell.

    Args:
        inputs: (batch, steps, classes) logits.
        sequence_lengths: (batch,) how many steps count.
        strategy: "greedy" takes the greatest class at each step; "beam_search" follows several
            prefixes and adds up the alignments of each.
        beam_width: How many prefixes are followed.
        top_paths: How many sequences to return of a beam search.
        merge_repeated: For "greedy", whether a class that is greatest at neighbouring steps is one
            label.
        mask_index: The class of the blank.

    Returns:
        The sequences, int32 (paths, batch, steps), filled up with -1; and (batch, paths) of their
        log probabilities, or, for "greedy", of the negative sum of the greatest logits. They
        have no gradient.

    Raises:
        ValueError: A shape or option doesn't fit.

    >>> best = [[[0.1, 0.8, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]]  # the last class is the blank
    >>> ops.ctc_decode(best, sequence_lengths=[3], mask_index=2)[0]
    Tensor([[[ 1, -1, -1]]], dtype=int32)
    """
    if strategy == "beam_search":
        backend = backends.active()
        paths, scores = beam_search(
            backend.numpy(inputs), backend.numpy(sequence_lengths), beam_width, top_paths, mask_index
        )
        return backend.convert(paths), backend.convert(scores)
    inputs = ops.stop_gradient(inputs)
    best = ops.cast(ops.argmax(inputs, -1), "int32")
    steps = ops.expand_dims(ops.arange(ops.shape(inputs)[1]), 0)
    counts = steps < ops.expand_dims(sequence_lengths, 1)
    keep = ops.logical_and(counts, best != mask_index)
    if merge_repeated:
        before = ops.pad(best[:, :-1], ((0, 0), (1, 0)), constant_values=-1)
        keep = ops.logical_and(keep, best != before)
    # Kept labels first, in order.
    order = ops.argsort(ops.where(keep, steps, steps + ops.shape(inputs)[1]), -1)
    number = ops.sum(ops.cast(keep, "int32"), -1, keepdims=True)
    path = ops.where(steps < number, ops.take_along_axis(best, order, 1), -1)
    score = -ops.sum(ops.where(counts, ops.max(inputs, -1), 0), -1, keepdims=True)
    return ops.expand_dims(path, 0), score
