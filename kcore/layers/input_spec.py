"""InputSpec: what a layer takes, checked at each call."""

from __future__ import annotations

from typing import Any

from kcore import dtypes, tree


class InputSpec:
    """The rank, shape, dtype and single sizes that an input must have.

    Args:
        dtype: Its dtype; None allows any.
        shape: Its shape, where None allows any size.
        ndim: Its number of dimensions.
        max_ndim, min_ndim: The most and fewest.
        axes: Axis -> the size it must have.
        allow_last_axis_squeeze: Whether a last axis of size 1 may be missing or added.
        name: The key of the input where inputs come in a dict.
        optional: Whether it may be None.
    """

    def __init__(
        self,
        dtype: Any = None,
        shape: Any = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: dict | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype = None if dtype is None else dtypes.name_of(dtype)
        self.shape = None if shape is None else tuple(shape)
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.max_ndim, self.min_ndim = max_ndim, min_ndim
        self.axes = {int(k): v for k, v in (axes or {}).items()}
        self.allow_last_axis_squeeze, self.name, self.optional = allow_last_axis_squeeze, name, optional

    def get_config(self) -> dict:
        return {
            "dtype": self.dtype,
            "shape": self.shape,
            "ndim": self.ndim,
            "max_ndim": self.max_ndim,
            "min_ndim": self.min_ndim,
            "axes": self.axes,
            "optional": self.optional,
        }

    @classmethod
    def from_config(cls, config: dict) -> InputSpec:
        return cls(**config)

    def __repr__(self) -> str:
        parts = [f"{k}={v}" for k, v in self.get_config().items() if v not in (None, {}, False)]
        return f"InputSpec({', '.join(parts)})"

    def problem(self, shape: tuple, dtype: Any) -> str | None:
        """What is wrong with an input of that shape and dtype; None if nothing is."""
        if self.allow_last_axis_squeeze and self.shape is not None:
            if len(shape) == len(self.shape) + 1 and shape[-1] == 1:
                shape = shape[:-1]
            elif len(shape) == len(self.shape) - 1 and self.shape[-1] == 1:
                shape = (*shape, 1)
        if self.ndim is not None and len(shape) != self.ndim:
            return f"should have {self.ndim} dimensions"
        if self.max_ndim is not None and len(shape) > self.max_ndim:
            return f"should have at most {self.max_ndim} dimensions"
        if self.min_ndim is not None and len(shape) < self.min_ndim:
            return f"should have at least {self.min_ndim} dimensions"
        if self.dtype is not None and dtypes.name_of(dtype) != self.dtype:
            return f"should be of dtype {self.dtype}, not {dtypes.name_of(dtype)}"
        for axis, size in self.axes.items():
            if size is not None and shape[axis] not in (size, None):
                return f"should have size {size} along axis {axis}"
        if self.shape is not None and any(
            a is not None and b is not None and a != b for a, b in zip(self.shape, shape, strict=True)
        ):
            return f"should have shape {self.shape}"
        return None


def assert_input_compatibility(input_spec: Any, inputs: Any, layer_name: str) -> None:
    """Raises ValueError, naming the layer, what came and what was expected, if an input does not fit."""
    if isinstance(input_spec, InputSpec):
        found = inputs if not isinstance(inputs, (list, tuple)) else inputs[0] if len(inputs) == 1 else None
        if isinstance(inputs, dict):
            found = inputs.get(input_spec.name) if input_spec.name in inputs else next(iter(inputs.values()), None)
        pairs = [(input_spec, found)]
    else:
        specs, values = tree.flatten(input_spec), tree.flatten(inputs)
        if isinstance(inputs, dict) and all(s.name in inputs for s in specs):
            values = [inputs[s.name] for s in specs]
        if len(specs) != len(values):
            raise ValueError(f"{layer_name}: the layer takes {len(specs)} inputs, but {len(values)} were given.")
        pairs = list(zip(specs, values, strict=True))
    for spec, x in pairs:
        if x is None or not hasattr(x, "shape"):
            if x is None and not spec.optional and not isinstance(input_spec, InputSpec):
                raise ValueError(f"{layer_name}: an input is None; the layer takes {spec}.")
            continue
        shape = tuple(x.shape)
        problem = spec.problem(shape, x.dtype)
        if problem:
            raise ValueError(f"{layer_name}: the input {problem}; it has shape {shape}.")
