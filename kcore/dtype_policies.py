"""Dtype policies: what a layer computes in, and what it keeps its variables in."""

from __future__ import annotations

from typing import Any

from kcore import config, dtypes

_global: DTypePolicy | None = None


class DTypePolicy:
    """A compute dtype and a variable dtype under one name.

    Args:
        name: A dtype, for both; or "mixed_float16" or "mixed_bfloat16": compute in that, keep
            variables in float32. The default float dtype unless given.

    Raises:
        ValueError: The name is neither.
    """

    def __init__(self, name: str | None = None) -> None:
        name = config.floatx() if name is None else name
        if not isinstance(name, str):
            raise TypeError(f"DTypePolicy: name={name!r} should be a string.")
        if name.startswith("mixed_"):
            compute, variable = name.removeprefix("mixed_"), "float32"
            if compute not in ("float16", "bfloat16"):
                raise ValueError(
                    f"DTypePolicy: {name!r} is no policy; the mixed ones are mixed_float16 and mixed_bfloat16."
                )
        else:
            try:
                compute = variable = dtypes.name_of(name)
            except ValueError:
                raise ValueError(
                    f"DTypePolicy: {name!r} is no policy; expected a dtype, mixed_float16 or mixed_bfloat16."
                ) from None
        self._name, self._compute_dtype, self._variable_dtype = name, compute, variable

    @property
    def name(self) -> str:
        return self._name

    @property
    def compute_dtype(self) -> str:
        return self._compute_dtype

    @property
    def variable_dtype(self) -> str:
        return self._variable_dtype

    @property
    def quantization_mode(self) -> None:
        return None

    def convert_input(self, x: Any, autocast: bool, dtype: str) -> Any:
        """`x` as a tensor, cast to `dtype` if `autocast` and it holds floats."""
        from kcore import backends
        from kcore.ops.symbolic import KerasTensor

        if isinstance(x, KerasTensor):
            if autocast and dtypes.is_float(x.dtype) and x.dtype != dtype:
                from kcore import ops

                return ops.cast(x, dtype)
            return x
        backend = backends.active()
        x = backend.convert(x)
        return backend.convert(x, dtype) if autocast and dtypes.is_float(backend.dtype(x)) else x

    def get_config(self) -> dict:
        return {"name": self._name}

    @classmethod
    def from_config(cls, config: dict) -> DTypePolicy:
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and self._name == other._name

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self._name}">'


FloatDTypePolicy = DTypePolicy


def dtype_policy() -> DTypePolicy:
    """The policy of layers that are given none: floatx for both unless set."""
    return _global if _global is not None else DTypePolicy()


def set_dtype_policy(policy: Any) -> None:
    """Sets the policy of layers made from now on: a DTypePolicy or the name of one."""
    global _global
    _global = get(policy)


def get(identifier: Any) -> DTypePolicy:
    """The policy for a policy, a name, a dtype, a config, or None (the global one).

    Raises:
        ValueError: It stands for no policy.
    """
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, str):
        return DTypePolicy(identifier)
    return DTypePolicy(dtypes.name_of(identifier))


def serialize(dtype_policy: DTypePolicy) -> dict:
    """The policy's serialized form, as `.keras` files have it."""
    return {
        "module": "keras",
        "class_name": "DTypePolicy",
        "config": dtype_policy.get_config(),
        "registered_name": None,
    }


def deserialize(config: dict, custom_objects: dict | None = None) -> DTypePolicy:
    """The policy of a serialized form.

    Raises:
        ValueError: It is none.
    """
    inner = config.get("config") if isinstance(config, dict) else None
    if not isinstance(inner, dict) or "name" not in inner:
        raise ValueError(f"{config!r} is no serialized dtype policy.")
    return DTypePolicy(inner["name"])
