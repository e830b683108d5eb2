"""Reports as JSON, JUnit XML and a page, runs that go on from a file, devices and exit codes."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from importlib import resources
from pathlib import Path
from xml.etree import ElementTree

import pytest

from kcore import backends, cli
from kcore.cli import errors
from kcore.conformance import checks, devices, html_report, junit, report, runner, terminal
from kcore.conformance.results import SPREAD, Failure, Result
from tests.conformance.planting import RELU, planted

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
SCHEMA = json.loads((resources.files("kcore.conformance") / "report.schema.json").read_text(encoding="utf-8"))
ABOUT = {
    **{"kcore": "0.1.0", "numpy": "2.4.6", "python": "3.11.7", "platform": "Linux", "variables": {}},
    "backends": {
        "reference": {"numpy": "2.4.6", "device": "cpu", "precision": {}},
        "torch": {"torch": "2.13.0", "device": "cuda:0", "precision": {"allow_tf32": "True"}},
    },
}


def result(op: str, backend: str, share: float | None = 0.3, **more) -> Result:
    made = Result(op, backend, cases=12, **more)
    if share is not None:
        made.note(share * 1e-6, 1e-6, "float32", 0.5)
    return made


WRONG = Failure(
    "value", "Sample(1)</script><b>", "float32", "off & <off>", (0, 1), 1.5, float("nan"), float("inf"), 1e-7, "kcore x"
)
RESULTS = [
    result("softmax", "reference", 0.0),
    result("softmax", "torch", 0.9),
    result("relu", "reference", 0.2),
    result("relu", "torch", math.inf, verdict="FAIL", failures=[WRONG, WRONG]),
    result("exp", "reference", 0.7),
    result("exp", "torch", 2.0, verdict="differs", reason="flushes subnormals"),
    result("eig", "reference", 0.05),
    result("eig", "torch", None, verdict="unsupported", reason="nobody has written it"),
]


def valid(said) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(said, allow_nan=False)))


# -- results and JSON -------------------------------------------------------------------


def test_errors_are_counted_by_their_part_of_the_tolerance():
    made = Result("relu", "torch")
    for part in (0.0, 1e-4, 0.1, 0.3, 1.0, 1.5, math.inf, math.nan):
        made.note(part, 1.0, "float32")
    made.note(0.6, 1.0, "float64", gradient=True)
    assert dict(zip([*SPREAD, "beyond"], made.spread, strict=True)) == {
        **{0.0: 1, 1e-3: 1, 1e-2: 0, 0.1: 1, 0.25: 0, 0.5: 1, 1.0: 2, "beyond": 3}
    }
    assert (made.error, made.gradient_error) == (math.inf, 0.6)


def test_a_run_counts_every_case_it_measures():
    (made,) = runner.run(["reference"], ["relu"])
    assert made.spread[-1] == 0
    assert 0.5 * made.cases < sum(made.spread) <= 2 * made.cases


def test_the_json_is_that_of_the_schema(tmp_path):
    valid(report.to_json(RESULTS, 1.5, ABOUT, {"command": "conform", "full": False, "ops": None}))
    valid(report.to_json([], 0.0))
    for line, name in (
        (["conform", "--backend", "reference", "--op", "relu"], "a.json"),
        (["golden", "check", "--backend", "reference", "--op", "relu"], "b.json"),
    ):
        assert cli.main([*line, "--json", str(tmp_path / name)]) == 0
        valid(json.loads((tmp_path / name).read_text()))


def test_the_schema_refuses_what_is_not_a_report():
    jsonschema = pytest.importorskip("jsonschema")
    said = report.to_json(RESULTS, 1.5, ABOUT)
    for change in ({"version": 2}, {"seconds": "long"}, {"unheard_of": 1}, {"results": [{}]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(said | change, SCHEMA)


def test_a_report_is_read_back_as_it_was_written(tmp_path):
    report.write_json(tmp_path / "r.json", RESULTS, 1.5, ABOUT, {"full": True}, complete=False)
    said = report.read_json(tmp_path / "r.json")
    assert (said["complete"], said["options"], said["seconds"]) == (False, {"full": True}, 1.5)
    for got, want in zip(said["results"], RESULTS, strict=True):
        assert {**vars(got), "failures": len(got.failures)} == {**vars(want), "failures": len(want.failures)}
    failure = said["results"][3].failures[0]
    assert (failure.where, failure.error, failure.want) == ((0, 1), math.inf, "nan")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is damaged"),
        ('{"format": "kcore-conformance", "ver', "is damaged"),
        ("[]", "is no report of kcore"),
        ('{"format": "kcore-conformance", "version": 2, "results": []}', "is a report of version 2"),
        ('{"format": "kcore-conformance", "version": 1, "results": [{"op": "relu"}]}', "its results can't be read"),
    ],
)
def test_a_file_that_is_no_report_is_refused_by_name(tmp_path, text, says):
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(report.ReportError, match=says) as caught:
        report.read_json(path)
    assert str(path) in str(caught.value)


def test_the_header_names_devices_and_what_lowers_the_precision():
    lines = report.header_lines({**ABOUT, "variables": {"NVIDIA_TF32_OVERRIDE": "1"}})
    assert lines == [
        "reference on cpu (numpy 2.4.6)",
        "torch on cuda:0 (torch 2.13.0)",
        "    allow_tf32 = True",
        "NVIDIA_TF32_OVERRIDE=1",
    ]


# -- JUnit ------------------------------------------------------------------------------


def test_junit_has_a_suite_for_each_backend_and_a_case_for_each_op(tmp_path):
    junit.write(tmp_path / "r.xml", RESULTS, ABOUT)
    root = ElementTree.parse(tmp_path / "r.xml").getroot()
    assert root.tag == "testsuites"
    assert {s.get("name"): (s.get("tests"), s.get("failures"), s.get("skipped")) for s in root} == {
        "reference": ("4", "0", "0"),
        "torch": ("4", "1", "1"),
    }
    cases = {c.get("name"): c for c in root.find("testsuite[@name='torch']").iter("testcase")}
    assert "relu on torch: value: off & <off>" in cases["relu"].find("failure").get("message")
    assert "kcore x" in cases["relu"].find("failure").text
    assert cases["eig"].find("skipped").get("message") == "nobody has written it"
    assert "flushes subnormals" in cases["exp"].find("system-out").text
    assert len(cases["softmax"]) == 0
    assert root.find(".//property[@name='allow_tf32']").get("value") == "True"


def test_junit_leaves_out_what_xml_cannot_hold(tmp_path):
    bad = Result("relu", "torch", "FAIL", failures=[Failure("value", "", None, "got \x00 and \x1b[31m")])
    junit.write(tmp_path / "r.xml", [bad], ABOUT)
    assert "got ? and ?[31m" in ElementTree.parse(tmp_path / "r.xml").getroot().find(".//failure").get("message")


# -- the page ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    found = report.to_json(RESULTS, 1.5, ABOUT, {"command": "conform", "full": False, "device": "cuda:0"})
    html_report.write(path, found)
    return path


def test_the_page_needs_nothing_else(page):
    text = page.read_text(encoding="utf-8")
    without_data = re.sub(r'<script id="data".*?</script>', "", text, flags=re.DOTALL)
    addresses = set(re.findall(r"https?://[^\s\"']+", without_data))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, which nothing fetches
    assert not re.search(r"<link|@import|\burl\(|\bsrc=|\bfetch\(|XMLHttpRequest", without_data)
    assert "/*STYLE*/" not in text
    assert "/*SCRIPT*/" not in text
    assert "/*DATA*/" not in text


def test_data_cannot_end_the_pages_script(page):
    text = page.read_text(encoding="utf-8")
    (data,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)
    assert json.loads(data)["results"][3]["failures"][0]["sample"] == WRONG.sample


def test_the_parts_of_the_page_are_package_data():
    assert '"kcore.conformance": ["*.schema.json", "page/*"]' in (ROOT / "setup.py").read_text(encoding="utf-8")
    manifest = (ROOT / "MANIFEST.in").read_text(encoding="utf-8")
    patterns = re.search(r"recursive-include kcore/conformance (.+)", manifest)[1].split()
    for part in (resources.files("kcore.conformance") / "page").iterdir():
        assert any(Path(part.name).match(p) for p in patterns), part.name


CHROME = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
DRIVER = shutil.which("chromedriver")


@pytest.fixture(scope="module")
def browser():
    """A headless browser that a person's keys and clicks are sent to."""
    if CHROME is None or DRIVER is None:
        pytest.skip("no chromium with its chromedriver is installed")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROME
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1400,900"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


class Shown:
    """The page in the browser, as its reader sees it."""

    def __init__(self, browser, page: Path, hash_: str = "") -> None:
        self.browser = browser
        browser.get("about:blank")  # a change of the hash alone does not load a page again
        browser.get(page.as_uri() + hash_)
        browser.execute_script("localStorage.clear()")

    def all(self, selector: str) -> list:
        return self.browser.find_elements("css selector", selector)

    def one(self, selector: str):
        (found,) = self.all(selector)
        return found

    def ops(self) -> list[str]:
        return [e.text for e in self.all("#grid tbody th")]

    def cell(self, op: str, backend: str):
        return self.one(f'.cell[data-op="{op}"][data-backend="{backend}"]')

    def keys(self, *keys: str) -> None:
        self.browser.switch_to.active_element.send_keys(*keys)

    def focused(self) -> tuple[str, str]:
        element = self.browser.switch_to.active_element
        return element.get_attribute("data-op"), element.get_attribute("data-backend")

    def choose(self, value: str) -> None:
        self.one(f'#sort option[value="{value}"]').click()

    def background(self, element) -> str:
        return element.value_of_css_property("background-color")

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.browser.get_log("browser")]


@pytest.fixture
def shown(browser, page):
    made = Shown(browser, page)
    yield made
    assert made.complaints() == []


def test_the_page_shows_ops_by_backends_coloured_by_their_errors(shown):
    assert shown.ops() == ["softmax", "relu", "exp", "eig"]
    assert [e.text for e in shown.all("#grid thead th")] == ["op", "reference", "torch"]
    assert shown.one("#outcome").text == "Fails: 1 FAIL, 1 differs, 1 unsupported, 5 pass"
    assert shown.browser.title.startswith("✗")
    classes = {(c.get_attribute("data-op"), c.get_attribute("data-backend")): c for c in shown.all(".cell")}
    kinds = {key: c.get_attribute("class").split()[1] for key, c in classes.items()}
    assert kinds["softmax", "reference"] == "s0"
    assert kinds["eig", "reference"] == "s1"
    assert kinds["relu", "reference"] == "s2"
    assert kinds["softmax", "torch"] == "s3"
    assert (kinds["relu", "torch"], kinds["exp", "torch"], kinds["eig", "torch"]) == ("fail", "differs", "none")
    colours = Counter(shown.background(c) for c in classes.values())
    assert len(colours) == 7  # softmax and exp share one
    assert classes["relu", "torch"].text == "✗ wrong"  # told without colour too
    assert classes["softmax", "torch"].text == "✓ 90%"


def test_a_click_shows_the_case_and_how_to_run_it_again(shown):
    shown.cell("relu", "torch").click()
    detail = shown.one("#detail").text
    for part in ("relu on torch", "2 failures", "off & <off>", "(0, 1)", "1.5", "nan", "kcore x", "cuda:0"):
        assert part in detail
    assert "conformance.run" in detail
    bars = shown.one("#detail svg").get_attribute("aria-label")
    assert bars.endswith("≤ 1: 0, > 1: 1")
    shown.cell("exp", "reference").click()
    detail = shown.one("#detail").text
    assert "kcore conform --backend reference --op exp --device cuda:0" in detail
    assert "7.0e-7 of 1.0e-6 allowed (float32)" in detail
    shown.one("#close").click()
    assert not shown.one("#detail").is_displayed()


def test_the_page_is_operated_with_the_keyboard_alone(shown):
    from selenium.webdriver.common.keys import Keys

    shown.one("#count")
    shown.keys("/")
    assert shown.browser.switch_to.active_element.get_attribute("id") == "search"
    for _ in range(20):
        shown.keys(Keys.TAB)
        if shown.focused()[0]:
            break
    assert shown.focused() == ("softmax", "reference")  # the grid is one stop of the tab key
    shown.keys(Keys.ARROW_DOWN)
    shown.keys(Keys.ARROW_RIGHT)
    assert shown.focused() == ("relu", "torch")
    shown.keys(Keys.ENTER)
    assert "relu on torch" in shown.one("#detail").text
    assert shown.browser.switch_to.active_element.get_attribute("id") == "detail"
    shown.keys(Keys.ESCAPE)
    assert not shown.one("#detail").is_displayed()
    assert shown.focused() == ("relu", "torch")
    shown.keys(Keys.PAGE_DOWN)
    shown.keys(Keys.HOME)
    assert shown.focused() == ("eig", "reference")


def test_the_grid_is_filtered_and_sorted(shown):
    search = shown.one("#search")
    search.send_keys("soft")
    assert shown.ops() == ["softmax"]
    search.clear()
    search.send_keys("e*")
    assert shown.ops() == ["exp", "eig"]
    assert shown.one("#count").text == "2 of 4 ops"
    assert "> 1: 1" in shown.one("#overall svg").get_attribute("aria-label")  # exp's on torch, no longer relu's
    search.send_keys("?*nothing")
    assert shown.one("#nothing").is_displayed()
    shown.one("#reset").click()
    assert len(shown.ops()) == 4
    shown.choose("name")
    assert shown.ops() == ["eig", "exp", "relu", "softmax"]
    shown.choose("error")
    assert shown.ops() == ["relu", "exp", "softmax", "eig"]
    shown.one('button[data-sort="backend:reference"]').click()
    assert shown.ops() == ["exp", "relu", "eig", "softmax"]
    assert shown.one('th[aria-sort="descending"]').text == "reference"
    for value in ("pass", "differs"):
        shown.one(f'#verdicts input[value="{value}"]').click()
    assert set(shown.ops()) == {"relu", "eig"}


def test_the_pages_address_keeps_what_is_shown(browser, page):
    shown = Shown(browser, page)
    shown.one("#search").send_keys("ex")
    shown.cell("exp", "torch").click()
    address = browser.current_url
    assert "search=ex" in address
    again = Shown(browser, page, "#" + address.partition("#")[2])
    assert again.ops() == ["exp"]
    assert "flushes subnormals" in again.one("#detail").text
    assert again.complaints() == []


def test_colours_follow_the_system_and_the_button(shown, browser):
    def lightness() -> int:
        return sum(map(int, re.findall(r"\d+", shown.background(shown.one("body")))[:3]))

    def system(scheme: str) -> None:
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        )

    system("dark")
    assert lightness() < 150
    system("light")
    assert lightness() > 700
    shown.one("#theme").click()
    assert shown.one("#theme").text == "Colours: dark"
    assert lightness() < 150
    shown.one("#theme").click()
    system("dark")
    assert shown.one("#theme").text == "Colours: light"
    assert lightness() > 700
    system("")


# -- runs that go on --------------------------------------------------------------------

OPS = ["relu", "exp", "sum"]
LINE = ["conform", "--backend", "reference", "--op", ",".join(OPS)]


def interrupting(monkeypatch, after: int) -> list[str]:
    """Ctrl-C comes after so many ops; the list gets the names of those that are checked."""
    checked: list[str] = []
    right = checks.Check.run

    def run(self):
        if len(checked) == after:
            raise KeyboardInterrupt
        checked.append(self.case.name)
        return right(self)

    monkeypatch.setattr(runner.Check, "run", run)
    return checked


def test_a_run_goes_on_where_it_was_interrupted(tmp_path, monkeypatch, capsys):
    path = tmp_path / "run.json"
    line = [*LINE, "--resume", str(path), "--html", str(tmp_path / "r.html"), "--junit", str(tmp_path / "r.xml")]
    with monkeypatch.context() as patched:
        first = interrupting(patched, after=2)
        assert cli.main(line) == 130
    out = capsys.readouterr().out
    assert "2 ops on reference: 2 pass" in out
    assert f"Run it again with --resume {path}" in out
    said = json.loads(path.read_text())
    assert said["complete"] is False
    assert [r["op"] for r in said["results"]] == first
    assert "(interrupted)" in (tmp_path / "r.html").read_text()
    valid(said)
    with monkeypatch.context() as patched:
        second = interrupting(patched, after=99)
        assert cli.main(line) == 0
    assert sorted(first + second) == sorted(OPS)
    assert "3 ops on reference: 3 pass" in capsys.readouterr().out
    said = json.loads(path.read_text())
    assert said["complete"] is True
    assert len(said["results"]) == 3
    assert len(ElementTree.parse(tmp_path / "r.xml").findall(".//testcase")) == 3


def test_what_was_done_before_is_kept_when_the_second_run_is_interrupted_too(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    report.write_json(
        path,
        [Result("sum", "reference", cases=7)],
        5.0,
        report.environment(["reference"]),
        {
            **{"command": "conform", "backends": ["reference"], "ops": OPS},
            **{"dtypes": None, "full": False, "device": None},
        },
    )
    interrupting(monkeypatch, after=1)
    assert cli.main([*LINE, "--resume", str(path)]) == 130
    said = report.read_json(path)
    assert {r.op for r in said["results"]} > {"sum"}
    assert len(said["results"]) == 2
    assert next(r for r in said["results"] if r.op == "sum").cases == 7
    assert said["seconds"] > 5


def test_a_run_that_is_killed_has_saved_what_it_had_done(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    monkeypatch.setattr(terminal, "SAVE_EVERY", 0.0)
    seen = []
    right = checks.Check.run

    def run(self):
        seen.append(report.read_json(path) if path.exists() else None)
        return right(self)

    monkeypatch.setattr(runner.Check, "run", run)
    assert cli.main([*LINE, "--resume", str(path)]) == 0
    assert seen[0] is None
    assert [len(s["results"]) for s in seen[1:]] == [1, 2]
    assert not any(s["complete"] for s in seen[1:])


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (["--full"], "is of a run with other full (False there, True now); remove the file to begin anew"),
        (["--dtype", "float32"], "other dtypes (None there, ['float32'] now)"),
        (["--device", "cpu"], "other device"),
    ],
)
def test_a_run_does_not_go_on_from_another(tmp_path, capsys, other, says):
    path = str(tmp_path / "run.json")
    line = ["conform", "--backend", "reference", "--op", "relu", "--resume", path]
    assert cli.main(line) == 0
    assert cli.main([*line, *other]) == 2
    assert says in capsys.readouterr().err


def test_a_run_does_not_go_on_from_a_damaged_file(tmp_path, capsys):
    path = tmp_path / "run.json"
    path.write_text('{"format": ')
    assert cli.main([*LINE, "--resume", str(path)]) == 3
    assert f"{path} is damaged" in capsys.readouterr().err
    assert path.read_text() == '{"format": '


def test_ctrl_c_ends_a_real_run_with_130_and_its_file(tmp_path):
    path = tmp_path / "run.json"
    # A job in the background is started deaf to Ctrl-C, and so are its tests.
    heard = (
        "import signal, sys; from kcore.cli import main; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(main(sys.argv[1:]))"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", heard, "conform", "--full", "--backend", "reference", "--resume", str(path)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for _ in range(600):
            if path.exists() or run.poll() is not None:
                break
            time.sleep(0.1)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=60)
    finally:
        run.kill()
    assert run.returncode == 130, err
    assert "Interrupted; this is what was done by then." in out
    said = report.read_json(path)
    assert said["complete"] is False
    assert said["results"]


def test_a_run_without_a_terminal_tells_how_far_it_is(monkeypatch, capsys):
    assert cli.main(LINE) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(terminal, "TELL_EVERY", 0.0)
    assert cli.main(LINE) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(";")[0] for line in lines] == [f"{n} of 3, 0 failed" for n in (1, 2, 3)]


# -- devices ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["reference", "torch", "jax", "tensorflow"])
def test_the_cpu_is_a_device_of_every_backend(name):
    if name not in backends.installed():
        pytest.skip(f"{name} is not installed")
    backend = backends.load(name)
    there = backend.devices()
    assert there[0] == "cpu"
    assert backend.device() in there
    with devices.on(backend, "cpu"):
        assert backend.device() == "cpu"
    assert all(isinstance(v, str) for v in backend.precision().values())
    (made,) = runner.run([name], ["relu"], ["float32"], device="cpu")
    assert made.verdict == "pass"


def test_every_device_that_is_here_is_used():
    for name in backends.installed():
        backend = backends.load(name)
        for device in backend.devices():
            with devices.on(backend, device):
                assert backend.device() == device


@pytest.mark.parametrize("name", ["reference", "torch", "jax", "tensorflow"])
def test_a_device_that_is_absent_is_refused_with_those_that_are_here(name, capsys):
    if name not in backends.installed():
        pytest.skip(f"{name} is not installed")
    assert cli.main(["conform", "--backend", name, "--op", "relu", "--device", "cuda:77"]) == 2
    said = capsys.readouterr().err
    assert f"The {name} backend has no device 'cuda:77' here; expected one of cpu" in said


def test_a_device_that_no_backend_has_is_refused(capsys):
    assert cli.main(["conform", "--op", "relu", "--device", "abacus:0"]) == 2
    assert "No backend has a device 'abacus:0' here: reference has cpu" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "name"), [("cpu", "cpu"), ("cpu:0", "cpu"), ("CUDA", "cuda:0"), ("gpu:1", "cuda:1"), ("tpu:3", "tpu:3")]
)
def test_a_device_has_one_name(given, name):
    assert devices.normal(given) == name


def test_tolerances_are_wider_on_accelerators_by_the_factors_alone(monkeypatch):
    torch = backends.load("torch")
    assert devices.factors(torch, "cpu") == {}
    assert devices.factors(torch, "cuda:1") is devices.FACTORS["cuda"]
    # Off by three tolerances: too much on a CPU, and not for a device with a factor of 4.
    allowed = runner.run(["torch"], ["relu"], ["float32"])[0].tolerance
    with planted(RELU, "torch", "function", lambda right, x: right(x) * (1 + 3 * allowed)):
        assert runner.run(["torch"], ["relu"], ["float32"])[0].verdict == "FAIL"
        monkeypatch.setitem(devices.FACTORS, "cpu", {"float32": 4.0})
        made = runner.run(["torch"], ["relu"], ["float32"])[0]
    assert (made.verdict, made.tolerance) == ("pass", 4 * allowed)


def test_the_table_of_factors_is_documented():
    for kind, by_dtype in devices.FACTORS.items():
        assert f"`{kind}`" in PAGE
        for factor in by_dtype.values():
            assert re.search(rf"\| `{kind}`.*\b{factor:g}\b", PAGE), kind


# -- exit codes and help ----------------------------------------------------------------

CODES = [int(n) for n in re.findall(r"^  (\d+) ", errors.EXIT_CODES, re.MULTILINE)]


def helped(*line: str, capsys) -> str:
    with pytest.raises(SystemExit) as left:
        cli.main([*line, "--help"])
    assert left.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("line", [[], ["conform"], ["golden"], ["golden", "check"]])
def test_help_names_every_exit_code(line, capsys):
    assert CODES == [0, 1, 2, 3, 4, 130]
    assert errors.EXIT_CODES in helped(*line, capsys=capsys)


def test_the_page_names_every_exit_code_and_option(capsys):
    for code in CODES:
        assert re.search(rf"^\| {code} \|", PAGE, re.MULTILINE), code
    for option in re.findall(r"^  (--\w+)", helped("conform", capsys=capsys), re.MULTILINE):
        assert f"`{option}" in PAGE, option


def test_every_option_of_every_command_says_what_it_is_for(capsys):
    for line in ([name] for name in cli.COMMANDS):
        lines = [*helped(*line, capsys=capsys).splitlines(), ""]
        options = [i for i, text in enumerate(lines) if text.startswith("  -")]
        assert options
        silent = [
            lines[i] for i in options if not re.search(r"\S {2,}\S", lines[i]) and not lines[i + 1].startswith(" " * 20)
        ]
        assert not silent


def test_a_bug_in_kcore_is_told_from_a_disagreement(monkeypatch, capsys):
    def broken(*_):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(terminal, "command", broken)
    assert cli.main(["conform"]) == 4
    said = capsys.readouterr().err
    assert "ZeroDivisionError: a bug" in said
    assert said.endswith("kcore: this is a bug in kcore; please report it with what `kcore info` prints.\n")
