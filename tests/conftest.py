"""Tests run on the reference backend unless they say otherwise, and see no settings of the user's own."""

from __future__ import annotations

import os
import tempfile

os.environ["KERAS_HOME"] = tempfile.mkdtemp(prefix="kcore-tests-")
os.environ["KCORE_BACKEND"] = "reference"
# Keras, to compare with. TensorFlow imports it on its own at times, and who is first decides on its backend.
os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest

from kcore import backends, config, dtype_policies

BACKENDS = ["reference", "jax", "tensorflow", "torch"]


@pytest.fixture(params=BACKENDS)
def backend(request):
    """Each backend in turn, active for the test."""
    if request.param not in backends.installed():
        pytest.skip(f"{request.param} is not installed")
    with backends.use(request.param) as active:
        yield active


@pytest.fixture(autouse=True)
def _settings_stay():
    """What a test sets process-wide is put back."""
    floatx, layout, policy = config.floatx(), config.image_data_format(), dtype_policies._global
    default = backends.default().name
    yield
    if config.floatx() != floatx:
        config.set_floatx(floatx)
    config.set_image_data_format(layout)
    dtype_policies._global = policy
    if backends.default().name != default:
        backends.set_default(default)
