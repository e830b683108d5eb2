"""SimpleRNN, LSTM and GRU: recurrent layers of one kind of cell."""

from __future__ import annotations

from typing import Any

from kcore.layers.arguments import config_of, taken
from kcore.layers.cells import WEIGHT_OPTIONS, GRUCell, LSTMCell, SimpleRNNCell
from kcore.layers.input_spec import InputSpec
from kcore.layers.rnn import RNN


class OfCell(RNN):
    """A layer whose options, named in `options`, are those of its cell."""

    options: tuple[str, ...]
    rank = 0  # of the spatial axes

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in cls.__dict__.get("options", ()):
            if name != "activity_regularizer":
                setattr(cls, name, property(lambda self, name=name: getattr(self.cell, name)))

    def __init__(self, cell: Any, **kwargs: Any) -> None:
        super().__init__(cell, **kwargs)
        self.input_spec = InputSpec(ndim=self.rank + 3)

    def get_config(self) -> dict:
        found = super().get_config()
        del found["cell"]
        own = (config_of(self if name == "activity_regularizer" else self.cell, name) for name in self.options)
        return found | {name: value for one in own for name, value in one.items()}

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> Any:
        """The layer of a config."""
        return cls(**config)


def of_cell(cell: Any, name: str, given: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What `OfCell` takes: a new cell of what a layer's __init__ was given, its `locals()`, and the rest of that."""
    kwargs = given["kwargs"]
    common = {"dtype": kwargs.get("dtype"), "trainable": kwargs.get("trainable", True), "name": name}
    rest = "return_sequences", "return_state", "go_backwards", "stateful", "unroll", "activity_regularizer"
    return {"cell": cell(**more, **taken(given, *cell._names), **common), **taken(given, *rest), **kwargs}


_WEIGHTS = (*WEIGHT_OPTIONS[:6], "activity_regularizer", *WEIGHT_OPTIONS[6:])


class SimpleRNN(OfCell):
    """Each step's output is activation(inputs @ kernel + last output @ recurrent_kernel + bias).

    Args:
        units: The size of the output.
        activation: A function, or its name.
        use_bias: Whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: Of the weights.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer: Penalties.
        kernel_constraint, recurrent_constraint, bias_constraint: What weights pass through after updates.
        dropout, recurrent_dropout: The rates at which features of the inputs, and of the state, are dropped in
            training, the same ones in all steps.
        return_sequences, return_state, go_backwards, stateful, unroll: As for `RNN`.
        seed: Makes the dropout repeatable.

    Call arguments: those of `RNN`, for (batch, steps, features).
    """

    options = ("units", "activation", "use_bias", *_WEIGHTS, "dropout", "recurrent_dropout")

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**of_cell(SimpleRNNCell, "simple_rnn_cell", locals()))


class LSTM(OfCell):
    """Long short-term memory (Hochreiter & Schmidhuber 1997, with a forget gate).

    Args:
        units: The size of the output.
        activation: Of the candidate, and of what the cell shows.
        recurrent_activation: Of the gates.
        use_bias: Whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: Of the weights.
        unit_forget_bias: Whether the forget gate's bias starts at 1.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer: Penalties.
        kernel_constraint, recurrent_constraint, bias_constraint: What weights pass through after updates.
        dropout, recurrent_dropout: The rates at which features of the inputs, and of the state, are dropped in
            training, the same ones in all steps.
        seed: Makes the dropout repeatable.
        return_sequences, return_state, go_backwards, stateful, unroll: As for `RNN`.
        use_cudnn: Kept for Keras: backends choose their kernels.

    Call arguments: those of `RNN`, for (batch, steps, features). There are two states.
    """

    options = (
        *("units", "activation", "recurrent_activation", "use_bias", *_WEIGHTS[:3], "unit_forget_bias"),
        *(*_WEIGHTS[3:], "dropout", "recurrent_dropout", "seed"),
    )

    def __init__(
        self,
        units: int,
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
        unroll: bool = False,
        use_cudnn: Any = "auto",
        **kwargs: Any,
    ) -> None:
        kwargs.pop("implementation", None)  # older code gives it; there is one here
        super().__init__(**of_cell(LSTMCell, "lstm_cell", locals()))
        self.use_cudnn = use_cudnn


class GRU(OfCell):
    """Gated recurrent units (Cho et al. 2014).

    Args:
        units: The size of the output.
        activation: Of the candidate.
        recurrent_activation: Of the gates.
        use_bias: Whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: Of the weights.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer: Penalties.
        kernel_constraint, recurrent_constraint, bias_constraint: What weights pass through after updates.
        dropout, recurrent_dropout: The rates at which features of the inputs, and of the state, are dropped in
            training, the same ones in all steps.
        seed: Makes the dropout repeatable.
        return_sequences, return_state, go_backwards, stateful, unroll: As for `RNN`.
        reset_after: Whether the reset gate acts behind the product with the recurrent kernel; see `GRUCell`.
        use_cudnn: Kept for Keras: backends choose their kernels.

    Call arguments: those of `RNN`, for (batch, steps, features).
    """

    options = (
        *("units", "activation", "recurrent_activation", "use_bias", *_WEIGHTS),
        *("dropout", "recurrent_dropout", "reset_after", "seed"),
    )

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
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
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: Any = "auto",
        **kwargs: Any,
    ) -> None:
        kwargs.pop("implementation", None)  # older code gives it; there is one here
        super().__init__(**of_cell(GRUCell, "gru_cell", locals()))
        self.use_cudnn = use_cudnn
