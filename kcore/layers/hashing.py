"""Hashing and HashedCrossing: categories of any kind as numbers below a bound, without a vocabulary.

The hashes are those of Keras, so that models move between the two: FarmHash's 64-bit fingerprint, or SipHash-2-4
where there is a salt.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from kcore import dtypes, ops
from kcore.layers.arguments import config_of, positive
from kcore.layers.encode import MODES, check_sparse, encoded, encoded_shape
from kcore.layers.preprocess import DataLayer
from kcore.layers.strings import as_text, on_host
from kcore.ops.symbolic import KerasTensor

_BITS = (1 << 64) - 1
_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F


def fingerprint(data: bytes) -> int:
    """FarmHash's Fingerprint64 (Pike 2014): the same on every machine."""
    n = len(data)
    if n <= 16:
        return _short(data, n)
    if n <= 32:
        return _mid(data, n)
    return _long(data, n) if n <= 64 else _longest(data, n)


def _at(data: bytes, i: int) -> int:
    return int.from_bytes(data[i : i + 8], "little")


def _rotated(x: int, by: int) -> int:
    x &= _BITS
    return ((x >> by) | (x << (64 - by))) & _BITS


def _mixed(x: int) -> int:
    x &= _BITS
    return x ^ (x >> 47)


def _folded(u: int, v: int, mul: int) -> int:
    """Murmur's 128 bits to 64."""
    a = _mixed((u ^ v) * mul)
    return (_mixed((v ^ a) * mul) * mul) & _BITS


def _short(data: bytes, n: int) -> int:
    mul = _K2 + n * 2
    if n >= 8:
        a, b = _at(data, 0) + _K2, _at(data, n - 8)
        c, d = _rotated(b, 37) * mul + a, (_rotated(a, 25) + b) * mul
        return _folded(c & _BITS, d & _BITS, mul)
    if n >= 4:
        a, b = (int.from_bytes(part, "little") for part in (data[:4], data[-4:]))
        return _folded(n + (a << 3), b, mul)
    if n:
        y, z = data[0] + (data[n >> 1] << 8), n + (data[-1] << 2)
        return (_mixed((y * _K2) ^ (z * _K0)) * _K2) & _BITS
    return _K2


def _halves(data: bytes, n: int, mul: int) -> tuple[int, int]:
    """What the first and last 16 bytes come to."""
    a, b = _at(data, 0) * (_K1 if n <= 32 else _K2), _at(data, 8)
    c, d = _at(data, n - 8) * mul, _at(data, n - 16) * _K2
    first = _rotated(a + b, 43) + _rotated(c, 30) + d
    return first & _BITS, (a + _rotated(b + _K2, 18) + c) & _BITS


def _mid(data: bytes, n: int) -> int:
    mul = _K2 + n * 2
    return _folded(*_halves(data, n, mul), mul)


def _long(data: bytes, n: int) -> int:
    mul = _K2 + n * 2
    y, second = _halves(data, n, mul)
    z = _folded(y, second, mul)
    e, f = _at(data, 16) * mul, _at(data, 24)
    g, h = (y + _at(data, n - 32)) * mul, (z + _at(data, n - 24)) * mul
    a = _at(data, 0) * _K2
    first = _rotated(e + f, 43) + _rotated(g, 30) + h
    return _folded(first & _BITS, (e + _rotated(f + a, 18) + g) & _BITS, mul)


def _weak(data: bytes, i: int, a: int, b: int) -> tuple[int, int]:
    """32 bytes and two seeds to two numbers."""
    w, x, y, z = (_at(data, i + 8 * k) for k in range(4))
    a += w
    b = _rotated(b + a + z, 21)
    c = a
    a += x + y
    return (a + z) & _BITS, (b + _rotated(a, 44) + c) & _BITS


def _longest(data: bytes, n: int) -> int:
    seed = 81
    y = (seed * _K1 + 113) & _BITS
    z = (_mixed(y * _K2 + 113) * _K2) & _BITS
    v, w = (0, 0), (0, 0)
    x = (seed * _K2 + _at(data, 0)) & _BITS
    mul, factor = _K1, 1
    starts = [*range(0, (n - 1) // 64 * 64, 64), n - 64]
    for i in starts:
        if i == starts[-1]:
            mul, factor = _K1 + ((z & 0xFF) << 1), 9
            w = (w[0] + ((n - 1) & 63), w[1])
            v = (v[0] + w[0], v[1])
            w = (w[0] + v[0], w[1])
        x = _rotated(x + y + v[0] + _at(data, i + 8), 37) * mul & _BITS
        y = _rotated(y + v[1] + _at(data, i + 48), 42) * mul & _BITS
        x ^= w[1] * factor & _BITS
        y = (y + v[0] * factor + _at(data, i + 40)) & _BITS
        z = _rotated(z + w[0], 33) * mul & _BITS
        v = _weak(data, i, v[1] * mul, x + w[0])
        w = _weak(data, i + 32, z + w[1], y + _at(data, i + 16))
        z, x = x, z
    first = _folded(v[0], w[0], mul) + _mixed(y) * _K0 + z
    return _folded(first & _BITS, (_folded(v[1], w[1], mul) + x) & _BITS, mul)


def keyed_hash(data: bytes, key: tuple[int, int]) -> int:
    """SipHash-2-4 (Aumasson & Bernstein 2012) with a key of two 64-bit numbers."""
    k0, k1 = (k & _BITS for k in key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rounds(count: int) -> None:
        a, b, c, d = v
        for _ in range(count):
            a = (a + b) & _BITS
            b = _rotated(b, 51) ^ a
            a = _rotated(a, 32)
            c = (c + d) & _BITS
            d = _rotated(d, 48) ^ c
            a = (a + d) & _BITS
            d = _rotated(d, 43) ^ a
            c = (c + b) & _BITS
            b = _rotated(b, 47) ^ c
            c = _rotated(c, 32)
        v[:] = a, b, c, d

    tail = len(data) % 8
    padded = data + bytes(7 - tail) + bytes([len(data) & 0xFF])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def hasher(salt: Any = None) -> Callable[[bytes], int]:
    """The hash that a salt, two numbers, chooses; the fingerprint without one."""
    return fingerprint if salt is None else lambda data: keyed_hash(data, salt)


def salt_of(layer: Any, salt: Any) -> list[int] | None:
    """A salt as two integers.

    Raises:
        ValueError: It is none of an integer and two of them.
    """
    if salt is None:
        return None
    if isinstance(salt, int) and not isinstance(salt, bool):
        return [salt, salt]
    if isinstance(salt, (list, tuple)) and len(salt) == 2 and all(isinstance(s, int) for s in salt):
        return list(salt)
    raise ValueError(f"{layer.name}: salt={salt!r} should be an integer, or two of them.")


def _as_bytes(value: Any) -> bytes:
    """What is hashed of a value: a string's bytes, or an integer's digits."""
    if isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else str(int(value)).encode()


def _check_mode(layer: Any, output_mode: Any, allowed: tuple[str, ...], sparse: bool) -> None:
    if output_mode not in allowed:
        raise ValueError(f"{layer.name}: output_mode={output_mode!r} should be one of {', '.join(allowed)}.")
    check_sparse(layer, sparse, output_mode)


class Hashing(DataLayer):
    """The bin that a hash puts each category in.

    Args:
        num_bins: The number of bins.
        mask_value: A value that has bin 0 for itself.
        salt: One or two integers: another hash, keyed by them. Without, everyone's bins are the same.
        output_mode: "int" for numbers; "one_hot", "multi_hot" and "count" as for `CategoryEncoding`.
        sparse: Whether the vectors come as a sparse tensor.

    Input: strings or integers, of any shape. Floats lose their fractions.

    Returns:
        Bins from 0 to num_bins - 1, int64 unless there is a dtype; or the encoding of them.

    Raises:
        ValueError: An argument is off.
    """

    _convert_inputs = False

    def __init__(
        self,
        num_bins: int,
        mask_value: Any = None,
        salt: Any = None,
        output_mode: str = "int",
        sparse: bool = False,
        **kwargs: Any,
    ) -> None:
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = "int64" if output_mode == "int" else None
        super().__init__(**kwargs)
        self.num_bins = positive(self, num_bins, "num_bins")
        _check_mode(self, output_mode, ("int", *MODES), sparse)
        self.mask_value, self.output_mode, self.sparse = mask_value, output_mode, bool(sparse)
        self.salt = salt_of(self, salt)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        indices = on_host(self._bins, inputs, "int64")
        if self.output_mode == "int":
            return ops.cast(indices, self.compute_dtype)
        return encoded(indices, self.output_mode, self.num_bins, self.compute_dtype, sparse=self.sparse)

    def _bins(self, values: np.ndarray) -> np.ndarray:
        own_bin = self.mask_value is not None
        hashed, bins = hasher(self.salt), self.num_bins - own_bin
        masked = as_text(np.asarray(self.mask_value))[()] if own_bin else None

        def one(value: Any) -> int:
            if own_bin and value == masked:
                return 0
            return hashed(_as_bytes(value)) % max(bins, 1) + own_bin

        return _each(one, values)

    def compute_output_spec(self, inputs: Any) -> KerasTensor:
        return KerasTensor(self.compute_output_shape(inputs.shape), self.compute_dtype, sparse=self.sparse)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        return encoded_shape(input_shape, self.output_mode, self.num_bins)

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "num_bins", "salt", "mask_value", "output_mode", "sparse")


def _each(function: Callable[[Any], int], values: np.ndarray) -> np.ndarray:
    """An integer for each element; those that recur are looked at once."""
    known: dict[Any, int] = {}
    flat = values.ravel().tolist()
    for value in flat:
        if value not in known:
            known[value] = function(value)
    return np.array([known[v] for v in flat], "int64").reshape(values.shape)


class HashedCrossing(DataLayer):
    """The bin that a hash puts each combination of categories in.

    Args:
        num_bins: The number of bins.
        output_mode: "int" or "one_hot".
        sparse: Whether the vectors come as a sparse tensor.

    Input: two or more features of strings or integers, each of shape (), (batch,) or (batch, 1).

    Raises:
        ValueError: An argument or a shape is off.
    """

    _convert_inputs = False
    # What the fingerprints of the features are added to, one after the other.
    _KEY = 0xDECAFCAFFE

    def __init__(
        self,
        num_bins: int,
        output_mode: str = "int",
        sparse: bool = False,
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        if dtype is None:
            dtype = "int64" if output_mode == "int" else None
        super().__init__(name=name, dtype=dtype, **kwargs)
        self.num_bins = positive(self, num_bins, "num_bins")
        _check_mode(self, output_mode, ("int", "one_hot"), sparse)
        self.output_mode, self.sparse = output_mode, bool(sparse)

    def call(self, inputs: Any) -> Any:
        features = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        if len(features) < 2:
            raise ValueError(f"{self.name}: there should be at least two features to cross, not {len(features)}.")
        for x in features:
            self._check_shape(np.shape(x) if not hasattr(x, "shape") else tuple(x.shape))
        indices = on_host(self._bins, features, "int64")
        if self.output_mode == "int":
            return ops.cast(indices, self.compute_dtype)
        return encoded(indices, "one_hot", self.num_bins, self.compute_dtype, sparse=self.sparse)

    def _check_shape(self, shape: tuple) -> None:
        if len(shape) > 2 or (len(shape) == 2 and shape[1] != 1):
            raise ValueError(f"{self.name}: a feature should have shape (), (batch,) or (batch, 1), not {shape}.")

    def _bins(self, *features: np.ndarray) -> np.ndarray:
        shape = features[0].shape
        made = []
        for row in zip(*(f.ravel().tolist() for f in features), strict=True):
            total = self._KEY
            for value in row:
                own = fingerprint(_as_bytes(value)) if isinstance(value, (str, bytes)) else int(value) & _BITS
                total = _joined(total, own)
            made.append(total % self.num_bins)
        return np.array(made, "int64").reshape(shape)

    def compute_output_spec(self, inputs: Any) -> KerasTensor:
        shapes = [tuple(x.shape) for x in inputs]
        for shape in shapes:
            self._check_shape(shape)
        return KerasTensor(self.compute_output_shape(shapes), self.compute_dtype, sparse=self.sparse)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        shape = tuple(input_shape[0])
        return shape if self.output_mode == "int" else encoded_shape(shape, "one_hot", self.num_bins)

    def get_config(self) -> dict:
        own = config_of(self, "num_bins", "output_mode", "sparse", "name")
        return own | {"dtype": dtypes.name_of(self.compute_dtype)}


def _joined(a: int, b: int) -> int:
    """Two fingerprints as one: Murmur's step."""
    mul = 0xC6A4A7935BD1E995
    total = a ^ mul
    total ^= (_mixed(b * mul) * mul) & _BITS
    total = (total * mul) & _BITS
    return _mixed(_mixed(total) * mul)
