"""Loss ops in JAX."""

from __future__ import annotations

import jax
import numpy as np

from kcore import ops
from kcore.backends.beams import beam_search


def ctc_decode(inputs, sequence_lengths, strategy, beam_width, top_paths, merge_repeated, mask_index):
    if strategy == "greedy":
        return ops.ctc_decode.op.body(
            inputs, sequence_lengths, strategy, beam_width, top_paths, merge_repeated, mask_index
        )

    def search(logits, lengths):
        return beam_search(np.asarray(logits), np.asarray(lengths), beam_width, top_paths, mask_index)

    batch, steps, _ = inputs.shape
    shapes = (
        jax.ShapeDtypeStruct((top_paths, batch, steps), "int32"),
        jax.ShapeDtypeStruct((batch, top_paths), inputs.dtype),
    )
    return jax.pure_callback(search, shapes, jax.lax.stop_gradient(inputs), sequence_lengths)
