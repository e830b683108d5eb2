"""The layers that most models start from: Dense, EinsumDense, Embedding, Lambda, Masking..."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any

from kcore import activations, dtypes, ops
from kcore.layers.arguments import config_of, keep, known, positive, taken
from kcore.layers.code import dump_function, is_dumped, load_function
from kcore.layers.input_spec import InputSpec
from kcore.layers.layer import Layer
from kcore.layers.lora import Adaptable
from kcore.layers.shapes import specs
from kcore.ops import fused

# Activations that `ops.dense` does with the product; what `ops.gelu` computes by default is approximate.
_FUSED = {getattr(activations, name): name for name in fused.ACTIVATIONS if name != "gelu_tanh"}
_FUSED[ops.gelu] = "gelu_tanh"


class Dense(Adaptable, Layer):
    """activation(inputs @ kernel + bias), over the last axis.

    Args:
        units: The size of the result's last axis.
        activation: A function, or its name; linear unless given.
        use_bias: Whether there is a bias.
        kernel_initializer, bias_initializer: Of the weights.
        kernel_regularizer, bias_regularizer: Penalties of the weights.
        activity_regularizer: A penalty of the output.
        kernel_constraint, bias_constraint: What weights pass through after updates.
        lora_rank, lora_alpha: If given, `build` calls `enable_lora` with them.

    Input: (batch, ..., size), the size known. Output: (batch, ..., units).

    Raises:
        ValueError: `units` is no positive integer, or the input has fewer than 2 dimensions.
    """

    _names = (
        *("units", "activation", "use_bias", "kernel_initializer", "bias_initializer", "kernel_regularizer"),
        *("bias_regularizer", "kernel_constraint", "bias_constraint", "quantization_config"),
    )

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        keep(self, **taken(locals(), *self._names) | {"units": positive(self, units, "units")})
        self._set_lora(lora_rank, lora_alpha)
        self.input_spec = InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        size = known(self, input_shape, -1)
        self._kernel = self.add_weight(
            name="kernel",
            shape=(size, self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.units,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.input_spec = InputSpec(min_ndim=2, axes={-1: size})
        self.built = True
        if self.lora_rank:
            self.enable_lora(self.lora_rank, self.lora_alpha)

    @property
    def kernel(self) -> Any:
        """(size, units), with the adapter's product if there is one."""
        return self._adapted() if self.lora_enabled else self._kernel

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        known_as = _FUSED.get(self.activation)
        y = ops.dense(inputs, self.kernel, self.bias, known_as or "linear")
        return y if known_as else self.activation(y)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, *self._names) | self._lora_config()


class EinsumDense(Adaptable, Layer):
    """activation(einsum(equation, inputs, kernel) + bias).

    Args:
        equation: "abc,cd->abd": axes of the inputs, of the kernel, of the result. The inputs and the
            result may start, or end, with "..." for any further axes.
        output_shape: The result's sizes without the first axis and those under "..."; None for a
            size that is the inputs'.
        activation: A function, or its name; linear unless given.
        bias_axes: The axes of the result that the bias has; None for no bias.
        kernel_initializer, bias_initializer: Of the weights.
        kernel_regularizer, bias_regularizer: Penalties of the weights.
        kernel_constraint, bias_constraint: What weights pass through after updates.
        lora_rank, lora_alpha: If given, `build` calls `enable_lora` with them.

    Raises:
        ValueError: The equation is none, or does not fit the inputs or `output_shape`.
    """

    _names = (
        *("equation", "activation", "bias_axes", "kernel_initializer", "bias_initializer", "kernel_regularizer"),
        *("bias_regularizer", "activity_regularizer", "kernel_constraint", "bias_constraint", "quantization_config"),
    )

    def __init__(
        self,
        equation: str,
        output_shape: Any,
        activation: Any = None,
        bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        gptq_unpacked_column_size: int | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        names = [name for name in self._names if name != "activity_regularizer"]  # which is the base class's
        keep(self, **taken(locals(), *names))
        self.partial_output_shape = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
        self._set_lora(lora_rank, lora_alpha)

    def build(self, input_shape: Any) -> None:
        kernel_shape, bias_shape, self.full_output_shape = self._shapes(input_shape)
        self._kernel = self.add_weight(
            name="kernel",
            shape=kernel_shape,
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if bias_shape is not None:
            self.bias = self.add_weight(
                name="bias",
                shape=bias_shape,
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.input_spec = InputSpec(ndim=len(input_shape))
        self.built = True
        if self.lora_rank:
            self.enable_lora(self.lora_rank, self.lora_alpha)

    @property
    def kernel(self) -> Any:
        """The kernel, with the adapter's product if there is one."""
        return self._adapted() if self.lora_enabled else self._kernel

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        y = ops.einsum(self.equation, inputs, self.kernel)
        if self.bias is not None:
            y = ops.add(y, self.bias)
        return y if self.activation is activations.linear else self.activation(y)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        return self._shapes(input_shape)[2]

    def _shapes(self, input_shape: Any) -> tuple[tuple, tuple | None, tuple]:
        """The shapes of kernel, bias (or None) and result."""
        taken, weight, given = self._parts()
        first = given.startswith("...")
        taken, given = taken.replace("...", ""), given.replace("...", "")
        elided = len(input_shape) - len(taken)
        if elided < 0 or (elided and "..." not in self.equation):
            raise ValueError(
                f"{self.name}: inputs of shape {tuple(input_shape)} don't have the axes of equation={self.equation!r}."
            )
        rest, own = (
            (input_shape[:elided], input_shape[elided:])
            if first
            else (input_shape[len(taken) :], input_shape[: len(taken)])
        )
        sizes = dict(zip(taken, own, strict=True))
        # The batch axis is the first letter, or under the "..." in front.
        letters = given if first else given[1:]
        if len(letters) != len(self.partial_output_shape):
            raise ValueError(
                f"{self.name}: output_shape={self.partial_output_shape} should have {len(letters)} sizes, "
                f"one for each of the axes {letters!r} of equation={self.equation!r}."
            )
        for letter, size in zip(letters, self.partial_output_shape, strict=True):
            have = sizes.get(letter)
            if size is not None and have not in (None, size):
                raise ValueError(
                    f"{self.name}: output_shape={self.partial_output_shape} has size {size} for axis {letter!r} of "
                    f"equation={self.equation!r}, but inputs of shape {tuple(input_shape)} have {have}."
                )
            sizes[letter] = have if size is None else size
        missing = [w for w in weight if sizes.get(w) is None] + [g for g in given if g not in sizes]
        if missing:
            raise ValueError(
                f"{self.name}: neither inputs of shape {tuple(input_shape)} nor output_shape="
                f"{self.partial_output_shape} tell the size of axis {missing[0]!r} of equation={self.equation!r}."
            )
        result = tuple(sizes[g] for g in given)
        full = (*rest, *result) if first else (*result, *rest)
        bias = None
        if self.bias_axes is not None:
            unknown = [b for b in self.bias_axes if b not in given]
            if unknown:
                raise ValueError(
                    f"{self.name}: bias_axes={self.bias_axes!r} has {unknown[0]!r}, which the result lacks."
                )
            start = min(given.index(b) for b in self.bias_axes)
            bias = tuple(sizes[g] if g in self.bias_axes else 1 for g in given[start:])
            if not first:
                bias += (1,) * elided
        return tuple(sizes[w] for w in weight), bias, full

    def _parts(self) -> tuple[str, str, str]:
        sides = self.equation.replace(" ", "").split("->")
        taken = sides[0].split(",")
        if len(sides) != 2 or len(taken) != 2 or ("..." in taken[0]) != ("..." in sides[1]):
            raise ValueError(
                f"{self.name}: equation={self.equation!r} should be of the form 'inputs,kernel->result', "
                "with '...' on both sides or on none."
            )
        return taken[0], taken[1], sides[1]

    def get_config(self) -> dict:
        own = {"output_shape": self.partial_output_shape} | config_of(self, *self._names)
        return super().get_config() | own | self._lora_config()


class Embedding(Adaptable, Layer):
    """Rows of a table, by their indices.

    Args:
        input_dim: The number of rows.
        output_dim: The size of a row.
        embeddings_initializer: Of the table.
        embeddings_regularizer: A penalty of the table.
        embeddings_constraint: What the table passes through after updates.
        mask_zero: Whether index 0 stands for padding: then the output has a mask that leaves it out.
        weights: The table to start with.
        lora_rank, lora_alpha: If given, `build` calls `enable_lora` with them.

    Input: integers of any shape. Output: that shape and (output_dim,). An index that is no row
    gives nan, a negative one counts from the end, as in `ops.take`.

    Raises:
        ValueError: A size is no positive integer.
    """

    _adaptable = "embeddings"

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("input_length", None)  # older code gives it; any length will do
        super().__init__(**kwargs)
        keep(
            self,
            input_dim=positive(self, input_dim, "input_dim"),
            output_dim=positive(self, output_dim, "output_dim"),
            embeddings_initializer=embeddings_initializer,
            embeddings_regularizer=embeddings_regularizer,
            embeddings_constraint=embeddings_constraint,
            mask_zero=mask_zero,
            quantization_config=quantization_config,
        )
        self._set_lora(lora_rank, lora_alpha)
        self.supports_masking = mask_zero
        self.autocast = False  # indices are no numbers to be rounded
        if weights is not None:
            self.build()
            self.set_weights(weights if isinstance(weights, list) and len(weights) == 1 else [weights])

    def build(self, input_shape: Any = None) -> None:
        if self.built:
            return
        self._embeddings = self.add_weight(
            name="embeddings",
            shape=(self.input_dim, self.output_dim),
            initializer=self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
        )
        self.built = True
        if self.lora_rank:
            self.enable_lora(self.lora_rank, self.lora_alpha)

    @property
    def embeddings(self) -> Any:
        """(input_dim, output_dim), with the adapter's product if there is one."""
        return self._adapted() if self.lora_enabled else self._embeddings

    def call(self, inputs: Any) -> Any:
        if not dtypes.is_int(dtypes.name_of(inputs.dtype)):
            inputs = ops.cast(inputs, "int32")
        y = ops.take(self.embeddings, inputs, axis=0)
        return y if self.compute_dtype == self.variable_dtype else ops.cast(y, self.compute_dtype)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return ops.not_equal(inputs, 0) if self.mask_zero else None

    def compute_output_shape(self, input_shape: Any) -> tuple:
        return (*input_shape, self.output_dim)

    def get_config(self) -> dict:
        names = (
            *("input_dim", "output_dim", "embeddings_initializer", "embeddings_regularizer", "activity_regularizer"),
            *("embeddings_constraint", "mask_zero", "quantization_config"),
        )
        return super().get_config() | config_of(self, *names) | self._lora_config()


class ReversibleEmbedding(Embedding):
    """An `Embedding` that also projects back: from rows to a logit for each index.

    Args:
        input_dim: The number of rows.
        output_dim: The size of a row.
        tie_weights: Whether the way back multiplies by the table itself; else by a weight of its own.
        embeddings_initializer, embeddings_regularizer, embeddings_constraint: Of the weights.
        mask_zero: Whether index 0 stands for padding.
        reverse_dtype: The dtype to project back in; the compute dtype unless given.
        logit_soft_cap: Bounds the logits to (-cap, cap) by cap * tanh(logits / cap).

    Input: integers, or with reverse=True (..., output_dim) to be projected to (..., input_dim).
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        reverse_dtype: Any = None,
        logit_soft_cap: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer=embeddings_initializer,
            embeddings_regularizer=embeddings_regularizer,
            embeddings_constraint=embeddings_constraint,
            mask_zero=mask_zero,
            **kwargs,
        )
        self.tie_weights, self.reverse_dtype, self.logit_soft_cap = tie_weights, reverse_dtype, logit_soft_cap

    def build(self, input_shape: Any = None) -> None:
        super().build(input_shape)
        if not self.tie_weights:
            self.reverse_embeddings = self.add_weight(
                name="reverse_embeddings",
                shape=(self.output_dim, self.input_dim),
                initializer=self.embeddings_initializer,
                regularizer=self.embeddings_regularizer,
                constraint=self.embeddings_constraint,
            )

    def call(self, inputs: Any, reverse: bool = False) -> Any:
        if not reverse:
            return super().call(inputs)
        kernel = ops.transpose(self.embeddings) if self.tie_weights else self.reverse_embeddings
        dtype = self.compute_dtype if self.reverse_dtype is None else self.reverse_dtype
        logits = ops.matmul(ops.cast(inputs, dtype), ops.cast(kernel, dtype))
        if self.logit_soft_cap is not None:
            cap = self.logit_soft_cap
            logits = ops.multiply(ops.tanh(ops.divide(logits, cap)), cap)
        return logits

    def compute_output_shape(self, input_shape: Any, reverse: bool = False) -> tuple:
        return (*input_shape[:-1], self.input_dim) if reverse else (*input_shape, self.output_dim)

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "tie_weights", "reverse_dtype", "logit_soft_cap")


class Lambda(Layer):
    """A function as a layer. The variables that it uses are not the layer's; write a subclass for these.

    Args:
        function: Takes the inputs, and `mask` and `training` if it has parameters of these names.
        output_shape: The result's shape without the batch axis, or a function of the input shape; else
            the function is traced for it.
        mask: The mask of the output, or a function (inputs, mask).
        arguments: More keyword arguments for the function.
    """

    def __init__(
        self,
        function: Callable,
        output_shape: Any = None,
        mask: Any = None,
        arguments: dict | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.function, self.arguments = function, arguments or {}
        self._output_shape = tuple(output_shape) if isinstance(output_shape, list) else output_shape
        self.mask = mask
        self.supports_masking = True
        taken = inspect.signature(function).parameters
        self._takes = tuple(name for name in ("mask", "training") if name in taken)

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        given = {"mask": mask, "training": training}
        return self.function(inputs, **self.arguments, **{name: given[name] for name in self._takes})

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def compute_output_spec(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        if self._output_shape is None:
            return super().compute_output_spec(inputs, mask=mask, training=training)
        from kcore import tree

        return specs(self.compute_output_shape(tree.map_structure(lambda t: t.shape, inputs)), self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self._output_shape is None:
            return super().compute_output_shape(input_shape)
        if callable(self._output_shape):
            return self._output_shape(input_shape)
        batch = input_shape[0] if not isinstance(input_shape[0], (tuple, list)) else input_shape[0][0]
        return (batch, *self._output_shape)

    def get_config(self) -> dict:
        found = super().get_config() | {"function": _dumped(self.function)}
        if self._output_shape is not None:
            found["output_shape"] = _dumped(self._output_shape) if callable(self._output_shape) else self._output_shape
        if self.mask is not None:
            found["mask"] = _dumped(self.mask) if callable(self.mask) else self.mask
        return found | {"arguments": self.arguments}

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None, safe_mode: bool | None = None) -> Any:
        """The layer of a config. Code in it is only taken where it was allowed.

        Raises:
            ValueError: The config holds a lambda's code and safe_mode is not False.
        """
        from kcore import saving

        safe = saving.in_safe_mode() if safe_mode is None else safe_mode
        found = dict(config)
        for name in ("function", "output_shape", "mask"):
            value = found.get(name)
            if is_dumped(value):
                if safe is not False:
                    raise ValueError(
                        f"The Lambda layer {config.get('name')!r} holds Python code, which would run on loading. "
                        "If you trust where it comes from, pass safe_mode=False or call "
                        "config.enable_unsafe_deserialization()."
                    )
                found[name] = load_function(value, {**globals(), **(custom_objects or {})})
            elif isinstance(value, dict):
                found[name] = saving.deserialize_keras_object(value, custom_objects=custom_objects)
        return cls(**found)


def _dumped(function: Callable) -> dict:
    if isinstance(function, types.LambdaType) and function.__name__ == "<lambda>":
        return dump_function(function)
    from kcore import saving

    return saving.serialize_keras_object(function)


class Masking(Layer):
    """Masks the steps of a sequence in which every feature is `mask_value`, and sets these to 0.

    Args:
        mask_value: The number that stands for padding.

    Input: (batch, steps, features). Output: the same, with a mask (batch, steps).
    """

    def __init__(self, mask_value: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = mask_value
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Any) -> Any:
        there = ops.any(ops.not_equal(inputs, self.mask_value), axis=-1, keepdims=True)
        return ops.where(there, inputs, 0)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)

    def get_config(self) -> dict:
        return super().get_config() | {"mask_value": self.mask_value}


class Identity(Layer):
    """Gives back its inputs, whatever their structure."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Any) -> Any:
        return inputs


class Wrapper(Layer):
    """A layer around another; subclasses define `call`.

    Args:
        layer: The layer inside.

    Raises:
        TypeError: It is no layer.
    """

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        if not isinstance(layer, Layer):
            raise TypeError(f"{type(self).__name__}: layer should be a Layer, not {layer!r}.")
        super().__init__(**kwargs)
        self.layer = layer

    def build(self, input_shape: Any = None) -> None:
        if not self.layer.built:
            self.layer.build(input_shape)
            self.layer.built = True
        self.built = True

    def get_config(self) -> dict:
        from kcore import saving

        return super().get_config() | {"layer": saving.serialize_keras_object(self.layer)}

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> Any:
        """The wrapper of a config."""
        from kcore import saving

        found = dict(config)
        return cls(saving.deserialize_keras_object(found.pop("layer"), custom_objects=custom_objects), **found)
