"""The family modules that make up the reference backend's op table."""

from kcore.backends.reference import create, elementwise, linalg, reduce, shape

MODULES = (create, elementwise, linalg, reduce, shape)
