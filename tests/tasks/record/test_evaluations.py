"""Runs of MLflow read back by the referee: ours, and tables as `mlflow.evaluate` leaves them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.errors import UsageError
from tasks.record.reading import read_turn
from tasks.record.task import record
from tasks.run import Run
from tasks.tracking.environment import tracking_location
from tasks.tracking.session import open_session


def test_our_own_runs_are_read_as_they_were_judged(small: Run, tmp_path: Path):
    from tasks.tracking.evaluations import read_evaluation

    receipt = record(small)
    location = tracking_location(small.settings)
    with small.open_store() as store:
        turn = read_turn(store, small.run_id, small.seeds, {})
    for role in ("champion", "challenger"):
        run = read_evaluation(location, receipt.notes["child_run_ids"][role])
        scores = {
            (item.sample.suite, item.sample.messages[0]["content"]): item.score(role)
            for item in turn.judged
        }
        read = {
            (row.suite, row.question): next((mark.value for mark in row.marks.values()), None)
            for row in run.rows
        }
        assert read == {key: value if value is None else pytest.approx(value)
                        for key, value in scores.items()} | {
            (row.suite, row.question): None for row in run.rows if row.error
        }  # fmt: skip
        assert {row.target for row in run.rows} == {item.sample.target for item in turn.judged}
        lost = [row for row in run.rows if row.error]
        assert len(lost) == (role == "challenger")
    with open_session(small.settings) as session:
        bare = session.client.create_run(session.experiment_id, run_name="table").info.run_id
        with pytest.raises(UsageError, match="no traces and no table"):
            read_evaluation(location, bare)
        table = tmp_path / "eval_results_table.json"
        columns = ["inputs", "outputs", "exact_match/v1/score"]
        table.write_text(json.dumps({"columns": columns, "data": [["q", "a", 1], ["r", "b", 0]]}))
        session.client.log_artifact(bare, str(table))
    run = read_evaluation(location, bare)
    assert (run.name, run.format) == ("table", "mlflow")
    assert [row.marks["exact_match/v1"].value for row in run.rows] == [1, 0]
    with pytest.raises(UsageError, match="no such run"):
        read_evaluation(location, "0" * 32)
