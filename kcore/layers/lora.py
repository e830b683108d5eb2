"""Low-rank adapters: a frozen weight plus a product of two small trainable ones (Hu et al. 2021)."""

from __future__ import annotations

from typing import Any

from kcore import ops


class Adaptable:
    """The part of a layer whose main weight can get an adapter.

    The weight w is kept in the attribute "_kernel", or what `_adaptable` names, and read as
    w + alpha / rank * a @ b once `enable_lora` was called.
    """

    lora_enabled = False
    lora_rank: int | None = None
    lora_alpha: float | None = None
    _adaptable = "kernel"

    def _set_lora(self, rank: int | None, alpha: float | None) -> None:
        """Notes what `build` is to enable."""
        self.lora_rank = rank
        self.lora_alpha = rank if alpha is None else alpha

    def enable_lora(
        self,
        rank: int,
        lora_alpha: float | None = None,
        a_initializer: Any = "he_uniform",
        b_initializer: Any = "zeros",
    ) -> None:
        """Freezes the weight and adds a trainable product of rank `rank` to it.

        Args:
            rank: The columns of a and rows of b.
            lora_alpha: The product is scaled by lora_alpha / rank; `rank` unless given.
            a_initializer, b_initializer: Of the two; with zeros for one the layer computes what it did before.

        Raises:
            ValueError: The layer is not built, has an adapter already, or constrains the weight.
        """
        stem = self._adaptable
        if getattr(self, f"{stem}_constraint") is not None:
            raise ValueError(f"{self.name}: an adapter and a {stem}_constraint don't go together.")
        if not self.built:
            raise ValueError(f"{self.name}: build the layer before enable_lora.")
        if self.lora_enabled:
            raise ValueError(f"{self.name}: the layer has an adapter already.")
        weight = getattr(self, f"_{stem}")
        for part, shape, initializer in (
            ("a", (*weight.shape[:-1], rank), a_initializer),
            ("b", (rank, weight.shape[-1]), b_initializer),
        ):
            variable = self.add_weight(
                name=f"lora_{stem}_{part}",
                shape=shape,
                initializer=initializer,
                regularizer=getattr(self, f"{stem}_regularizer"),
            )
            setattr(self, f"lora_{stem}_{part}", variable)
        weight.trainable = False
        self.lora_enabled = True
        self._set_lora(rank, lora_alpha)

    def _adapted(self) -> Any:
        """The weight with the adapter's product."""
        stem = self._adaptable
        a, b = getattr(self, f"lora_{stem}_a"), getattr(self, f"lora_{stem}_b")
        return ops.add(getattr(self, f"_{stem}"), ops.multiply(self.lora_alpha / self.lora_rank, ops.matmul(a, b)))

    def _lora_config(self) -> dict[str, Any]:
        return {"lora_rank": self.lora_rank, "lora_alpha": self.lora_alpha} if self.lora_rank else {}

    # Files hold the weight with the product in it, so that a layer without adapters can read them.

    def save_own_variables(self, store: Any) -> None:
        """Puts the weights into a dict-like store, the adapter merged into the weight that it is for."""
        if not self.lora_enabled:
            super().save_own_variables(store)
            return
        for i, variable in enumerate(self._merged_weights()):
            value = self._adapted() if variable is getattr(self, f"_{self._adaptable}") else variable.value
            store[str(i)] = self._backend.numpy(value)

    def load_own_variables(self, store: Any) -> None:
        """Takes the weights from a dict-like store; an adapter starts anew, from a product of 0.

        Raises:
            ValueError: Their number or a shape differs.
        """
        if not self.lora_enabled:
            super().load_own_variables(store)
            return
        own = self._merged_weights()
        if len(store.keys()) != len(own):
            raise ValueError(f"{self.path}: the layer has {len(own)} variables, the file {len(store.keys())}.")
        for i, variable in enumerate(own):
            variable.assign(store[str(i)])
        b = getattr(self, f"lora_{self._adaptable}_b")
        b.assign(ops.zeros_like(b))

    def _merged_weights(self) -> list[Any]:
        stem = self._adaptable
        adapter = (getattr(self, f"lora_{stem}_a"), getattr(self, f"lora_{stem}_b"))
        return [v for v in self._own_weights() if not any(v is a for a in adapter)]
