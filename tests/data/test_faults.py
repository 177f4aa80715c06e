"""The injected faults of data/ come out of the real stages with exactly the listed counts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.curate.task import curate
from tasks.ingest.task import ingest
from tasks.model.receipt import Receipt
from tasks.model.run import RunRequest
from tasks.redact.task import redact
from tasks.run import Run
from tasks.settings import read_settings
from tasks.store import Store
from tasks.store.control import ledger
from tasks.validate.task import validate

DATA = Path(__file__).resolve().parents[2] / "data"
EXPECTED: dict[str, Any] = json.loads((DATA / "faults.json").read_text(encoding="utf-8"))
STAGES = {"ingest": ingest, "validate": validate, "redact": redact, "curate": curate}


@pytest.fixture(scope="module")
def turn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, dict[str, Receipt]]:
    home = tmp_path_factory.mktemp("home")
    read = read_settings(str(DATA / "flywheel.toml"), environ={})
    settings = read.model_copy(update={"home": str(home)})
    logs = tuple(str(settings.path(pattern)) for pattern in settings.logs)
    run = Run("r1", RunRequest(logs=logs, champion="support-v1"), settings)
    with run.open_store() as store:
        text = run.request.to_json()
        ledger.begin_run(store, run.run_id, text, run.request.digest(settings.digest), run.clock())
    return run, {name: stage(run) for name, stage in STAGES.items()}


def _rows(run: Run, sql: str) -> list[tuple[Any, ...]]:
    with Store.open(run.settings.store_path, read_only=True) as store:
        return store.rows(sql)


def test_ingest_loses_nothing_and_names_what_it_cannot_read(
    turn: tuple[Run, dict[str, Receipt]],
) -> None:
    run, receipts = turn
    receipt, expected = receipts["ingest"], EXPECTED["ingest"]
    for name in ("rows_in", "rows_out", "duplicates", "dead_letters"):
        assert getattr(receipt, name) == expected[name], name
    assert receipt.notes["feedback"] == expected["feedback"]
    errors = [error for (error,) in _rows(run, "SELECT error FROM dead_letters")]
    faults = {fault["fault"]: fault["calls"] for fault in EXPECTED["faults"]}
    cut_off = [error for error in errors if "cut off" in error]
    assert len(cut_off) == faults["cut_off_last_line"]
    assert len(errors) - len(cut_off) == faults["wrong_encoding"]


def test_validate_quarantines_every_injected_fault_under_its_reason(
    turn: tuple[Run, dict[str, Receipt]],
) -> None:
    run, receipts = turn
    receipt, expected = receipts["validate"], EXPECTED["validate"]
    for name in ("rows_in", "rows_out", "quarantined"):
        assert getattr(receipt, name) == expected[name], name
    reasons = _rows(run, "SELECT expectation, count(*) FROM quarantine GROUP BY 1 ORDER BY 1")
    assert dict(reasons) == expected["by_reason"]


def test_redact_masks_every_planted_secret_and_address(
    turn: tuple[Run, dict[str, Receipt]],
) -> None:
    run, receipts = turn
    receipt, expected = receipts["redact"], EXPECTED["redact"]
    assert receipt.rows_out == expected["rows"]
    found = {kind: count for kind, count in receipt.notes["redactions"].items() if count}
    assert found == expected["redactions"]
    for table in ("requests", "feedback", "samples", "quarantine"):
        text = str(_rows(run, f"SELECT * FROM {table}"))
        assert ".example" not in text
        assert "Tulip4" not in text


def test_curate_takes_the_planted_duplicates_out_and_no_other_call(
    turn: tuple[Run, dict[str, Receipt]],
) -> None:
    receipt, expected = turn[1]["curate"], EXPECTED["curate"]
    for name, count in expected.items():
        assert receipt.notes[name] == count, name
    assert receipt.duplicates == expected["exact_duplicates"] + expected["near_duplicates"]


def test_second_turn_finds_nothing_new(turn: tuple[Run, dict[str, Receipt]]) -> None:
    run, _ = turn
    again = replace(run, run_id="r2")
    with again.open_store() as store:
        text = again.request.to_json()
        ledger.begin_run(store, "r2", text, again.request.digest(run.settings.digest), run.clock())
    receipt = ingest(again)
    assert (receipt.rows_in, receipt.rows_out) == (0, 0)


def test_faults_are_listed_in_the_readme_with_their_counts() -> None:
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    otel, openai = EXPECTED["files"]
    for fault in EXPECTED["faults"]:
        row = f"| `{fault['fault']}` | {fault[otel]} | {fault[openai]} | {fault['stage']} |"
        assert row in readme, row
    for name, count in EXPECTED["planted"].items():
        assert f"| `{name}` | {count} |" in readme, name


def test_sample_data_is_small_and_large_enough() -> None:
    size = sum(file.stat().st_size for file in DATA.rglob("*") if file.is_file())
    assert size <= 2_200_000
    assert EXPECTED["validate"]["rows_in"] >= 600
