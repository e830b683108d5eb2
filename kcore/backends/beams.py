"""Beam search for connectionist temporal classification: plain NumPy, for every backend."""

from __future__ import annotations

import numpy as np


def beam_search(
    logits: np.ndarray, lengths: np.ndarray, beam_width: int, top_paths: int, mask_index: int
) -> tuple[np.ndarray, np.ndarray]:
    """The most probable label sequences (prefix beam search, Hannun et al. 2014).

    Args:
        logits: (batch, steps, classes).
        lengths: (batch,) how many steps count.
        beam_width: How many prefixes are followed.
        top_paths: How many sequences to return.
        mask_index: The class of the blank.

    Returns:
        int32 (top_paths, batch, steps), filled up with -1, and the log probabilities
        (batch, top_paths) in the dtype of `logits`; -inf for paths that there are not.
    """
    batch, steps, _ = logits.shape
    paths = np.full((top_paths, batch, steps), -1, "int32")
    scores = np.full((batch, top_paths), -np.inf)
    for i in range(batch):
        wide = logits[i, : int(lengths[i])].astype("float64")
        with np.errstate(all="ignore"):
            peak = np.max(wide, -1, keepdims=True, initial=-np.inf)
            log_p = wide - peak - np.log(np.sum(np.exp(wide - peak), -1, keepdims=True))
            found = _search(log_p, beam_width, mask_index)
        for k, (prefix, score) in enumerate(found[:top_paths]):
            paths[k, i, : len(prefix)] = prefix
            scores[i, k] = score
    return paths, scores.astype(logits.dtype)


def _search(log_p: np.ndarray, width: int, blank: int) -> list[tuple[tuple[int, ...], float]]:
    """Prefixes and their log probabilities, best first."""
    prefixes: list[tuple[int, ...]] = [()]
    # Of a prefix: the log probability of the alignments that end in a blank, and of those that don't.
    ends_blank, ends_label = np.zeros(1), np.full(1, -np.inf)
    classes = log_p.shape[1]
    for row in log_p:
        either = np.logaddexp(ends_blank, ends_label)
        last = np.array([p[-1] if p else -1 for p in prefixes])
        labelled = last >= 0
        stay_blank = either + row[blank]
        stay_label = np.where(labelled, ends_label + row[last], -np.inf)
        # One more label; the same as the last only after a blank.
        grown = either[:, None] + row[None]
        at = np.flatnonzero(labelled)
        grown[at, last[at]] = ends_blank[at] + row[last[at]]
        grown[:, blank] = -np.inf
        # A prefix that has grown into another one adds to it.
        index = {p: k for k, p in enumerate(prefixes)}
        for k, p in enumerate(prefixes):
            parent = index.get(p[:-1]) if p else None
            if parent is not None:
                stay_label[k] = np.logaddexp(stay_label[k], grown[parent, p[-1]])
                grown[parent, p[-1]] = -np.inf
        total = np.concatenate([np.logaddexp(stay_blank, stay_label), grown.ravel()])
        best = np.argsort(-total, kind="stable")[:width]
        best = best[np.isfinite(total[best])]
        count = len(prefixes)
        chosen = []
        for b in best:
            if b < count:
                chosen.append((prefixes[b], stay_blank[b], stay_label[b]))
            else:
                parent, label = divmod(int(b) - count, classes)
                chosen.append(((*prefixes[parent], label), -np.inf, grown[parent, label]))
        prefixes = [p for p, _, _ in chosen]
        ends_blank, ends_label = (np.array([c[n] for c in chosen]) for n in (1, 2))
    either = np.logaddexp(ends_blank, ends_label)
    return [(prefixes[k], float(either[k])) for k in np.argsort(-either, kind="stable")]
