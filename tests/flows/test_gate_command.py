"""`flywheel gate`: a verdict on stored scores, and nothing computed for it."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

from tests.flows.application import Application

_COMPUTED = ("eval_sets", "samples", "completions", "scores", "releases")


def rows(application: Application, *tables: str) -> dict[str, int]:
    with duckdb.connect(str(application.home / "flywheel.duckdb"), read_only=True) as store:
        return {name: store.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0]
                for name in tables}  # fmt: skip


def stages(result: dict[str, Any]) -> list[str]:
    return [stage["stage"] for stage in result["stages"]]


@pytest.mark.slow
def test_it_decides_on_the_scores_of_the_last_evaluated_run_and_computes_nothing(
    application: Application,
):
    nothing = application.here("gate")
    assert nothing.code == 2
    assert "no run has evaluated" in nothing.err
    assert "next: flywheel eval" in nothing.err
    application.here("ingest")
    application.here("validate")
    assert application.here("gate").code == 2
    evaluated = application.here("eval", "--seed", "3", "--json").json["run_id"]
    before = rows(application, *_COMPUTED)

    # a suite file and prompts that are gone do not concern a decision on what is stored
    for name in ("suites", "prompts"):
        (application.folder / name).rename(application.folder / f"no {name}")
    decided = application.here("gate", "--json")
    for name in ("suites", "prompts"):
        (application.folder / f"no {name}").rename(application.folder / name)
    assert decided.code in (0, 1), decided.err
    assert stages(decided.json) == ["gate"]
    assert decided.json["scores_of"] == evaluated
    assert decided.json["run_id"] != evaluated
    assert rows(application, *_COMPUTED) == before
    seeds = application.here("sql", "select request->>'seed' from runs where run_id in "
                             f"('{evaluated}', '{decided.json['run_id']}')", "--json")  # fmt: skip
    assert seeds.json["rows"] == [["3"], ["3"]]

    # the settings of today: a wider margin may decide otherwise, on the same scores
    again = application.here("gate", evaluated[:-1], "--json", FLYWHEEL_GATE__MARGIN="0.4",
                             FLYWHEEL_GUARDRAILS__LENGTH__MEASURE="output_tokens",
                             FLYWHEEL_GUARDRAILS__LENGTH__MARGIN="0.2")  # fmt: skip
    old, new = decided.json["suites"][0], again.json["suites"][0]
    assert (old["margin"], new["margin"]) == (0.05, 0.4)
    assert (old["difference"], old["ci_low"]) == (new["difference"], new["ci_low"])
    assert decided.json["guardrails"] == []
    (length,) = again.json["guardrails"]
    assert (length["guardrail"], length["unit"], length["margin"]) == ("length", "tokens", 0.2)
    assert length["champion"] > 0
    assert length["num_samples"] == new["num_samples"]
    assert any("guardrail length, output_tokens" in reason for reason in again.json["reasons"])
    costly = application.here("gate", FLYWHEEL_GUARDRAILS__BILL__MEASURE="cost")
    assert costly.code == 2
    assert "releases.champion.price" in costly.err
    assert "Decided on the scores of run " + evaluated in application.here("gate").out

    # a turn decides the same on the same scores
    turned = application.here("run", "--inline", "--seed", "3", "--json").json
    assert turned["verdict"] == decided.json["verdict"]

    other = application.here("gate", "--challenger", "champion")
    assert other.code == 2
    assert "flywheel eval --challenger champion" in other.err
    unknown = application.here("gate", "19990101")
    assert unknown.code == 2
    assert "19990101" in unknown.err
