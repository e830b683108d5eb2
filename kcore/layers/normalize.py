"""Normalization layers. 16-bit floats are normalized in float32 and rounded once, at the end."""

from __future__ import annotations

import math
from typing import Any

from kcore import dtypes, ops
from kcore.layers.arguments import config_of, keep, known, positive, taken
from kcore.layers.core import Wrapper
from kcore.layers.input_spec import InputSpec
from kcore.layers.layer import Layer

_AFFINE = (
    *("beta_initializer", "gamma_initializer", "beta_regularizer", "gamma_regularizer"),
    *("beta_constraint", "gamma_constraint"),
)


class _Affine(Layer):
    """A normalization that ends with * gamma + beta."""

    gamma: Any = None
    beta: Any = None

    def _add_affine(self, shape: tuple[int, ...], scale: bool, center: bool) -> None:
        for name, wanted in (("gamma", scale), ("beta", center)):
            if wanted:
                variable = self.add_weight(
                    name=name,
                    shape=shape,
                    initializer=getattr(self, f"{name}_initializer"),
                    regularizer=getattr(self, f"{name}_regularizer"),
                    constraint=getattr(self, f"{name}_constraint"),
                )
                setattr(self, name, variable)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        return tuple(input_shape)


class BatchNormalization(_Affine):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, with the statistics of each channel.

    In training they are the batch's, and moving averages of them are kept; else they are these averages.
    A frozen layer (trainable=False) always uses the averages and does not change them.

    Args:
        axis: The axis of the channels.
        momentum: Of the moving averages: average * momentum + batch's * (1 - momentum).
        epsilon: Added to the variance.
        center, scale: Whether there is a beta, a gamma.
        beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer: Of the weights.
        beta_regularizer, gamma_regularizer: Penalties of the weights.
        beta_constraint, gamma_constraint: What weights pass through after updates.
        renorm: Batch renormalization (Ioffe 2017): in training, the batch's result is moved and scaled
            to what slower averages would give, without a gradient through that correction.
        renorm_clipping: Bounds of the correction: {"rmin": ..., "rmax": ..., "dmax": ...}, any of them.
        renorm_momentum: Of the slower averages.
        synchronized: Whether the statistics are those of all replicas of a distributed run.

    Input: any rank. A mask has one dimension less; what it leaves out does not count for the statistics.

    Raises:
        ValueError: `axis` is out of range, or `renorm_clipping` has other keys or crossing bounds.
    """

    _names = (
        *("axis", "momentum", "epsilon", "center", "scale", "beta_initializer", "gamma_initializer"),
        *("moving_mean_initializer", "moving_variance_initializer", "beta_regularizer", "gamma_regularizer"),
        *("beta_constraint", "gamma_constraint", "synchronized", "renorm", "renorm_clipping", "renorm_momentum"),
    )

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: dict[str, float] | None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checked = {"axis": int(axis), "momentum": float(momentum), "epsilon": float(epsilon)}
        if renorm:
            checked["renorm_clipping"] = self._checked_clipping(renorm_clipping)
        keep(self, **taken(locals(), *self._names) | checked)
        self.supports_masking = True

    def _checked_clipping(self, clipping: dict[str, float] | None) -> dict[str, float]:
        clipping = dict(clipping or {})
        unknown = set(clipping) - {"rmax", "rmin", "dmax"}
        if unknown:
            raise ValueError(f"{self.name}: renorm_clipping={clipping} should have no keys but rmax, rmin and dmax.")
        if clipping.get("rmin", 0) > clipping.get("rmax", math.inf):
            raise ValueError(f"{self.name}: renorm_clipping={clipping} has an rmin above its rmax.")
        return clipping

    def build(self, input_shape: Any) -> None:
        channels = known(self, input_shape, self.axis)
        self._add_affine((channels,), self.scale, self.center)
        self.moving_mean = self._add_average("moving_mean", channels, self.moving_mean_initializer)
        self.moving_variance = self._add_average("moving_variance", channels, self.moving_variance_initializer)
        if self.renorm:
            self.moving_stddev = self._add_average("moving_stddev", channels, self._root_of_variance)
            self.renorm_mean = self._add_average("renorm_mean", channels, self.moving_mean_initializer)
            self.renorm_stddev = self._add_average("renorm_stddev", channels, self._root_of_variance)
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: channels})
        at = self.axis % len(input_shape)
        self._folded = tuple(i for i in range(len(input_shape)) if i != at)

    def _add_average(self, name: str, channels: int, initializer: Any) -> Any:
        # Averages stay in the variable dtype: what is added to them is small.
        return self.add_weight(name=name, shape=(channels,), initializer=initializer, trainable=False, autocast=False)

    def _root_of_variance(self, shape: Any, dtype: Any = None) -> Any:
        return ops.sqrt(self.moving_variance_initializer(shape, dtype=dtype))

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if mask is not None and len(mask.shape) != len(inputs.shape) - 1:
            raise ValueError(
                f"{self.name}: the mask of shape {tuple(mask.shape)} should have one dimension less than the inputs "
                f"of shape {tuple(inputs.shape)}."
            )
        if not training or not self._trainable:
            return ops.batch_normalization(
                inputs, self.moving_mean, self.moving_variance, self.axis, self.beta, self.gamma, self.epsilon
            )
        dtype = dtypes.name_of(inputs.dtype)
        wide = dtypes.accumulator(dtypes.float_of(dtype))
        x = inputs if wide == dtype else ops.cast(inputs, wide)
        if self.renorm:
            y = self._renormalized(x, *self._batch_statistics(x, mask))
        else:
            if mask is None and not self.synchronized:
                y, mean, variance = ops.normalize_batch(x, self.beta, self.gamma, self.axis, self.epsilon)
            else:
                mean, variance = self._batch_statistics(x, mask)
                y = ops.batch_normalization(x, mean, variance, self.axis, self.beta, self.gamma, self.epsilon)
            self._follow(self.moving_mean, mean, self.momentum)
            self._follow(self.moving_variance, variance, self.momentum)
        return y if wide == dtype else ops.cast(y, self.compute_dtype)

    def _batch_statistics(self, x: Any, mask: Any) -> tuple[Any, Any]:
        """The mean and variance of each channel, over what the mask leaves."""
        if mask is None:
            return ops.moments(x, self._folded, synchronized=self.synchronized)
        there = ops.expand_dims(ops.cast(mask, "bool"), -1)
        if self.axis % len(x.shape) != len(x.shape) - 1:
            there = ops.broadcast_to(there, ops.shape(x))
        weight = ops.cast(there, x.dtype)
        count = ops.sum(weight, self._folded, keepdims=True)
        mean = ops.divide(ops.sum(ops.where(there, x, 0), self._folded, keepdims=True), count)
        apart = ops.square(ops.subtract(x, mean))
        variance = ops.divide(ops.sum(ops.where(there, apart, 0), self._folded, keepdims=True), count)
        return ops.squeeze(mean, self._folded), ops.squeeze(variance, self._folded)

    def _renormalized(self, x: Any, mean: Any, variance: Any) -> Any:
        stddev = ops.sqrt(ops.add(variance, self.epsilon))
        r = ops.divide(stddev, self.renorm_stddev)
        d = ops.divide(ops.subtract(mean, self.renorm_mean), self.renorm_stddev)
        bounds = self.renorm_clipping
        if "rmax" in bounds or "rmin" in bounds:
            r = ops.clip(r, bounds.get("rmin", 0.0), bounds.get("rmax", math.inf))
        if "dmax" in bounds:
            d = ops.clip(d, -bounds["dmax"], bounds["dmax"])
        r, d = ops.stop_gradient(r), ops.stop_gradient(d)
        scale, offset = r, d
        if self.gamma is not None:
            scale, offset = ops.multiply(scale, self.gamma), ops.multiply(offset, self.gamma)
        if self.beta is not None:
            offset = ops.add(offset, self.beta)
        y = ops.batch_normalization(x, mean, variance, self.axis, offset, scale, self.epsilon)
        self._follow(self.renorm_mean, mean, self.renorm_momentum)
        self._follow(self.renorm_stddev, stddev, self.renorm_momentum)
        self._follow(self.moving_mean, mean, self.momentum)
        kept = self._follow(self.moving_stddev, stddev, self.momentum)
        self.moving_variance.assign(ops.maximum(ops.subtract(ops.square(kept), self.epsilon), 0))
        return y

    def _follow(self, average: Any, value: Any, momentum: float) -> Any:
        """Moves a moving average towards `value`; returns it."""
        value = ops.stop_gradient(value)
        moved = ops.add(ops.multiply(average, momentum), ops.multiply(ops.cast(value, average.dtype), 1 - momentum))
        return average.assign(moved)

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, *self._names)


class LayerNormalization(_Affine):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, with the statistics of each sample over `axis`.

    Args:
        axis: An int or several.
        epsilon: Added to the variance.
        center, scale: Whether there is a beta, a gamma, of the inputs' sizes along `axis`.
        beta_initializer, gamma_initializer: Of the weights.
        beta_regularizer, gamma_regularizer: Penalties of the weights.
        beta_constraint, gamma_constraint: What weights pass through after updates.

    Raises:
        ValueError: An axis is out of range, or a size along one is not known.
    """

    _names = ("axis", "epsilon", "center", "scale", "rms_scaling", *_AFFINE)

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        # In older files: x / sqrt(variance + epsilon) * gamma, which was meant to be RMSNormalization.
        rms_scaling = kwargs.pop("rms_scaling", False)
        super().__init__(**kwargs)
        keep(self, **taken(locals(), *self._names) | {"axis": _axes(self, axis)})
        self.supports_masking = True
        self._along = self.axis if isinstance(self.axis, int) else tuple(self.axis)

    def build(self, input_shape: Any) -> None:
        self.axis = [self.axis] if isinstance(self.axis, int) else self.axis  # so files have it
        shape = tuple(known(self, input_shape, a) for a in self.axis)
        if self.rms_scaling:
            self._add_affine(shape, True, False)
        else:
            self._add_affine(shape, self.scale, self.center)

    def call(self, inputs: Any) -> Any:
        if not self.rms_scaling:
            return ops.layer_normalization(inputs, self.gamma, self.beta, self._along, self.epsilon)
        dtype = dtypes.name_of(inputs.dtype)
        x = ops.cast(inputs, dtypes.accumulator(dtypes.float_of(dtype)))
        variance = ops.var(x, self._along, keepdims=True)
        y = ops.multiply(x, ops.rsqrt(ops.add(variance, self.epsilon)))
        return ops.cast(ops.multiply(y, _along_axes(self.gamma, x, self._along)), dtype)

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, *self._names)


class GroupNormalization(_Affine):
    """The channels in groups, and each sample's group normalized by its own statistics (Wu & He 2018).

    Args:
        groups: How many; -1 for one for each channel (instance normalization).
        axis: The axis of the channels.
        epsilon: Added to the variance.
        center, scale: Whether there is a beta, a gamma, for each channel.
        beta_initializer, gamma_initializer: Of the weights.
        beta_regularizer, gamma_regularizer: Penalties of the weights.
        beta_constraint, gamma_constraint: What weights pass through after updates.

    Raises:
        ValueError: The groups can't share the channels evenly, or `axis` is out of range.
    """

    _names = ("groups", "axis", "epsilon", "center", "scale", *_AFFINE)

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        keep(self, **taken(locals(), *self._names))
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        channels = known(self, input_shape, self.axis)
        if self.groups == -1:
            self.groups = channels
        if self.groups < 1 or channels % self.groups:
            raise ValueError(
                f"{self.name}: {self.groups} groups can't share the {channels} channels of inputs of shape "
                f"{tuple(input_shape)} evenly."
            )
        self._add_affine((channels,), self.scale, self.center)
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: channels})

    def call(self, inputs: Any) -> Any:
        y = ops.group_normalization(inputs, self.gamma, self.beta, self.groups, self.axis, self.epsilon)
        return ops.cast(y, self.compute_dtype)

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, *self._names)


class RMSNormalization(Layer):
    """x / sqrt(mean(x**2) + epsilon) * scale, with the mean over `axis` (Zhang & Sennrich 2019).

    Args:
        axis: An int or several.
        epsilon: Added to the mean square.

    Raises:
        ValueError: An axis is out of range, or a size along one is not known.
    """

    def __init__(self, axis: Any = -1, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis, self.epsilon = axis, epsilon

    def build(self, input_shape: Any) -> None:
        axes = [self.axis] if isinstance(self.axis, int) else self.axis
        shape = tuple(known(self, input_shape, a) for a in axes)
        self.scale = self.add_weight(name="scale", shape=shape, initializer="ones")
        self._along = self.axis if isinstance(self.axis, int) else tuple(self.axis)

    def call(self, x: Any) -> Any:
        return ops.rms_normalization(x, self.scale, self._along, self.epsilon)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        return tuple(input_shape)

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "axis", "epsilon")


class UnitNormalization(Layer):
    """x divided by its Euclidean norm over `axis`; zeros stay zeros.

    Args:
        axis: An int or several.
    """

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = _axes(self, axis)
        self._along = self.axis if isinstance(self.axis, int) else tuple(self.axis)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Any) -> Any:
        # As in Keras: a sum of squares below 1e-12 counts as 1e-12.
        square = ops.sum(ops.square(inputs), self._along, keepdims=True)
        return ops.multiply(inputs, ops.rsqrt(ops.maximum(square, 1e-12)))

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "axis")


class SpectralNormalization(Wrapper):
    """A layer whose kernel is divided by its largest singular value (Miyato et al. 2018).

    In each training call, power iteration brings the estimate of that value up to date and the kernel is
    replaced; the gradient does not pass through it.

    Args:
        layer: A layer with a `kernel` or `embeddings`.
        power_iterations: How many steps of the iteration a call takes.

    Raises:
        ValueError: `power_iterations` is below 1, or the layer has no such weight.
    """

    def __init__(self, layer: Any, power_iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.power_iterations = positive(self, power_iterations, "power_iterations")

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        for stem in ("kernel", "embeddings"):
            weight = getattr(self.layer, f"_{stem}", getattr(self.layer, stem, None))
            if weight is not None:
                break
        else:
            raise ValueError(f"{self.name}: the layer {self.layer.name} has neither a kernel nor embeddings.")
        self.kernel = weight
        self.vector_u = self.add_weight(
            name="vector_u", shape=(1, weight.shape[-1]), initializer="random_normal", trainable=False
        )
        self.input_spec = InputSpec(min_ndim=1, axes={-1: input_shape[-1]})

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training:
            u, kernel = self.normalized_weights()
            self.vector_u.assign(u)
            self.kernel.assign(kernel)
        return self.layer(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.layer.compute_output_shape(input_shape)

    def normalized_weights(self) -> tuple[Any, Any]:
        """The next left vector of the power iteration, and the kernel divided by the singular value so far."""
        kernel = ops.stop_gradient(self.kernel)
        weights = ops.reshape(kernel, (-1, self.kernel.shape[-1]))
        u = self.vector_u
        for _ in range(self.power_iterations):
            v = ops.normalize(ops.matmul(u, ops.transpose(weights)))
            u = ops.normalize(ops.matmul(v, weights))
        sigma = ops.matmul(ops.matmul(v, weights), ops.transpose(u))
        return u, ops.reshape(ops.divide(weights, sigma), self.kernel.shape)

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "power_iterations")


def _axes(layer: Any, axis: Any) -> Any:
    """An axis, or a list of them.

    Raises:
        TypeError: It is neither.
    """
    if hasattr(axis, "__index__"):
        return int(axis)
    if isinstance(axis, (list, tuple)) and all(hasattr(a, "__index__") for a in axis):
        return list(axis)
    raise TypeError(f"{layer.name}: axis={axis!r} should be an integer or several.")


def _along_axes(part: Any, x: Any, axis: Any) -> Any:
    """`part`, whose axes are x's axes `axis`, with size 1 for the others."""
    axes = (axis,) if isinstance(axis, int) else axis
    at = {a % len(x.shape): size for a, size in zip(axes, part.shape, strict=True)}
    return ops.reshape(part, tuple(at.get(i, 1) for i in range(len(x.shape))))
