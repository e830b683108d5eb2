"""Goldens: what is recorded, what a check of it finds, and what damage it tells."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import kcore
from kcore import backends, cli, layers, ops
from kcore.conformance import goldens, runner
from kcore.conformance.goldens import files, functions
from kcore.conformance.goldens.calls import Recorded
from kcore.conformance.goldens.values import Reader, Writer
from kcore.conformance.record import CASES
from tests.conformance.planting import MATMUL, RELU, planted

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "goldens.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def shipped():
    return goldens.read(goldens.SHIPPED)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A golden of a few ops, in a folder."""
    folder = tmp_path_factory.mktemp("golden") / "small"
    goldens.write(folder, goldens.record(["relu", "matmul", "eig", "scan"]))
    return folder


@pytest.fixture
def copy(small, tmp_path):
    """One that may be spoilt."""
    return Path(shutil.copytree(small, tmp_path / "copy"))


def told(result):
    return "\n".join(f"{f.check}: {f.sample}: {f.problem}" for f in result.failures)


def signed(folder: Path) -> None:
    """Makes the checksums those of the files as they are."""
    lines = [f"{files._digest(folder / n)}  {n}\n" for n in (files.MANIFEST, files.ARRAYS)]
    (folder / files.SUMS).write_text("".join(lines))


def rewritten(folder: Path, change) -> None:
    """Changes what golden.json says, checksums and all."""
    said = json.loads((folder / files.MANIFEST).read_text())
    change(said)
    (folder / files.MANIFEST).write_text(json.dumps(said))
    signed(folder)


# -- the shipped golden -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["reference", "torch", "tensorflow", "jax"])
def test_every_backend_holds_to_the_shipped_golden(name, shipped):
    if name not in backends.installed():
        pytest.skip(f"{name} is not installed")
    # JAX compiles each call, which takes longer than all the other backends together.
    results = goldens.check(shipped, name, samples=1 if name == "jax" else None)
    assert [r.op for r in results] == shipped.ops
    assert not [f"{r.op}: {told(r)}" for r in results if r.failed]
    assert sum(r.gradient_error is not None for r in results) > 200


def test_the_shipped_golden_has_every_op_and_is_small(shipped):
    runner.load_records()
    missing = sorted(set(runner.known()) - set(shipped.ops))
    assert not missing, "record it again: kcore golden record kcore/conformance/goldens/shipped"
    assert not shipped.left_out
    assert sum(p.stat().st_size for p in goldens.SHIPPED.iterdir()) < 5e6


def test_the_oracle_still_gives_what_the_shipped_golden_says(shipped):
    now = goldens.record()
    before = {e["id"]: e for e in shipped.entries}
    same = [e for e in now.entries if e == before.get(e["id"])]  # the others' records have changed since
    assert len(same) > 0.9 * len(shipped.entries), (
        "record it again: kcore golden record kcore/conformance/goldens/shipped"
    )
    for entry in same:
        for said in (*entry["outputs"], *entry.get("gradients", ())):
            got, want = now.arrays[said["array"]], shipped.arrays[said["array"]]
            if got.dtype.kind in "fc":  # another C library may round elsewhere
                np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9, err_msg=said["array"])
            else:
                np.testing.assert_array_equal(got, want, err_msg=said["array"])


def test_the_shipped_files_are_package_data():
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    assert '"kcore.conformance.goldens": ["shipped/*"]' in setup
    manifest = (ROOT / "MANIFEST.in").read_text(encoding="utf-8")
    patterns = re.search(r"recursive-include kcore/conformance (.+)", manifest)[1].split()
    for path in goldens.SHIPPED.iterdir():
        assert any(Path(path.name).match(p) for p in patterns), path.name


def test_checksums_are_in_the_form_of_sha256sum():
    if shutil.which("sha256sum") is None:
        pytest.skip("there is no sha256sum here")
    done = subprocess.run(["sha256sum", "--check", files.SUMS], cwd=goldens.SHIPPED, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


# -- recording --------------------------------------------------------------------------


def test_recording_twice_gives_the_same_bytes(small, tmp_path):
    goldens.write(tmp_path / "again", goldens.record(["relu", "matmul", "eig", "scan"]))
    for name in (files.MANIFEST, files.ARRAYS, files.SUMS):
        assert (tmp_path / "again" / name).read_bytes() == (small / name).read_bytes()


def test_results_are_the_formulas_in_float64_on_the_rounded_inputs(shipped):
    entry = next(e for e in shipped.entries if e["op"] == "softmax")
    x = shipped.arrays[entry["arguments"]["x"]["array"]]
    assert x.dtype == np.float32
    y = np.exp(x.astype("float64"))
    axis = entry["arguments"]["axis"]
    np.testing.assert_allclose(shipped.arrays[entry["outputs"][0]["array"]], y / y.sum(axis, keepdims=True), rtol=1e-14)


def test_gradients_are_those_of_the_weighted_sum(shipped):
    entry = next(e for e in shipped.entries if e["op"] == "tanh")
    x, c, g = (
        shipped.arrays[said["array"]].astype("float64")
        for said in (entry["arguments"]["x"], entry["cotangents"][0], entry["gradients"][0])
    )
    np.testing.assert_allclose(g, c * (1 - np.tanh(x) ** 2), rtol=1e-14)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_a_golden_can_be_of_another_dtype(dtype, tmp_path):
    torch = pytest.importorskip("torch")
    goldens.write(tmp_path / "g", goldens.record(["conv_transpose", "softmax", "matmul"], dtype))
    golden = goldens.read(tmp_path / "g")
    assert {e["dtype"] for e in golden.entries} == {dtype}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # there a gradient of torch's once came of memory that was never written
    try:
        results = [r for _ in range(5) for r in goldens.check(golden, ["reference", "torch"])]
    finally:
        torch.set_num_threads(threads)
    assert not [f"{r.op} on {r.backend}: {told(r)}" for r in results if r.failed]
    assert all(r.gradient_error is not None for r in results)


def test_an_unknown_op_or_dtype_is_refused():
    with pytest.raises(runner.UnknownName, match="no_such_op"):
        goldens.record(["no_such_op"])
    with pytest.raises(runner.UnknownName, match="float7"):
        goldens.record(["relu"], dtype="float7")


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(goldens.GoldenError, match=r"other files \(thesis.tex\)"):
        goldens.write(tmp_path, goldens.record(["relu"]))
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


# -- values -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        0.1,
        float("-inf"),
        2 - 3j,
        "same",
        (1, (2, [3.5])),
        {"a": (1,), "b": None},
        slice(None, -1, 2),
        Ellipsis,
        np.arange(6, dtype="uint8").reshape(2, 3),
        np.array(2.5, "float32"),
        np.array([1.5, -2.0], ml_dtypes.bfloat16),
        np.array([1.5, -2.0], ml_dtypes.float8_e4m3fn),
        np.zeros((0, 3), "complex64"),
    ],
)
def test_a_value_comes_back_from_json_as_it_was(value):
    writer = Writer()
    said = json.loads(json.dumps(writer.value(value, "v"), allow_nan=False))
    assert all(a.dtype.kind in "biufc" for a in writer.arrays.values())  # NumPy's own dtypes
    back = Reader(writer.arrays, lambda _, x: x).value(said)
    if isinstance(value, np.ndarray):
        assert (back.dtype, back.shape) == (value.dtype, value.shape)
        assert back.tobytes() == value.tobytes()
    else:
        assert (back, type(back)) == (value, type(value))


def test_nan_comes_back():
    assert np.isnan(Reader({}, None).value(json.loads(json.dumps(Writer().value(float("nan"), "v")))))


def test_a_value_that_json_has_no_form_for_is_refused():
    with pytest.raises(TypeError, match="a set can't be recorded"):
        Writer().value({1, 2}, "v")
    with pytest.raises(ValueError, match="stands for no value"):
        Reader({}, None).value({"code": "1 + 1"})


def reread(function):
    """The function after a journey through JSON."""
    writer = Writer()
    return Reader(writer.arrays, lambda _, x: x).value(json.loads(json.dumps(writer.value(function, "f"))))


def test_a_function_of_operators_comes_back_as_a_formula():
    x, y = np.array([1.5, -2.0]), np.array([3.0, 0.5])
    for function in (
        lambda a, b: (2 - a, abs(b) ** 2 / 3, -a @ b),
        lambda a, b: {"less": a < b, "row": [a[0], b[-1:]]},
        lambda a, b: 1.5,
    ):
        np.testing.assert_equal(reread(function)(x, y), function(x, y))


def test_a_function_inside_a_function_sees_the_outer_parameters():
    function = reread(lambda xs: (xs[0], lambda g: g * xs[0]))
    y, inner = function([3.0])
    assert (y, inner(2.0)) == (3.0, 6.0)


@pytest.mark.parametrize("function", [lambda x: x if x else 0, lambda x: np.sin(x), lambda x: list(x), lambda x: x.T])
def test_a_function_that_does_more_is_no_formula(function):
    with pytest.raises(functions.NotAFormula):
        Writer().value(function, "f")


def test_a_formula_names_its_operators_and_parameters():
    bad = {"function": {"parameters": ["x"], "result": {"apply": "__import__", "to": ["os"]}}}
    with pytest.raises(ValueError, match="applies '__import__'; expected one of add"):
        Reader({}, None).value(bad)(1)
    stray = {"function": {"parameters": ["x"], "result": {"parameter": "y"}}}
    with pytest.raises(ValueError, match="parameter 'y', which it does not have"):
        Reader({}, None).value(stray)(1)


# -- checking ---------------------------------------------------------------------------


def checked(folder, backend="reference", op="relu", **more):
    (result,) = goldens.check(folder, backend, [op], **more)
    return result


def test_a_wrong_value_is_found(small):
    with planted(RELU, "reference", "function", lambda right, x: (right(x) * 1.00001).astype(x.dtype)):
        result = checked(small)
    assert result.verdict == "FAIL"
    assert "golden: relu/0" in told(result)
    failure = result.failures[0]
    assert failure.error == pytest.approx(1e-5, rel=0.1)
    assert failure.rerun == f"kcore golden check {small} --backend reference --op relu"
    assert checked(small).verdict == "pass"


def test_a_wrong_gradient_is_found_where_the_value_is_right(small):
    with planted(MATMUL, "torch", "function", lambda right, a, b: right(a, b.detach())):
        result = checked(small, "torch", "matmul")
    assert {f.check for f in result.failures} == {"golden gradient"}


@pytest.mark.parametrize(
    ("bug", "says"),
    [
        (lambda right, x: right(x).double(), "dtype float64 instead of float32"),
        (lambda right, x: right(x)[None], "shape"),
        (lambda right, x: (right(x), right(x)), "2 results instead of 1"),
        (lambda right, x: right(x) * float("nan"), "nan is out of place"),
    ],
)
def test_what_is_wrong_is_said(small, bug, says):
    with planted(RELU, "torch", "function", bug):
        result = checked(small, "torch")
    assert result.verdict == "FAIL"
    assert says in told(result)


def test_an_op_that_raises_fails_and_one_that_is_unsupported_does_not(small, monkeypatch):
    def broken(right, x):
        raise RuntimeError("no kernel")

    with planted(RELU, "torch", "function", broken):
        assert "raised RuntimeError: no kernel" in told(checked(small, "torch"))
    torch = backends.load("torch")
    monkeypatch.delitem(torch.ops, "matmul")
    monkeypatch.setitem(torch.unsupported, "matmul", "nobody has written it yet")
    ops.matmul.op.plans.clear()
    result = checked(small, "torch", "matmul")
    assert (result.verdict, result.failed) == ("unsupported", False)
    ops.matmul.op.plans.clear()


def test_a_backend_may_differ_for_the_goldens_reason(copy):
    def reasoned(said):
        for entry in said["entries"]:
            if entry["op"] == "relu":
                entry["differs"] = {"reference": {"reason": "it scales a little", "tolerance": 1e-3}}

    rewritten(copy, reasoned)
    bug = lambda factor: planted(RELU, "reference", "function", lambda right, x: (right(x) * factor).astype(x.dtype))  # noqa: E731
    with bug(1.0001):
        result = checked(copy)
        assert (result.verdict, result.reason) == ("differs", "it scales a little")
    with bug(1.1):
        assert checked(copy).verdict == "FAIL"


def test_an_op_that_is_gone_and_an_argument_that_is_gone_fail(copy):
    def aged(said):
        for entry in said["entries"]:
            if entry["op"] == "relu":
                entry["op"] = "relu_of_old"
            if entry["op"] == "matmul":
                entry["arguments"]["transpose"] = True

    rewritten(copy, aged)
    assert "this kcore has no op relu_of_old" in told(checked(copy, op="relu_of_old"))
    assert "no argument 'transpose' any more" in told(checked(copy, op="matmul"))


def test_eigenvalues_may_come_in_any_order_but_must_be_right(small):
    golden = goldens.read(small)
    call = Recorded(next(e for e in golden.entries if e["op"] == "eig"), golden.arrays)
    values = call.wanted[0]
    unordered = goldens.checking._unordered
    assert unordered(values[..., ::-1], values).error == 0
    assert unordered(values[..., ::-1] * 1.01, values).error > 1e-3
    assert unordered(np.broadcast_to(values[..., :1], values.shape), values).problem.startswith("two results")


def test_earlier_results_are_taken_as_they_are(small):
    known = {("relu", "reference"): checked(small)}
    with planted(RELU, "reference", "function", lambda right, x: right(x) + 1):
        assert checked(small, done=known) is known["relu", "reference"]


# -- damage -----------------------------------------------------------------------------


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", [files.MANIFEST, files.ARRAYS, files.SUMS])
@pytest.mark.parametrize("spoil", [truncated, flipped, Path.unlink])
def test_damage_is_told_with_the_files_name(copy, name, spoil):
    spoil(copy / name)
    with pytest.raises(goldens.GoldenError) as caught:
        goldens.read(copy)
    said = str(caught.value)
    # A flipped bit of a checksum shows in the file that it is of.
    assert str(copy) in said
    assert name in said
    assert said.endswith(".")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda said: said.update(version=2), "is of format version 2; this kcore reads version 1, so a newer"),
        (lambda said: said.update(version=0), "is of format version 0, which is no longer read; record it again"),
        (lambda said: said.update(version="1"), "version '1' should be a whole number"),
        (lambda said: said.update(format="pickle"), 'does not say "format": "kcore-golden"'),
        (lambda said: said.pop("entries"), "should have a list of entries"),
        (lambda said: said["entries"].append({"id": "x"}), "entry .*: it should have an op or a model"),
        (lambda said: said["entries"][0].pop("id"), "entry 0: it has no id"),
        (lambda said: said["entries"][0]["outputs"][0].pop("tolerance"), "each output should have"),
    ],
)
def test_another_version_or_form_is_refused_in_words(copy, change, says):
    rewritten(copy, change)
    with pytest.raises(goldens.GoldenError, match=says) as caught:
        goldens.read(copy)
    assert str(copy / files.MANIFEST) in str(caught.value)


def test_an_array_that_is_missing_or_of_another_shape_is_told(copy):
    rewritten(copy, lambda said: said["entries"][0]["outputs"][0].update(array="gone"))
    first = json.loads((copy / files.MANIFEST).read_text())["entries"][0]
    name, output = first["op"], first["id"] + "/output0"
    with pytest.raises(goldens.GoldenError, match=r"golden\.json is wrong at .*: the array 'gone' is missing"):
        checked(copy, op=name)
    rewritten(copy, lambda said: said["entries"][0]["outputs"][0].update(array=output, shape=[7]))
    with pytest.raises(goldens.GoldenError, match=r"but should be \w+\(7,\)"):
        checked(copy, op=name)


def test_arrays_of_objects_are_not_unpickled(copy):
    np.savez(copy / files.ARRAYS, x=np.array([print], object))
    signed(copy)
    with pytest.raises(goldens.GoldenError, match="arrays.npz is damaged"):
        goldens.read(copy)


def test_checksums_reach_no_other_folder(copy):
    (copy / files.SUMS).write_text(f"{'0' * 64}  ../../etc/passwd\n")
    with pytest.raises(goldens.GoldenError, match="SHA256SUMS is damaged: it has the line"):
        goldens.read(copy)


def test_a_member_of_the_archive_that_is_damaged_is_told(copy):
    with zipfile.ZipFile(copy / files.ARRAYS, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY but no more")
    signed(copy)
    with pytest.raises(goldens.GoldenError, match="arrays.npz is damaged"):
        goldens.read(copy)


# -- models -----------------------------------------------------------------------------


def saved(path: Path) -> Path:
    a, b = layers.Input((6, 3), name="a"), layers.Input((4,), name="b")
    x = layers.Concatenate()([layers.LSTM(3)(a), b])
    x = layers.Dense(5, activation="gelu")(layers.LayerNormalization()(x))
    kcore.Model({"a": a, "b": b}, [layers.Dense(3, activation="softmax")(x), layers.Dense(1)(x)]).save(path)
    return path


@pytest.fixture(scope="module")
def of_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    rng = np.random.default_rng(0)
    np.savez(folder / "in.npz", b=rng.normal(size=(3, 4)), a=rng.normal(size=(3, 6, 3)).astype("float32"))
    model = saved(folder / "m.keras")
    assert (
        cli.main(["golden", "record", str(folder / "g"), "--model", str(model), "--inputs", str(folder / "in.npz")])
        == 0
    )
    return folder / "g"


@pytest.mark.parametrize("name", ["reference", "torch", "tensorflow", "jax"])
def test_a_model_is_checked_on_every_backend(of_model, name):
    if name not in backends.installed():
        pytest.skip(f"{name} is not installed")
    (result,) = goldens.check(of_model, name)
    assert result.verdict == "pass", told(result)
    assert result.op == "model.keras"
    assert result.cases == 2 + 2 + 11  # outputs, inputs, variables


def test_a_models_golden_is_in_float64(of_model):
    golden = goldens.read(of_model)
    (entry,) = golden.entries
    (probabilities, _) = (golden.arrays[o["array"]] for o in entry["outputs"])
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-15)
    assert (probabilities.astype("float32") != probabilities).any()
    assert all(o["given"] == "float32" and 2e-6 <= o["tolerance"] < 1e-4 for o in entry["outputs"])


def test_a_wrong_op_in_a_model_is_found(of_model):
    with planted(
        CASES["concatenate"], "reference", "function", lambda right, xs, *rest: right(xs, *rest) * np.float32(1.001)
    ):
        (result,) = goldens.check(of_model, "reference")
    assert result.verdict == "FAIL"


def test_inputs_that_do_not_suit_the_model_are_refused(tmp_path, capsys):
    model = str(saved(tmp_path / "m.keras"))
    np.savez(tmp_path / "in.npz", only=np.zeros((3, 4), "float32"))
    wrong = ["golden", "record", str(tmp_path / "g"), "--model", model, "--inputs", str(tmp_path / "in.npz")]
    assert cli.main(wrong) == 2
    assert "The model has 2 inputs (a, b), but 1 arrays are given (only)." in capsys.readouterr().err
    assert not (tmp_path / "g").exists()


# -- the command ------------------------------------------------------------------------


def test_the_command_records_and_checks(tmp_path, capsys):
    folder, found = tmp_path / "g", tmp_path / "found.json"
    assert cli.main(["golden", "record", str(folder), "--op", "relu,s*max", "--samples", "1"]) == 0
    assert re.search(r"g has \d calls of \d ops, 0\.0\d MB\.", capsys.readouterr().out)
    line = ["golden", "check", str(folder), "--backend", "reference,torch", "--json", str(found)]
    assert cli.main(line) == 0
    assert "reference on cpu" in capsys.readouterr().out
    assert {r["verdict"] for r in json.loads(found.read_text())["results"]} == {"pass"}
    with planted(RELU, "torch", "function", lambda right, x: right(x) * 1.01):
        assert cli.main(line) == 1
    assert f"kcore golden check {folder} --backend torch --op relu" in capsys.readouterr().out


def test_a_check_goes_on_where_it_was_interrupted_but_not_from_another_golden(small, tmp_path, monkeypatch, capsys):
    path, html = tmp_path / "run.json", tmp_path / "r.html"
    line = ["golden", "check", str(small), "--backend", "reference,torch", "--resume", str(path), "--html", str(html)]
    right, done = goldens.checking._Check.run, []

    def run(self, ready):
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append((self.result.op, self.result.backend))
        return right(self, ready)

    with monkeypatch.context() as patched:
        patched.setattr(goldens.checking._Check, "run", run)
        assert cli.main(line) == 130
    assert len(json.loads(path.read_text())["results"]) == 5
    assert html.exists()
    again = []
    monkeypatch.setattr(goldens.checking._Check, "run", lambda self, ready: again.append(1) or right(self, ready))
    assert cli.main(line) == 0
    assert len(again) == 3
    assert len(json.loads(path.read_text())["results"]) == 8
    capsys.readouterr()
    assert cli.main(["golden", "check", "--backend", "reference,torch", "--resume", str(path)]) == 2
    assert "is of a run with other golden" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["check", "{small}", "--backend", "abacus"], 2, "'abacus'"),
        (["check", "{small}", "--backend", "reference", "--op", "conv"], 2, "no op 'conv'"),
        (["check", "{small}", "--backend", "torch", "--device", "cuda:7"], 2, "has no device 'cuda:7' here"),
        (["check", "{small}"], 2, "--backend"),
        (["check", "{small}/none", "--backend", "reference"], 3, "none is no folder"),
        (["record", "{new}", "--op", "nosuchop"], 2, "nosuchop"),
        (["record", "{new}", "--inputs", "x.npz"], 2, "--inputs is for --model"),
        (["record", "{new}", "--model", "gone.keras"], 3, "--model gone.keras is missing"),
        (["record", "{new}", "--model", "gone.keras", "--inputs", "gone.npz"], 3, "--inputs gone.npz can't be read"),
        (["record", "{new}", "--model", "m.keras", "--samples", "3"], 2, "--samples is for ops"),
        (["record", "/dev/null/x", "--op", "relu"], 2, "can't be written"),
    ],
)
def test_a_wrong_argument_is_one_sentence(arguments, code, says, small, tmp_path, capsys):
    given = [a.format(small=small, new=tmp_path / "new") for a in arguments]
    assert cli.main(["golden", *given]) == code
    said = capsys.readouterr().err
    assert said.startswith("kcore: ")
    assert says in said
    assert said.rstrip().endswith(".")
    assert said.count("\n") == 1


# -- the page ---------------------------------------------------------------------------


def test_the_pages_checker_needs_no_kcore_and_tells_right_from_wrong():
    (code,) = re.findall(r"## Checking without kcore.*?```python\n(.*?)```", PAGE, re.DOTALL)
    assert not re.search(r"^\s*(import|from) kcore", code, re.MULTILINE)
    found: dict = {"FOLDER": goldens.SHIPPED}
    exec(code, found)
    assert found["wrong"] == []
    wrong = {**found["functions"], "softmax": lambda x, axis: found["softmax"](x, axis) * np.float32(1.00001)}
    assert {i.partition("/")[0] for i, _ in found["disagreements"](goldens.SHIPPED, wrong)} == {"softmax"}


def test_the_page_names_every_operator_and_option():
    for name in functions.OPERATORS:
        assert f"`{name}`" in PAGE
    for option in ("--samples", "--dtype", "--model", "--inputs", "--seed", "--batch", "--no-gradients"):
        assert option in PAGE
