"""ConvLSTM: LSTM layers whose gates are convolutions, for sequences of images."""

from __future__ import annotations

from typing import Any

from kcore import config, ops
from kcore.layers.arguments import config_of, keep, known, positive, sizes, taken
from kcore.layers.cells import WEIGHT_OPTIONS, DropoutCell
from kcore.layers.input_spec import InputSpec
from kcore.layers.layer import Layer
from kcore.layers.recurrent import OfCell, of_cell
from kcore.ops import windows
from kcore.ops.symbolic import KerasTensor

_OPTIONS = (
    *("filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate"),
    *("activation", "recurrent_activation", "use_bias", *WEIGHT_OPTIONS[:3], "unit_forget_bias"),
)


class ConvLSTMCell(DropoutCell, Layer):
    """One step of `ConvLSTM2D` and its like.

    Args:
        rank: The number of spatial axes.
        filters: The channels of the output, and of each of the two states.
        kernel_size, strides, padding, data_format, dilation_rate: Of the convolution of the inputs. That of the
            state has the same kernel size, no strides, and "same" padding.

    The others are those of `LSTMCell`.
    """

    gates = 4
    output_is_state = True
    bias: Any = None
    _names = (*_OPTIONS, *WEIGHT_OPTIONS[3:], "dropout", "recurrent_dropout", "seed")

    def __init__(
        self,
        rank: int,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checked = {
            "filters": positive(self, filters, "filters"),
            "kernel_size": sizes(self, kernel_size, rank, "kernel_size"),
            "strides": sizes(self, strides, rank, "strides"),
            "padding": str(padding).lower(),
            "data_format": config.standardize_data_format(data_format),
            "dilation_rate": sizes(self, dilation_rate, rank, "dilation_rate"),
        }
        keep(self, rank=rank, **taken(locals(), *self._names) | checked)
        if self.padding not in ("valid", "same"):
            raise ValueError(f"{self.name}: padding={padding!r} should be 'valid' or 'same'.")
        self._set_dropout(dropout, recurrent_dropout, seed)
        self.state_size = [self.filters, self.filters]
        self.input_spec = InputSpec(ndim=rank + 2)

    def build(self, inputs_shape: Any, states_shape: Any = None) -> None:
        channels = known(self, inputs_shape, -1 if self.data_format == "channels_last" else 1)
        wide = 4 * self.filters
        for name, stem, depth in (
            ("kernel", "kernel", channels),
            ("recurrent_kernel", "recurrent", self.filters),
        ):
            variable = self.add_weight(
                name=name,
                shape=(*self.kernel_size, depth, wide),
                initializer=getattr(self, f"{stem}_initializer"),
                regularizer=getattr(self, f"{stem}_regularizer"),
                constraint=getattr(self, f"{stem}_constraint"),
            )
            setattr(self, name, variable)
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(wide,),
                initializer=self._bias_start,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def _bias_start(self, shape: Any, dtype: Any = None) -> Any:
        if not self.unit_forget_bias:
            return self.bias_initializer(shape, dtype=dtype)
        n = self.filters
        parts = (self.bias_initializer((n,), dtype=dtype), ops.ones((n,), dtype))
        return ops.concatenate([*parts, self.bias_initializer((2 * n,), dtype=dtype)], 0)

    def _input_masks(self) -> int:
        return self.gates

    def call(self, inputs: Any, states: Any, training: bool = False) -> tuple[Any, Any]:
        h, c = states
        seen = self._seen(inputs, self.get_dropout_mask(inputs) if training else None)
        gates = self._convolved(seen, self.kernel, self.strides, self.padding, self.dilation_rate)
        axis = -1 if self.data_format == "channels_last" else 1
        if self.bias is not None:
            bias = self.bias if axis == -1 else ops.reshape(self.bias, (1, -1, *(1,) * self.rank))
            gates = ops.add(gates, bias)
        recurrent = self._convolved(self._seen_state(h, training), self.recurrent_kernel, 1, "same", 1)
        i, f, g, o = ops.split(ops.add(gates, recurrent), 4, axis=axis)
        gate = self.recurrent_activation
        c = ops.add(ops.multiply(gate(f), c), ops.multiply(gate(i), self.activation(g)))
        h = ops.multiply(gate(o), self.activation(c))
        return h, [h, c]

    def _convolved(self, seen: list[Any], kernel: Any, strides: Any, padding: str, dilation: Any) -> Any:
        """All gates' convolutions: of the same images, or of those that each gate sees."""
        kernels = [kernel] if len(seen) == 1 else ops.split(kernel, 4, axis=-1)
        made = [
            ops.conv(x, k, strides, padding, self.data_format, dilation) for x, k in zip(seen, kernels, strict=True)
        ]
        return made[0] if len(made) == 1 else ops.concatenate(made, -1 if self.data_format == "channels_last" else 1)

    def state_shape(self, input_shape: Any) -> tuple:
        """The shape of a state, for inputs of a step of that shape."""
        inputs = KerasTensor(input_shape, self.compute_dtype, record_history=False)
        depth = windows.channels_of(input_shape, self.data_format)
        kernel = KerasTensor((*self.kernel_size, depth, self.filters), self.compute_dtype, record_history=False)
        return ops.conv(inputs, kernel, self.strides, self.padding, self.data_format, self.dilation_rate).shape

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "rank", *self._names)


class _ConvLSTM(OfCell):
    """(batch, steps, *spatial, channels) to (batch, *spatial, filters), or a sequence of these."""

    rank: int
    options = (
        *(*_OPTIONS, *WEIGHT_OPTIONS[3:6], "activity_regularizer", *WEIGHT_OPTIONS[6:]),
        *("dropout", "recurrent_dropout", "seed"),
    )

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**of_cell(ConvLSTMCell, "conv_lstm_cell", locals(), rank=self.rank))

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        self._step_shape = (*sequences_shape[:1], *sequences_shape[2:])
        super().build(sequences_shape, initial_state_shape)

    def _first_states(self, sequences: Any) -> list[Any]:
        return self._zeros(ops.shape(sequences)[0], (*sequences.shape[:1], *sequences.shape[2:]))

    def get_initial_state(self, batch_size: Any) -> list[Any]:
        """Zeros, of the shape that inputs as the layer was built for ask for."""
        return self._zeros(batch_size, self._step_shape)

    def _zeros(self, batch: Any, step_shape: tuple) -> list[Any]:
        shape = (batch, *self.cell.state_shape(step_shape)[1:])
        return [ops.zeros(shape, self.compute_dtype) for _ in range(2)]

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        batch, steps, *rest = sequences_shape
        state = self.cell.state_shape((batch, *rest))
        y = (batch, steps, *state[1:]) if self.return_sequences else state
        return (y, state, state) if self.return_state else y


class ConvLSTM1D(_ConvLSTM):
    """LSTM with convolutions, for sequences of (size, channels). See `ConvLSTM2D`."""

    rank = 1


class ConvLSTM2D(_ConvLSTM):
    """LSTM with convolutions for its products (Shi et al. 2015), for sequences of images.

    Args:
        filters: The output's channels.
        kernel_size: Of both convolutions, one number or (height, width).
        strides, padding, dilation_rate: Of the convolution of the inputs. The state's has no strides, and
            "same" padding.
        data_format: "channels_last": (batch, steps, height, width, channels), or "channels_first".

    The others are those of `LSTM`.
    """

    rank = 2


class ConvLSTM3D(_ConvLSTM):
    """LSTM with convolutions, for sequences of volumes. See `ConvLSTM2D`."""

    rank = 3
