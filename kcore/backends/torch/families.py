"""The family modules that make up the torch backend's op table."""

from kcore.backends.torch import create, elementwise, linalg, reduce, shape

MODULES = (create, elementwise, linalg, reduce, shape)
