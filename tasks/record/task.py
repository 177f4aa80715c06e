"""record: reads a decided run, writes report and plot, publishes to MLflow, then the ledger.

The ledger entry comes last, in one transaction with where things are: killed anywhere before it,
the next attempt finds what stands in MLflow, finishes or replaces it, and counts nothing twice.
"""

from __future__ import annotations

from pathlib import Path

from tasks.model.receipt import Receipt
from tasks.model.turn import Turn
from tasks.record.files import write_pages
from tasks.record.reading import read_turn
from tasks.record.versions import installed_versions
from tasks.run import Run
from tasks.store.control import ledger
from tasks.tracking.publish import Published, publish

STAGE = "record"


def record(run: Run) -> Receipt:
    """Raises StoreError where the run has no verdict or MLflow does not answer (transient)."""
    with run.open_store() as store:
        turn = read_turn(store, run.run_id, run.settings.evaluate.repeats, installed_versions())
    folder = run.settings.home_path / "reports" / run.run_id
    published = publish(
        run.settings,
        turn,
        draw=lambda links: write_pages(turn, folder, links),
        on_progress=lambda done, total, note: run.progress(STAGE, done, total, note),
    )
    receipt = _receipt(run, turn, published, folder / "report.html")
    with run.open_store() as store, store.transaction():
        ledger.annotate_run(
            store,
            run.run_id,
            mlflow_run_id=published.links.mlflow_run_id,
            report=str(folder / "report.html"),
        )
        ledger.finish_stage(store, run.run_id, receipt, run.clock())
    return receipt


def _receipt(run: Run, turn: Turn, published: Published, report: Path) -> Receipt:
    return Receipt(
        STAGE,
        published.links.mlflow_run_id,
        rows_in=len(turn.judged),
        rows_out=len(turn.judged),
        notes={
            "mlflow_run_id": published.links.mlflow_run_id,
            "experiment_id": published.links.experiment_id,
            "report": str(report),
            "compare_url_path": published.links.compare_url_path,
            "run_url_path": published.links.run_url_path,
            "child_run_ids": dict(published.links.child_run_ids),
            "rows_sent": published.links.rows_sent,
            "rows_capped": published.rows_capped,
            "versions": dict(published.versions),
            "prompts": list(published.prompts),
            "prompts_not_registered": list(published.not_registered),
            "undefined_metrics": list(published.undefined_metrics),
        },
    )
