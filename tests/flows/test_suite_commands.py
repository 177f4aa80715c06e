"""`flywheel suite` as it is typed: options arrive, and each command is documented."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from flows.cli import app
from flows.cli.suites import app as suite
from tasks.errors import UsageError
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
