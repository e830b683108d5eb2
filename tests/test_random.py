"""Draws: the same numbers everywhere, those of jax.random, with the right shapes, bounds and moments."""

import random
import threading

import numpy as np
import pytest
from scipy import stats

from kcore import _native, backends, grad, ops, state, vjp
from kcore.layers import Layer
from kcore.models import Sequential
from kcore.ops.symbolic import KerasTensor
from kcore.random import (
    SeedGenerator,
    beta,
    binomial,
    categorical,
    dropout,
    gamma,
    normal,
    randint,
    shuffle,
    truncated_normal,
    uniform,
)
from kcore.random.bits import random_bits, split
from kcore.random.keyed import random_dropout, random_uniform, random_unit
from kcore.random.seed_generator import draw_key
from kcore.utils.random_seed import set_random_seed


@pytest.fixture(params=backends.installed())
def backend(request):
    with backends.use(request.param) as chosen:
        yield chosen


def on_reference(draw):
    with backends.use("reference"):
        return np.asarray(draw())


# -- the same everywhere ----------------------------------------------------------------

EXACT = {
    "uniform": lambda: uniform((3, 700), seed=9),
    "uniform between bounds": lambda: uniform((3, 700), -2.0, 5.0, seed=9),
    "uniform float64": lambda: uniform((70,), dtype="float64", seed=9),
    "uniform bfloat16": lambda: uniform((70,), dtype="bfloat16", seed=9),
    "uniform float16": lambda: uniform((70,), dtype="float16", seed=9),
    "randint": lambda: randint((300,), -7, 1000, seed=9),
    "randint uint8": lambda: randint((300,), 0, 200, dtype="uint8", seed=9),
    "randint int64": lambda: randint((300,), 0, 2**40, dtype="int64", seed=9),
    "dropout": lambda: dropout(ops.ones((30, 40)), 0.3, seed=9),
    "dropout of rows": lambda: dropout(ops.ones((30, 40)), 0.3, noise_shape=(None, 1), seed=9),
    "shuffle": lambda: shuffle(ops.arange(2000), seed=9),
    "shuffle columns": lambda: shuffle(ops.reshape(ops.arange(60), (5, 12)), axis=1, seed=9),
    "categorical": lambda: categorical(np.log(np.array([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]])), 50, seed=9),
}


@pytest.mark.parametrize("name", EXACT)
def test_draws_are_bit_for_bit_those_of_the_reference(backend, name):
    got, want = backend.numpy(EXACT[name]()), on_reference(EXACT[name])
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)


def test_normal_numbers_agree_to_rounding(backend):
    got = backend.numpy(normal((20000,), seed=9))
    want = on_reference(lambda: normal((20000,), seed=9))
    np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-7)


def test_draws_are_those_of_jax():
    jax = pytest.importorskip("jax")
    key = jax.numpy.array([9, 0], "uint32")
    logits = np.log(np.array([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]], "float32"))
    noise = jax.random.gumbel(key, (2, 3, 50))
    with backends.use("reference"):
        np.testing.assert_array_equal(uniform((3, 700), seed=9), jax.random.uniform(key, (3, 700)))
        np.testing.assert_array_equal(
            uniform((3, 700), -2, 5, seed=9), jax.random.uniform(key, (3, 700), minval=-2, maxval=5)
        )
        np.testing.assert_array_equal(randint((300,), 0, 99, seed=9), jax.random.randint(key, (300,), 0, 99))
        np.testing.assert_array_equal(
            dropout(np.ones(500, "float32"), 0.3, seed=9) > 0, jax.random.bernoulli(key, 0.7, (500,))
        )
        np.testing.assert_array_equal(shuffle(np.arange(2000), seed=9), jax.random.permutation(key, 2000))
        np.testing.assert_array_equal(categorical(logits, 50, seed=9), np.argmax(noise + logits[:, :, None], 1))
        np.testing.assert_allclose(normal((5000,), seed=9), jax.random.normal(key, (5000,)), rtol=2e-6, atol=1e-7)
        np.testing.assert_allclose(
            truncated_normal((5000,), seed=9), jax.random.truncated_normal(key, -2, 2, (5000,)), rtol=2e-6, atol=1e-7
        )


def test_what_jax_is_told_about_its_generator_does_not_matter():
    jax = pytest.importorskip("jax")
    with backends.use("jax"), jax.threefry_partitionable(False):
        got = np.asarray(jax.jit(lambda: uniform((100,), seed=9))())
    np.testing.assert_array_equal(got, on_reference(lambda: uniform((100,), seed=9)))


# -- compiled ---------------------------------------------------------------------------


def test_draws_are_the_same_inside_jit_and_vmap():
    jax = pytest.importorskip("jax")
    keys = np.array([[9, 0], [9, 1]], "uint32")
    want = [on_reference(lambda k=k: random_unit(k, (4, 3))) for k in keys]
    with backends.use("jax"):
        np.testing.assert_array_equal(jax.jit(lambda k: random_unit(k, (4, 3)))(keys[0]), want[0])
        np.testing.assert_array_equal(jax.vmap(lambda k: random_unit(k, (4, 3)))(keys), want)


def test_draws_are_the_same_inside_a_tensorflow_graph():
    tf = pytest.importorskip("tensorflow")
    key, x = np.array([9, 0], "uint32"), np.ones((5, 3), "float32")
    want = on_reference(lambda: random_dropout(x, key, 0.4))
    with backends.use("tensorflow"):
        graph = tf.function(
            lambda k, x: random_dropout(x, k, 0.4),
            input_signature=[tf.TensorSpec((2,), tf.uint32), tf.TensorSpec((None, 3))],
            autograph=False,
        )
        np.testing.assert_array_equal(graph(key, x), want)


def test_dropout_lets_gradients_of_any_order_through_where_it_let_values_through(backend):
    key, x = np.array([9, 0], "uint32"), np.linspace(1, 2, 37).astype("float32")

    def cubes(x):
        return ops.sum(random_dropout(x, key, 0.4) ** 3)

    kept = np.asarray(on_reference(lambda: random_dropout(x, key, 0.4))) > 0
    first = grad(cubes)
    second = grad(lambda x: ops.sum(first(x)))
    x = backend.convert(x)
    for got, want in ((first(x), 3 * backend.numpy(x) ** 2), (second(x), 6 * backend.numpy(x))):
        np.testing.assert_allclose(backend.numpy(got), np.where(kept, want / np.float32(0.6) ** 3, 0), rtol=1e-6)


def test_dropout_without_the_extension_is_the_same(monkeypatch):
    key, x = np.array([9, 0], "uint32"), np.linspace(-1, 1, 1001, dtype="float32")

    def run():
        with backends.use("reference"):
            y, back = vjp(lambda x: random_dropout(x, key, 0.3), x)
            return np.asarray(y), np.asarray(back(x)[0])

    want = run()
    monkeypatch.setattr(_native, "available", False)
    for got, y in zip(run(), want, strict=True):
        np.testing.assert_array_equal(got, y)


def test_the_portable_cipher_in_torch_gives_the_same_bits():
    torch = pytest.importorskip("torch")
    keys = np.array([[9, 0], [2**32 - 1, 2**31]], "uint32")
    with backends.use("torch") as backend:
        drawn = torch.func.vmap(lambda k: random_bits(k.view(torch.uint32), (4, 3)).view(torch.int32))
        got = backend.numpy(drawn(backend.convert(keys).view(torch.int32))).view("uint32")
    np.testing.assert_array_equal(got, [on_reference(lambda k=k: random_bits(k, (4, 3))) for k in keys])


def test_draws_in_a_torch_graph_depend_on_the_key():
    make_fx = pytest.importorskip("torch.fx.experimental.proxy_tensor").make_fx

    with backends.use("torch") as backend:
        first, second = draw_key(9), draw_key(10)
        graph = make_fx(lambda k: random_unit(k, (4, 3)))(first)
        np.testing.assert_array_equal(backend.numpy(graph(second)), on_reference(lambda: uniform((4, 3), seed=10)))


# -- seeds ------------------------------------------------------------------------------


def test_an_integer_seed_repeats_and_a_generator_goes_on(backend):
    generator = SeedGenerator(9)
    first, second = (backend.numpy(uniform((4,), seed=generator)) for _ in range(2))
    np.testing.assert_array_equal(first, backend.numpy(uniform((4,), seed=9)))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(generator.state.numpy(), np.array([9, 2], "uint32"))


def test_keys_are_not_changed_by_later_ones(backend):
    generator = SeedGenerator(9)
    keys = [generator.next() for _ in range(3)]
    np.testing.assert_array_equal([backend.numpy(k) for k in keys], [[9, 0], [9, 1], [9, 2]])


def test_unordered_keys_scatter_the_state(backend):
    generator = SeedGenerator(0)
    generator.next(ordered=False)
    np.testing.assert_array_equal(generator.state.numpy(), [5387, 5387])


def test_a_generator_counts_past_the_last_key(backend):
    generator = SeedGenerator(3)
    generator.state.assign(np.array([3, 2**32 - 1], "uint32"))
    generator.next()
    np.testing.assert_array_equal(generator.state.numpy(), [3, 0])


def test_a_generator_in_a_stateless_scope_keeps_its_state(backend):
    generator = SeedGenerator(9)
    with state.StatelessScope([(generator.state, np.array([9, 5], "uint32"))]) as scope:
        key = generator.next()
        after = scope.get_current_value(generator.state)
    np.testing.assert_array_equal(backend.numpy(key), [9, 5])
    np.testing.assert_array_equal(backend.numpy(after), [9, 6])
    np.testing.assert_array_equal(generator.state.numpy(), [9, 0])


def test_a_generator_advances_inside_jit_by_way_of_a_scope():
    jax = pytest.importorskip("jax")
    with backends.use("jax"):
        generator = SeedGenerator(9)

        @jax.jit
        def step(value):
            with state.StatelessScope([(generator.state, value)]) as scope:
                y = uniform((3,), seed=generator)
            return y, scope.get_current_value(generator.state)

        first, after = step(generator.state.value)
        second, _ = step(after)
        np.testing.assert_array_equal(first, uniform((3,), seed=generator))
        np.testing.assert_array_equal(second, uniform((3,), seed=generator))


def test_a_generator_inside_jit_without_a_scope_is_refused():
    jax = pytest.importorskip("jax")
    with backends.use("jax"):
        generator = SeedGenerator(9)
        with pytest.raises(ValueError, match="can't be assigned inside a JAX transformation"):
            jax.jit(lambda: uniform((3,), seed=generator))()
        np.testing.assert_array_equal(generator.state.numpy(), [9, 0])
        set_random_seed(3)
        with pytest.raises(ValueError, match="can't be assigned inside a JAX transformation"):
            jax.jit(lambda: uniform((3,)))()
        set_random_seed(3)
        want = np.asarray(uniform((3,)))
        set_random_seed(3)
        with pytest.raises(ValueError, match="can't be assigned"):
            jax.jit(lambda: uniform((3,)))()
        np.testing.assert_array_equal(uniform((3,)), want)


def test_a_generator_advances_inside_tf_function():
    tf = pytest.importorskip("tensorflow")
    with backends.use("tensorflow"):
        generator = SeedGenerator(9)
        step = tf.function(lambda: uniform((3,), seed=generator), autograph=False)
        got = [step().numpy() for _ in range(3)]
        again = SeedGenerator(9)
        np.testing.assert_array_equal(got, [uniform((3,), seed=again).numpy() for _ in range(3)])


def test_a_generator_of_another_backend_may_be_used(backend):
    with backends.use("reference"):
        generator = SeedGenerator(9)
    np.testing.assert_array_equal(backend.numpy(uniform((4,), seed=generator)), backend.numpy(uniform((4,), seed=9)))


def test_set_random_seed_repeats_everything_on_every_backend(backend):
    def drawn():
        set_random_seed(7)
        floats = [random.random(), np.random.random()]  # noqa: NPY002 - the global generator is seeded too
        return [*floats, *np.asarray(uniform((3,))), *np.asarray(randint((2,), 0, 99))]

    first = drawn()
    assert drawn() == first
    assert on_reference(drawn).tolist() == first


def test_a_generator_can_be_remade_from_its_config():
    generator = SeedGenerator(12, name="dice")
    again = SeedGenerator.from_config(generator.get_config())
    assert generator.get_config() == {"seed": 12, "name": "dice"}
    np.testing.assert_array_equal(again.state.numpy(), [12, 0])
    assert again.state.path == "dice/seed_generator_state"
    assert not again.state.trainable


@pytest.mark.parametrize("draw", [uniform, normal, truncated_normal, lambda s, seed: randint(s, 0, 9, seed=seed)])
def test_a_draw_of_an_unknown_batch_size_is_symbolic(draw):
    """As a layer that adds noise to what it is given asks for it, while it is traced."""

    class Noise(Layer):
        def __init__(self):
            super().__init__()
            self.seeds = SeedGenerator(7)

        def call(self, x):
            return x + ops.cast(draw(ops.shape(x), seed=self.seeds), x.dtype)

    model = Sequential([Noise()])
    assert model(KerasTensor((None, 3))).shape == (None, 3)
    noise = np.asarray(model(np.zeros((4, 3), "float32")))
    assert len(np.unique(noise)) > 4
    assert draw((None, 2), seed=1).shape == (None, 2)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "a"])
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(ValueError, match="should be an integer"):
        SeedGenerator(seed)
    with pytest.raises(ValueError, match="should be an integer"):
        uniform((2,), seed=seed)


def test_threads_share_the_global_generator_without_repeating_keys():
    set_random_seed(3)
    found = []

    def draw():
        found.extend(tuple(np.asarray(draw_key())) for _ in range(50))

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(set(found)) == 200


def test_new_keys_are_the_old_keys_words(backend):
    key = draw_key(9)
    assert [backend.numpy(k).tolist() for k in split(key, 3)] == on_reference(
        lambda: np.stack([np.asarray(k) for k in split(draw_key(9), 3)])
    ).tolist()


# -- what is drawn ----------------------------------------------------------------------


def test_moments_of_the_draws():
    u, n = np.asarray(uniform((200000,), -1, 3, seed=1)), np.asarray(normal((200000,), 2.0, 3.0, seed=1))
    t = np.asarray(truncated_normal((200000,), seed=1))
    assert u.min() >= -1
    assert u.max() < 3
    np.testing.assert_allclose([u.mean(), u.std()], [1, 4 / 12**0.5], atol=0.01)
    np.testing.assert_allclose([n.mean(), n.std()], [2, 3], atol=0.02)
    assert np.abs(t).max() < 2
    np.testing.assert_allclose([t.mean(), t.std()], [0, 0.8796], atol=0.01)


@pytest.mark.parametrize(
    ("draw", "distribution"),
    [
        (lambda: gamma((20000,), 0.3, dtype="float64", seed=1), stats.gamma(0.3)),
        (lambda: gamma((20000,), 1.0, seed=1), stats.gamma(1.0)),
        (lambda: gamma((20000,), 7.5, seed=1), stats.gamma(7.5)),
        (lambda: beta((20000,), 0.5, 0.5, seed=1), stats.beta(0.5, 0.5)),
        (lambda: beta((20000,), 2.0, 5.0, seed=1), stats.beta(2.0, 5.0)),
        (lambda: uniform((20000,), seed=1), stats.uniform()),
        (lambda: normal((20000,), seed=1), stats.norm()),
        (lambda: truncated_normal((20000,), seed=1), stats.truncnorm(-2, 2)),
    ],
)
def test_draws_follow_their_distributions(draw, distribution):
    assert stats.kstest(np.asarray(draw()).astype("float64"), distribution.cdf).pvalue > 0.01


@pytest.mark.parametrize(("n", "p"), [(3, 0.4), (20, 0.2), (25, 0.5), (40, 0.9), (100, 0.3), (400, 0.5)])
def test_binomial_counts_follow_their_distribution(n, p):
    counts = np.bincount(np.asarray(binomial((20000,), n, p, seed=1)).astype(int), minlength=n + 1)
    expected = 20000 * stats.binom.pmf(np.arange(n + 1), n, p)
    often = expected > 5
    got, want = ([*a[often], a[~often].sum() + 1e-9] for a in (counts, expected))
    assert stats.chisquare(got, np.array(want) * sum(got) / sum(want)).pvalue > 0.01


def test_rejection_draws_agree_on_all_backends(backend):
    alpha = np.linspace(0.1, 20, 50).astype("float32")
    for draw, rtol in (
        (lambda: gamma((50,), alpha, seed=9), 1e-5),
        (lambda: beta((50,), alpha, 2.0, seed=9), 1e-5),
        (lambda: binomial((50,), np.arange(50), 0.3, seed=9), 0),
    ):
        np.testing.assert_allclose(backend.numpy(draw()), on_reference(draw), rtol=rtol)


def test_rejection_draws_work_compiled():
    jax = pytest.importorskip("jax")
    want = on_reference(lambda: gamma((6,), 2.0, seed=9))
    with backends.use("jax"):
        np.testing.assert_allclose(jax.jit(lambda: gamma((6,), 2.0, seed=9))(), want, rtol=1e-5)
    tf = pytest.importorskip("tensorflow")
    with backends.use("tensorflow"):
        np.testing.assert_allclose(tf.function(lambda: gamma((6,), 2.0, seed=9), autograph=False)(), want, rtol=1e-5)


def test_integers_are_even_over_the_whole_range():
    counts = np.bincount(np.asarray(randint((60000,), 0, 6, seed=1)))
    assert len(counts) == 6
    assert np.abs(counts - 10000).max() < 400


def test_categories_follow_their_probabilities():
    p = np.array([[0.1, 0.2, 0.7], [1.0, 0.0, 0.0]])
    with np.errstate(divide="ignore"):
        drawn = np.asarray(categorical(np.log(p), 50000, seed=1))
    counts = np.stack([np.bincount(row, minlength=3) for row in drawn]) / 50000
    np.testing.assert_allclose(counts, p, atol=0.01)


def test_dropout_keeps_the_mean_and_zeroes_at_the_rate():
    y = np.asarray(dropout(np.ones((400, 500), "float32"), 0.3, seed=1))
    assert set(np.unique(y)) == {np.float32(0), np.float32(1) / np.float32(0.7)}
    assert abs((y == 0).mean() - 0.3) < 0.005


def test_shuffling_keeps_slices_whole(backend):
    x = np.arange(24).reshape(6, 4)
    y = backend.numpy(shuffle(x, seed=3))
    assert not np.array_equal(x, y)
    np.testing.assert_array_equal(y[np.argsort(y[:, 0])], x)


def test_bounds_may_be_tensors_that_broadcast(backend):
    low = np.array([0.0, 10.0, 20.0], "float32")
    y = backend.numpy(uniform((50, 3), low, low + 1, seed=1))
    assert ((y >= low) & (y <= low + 1)).all()
    counts = backend.numpy(randint((50, 2), np.array([0, 5]), np.array([2, 6]), seed=1))
    assert set(counts[:, 0]) == {0, 1}
    assert set(counts[:, 1]) == {5}


def test_gradients_pass_through_dropout_and_the_bounds(backend):
    x = backend.convert(np.ones((4, 5), "float32"))
    g = grad(lambda x: ops.sum(random_dropout(x, draw_key(3), 0.5) * 3))(x)
    np.testing.assert_array_equal(backend.numpy(g), 3 * backend.numpy(dropout(x, 0.5, seed=3)))
    g = grad(lambda high: ops.sum(random_uniform(draw_key(3), (6,), 0.0, high)))(backend.convert(2.0))
    np.testing.assert_allclose(backend.numpy(g), backend.numpy(uniform((6,), seed=3)).sum(), rtol=1e-6)


def test_dropping_everything_has_no_nan_in_its_gradient(backend):
    g = grad(lambda x: ops.sum(dropout(x, 1.0, seed=3)))(backend.convert(np.ones(3, "float32")))
    np.testing.assert_array_equal(backend.numpy(g), np.zeros(3))


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: uniform((2,), dtype="int32"), "dtype='int32' should be one of"),
        (lambda: randint((2,), 0, 5, dtype="float32"), "dtype='float32' should be one of"),
        (lambda: categorical(np.ones(3), 2), r"logits should have 2 dimensions, not shape \(3,\)"),
        (lambda: dropout(np.ones(3), 1.5), "rate=1.5 should be from 0 to 1"),
        (lambda: shuffle(np.ones((2, 2)), axis=2), "axis=2 is out of range"),
    ],
)
def test_bad_arguments_are_named(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
