"""The gradient functions: structures, arguments, orders, refusals, memory, threads and backends side by side."""

import gc
import threading
import weakref

import numpy as np
import pytest

from kcore import Variable, backends, ops
from kcore.backends.reference.tape import Node, recording
from kcore.gradients import grad, hessian, jacobian, jvp, value_and_grad, vjp
from kcore.random import SeedGenerator, dropout
from kcore.rematerialization import RematScope, current_scope, remat
from kcore.state import StatelessScope


@pytest.fixture(params=backends.installed())
def backend(request):
    with backends.use(request.param) as chosen:
        yield chosen


A = np.array([1.0, 2.0, 3.0], "float32")


def array(x):
    return backends.active().numpy(x)


def tensor(x, dtype="float32"):
    return backends.active().convert(x, dtype)


# -- what is differentiated -------------------------------------------------------------


def test_gradients_have_the_structure_of_the_arguments(backend):
    def f(p, q):
        return ops.sum(p["w"] * p["b"][0]) + ops.sum(q * q)

    p = {"w": tensor(A), "b": (tensor(2 * A), [])}
    g = grad(f)(p, tensor(A))
    assert set(g) == {"w", "b"}
    assert isinstance(g["b"], tuple)
    np.testing.assert_array_equal(array(g["w"]), 2 * A)
    np.testing.assert_array_equal(array(g["b"][0]), A)
    gp, gq = grad(f, argnums=(0, -1))(p, tensor(A))
    np.testing.assert_array_equal(array(gp["w"]), 2 * A)
    np.testing.assert_array_equal(array(gq), 2 * A)


def test_values_and_aux_come_along(backend):
    def f(x, scale=1.0):
        return ops.sum(x * x) * scale, {"x": x * 2, "name": "aux"}

    (value, aux), g = value_and_grad(f, has_aux=True)(tensor(A), scale=3.0)
    assert float(value) == 42
    np.testing.assert_array_equal(array(aux["x"]), 2 * A)
    assert aux["name"] == "aux"
    np.testing.assert_array_equal(array(g), 6 * A)
    g, aux = grad(f, has_aux=True)(tensor(A))
    np.testing.assert_array_equal(array(g), 2 * A)
    assert aux["name"] == "aux"


def test_unused_arguments_have_zero_gradients(backend):
    gx, gy = grad(lambda x, y: ops.sum(x), argnums=(0, 1))(tensor(A), tensor(np.ones((2, 2))))
    np.testing.assert_array_equal(array(gx), np.ones(3))
    np.testing.assert_array_equal(array(gy), np.zeros((2, 2)))
    g = grad(lambda x: tensor(3.0))(tensor(A))
    np.testing.assert_array_equal(array(g), np.zeros(3))


def test_arguments_may_be_arrays_numbers_and_variables(backend):
    assert float(grad(lambda x: x * x)(3.0)) == 6
    np.testing.assert_array_equal(array(grad(lambda x: ops.sum(x * x))(A)), 2 * A)
    np.testing.assert_array_equal(array(grad(lambda x: ops.sum(x * x))(Variable(A))), 2 * A)


def test_pullbacks_can_be_called_again(backend):
    y, pullback = vjp(lambda x: (x * x, ops.sum(x)), tensor(A))
    np.testing.assert_array_equal(array(y[0]), A * A)
    for scale in (1.0, 2.0):
        (g,) = pullback((tensor(scale * A), tensor(1.0)))
        np.testing.assert_array_equal(array(g), 2 * scale * A * A + 1)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: grad(ops.sum)(np.array([1, 2])), TypeError, "gradients need floats, but argument 0 holds int"),
        (lambda: grad(lambda x: ops.cast(ops.sum(x), "int32"))(A), TypeError, "the function's value holds int32"),
        (lambda: grad(lambda x: x)(A), ValueError, r"should be a scalar, not of shape \(3,\)"),
        (lambda: grad(lambda x: ops.sum(ops.multiply(x, 1j)))(A), TypeError, "value is complex"),
        (lambda: grad(ops.sum, argnums=1)(A), ValueError, "argnums=1, but the call has 1"),
        (lambda: grad(ops.sum, has_aux=True)(A), TypeError, r"should return \(value, aux\)"),
        (lambda: vjp(lambda x: x, A)[1](np.ones(2, "float32")), ValueError, r"shape \(2,\), its output \(3,\)"),
        (lambda: vjp(lambda x: (x, x), A)[1](A), ValueError, "structures differ"),
        (lambda: jvp(lambda x: x, (A,), (A, A)), ValueError, "tangents should have the structure of primals"),
        (lambda: jvp(lambda x: x, A, A), TypeError, "primals should be a list or tuple"),
        (lambda: jacobian(lambda x: ops.cast(x, "int32"))(A), TypeError, "holds int32"),
        (lambda: jacobian(lambda x: x, argnums=2)(A), ValueError, "argnums=2"),
    ],
)
def test_what_has_no_gradient_is_refused(backend, call, error, message):
    with pytest.raises(error, match=message):
        call()


# -- higher orders ----------------------------------------------------------------------


def test_second_and_third_derivatives(backend):
    def f(x):
        return x**4 + ops.sin(x)

    d1 = grad(f)
    d2 = grad(d1)
    d3 = grad(d2)
    x = 0.7
    assert float(d1(tensor(x))) == pytest.approx(4 * x**3 + np.cos(x), rel=1e-5)
    assert float(d2(tensor(x))) == pytest.approx(12 * x**2 - np.sin(x), rel=1e-5)
    assert float(d3(tensor(x))) == pytest.approx(24 * x - np.cos(x), rel=1e-5)


def test_inner_gradients_see_outer_arguments_as_constants(backend):
    def outer(x):
        return x * grad(lambda y: x * y * y)(x)  # x * 2 x x

    assert float(grad(outer)(tensor(3.0))) == pytest.approx(6 * 9)


def test_jacobians(backend):
    w = np.arange(6, dtype="float32").reshape(2, 3)
    found = jacobian(lambda x, p: {"y": ops.matmul(w, x) * p["s"], "z": ops.sum(x)}, argnums=(0, 1))(
        tensor(A), {"s": tensor(2.0)}
    )
    np.testing.assert_allclose(array(found["y"][0]), 2 * w)
    np.testing.assert_allclose(array(found["y"][1]["s"]), w @ A)
    np.testing.assert_allclose(array(found["z"][0]), np.ones(3))
    np.testing.assert_allclose(array(found["z"][1]["s"]), 0)
    square = jacobian(lambda x: ops.reshape(x * x, (3, 1)))(tensor(A))
    np.testing.assert_allclose(array(square), np.diag(2 * A)[:, None, :])
    assert array(jacobian(lambda x: x[:0])(tensor(A))).shape == (0, 3)


def test_hessians(backend):
    found = hessian(lambda x: ops.sum(x) ** 3 + ops.sum(x**3))(tensor(A))
    np.testing.assert_allclose(array(found), 36 + np.diag(6 * A), rtol=1e-5)
    both = hessian(lambda x, y: ops.sum(x * x * y), argnums=(0, 1))(tensor(A), tensor(2 * A))
    np.testing.assert_allclose(array(both[0][0]), np.diag(4 * A))
    np.testing.assert_allclose(array(both[0][1]), np.diag(2 * A))
    np.testing.assert_allclose(array(both[1][0]), np.diag(2 * A))
    np.testing.assert_allclose(array(both[1][1]), np.zeros((3, 3)))


def test_jvp_agrees_with_the_jacobian(backend):
    def f(x):
        return ops.exp(x) * ops.sum(x)

    direction = np.array([0.3, -1.0, 2.0], "float32")
    y, dy = jvp(f, (tensor(A),), (tensor(direction),))
    np.testing.assert_allclose(array(y), array(f(tensor(A))))
    np.testing.assert_allclose(array(dy), array(jacobian(f)(tensor(A))) @ direction, rtol=1e-5)


def test_hessian_vector_products_mix_both_modes(backend):
    def f(x):
        return ops.sum(x**3)

    _, product = jvp(grad(f), (tensor(A),), (tensor(2 * A),))
    np.testing.assert_allclose(array(product), 12 * A * A, rtol=1e-6)
    g = grad(lambda x: ops.sum(jvp(lambda y: y**3, (x,), (tensor(A),))[1]))(tensor(A))
    np.testing.assert_allclose(array(g), 6 * A * A, rtol=1e-6)


def test_float64_stays_float64(backend):
    x = tensor(np.array([0.1, 0.2]), "float64")
    g = grad(lambda x: ops.sum(x**3))(x)
    assert backend.dtype(g) == "float64"
    np.testing.assert_allclose(array(g), 3 * np.array([0.1, 0.2]) ** 2, rtol=1e-15)
    assert backend.dtype(hessian(lambda x: ops.sum(x**3))(x)) == "float64"


# -- memory, threads, backends ----------------------------------------------------------


def test_the_tape_dies_with_its_result_without_the_garbage_collector():
    with backends.use("reference"):
        gc.collect()
        before = sum(type(o) is Node for o in gc.get_objects())
        gc.disable()
        try:
            seen = []

            def f(x):
                y = ops.exp(ops.matmul(x, x)) * x
                seen.append(weakref.ref(y))
                return ops.sum(y)

            grad(f)(tensor(np.ones((3, 3))))
            assert seen[0]() is None
            _, pullback = vjp(f, tensor(np.ones((3, 3))))
            pullback(tensor(1.0))
            del pullback
            assert seen[1]() is None
            grad(lambda x: ops.sum(grad(f)(x)))(tensor(np.ones((3, 3))))
            assert seen[2]() is None
            ops.custom_gradient(lambda x: (x * 2, lambda g: g))(tensor(A))
            grad(lambda x: ops.sum(ops.scan(lambda c, r: (c + r, c), tensor(0.0), x)[1]))(tensor(A))
            assert sum(type(o) is Node for o in gc.get_objects()) <= before
        finally:
            gc.enable()


def test_results_outside_of_gradients_have_no_history():
    with backends.use("reference"):
        kept = []
        grad(lambda x: (kept.append(ops.stop_gradient(x)), ops.sum(x * x))[1])(tensor(A))
        assert kept[0]._node is None
        assert (tensor(A) * 2)._node is None
        value, g = value_and_grad(lambda x: ops.sum(x * x))(tensor(A))
        assert value._node is None
        assert g._node is None


def test_threads_take_gradients_at_once(backend):
    results, errors = {}, []

    def work(k):
        try:
            with backends.use(backend):
                for _ in range(20):
                    x = tensor(A * k)
                    g = grad(lambda x: ops.sum(grad(lambda y: ops.sum(y**3))(x) * k))(x)
                results[k] = array(g)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 5)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors
    for k in range(1, 5):
        np.testing.assert_allclose(results[k], 6 * A * k * k, rtol=1e-6)


def test_threads_on_different_backends_do_not_disturb_each_other():
    results = {}

    def work(name):
        with backends.use(name) as own:
            for _ in range(10):
                g = grad(lambda x: ops.sum(ops.exp(x) * x))(tensor(A))
            results[name] = own.numpy(g)

    threads = [threading.Thread(target=work, args=(name,)) for name in backends.installed()]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert set(results) == set(backends.installed())
    for g in results.values():
        np.testing.assert_allclose(g, np.exp(A) * (A + 1), rtol=1e-6)


@pytest.mark.parametrize("other", backends.installed())
def test_a_gradient_on_one_backend_may_be_taken_inside_one_on_another(backend, other):
    def f(x):
        with backends.use(other) as inner:
            constant = inner.numpy(grad(lambda y: ops.sum(y * y))(tensor(A)))
        return ops.sum(x * x * tensor(constant))

    np.testing.assert_allclose(array(grad(f)(tensor(A))), 4 * A * A)


def test_gradients_inside_the_frameworks_own():
    jax, torch, tf = (pytest.importorskip(name) for name in ("jax", "torch", "tensorflow"))
    with backends.use("jax"):
        g = jax.jit(jax.grad(lambda x: ops.sum(grad(lambda y: ops.sum(y**3))(x))))(A)
    np.testing.assert_allclose(g, 6 * A, rtol=1e-6)
    with backends.use("torch"):
        x = torch.tensor(A, requires_grad=True)
        (g,) = torch.autograd.grad(ops.sum(grad(lambda y: ops.sum(y**3))(x)), x)
    np.testing.assert_allclose(g.numpy(), 6 * A, rtol=1e-6)
    with backends.use("tensorflow"):
        x = tf.constant(A)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = ops.sum(grad(lambda y: ops.sum(y**3))(x))
        np.testing.assert_allclose(tape.gradient(y, x).numpy(), 6 * A, rtol=1e-6)


# -- rematerialization ------------------------------------------------------------------


def test_rematerialized_functions_have_the_same_gradients(backend):
    w = tensor(np.linspace(-1, 1, 9).reshape(3, 3))

    def layer(x, w, scale=1.0):
        return {"y": ops.tanh(ops.matmul(w, x)) * scale, "n": None}

    def total(wrap):
        inner = wrap(layer)

        def f(x, w):
            scale = ops.sum(w)  # reaches the function around its arguments too
            return ops.sum(inner(x, w)["y"] * wrap(lambda y: y * scale)(inner(x, w, scale=2.0)["y"]))

        return f

    x = tensor(A)
    for f in (lambda g: g, lambda g: lambda x, w: ops.sum(grad(g)(x, w) ** 2)):
        got = grad(f(total(remat)), argnums=(0, 1))(x, w)
        want = grad(f(total(lambda g: g)), argnums=(0, 1))(x, w)
        for one, other in zip(got, want, strict=True):
            np.testing.assert_allclose(array(one), array(other), rtol=1e-5, atol=1e-6)


def test_rematerialized_draws_and_assignments_happen_once(backend):
    generator, count = SeedGenerator(9), Variable(0.0, trainable=False)

    @remat
    def drop(x):
        count.assign_add(1.0)
        return dropout(x * x, 0.5, seed=generator)

    def f(x):
        return ops.sum(drop(x))

    scope = StatelessScope([(v, v.value) for v in (generator.state, count)])
    with scope:
        g = grad(f)(tensor(np.ones(20)))
        state, counted = (scope.get_current_value(v) for v in (generator.state, count))
    np.testing.assert_array_equal(array(g), 2 * array(dropout(tensor(np.ones(20)), 0.5, seed=9)))
    np.testing.assert_array_equal(array(state), [9, 1])
    assert float(counted) == 1


def test_rematerialized_functions_keep_no_intermediate_values():
    with backends.use("reference"):
        kept = []

        def f(x):
            y = ops.exp(x)
            kept.append(weakref.ref(y))
            return ops.sin(y) * y

        _, pullback = vjp(lambda x: remat(f)(x) + 0, tensor(A))
        assert kept[0]() is None
        (g,) = pullback(tensor(np.ones(3)))
        assert g._node is None
        e = np.exp(A)
        np.testing.assert_allclose(g, e * (np.cos(e) * e + np.sin(e)), rtol=1e-5)


def test_rematerialized_functions_compile():
    jax = pytest.importorskip("jax")
    with backends.use("jax"):
        g = jax.jit(grad(lambda x: ops.sum(remat(lambda x: ops.sin(x) ** 2)(x))))(A)
    np.testing.assert_allclose(g, np.sin(2 * A), rtol=1e-5)


def test_remat_scopes_nest():
    assert current_scope() is None
    with RematScope("larger_than", output_size_threshold=10) as outer:
        assert current_scope() is outer
        with RematScope(mode=None):
            assert current_scope() is None
        assert current_scope() is outer
    assert current_scope() is None
    with pytest.raises(ValueError, match="mode='some' should be one of 'full'"):
        RematScope("some")


# -- what forward leaves for backward ---------------------------------------------------

ACTIVATIONS = {
    "relu": ops.relu,
    "elu": ops.elu,
    "selu": ops.selu,
    "silu": ops.silu,
    "gelu": lambda x: ops.gelu(x, approximate=False),
    "gelu tanh": ops.gelu,
    "softplus": ops.softplus,
    "log_sigmoid": ops.log_sigmoid,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_large_tensors_have_the_derivatives_of_small_ones(name):
    # Large ones keep slopes or bits for their gradient, unless there may be a second derivative.
    f = ACTIVATIONS[name]
    rng = np.random.default_rng(3)
    x, g = (rng.standard_normal(6000).astype("float32") for _ in range(2))

    def first(x, g):
        return vjp(f, x)[1](g)[0]

    def pushed(x, g):
        return jvp(f, (x,), (g,))[1]

    def second(x, g):
        return grad(lambda x: ops.sum(first(x, g) * g))(x)

    with backends.use("reference"):
        for derivative in (first, pushed, second):
            small = [derivative(x[i : i + 1000], g[i : i + 1000]) for i in range(0, 6000, 1000)]
            np.testing.assert_allclose(derivative(x, g), np.concatenate(small), rtol=1e-6, atol=1e-6)
        with recording():  # as by another thread
            pull = vjp(f, x)[1]
        np.testing.assert_array_equal(pull(g)[0], first(x, g))


def test_sparse_crossentropy_has_the_same_gradient_from_exponentials_and_logits():
    rng = np.random.default_rng(4)
    x, g, h = (rng.standard_normal(s).astype("float32") for s in ((3, 5, 7), (3, 5), (3, 5, 7)))
    target = rng.integers(-1, 8, (3, 5))  # some are no class

    def loss(x):
        return ops.sparse_categorical_crossentropy(target, x, from_logits=True)

    with backends.use("reference"):
        dx = vjp(loss, x)[1](g)[0]  # from exponentials
        nested = vjp(lambda x: vjp(loss, x)[1](ops.convert_to_tensor(g))[0], x)
        np.testing.assert_allclose(dx, nested[0], rtol=1e-5, atol=1e-6)
        with recording():  # as by another thread
            pull = vjp(loss, x)[1]
        np.testing.assert_array_equal(pull(g)[0], dx)
        np.testing.assert_allclose(
            jvp(loss, (x,), (h,))[1], np.sum(vjp(loss, x)[1](np.ones_like(g))[0] * h, -1), 1e-4, 1e-5
        )
        p = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
        inside = ((target >= 0) & (target < 7))[..., None]
        want = np.where(inside, g[..., None] * p * (h - np.sum(p * h, -1, keepdims=True)), 0)
        np.testing.assert_allclose(nested[1](h)[0], want, 1e-4, 1e-6)
