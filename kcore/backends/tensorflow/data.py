"""tf.data data sets from Python ones."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def dataset_of(batches: Any, specs: Any) -> Any:
    """A tf.data.Dataset with the items of a sequence.

    Args:
        batches: Has a length, and items by index.
        specs: (shape, dtype) of an item, or a tuple of them.
    """
    pairs = specs if isinstance(specs[0], tuple) and isinstance(specs[0][0], tuple) else (specs,)
    signature = tuple(tf.TensorSpec(shape, dtype) for shape, dtype in pairs)
    made = tf.data.Dataset.from_generator(
        lambda: (batches[i] for i in range(len(batches))),
        output_signature=signature[0] if pairs is not specs else signature,
    )
    return made.apply(tf.data.experimental.assert_cardinality(len(batches))).prefetch(tf.data.AUTOTUNE)
