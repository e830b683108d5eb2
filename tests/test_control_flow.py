"""Branches, loops, scans, vectorization and custom gradients: alike everywhere, eager, compiled and differentiated."""

import numpy as np
import pytest

import kcore
from kcore import backends, ops, state
from kcore.gradients import grad
from kcore.random import SeedGenerator, uniform


@pytest.fixture(params=backends.installed())
def backend(request):
    with backends.use(request.param) as chosen:
        yield chosen


COMPILERS = [name for name in ("jax", "tensorflow") if name in backends.installed()]


@pytest.fixture(params=COMPILERS)
def compiled(request):
    """A function that compiles: jax.jit or tf.function."""
    with backends.use(request.param):
        if request.param == "jax":
            import jax

            yield jax.jit
        else:
            import tensorflow as tf

            yield lambda f: tf.function(f, autograph=False)


A = np.array([1.0, 2.0, 3.0, 4.0], "float32")


def array(x):
    return backends.active().numpy(x)


def tensor(x, dtype="float32"):
    return backends.active().convert(x, dtype)


def test_cond_calls_one_function_only(backend):
    called = []

    def branch(name, value):
        return lambda: (called.append(name), ops.multiply(tensor(A), value))[1]

    y = ops.cond(tensor(2.0), branch("true", 2.0), branch("false", 3.0))
    np.testing.assert_array_equal(array(y), 2 * A)
    y = ops.cond(tensor(False, "bool"), branch("true", 2.0), branch("false", 3.0))
    np.testing.assert_array_equal(array(y), 3 * A)
    assert called == ["true", "false"]


def test_cond_takes_structures_and_none(backend):
    y = ops.cond(tensor(True, "bool"), lambda: {"a": A, "b": (None, 1)}, lambda: {"a": -A, "b": (None, 2)})
    np.testing.assert_array_equal(array(y["a"]), A)
    assert y["b"][0] is None
    assert int(y["b"][1]) == 1


def test_cond_and_switch_compiled(compiled):
    double = compiled(lambda p, x: ops.cond(p > 0, lambda: (x * 2, None), lambda: (x - 1, None))[0])
    np.testing.assert_array_equal(array(double(tensor(1.0), tensor(A))), 2 * A)
    np.testing.assert_array_equal(array(double(tensor(-1.0), tensor(A))), A - 1)
    pick = compiled(lambda i, x: ops.switch(i, [lambda x: x + 1, lambda x: x * 10, lambda x: -x], x))
    for i, want in ((-5, A + 1), (0, A + 1), (1, 10 * A), (2, -A), (9, -A)):
        np.testing.assert_array_equal(array(pick(tensor(i, "int32"), tensor(A))), want)


def test_branches_that_differ_are_named(compiled):
    with pytest.raises(ValueError, match=r"cond: true_fn gives float32\(4,\), but false_fn gives float32\(3,\)"):
        compiled(lambda p, x: ops.cond(p > 0, lambda: x, lambda: x[:3]))(tensor(1.0), tensor(A))
    with pytest.raises(ValueError, match=r"switch: branches\[0\] gives float32\(4,\), but branches\[1\] gives int32"):
        compiled(lambda i, x: ops.switch(i, [lambda x: x, lambda x: ops.cast(x, "int32")], x))(
            tensor(1, "int32"), tensor(A)
        )


def test_gradients_go_through_the_branch_that_was_taken(backend):
    def f(x):
        return ops.sum(ops.cond(x[0] > 0, lambda: x * x, lambda: x * 3))

    np.testing.assert_array_equal(array(grad(f)(tensor(A))), 2 * A)
    np.testing.assert_array_equal(array(grad(f)(tensor(-A))), np.full(4, 3.0))


def test_gradients_go_through_compiled_branches_loops_and_scans(compiled):
    def f(x):
        y = ops.cond(x[0] > 0, lambda: x * x, lambda: x * 3)
        _, y = ops.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * 2), (0, y), maximum_iterations=5)
        y = ops.fori_loop(0, 2, lambda i, y: y * x, y)
        return ops.sum(ops.scan(lambda c, row: (c + row, c * row), tensor(0.0), y)[1])

    x = A.astype("float64")
    y = 8 * x**4  # the pairs (i < j) of y, each once
    want = 32 * x**3 * (y.sum() - y)
    np.testing.assert_allclose(array(compiled(grad(f))(tensor(A))), want, rtol=1e-5)


def test_while_loop_counts_and_stops(backend):
    i, x = ops.while_loop(lambda i, x: i < 10, lambda i, x: (i + 1, x * 2), (0, tensor(A)))
    assert int(i) == 10
    np.testing.assert_array_equal(array(x), 1024 * A)
    assert int(ops.while_loop(lambda i: i < 10, lambda i: i + 1, 0, maximum_iterations=3)) == 3
    assert int(ops.while_loop(lambda i: i < 10, lambda i: i + 1, 0, maximum_iterations=30)) == 10
    assert int(ops.while_loop(lambda i: i < 10, lambda i: i + 1, 20)) == 20
    assert int(ops.while_loop(lambda d: d["i"] < 3, lambda d: {"i": d["i"] + 1}, {"i": 0})["i"]) == 3
    assert isinstance(ops.while_loop(lambda i: i < 2, lambda i: (i + 1,), [0]), list)


def test_while_loop_keeps_64_bits(backend):
    i = ops.while_loop(lambda i: i < 2**40, lambda i: i * 2, tensor(1, "int64"))
    assert int(i) == 2**40
    assert backend.dtype(i) == "int64"


def test_while_loop_compiled(compiled):
    loop = compiled(lambda x, n: ops.while_loop(lambda i, x: i < n, lambda i, x: (i + 1, x * 2), (0, x)))
    for n in (0, 3):
        i, x = loop(tensor(A), tensor(n, "int32"))
        assert int(i) == n
        np.testing.assert_array_equal(array(x), A * 2**n)


def test_while_loop_gradients(backend):
    limit = 8 if backend.name == "jax" else None

    def f(x):
        return ops.sum(ops.while_loop(lambda y: ops.max(y) < 100, lambda y: y * x, x, maximum_iterations=limit))

    np.testing.assert_allclose(array(grad(f)(tensor(A))), 4 * A**3)  # three steps make x**4


def test_a_limited_while_loop_is_the_same_on_jax_as_elsewhere(backend):
    n, x = ops.while_loop(
        lambda i, x: ops.max(x) < 100, lambda i, x: (i + 1, x * x), (0, tensor(A)), maximum_iterations=6
    )
    assert int(n) == 2
    np.testing.assert_array_equal(array(x), A**4)


@pytest.mark.parametrize(
    ("loop", "message"),
    [
        (lambda: ops.while_loop(lambda i: i < 3, lambda i: ops.cast(i, "float32"), 0), r"int32\(\) into float32\(\)"),
        (lambda: ops.while_loop(lambda x: x[0] < 3, lambda x: x[:2], A), r"float32\(4,\) into float32\(2,\)"),
        (
            lambda: ops.while_loop(lambda i, j: i < 3, lambda i, j: i, (0, 0)),
            r"\(int32\(\), int32\(\)\) into int32\(\)",
        ),
        (lambda: ops.while_loop(lambda x: x < 3, lambda x: x + 1, A), r"the result of cond should be a scalar"),
        (lambda: ops.fori_loop(0, 3, lambda i, x: x[:2], A), r"float32\(4,\) into float32\(2,\)"),
        (lambda: ops.scan(lambda c, x: (x, c), np.zeros(2, "float32"), A), r"float32\(2,\) into float32\(\)"),
        (lambda: ops.scan(lambda c, x: c, np.float32(0), A), r"f should give \(carry, y\)"),
        (lambda: ops.scan(lambda c, x: (c, x), 0, [A, A[:2]]), r"the numbers of rows differ; .* \(4,\), \(2,\)"),
        (lambda: ops.scan(lambda c, x: (c, x), 0, A, length=5), r"length=5, but the shapes are \(4,\)"),
        (lambda: ops.scan(lambda c, x: (c, x), 0), r"give xs or length"),
        (lambda: ops.scan(lambda c, x: (c, x), 0, A, unroll=0), r"unroll=0 should be a positive integer"),
        (lambda: ops.map(lambda x: x, np.float32(3)), r"a scalar has no rows"),
        (lambda: ops.switch(0, [], A), r"branches should be functions in a list"),
        (lambda: ops.cond(A, lambda: 1, lambda: 2), r"pred should be a scalar, not of shape \(4,\)"),
        (lambda: ops.associative_scan(lambda a, b: a + b, [A, A[:2]]), r"the sizes along axis=0 differ"),
        (lambda: ops.vectorize(lambda a: a, signature="foo"), r"signature='foo' should look like"),
        (lambda: ops.vectorize(lambda a, b: a, signature="(n),(n)->()")(A, A[:2]), r"axis n has size 4 .* 2"),
        (lambda: ops.jvp(lambda x: x, (A,), (A[:2],)), r"a tangent has shape \(2,\), its primal \(4,\)"),
    ],
)
def test_bad_calls_are_named(backend, loop, message):
    with pytest.raises(ValueError, match=message):
        loop()


def test_fori_loop_with_bounds_known_and_not(backend):
    for bounds in ((2, 5), (tensor(2, "int32"), tensor(5, "int32"))):
        total, x = ops.fori_loop(*bounds, lambda i, v: (v[0] + i, v[1] * 2), (0, tensor(A)))
        assert int(total) == 9
        np.testing.assert_array_equal(array(x), 8 * A)
    assert int(ops.fori_loop(5, 2, lambda i, v: v + i, 3)) == 3


def test_fori_loop_gradients(backend):
    def f(x):
        return ops.sum(ops.fori_loop(0, 3, lambda i, y: y * x, x))

    np.testing.assert_allclose(array(grad(f)(tensor(A))), 4 * A**3)


# -- scans ------------------------------------------------------------------------------


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_carries_along(backend, reverse):
    last, ys = ops.scan(lambda c, x: (c + x, c), tensor(0.0), tensor(A), reverse=reverse)
    assert float(last) == 10
    want = np.cumsum(A) - A if not reverse else np.cumsum(A[::-1])[::-1] - A
    np.testing.assert_array_equal(array(ys), want)


def test_scan_of_structures_and_of_nothing(backend):
    rows = {"a": tensor(A), "b": tensor(np.outer(A, A))}
    (total, n), ys = ops.scan(
        lambda c, x: ((c[0] + x["a"], c[1] + 1), {"q": x["b"], "z": None}), (tensor(0.0), 0), rows
    )
    assert float(total) == 10
    assert int(n) == 4
    np.testing.assert_array_equal(array(ys["q"]), np.outer(A, A))
    assert ys["z"] is None
    last, ys = ops.scan(lambda c, x: (c + 1, c), tensor(0.0), length=3)
    np.testing.assert_array_equal(array(ys), [0, 1, 2])
    last, ys = ops.scan(lambda c, x: (c + x[0], x), tensor(7.0), tensor(np.zeros((0, 2))))
    assert float(last) == 7
    assert backend.shape(ys) == (0, 2)


def test_scan_compiled_with_a_length_known_at_run_time_only():
    tf = pytest.importorskip("tensorflow")
    with backends.use("tensorflow"):
        f = tf.function(
            lambda x: ops.scan(lambda c, row: (c + row, c * row), tf.zeros(2), x, reverse=True)[1],
            input_signature=[tf.TensorSpec((None, 2))],
            autograph=False,
        )
        x = np.arange(6, dtype="float32").reshape(3, 2)
        np.testing.assert_array_equal(f(x), (np.cumsum(x[::-1], 0)[::-1] - x) * x)


def test_scan_compiled(compiled):
    f = compiled(lambda x: ops.scan(lambda c, row: (c + row, (c, row)), tensor(0.0), x, reverse=True))
    last, (before, rows) = f(tensor(A))
    assert float(last) == 10
    np.testing.assert_array_equal(array(before), [9, 7, 4, 0])
    np.testing.assert_array_equal(array(rows), A)


def test_second_gradients_go_through_a_scan(backend):
    def f(x):
        return ops.sum(ops.scan(lambda c, row: (c * row, c * row), tensor(1.0), x)[1])

    def total(x):
        return ops.sum(grad(f)(x))

    # f = x1 + x1 x2 + x1 x2 x3
    x = np.array([2.0, 3.0, 5.0])
    want = [1 + 0 * x[0] + (1 + x[2]) + x[1], (1 + x[2]) + x[0], x[1] + x[0]]
    np.testing.assert_allclose(array(grad(total)(tensor(x))), np.array(want) - [1, 0, 0], rtol=1e-6)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 8, 13])
def test_associative_scan_is_all_partial_results(backend, size):
    x = np.random.default_rng(0).uniform(0.5, 1.5, (2, size)).astype("float32")
    np.testing.assert_allclose(
        array(ops.associative_scan(lambda a, b: a * b, tensor(x), axis=1)), np.cumprod(x, 1), rtol=1e-5
    )
    got = ops.associative_scan(lambda a, b: a + b, tensor(x), axis=-1, reverse=True)
    np.testing.assert_allclose(array(got), np.cumsum(x[:, ::-1], 1)[:, ::-1], rtol=1e-5)


def test_associative_scan_keeps_the_order_of_what_does_not_commute(backend):
    # x -> a x + b, composed from the left
    a, b = np.random.default_rng(0).uniform(0.5, 1.5, (2, 7)).astype("float32")
    slope, shift = ops.associative_scan(lambda f, g: (g[0] * f[0], g[0] * f[1] + g[1]), (tensor(a), tensor(b)))
    want_a, want_b = [a[0]], [b[0]]
    for i in range(1, 7):
        want_a.append(a[i] * want_a[-1])
        want_b.append(a[i] * want_b[-1] + b[i])
    np.testing.assert_allclose(array(slope), want_a, rtol=1e-5)
    np.testing.assert_allclose(array(shift), want_b, rtol=1e-5)


# -- rows -------------------------------------------------------------------------------


@pytest.mark.parametrize("over", [ops.map, ops.vectorized_map])
def test_functions_of_rows(backend, over):
    x = np.arange(12, dtype="float32").reshape(4, 3)
    y = over(lambda row: {"sum": ops.sum(row["x"]), "shifted": row["x"] + row["a"]}, {"x": tensor(x), "a": tensor(A)})
    np.testing.assert_array_equal(array(y["sum"]), x.sum(1))
    np.testing.assert_array_equal(array(y["shifted"]), x + A[:, None])
    empty = over(lambda row: row[:2], tensor(np.zeros((0, 3))))
    assert backend.shape(empty) == (0, 2)
    g = grad(lambda x: ops.sum(over(lambda row: ops.sum(row) ** 2, x)))(tensor(x))
    np.testing.assert_allclose(array(g), np.repeat(2 * x.sum(1), 3).reshape(4, 3))


def test_functions_of_rows_compiled(compiled):
    x = np.arange(12, dtype="float32").reshape(4, 3)
    for over in (ops.map, ops.vectorized_map):
        y = compiled(lambda x, over=over: over(lambda row: ops.sum(row) * row, x))(tensor(x))
        np.testing.assert_array_equal(array(y), x.sum(1, keepdims=True) * x)


def test_vectorize_broadcasts_leading_axes(backend):
    x, y = np.random.default_rng(0).normal(size=(5, 2, 3)), np.random.default_rng(1).normal(size=(4, 1, 3))
    product = ops.vectorize(lambda a, b: (ops.matmul(a, b), ops.sum(b)), signature="(m,n),(n)->(m),()")
    z, s = product(tensor(x), tensor(y))
    np.testing.assert_allclose(array(z), np.einsum("imn,jkn->jim", x, y), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(array(s), np.broadcast_to(y.sum(2), (4, 5)), rtol=1e-5, atol=1e-6)
    scaled = ops.vectorize(lambda a, b, c=1.0: a * b + c, excluded=[1])
    np.testing.assert_array_equal(array(scaled(tensor(np.outer(A, A)), 2.0, c=3.0)), 2 * np.outer(A, A) + 3)


# -- custom gradients -------------------------------------------------------------------


def test_custom_gradients_replace_the_own_ones(backend):
    @ops.custom_gradient
    def f(x, y):
        """Documented."""
        return x * y, lambda upstream: (upstream * 7, upstream * y)

    assert f.__doc__ == "Documented."
    np.testing.assert_array_equal(array(f(tensor(A), tensor(A))), A * A)
    gx, gy = grad(lambda x, y: ops.sum(f(x, y) * 2), argnums=(0, 1))(tensor(A), tensor(3 * A))
    np.testing.assert_array_equal(array(gx), np.full(4, 14.0))
    np.testing.assert_array_equal(array(gy), 6 * A)


def test_custom_gradients_in_every_calling_convention(backend):
    @ops.custom_gradient
    def by_name(x):
        def gradient(*, upstream):
            return upstream * 5

        return x * x, gradient

    @ops.custom_gradient
    def either(x):
        def gradient(*args, upstream=None):
            if upstream is None:
                (upstream,) = args
            return upstream * 6

        return x * x, gradient

    @ops.custom_gradient
    def several(x):
        return (x * 2, x * 3), lambda g1, g2: g1 * 7 + g2 * 11

    @ops.custom_gradient
    def structured(x):
        return {"a": x * 2, "b": x * 3}, lambda g: g["a"] * 7 + g["b"] * 11

    @ops.custom_gradient
    def none(x, y, flag):
        return x * y, lambda g: (g, None, None)

    x = tensor(A)
    for f, want in (
        (by_name, 5),
        (either, 6),
        (lambda x: several(x)[0] + 2 * several(x)[1], 29),
        (lambda x: structured(x)["a"] + 2 * structured(x)["b"], 29),
        (lambda x: none(x, tensor(A), True), 1),
        (lambda x: none(tensor(A), x, True), 0),
    ):
        np.testing.assert_array_equal(array(grad(lambda x, f=f: ops.sum(f(x)))(x)), np.full(4, want))


def test_custom_gradients_can_be_differentiated_again(backend):
    @ops.custom_gradient
    def log1pexp(x):
        e = ops.exp(x)
        return ops.log(1 + e), lambda g: g * (1 - 1 / (1 + e))

    def second(x):
        return ops.sum(grad(lambda x: ops.sum(log1pexp(x)))(x))

    s = 1 / (1 + np.exp(-A))
    np.testing.assert_allclose(array(grad(second)(tensor(A))), s * (1 - s), rtol=1e-5)


def test_custom_gradients_compiled(compiled):
    @ops.custom_gradient
    def f(x):
        return x * x, lambda g: g * 5

    np.testing.assert_array_equal(array(compiled(grad(lambda x: ops.sum(f(x))))(tensor(A))), np.full(4, 5.0))


def test_stop_gradient_stops(backend):
    g = grad(lambda x: ops.sum(ops.stop_gradient(x) * x))(tensor(A))
    np.testing.assert_array_equal(array(g), A)


def test_jvp_is_the_directional_derivative(backend):
    y, dy, aux = ops.jvp(
        lambda x, y: ({"p": x["a"] * y}, "aux"),
        ({"a": tensor(A)}, tensor(3.0)),
        ({"a": tensor(A + 1)}, tensor(2.0)),
        True,
    )
    np.testing.assert_allclose(array(y["p"]), 3 * A)
    np.testing.assert_allclose(array(dy["p"]), 3 * (A + 1) + 2 * A)
    assert aux == "aux"
    _, zero = ops.jvp(lambda x: tensor(A), (tensor(A),), (tensor(A),))
    np.testing.assert_array_equal(array(zero), np.zeros(4))


# -- state ------------------------------------------------------------------------------


def test_variables_may_be_assigned_in_branches_and_loops(backend):
    count, generator = kcore.Variable(0.0), SeedGenerator(9)

    def step(c, x):
        count.assign_add(x)
        return c, uniform((2,), seed=generator)

    _, ys = ops.scan(step, tensor(0.0), tensor(A))
    again = SeedGenerator(9)
    np.testing.assert_array_equal(array(ys), [array(uniform((2,), seed=again)) for _ in A])
    assert float(count.value) == 10
    np.testing.assert_array_equal(generator.state.numpy(), [9, 4])
    ops.while_loop(lambda i: i < 3, lambda i: (count.assign_add(1.0), i + 1)[1], 0)
    assert float(count.value) == 13
    ops.while_loop(lambda i: i < 3, lambda i: (count.assign_add(1.0), i + 1)[1], 0, maximum_iterations=5)
    assert float(count.value) == 16
    ops.cond(tensor(True, "bool"), lambda: count.assign(1.0), lambda: tensor(0.0))
    assert float(count.value) == 1


def test_variables_may_be_assigned_in_compiled_branches_and_loops(compiled):
    count = kcore.Variable(0.0)

    def run(value, flag, x):
        with state.StatelessScope([(count, value)]) as scope:
            ops.scan(lambda c, row: (c, count.assign_add(row)), tensor(0.0), x)
            ops.while_loop(lambda i: i < 3, lambda i: (count.assign_add(1.0), i + 1)[1], 0)
            ops.cond(flag > 0, lambda: count.assign(count * 2), lambda: tensor(0.0))
            return scope.get_current_value(count)

    f = compiled(run)
    assert float(f(tensor(5.0), tensor(1.0), tensor(A))) == 36
    assert float(f(tensor(5.0), tensor(-1.0), tensor(A))) == 18
    assert float(count.value) == 0


# -- symbols ----------------------------------------------------------------------------


def symbol(*shape, dtype="float32"):
    return kcore.KerasTensor(shape, dtype)


def test_symbolic_results_have_the_shapes_and_dtypes_of_the_real_ones():
    x = symbol(None, 3)
    assert ops.cond(symbol(dtype="bool"), lambda: x * 2, lambda: x).shape == (None, 3)
    assert ops.switch(symbol(dtype="int32"), [lambda x: ops.sum(x), lambda x: ops.max(x)], x).shape == ()
    i, y = ops.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x), (0, x))
    assert (i.shape, i.dtype, y.shape) == ((), "int32", (None, 3))
    assert ops.fori_loop(0, 3, lambda i, x: x * 2, x).shape == (None, 3)
    last, ys = ops.scan(lambda c, row: (c + row, {"a": ops.sum(row)}), symbol(3), x)
    assert (last.shape, ys["a"].shape) == ((3,), (None,))
    assert ops.map(lambda row: row[:2], symbol(5, 3)).shape == (5, 2)
    assert ops.vectorized_map(lambda row: ops.sum(row), x).shape == (None,)
    assert ops.associative_scan(lambda a, b: a + b, symbol(5, 3)).shape == (5, 3)
    assert ops.vectorize(lambda a, b: a * b)(symbol(5, 3), symbol(3)).shape == (5, 3)
    y, dy = ops.jvp(lambda x: ops.sum(x, 1), (x,), (x,))
    assert (y.shape, dy.shape) == ((None,), (None,))
    assert ops.custom_gradient(lambda x: (x * 2, lambda g: g))(x).shape == (None, 3)


def test_symbolic_branches_that_differ_are_named():
    with pytest.raises(ValueError, match=r"cond: true_fn gives float32\(3,\), but false_fn gives float32\(2,\)"):
        ops.cond(symbol(dtype="bool"), lambda: symbol(3), lambda: symbol(2))
    with pytest.raises(ValueError, match=r"switch: branches\[0\] gives float32\(3,\), but branches\[1\] gives"):
        ops.switch(symbol(dtype="int32"), [lambda x: x, lambda x: x[:2]], symbol(3))


def test_functional_models_hold_control_flow(backend):
    x = kcore.Input((3,))
    y = ops.cond(ops.sum(x) > 0, lambda: x * 2, lambda: x * 3)
    y = ops.fori_loop(0, 2, lambda i, y: y + 1, y)
    y = ops.scan(lambda c, row: (c + ops.sum(row), row * c), 1.0, y)[1]
    model = kcore.Model(x, y)
    for sign in (1, -1):
        data = sign * np.arange(6, dtype="float32").reshape(2, 3)
        rows = data * (2 if sign > 0 else 3) + 2
        want = np.stack([rows[0], rows[1] * (1 + rows[0].sum())])
        np.testing.assert_allclose(array(model(tensor(data))), want, rtol=1e-6)
