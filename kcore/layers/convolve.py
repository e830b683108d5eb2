"""Convolution layers, over one, two or three spatial axes."""

from __future__ import annotations

from typing import Any

from kcore import activations, config, ops
from kcore.layers.arguments import config_of, keep, known, positive, sizes, taken, with_defaults
from kcore.layers.input_spec import InputSpec
from kcore.layers.layer import Layer
from kcore.layers.lora import Adaptable
from kcore.ops import fused
from kcore.ops.symbolic import KerasTensor

# Activations that `ops.activated_conv` does with the sums.
_FUSED = {getattr(activations, name): name for name in fused.BY_RESULT}


class _Convolving(Layer):
    """What the layers here share: windows, a bias over channels, an activation.

    Args, where they are not named for what they are:
        kernel_size, strides, dilation_rate: One integer, or one for each spatial axis.
        padding: "valid", "same", or (before, after) for each spatial axis.
        data_format: "channels_last": (batch, *spatial, channels), "channels_first":
            (batch, channels, *spatial); None is the default layout.
    """

    rank: int
    bias: Any = None
    _paddings = ("valid", "same")
    _names: tuple[str, ...]

    def _keep(self, given: dict[str, Any], **checked: Any) -> None:
        """Keeps what an __init__ was given, its `locals()`; the windows are checked here, `checked` is already."""
        for name in ("kernel_size", "strides", "dilation_rate"):
            checked[name] = sizes(self, given[name], self.rank, name)
        checked["padding"] = self._checked_padding(given["padding"])
        checked["data_format"] = config.standardize_data_format(given["data_format"])
        own = [name for name in self._names if name != "activity_regularizer"]  # which is the base class's
        keep(self, **taken(given, *own) | checked)
        self.input_spec = InputSpec(min_ndim=self.rank + 2)

    def _checked_padding(self, padding: Any) -> Any:
        if isinstance(padding, str):
            padding = padding.lower()
            if padding in self._paddings:
                return padding
        elif len(pairs := tuple(padding)) == self.rank and all(hasattr(p, "__len__") and len(p) == 2 for p in pairs):
            return tuple((int(before), int(after)) for before, after in pairs)
        raise ValueError(
            f"{self.name}: padding={padding!r} should be one of {', '.join(map(repr, self._paddings))}, "
            f"or {self.rank} pairs (before, after)."
        )

    def _channels(self, input_shape: Any) -> int:
        """The inputs' channels; from now on, inputs must have as many."""
        axis = -1 if self.data_format == "channels_last" else 1
        count = known(self, input_shape, axis)
        self.input_spec = InputSpec(min_ndim=self.rank + 2, axes={axis: count})
        return count

    def _add_weights(self, bias: int, **kernels: tuple[int, ...]) -> None:
        """Makes the kernels, of the shapes given, and a bias of the size given, each as its arguments say."""
        for name, shape in kernels.items():
            stem = name.removesuffix("_kernel") if name != "kernel" else self._kernel_stem
            variable = self.add_weight(
                name=name,
                shape=shape,
                initializer=getattr(self, f"{stem}_initializer"),
                regularizer=getattr(self, f"{stem}_regularizer"),
                constraint=getattr(self, f"{stem}_constraint"),
            )
            setattr(self, self._attribute_of.get(name, name), variable)
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(bias,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    # What the arguments of the weight "kernel" start with, and where weights are kept under another name.
    _kernel_stem = "kernel"
    _attribute_of: dict[str, str] = {}

    def _finished(self, y: Any) -> Any:
        """`y` with the bias added, activated."""
        if self.bias is not None:
            bias = self.bias
            if self.data_format == "channels_first":
                bias = ops.reshape(bias, (1, -1, *(1,) * self.rank))
            y = ops.add(y, bias)
        return y if self.activation is activations.linear else self.activation(y)

    def _image(self, shape: Any) -> KerasTensor:
        return KerasTensor(shape, self.compute_dtype, record_history=False)

    def _checked_channels(self, input_shape: Any) -> int:
        return known(self, input_shape, -1 if self.data_format == "channels_last" else 1)

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, *self._names)


_WINDOW = ("kernel_size", "strides", "padding", "data_format", "dilation_rate")
_KERNEL = (
    *("activation", "use_bias", "kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer"),
    *("activity_regularizer", "kernel_constraint", "bias_constraint"),
)
_DEPTHWISE = (
    *("activation", "use_bias", "depthwise_initializer", "bias_initializer", "depthwise_regularizer"),
    *("bias_regularizer", "activity_regularizer", "depthwise_constraint", "bias_constraint"),
)
_SEPARABLE = (
    *("activation", "use_bias", "depthwise_initializer", "pointwise_initializer", "bias_initializer"),
    *("depthwise_regularizer", "pointwise_regularizer", "bias_regularizer", "activity_regularizer"),
    *("depthwise_constraint", "pointwise_constraint", "bias_constraint"),
)


# -- convolution ------------------------------------------------------------------------


class _Conv(Adaptable, _Convolving):
    _names = ("filters", *_WINDOW, "groups", *_KERNEL)
    _attribute_of = {"kernel": "_kernel"}

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        adapter = kwargs.pop("lora_rank", None), kwargs.pop("lora_alpha", None)
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self._set_lora(*adapter)
        self._keep(locals(), filters=positive(self, filters, "filters"), groups=positive(self, groups, "groups"))
        if filters % groups:
            raise ValueError(f"{self.name}: {groups} groups can't share filters={filters} evenly.")

    def build(self, input_shape: Any) -> None:
        channels = self._channels(input_shape)
        self._add_weights(self.filters, kernel=self._kernel_shape(input_shape, channels))
        self.built = True
        if self.lora_rank:
            self.enable_lora(self.lora_rank, self.lora_alpha)

    def _kernel_shape(self, input_shape: Any, channels: int) -> tuple[int, ...]:
        if channels % self.groups:
            raise ValueError(
                f"{self.name}: groups={self.groups} can't share the {channels} channels of inputs of shape "
                f"{tuple(input_shape)} evenly."
            )
        return (*self.kernel_size, channels // self.groups, self.filters)

    @property
    def kernel(self) -> Any:
        """(*kernel_size, channels / groups, filters), with the adapter's product if there is one."""
        return self._adapted() if self.lora_enabled else self._kernel

    def _how(self) -> tuple:
        return self.strides, self.padding, self.data_format, self.dilation_rate

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """The convolution itself, for subclasses to change: to standardize the kernel, for example."""
        return ops.conv(inputs, kernel, *self._how())

    def call(self, inputs: Any) -> Any:
        if type(self).convolution_op is not _Conv.convolution_op:
            return self._finished(self.convolution_op(inputs, self.kernel))
        known_as = _FUSED.get(self.activation)
        y = ops.activated_conv(inputs, self.kernel, self.bias, *self._how(), known_as or "linear")
        return y if known_as else self.activation(y)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        kernel = self._kernel_shape(input_shape, self._checked_channels(input_shape))
        return self.convolution_op(self._image(input_shape), self._image(kernel)).shape

    def get_config(self) -> dict:
        return super().get_config() | self._lora_config()


class Conv1D(_Conv):
    """activation(conv(inputs, kernel) + bias) along a sequence.

    Args:
        filters: The output's channels.
        kernel_size: The steps that a window has.
        strides: How far the windows move.
        padding: "valid" for windows inside the sequence only; "same" for ceil(steps / stride) of them;
            "causal" for as many, with step t of the output seeing the input up to t only; or
            ((before, after),).
        data_format: "channels_last": (batch, steps, channels), or "channels_first".
        dilation_rate: How far apart a window's steps lie.
        groups: The channels are split into as many groups, each convolved with filters of its own.
        activation: A function, or its name; linear unless given.
        use_bias: Whether there is a bias for each filter.
        kernel_initializer, bias_initializer: Of the weights.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties.
        kernel_constraint, bias_constraint: What weights pass through after updates.

    Raises:
        ValueError: An argument is off, or the inputs don't fit.
    """

    rank = 1
    _paddings = ("valid", "same", "causal")

    def _how(self) -> tuple:
        padding = self.padding
        if padding == "causal":
            padding = (((self.kernel_size[0] - 1) * self.dilation_rate[0], 0),)
        return self.strides, padding, self.data_format, self.dilation_rate


class Conv2D(_Conv):
    """activation(conv(inputs, kernel) + bias) over images.

    Args:
        filters: The output's channels.
        kernel_size: The window, one number or (height, width).
        strides: How far the windows move.
        padding: "valid" for windows inside the image only; "same" for ceil(size / stride) of them; or
            (before, after) for each axis.
        data_format: "channels_last": (batch, height, width, channels), or "channels_first".
        dilation_rate: How far apart a window's elements lie.
        groups: The channels are split into as many groups, each convolved with filters of its own.
        activation: A function, or its name; linear unless given.
        use_bias: Whether there is a bias for each filter.
        kernel_initializer, bias_initializer: Of the weights.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties.
        kernel_constraint, bias_constraint: What weights pass through after updates.

    Raises:
        ValueError: An argument is off, or the inputs don't fit.
    """

    rank = 2
    __init__ = with_defaults(_Conv.__init__, strides=(1, 1), dilation_rate=(1, 1))


class Conv3D(_Conv):
    """activation(conv(inputs, kernel) + bias) over volumes: (batch, *three sizes, channels). See `Conv2D`."""

    rank = 3
    __init__ = with_defaults(_Conv.__init__, strides=(1, 1, 1), dilation_rate=(1, 1, 1))


# -- its transpose ----------------------------------------------------------------------


class _ConvTranspose(_Convolving):
    _names = ("filters", *_WINDOW[:3], "output_padding", *_WINDOW[3:], *_KERNEL)

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        if output_padding is not None:
            output_padding = sizes(self, output_padding, self.rank, "output_padding", least=0)
        self._keep(locals(), filters=positive(self, filters, "filters"))

    def build(self, input_shape: Any) -> None:
        channels = self._channels(input_shape)
        self._add_weights(self.filters, kernel=(*self.kernel_size, self.filters, channels))

    def _transposed(self, inputs: Any, kernel: Any) -> Any:
        return ops.conv_transpose(
            inputs, kernel, self.strides, self.padding, self.output_padding, self.data_format, self.dilation_rate
        )

    def call(self, inputs: Any) -> Any:
        return self._finished(self._transposed(inputs, self.kernel))

    def compute_output_shape(self, input_shape: Any) -> tuple:
        kernel = (*self.kernel_size, self.filters, self._checked_channels(input_shape))
        return self._transposed(self._image(input_shape), self._image(kernel)).shape


class Conv1DTranspose(_ConvTranspose):
    """activation(conv_transpose(inputs, kernel) + bias) along a sequence. See `Conv2DTranspose`."""

    rank = 1


class Conv2DTranspose(_ConvTranspose):
    """activation(conv_transpose(inputs, kernel) + bias) over images: makes larger what `Conv2D` makes smaller.

    Args:
        filters: The output's channels.
        kernel_size: One number or (height, width).
        strides: How far apart the copies of the kernel lie.
        padding: "valid" or "same": with "same" and no `output_padding` the result has size * stride
            positions.
        output_padding: Positions added at the end; see `ops.conv_transpose`.
        data_format: "channels_last": (batch, height, width, channels), or "channels_first".
        dilation_rate: How far apart the kernel's elements lie.
        activation: A function, or its name; linear unless given.
        use_bias: Whether there is a bias for each filter.
        kernel_initializer, bias_initializer: Of the weights.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties.
        kernel_constraint, bias_constraint: What weights pass through after updates.

    Raises:
        ValueError: An argument is off, or the inputs don't fit.
    """

    rank = 2
    __init__ = with_defaults(_ConvTranspose.__init__, strides=(1, 1), dilation_rate=(1, 1))


class Conv3DTranspose(_ConvTranspose):
    """activation(conv_transpose(inputs, kernel) + bias) over volumes. See `Conv2DTranspose`."""

    rank = 3

    # In Keras, data_format comes before output_padding here.
    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        output_padding: Any = None,
        dilation_rate: Any = (1, 1, 1),
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters, kernel_size, strides, padding, output_padding, data_format, dilation_rate, *args, **kwargs
        )


# -- channel by channel -----------------------------------------------------------------


class _DepthwiseConv(_Convolving):
    _names = ("depth_multiplier", *_WINDOW, *_DEPTHWISE)
    _kernel_stem = "depthwise"

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self._keep(locals(), depth_multiplier=positive(self, depth_multiplier, "depth_multiplier"))

    def build(self, input_shape: Any) -> None:
        channels = self._channels(input_shape)
        kernel = (*self.kernel_size, channels, self.depth_multiplier)
        self._add_weights(channels * self.depth_multiplier, kernel=kernel)

    def _depthwise(self, inputs: Any, kernel: Any) -> Any:
        return ops.depthwise_conv(inputs, kernel, self.strides, self.padding, self.data_format, self.dilation_rate)

    def call(self, inputs: Any) -> Any:
        return self._finished(self._depthwise(inputs, self.kernel))

    def compute_output_shape(self, input_shape: Any) -> tuple:
        kernel = (*self.kernel_size, self._checked_channels(input_shape), self.depth_multiplier)
        return self._depthwise(self._image(input_shape), self._image(kernel)).shape


class DepthwiseConv1D(_DepthwiseConv):
    """activation(depthwise_conv(inputs, kernel) + bias) along a sequence. See `DepthwiseConv2D`."""

    rank = 1


class DepthwiseConv2D(_DepthwiseConv):
    """activation(depthwise_conv(inputs, kernel) + bias) over images: each channel has kernels of its own.

    Args:
        kernel_size: The window, one number or (height, width).
        strides: How far the windows move.
        padding: "valid", "same", or (before, after) for each axis.
        depth_multiplier: How many kernels a channel has; there are as many times more output channels.
        data_format: "channels_last": (batch, height, width, channels), or "channels_first".
        dilation_rate: How far apart a window's elements lie.
        activation: A function, or its name; linear unless given.
        use_bias: Whether there is a bias for each output channel.
        depthwise_initializer, bias_initializer: Of the weights.
        depthwise_regularizer, bias_regularizer, activity_regularizer: Penalties.
        depthwise_constraint, bias_constraint: What weights pass through after updates.

    Raises:
        ValueError: An argument is off, or the inputs don't fit.
    """

    rank = 2
    __init__ = with_defaults(_DepthwiseConv.__init__, strides=(1, 1), dilation_rate=(1, 1))


class _SeparableConv(_Convolving):
    _names = ("depth_multiplier", "filters", *_WINDOW, *_SEPARABLE)

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self._keep(
            locals(),
            filters=positive(self, filters, "filters"),
            depth_multiplier=positive(self, depth_multiplier, "depth_multiplier"),
        )

    def build(self, input_shape: Any) -> None:
        depthwise, pointwise = self._kernel_shapes(self._channels(input_shape))
        self._add_weights(self.filters, depthwise_kernel=depthwise, pointwise_kernel=pointwise)

    def _kernel_shapes(self, channels: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        inner = channels * self.depth_multiplier
        return (*self.kernel_size, channels, self.depth_multiplier), (*(1,) * self.rank, inner, self.filters)

    def _separable(self, inputs: Any, depthwise: Any, pointwise: Any) -> Any:
        return ops.separable_conv(
            inputs, depthwise, pointwise, self.strides, self.padding, self.data_format, self.dilation_rate
        )

    def call(self, inputs: Any) -> Any:
        return self._finished(self._separable(inputs, self.depthwise_kernel, self.pointwise_kernel))

    def compute_output_shape(self, input_shape: Any) -> tuple:
        depthwise, pointwise = self._kernel_shapes(self._checked_channels(input_shape))
        return self._separable(self._image(input_shape), self._image(depthwise), self._image(pointwise)).shape


class SeparableConv1D(_SeparableConv):
    """A depthwise convolution along a sequence, and then a mix of the channels at each step. See `SeparableConv2D`."""

    rank = 1


class SeparableConv2D(_SeparableConv):
    """A depthwise convolution over images, and then a mix of the channels at each position.

    Args:
        filters: The output's channels.
        kernel_size: The window, one number or (height, width).
        strides: How far the windows move.
        padding: "valid", "same", or (before, after) for each axis.
        data_format: "channels_last": (batch, height, width, channels), or "channels_first".
        dilation_rate: How far apart a window's elements lie.
        depth_multiplier: How many kernels a channel has in the depthwise part.
        activation: A function, or its name; linear unless given.
        use_bias: Whether there is a bias for each filter.
        depthwise_initializer, pointwise_initializer, bias_initializer: Of the weights.
        depthwise_regularizer, pointwise_regularizer, bias_regularizer, activity_regularizer: Penalties.
        depthwise_constraint, pointwise_constraint, bias_constraint: What weights pass through after updates.

    Raises:
        ValueError: An argument is off, or the inputs don't fit.
    """

    rank = 2
    __init__ = with_defaults(_SeparableConv.__init__, strides=(1, 1), dilation_rate=(1, 1))


Convolution1D, Convolution2D, Convolution3D = Conv1D, Conv2D, Conv3D
Convolution1DTranspose, Convolution2DTranspose, Convolution3DTranspose = (
    Conv1DTranspose,
    Conv2DTranspose,
    Conv3DTranspose,
)
SeparableConvolution1D, SeparableConvolution2D = SeparableConv1D, SeparableConv2D
