"""Loss ops in TensorFlow."""

from __future__ import annotations

import tensorflow as tf

from kcore import ops
from kcore.backends.beams import beam_search


def ctc_decode(inputs, sequence_lengths, strategy, beam_width, top_paths, merge_repeated, mask_index):
    if strategy == "greedy":
        return ops.ctc_decode.op.body(
            inputs, sequence_lengths, strategy, beam_width, top_paths, merge_repeated, mask_index
        )

    def search(logits, lengths):
        return beam_search(logits, lengths, beam_width, top_paths, mask_index)

    paths, scores = tf.numpy_function(search, (inputs, sequence_lengths), (tf.int32, inputs.dtype))
    paths.set_shape((top_paths, *inputs.shape[:2]))
    scores.set_shape((inputs.shape[0], top_paths))
    return paths, scores
