"""`compare` and `kcore diff`: what they run, what they say, and what they leave alone."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest

import kcore
from kcore import backends, layers, ops
from kcore.cli import main
from kcore.conformance import compare
from kcore.conformance.lockstep import scripts
from kcore.conformance.lockstep.transfer import transferred, variables_of
from tests.conformance import planted_backend
from tests.conformance.planted_backend import NAME, planted_op

torch = pytest.importorskip("torch")

X = np.random.default_rng(1).normal(size=(6, 4)).astype("float32")
Y = np.random.default_rng(2).normal(size=(6, 2)).astype("float32")


@pytest.fixture(scope="module")
def planted():
    yield planted_backend.install()
    planted_backend.uninstall()


def small(optimizer="adam"):
    kcore.utils.set_random_seed(0)
    net = kcore.Sequential([kcore.Input((4,)), layers.Dense(5, "tanh"), layers.Dropout(0.5), layers.Dense(2)])
    net.compile(optimizer, "mse")
    return net


class Branching(layers.Layer):
    """A layer that does something else on one backend, as user code may."""

    def __init__(self, on, **kwargs):
        super().__init__(**kwargs)
        self.on = on

    def call(self, x):
        y = ops.exp(x)
        factor = 1.01 if backends.active().name == self.on else 1.0
        return ops.add(ops.multiply(y, factor), 1.0)


class Foreign(layers.Layer):
    """A layer that leaves kcore's ops for NumPy."""

    def __init__(self, on, **kwargs):
        super().__init__(**kwargs)
        self.on = on

    def call(self, x):
        if backends.active().name != self.on:
            return x
        return ops.convert_to_tensor(ops.convert_to_numpy(x) * np.float32(1.5))


# -- copies -----------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["reference", "torch"])
@pytest.mark.parametrize("target", ["reference", "torch", "jax"])
def test_a_model_is_copied_to_another_backend_with_all_its_state(source, target):
    with kcore.backend(source):
        net = small()
        net.train_on_batch(X, Y)
    copy = transferred(net, backends.load(target))
    assert copy._backend.name == target
    assert [v.path for v in variables_of(copy)] == [v.path for v in variables_of(net)]
    for a, b in zip(variables_of(copy), variables_of(net), strict=True):
        assert a.backend.name == target
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    # Seeds and optimizer slots are among it: the next step is the same step.
    assert abs(copy.train_on_batch(X, Y) - net.train_on_batch(X, Y)) < 1e-5
    for a, b in zip(copy.weights, net.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-6)


def test_the_model_that_is_compared_stays_as_it_is():
    net = small()
    net.train_on_batch(X, Y)
    before = [v.numpy() for v in variables_of(net)]
    assert compare(net, X, ["torch"], targets=Y, training_steps=1)
    for a, b in zip(before, variables_of(net), strict=True):
        np.testing.assert_array_equal(a, b.numpy())


# -- what is found ----------------------------------------------------------------------


def test_an_error_is_not_blamed_on_those_that_inherit_it(planted):
    with planted_op(planted, "dense", lambda right, *a: right(*a) * (1.001 if a[3] == "tanh" else 1)):
        found = compare(small(), X, [NAME], native=False)
    assert [(f.op, f.number) for f in found.findings if f.kind == "value"] == [("dense", 0)]
    assert found.amplification(NAME)[-1][1] > 1e-4  # the last layer inherits it, where nothing is aligned


def test_it_works_from_jax_to_torch_too():
    with kcore.backend("jax"):
        net = small()
    found = compare(net, X, ["jax", "torch"])
    assert found, str(found)
    assert found.checked == {"jax": found.ops, "torch": found.ops}


def test_a_function_of_several_arguments_with_random_numbers():
    def f(a, b):
        return ops.logsumexp(ops.matmul(a, ops.transpose(b)), 1) + kcore.random.normal((6,)), ops.argmax(a, 1)

    found = compare(f, (X, X * 2), ["torch"])
    assert found, str(found)
    assert found.name == "f"


def test_a_body_is_opened_to_the_op_that_parts(planted):
    assert "softsign" not in planted.ops
    with planted_op(planted, "absolute", lambda right, x: right(x) * 1.01):
        found = compare(ops.softsign, X, [NAME], gradients=False, native=False)
    first = found.first()
    assert (first.op, first.inner.op) == ("softsign", "absolute"), str(found)
    assert "inside it, absolute is the first to part" in str(found)


def test_a_branch_on_the_backend_is_an_argument_that_differs(planted):
    net = kcore.Sequential([kcore.Input((4,)), Branching(NAME, name="branching"), layers.Dense(2)])
    found = compare(net, X, [NAME], native=False)
    first = found.first()
    assert (first.kind, first.op, first.result) == ("argument", "multiply", "x2")
    assert first.layer.endswith("branching")
    assert "ops.multiply(y, factor)" in first.source.text


def test_a_layer_that_leaves_ops_is_named(planted):
    net = kcore.Sequential([kcore.Input((4,)), Foreign(NAME, name="foreign"), layers.Dense(2)])
    found = compare(net, X, [NAME], gradients=False, native=False)
    first = found.first()
    assert (first.kind, first.op) == ("layer", "foreign")
    assert len(found.findings) == 1


def test_an_op_that_raises_on_one_backend_is_named(planted):
    def raises(right, *arguments):
        raise RuntimeError("no such kernel")

    with planted_op(planted, "random_dropout", raises):
        found = compare(small(), X, [NAME], training=True, native=False)
    assert (found.first().kind, found.first().op) == ("error", "random_dropout")
    assert "no such kernel" in str(found)


def test_an_op_that_changes_its_argument_is_named(planted):
    def in_place(right, x):
        return x.copy_(right(x))

    with planted_op(planted, "exp", in_place):
        found = compare(lambda x: ops.add(ops.exp(ops.multiply(x, 2.0)), x), X, [NAME], gradients=False, native=False)
    assert [(f.kind, f.op) for f in found.findings] == [("changed", "exp")]


def test_weights_that_arrive_changed_are_named(planted, monkeypatch):
    own = planted.new_storage

    def new_storage(value, dtype, trainable, name):
        value = value.T.contiguous() if value.ndim == 2 and value.shape[0] == value.shape[1] else value
        return own(value, dtype, trainable, name)

    monkeypatch.setattr(planted, "new_storage", new_storage)
    net = kcore.Sequential([kcore.Input((4,)), layers.Dense(4, name="square")])
    found = compare(net, X, [NAME], gradients=False, native=False)
    assert (found.first().kind, found.first().op.rpartition("/")[2]) == ("variable", "kernel")


def test_a_fused_optimizer_that_is_wrong_shows_in_the_step_as_it_runs_by_itself(planted, monkeypatch):
    own = planted.optimizer_step

    def optimizer_step(kind, variables, grads, *rest):
        return own(kind, variables, [g * 0.5 for g in grads], *rest)

    monkeypatch.setattr(planted, "optimizer_step", optimizer_step)
    found = compare(small("sgd"), X, [NAME], targets=Y, training_steps=1)
    first = found.first()
    assert (first.kind, first.step) == ("native", 0)
    assert first.op.rpartition("/")[2] in ("kernel", "bias")
    assert compare(small("sgd"), X, [NAME], targets=Y, training_steps=1, native=False)


def test_a_loop_that_stops_early_shows_in_the_whole(planted):
    def runs_once_less(right, test, body, values, limit):
        return right(test, body, values, 2)

    def f(x):
        return ops.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, ops.tanh(y)), (0, x))[1]

    with planted_op(planted, "loop", runs_once_less):
        found = compare(f, X, [NAME], gradients=False)
    assert [f.kind for f in found.findings] == ["native"]


def test_the_source_of_a_nan_is_told_in_values_and_gradients():
    def f(x):
        return ops.sum(ops.sqrt(ops.abs(x)) * 2.0), ops.log(ops.minimum(x, 0.0) * 0.0 - 1.0)

    found = compare(f, np.array([0.0, 1.0], "float32"), ["torch"])
    assert found.nonfinite["reference"].op == found.nonfinite["torch"].op == "log"
    assert found.nonfinite["reference, gradient"].op == "sqrt"
    assert "first nan or infinity on torch: log" in str(found)


def test_the_reference_is_suspected_where_the_formula_is_against_it(monkeypatch):
    reference = backends.load("reference")
    with planted_op(reference, "exp", lambda right, x: right(x) * np.float32(1.01)):
        found = compare(lambda x: ops.exp(x), X, ["torch"], gradients=False, native=False)
    assert found.first().suspect == "reference"
    assert "suspect: reference, not torch" in str(found)


# -- the report -------------------------------------------------------------------------


def test_the_report_is_json_and_has_a_script_that_shows_it(planted):
    with planted_op(planted, "tanh", lambda right, x: right(x) * 1.01):
        found = compare(lambda x: ops.tanh(ops.multiply(x, 2.0)), X, [NAME], native=False)
        script = found.first().script
        printed = []
        exec(compile(script, "<script>", "exec"), {"print": lambda *a: printed.append(a), "__name__": "script"})
    said = json.loads(json.dumps(found.json()))
    assert said["findings"][0]["op"] == "tanh"
    assert said["findings"][0]["gap"]["relative"] == pytest.approx(0.01, rel=0.1)
    assert printed[0][0] == pytest.approx(0.0099, rel=0.1)
    assert len(script.splitlines()) < 20


def test_a_script_draws_large_arrays_where_that_shows_it(planted):
    x = np.random.default_rng(0).normal(3.0, 2.0, (40, 30)).astype("float32")
    with planted_op(planted, "softmax", lambda right, x, axis: right(x, axis) * 1.001):
        found = compare(lambda x: ops.softmax(x, -1), x, [NAME], gradients=False, native=False)
    script = found.first().script
    assert re.search(r"default_rng\(0\)\.normal\([\d.]+, [\d.]+, \(40, 30\)\)", script)
    assert "axis" not in script  # the default
    assert scripts.SHORT < 40 * 30


def test_the_tolerance_is_that_of_the_record(planted):
    with planted_op(planted, "tanh", lambda right, x: right(x) * 1.01):
        first = compare(ops.tanh, X, [NAME], gradients=False, native=False).first()
    from kcore.conformance.record import CASES

    assert first.gap.tolerance == CASES["tanh"].tol["float32"]
    assert first.gap.basis == "the record of tanh"


def test_training_steps_need_a_compiled_model():
    net = kcore.Sequential([kcore.Input((4,)), layers.Dense(2)])
    with pytest.raises(ValueError, match="needs a model that is compiled"):
        compare(net, X, ["torch"], training_steps=1)


def test_an_unknown_backend_is_an_error():
    with pytest.raises(ValueError, match="There is no backend 'tourch'"):
        compare(ops.exp, X, ["tourch"])


# -- the command ------------------------------------------------------------------------


def test_diff_reads_a_model_and_says_that_all_agree(tmp_path, capsys):
    net = small()
    net.save(tmp_path / "net.keras")
    np.savez(tmp_path / "data.npz", x=X, y=Y)
    arguments = ["diff", str(tmp_path / "net.keras"), "--inputs", str(tmp_path / "data.npz"), "--backends", "torch"]
    assert main([*arguments, "--steps", "1", "--json", str(tmp_path / "found.json")]) == 0
    assert "all agree" in capsys.readouterr().out
    assert json.loads((tmp_path / "found.json").read_text())["agree"] is True


def test_diff_exits_with_1_and_writes_the_script(tmp_path, capsys, planted):
    small().save(tmp_path / "net.keras")
    np.save(tmp_path / "x.npy", X)
    arguments = ["diff", str(tmp_path / "net.keras"), "--inputs", str(tmp_path / "x.npy"), "--backends", NAME]
    with planted_op(planted, "dense", lambda right, *a: right(*a) + 0.1):
        assert main([*arguments, "--script", str(tmp_path / "shows.py")]) == 1
    assert "first on planted: dense in" in capsys.readouterr().out
    assert "ops.dense(" in (tmp_path / "shows.py").read_text()


def test_diff_tells_what_is_wrong_with_its_arguments(tmp_path, capsys):
    small().save(tmp_path / "net.keras")
    np.save(tmp_path / "x.npy", X)
    model, data = str(tmp_path / "net.keras"), str(tmp_path / "x.npy")
    assert main(["diff", model, "--inputs", str(tmp_path / "none.npy")]) == 3
    assert "can't be read" in capsys.readouterr().err
    np.savez(tmp_path / "cut.npz", x=X)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:-40])
    assert main(["diff", model, "--inputs", str(tmp_path / "cut.npz")]) == 3
    assert "can't be read" in capsys.readouterr().err
    (tmp_path / "cut.keras").write_bytes((tmp_path / "net.keras").read_bytes()[:-40])
    assert main(["diff", str(tmp_path / "cut.keras"), "--inputs", data]) == 3
    assert "cut.keras" in capsys.readouterr().err
    assert main(["diff", model, "--inputs", data, "--steps", "1"]) == 2
    assert "put an array called y" in capsys.readouterr().err
    assert main(["diff", model, "--inputs", data, "--backends", "tourch"]) == 2
    assert "There is no backend 'tourch'" in capsys.readouterr().err


def test_importing_kcore_brings_no_comparison_along():
    code = "import sys, kcore, kcore.conformance; print([m for m in sys.modules if 'lockstep' in m or 'watching' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
