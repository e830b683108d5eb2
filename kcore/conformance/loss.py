"""Records of the loss ops."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import scipy.special as special
from numpy import inf, nan

from kcore import ops
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.samples import FLOATS, arrays, draw, ints, whole

EPSILON = 1e-7  # config.epsilon()
TOL = {"float64": 1e-14, "float32": 2e-6, "float16": 2e-2, "bfloat16": 1e-1}
scored = functools.partial(Case, tol=TOL, dtypes=FLOATS)


def share(*shape: int, seed: int = 0) -> np.ndarray:
    """Positive numbers that add up to 1 along the last axis."""
    return special.softmax(draw(*shape, seed=seed), -1)


def log_probabilities(output, from_logits, axis):
    if from_logits:
        return special.log_softmax(output, axis)
    with np.errstate(all="ignore"):
        p = output / np.sum(output, axis, keepdims=True)
    return np.log(np.clip(p, EPSILON, 1 - EPSILON))


def crossentropy(target, output, from_logits=False, axis=-1):
    return -np.sum(target * log_probabilities(output, from_logits, axis), axis)


def sparse_crossentropy(target, output, from_logits=False, axis=-1):
    target = np.asarray(target).astype("int64")
    if target.ndim == output.ndim:
        target = np.squeeze(target, axis)
    moved = np.moveaxis(log_probabilities(output, from_logits, axis), axis, -1)
    one_hot = target[..., None] == np.arange(moved.shape[-1])
    return -np.sum(np.where(one_hot, moved, 0), -1)


def binary(target, output, from_logits=False):
    if from_logits:
        return np.logaddexp(0, output) - output * target
    p = np.clip(output, EPSILON, 1 - EPSILON)
    return -target * np.log(p) - (1 - target) * np.log1p(-p)


scored(
    ops.categorical_crossentropy,
    crossentropy,
    samples=[
        Sample(share(4), share(4, seed=1)),
        Sample(share(3, 4), share(3, 4, seed=1)),
        Sample(share(3, 4), draw(3, 4, low=0.5, seed=1), why="probabilities in any scale"),
        Sample(share(3, 4), draw(3, 4, seed=1), from_logits=True),
        Sample(share(3, 4, 2), draw(3, 4, 2, seed=1), from_logits=True, axis=1),
        Sample(share(3, 4, 2), share(3, 4, 2, seed=1), axis=-3),
        arrays(np.eye(2), [[1e3, -1e3], [1e3, -1e3]], from_logits=True, expect=[0.0, 2e3], why="large logits"),
        arrays(
            [[1.0, 0.0], [1.0, 0.0]],
            [[0.0, 1.0], [1.0, 0.0]],
            expect=-np.log([EPSILON, 1 - EPSILON]),
            grad=False,
            why="certain, wrong and right",
        ),
        Sample(np.eye(2), np.zeros((2, 2)), expect=[nan, nan], grad=False, why="0 / 0 has no probabilities"),
        Sample(np.zeros((0, 3)), np.zeros((0, 3)), why="an empty batch"),
    ],
    errors=[
        Bad(np.ones((2, 3)), np.ones((3, 3)), match=r"same shape, not \(2, 3\) and \(3, 3\)"),
        Bad(np.ones(()), np.ones(()), match=r"at least 1 dimension"),
        Bad(np.ones((2, 3)), np.ones((2, 3)), axis=2, match=r"axis=2 is out of range"),
    ],
)
scored(
    ops.sparse_categorical_crossentropy,
    sparse_crossentropy,
    samples=[
        Sample(whole(3, high=4), share(3, 4)),
        Sample(whole(3, high=4), draw(3, 4, low=0.5), why="probabilities in any scale"),
        Sample(whole(3, high=4), draw(3, 4), from_logits=True),
        Sample(whole(3, 1, high=4), draw(3, 4), from_logits=True, why="targets may keep the axis"),
        Sample(whole(3, 2, high=4), draw(3, 4, 2), from_logits=True, axis=1),
        Sample(whole(3, 2, high=4), draw(3, 2, 4), from_logits=True),
        ints([0, 1, 2], draw(3, 4), from_logits=True, dtype="uint8"),
        ints([0, 1, 2], draw(3, 4), from_logits=True, dtype="int64"),
        arrays(
            [-1, 4, 2], np.zeros((3, 4)), from_logits=True, expect=[0.0, 0.0, np.log(4)], why="no such class: no loss"
        ),
        arrays([0, 1], [[1e3, -1e3], [1e3, -1e3]], from_logits=True, expect=[0.0, 2e3], why="large logits"),
        arrays([0], [[0.0, 1.0]], expect=-np.log([EPSILON]), grad=False, why="certain and wrong"),
        Sample(np.zeros((0,), "int32"), np.zeros((0, 3)), why="an empty batch"),
    ],
    errors=[
        Bad(np.zeros((3,), "int32"), np.ones((2, 3)), match=r"target should have .* \(2,\), not \(3,\)"),
        Bad(np.zeros((2, 2), "int32"), np.ones((2, 3)), match=r"target should have"),
        Bad(np.zeros((), "int32"), np.ones(()), match=r"at least 1 dimension"),
    ],
    grad=("output",),
)
scored(
    ops.binary_crossentropy,
    binary,
    samples=[
        Sample(share(5), share(5, seed=1)),
        Sample(share(3, 4), share(3, 4, seed=1), why="integers would be certain: far out on another scale"),
        Sample(share(3, 4), draw(3, 4, seed=1), from_logits=True),
        Sample(whole(3, 4, high=2), draw(3, 4, seed=1), from_logits=True),
        arrays(
            [0.0, 1.0, 0.0, 1.0],
            [-100.0, -100.0, 100.0, 100.0],
            from_logits=True,
            expect=[0.0, 100.0, 100.0, 0.0],
            why="far out",
        ),
        arrays([0.25], [0.0], from_logits=True, expect=[np.log(2)], gradient=[[0.0], [0.25]], why="smooth at 0"),
        arrays([1.0], [15.0], from_logits=True, expect=np.log1p(np.exp([-15.0])), why="a small loss keeps its digits"),
        arrays([0.0, 1.0], [-inf, 0.0], from_logits=True, expect=[nan, np.log(2)], grad=False, why="inf * 0"),
        arrays(
            [1.0, 0.0, 1.0],
            [0.0, 0.0, 1.0],
            expect=-np.log([EPSILON, 1 - EPSILON, 1 - EPSILON]),
            grad=False,
            dtypes=("float64",),
            why="certain, wrong and right",
        ),
        arrays([1.0, 0.0], [0.0, 1.0], grad=False, dtypes=("float64",), why="certain and wrong"),
        arrays([nan, 0.5], [0.5, nan], expect=[nan, nan], grad=False, why="nan in, nan out"),
        Sample(np.zeros((0, 3)), np.zeros((0, 3)), why="an empty batch"),
    ],
    errors=[Bad(np.ones((2, 3)), np.ones((2, 1)), match=r"same shape, not \(2, 3\) and \(2, 1\)")],
)


# -- connectionist temporal classification ----------------------------------------------


def ctc(target, output, target_length, output_length, mask_index=0):
    """-log of the sum over all alignments, by trying every one."""
    log_p = special.log_softmax(output, -1)
    losses = []
    for labels, row, count, steps in zip(target, log_p, target_length, output_length):
        total = -inf
        for path in itertools.product(range(row.shape[1]), repeat=int(steps)):
            spelled = [c for c, _ in itertools.groupby(path) if c != mask_index]
            if spelled == list(labels[: int(count)]):
                total = np.logaddexp(total, sum(row[t, c] for t, c in enumerate(path)))
        losses.append(-total)
    return np.array(losses)


def lengths(*values):
    return np.array(values, "int32")


CTC_TARGET = np.array([[1, 2], [2, 2], [1, 0]], "int32")
scored(
    ops.ctc_loss,
    ctc,
    samples=[
        Sample(CTC_TARGET, draw(3, 4, 3), lengths(2, 2, 1), lengths(4, 3, 4)),
        Sample(CTC_TARGET, draw(3, 4, 4), lengths(2, 1, 1), lengths(4, 3, 2), mask_index=3),
        Sample(CTC_TARGET, 50 * draw(3, 4, 3), lengths(2, 2, 1), lengths(4, 4, 4), why="sharp outputs"),
        Sample(CTC_TARGET, draw(3, 4, 3), lengths(0, 0, 0), lengths(4, 3, 1), why="only blanks"),
        Sample(
            CTC_TARGET[:1],
            draw(1, 4, 3) + np.array([0.0, 0.0, 0.0, nan])[:, None],
            lengths(2),
            lengths(3),
            why="nan after the steps that count, without gradients either",
        ),
        Sample(CTC_TARGET[1:2], draw(1, 3, 3), lengths(2), lengths(3), why="just long enough, with a blank between"),
        Sample(
            CTC_TARGET[1:2],
            draw(1, 3, 3),
            lengths(2),
            lengths(2),
            expect=[inf],
            gradient=np.zeros((1, 3, 3)),
            why="too short: equal labels need a blank between",
        ),
    ],
    errors=[
        Bad(CTC_TARGET[0], draw(3, 4, 3), lengths(2, 2, 1), lengths(4, 3, 4), match=r"target should have 2 dimensions"),
        Bad(CTC_TARGET, draw(4, 3), lengths(2, 2, 1), lengths(4, 3, 4), match=r"output should have 3 dimensions"),
        Bad(CTC_TARGET[:2], draw(3, 4, 3), lengths(2, 2, 1), lengths(4, 3, 4), match=r"batch size differs"),
        Bad(CTC_TARGET, draw(3, 4, 3), lengths(2, 2, 1), lengths(4, 3, 4), 3, match=r"mask_index=3 is no class"),
    ],
    grad=("output",),
)


def greedy(logits, sequence_lengths, mask_index, merge_repeated):
    paths, scores = np.full((1, *logits.shape[:2]), -1), []
    for i, (row, count) in enumerate(zip(logits, sequence_lengths)):
        best = list(row[:count].argmax(-1))
        spelled = [c for c, _ in itertools.groupby(best)] if merge_repeated else best
        kept = [c for c in spelled if c != mask_index]
        paths[0, i, : len(kept)] = kept
        scores.append([-row[:count].max(-1, initial=-inf).sum()])
    return paths.astype("int32"), np.array(scores)


def exhaustive(logits, sequence_lengths, top_paths, mask_index):
    """The most probable sequences, from the probability of every alignment."""
    log_p = special.log_softmax(logits, -1)
    batch, steps, classes = logits.shape
    paths, scores = np.full((top_paths, batch, steps), -1), np.full((batch, top_paths), -inf)
    for i in range(batch):
        total: dict[tuple, float] = {}
        for path in itertools.product(range(classes), repeat=int(sequence_lengths[i])):
            spelled = tuple(c for c, _ in itertools.groupby(path) if c != mask_index)
            total[spelled] = np.logaddexp(total.get(spelled, -inf), sum(log_p[i, t, c] for t, c in enumerate(path)))
        for k, (spelled, score) in enumerate(sorted(total.items(), key=lambda e: -e[1])[:top_paths]):
            paths[k, i, : len(spelled)] = spelled
            scores[i, k] = score
    return paths.astype("int32"), scores


def decoded(
    inputs, sequence_lengths, strategy="greedy", beam_width=100, top_paths=1, merge_repeated=True, mask_index=0
):
    if strategy == "greedy":
        return greedy(inputs, sequence_lengths, mask_index, merge_repeated)
    return exhaustive(inputs, sequence_lengths, top_paths, mask_index)


Case(
    ops.ctc_decode,
    decoded,
    samples=[
        Sample(draw(3, 5, 4), lengths(5, 3, 1)),
        Sample(draw(3, 5, 4), lengths(5, 3, 1), merge_repeated=False),
        Sample(draw(3, 5, 3), lengths(5, 3, 0), mask_index=2),
        Sample(draw(2, 4, 3), lengths(4, 3), "beam_search", 100, 3),
        Sample(draw(2, 4, 3), lengths(4, 2), strategy="beam_search", mask_index=2),
        Sample(draw(1, 1, 2), lengths(1), strategy="beam_search", top_paths=3, why="fewer paths than asked for"),
    ],
    errors=[
        Bad(draw(5, 4), lengths(5, 3, 1), match=r"inputs should have 3 dimensions"),
        Bad(draw(3, 5, 4), lengths(5, 3), match=r"batch size differs"),
        Bad(draw(3, 5, 4), lengths(5, 3, 1), "best", match=r"strategy='best' should be one of 'greedy', 'beam_search'"),
        Bad(draw(3, 5, 4), lengths(5, 3, 1), "beam_search", 2, 3, match=r"top_paths=3 should be at most beam_width=2"),
        Bad(draw(3, 5, 4), lengths(5, 3, 1), mask_index=4, match=r"mask_index=4 is no class"),
    ],
    tol=TOL,
    grad=False,
)
