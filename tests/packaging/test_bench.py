"""`kcore bench`: rows, measuring, files of results and what moved between two of them."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from kcore import cli
from kcore.cli import bench

ROOT = Path(__file__).resolve().parents[2]
comparison, measure, peers, results, rows, runner, tables = (
    bench.package(name) for name in ("comparison", "measure", "peers", "results", "rows", "runner", "tables")
)
ABOUT = {
    "kcore": "0.1.0",
    "simd": "avx2",
    "python": "3.11.9",
    "platform": "Linux",
    "cpu": "a CPU",
    "versions": {"numpy": "2.4.6"},
}


def result(key="conv/3x3, batch 1", own=(2.0, 2.1, 2.02), other=(3.0, 3.1), **changes):
    timed = {"rounds": {"kcore": list(own), "torch": list(other)}, "other": {"kcore": 2.5, "torch": 3.5}}
    return runner.Result(key, "s", 1, 1.0, "cpu", **(timed | changes))


def test_a_row_is_known_by_its_key_and_found_by_parts_of_it():
    keys = [row.key for row in rows.chosen()]
    assert len(set(keys)) == len(keys)
    assert {key.partition("/")[0] for key in keys} == set(rows.FAMILIES)
    assert all(row.key.startswith("conv/") for row in rows.chosen(["conv/*batch 1"]))
    assert {row.key for row in rows.chosen(["softmax", "exp 1M"])} > {"elementwise/exp 1M", "norms/softmax 1024x1000"}
    assert rows.by_key("elementwise/exp 1M").peers.keys() == {"kcore", "numpy", "torch", "jax"}
    for unknown in ("conv/no such", "nowhere/x"):
        with pytest.raises(rows.UnknownRow):
            rows.by_key(unknown)


def test_every_row_has_kcore_and_peers_of_known_libraries():
    known = {"kcore", "numpy", "keras", "jax", "torch", "tensorflow", "onnxruntime"}
    for row in rows.chosen():
        assert rows.OWN in row.peers
        assert {peer.partition(" ")[0].partition("-")[0] for peer in row.peers} <= known
        assert row.goal is None or row.goal > 0


def test_rows_can_be_listed_where_no_framework_is():
    block = "import sys; sys.modules.update(dict.fromkeys(['jax', 'torch', 'tensorflow', 'keras', 'onnxruntime']))"
    script = f"{block}; from kcore.cli import bench; print(len(bench.package('rows').chosen()))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(rows.chosen())


def test_the_shapes_of_the_convolutions_are_resnets():
    resnet = bench.package("resnet")
    weights = resnet.weights()
    assert len(resnet.convolutions()) == 53
    assert sum(w.size for w in weights) == 25_610_152  # 25,557,032, and mean and variance of 53 normalizations
    assert {c.name for c in resnet.convolutions()} >= {"7x7 stride 2 224x224x3 to 64", "3x3 7x7x512 to 512"}


def test_subjects_take_turns_and_the_slow_one_is_not_waited_for():
    ran = []

    def subject(name, work):
        def run():
            ran.append(name)
            return sum(range(work))

        return rows.Subject(run, list)

    found = measure.in_turns({"a": subject("a", 30_000), "b": subject("b", 3_000_000)}, 0.2)
    assert len(found["a"].wall) == len(found["a"].cpu) == measure.ROUNDS
    assert len(found["b"].wall) == 1
    assert 0 < min(found["a"].cpu) < min(found["b"].cpu)
    assert ran.count("a") > ran.count("b")


@pytest.mark.parametrize(
    ("own", "other", "gap"),
    [
        ([[1.0, 2.0]], [[1.0, 2.0]], 0),
        ([[1.0, 2.0]], [[1.0, 2.2]], 0.1),
        ([[1.0, np.nan]], [[1.0, np.nan]], 0),
        ([[1.0, np.nan]], [[1.0, 2.0]], math.inf),
        ([[1.0, 2.0]], [[1.0]], math.inf),
        ([[1.0]], [[1.0], [2.0]], math.inf),
        ([[100.0], [1e-9]], [[100.0], [2e-9]], 1e-8),  # rounding errors beside a hundred
        ([], [], 0),
        ([[]], [[]], 0),
    ],
)
def test_results_differ_by_parts_of_their_largest_number(own, other, gap):
    arrays = [[np.array(a, "float64") for a in some] for some in (own, other)]
    assert measure.difference(*arrays) == pytest.approx(gap)


@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
def test_libraries_call_one_function_of_one_array_alike(library):
    from kcore import ops

    if peers.missing(library):
        pytest.skip(f"{library} is not installed")
    functions = {
        "kcore": ops.tanh,
        library: {"numpy": np, "torch": peers.torch, "jax": peers.jnp}[library].tanh,
    }
    built = peers.forward(peers.normal((3, 5)), **functions)
    own, other = (built[name]().result() for name in functions)
    assert measure.difference(own, other) < 1e-6
    if library != "numpy":
        built = peers.backward(peers.normal((3, 5), (3, 5)), **functions)
        own, other = (built[name]() for name in functions)
        assert measure.difference(own.result(), own.result()) == 0  # backward can be called again
        assert measure.difference(own.result(), other.result()) < 1e-6


def test_a_run_measures_agreeing_peers_and_names_the_one_that_differs():
    row = rows.by_key("eager/add of 4 elements")
    (found,) = runner.run([row], only=lambda peer: peer == "numpy", effort=0.05)
    assert found.problem == ""
    assert found.best.keys() == {"kcore", "numpy"}
    assert found.fastest == "numpy"
    assert found.ratio == pytest.approx(found.best["numpy"] / found.best["kcore"])
    assert len(found.rounds["kcore"]) == measure.ROUNDS
    said = runner._apart_from(row, {"numpy": 1e-9, "jax": 0.5, "torch": math.nan})
    assert "jax by 5.0e-01, torch by nan" in said
    assert "numpy by" not in said


def test_a_worker_that_fails_says_why_and_the_run_goes_on():
    good = rows.by_key("eager/add of 4 elements")
    bad = rows.Row(**(vars(good) | {"name": "no such"}))
    first, second = runner.run([bad, good], only=lambda peer: False, effort=0.05)
    assert "There is no row 'eager/no such'" in first.problem
    assert first.ratio is None
    assert second.best.keys() == {"kcore"}


def test_results_come_back_from_their_file_and_fit_the_schema(tmp_path):
    path = tmp_path / "r.json"
    wrong = result("conv/other", rounds={}, other={}, problem="Not timed.", absent=["jax"])
    results.write(path, [result(), wrong], ABOUT, 12.34)
    found, about = results.read(path)
    assert found == [result(), wrong]
    assert about["cpu"] == "a CPU"
    assert about["seconds"] == 12.3
    schema = json.loads((ROOT / "benchmarks" / "results.schema.json").read_text())
    jsonschema.validate(json.loads(path.read_text()), schema)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda said: "{", "is damaged"),
        (lambda said: "[]", 'does not say "format": "kcore-bench"'),
        (lambda said: json.dumps(said | {"version": 2}), "is of version 2; this kcore reads and writes version 1"),
        (lambda said: json.dumps(said | {"rows": 3}), "a row is not as it should be"),
        (lambda said: json.dumps({k: v for k, v in said.items() if k != "rows"}), "a row is not as it should be"),
        (lambda said: json.dumps(said | {"rows": [{"key": "conv/x"}]}), "a row is not as it should be"),
        (lambda said: json.dumps(said).replace("2.02", '"two"'), "the rounds of kcore are"),
        (lambda said: None, "can't be read: No such file"),
    ],
)
@pytest.mark.parametrize("option", ["--compare", "--from"])
def test_a_damaged_file_is_one_sentence_and_exit_code_3(option, damage, sentence, tmp_path, capsys):
    path = tmp_path / "r.json"
    results.write(path, [result()], ABOUT, 1)
    text = damage(json.loads(path.read_text()))
    path.unlink()
    if text is not None:
        path.write_text(text)
    assert cli.main(["bench", "add of 4", option, str(path)]) == 3
    said = capsys.readouterr().err
    assert said.startswith(f"kcore: {option} {path}")
    assert sentence in said
    assert said.count("\n") == 1


def test_a_row_moved_if_it_changed_by_more_than_noise_and_spread():
    steady = result("conv/steady", own=(2.1, 2.1, 2.1))
    slower = result("conv/slower", own=(3.0, 3.0, 3.01), other=(3.0, 3.0))
    faster = result("conv/faster", own=(1.0, 1.0, 1.0), other=(1.5, 1.5))
    spread = result("conv/spread", own=(3.0, 6.0, 7.0))  # what it took is anyone's guess
    keys = ["conv/steady", "conv/slower", "conv/faster", "conv/spread", "conv/gone"]
    moves = comparison.compare([result(key) for key in keys], [steady, slower, faster, spread, result("conv/new")])
    assert [m.new.key for m in moves if m.moved] == ["conv/slower", "conv/faster"]
    by_key = {m.new.key: m for m in moves}
    assert by_key.keys() == set(keys) - {"conv/gone"}
    assert by_key["conv/slower"].change == pytest.approx(0.5)
    assert by_key["conv/slower"].peers == pytest.approx(0)
    assert by_key["conv/faster"].peers == pytest.approx(-0.5)


def test_runs_by_different_clocks_or_threads_are_not_compared():
    old = [result()]
    for changes in ({"clock": "wall"}, {"threads": 2}, {"unit": "MiB"}):
        new = result()
        vars(new).update(changes)
        assert comparison.compare(old, [new]) == []
    assert comparison.compare(old, [result(rounds={}, problem="failed")]) == []
    assert len(comparison.compare(old, old)) == 1


def files(tmp_path):
    """Two files of results, between which one row became slower and one faster."""
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    results.write(old, [result("conv/a"), result("conv/b"), result("conv/c")], ABOUT, 1)
    results.write(new, [result("conv/a", own=(4.0,)), result("conv/b", own=(1.0,)), result("conv/c")], ABOUT, 1)
    return str(old), str(new)


def test_two_files_are_compared_without_measuring(tmp_path, capsys):
    old, new = files(tmp_path)
    assert cli.main(["bench", "--from", new, "--compare", old]) == 0
    said = capsys.readouterr().out
    before, _, after = said.partition(f"Since {old}:")
    assert "conv/c" in before
    assert "conv/c" not in after
    assert "+100%" in after
    assert "-50%" in after
    assert "3 rows in both runs: 1 slower and 1 faster by more than noise." in after


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_what_moved_is_drawn(ending, tmp_path):
    pytest.importorskip("matplotlib")
    old, new = files(tmp_path)
    plot = tmp_path / f"moved.{ending}"
    assert cli.main(["bench", "--from", new, "--compare", old, "--plot", str(plot)]) == 0
    drawn = plot.read_bytes()
    assert drawn.startswith(b"\x89PNG" if ending == "png" else b"<?xml")
    assert len(drawn) > 5000


def test_without_matplotlib_a_plot_is_refused_before_anything_is_measured(tmp_path, monkeypatch, capsys):
    old, new = files(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert cli.main(["bench", "--from", new, "--compare", old, "--plot", str(tmp_path / "x.svg")]) == 2
    said = capsys.readouterr().err
    assert "matplotlib, which is not installed; pip install 'kcore[bench]'." in said
    with pytest.raises(comparison.NoPlot):
        comparison.plot([], tmp_path / "x.svg")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no such row"], "No row matches 'no such row'"),
        (["--plot", "x.svg"], "--plot draws what --compare finds"),
        (["--compare", "x.json", "--plot", "x.pdf"], "should end with .svg or .png"),
        (["--from", "x.json", "--json", "y.json"], "--from measures nothing"),
        (["--json", "/no/such/folder/x.json"], "there is no folder"),
        (["--effort", "0"], "'0' is not a number above 0"),
        (["--clock", "sun"], "invalid choice: 'sun'"),
    ],
)
def test_a_wrong_argument_is_one_sentence_and_exit_code_2(arguments, sentence, capsys):
    assert cli.main(["bench", *arguments]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_a_row_that_could_not_be_measured_is_exit_code_1(tmp_path, capsys):
    path = tmp_path / "r.json"
    results.write(path, [result(rounds={}, other={}, problem="Not timed, for torch differs.")], ABOUT, 1)
    assert cli.main(["bench", "--from", str(path)]) == 1
    assert "Not timed, for torch differs." in capsys.readouterr().out


@pytest.mark.slow
def test_the_command_measures_and_writes_what_it_found(tmp_path):
    path = tmp_path / "r.json"
    command = [sys.executable, "-m", "kcore.cli", "bench", "eager/add*", "--peers", "numpy", "--effort", "0.1"]
    done = subprocess.run(
        [*command, "--json", str(path)], cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "eager/add of 4 elements" in done.stdout
    (found,), about = results.read(path)
    assert found.key == "eager/add of 4 elements"
    assert about["complete"] is True


PAGE = """# Page

<!-- machine -->
old
<!-- end -->

<!-- table: norms -->
| what | kcore | fastest peer | ratio | goal | what limits it |
|---|---|---|---|---|---|
| layer 2x2 | 9.00 s | 9.00 s (torch) | 1.00 | 1 | the peak |
| gone | 9.00 s | 9.00 s (torch) | 1.00 | 1 | nothing |
<!-- end -->
<!-- table: conv -->
| what | batch 1 | what limits it |
|---|---|---|
| 3x3 | 1.00 (9.00 s) | loads |
<!-- end -->
<!-- table: pool -->
kept
<!-- end -->
<!-- pairs -->
<!-- end -->
"""


def test_the_page_gets_new_numbers_and_keeps_what_was_written_by_hand():
    fresh = [
        result("norms/layer 2x2"),
        result("norms/new", own=(4.0,)),
        result("norms/failed", rounds={}, problem="x"),
        result("conv/3x3, batch 1"),
        result("conv/3x3, batch 8, fast", own=(4.0,)),
        result("conv/alone"),
        result("models/fit", rounds={"kcore": [1.0], "kcore-jax": [2.0], "keras-jax": [3.0]}),
    ]
    page = tables.filled(PAGE, fresh, "a machine")
    assert "<!-- machine -->\na machine\n<!-- end -->" in page
    assert "| layer 2x2 | 2.00 s | 3.00 s (torch) | 1.50 | 1 | the peak |" in page
    assert "| new | 4.00 s | 3.00 s (torch) | **0.75** | 1 |  |" in page
    assert "| failed | not measured | | | |  |" in page
    assert "| what | batch 1 | batch 8, fast |  | what limits it |" in page
    assert "| 3x3 | 1.50 (2.00 s) | **0.75** (4.00 s) |  | loads |" in page
    assert "| alone |  |  | 1.50 (2.00 s) |  |" in page
    assert "| fit | 1.50 (2.00 s) |  |  |" in page
    assert "gone" not in page
    assert "<!-- table: pool -->\nkept\n<!-- end -->" in page
    assert tables.filled(page, fresh, "a machine") == page


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0318, "s", "31.8 ms"),
        (329e-6, "s", "329 us"),
        (1.5, "s", "1.50 s"),
        (1.5e-8, "s", "0.01 us"),
        (3.25, "MiB", "3.2 MiB"),
    ],
)
def test_a_number_has_three_digits_and_its_unit(value, unit, text):
    assert tables.amount(value, unit) == text
