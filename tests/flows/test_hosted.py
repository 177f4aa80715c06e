"""A turn with a challenger behind an API that fails in every way, by the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.answering.journal import JOURNAL_FILE
from tests.fake_api import FAULTS, FakeApi, serving_api
from tests.flows.application import Application, make_application
from tests.mlflow_home import home_with_mlflow
from tests.tasks.answering.test_journal import write_journal

KEY = "sk-planted-key-0123456789"
NUM = 12


def hosted(folder: Path, model: Path, api: FakeApi, **keys: Any) -> Application:
    application = make_application(folder, model, calls=0, samples=NUM)
    home_with_mlflow(application.home)
    path = application.folder / "flywheel.toml"
    head, rest = path.read_text().split("[releases.challenger]")
    more = "".join(f"{key} = {value}\n" for key, value in keys.items())
    path.write_text(
        f'{head}[releases.challenger]\nmodel = "big-1"\napi = "openai"\nbase_url = "{api.url}"\n'
        f'api_key_env = "PLANTED"\nprompt = "prompts/two.md"\n{more}'
        "price = { input = 1.0, output = 2.0 }\n"
        "requests = { max_concurrency = 4, timeout_s = 1.0 }\n"
        f"[suites.route]{rest.split('[suites.route]')[1]}"
    )
    return application


@pytest.mark.slow
def test_a_turn_against_an_api_that_fails_in_every_way_and_no_trace_of_the_key(
    tmp_path: Path, tiny_model: Path
) -> None:
    def behave(number: int, _: Any) -> Any:
        if 0 <= number < len(FAULTS) and FAULTS[number] != "empty":
            return FAULTS[number]
        return (500, {"error": {"message": f"bad {KEY}"}}) if number == 12 else None

    with serving_api(behave, slow_s=1.5) as api:
        application = hosted(tmp_path / "a", tiny_model, api)
        answers = [
            application.here("check", PLANTED=KEY),
            application.here("doctor", PLANTED=KEY),
            application.call("run", PLANTED=KEY),  # in Prefect
            application.here("run", "--inline", "--json", PLANTED=KEY),
            application.here("explain", "--json", PLANTED=KEY),
        ]
        assert set(api.books.billed.values()) == {1}
        assert sum(api.books.billed.values()) == NUM
    assert [answer.code for answer in answers[:4]] == [0, 0, 1, 1], [a.err for a in answers]
    assert "big-1 at http://127.0.0.1" in answers[1].out
    assert f"challenger: {NUM + len(FAULTS)} requests" in " ".join(answers[2].out.split())
    assert "answered by big-1 fp_1" in " ".join(answers[2].out.split())
    (stage,) = [stage for stage in answers[3].json["stages"] if stage["stage"] == "evaluate"]
    assert (stage["notes"]["computed"], stage["notes"]["cached"]) == (0, 2 * NUM)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert not any(KEY in answer.out + answer.err for answer in answers)


@pytest.mark.slow
def test_a_budget_in_money_is_kept_and_told_and_the_rest_asked_by_the_next_run(
    tmp_path: Path, tiny_model: Path
) -> None:
    with serving_api() as api:
        application = hosted(tmp_path / "a", tiny_model, api)
        budget = {"FLYWHEEL_EVALUATE__BUDGET__MAX_COST": "0.0009"}
        held = application.here("eval", PLANTED=KEY, **budget)
        said = " ".join(held.out.split())
        assert held.code == 0, held.err
        assert "the budget is spent: evaluate.budget.max_cost is 0.0009" in said
        assert "the same command asks for them again, and for nothing else" in said
        assert 0 < len(api.books.bodies) < NUM
        (spent,) = application.here(
            "sql", "select cost, requests from spending", "--json"
        ).json["rows"]  # fmt: skip
        assert 0 < spent[0] <= 0.0009
        application.here("eval", PLANTED=KEY)
        assert len(api.books.bodies) == NUM


def test_a_variable_that_is_not_set_is_told_before_anything_runs(
    tmp_path: Path, tiny_model: Path
) -> None:
    with serving_api() as api:
        application = hosted(tmp_path / "a", tiny_model, api)
        answer = application.here("run", "--inline")
        assert api.books.headers == []
    assert answer.code == 2
    assert "the environment variable PLANTED of release 'challenger' is not set" in answer.err
    assert [path.name for path in application.home.iterdir()] == ["mlflow.db"]  # made by hosted()


def test_a_backup_holds_what_a_killed_run_had_paid_for(tmp_path: Path, tiny_model: Path) -> None:
    with serving_api() as api:
        application = hosted(tmp_path / "a", tiny_model, api)
    assert application.here("ingest", PLANTED=KEY).code == 0
    write_journal(application.home)
    told = application.here("backup", "--json")
    assert told.code == 0, told.err
    assert not (application.home / JOURNAL_FILE).exists()
    assert application.here("restore", told.json["path"], "--force").code == 0
    (row,) = application.here("sql", "select text, run_id from completions", "--json").json["rows"]
    assert row == ["text 1 \n é", "r"]
