"""Input: where a symbolic model starts."""

from __future__ import annotations

from typing import Any

from kcore import config
from kcore.layers.layer import Layer
from kcore.ops import symbolic
from kcore.ops.symbolic import KerasTensor


class InputLayer(Layer):
    """The operation behind `Input`. It has one symbolic output and no inputs.

    Args:
        shape: The shape without the batch axis.
        batch_size: The size of the batch axis, None if it may be any.
        dtype: The default float dtype unless given.
        sparse: Whether it is a sparse tensor (`docs/sparse.md`). Dense ones are taken, too.
        ragged: Kept for configs; there are no ragged tensors.
        batch_shape: The whole shape, instead of `shape` and `batch_size`.
        input_tensor: A KerasTensor to use as it is.
        optional: Whether None may be given for this input.
        name: Unique by default.
    """

    def __init__(
        self,
        shape: Any = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Any = None,
        input_tensor: KerasTensor | None = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name)
        if "input_shape" in kwargs:
            shape = kwargs.pop("input_shape")
        if "batch_input_shape" in kwargs:
            batch_shape = kwargs.pop("batch_input_shape")
        if kwargs:
            raise ValueError(f"Input: there is no argument {', '.join(map(repr, kwargs))}.")
        if input_tensor is not None:
            batch_shape, dtype = input_tensor.shape, input_tensor.dtype
        elif (shape is None) == (batch_shape is None):
            raise ValueError(
                f"Input: give one of shape and batch_shape, not shape={shape!r} and batch_shape={batch_shape!r}."
            )
        elif batch_shape is None:
            sizes = (shape,) if isinstance(shape, int) else tuple(shape)
            batch_shape = (batch_size, *sizes)
        self.batch_shape = tuple(batch_shape)
        self._input_dtype = config.floatx() if dtype is None else dtype
        self.sparse, self.ragged, self.optional = bool(sparse), bool(ragged), optional
        self.built = True
        output = input_tensor or KerasTensor(
            self.batch_shape, self._input_dtype, sparse=self.sparse, ragged=self.ragged, name=self.name
        )
        symbolic.record(self, (), {}, output)

    def call(self) -> Any:
        """An input computes nothing: a model puts in what it is given."""
        raise TypeError(f"{self.name}: an InputLayer is not called; its output is a symbolic tensor.")

    @property
    def dtype(self) -> str:
        return self.output.dtype

    def get_config(self) -> dict:
        return {
            "batch_shape": self.batch_shape,
            "dtype": self.dtype,
            "sparse": self.sparse,
            "ragged": self.ragged,
            "name": self.name,
            "optional": self.optional,
        }


def Input(
    shape: Any = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Any = None,
    name: str | None = None,
    tensor: KerasTensor | None = None,
    optional: bool = False,
) -> KerasTensor:
    """A symbolic tensor to call layers and ops on; see `InputLayer` for the arguments."""
    layer = InputLayer(
        shape=shape,
        batch_size=batch_size,
        dtype=dtype,
        sparse=sparse,
        ragged=ragged,
        batch_shape=batch_shape,
        name=name,
        input_tensor=tensor,
        optional=optional,
    )
    return layer.output
