"""Layers around layers for sequences: in both directions, and step by step."""

from __future__ import annotations

from typing import Any

from kcore import ops, tree
from kcore.layers import home
from kcore.layers.core import Wrapper
from kcore.layers.layer import Layer
from kcore.layers.signature import call_signature

_MERGE_MODES = ("sum", "mul", "concat", "ave", None)


class Bidirectional(Layer):
    """A recurrent layer, and its like from the last step to the first.

    Args:
        layer: A recurrent layer; a copy of it is used.
        merge_mode: What becomes of the two outputs: "concat", "sum", "mul", "ave", or None for both.
        weights: Weights to start with, those of the forward layer first.
        backward_layer: The other layer; a copy of `layer` that goes backwards unless given.

    Call arguments: those of the layer. `initial_state` has the forward states first, and so have the states returned.

    Raises:
        ValueError: `layer` is not recurrent, `merge_mode` is another, or the layers don't fit each other.
    """

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: Any = None,
        backward_layer: Any = None,
        **kwargs: Any,
    ) -> None:
        for one in (layer, *(() if backward_layer is None else (backward_layer,))):
            if not isinstance(one, Layer) or not hasattr(one, "go_backwards"):
                raise ValueError(f"Bidirectional: {one!r} is no recurrent layer; it has no go_backwards.")
        if merge_mode not in _MERGE_MODES:
            raise ValueError(f"Bidirectional: merge_mode={merge_mode!r} should be one of {_MERGE_MODES}.")
        super().__init__(**kwargs)
        self.merge_mode = merge_mode
        self.forward_layer = _copied(layer, "forward_", layer.go_backwards)
        if backward_layer is None:
            backward_layer = _copied(layer, "backward_", not layer.go_backwards)
        self.backward_layer = backward_layer
        self._check_fit()
        for one in (self.forward_layer, self.backward_layer):
            # Outputs are merged across directions: those of masked steps must not leak into the others.
            one.zero_output_for_mask = one.return_sequences
        self.return_sequences, self.return_state = layer.return_sequences, layer.return_state
        self.stateful = layer.stateful
        self.supports_masking = True
        self.input_spec = layer.input_spec
        self._initial_weights = weights

    def _check_fit(self) -> None:
        forward, backward = self.forward_layer, self.backward_layer
        if forward.go_backwards == backward.go_backwards:
            raise ValueError(f"{self.name}: both layers have go_backwards={forward.go_backwards}; one should go back.")
        for name in ("stateful", "return_sequences", "return_state"):
            a, b = getattr(forward, name), getattr(backward, name)
            if a != b:
                raise ValueError(f"{self.name}: the layers differ in {name}: {a} forward and {b} backward.")

    @property
    def states(self) -> tuple | None:
        """What stateful layers keep, the forward layer's first."""
        both = self.forward_layer.states, self.backward_layer.states
        return None if None in both else (*both[0], *both[1])

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer.build(sequences_shape)
        if self._initial_weights is not None:
            half = len(self._initial_weights) // 2
            self.forward_layer.set_weights(self._initial_weights[:half])
            self.backward_layer.set_weights(self._initial_weights[half:])

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool | None = None) -> Any:
        starts: tuple[dict, dict] = ({}, {})
        if initial_state is not None:
            flat = tree.flatten(initial_state)
            half = len(flat) // 2
            starts = {"initial_state": flat[:half]}, {"initial_state": flat[half:]}
        forward = self.forward_layer(sequences, mask=mask, training=training, **starts[0])
        backward = self.backward_layer(sequences, mask=mask, training=training, **starts[1])
        states: tuple = ()
        if self.return_state:
            states = (*forward[1:], *backward[1:])
            forward, backward = forward[0], backward[0]
        if self.return_sequences:
            backward = ops.flip(backward, 1)
        merged = self._merged(forward, backward)
        if not self.return_state:
            return merged
        return (*merged, *states) if self.merge_mode is None else (merged, *states)

    def _merged(self, forward: Any, backward: Any) -> Any:
        if self.merge_mode == "concat":
            return ops.concatenate([forward, backward], -1)
        if self.merge_mode == "mul":
            return ops.multiply(forward, backward)
        if self.merge_mode is None:
            return forward, backward
        both = ops.add(forward, backward)
        return both if self.merge_mode == "sum" else ops.divide(both, 2)

    def compute_mask(self, _: Any, mask: Any = None) -> Any:
        mask = tree.flatten(mask)[0] if isinstance(mask, (list, tuple)) else mask
        if not self.return_sequences:
            return None
        return (mask, mask) if self.merge_mode is None else mask

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        shapes = [x.compute_output_shape(sequences_shape) for x in (self.forward_layer, self.backward_layer)]
        states: tuple = ()
        if self.return_state:
            states = (*shapes[0][1:], *shapes[1][1:])
            shapes = [s[0] for s in shapes]
        first, second = shapes
        if self.merge_mode is None:
            return (first, second, *states)
        y = (*first[:-1], first[-1] + second[-1]) if self.merge_mode == "concat" else first
        return (y, *states) if self.return_state else y

    def reset_state(self) -> None:
        """Has stateful layers start anew."""
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    def reset_states(self) -> None:
        """`reset_state`, by its older name."""
        self.reset_state()

    def get_config(self) -> dict:
        from kcore import saving

        layers = {"layer": self.forward_layer, "backward_layer": self.backward_layer}
        own = {"merge_mode": self.merge_mode} | {k: saving.serialize_keras_object(v) for k, v in layers.items()}
        return super().get_config() | own

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> Any:
        """The layer of a config."""
        from kcore import saving

        parts = {
            name: saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in ("layer", "backward_layer")
            if config.get(name) is not None
        }
        return cls(**{**config, **parts})


def _copied(layer: Any, prefix: str, go_backwards: bool) -> Any:
    """A new layer like this one, its name with the prefix."""
    config = layer.get_config()
    config["name"] = prefix + layer.name.removeprefix("forward_").removeprefix("backward_")
    config["go_backwards"] = go_backwards
    return home.own_class(layer).from_config(config)


class TimeDistributed(Wrapper):
    """A layer applied to every step of a sequence.

    Args:
        layer: What is applied. One that keeps statistics (it has weights that are not trained) sees the steps
            one by one; others see them all at once.

    Input: (batch, steps, ...), the rest of which is the layer's input.

    Raises:
        ValueError: The input has fewer than 3 dimensions.
    """

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.supports_masking = True

    def _step_shape(self, input_shape: Any) -> tuple:
        if len(input_shape) < 3:
            raise ValueError(
                f"{self.name}: the inputs should have at least 3 dimensions, (batch, steps, ...), not shape {tuple(input_shape)}."
            )
        return (input_shape[0], *input_shape[2:])

    def build(self, input_shape: Any) -> None:
        super().build(self._step_shape(input_shape))

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        signature = call_signature(home.own_class(self.layer).call)
        options = {"training": training} if signature.has_training else {}
        if mask is not None and (not signature.has_mask or len(mask.shape) < 3):
            mask = None
        batch, steps, *rest = ops.shape(inputs)
        one_by_one = isinstance(steps, int) and any(not v.declared_trainable for v in self.layer.weights)
        if one_by_one and training:
            outputs = [
                self.layer(inputs[:, i], **options, **({} if mask is None else {"mask": mask[:, i]}))
                for i in range(steps)
            ]
            return tree.map_structure(lambda *ys: ops.stack(ys, 1), *outputs)
        if mask is not None:
            options["mask"] = ops.reshape(mask, (-1, *ops.shape(mask)[2:]))
        y = self.layer(ops.reshape(inputs, (-1, *rest)), **options)
        return tree.map_structure(lambda t: ops.reshape(t, (batch, steps, *ops.shape(t)[1:])), y)

    def compute_output_shape(self, input_shape: Any) -> Any:
        made = self.layer.compute_output_shape(self._step_shape(input_shape))
        return (made[0], input_shape[1], *made[1:])
