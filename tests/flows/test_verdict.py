"""`flywheel verdict` on a store with one decided run, and what it hands to a CI server."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from flows.commands.init import write_config
from flows.commands.turn import run_command
from flows.commands.verdict import schema_text, show_verdict
from flows.options import Options
from flows.outlets import Outlets
from tasks.errors import UsageError
from tests.tasks.record.turns import RUN_ID, fill, make_run


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verdict")
    fill(make_run(folder / ".flywheel"))
    (folder / "flywheel.toml").write_text("")
    return folder


def show(home: Path, outlets: Outlets, *, run_id: str = "", as_json: bool = False) -> int:
    return show_verdict(
        run_id, outlets, verbose=False, schema=False, config=str(home / "flywheel.toml"),
        as_json=as_json,
    )  # fmt: skip


def test_a_verdict_of_the_store_follows_the_schema_and_is_the_exit_code(home: Path, capsys):
    assert show(home, Outlets(), as_json=True) == 1
    told = json.loads(capsys.readouterr().out)
    jsonschema.validate(told, json.loads(schema_text()))
    assert (told["run_id"], told["verdict"], told["may_ship"]) == (RUN_ID, "worse", False)
    assert len(told["slices"]) == 5
    assert show(home, Outlets(), run_id=RUN_ID[:10]) == 1
    assert "WORSE: the challenger must not ship" in capsys.readouterr().out


def test_junit_of_a_past_run_tells_samples_that_must_pass(home: Path, tmp_path: Path, capsys):
    target = tmp_path / "verdict.xml"
    assert show(home, Outlets(junit=str(target))) == 1
    root = ElementTree.parse(target).getroot()
    assert [suite.get("name") for suite in root] == [
        "suite tickets", "suite orders", "suite logged", "guardrails", "verdict",
    ]  # fmt: skip
    (demanded,) = [case for case in root.iter("testcase") if "must pass" in case.get("name")]
    assert demanded.find("failure") is None
    cases = root.iter("testcase")
    failed = {case.get("classname") for case in cases if case.find("failure") is not None}
    assert failed == {"flywheel.suite tickets", "flywheel.suite orders", "flywheel.verdict"}
    logged = root.find("testsuite[@name='suite logged']/testcase/skipped")
    assert "role report" in logged.get("message")


def test_a_run_that_is_not_there_is_a_line(home: Path):
    with pytest.raises(UsageError, match="no such run"):
        show(home, Outlets(), run_id="nothing")


def test_a_file_for_ci_is_refused_before_anything_runs(home: Path):
    config = str(home / "flywheel.toml")
    with pytest.raises(UsageError, match="--markdown wants a file"):
        run_command("run", Options(markdown="none/here.md", config=config))
    with pytest.raises(UsageError, match="one verdict a day does not go into one file"):
        run_command("run", Options(junit="v.xml", backfill=True, since="2026-11-01",
                                   until="2026-11-03", config=config))  # fmt: skip


def test_the_schema_of_the_settings_is_written_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert write_config(show=False, force=False, schema=True) == 0
    assert "#:schema ./flywheel.schema.json" in capsys.readouterr().out
    written = (tmp_path / "flywheel.schema.json").read_text()
    with pytest.raises(UsageError, match="exists already"):
        write_config(show=False, force=False, schema=True)
    write_config(show=True, force=False, schema=True)
    assert capsys.readouterr().out == written
