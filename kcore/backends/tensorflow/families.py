"""The family modules that make up the tensorflow backend's op table."""

from kcore.backends.tensorflow import activate, create, elementwise, linalg, reduce, shape

MODULES = (activate, create, elementwise, linalg, reduce, shape)
