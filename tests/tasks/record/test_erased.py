"""Erased samples leave what was recorded in MLflow, of whole records and of attempts deleted."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tasks.record.task import record
from tasks.run import Run
from tasks.tracking.erasing import erase_in_mlflow
from tasks.tracking.publish import Pages
from tests.tasks.record.stores import client, count, runs
from tests.tasks.record.turns import RUN_ID

TOLD = {RUN_ID: "Its inputs were partly erased."}


def first_sample(run: Run) -> str:
    with run.open_store(read_only=True) as store:
        return str(store.scalar("SELECT min(sample_id) FROM samples"))


def erase(run: Run, pages: Pages | None = None) -> int:
    return erase_in_mlflow(run.settings, {RUN_ID: pages}, [first_sample(run)], TOLD)


def test_a_whole_record_loses_the_rows_and_says_so_once(small: Run, tmp_path: Path):
    notes = record(small).notes
    page = tmp_path / "report.html"
    page.write_text("drawn anew")
    assert erase(small, Pages("", (page,))) == 2
    assert count(small.settings, "SELECT count(*) FROM trace_info") == 22
    short = first_sample(small)[:16]
    for table, column in (("spans", "content"), ("trace_info", "request_preview")):
        sql = f"SELECT count(*) FROM {table} WHERE {column} LIKE '%{short}%'"
        assert count(small.settings, sql) == 0
    assert erase(small, Pages("", (page,))) == 0
    mlflow = client(small.settings)
    parent = mlflow.get_run(notes["mlflow_run_id"])
    assert parent.data.tags["mlflow.note.content"].count(TOLD[RUN_ID]) == 1
    assert [run.data.tags["flywheel.erased"] for run in runs(small.settings)] == 3 * [TOLD[RUN_ID]]
    file = mlflow.download_artifacts(parent.info.run_id, "report.html", str(tmp_path / "got"))
    assert Path(file).read_text() == "drawn anew"


def test_the_receipt_made_anew_takes_the_place_of_the_old_one_and_is_named(
    small: Run, tmp_path: Path
):
    notes = record(small).notes
    receipt = tmp_path / Path(str(notes["receipt"])).name
    receipt.write_text("made anew")
    erase(small, Pages("", (), receipt))
    mlflow = client(small.settings)
    parent = mlflow.get_run(notes["mlflow_run_id"])
    digest = hashlib.sha256(b"made anew").hexdigest()
    assert parent.data.tags["flywheel.receipt"] == f"sha256:{digest}"
    file = mlflow.download_artifacts(parent.info.run_id, receipt.name, str(tmp_path))
    assert Path(file).read_text() == "made anew"


def test_a_deleted_attempt_loses_the_rows_and_all_its_files(small: Run):
    record(small)
    mlflow = client(small.settings)
    for run in runs(small.settings):
        mlflow.delete_run(run.info.run_id)
    files = small.settings.home_path / "mlflow-artifacts"
    assert list(files.rglob("report.html"))
    assert erase(small) == 2
    assert count(small.settings, "SELECT count(*) FROM trace_info") == 22
    assert not list(files.rglob("report.html"))


def test_where_mlflow_was_never_told_anything_nothing_is_made(small: Run):
    (small.settings.home_path / "mlflow.db").unlink()
    assert erase(small) == 0
    assert not (small.settings.home_path / "mlflow.db").exists()
