"""Control flow in TensorFlow: Python's own in eager calls, the graph's inside tf.function."""

from __future__ import annotations

import tensorflow as tf

stop_gradient = tf.stop_gradient
