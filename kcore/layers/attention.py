"""Attention layers: values averaged by how well queries and keys agree."""

from __future__ import annotations

import math
import string
from typing import Any

from kcore import ops, random
from kcore.layers.activate import Softmax
from kcore.layers.arguments import config_of, keep, positive, taken
from kcore.layers.core import EinsumDense
from kcore.layers.layer import Layer
from kcore.layers.regularize import Dropout

# A logit that no softmax gives any weight beside another; float16 holds less.
_FAR = {"float16": -3e4}


def _masked(logits: Any, mask: Any) -> Any:
    """The logits with those that the mask leaves out far below. Finite: a row with nothing left is uniform, not nan."""
    return ops.where(mask, logits, _FAR.get(str(logits.dtype), -2e38))


def _causal(rows: Any, columns: Any) -> Any:
    """Whether a key comes no later than the query, for (queries, keys)."""
    return ops.greater_equal(ops.expand_dims(ops.arange(rows), 1), ops.arange(columns))


# -- several heads ----------------------------------------------------------------------


class _ProjectedAttention(Layer):
    """What attention layers with projections share: their options, masks, and the computation."""

    _scale: float

    def _keep_options(self, given: dict[str, Any], **checked: Any) -> None:
        """Keeps what an __init__ was given, its `locals()`; `checked` is so already."""
        names = (
            *("use_gate", "sliding_window", "flash_attention", "kernel_initializer", "bias_initializer"),
            *("kernel_regularizer", "bias_regularizer", "kernel_constraint", "bias_constraint", "seed"),
        )
        if given["sliding_window"] is not None:
            checked["sliding_window"] = positive(self, given["sliding_window"], "sliding_window")
        self.supports_masking = True
        # Kept under other names where a sublayer, or nothing, is what the public name stands for.
        checked |= {"dropout_rate": given["dropout"], "bias_wanted": given["use_bias"]}
        keep(self, **taken(given, *names) | checked, _projection_regularizer=given["activity_regularizer"])

    def _dense(self, equation: str, sizes: tuple, bias_axes: str, name: str) -> EinsumDense:
        """A projection, with initializers of its own: the same ones again would make the same values."""
        again = {
            f"{part}_initializer": i.clone() if hasattr(i, "clone") else i
            for part, i in (("kernel", self.kernel_initializer), ("bias", self.bias_initializer))
        }
        return EinsumDense(
            equation,
            sizes,
            bias_axes=bias_axes if self.bias_wanted else None,
            name=name,
            dtype=self.dtype_policy,
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
            activity_regularizer=self._projection_regularizer,
            kernel_constraint=self.kernel_constraint,
            bias_constraint=self.bias_constraint,
            **again,
        )

    def _make_weighing(self) -> None:
        self._softmax = Softmax(axis=-1, dtype=self.dtype_policy)
        self._dropout_layer = Dropout(self.dropout_rate, dtype=self.dtype_policy, seed=self.seed)

    def _mask(self, rows: Any, columns: Any, value_mask: Any, key_mask: Any, attention_mask: Any, causal: bool) -> Any:
        """Which keys each query may see, as (batch or 1, queries, keys); None for all.

        The queries' own mask takes no part: what a masked query gives is masked behind this layer.
        """
        masks = [ops.expand_dims(ops.cast(m, "bool"), -2) for m in (value_mask, key_mask) if m is not None]
        if causal:
            masks.append(ops.expand_dims(_causal(rows, columns), 0))
        if self.sliding_window is not None:
            apart = ops.subtract(ops.expand_dims(ops.arange(rows), 1), ops.arange(columns))
            masks.append(ops.expand_dims(ops.less(ops.absolute(apart), self.sliding_window), 0))
        if attention_mask is not None:
            masks.append(ops.cast(attention_mask, "bool"))
        if not masks:
            return None
        mask = masks[0]
        for more in masks[1:]:
            mask = ops.logical_and(mask, more)
        return mask

    def _is_plain(self, training: bool | None, return_scores: bool) -> bool:
        """Whether one op does it all: no weights are asked for, or dropped."""
        return not return_scores and not (training and self.dropout_rate > 0)

    def _attend_at_once(self, query: Any, key: Any, value: Any, mask: Any, causal: bool) -> Any:
        """The result of tensors projected to (batch, steps, heads, size), with `mask` as `_mask` gives it."""
        if mask is not None and len(mask.shape) == 3:
            mask = ops.expand_dims(mask, 1)
        return ops.dot_product_attention(
            query,
            key,
            value,
            mask=mask,
            scale=self._scale,
            is_causal=causal,
            flash_attention=self.flash_attention,
        )

    def _gated(self, y: Any, query: Any) -> Any:
        return y if self._gate_dense is None else ops.multiply(y, ops.sigmoid(self._gate_dense(query)))


class MultiHeadAttention(_ProjectedAttention):
    """Attention in several heads (Vaswani et al. 2017): each projects queries, keys and values, and attends.

    Args:
        num_heads: How many heads.
        key_dim: The size of a query and a key in a head.
        value_dim: The size of a value in a head; `key_dim` unless given.
        dropout: The rate at which attention weights are dropped in training.
        use_bias: Whether the projections have a bias.
        output_shape: The sizes that the result has instead of the query's last one.
        attention_axes: The axes over which is attended; all but batch and features unless given.
        sliding_window: If given, a query sees only the keys less than this many steps away.
        flash_attention: True insists on the framework's fused kernel, False goes without.
        kernel_initializer, bias_initializer: Of the projections' weights.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties of the projections.
        kernel_constraint, bias_constraint: What the projections' weights pass through after updates.
        use_gate: Whether the heads' results are multiplied by a sigmoid of a projection of the query.
        seed: Makes the dropout repeatable.

    Call arguments:
        query: (batch, queries, features), or with more axes.
        value: (batch, keys, features).
        key: As `value`, which stands in if it is not given.
        query_mask, value_mask, key_mask: (batch, steps); those that the tensors carry unless given.
            The result has the query's.
        attention_mask: (batch, queries, keys), true where a query may see a key.
        return_attention_scores: Whether to return (result, weights of (batch, heads, queries, keys)).
        use_causal_mask: Whether query i sees keys 0 to i only.

    A query that may see nothing averages all values alike.

    Raises:
        ValueError: An argument is off, or the shapes don't fit together.
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: Any = None,
        attention_axes: Any = None,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        heads, size = positive(self, num_heads, "num_heads"), positive(self, key_dim, "key_dim")
        self._keep_options(
            locals(),
            _num_heads=heads,
            _key_dim=size,
            _value_dim=size if value_dim is None else positive(self, value_dim, "value_dim"),
            _output_shape=(output_shape,) if isinstance(output_shape, int) else output_shape and tuple(output_shape),
            _attention_axes=(attention_axes,)
            if isinstance(attention_axes, int)
            else attention_axes and tuple(attention_axes),
        )
        self._scale = 1 / math.sqrt(size)

    num_heads = property(lambda self: self._num_heads)
    key_dim = property(lambda self: self._key_dim)
    value_dim = property(lambda self: self._value_dim)
    dropout = property(lambda self: self.dropout_rate)
    use_bias = property(lambda self: self.bias_wanted)
    attention_axes = property(lambda self: self._attention_axes)
    query_dense = property(lambda self: self._query_dense)
    key_dense = property(lambda self: self._key_dense)
    value_dense = property(lambda self: self._value_dense)
    output_dense = property(lambda self: self._output_dense)

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        key_shape = value_shape if key_shape is None else key_shape
        self._check(query_shape, value_shape, key_shape)
        rank = len(query_shape)
        self._query_dense = self._projection("query", query_shape, self._key_dim)
        self._key_dense = self._projection("key", key_shape, self._key_dim)
        self._gate_dense = self._projection("gate", query_shape, self._value_dim) if self.use_gate else None
        self._value_dense = self._projection("value", value_shape, self._value_dim)
        if self._attention_axes is None:
            self._attention_axes = tuple(range(1, rank - 1))
        self._attention_axes = tuple(a % rank for a in self._attention_axes)
        self._make_weighing()
        free, rest = string.ascii_lowercase[: rank - 1], string.ascii_lowercase[rank - 1 :]
        sizes = self._output_shape or (query_shape[-1],)
        bound, made = rest[:2], rest[2 : 2 + len(sizes)]
        self._output_dense = self._dense(
            f"{free}{bound},{bound}{made}->{free}{made}", (*(None,) * (rank - 2), *sizes), made, "attention_output"
        )
        self._output_dense.build((*query_shape[:-1], self._num_heads, self._value_dim))
        self._dot_equation, self._combine_equation = _equations(rank + 1, self._attention_axes)

    def _projection(self, name: str, shape: Any, size: int) -> EinsumDense:
        """(..., features) to (..., heads, size)."""
        rank = len(shape)
        letters = string.ascii_lowercase
        free, bound, made = letters[: rank - 1], letters[rank - 1], letters[rank : rank + 2]
        dense = self._dense(
            f"{free}{bound},{bound}{made}->{free}{made}", (*(None,) * (rank - 2), self._num_heads, size), made, name
        )
        dense.build(shape)
        return dense

    def _check(self, query_shape: Any, value_shape: Any, key_shape: Any) -> None:
        alike = len(value_shape) == len(key_shape) == len(query_shape) and all(
            None in (a, b) or a == b for a, b in zip(value_shape[:-1], key_shape[:-1], strict=True)
        )
        if not alike:
            raise ValueError(
                f"{self.name}: query {tuple(query_shape)}, value {tuple(value_shape)} and key {tuple(key_shape)} should "
                "have as many axes, and value and key the same sizes but for the last."
            )

    def call(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        key = value if key is None else key
        q, k, v = self._query_dense(query), self._key_dense(key), self._value_dense(value)
        plain = len(q.shape) == 4 and self._is_plain(training, return_attention_scores)
        mask = self._mask(
            ops.shape(query)[1],
            ops.shape(value)[1],
            value_mask,
            key_mask,
            attention_mask,
            use_causal_mask and not plain,
        )
        if plain:
            y, weights = self._attend_at_once(q, k, v, mask, use_causal_mask), None
        else:
            y, weights = self._attend(q, k, v, mask, training)
        y = self._output_dense(self._gated(y, query))
        return (y, weights) if return_attention_scores else y

    def _attend(self, query: Any, key: Any, value: Any, mask: Any, training: bool | None) -> tuple[Any, Any]:
        """(result, weights) of projected tensors."""
        logits = ops.einsum(self._dot_equation, ops.multiply(query, self._scale), key)
        if mask is not None:
            for _ in range(len(logits.shape) - len(mask.shape)):  # the heads, and axes that are not attended over
                mask = ops.expand_dims(mask, -2 * len(self._attention_axes) - 1)
            logits = _masked(logits, mask)
        folded = tuple(range(-len(self._attention_axes), 0))
        weights = ops.softmax(logits, folded if len(folded) > 1 else -1)
        kept = self._dropout_layer(weights, training=training) if training and self.dropout_rate > 0 else weights
        return ops.einsum(self._combine_equation, kept, value), weights

    def compute_output_shape(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> tuple:
        self._check(query_shape, value_shape, value_shape if key_shape is None else key_shape)
        return (*query_shape[:-1], *(self._output_shape or (query_shape[-1],)))

    def get_config(self) -> dict:
        named = {
            "num_heads": self._num_heads,
            "key_dim": self._key_dim,
            "value_dim": self._value_dim,
            "dropout": self.dropout_rate,
            "use_bias": self.bias_wanted,
            "use_gate": self.use_gate,
            "output_shape": self._output_shape,
            "attention_axes": self._attention_axes,
            "sliding_window": self.sliding_window,
        }
        names = ("kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer")
        rest = config_of(self, *names)
        rest["activity_regularizer"] = config_of(self, "_projection_regularizer")["_projection_regularizer"]
        return super().get_config() | named | rest | config_of(self, "kernel_constraint", "bias_constraint", "seed")


def _equations(rank: int, axes: tuple[int, ...]) -> tuple[str, str]:
    """(queries, keys to logits; weights, values to result) for tensors (batch, ..., heads, size).

    The logits have the axes that are not attended over, then those of the queries, then those of the keys.
    """
    letters = string.ascii_lowercase
    target = letters[:rank]
    renamed = dict(zip(axes, letters[rank:], strict=False))
    source = "".join(renamed.get(i, t) for i, t in enumerate(target))
    batch = "".join(t for i, t in enumerate(target[:-1]) if i not in axes)
    logits = batch + "".join(target[a] for a in axes) + "".join(renamed[a] for a in axes)
    return f"{target},{source}->{logits}", f"{logits},{source}->{target}"


class GroupedQueryAttention(_ProjectedAttention):
    """Attention with fewer heads for keys and values than for queries (Ainslie et al. 2023).

    Args:
        head_dim: The size of a query, key and value in a head.
        num_query_heads: How many heads the queries have.
        num_key_value_heads: How many keys and values have; each serves neighbouring query heads.
        dropout: The rate at which attention weights are dropped in training.
        use_bias: Whether the projections have a bias.
        sliding_window: If given, a query sees only the keys less than this many steps away.
        flash_attention: True insists on the framework's fused kernel, False goes without.
        kernel_initializer, bias_initializer: Of the projections' weights.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties.
        kernel_constraint, bias_constraint: What the projections' weights pass through after updates.
        use_gate: Whether the heads' results are multiplied by a sigmoid of a projection of the query.
        seed: Makes the dropout repeatable.

    Call arguments: those of `MultiHeadAttention`, for (batch, steps, features).

    Raises:
        ValueError: An argument is off, or the query heads can't share the others evenly.
    """

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self._keep_options(
            locals(),
            head_dim=positive(self, head_dim, "head_dim"),
            num_query_heads=positive(self, num_query_heads, "num_query_heads"),
            num_key_value_heads=positive(self, num_key_value_heads, "num_key_value_heads"),
        )
        if num_query_heads % num_key_value_heads:
            raise ValueError(
                f"{self.name}: num_query_heads={num_query_heads} can't share num_key_value_heads={num_key_value_heads} evenly."
            )
        self.dropout, self.use_bias = dropout, use_bias
        self._scale = 1 / math.sqrt(head_dim)

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        key_shape = value_shape if key_shape is None else key_shape
        many, few, size = self.num_query_heads, self.num_key_value_heads, self.head_dim
        parts: tuple = (
            ("query", "bqm,muh->bquh", (None, many, size), "uh", query_shape),
            ("key", "bkm,mvh->bkvh", (None, few, size), "vh", key_shape),
            ("gate", "bqm,muh->bquh", (None, many, size), "uh", query_shape),
            ("value", "bkm,mvh->bkvh", (None, few, size), "vh", value_shape),
        )
        for name, equation, sizes, bias_axes, shape in parts:
            dense = None
            if name != "gate" or self.use_gate:
                dense = self._dense(equation, sizes, bias_axes, name)
                dense.build(shape)
            setattr(self, f"_{name}_dense", dense)
        self._make_weighing()
        self._output_dense = self._dense("bquh,uhm->bqm", (None, query_shape[-1]), "m", "attention_output")
        self._output_dense.build((*query_shape[:-1], many, size))

    def call(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        key = value if key is None else key
        plain = self._is_plain(training, return_attention_scores)
        mask = self._mask(
            ops.shape(query)[1],
            ops.shape(value)[1],
            value_mask,
            key_mask,
            attention_mask,
            use_causal_mask and not plain,
        )
        q, k, v = self._query_dense(query), self._key_dense(key), self._value_dense(value)
        weights = None
        if plain:
            y = self._attend_at_once(q, k, v, mask, use_causal_mask)
        else:
            if mask is not None and len(mask.shape) == 3:
                mask = ops.expand_dims(mask, 1)
            share = self.num_query_heads // self.num_key_value_heads
            k, v = ops.repeat(k, share, axis=2), ops.repeat(v, share, axis=2)
            logits = ops.einsum("bquh,bkuh->buqk", ops.multiply(q, self._scale), k)
            weights = ops.softmax(logits if mask is None else _masked(logits, mask), -1)
            kept = self._dropout_layer(weights, training=training) if training and self.dropout_rate > 0 else weights
            y = ops.einsum("buqk,bkuh->bquh", kept, v)
        y = self._output_dense(self._gated(y, query))
        return (y, weights) if return_attention_scores else y

    def compute_output_shape(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> tuple:
        return tuple(query_shape)

    def get_config(self) -> dict:
        names = (
            *(
                "head_dim",
                "num_query_heads",
                "num_key_value_heads",
                "use_bias",
                "use_gate",
                "sliding_window",
                "dropout",
            ),
            *("kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer"),
            *("activity_regularizer", "kernel_constraint", "bias_constraint", "seed"),
        )
        return super().get_config() | config_of(self, *names)


GroupQueryAttention = GroupedQueryAttention


# -- without projections ----------------------------------------------------------------


class Attention(Layer):
    """Dot-product attention without heads or projections (Luong et al. 2015).

    Args:
        use_scale: Whether the scores are multiplied by a weight.
        score_mode: "dot", or "concat" for a weight times the sum of tanh(query + key).
        dropout: The rate at which attention weights are dropped in training.
        seed: Makes the dropout repeatable.

    Call arguments:
        inputs: [query, value] or [query, value, key]: (batch, queries, size), (batch, keys, size).
        mask: [query mask, value mask], each (batch, steps) or None. What queries outside theirs give is 0.
        return_attention_scores: Whether to return (result, weights of (batch, queries, keys)).
        use_causal_mask: Whether query i sees keys 0 to i only.

    A query that may see nothing averages all values alike.

    Raises:
        ValueError: The inputs are no such list, or `score_mode` is another.
    """

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.use_scale, self.score_mode, self.dropout, self.seed = use_scale, score_mode, dropout, seed
        if score_mode not in ("dot", "concat"):
            raise ValueError(f"{self.name}: score_mode={score_mode!r} should be 'dot' or 'concat'.")
        self.seed_generator = random.SeedGenerator(seed) if dropout > 0 else None
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        self._checked(input_shape, None)
        self.scale = self.concat_score_weight = None
        if self.use_scale:
            self.scale = self.add_weight(name="scale", shape=(), initializer="ones")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight(name="concat_score_weight", shape=(), initializer="ones")

    def _scores(self, query: Any, key: Any) -> Any:
        """How well each query and key agree: (batch, queries, keys)."""
        if self.score_mode == "dot":
            scores = ops.matmul(query, ops.swapaxes(key, 1, 2))
            return scores if self.scale is None else ops.multiply(scores, self.scale)
        both = ops.add(ops.expand_dims(query, 2), ops.expand_dims(key, 1))
        if self.scale is not None:
            both = ops.multiply(self.scale, both)
        return ops.multiply(self.concat_score_weight, ops.sum(ops.tanh(both), -1))

    def _by_products(self) -> bool:
        """Whether the scores are products of queries and keys."""
        return self.score_mode == "dot"

    def _attend_at_once(self, query: Any, key: Any, value: Any, mask: Any, causal: bool) -> Any:
        """The result by one op, which has no use for the weights."""
        if self.scale is not None:
            query = ops.multiply(query, self.scale)
        q, k, v = (ops.expand_dims(x, 2) for x in (query, key, value))  # one head
        mask = None if mask is None else ops.expand_dims(mask, 1)
        return ops.squeeze(ops.dot_product_attention(q, k, v, mask=mask, scale=1.0, is_causal=causal), 2)

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        query_mask, value_mask = self._checked(inputs, mask)
        query, value = inputs[:2]
        key = inputs[2] if len(inputs) > 2 else value
        there = None if value_mask is None else ops.expand_dims(ops.cast(value_mask, "bool"), 1)
        if self._by_products() and not return_attention_scores and not (training and self.dropout > 0):
            y = self._attend_at_once(query, key, value, there, use_causal_mask)
        else:
            scores = self._scores(query, key)
            if use_causal_mask:
                before = ops.expand_dims(_causal(*ops.shape(scores)[1:]), 0)
                there = before if there is None else ops.logical_and(there, before)
            weights = ops.softmax(scores if there is None else _masked(scores, there), -1)
            if training and self.dropout > 0:
                weights = random.dropout(weights, self.dropout, seed=self.seed_generator)
            y = ops.matmul(weights, value)
        if query_mask is not None:
            y = ops.where(ops.expand_dims(ops.cast(query_mask, "bool"), -1), y, 0)
        return (y, weights) if return_attention_scores else y

    def _checked(self, inputs: Any, mask: Any) -> tuple[Any, Any]:
        """The masks of query and value.

        Raises:
            ValueError: The inputs, or the masks, are no list of two or three.
        """
        for what, many in (("inputs", inputs), ("mask", mask)):
            if many is not None and (not isinstance(many, (list, tuple)) or len(many) not in (2, 3)):
                raise ValueError(
                    f"{self.name}: {what} should be a list for query, value and perhaps key, not {many!r}."
                )
        return (None, None) if mask is None else (mask[0], mask[1])

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return self._checked(inputs, mask)[0]

    def compute_output_shape(self, input_shape: Any) -> tuple:
        return (*input_shape[0][:-1], input_shape[1][-1])

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "use_scale", "score_mode", "dropout", "seed")


class AdditiveAttention(Attention):
    """Attention with scores sum(scale * tanh(query + key)) (Bahdanau et al. 2015).

    Args:
        use_scale: Whether there is a weight `scale`, one for each feature.
        dropout: The rate at which attention weights are dropped in training.

    Call arguments: those of `Attention`; query and key have the same size.
    """

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape: Any) -> None:
        self._checked(input_shape, None)
        self.scale = None
        if self.use_scale:
            self.scale = self.add_weight(name="scale", shape=(input_shape[0][-1],), initializer="glorot_uniform")

    def _by_products(self) -> bool:
        return False

    def _scores(self, query: Any, key: Any) -> Any:
        both = ops.tanh(ops.add(ops.expand_dims(query, 2), ops.expand_dims(key, 1)))
        return ops.sum(both if self.scale is None else ops.multiply(self.scale, both), -1)

    def get_config(self) -> dict:
        found = super().get_config()
        found.pop("score_mode")
        return found
