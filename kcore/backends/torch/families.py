"""The family modules that make up the torch backend's op table."""

from kcore.backends.torch import activate, create, elementwise, linalg, reduce, shape

MODULES = (activate, create, elementwise, linalg, reduce, shape)
