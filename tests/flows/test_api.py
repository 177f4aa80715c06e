"""The flywheel from Python: the commands' own functions, and the notebook in docs."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pandas as pd
import pytest

from flows.api import Result, compare, result, turn
from tasks.errors import FlywheelError, UsageError
from tests.conftest import REPOSITORY
from tests.flows.application import Application
from tests.tasks.record.turns import RUN_ID, fill, make_run


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("api")
    fill(make_run(folder / ".flywheel"))
    (folder / "flywheel.toml").write_text("")
    return str(folder / "flywheel.toml")


def _frame(right: int) -> pd.DataFrame:
    return pd.DataFrame({"id": range(100), "score": [float(n < right) for n in range(100)]})


def test_a_run_is_read_as_frames_that_say_what_the_command_says(config: str):
    found = result(RUN_ID[:12], config)
    told = found.to_dict()
    assert (found.verdict, found.may_ship) == (told["verdict"], False)
    assert list(found.suites.suite) == [suite["suite"] for suite in told["suites"]]
    assert list(found.suites.difference) == [suite["difference"] for suite in told["suites"]]
    assert len(found.samples) == 40
    assert next(iter(found.samples.outcome)) == "lost"
    assert len(found.slices) == len(told["slices"])
    assert found.report().startswith("<!doctype html>")
    assert repr(found).splitlines()[0] == f"{found.verdict}: candidate against prod"


def test_hostile_text_is_shown_as_text(config: str):
    shown = result(config=config)._repr_html_()
    assert "<script" not in shown
    assert "candidate against prod" in shown


def test_frames_and_files_are_compared_by_the_same_gate(tmp_path: Path):
    by_frame = compare(_frame(60), _frame(90), margin=0.05)
    for name, right in (("a", 60), ("b", 90)):
        _frame(right).to_csv(tmp_path / f"{name}.csv", index=False)
    by_file = compare(tmp_path / "a.csv", str(tmp_path / "b.csv"), margin=0.05)
    assert by_frame.verdict == by_file.verdict == "better"
    assert by_frame.suites.difference.item() == pytest.approx(0.3)
    pd.testing.assert_frame_equal(by_frame.suites, by_file.suites)
    assert compare(_frame(90), _frame(60)).verdict == "worse"


def test_what_is_wrong_is_raised_with_what_to_do():
    with pytest.raises(UsageError, match="ids or inputs"):
        compare(pd.DataFrame({"x": [1.0]}), _frame(1))
    with pytest.raises(UsageError, match="margin"):
        compare(_frame(1), _frame(1), margin=2)
    with pytest.raises(FlywheelError):
        result("no-such-run")


def test_a_turn_is_the_one_of_the_command(application: Application, monkeypatch):
    config = str(application.folder / "flywheel.toml")
    monkeypatch.delenv("FLYWHEEL_HOME", raising=False)
    done = turn(config, logs=[str(application.folder / "logs")])
    assert isinstance(done, Result)
    told = json.loads(json.dumps(done.to_dict()))
    assert told == application.here("verdict", "--json").json
    assert result(config=config).to_dict()["run_id"] == done.outcome.run_id


def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where no flywheel.toml is near
    notebook = json.loads((REPOSITORY / "docs" / "compare.ipynb").read_text())
    names: dict[str, object] = {}
    shown = []
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        body = ast.parse("".join(cell["source"]))
        last = body.body[-1]
        if isinstance(last, ast.Expr):
            body.body.pop()
        exec(compile(body, "notebook", "exec"), names)
        if isinstance(last, ast.Expr):
            shown.append(eval(compile(ast.Expression(last.value), "notebook", "eval"), names))
    found, reasons, suites, may_ship, won, clustered = shown
    assert found.verdict == "better"
    assert "wins" in reasons[0]
    assert may_ship is True
    assert len(won) == 5
    width = suites.ci_high - suites.ci_low
    assert (clustered.ci_high - clustered.ci_low).item() > 0
    assert width.item() > 0
