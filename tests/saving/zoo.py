"""Models for saving tests, written once for kcore and Keras: `build(keras)` runs with either.

Each function makes one model; `MODELS` names them all. Weights are drawn by `fill`, so that none is a plain
zero or one and a mix-up shows.
"""

from __future__ import annotations

import numpy as np

MODELS = {}


def model(function):
    MODELS[function.__name__] = function
    return function


def fill(model):
    """Gives every weight of a built model values of its own, the same for both libraries."""
    rng = np.random.default_rng(len(model.weights))
    for v in model.weights:
        draw = rng.uniform(0.1, 1.0, v.shape) * rng.choice([-1.0, 1.0], v.shape)
        if "variance" in v.path or "gamma" in v.path or v.shape == ():
            draw = np.abs(draw)
        if np.issubdtype(np.dtype(v.dtype) if v.dtype != "bfloat16" else np.float32, np.floating):
            v.assign((0.5 * draw).astype("float32"))
    return model


def inputs_for(model, batch=3):
    """Arrays for a model's inputs, in its structure."""
    rng = np.random.default_rng(7)

    def one(t):
        shape = tuple((batch if i == 0 else 5) if d is None else d for i, d in enumerate(t.shape))
        if "int" in str(t.dtype):
            return rng.integers(0, 5, shape).astype(str(t.dtype))
        return rng.uniform(-1, 1, shape).astype("float32")

    given = getattr(model, "zoo_input_shape", None)
    if given is not None:
        return rng.uniform(-1, 1, given).astype("float32")
    structure = model.inputs[0] if type(model).__name__ == "Sequential" else model.input
    if isinstance(structure, dict):
        return {k: one(structure[k]) for k in sorted(structure)}
    return [one(t) for t in structure] if isinstance(structure, (list, tuple)) else one(structure)


def custom(keras):
    """The custom classes, registered with the library."""
    register = keras.saving.register_keras_serializable

    @register("zoo")
    class Scale(keras.layers.Layer):
        def __init__(self, start=1.0, **kwargs):
            super().__init__(**kwargs)
            self.start = start

        def build(self, input_shape):
            self.gain = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="gain")
            self.count = self.add_weight(shape=(), initializer="zeros", trainable=False, name="count")
            self.late = self.add_weight(shape=(2,), initializer="ones", name="late")

        def call(self, x):
            return x * self.gain * self.start + self.count + self.late[0]

        def get_config(self):
            return {**super().get_config(), "start": self.start}

    @register("zoo")
    class Block(keras.layers.Layer):
        """Sublayers in attributes, lists, dicts and nested ones."""

        def __init__(self, width=4, depth=2, **kwargs):
            super().__init__(**kwargs)
            self.width, self.depth = width, depth
            self.stack = [keras.layers.Dense(width, activation="tanh") for _ in range(depth)]
            self.heads = {"b": keras.layers.Dense(width), "a": Scale(0.5)}
            self.norm = keras.layers.LayerNormalization()
            self.first = keras.layers.Dense(width, use_bias=False)

        def build(self, input_shape):
            self.first.build(input_shape)
            shape = (*input_shape[:-1], self.width)
            for layer in (*self.stack, *self.heads.values(), self.norm):
                layer.build(shape)

        def call(self, x, training=False):
            x = self.first(x)
            for layer in self.stack:
                x = layer(x)
            return self.norm(self.heads["a"](x) + self.heads["b"](x))

        def get_config(self):
            return {**super().get_config(), "width": self.width, "depth": self.depth}

    @register("zoo")
    class Around(keras.layers.Layer):
        """A layer in the config of another."""

        def __init__(self, inner, **kwargs):
            super().__init__(**kwargs)
            self.inner = inner

        def build(self, input_shape):
            if not self.inner.built:
                self.inner.build(input_shape)

        def call(self, x):
            return self.inner(x) + x

        def get_config(self):
            return {**super().get_config(), "inner": keras.saving.serialize_keras_object(self.inner)}

        @classmethod
        def from_config(cls, config):
            config["inner"] = keras.saving.deserialize_keras_object(config["inner"])
            return cls(**config)

    @register("zoo")
    class Plain(keras.layers.Layer):
        """No get_config of its own."""

        def __init__(self, factor, offset=0.5, **kwargs):
            super().__init__(**kwargs)
            self.factor, self.offset = factor, offset

        def call(self, x):
            return x * self.factor + self.offset

    @register("zoo")
    def cube(x):
        return x * x * x

    @register("zoo")
    class Written(keras.Model):
        """A subclassed model."""

        def __init__(self, width=4, **kwargs):
            super().__init__(**kwargs)
            self.width = width
            self.blocks = [Block(width, 1), Block(width, 2)]
            self.out = keras.layers.Dense(2, name="out")
            self.tower = keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(width)])

        def call(self, x, training=False):
            for block in self.blocks:
                x = block(x)
            return self.out(self.tower(x))

        def get_config(self):
            return {**super().get_config(), "width": self.width}

    @register("zoo")
    class Ready(keras.Model):
        """A subclass that is functional inside."""

        def __init__(self, width=4, **kwargs):
            x = keras.Input((3,))
            super().__init__(x, keras.layers.Dense(width)(x), **kwargs)
            self.width = width

        def get_config(self):
            return {"width": self.width, "name": self.name}

        @classmethod
        def from_config(cls, config, custom_objects=None):
            return cls(**config)

    return {c.__name__: c for c in (Scale, Block, Around, Plain, cube, Written, Ready)}


@model
def sequential(keras, made):
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(8, activation="relu"), layers.Dropout(0.3), layers.Dense(3)]
    )


@model
def sequential_named(keras, made):
    layers = keras.layers
    m = keras.Sequential(name="tower")
    m.add(keras.Input((6,), name="start", batch_size=None))
    m.add(layers.Dense(5, name="hidden", trainable=False))
    m.add(layers.Activation("gelu"))
    m.add(layers.Dense(2, use_bias=False, kernel_initializer=keras.initializers.HeNormal(seed=3)))
    return m


@model
def sequential_built_later(keras, made):
    m = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(2)])
    m.build((None, 3))
    return m


@model
def sequential_called(keras, made):
    m = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(2)])
    m(np.ones((2, 3), "float32"))
    return m


@model
def towers(keras, made):
    inner = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(2)])
    return keras.Sequential(
        [keras.Input((3,)), inner, keras.layers.Dense(2), keras.Sequential([keras.layers.Dense(1)])]
    )


@model
def shared(keras, made):
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    tower = keras.layers.Dense(5, activation="relu")
    x = keras.layers.concatenate([tower(a), tower(b)])
    x = keras.layers.Add()([x, keras.layers.Dense(10)(x)])
    return keras.Model([a, b], keras.layers.Dense(1)(x))


@model
def many_outputs(keras, made):
    a, b = keras.Input((4,)), keras.Input((5,), dtype="int32", name="tokens")
    e = keras.layers.Embedding(7, 3)(b)
    x = keras.layers.Concatenate()([a, keras.layers.Flatten()(e)])
    x = keras.layers.Dense(6, activation="tanh")(x)
    return keras.Model(
        [a, b], [keras.layers.Dense(2, name="p")(x), keras.layers.Dense(3, activation="softmax", name="q")(x), x]
    )


@model
def dicts(keras, made):
    ins = {"z": keras.Input((2,), name="z"), "a": keras.Input((3,), name="a")}
    x = keras.layers.Concatenate()([ins["a"], ins["z"]])
    return keras.Model(ins, {"one": keras.layers.Dense(1)(x), "deep": keras.layers.Dense(2)(x)})


@model
def nested(keras, made):
    x = keras.Input((3,))
    inner = keras.Model(x, keras.layers.Dense(4, name="in_inner")(x), name="inner")
    tower = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(3)], name="tower")
    a = keras.Input((3,))
    y = inner(tower(a))
    y = keras.layers.Dense(3)(y)
    return keras.Model(a, inner(y) + keras.layers.Dense(4)(y), name="outer")


@model
def functional_in_sequential(keras, made):
    x = keras.Input((3,))
    inner = keras.Model(x, keras.layers.Dense(4)(x))
    return keras.Sequential([inner, keras.layers.Dense(2)])


@model
def middle(keras, made):
    x = keras.Input((3,))
    h = keras.layers.Dense(4, name="h1")(x)
    h2 = keras.layers.Dense(5, name="h2")(h)
    y = keras.layers.Dense(2, name="h3")(h2)
    base = keras.Model(x, y)
    return keras.Model(base.layers[1].output, [base.output, base.get_layer("h2").output])


@model
def raw_ops(keras, made):
    ops = keras.ops
    x, z = keras.Input((4, 6), name="x"), keras.Input((4, 6), name="z")
    y = x * 2 + 1 - z / 3
    y = ops.concatenate([y[:, 1:], ops.reshape(z, (-1, 4, 6)), 2 * y], axis=1)
    y = ops.clip(y, -2, 2) ** 2
    m = ops.matmul(y, ops.transpose(z, (0, 2, 1)))
    m = ops.where(m > 0.5, m, 0.25 * m)
    m = ops.relu(m) + ops.leaky_relu(-m, negative_slope=0.3) + abs(m)
    s = ops.mean(m, axis=1) + ops.max(m, axis=1) - ops.logsumexp(m, axis=1)
    s = s + ops.sum(ops.softmax(m, axis=-1), axis=(1,), keepdims=False)
    p = ops.pad(s, ((0, 0), (1, 1)), constant_values=2.0)
    p = ops.stack([p, ops.sqrt(ops.abs(p)), ops.expand_dims(p, 1)[:, 0]], axis=-1)
    first, second, third = ops.split(p, 3, axis=-1)
    t = ops.squeeze(first * second, axis=-1) + ops.take(third, np.array([0]), axis=2)[..., 0]
    t = t + np.arange(6, dtype="float32")
    e = ops.einsum("bij,bkj->bik", y, z)
    return keras.Model([x, z], [t, e, ops.cast(t > 0, "int32"), ops.argmax(e, axis=-1)])


@model
def activations(keras, made):
    a = keras.activations
    x = keras.Input((5,))
    ys = [a.relu(x), a.relu(x, max_value=0.5), a.gelu(x), a.silu(x), a.softmax(x), a.tanh(x), a.elu(x), a.leaky_relu(x)]
    return keras.Model(x, keras.layers.Concatenate()(ys))


@model
def image(keras, made):
    layers = keras.layers
    x = keras.Input((9, 8, 3))
    y = layers.Rescaling(1 / 127.5, offset=-1)(x)
    y = layers.Conv2D(4, 3, padding="same", use_bias=False)(y)
    y = layers.BatchNormalization()(y)
    y = layers.ReLU(max_value=6)(y)
    y = layers.MaxPooling2D()(y)
    y = layers.DepthwiseConv2D((3, 2), strides=1, depth_multiplier=2)(y)
    y = layers.SeparableConv2D(5, 2, activation="selu")(y)
    y = layers.ZeroPadding2D((1, 2))(y)
    y = layers.Conv2DTranspose(3, 3, strides=2, padding="same")(y)
    y = layers.GlobalAveragePooling2D()(y)
    return keras.Model(x, layers.Dense(2, activation="softmax")(y))


@model
def text(keras, made):
    layers = keras.layers
    x = keras.Input((None,), dtype="int32")
    y = layers.Embedding(9, 6, mask_zero=True)(x)
    y = layers.SpatialDropout1D(0.2)(y)
    y = layers.Conv1D(4, 3, padding="causal", dilation_rate=2)(y)
    y = layers.LayerNormalization(epsilon=1e-4)(y)
    y = layers.GlobalMaxPooling1D()(y)
    return keras.Model(x, layers.Dense(1)(y))


@model
def options(keras, made):
    layers = keras.layers
    x = keras.Input((6,))
    y = layers.Dense(
        4,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.2, seed=1),
        bias_initializer="ones",
        kernel_regularizer=keras.regularizers.L1L2(1e-4, 1e-3),
        bias_regularizer="l2",
        activity_regularizer=keras.regularizers.L2(1e-3),
        kernel_constraint=keras.constraints.MaxNorm(3),
        bias_constraint="non_neg",
        activation=layers.LeakyReLU(negative_slope=0.2),
    )(x)
    y = layers.Dense(3, activation=made["cube"])(y)
    y = layers.PReLU()(y)
    return keras.Model(x, layers.EinsumDense("ab,bc->ac", output_shape=2, bias_axes="c")(y))


@model
def customs(keras, made):
    x = keras.Input((4,))
    y = made["Block"](4)(x)
    y = made["Scale"](2.0)(y)
    y = made["Around"](keras.layers.Dense(4))(y)
    y = made["Plain"](0.5, offset=2)(y)
    return keras.Model(x, keras.layers.Dense(2)(y))


@model
def written(keras, made):
    m = made["Written"]()
    m(np.ones((2, 5), "float32"))
    m.zoo_input_shape = (3, 5)
    return m


@model
def ready(keras, made):
    return made["Ready"](6)


@model
def mixed(keras, made):
    x = keras.Input((4,))
    y = keras.layers.Dense(5, dtype="mixed_float16")(x)
    y = keras.layers.Dense(3, dtype="bfloat16")(y)
    y = keras.layers.BatchNormalization(dtype="mixed_bfloat16")(y)
    return keras.Model(x, keras.layers.Dense(2, dtype="float32")(y))


@model
def frozen(keras, made):
    layers = keras.layers
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.BatchNormalization()], name="base")
    inner.trainable = False
    x = keras.Input((4,))
    y = layers.Dense(2)(inner(x))
    m = keras.Model(x, y)
    m.layers[-1].trainable = True
    return m


@model
def unrelated_use(keras, made):
    """Layers that were called outside of the model too: calls are numbered by those inside."""
    x = keras.Input((3,))
    d = keras.layers.Dense(3)
    d(keras.Input((3,)))
    y = d(x)
    keras.Model(x, y)
    z = d(y)
    return keras.Model(x, z + keras.ops.multiply(y, 2.0))


COMPILED = {}


def compiled(function):
    COMPILED[function.__name__] = function
    return function


def data_for(model):
    """(x, y) to train on."""
    x = inputs_for(model, 8)
    rng = np.random.default_rng(3)
    outputs = model.outputs
    ys = [rng.uniform(0, 1, (8, *t.shape[1:])).astype("float32") for t in outputs]
    return x, ys[0] if len(ys) == 1 else ys


def small(keras, made):
    x = keras.Input((4,))
    y = keras.layers.Dense(5, activation="tanh")(x)
    y = keras.layers.BatchNormalization()(y)
    return keras.Model(x, keras.layers.Dense(2, activation="sigmoid")(y))


@compiled
def adam(keras, made):
    m = small(keras, made)
    m.compile(
        keras.optimizers.Adam(1e-2, beta_1=0.8), loss="mse", metrics=["mae", keras.metrics.MeanSquaredError(name="e")]
    )
    return m


@compiled
def momentum(keras, made):
    m = small(keras, made)
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    m.compile(
        keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, clipnorm=1.0),
        loss=keras.losses.BinaryCrossentropy(from_logits=False, label_smoothing=0.1),
        weighted_metrics=["mse"],
    )
    return m


@compiled
def rmsprop(keras, made):
    m = small(keras, made)
    m.layers[1].trainable = False
    m.compile("rmsprop", loss=keras.losses.mean_squared_error, run_eagerly=False)
    return m


@compiled
def two_losses(keras, made):
    m = many_outputs(keras, made)
    m = keras.Model(m.inputs, m.outputs[:2])
    m.compile(
        keras.optimizers.AdamW(1e-3, weight_decay=0.01, use_ema=True),
        loss={"p": "mse", "q": keras.losses.CategoricalCrossentropy()},
        loss_weights={"p": 0.5, "q": 2.0},
        metrics={"p": ["mae"], "q": ["accuracy"]},
    )
    return m


@compiled
def written_compiled(keras, made):
    m = written(keras, made)
    m.compile(keras.optimizers.Adam(1e-3), loss="mse")
    return m


def facts(keras, model):
    """What both libraries must agree on, without running the model."""
    import json

    return {
        "name": model.name,
        "layers": [layer.name for layer in model.layers],
        "weights": [[v.path, list(v.shape), str(v.dtype)] for v in model.weights],
        "trainable": [v.path for v in model.trainable_weights],
        "config": json.loads(json.dumps(keras.saving.serialize_keras_object(model))),
    }
