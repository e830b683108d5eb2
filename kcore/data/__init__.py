"""Datasets in: what ships with kcore, and the adapters that `fit` reads from."""

from kcore.data import digits

__all__ = ["digits"]
