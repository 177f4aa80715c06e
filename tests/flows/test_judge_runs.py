from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest

from flows.commands.init import config_text, settings_schema
from flows.commands.judge_runs import Said, judge_runs
from flows.commands.verdict import schema_text
from flows.outlets import Outlets
from tasks.errors import UsageError
from tests.conftest import REPOSITORY
from tests.flows.application import VERDICT_SCHEMA as SCHEMA
from tests.tasks.referee.rows import scores, write_csv, write_lines

BITS = [n % 3 != 0 for n in range(240)]
HOSTILE = '::error::owned\r\n::warning::too \x1b[31m 100% <b>"&\x00\ufffe'


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


def said(*runs: Path, **options: object) -> Said:
    return Said(runs=tuple(map(str, runs)), **options)


def valid(text: str) -> dict[str, Any]:
    verdict = json.loads(text)
    jsonschema.validate(verdict, json.loads(SCHEMA.read_text()))
    return verdict


def test_the_shipped_schema_is_that_of_the_code():
    assert SCHEMA.read_text() == schema_text(), (
        "python -m flows.commands.verdict > tasks/model/schemas/verdict-1.json"
    )
    jsonschema.Draft202012Validator.check_schema(json.loads(schema_text()))


def test_a_verdict_needs_two_files_and_nothing_else(tmp_path: Path, capsys):
    old, new = scores(tmp_path / "a.csv", BITS), scores(tmp_path / "b.csv", BITS)
    assert judge_runs(said(old, new, as_json=True), Outlets()) == 0
    told = valid(capsys.readouterr().out)
    assert (told["verdict"], told["may_ship"]) == ("no_worse", True)
    assert told["schema"] == "flywheel/verdict/1"
    assert (told["champion"], told["challengers"][0]["release"]) == ("a", "b")
    assert not (tmp_path / ".flywheel").exists()
    worse = scores(tmp_path / "c.csv", [False] * 240)
    assert judge_runs(said(old, worse), Outlets()) == 1
    printed = capsys.readouterr().out
    assert "WORSE: the challenger must not ship" in printed
    assert "flywheel report" not in printed


def test_the_schema_refuses_what_is_no_verdict(tmp_path: Path, capsys):
    old, new = scores(tmp_path / "a.csv", BITS), scores(tmp_path / "b.csv", BITS[1:])
    judge_runs(said(old, new, as_json=True), Outlets())
    told = valid(capsys.readouterr().out)
    for key, value in (("verdict", "fine"), ("schema", "flywheel/verdict/2"), ("suites", {})):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**told, key: value}, json.loads(SCHEMA.read_text()))
    del told["slices"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(told, json.loads(SCHEMA.read_text()))


def test_several_challengers_and_all_that_may_be_in_a_verdict_follow_the_schema(
    tmp_path: Path, capsys
):
    def write(name: str, shift: int) -> Path:
        rows = [(f"q{n}", int(n % shift != 0), "s", "" if n else "yes", "en") for n in range(90)]
        heading = ("id", "score", "suite", "must_pass", "slice.lang")
        return write_csv(tmp_path / name, heading, rows)

    runs = [write("a.csv", 3), write("b.csv", 4), write("c.csv", 2)]
    assert judge_runs(said(*runs, as_json=True), Outlets()) == 1
    told = valid(capsys.readouterr().out)
    assert len(told["challengers"]) == 2
    assert told["ranking"]


def test_junit_and_markdown_hold_the_verdict_whatever_the_names(tmp_path: Path, capsys):
    def write(name: str, right: bool) -> Path:
        records = [
            {"id": n, "score": int(right or n % 2), "suite": HOSTILE, "must_pass": n == 0,
             "output": HOSTILE, "input": HOSTILE, "slices": {"lang": HOSTILE}}
            for n in range(200)
        ]  # fmt: skip
        return write_lines(tmp_path / name, records)

    outlets = Outlets(junit="verdict.xml", markdown="verdict.md", github=True)
    page = tmp_path / "report.html"
    asked = said(write("a.jsonl", True), write("b.jsonl", False), html=str(page))
    assert judge_runs(asked, outlets) == 1
    root = ElementTree.parse(tmp_path / "verdict.xml").getroot()
    suites = {suite.get("name"): suite for suite in root}
    assert len(suites) == 2
    cases = list(root.iter("testcase"))
    failed = [case for case in cases if case.find("failure") is not None]
    assert int(root.get("tests")) == len(cases)
    assert int(root.get("failures")) == len(failed) == 4  # suite, slice, sample, verdict
    assert {case.find("failure").get("type") for case in failed} == {"worse", "must_pass"}
    assert all(
        int(suite.get("tests")) == len(suite.findall("testcase")) for suite in suites.values()
    )
    assert "WORSE" in (tmp_path / "verdict.md").read_text()
    assert "\x1b" not in (tmp_path / "verdict.md").read_text()
    html = page.read_text()
    assert "&lt;b&gt;&#34;" in html
    assert "<b>" not in html
    assert "judge-runs" in html
    assert "flywheel run" not in html
    lines = capsys.readouterr().out.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("::stop-commands::"))
    token = lines[start].rpartition("::")[2]
    end = lines.index(f"::{token}::")
    commands = [line for n, line in enumerate(lines) if "::" in line and not start <= n <= end]
    # every command is one of ours, and nothing of a name begins a line
    assert commands
    assert all(re.match(r"::(error|warning|notice) title=[^:]*::", line) for line in commands)
    assert all("100%25" in line for line in commands if "100" in line)
    assert any("owned%0A" in line for line in commands)


def test_a_passing_verdict_has_no_failed_case(tmp_path: Path, capsys):
    old, new = scores(tmp_path / "a.csv", BITS), scores(tmp_path / "b.csv", BITS)
    asked = said(old, new, role="guard")
    assert judge_runs(asked, Outlets(junit="v.xml")) == 0
    root = ElementTree.parse("v.xml").getroot()
    assert root.get("failures") == "0"
    report = said(old, scores(tmp_path / "c.csv", [False] * 240), role="report")
    assert judge_runs(report, Outlets(junit="v.xml")) == 1  # no suite gates: it cannot tell
    root = ElementTree.parse("v.xml").getroot()
    assert root.find("testsuite/testcase/skipped") is not None
    assert root.get("failures") == "1"


@pytest.mark.needs("junitparser")
def test_a_parser_of_junit_reads_it(tmp_path: Path):
    from junitparser import JUnitXml

    old, new = scores(tmp_path / "a.csv", BITS), scores(tmp_path / "b.csv", [False] * 240)
    judge_runs(said(old, new), Outlets(junit="v.xml"))
    parsed = JUnitXml.fromfile("v.xml")
    assert (parsed.tests, parsed.failures) == (2, 2)
    assert [suite.name for suite in parsed] == ["suite results", "verdict"]


def test_the_summary_of_a_step_is_added_to_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    old, new = scores(tmp_path / "a.csv", BITS), scores(tmp_path / "b.csv", BITS)
    assert judge_runs(said(old, new, as_json=True), Outlets(github=True)) == 0
    text = summary.read_text()
    assert text.startswith("before\n## NO WORSE")
    told = capsys.readouterr()
    valid(told.out)  # standard output belongs to the object
    assert "::notice title=NO WORSE%3A the challenger may ship::" in told.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"margin": 5.0}, "--margin is a share"),
        ({"alpha": 0.7}, "--alpha is a share"),
        ({"role": "primry"}, "did you mean 'primary'"),
        ({"scorers": ("exact_mach",)}, "did you mean 'exact_match'"),
        ({"scorers": ("{name=",)}, "no table of TOML"),
        ({"scorers": ("exact_match",)}, "no targets"),
        ({"scorers": ("code_execution",)}, "write allow_code_execution = true"),
        ({"target": "x"}, "targets are for scorers"),
        ({"html": "none/x.html"}, "--html wants a file"),
        ({"as_csv": True, "as_json": True}, "only one way"),
    ],
)
def test_what_is_said_wrongly_is_one_line(options, told, tmp_path: Path):
    runs = [scores(tmp_path / f"{name}.csv", BITS) for name in "ab"]
    with pytest.raises(UsageError, match=re.escape(told)):
        judge_runs(said(*runs, **options), Outlets())


def test_one_run_is_no_comparison_and_a_file_is_refused_before_anything_is_read(tmp_path: Path):
    with pytest.raises(UsageError, match="needs two runs"):
        judge_runs(said(tmp_path / "a.csv"), Outlets())
    with pytest.raises(UsageError, match="--junit wants a file"):
        judge_runs(said(tmp_path / "a.csv", tmp_path / "b.csv"), Outlets(junit="none/v.xml"))


def test_all_samples_as_a_spreadsheet_with_unequal_repeats(tmp_path: Path, capfd):
    old = write_csv(tmp_path / "a.csv", ("id", "score"), [("q", 1), ("q", 0), ("r", 1), ("r", 1)])
    new = write_csv(tmp_path / "b.csv", ("id", "score"), [("q", 1), ("r", 0)])
    judge_runs(said(old, new, as_csv=True), Outlets())
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == 5


def test_the_schema_of_the_settings_accepts_the_sample_and_refuses_a_typo():
    schema = settings_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    sample = tomllib.loads((REPOSITORY / "data" / "flywheel.toml").read_text())
    jsonschema.validate(sample, schema)
    jsonschema.validate(tomllib.loads(config_text()), schema)
    for typo in (
        {"gaet": {}}, {"gate": {"margni": 0.1}}, {"gate": {"margin": 2}}, {"base": "."},
        {"releases": {"a": {}}}, {"suites": {"s": {"role": "boss"}}},
    ):  # fmt: skip
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**sample, **typo}, schema)


@pytest.mark.realdata
def test_a_real_champion_against_a_real_challenger(shared: Path, capsys):
    """Outputs of two models, and of one that lost an instruction; nothing is generated."""
    folder = shared / "datasets"
    files = [
        folder / f"alpaca_eval_outputs_{name}.jsonl.gz"
        for name in ("vicuna-7b", "gpt35_turbo_instruct")
    ]
    scorers = ("refusal", '{ name = "length", at_most = 300 }')
    judge_runs(said(*files, scorers=scorers, target="answer", as_json=True), Outlets())
    told = valid(capsys.readouterr().out)
    assert [suite["suite"] for suite in told["suites"]] == [
        "alpaca_eval/refusal", "alpaca_eval/length(at_most=300)",
    ]  # fmt: skip
    assert [suite["num_samples"] for suite in told["suites"]] == [805, 805]
    assert [suite["num_failed_challenger"] for suite in told["suites"]] == [1, 1]
    assert told["warnings"][0].endswith("(1 not in its file): they count 0 against it.")
