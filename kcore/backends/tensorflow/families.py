"""The family modules that make up the tensorflow backend's op table."""

from kcore.backends.tensorflow import create, elementwise, linalg, reduce, shape

MODULES = (create, elementwise, linalg, reduce, shape)
