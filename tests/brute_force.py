"""Ops from their definitions, element by element: slow, obvious, and sharing no idea with the records' formulas."""

from __future__ import annotations

import itertools
import math

import numpy as np


def conv2d(x, w, stride, dilation, pad):
    """Channels-last images with `pad` zeros on each side."""
    batch, height, width, channels = x.shape
    rows, columns, _, filters = w.shape
    high = (height + 2 * pad - (rows - 1) * dilation - 1) // stride + 1
    wide = (width + 2 * pad - (columns - 1) * dilation - 1) // stride + 1
    y = np.zeros((batch, high, wide, filters))
    for b, i, j, f in np.ndindex(*y.shape):
        terms = []
        for p, q, c in np.ndindex(rows, columns, channels):
            at, to = i * stride + p * dilation - pad, j * stride + q * dilation - pad
            if 0 <= at < height and 0 <= to < width:
                terms.append(x[b, at, to, c] * w[p, q, c, f])
        y[b, i, j, f] = math.fsum(terms)
    return y


def attention(query, key, value, causal):
    """(batch, length, heads, depth)."""
    batch, length, heads, depth = query.shape
    y = np.zeros((batch, length, heads, value.shape[-1]))
    for b, i, h in np.ndindex(batch, length, heads):
        seen = range(i + 1) if causal else range(key.shape[1])
        weights = [math.exp(math.fsum(query[b, i, h] * key[b, j, h]) / math.sqrt(depth)) for j in seen]
        for d in range(value.shape[-1]):
            total = math.fsum(w * value[b, j, h, d] for w, j in zip(weights, seen, strict=True))
            y[b, i, h, d] = total / math.fsum(weights)
    return y


def ctc_loss(labels, logits, blank=0):
    """-log of the probability of all paths that read as `labels`: repeats merged, then blanks dropped."""
    steps, classes = logits.shape
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    total = []
    for path in itertools.product(range(classes), repeat=steps):
        read = [c for c, _ in itertools.groupby(path) if c != blank]
        if read == list(labels):
            total.append(math.prod(p[t, c] for t, c in enumerate(path)))
    return -math.log(math.fsum(total))


def determinant(x):
    """Leibniz's sum over permutations."""
    n = len(x)
    total = []
    for order in itertools.permutations(range(n)):
        swaps = sum(a > b for a, b in itertools.combinations(order, 2))
        total.append((-1) ** swaps * math.prod(x[i, j] for i, j in enumerate(order)))
    return math.fsum(total)


def fourier(x):
    """The discrete Fourier transform as its sum."""
    n = len(x)
    turn = [
        [x[j] * complex(math.cos(2 * math.pi * j * k / n), -math.sin(2 * math.pi * j * k / n)) for j in range(n)]
        for k in range(n)
    ]
    return np.array([complex(math.fsum(z.real for z in row), math.fsum(z.imag for z in row)) for row in turn])
