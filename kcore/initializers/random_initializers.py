"""Initializers that draw at random, always on the reference backend: the same weights everywhere."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kcore import backends, random
from kcore.initializers.initializer import Initializer, as_tensor, checked
from kcore.random.keyed import MANTISSA
from kcore.random.seed_generator import SeedGenerator, default_seed

# The standard deviation of a standard normal number that is kept within two of them.
_TRUNCATED_STDDEV = 0.87962566103423978


class RandomInitializer(Initializer):
    """Has a seed. With an int, or None, every call gives the same values; a SeedGenerator goes on.

    Args:
        seed: An int, a SeedGenerator, or None for an int from Python's `random` (see `set_random_seed`).

    Raises:
        ValueError: `seed` is none of these.
    """

    def __init__(self, seed: int | SeedGenerator | dict | None = None) -> None:
        self._given_seed = seed
        if seed is None:
            seed = default_seed()
        elif isinstance(seed, dict):
            from kcore import saving

            seed = saving.deserialize_keras_object(seed)
        elif not isinstance(seed, SeedGenerator):
            try:
                operator.index(seed)
            except TypeError:
                raise ValueError(
                    f"{type(self).__name__}: seed={seed!r} should be an integer, a SeedGenerator or None."
                ) from None
        self.seed = seed

    def get_config(self) -> dict[str, Any]:
        from kcore import saving

        return {"seed": saving.serialize_keras_object(self._given_seed)}

    def _drawn(self, draw: Callable, shape: Any, dtype: Any, *parameters: Any) -> Any:
        """`draw(shape, *parameters)`, drawn on the reference backend, as a tensor of the active one."""
        sizes, name = checked(self, shape, dtype)
        if name not in MANTISSA:
            raise ValueError(f"{type(self).__name__}: dtype={dtype!r} should be one of {', '.join(MANTISSA)}.")
        with backends.use("reference"):
            value = draw(sizes, *parameters, dtype=name, seed=self.seed)
        return as_tensor(value, name)


class RandomNormal(RandomInitializer):
    """Normally distributed values.

    Args:
        mean, stddev: Of the distribution.
        seed: An int, a SeedGenerator, or None for an int from Python's `random`.
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        self.mean, self.stddev = mean, stddev
        super().__init__(seed)

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """A tensor of that shape and float dtype."""
        return self._drawn(random.normal, shape, dtype, self.mean, self.stddev)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": self.mean, "stddev": self.stddev}


class TruncatedNormal(RandomInitializer):
    """Normally distributed values, of which only those within two standard deviations are taken.

    Args:
        mean, stddev: Of the distribution before values are left out.
        seed: An int, a SeedGenerator, or None for an int from Python's `random`.
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        self.mean, self.stddev = mean, stddev
        super().__init__(seed)

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """A tensor of that shape and float dtype."""
        return self._drawn(random.truncated_normal, shape, dtype, self.mean, self.stddev)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": self.mean, "stddev": self.stddev}


class RandomUniform(RandomInitializer):
    """Values evenly spread over [minval, maxval).

    Args:
        minval, maxval: The bounds.
        seed: An int, a SeedGenerator, or None for an int from Python's `random`.
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None) -> None:
        self.minval, self.maxval = minval, maxval
        super().__init__(seed)

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """A tensor of that shape and float dtype."""
        return self._drawn(random.uniform, shape, dtype, self.minval, self.maxval)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "minval": self.minval, "maxval": self.maxval}


class VarianceScaling(RandomInitializer):
    """Values whose variance is `scale` / n, where n is the number of a layer's inputs, outputs, or their mean.

    Args:
        scale: A positive number.
        mode: "fan_in", "fan_out" or "fan_avg": what n is.
        distribution: "truncated_normal", "untruncated_normal" or "uniform"; "normal" is the first.
        seed: An int, a SeedGenerator, or None for an int from Python's `random`.
        input_axes, output_axes: The axes whose sizes multiply to the inputs and outputs. Given both, they replace what
            `compute_fans` says.

    Raises:
        ValueError: An argument is none of these.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        if not scale > 0:
            raise ValueError(f"VarianceScaling: scale={scale!r} should be positive.")
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(f"VarianceScaling: mode={mode!r} should be 'fan_in', 'fan_out' or 'fan_avg'.")
        distribution = distribution.lower()
        if distribution == "normal":
            distribution = "truncated_normal"
        if distribution not in ("truncated_normal", "untruncated_normal", "uniform"):
            raise ValueError(
                f"VarianceScaling: distribution={distribution!r} should be 'truncated_normal', 'untruncated_normal' "
                "or 'uniform'."
            )
        self.scale, self.mode, self.distribution = scale, mode, distribution
        self.input_axes, self.output_axes = input_axes, output_axes
        super().__init__(seed)

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """A tensor of that shape and float dtype."""
        sizes, _ = checked(self, shape, dtype)
        fan_in, fan_out = compute_fans(sizes, self.input_axes, self.output_axes)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, n)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return self._drawn(random.uniform, sizes, dtype, -limit, limit)
        if self.distribution == "untruncated_normal":
            return self._drawn(random.normal, sizes, dtype, 0.0, math.sqrt(variance))
        return self._drawn(random.truncated_normal, sizes, dtype, 0.0, math.sqrt(variance) / _TRUNCATED_STDDEV)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            "input_axes": self.input_axes,
            "output_axes": self.output_axes,
        }


def compute_fans(
    shape: Sequence[int], input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None
) -> tuple[int, int]:
    """How many inputs and outputs the weights of that shape connect.

    The last two axes are inputs and outputs, and those in front, a convolution's window, count for both. A vector's
    size is both.

    Args:
        shape: Of the weights.
        input_axes, output_axes: Given both, the sizes of these axes are multiplied instead.

    Raises:
        ValueError: An axis is out of range.
    """
    if input_axes is not None and output_axes is not None:
        return _product(shape, input_axes, "input_axes"), _product(shape, output_axes, "output_axes")
    if len(shape) < 2:
        return (int(shape[0]), int(shape[0])) if shape else (1, 1)
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


def _product(shape: Sequence[int], axes: Sequence[int], name: str) -> int:
    if any(not -len(shape) <= a < len(shape) for a in axes):
        raise ValueError(f"VarianceScaling: {name}={axes!r} is out of range for shape={tuple(shape)}.")
    return math.prod(shape[a] for a in axes)


class _Scaled(VarianceScaling):
    """A VarianceScaling with its scale, mode and distribution settled by the class."""

    _settled: tuple[float, str, str]

    def __init__(
        self, seed: Any = None, input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None
    ) -> None:
        super().__init__(*self._settled, seed=seed, input_axes=input_axes, output_axes=output_axes)

    def get_config(self) -> dict[str, Any]:
        return {
            **RandomInitializer.get_config(self),
            "input_axes": self.input_axes,
            "output_axes": self.output_axes,
        }


_SEEDS = """
    Args:
        seed: An int, a SeedGenerator, or None for an int from Python's `random`.
        input_axes, output_axes: As VarianceScaling has them.
    """


def _scaled(name: str, scale: float, mode: str, distribution: str, doc: str) -> type:
    attributes = {"__doc__": f"{doc}\n{_SEEDS}", "__module__": __name__, "_settled": (scale, mode, distribution)}
    return type(name, (_Scaled,), attributes)


_AVERAGE = "Values of variance 2 / (inputs + outputs), {} (Glorot and Bengio, 2010)."
_RELU = "Values of variance 2 / inputs, {} (He et al., 2015)."
_INPUTS = "Values of variance 1 / inputs, {} (LeCun et al., 1998)."
_NORMAL, _UNIFORM = "truncated normal", "uniform"

GlorotNormal = _scaled("GlorotNormal", 1.0, "fan_avg", "truncated_normal", _AVERAGE.format(_NORMAL))
GlorotUniform = _scaled("GlorotUniform", 1.0, "fan_avg", "uniform", _AVERAGE.format(_UNIFORM))
HeNormal = _scaled("HeNormal", 2.0, "fan_in", "truncated_normal", _RELU.format(_NORMAL))
HeUniform = _scaled("HeUniform", 2.0, "fan_in", "uniform", _RELU.format(_UNIFORM))
LecunNormal = _scaled("LecunNormal", 1.0, "fan_in", "truncated_normal", _INPUTS.format(_NORMAL))
LecunUniform = _scaled("LecunUniform", 1.0, "fan_in", "uniform", _INPUTS.format(_UNIFORM))


class Orthogonal(RandomInitializer):
    """A random matrix with orthonormal rows or columns, whichever are fewer, times `gain`.

    A tensor of more dimensions is the matrix with all axes but the last as rows.

    Args:
        gain: The factor.
        seed: An int, a SeedGenerator, or None for an int from Python's `random`.
    """

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        self.gain = gain
        super().__init__(seed)

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """A tensor of that shape and float dtype.

        Raises:
            ValueError: `shape` has fewer than two dimensions.
        """
        sizes, _ = checked(self, shape, dtype)
        if len(sizes) < 2:
            raise ValueError(f"Orthogonal: shape={sizes} should have at least 2 dimensions.")
        return self._drawn(self._orthogonal, sizes, dtype)

    def _orthogonal(self, shape: tuple[int, ...], dtype: str, seed: Any) -> np.ndarray:
        rows, columns = math.prod(shape[:-1]), shape[-1]
        drawn = np.asarray(random.normal((max(rows, columns), min(rows, columns)), dtype=dtype, seed=seed))
        q, r = np.linalg.qr(drawn.astype("float64"))
        # Of the decompositions, the one where r has a positive diagonal: so q is evenly distributed.
        q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
        return self.gain * (q if rows >= columns else q.T).reshape(shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gain": self.gain}
