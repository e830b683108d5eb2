"""Keras itself, to compare with: imported on first use. `conftest` has chosen its backend, JAX."""

from __future__ import annotations

import functools

import pytest


@functools.cache
def keras():
    """The installed Keras 3. Skips the test where it is not installed."""
    pytest.importorskip("jax")
    return pytest.importorskip("keras")
