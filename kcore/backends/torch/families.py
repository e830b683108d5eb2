"""The family modules that make up the torch backend's op table."""

from kcore.backends.torch import activate, attention, create, elementwise, linalg, reduce, shape

MODULES = (activate, attention, create, elementwise, linalg, reduce, shape)
