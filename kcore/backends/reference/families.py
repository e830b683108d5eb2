"""The family modules that make up the reference backend's op table."""

from kcore.backends.reference import activate, create, elementwise, linalg, reduce, shape

MODULES = (activate, create, elementwise, linalg, reduce, shape)
