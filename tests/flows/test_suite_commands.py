"""`flywheel suite` as it is typed: options arrive, and each command is documented."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from flows.cli import app
from flows.cli.suites import app as suite
from flows.commands.check import problems_of
from tasks.errors import UsageError
from tasks.settings import read_settings
from tests.conftest import REPOSITORY

COMMANDS = sorted(get_command(suite).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_place_in_the_page(command: str):
    assert f"flywheel suite {command}" in (REPOSITORY / "docs" / "suites.md").read_text()
    assert f"`{command}" in (REPOSITORY / "docs" / "commands.md").read_text()


def test_from_a_table_to_a_suite_that_check_accepts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flywheel.toml").write_text("")
    (tmp_path / "t.csv").write_text("ask,right,topic\nSky?,blue,a\nSea?,salt,b\nSun?,,a\n")
    runner = CliRunner()

    def call(*arguments: str) -> str:
        answer = runner.invoke(app, ["suite", *arguments], catch_exceptions=False)
        assert answer.exit_code == 0
        return answer.output

    options = ("--input", "ask", "--target", "right", "--slice", "topic", "--scorer", "includes")
    told = json.loads(call("import", "t.csv", "--out", "suites/new.jsonl", *options, "--json"))
    (file,) = told["files"]
    assert (file["num_lines"], file["num_without_target"]) == (3, 1)
    with pytest.raises(UsageError, match="written as JSON lines"):
        call("import", "t.csv", "--out", "suites/new.toml", *options)
    with pytest.raises(UsageError, match="there already"):
        call("import", "t.csv", "--out", "suites/new.jsonl", *options)
    text = call("import", "t.csv", "--out", "suites/new.jsonl", *options, "--force")
    assert "table: 3 items of t.csv" in text
    assert "  · has no target: fill it in (1: t.csv:4)" in text
    assert file["toml"] in text
    (tmp_path / "flywheel.toml").write_text(file["toml"])
    problems = runner.invoke(app, ["check"])
    assert problems.exit_code == 2
    assert "suites.new.samples: a suite line has no target: it is null" in problems.output
    assert "suites/new.jsonl:3" in problems.output
    path = tmp_path / "suites" / "new.jsonl"
    path.write_text(path.read_text().replace("null", '"hot"'))
    again = runner.invoke(app, ["check"])
    assert "suites.new" not in again.output
    listed = json.loads(call("list", "--json"))
    assert listed["suites"][0]["purpose"] == "imported from table: t.csv"
    assert listed["suites"][0]["num_items"] == 3
    with pytest.raises(UsageError, match="made of something"):
        call("new", "x")


def test_choices_of_lm_eval_come_with_the_section_that_asks_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flywheel.toml").write_text("")
    sample = {
        "doc_id": 0, "target": "1", "filtered_resps": [["-2.0", "False"], ["-1.0", "False"]],
        "arguments": {f"gen_args_{n}": {"arg_0": "Sky?", "arg_1": f" {text}"}
                      for n, text in enumerate(("red", "blue"))},
        "metrics": ["acc", "acc_norm"], "acc": 1.0, "acc_norm": 1.0,
    }  # fmt: skip
    other = {**sample, "doc_id": 1, "target": "0"}
    (tmp_path / "samples_sky.jsonl").write_text(f"{json.dumps(sample)}\n{json.dumps(other)}\n")
    arguments = ["suite", "import", "samples_sky.jsonl", "--out", "suites/sky.jsonl", "--json"]
    told = json.loads(CliRunner().invoke(app, arguments).output)
    (file,) = told["files"]
    assert (file["mode"], file["num_lines"]) == ("choose", 1)
    why = "its acc says that its target is not what is right"
    assert told["left_out"] == [{"what": why, "places": ["samples_sky.jsonl:2"]}]
    (tmp_path / "flywheel.toml").write_text(file["toml"])
    assert [problem.key for problem in problems_of(None)] == ["releases"]
    suite = read_settings(None).suites["sky"]
    assert (suite.template, suite.scorer) == ("raw", "multiple_choice")
    assert suite.also == ({"name": "multiple_choice", "normalised": True},)
