"""Who reads our runs with MLflow alone, and averages, comes to the verdict's numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from tests.conftest import REPOSITORY
from tests.flows.application import Application, call_record, make_application
from tests.mlflow_home import home_with_mlflow

#: scores of all sizes, of a model of random weights: how likely a target is, and how short a text
_SHORT = '{ name = "length", unit = "characters", at_least = 0, at_most = 5 }'
_SUITES = f"""
[evaluate]
repeats = 2
[suites.likely]
samples = "suites/likely.jsonl"
mode = "perplexity"
scorer = "likelihood"
[suites.short]
samples = "suites/short.jsonl"
scorer = {_SHORT}
"""
_PAGE = 100
pytestmark = pytest.mark.slow


def _lines(path: Path, items: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(item) + "\n" for item in items))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> tuple[Application, Any]:
    """A turn with clusters, weights, repeats, a pin, samples that are only shown, and questions too
    long for the model, so that a release fails."""
    made = make_application(tmp_path_factory.mktemp("means") / "a", tiny_model, samples=4)
    home_with_mlflow(made.home)
    settings = made.folder / "flywheel.toml"
    text = settings.read_text().replace('"exact_match"', _SHORT)
    settings.write_text(text + _SUITES)
    suites = made.folder / "suites"
    targets = ("a", "ee", "iii", "o", "uu")
    _lines(suites / "likely.jsonl", [
        {"input": f"the {n}th word", "target": targets[n % 5], "cluster": f"c{n // 3}"}
        for n in range(9)
    ])  # fmt: skip
    rest = {7: "long " * 260}
    _lines(suites / "short.jsonl", [
        {"input": f"{n} {rest.get(n, 'and on')}", "target": "-", "cluster": f"d{n}"}
        for n in range(10)
    ])  # fmt: skip
    # people say what is right, and one question is asked by many
    right = {"kind": "correction", "corrected": "printer"}
    calls = [{**call_record(number), "feedback": right} for number in range(16)]
    often = [{**calls[1], "request_id": f"again-{n}", "session_id": f"other-{n}"} for n in range(8)]
    made.log("calls.jsonl", [*calls, *often])
    pin = {"request_id": "call-3", "messages": calls[3]["messages"], "suite": "short",
           "target": "-", "why": "it leaked", "pinned_at": "2026-11-30"}  # fmt: skip
    _lines(made.folder / "pins.jsonl", [pin])
    answer = made.here("run", "--inline", "--json")
    assert answer.code in (0, 1), answer.err
    return made, answer.json


def _read(client: MlflowClient, experiment_id: str, run_id: str) -> pd.DataFrame:
    """Every row of one release: what it was asked, what it counts, for how much, and whether."""
    rows, token = [], None
    while True:
        page = client.search_traces(
            locations=[experiment_id], run_id=run_id, max_results=_PAGE, page_token=token
        )
        for trace in page:
            asked = trace.data.spans[0].inputs
            tags = trace.info.tags
            (score,) = [one for one in trace.info.assessments if one.feedback]
            value = score.feedback.value
            rows.append({
                "row_id": asked["row_id"],
                "suite": asked["suite"],
                "score": np.nan if value is None else float(value),
                "weight": float(tags.get("flywheel.weight", 1)),
                "counts": "flywheel.not_counted" not in tags,
                "name": score.name,
                "origin": tags["origin"],
            })  # fmt: skip
        token = page.token
        if not token:
            return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def pairs(told: tuple[Application, Any]) -> pd.DataFrame:
    made, verdict = told
    client = MlflowClient(tracking_uri=f"sqlite:///{made.home}/mlflow.db")
    (experiment,) = client.search_experiments(filter_string="name = 'flywheel'")
    children = client.search_runs(
        [experiment.experiment_id], f"tags.`mlflow.parentRunId` = '{verdict['mlflow_run_id']}'"
    )
    champion, challenger = (
        _read(client, experiment.experiment_id, run.info.run_id)
        for role in ("champion", "challenger")
        for run in children
        if run.data.tags["flywheel.role"] == role
    )
    same = ["row_id", "suite", "weight", "counts", "name", "origin"]
    paired = champion.merge(challenger, on=same, suffixes=("_champion", "_challenger"))
    assert len(paired) == len(champion) == len(challenger)
    return paired[paired.counts]


def _mean(values: pd.Series, weights: pd.Series) -> float:
    known = values.notna()
    return float(np.average(values[known], weights=weights[known]))


def test_averages_and_paired_differences_are_those_of_the_verdict(
    told: tuple[Application, Any], pairs: pd.DataFrame
):
    _, verdict = told
    by_suite = dict(iter(pairs.groupby("suite")))
    assert {suite["suite"] for suite in verdict["suites"]} >= {"likely", "short", "route"}
    for suite in verdict["suites"]:
        rows = by_suite[suite["suite"]]
        assert len(rows) == suite["num_samples"], suite["suite"]
        for role in ("champion", "challenger"):
            assert _mean(rows[f"score_{role}"], rows.weight) == pytest.approx(
                suite[role], abs=1e-12
            )
        difference = _mean(rows.score_challenger - rows.score_champion, rows.weight)
        assert difference == pytest.approx(suite["difference"], abs=1e-12)
    # so that the comparison could have failed
    likely, short = by_suite["likely"], by_suite["short"]
    assert likely.score_champion.nunique() > 3
    assert set(short.score_champion) | set(short.score_challenger) >= {0.0, 1.0}
    assert pairs.weight.nunique() > 1


def test_the_recipe_of_the_page_comes_to_the_same(told: tuple[Application, Any]):
    made, verdict = told
    page = (REPOSITORY / "docs" / "lineage.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    recipe: dict[str, Any] = {}
    exec(compile(block, "docs/lineage.md", "exec"), recipe)
    client = MlflowClient(tracking_uri=f"sqlite:///{made.home}/mlflow.db")
    parent = client.get_run(verdict["mlflow_run_id"])
    runs = client.search_runs(
        [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    )
    rows = {
        run.data.tags["flywheel.role"]: recipe["rows"](
            client, parent.info.experiment_id, run.info.run_id
        )
        for run in runs
    }
    for suite in verdict["suites"]:
        difference = recipe["difference"](rows["champion"], rows["challenger"], suite["suite"])
        assert difference == pytest.approx(suite["difference"], abs=1e-12)


def test_the_metrics_of_the_runs_say_the_same(told: tuple[Application, Any], pairs: pd.DataFrame):
    made, verdict = told
    client = MlflowClient(tracking_uri=f"sqlite:///{made.home}/mlflow.db")
    parent = client.get_run(verdict["mlflow_run_id"])
    runs = client.search_runs(
        [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    )
    for suite, rows in pairs.groupby("suite"):
        for run in runs:
            score = _mean(rows[f"score_{run.data.tags['flywheel.role']}"], rows.weight)
            assert run.data.metrics[f"{suite}.score"] == pytest.approx(score, abs=1e-12)
        difference = _mean(rows.score_challenger - rows.score_champion, rows.weight)
        assert parent.data.metrics[f"{suite}.difference"] == pytest.approx(difference, abs=1e-12)


def test_what_does_not_count_has_a_name_of_its_own(told: tuple[Application, Any]):
    """So that MLflow's own average of a column is over what counts."""
    made, verdict = told
    client = MlflowClient(tracking_uri=f"sqlite:///{made.home}/mlflow.db")
    parent = client.get_run(verdict["mlflow_run_id"])
    (run, *_) = client.search_runs(
        [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    )
    rows = _read(client, parent.info.experiment_id, run.info.run_id)
    assert rows[~rows.counts].name.str.endswith(" (not counted)").all()
    assert not rows[rows.counts].name.str.endswith(" (not counted)").any()
    assert set(rows[~rows.counts].origin) == {"pin"}
