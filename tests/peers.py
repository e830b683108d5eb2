"""Keras itself, to compare with: imported on first use, without touching the settings of this process."""

from __future__ import annotations

import functools
import os

import pytest


@functools.cache
def keras():
    """The installed Keras 3, on JAX. Skips the test where it is not installed."""
    pytest.importorskip("jax")
    before = os.environ.get("KERAS_BACKEND")
    os.environ["KERAS_BACKEND"] = "jax"
    try:
        return pytest.importorskip("keras")
    finally:
        if before is None:
            del os.environ["KERAS_BACKEND"]
        else:
            os.environ["KERAS_BACKEND"] = before
