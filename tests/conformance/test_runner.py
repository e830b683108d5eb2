"""What a run answers, reports, writes and returns."""

from __future__ import annotations

import json

import numpy as np
import pytest
from rich.console import Console

from kcore import backends, cli, conformance, ops
from kcore.conformance import record as records
from kcore.conformance import report, runner
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.results import Failure, Result
from kcore.conformance.samples import draw
from tests.conformance.planting import MATMUL, RELU, judge, planted, record


@pytest.fixture(autouse=True)
def _shipped_records_stay():
    runner.load_records()
    kept = dict(records.CASES)
    yield
    records.CASES.clear()
    records.CASES.update(kept)


def scaled(factor):
    """A bug on backends with NumPy's or torch's tensors: floats come out scaled."""

    def wrong(right, x):
        y = right(x)
        return (y * factor).astype(y.dtype) if isinstance(y, np.ndarray) else y * factor if y.is_floating_point() else y

    return wrong


def relu(**more):
    return record(ops.relu, Sample(draw(3, 4)), reference=lambda x: np.maximum(x, 0), grad=False, **more)


def problems(result):
    return " | ".join(f.problem for f in result.failures)


# -- the record's say -------------------------------------------------------------------


def test_a_difference_that_no_reason_covers_fails():
    case = relu()
    with planted(case, "torch", "function", scaled(1.001)):
        assert judge(case, "torch").verdict == "FAIL"


def test_a_reason_covers_a_difference_on_its_backend_alone():
    case = relu(differs={"torch": "it scales a little"})
    with planted(case, "torch", "function", scaled(1.001)):
        result = judge(case, "torch")
    assert (result.verdict, result.reason) == ("differs", "it scales a little")
    with planted(case, "reference", "function", scaled(1.001)):
        assert judge(case, "reference").verdict == "FAIL"


def test_a_reason_that_no_longer_holds_fails():
    result = judge(relu(differs={"torch": "it scales a little"}), "torch")
    assert result.verdict == "FAIL"
    assert "no longer holds: it scales a little" in problems(result)


def test_a_looser_tolerance_is_still_a_tolerance():
    loose = {"torch": dict.fromkeys(("float32", "float64", "float16", "bfloat16"), 0.01)}
    case = relu(differs={"torch": "it scales a little"}, differs_tol=loose)
    with planted(case, "torch", "function", scaled(1.001)):
        assert judge(case, "torch").verdict == "differs"
    with planted(case, "torch", "function", scaled(1.1)):
        assert judge(case, "torch").verdict == "FAIL"


def test_a_reason_covers_no_wrong_shape():
    case = relu(differs={"torch": "it scales a little"})
    with planted(case, "torch", "function", lambda right, x: right(x)[None]):
        assert judge(case, "torch").verdict == "FAIL"


def test_a_sample_can_have_a_reason_of_its_own():
    at_zero = Sample(np.array([0.0, 1.0]), differs={"torch": "it is off at 0"})
    case = record(ops.relu, Sample(draw(3)), at_zero, reference=lambda x: np.maximum(x, 0), grad=False)
    with planted(case, "torch", "function", lambda right, x: right(x + (x == 0) if x.is_floating_point() else x)):
        result = judge(case, "torch")
    assert result.verdict == "differs", problems(result)
    assert "no longer holds" in problems(judge(case, "torch"))


def test_a_tolerance_without_a_reason_is_refused():
    with pytest.raises(ValueError, match="needs a reason"):
        relu(differs_tol={"torch": {"float32": 1e-2}})


def test_two_records_of_one_op_are_refused():
    with pytest.raises(ValueError, match="two conformance records of relu"):
        Case(ops.relu, np.abs, [])


def test_a_formula_that_fails_is_reported():
    case = record(ops.relu, Sample(draw(3)), reference=lambda x: x.missing)
    assert "the formula raised AttributeError" in problems(judge(case, "reference"))


def test_a_sample_that_needs_grad_false_says_so():
    case = record(ops.log, Sample(np.array([0.0, 1.0])), reference=np.log)
    assert "say grad=False" in problems(judge(case, "reference"))


def test_a_wrong_promise_of_a_gradient_is_reported():
    case = record(ops.relu, Sample(np.array([0.0, 1.0]), gradient=[0.5, 1.0]), reference=lambda x: np.maximum(x, 0))
    assert "which the record promises" in problems(judge(case, "torch"))


def test_gradients_by_named_arguments_leave_out_the_others():
    only_first = record(ops.multiply, Sample(draw(3), draw(3, seed=1)), reference=lambda a, b: a * b, grad=("x1",))
    with planted(only_first, "torch", "function", lambda right, a, b: right(a, b.detach())):
        assert judge(only_first, "torch").verdict == "pass"
    with planted(only_first, "torch", "function", lambda right, a, b: right(a.detach(), b)):
        assert judge(only_first, "torch").verdict == "FAIL"


def test_a_bad_call_that_is_not_refused_symbolically_is_told_apart():
    case = record(
        ops.relu,
        Sample(draw(3)),
        reference=lambda x: np.maximum(x, 0),
        errors=[Bad(draw(3), match="never raised")],
    )
    found = [f.problem for f in judge(case, "reference").failures]
    assert found == ["eagerly was not refused", "symbolically was not refused"]


# -- a run ------------------------------------------------------------------------------


def test_results_come_for_each_op_and_backend():
    results = conformance.run(backends=["reference", "torch"], ops=["relu", "sum"])
    assert {(r.op, r.backend) for r in results} == {(o, b) for o in ("relu", "sum") for b in ("reference", "torch")}
    for r in results:
        assert r.verdict == "pass", r.failures
        assert r.cases > 20
        assert r.error <= r.tolerance
        assert r.gradient_error <= r.gradient_tolerance


def test_patterns_are_those_of_the_shell():
    names = {r.op for r in conformance.run(backends=["reference"], ops=["relu*"])}
    assert names == {"relu", "relu6"}


def test_dtypes_choose_what_is_compared():
    (half,) = conformance.run(backends=["reference"], ops=["relu"], dtypes=["float16"])
    assert half.dtype in ("float16", None)
    assert half.gradient_error is None
    (double,) = conformance.run(backends=["reference"], ops=["relu"], dtypes=["float64"])
    assert double.gradient_error is not None


def test_a_full_run_compares_more():
    (some,) = conformance.run(backends=["reference"], ops=["relu"])
    (every,) = conformance.run(backends=["reference"], ops=["relu"], full=True)
    assert every.cases > 1.5 * some.cases
    assert every.verdict == "pass"


def test_an_op_without_a_record_fails():
    del records.CASES["relu"]
    runs = conformance.run(backends=["reference"], ops=["relu"])
    assert [r.verdict for r in runs] == ["no record"]
    assert runs[0].failed


def test_an_op_that_a_backend_lacks_is_unsupported_and_no_failure(monkeypatch):
    torch = backends.load("torch")
    monkeypatch.delitem(torch.ops, "matmul")
    monkeypatch.setitem(torch.unsupported, "matmul", "nobody has written it yet")
    ops.matmul.op.plans.clear()
    result = judge(MATMUL, "torch")
    assert (result.verdict, result.reason, result.failed) == ("unsupported", "nobody has written it yet", False)
    ops.matmul.op.plans.clear()


def test_what_stands_on_an_unsupported_op_is_unsupported(monkeypatch):
    torch = backends.load("torch")
    monkeypatch.delitem(torch.ops, "maximum")
    monkeypatch.setitem(torch.unsupported, "maximum", "nobody has written it yet")
    ops.maximum.op.plans.clear()

    def body(right, x):
        return ops.maximum(x, 0)

    with planted(RELU, "torch", "function", body):
        assert judge(RELU, "torch").verdict == "unsupported"
    ops.maximum.op.plans.clear()


@pytest.mark.parametrize("name", ["backends", "ops", "dtypes"])
def test_unknown_names_are_refused(name):
    with pytest.raises(ValueError, match="no_such_thing"):
        conformance.run(**{"backends": ["reference"], "ops": ["relu"], name: ["no_such_thing"]})


def test_progress_is_told_as_it_comes():
    told = []
    conformance.run(["reference"], ["relu", "sum"], progress=lambda r, done, total: told.append((r.op, done, total)))
    assert [t[1:] for t in told] == [(1, 2), (2, 2)]


def test_ctrl_c_keeps_what_was_done():
    def stop(result, done, total):
        raise KeyboardInterrupt

    with pytest.raises(runner.Interrupted) as stopped:
        conformance.run(["reference"], ["relu", "sum"], progress=stop)
    assert len(stopped.value.results) == 1


# -- reports ----------------------------------------------------------------------------

RESULTS = [
    Result("relu", "torch", cases=12, ulp=0.5, error=1e-8, tolerance=5e-7, gradient_error=0.0, gradient_tolerance=1e-6),
    Result("exp", "torch", "differs", "flushes [subnormals]", cases=3),
    Result(
        "sum",
        "torch",
        "FAIL",
        failures=[
            Failure("value", "Sample(1)", d, "off by more", (0, 1), 1.5, 1.0, 0.5, 1e-7, f"kcore conform --dtype {d}")
            for d in ("float32", "float64")
        ],
    ),
]


def shown(what) -> str:
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115 - lives as long as the console
    console.print(what)
    return console.export_text()


def test_the_table_has_a_row_for_each_result():
    lines = shown(report.table(RESULTS)).splitlines()
    assert len(lines) == 1 + len(RESULTS)
    assert "differs (flushes [subnormals])" in lines[2]
    assert "1.0e-08" in lines[1]


def test_failures_alike_are_told_once_with_how_to_run_them_again():
    text = "\n".join(report.failure_lines(RESULTS[2]))
    assert "sum on torch: value: off by more" in text
    assert "at (0, 1): got 1.5, want 1.0, off by 0.5 (allowed 1e-07)" in text
    assert "and 1 more like it (float32, float64)" in text
    assert text.count("kcore conform") == 1


def test_json_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    target = tmp_path / "found.json"
    target.write_text("before")

    def full(*_):
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr("os.replace", full)
        with pytest.raises(OSError, match="no space"):
            report.write_json(target, RESULTS, 0.0)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("found.json", "before")]
    report.write_json(target, RESULTS, 1.5)
    found = json.loads(target.read_text())
    assert [r["verdict"] for r in found["results"]] == ["pass", "differs", "FAIL"]
    assert found["results"][2]["failures"][0]["got"] == 1.5
    assert "torch" in found["backends"]
    assert [p.name for p in tmp_path.iterdir()] == ["found.json"]


# -- the command ------------------------------------------------------------------------


def test_the_command_succeeds_where_all_holds(capsys, tmp_path):
    target = tmp_path / "found.json"
    assert cli.main(["conform", "--backend", "reference", "--op", "relu,sum", "--json", str(target)]) == 0
    out = capsys.readouterr().out
    assert "2 ops on reference: 2 pass" in out
    assert len(json.loads(target.read_text())["results"]) == 2


def test_the_command_fails_where_an_op_does_and_says_how_to_see_it_again(capsys):
    with planted(RELU, "reference", "function", scaled(1.01)):
        assert cli.main(["conform", "--backend", "reference", "--op", "relu"]) == 1
    out = capsys.readouterr().out
    assert "FAIL" in out
    assert "kcore conform --backend reference --op relu --dtype float32" in out


@pytest.mark.parametrize(
    "wrong",
    [
        ["--backend", "abacus"],
        ["--backend", "reference", "--op", "nosuchop"],
        ["--backend", "reference", "--op", "relu", "--dtype", "float7"],
        ["--backend", "reference", "--op", "relu", "--json", "/no/such/folder/x.json"],
        ["--colour"],
    ],
)
def test_a_wrong_argument_is_the_users_error(wrong, capsys):
    assert cli.main(["conform", *wrong]) == 2
    assert capsys.readouterr().err.startswith("kcore: ")


def test_ctrl_c_prints_what_was_done(monkeypatch, capsys):
    def interrupted(*_):
        raise runner.Interrupted([RESULTS[0]])

    monkeypatch.setattr(runner, "run", interrupted)
    assert cli.main(["conform"]) == 130
    out = capsys.readouterr().out
    assert "1 ops on torch: 1 pass" in out
    assert "Interrupted" in out
