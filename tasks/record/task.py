"""record: reads a decided run, writes report and plot, publishes to MLflow, then the ledger.

The ledger entry comes last, in one transaction with where things are: killed anywhere before it,
the next attempt finds what stands in MLflow, finishes or replaces it, and counts nothing twice.
"""

from __future__ import annotations

from pathlib import Path

from tasks.model import turn as facts
from tasks.model.receipt import Receipt
from tasks.record.files import write_pages
from tasks.record.versions import installed_versions
from tasks.run import Run
from tasks.store.control import ledger
from tasks.store.evals import history
from tasks.tracking.publish import Links, Pages, Published, publish

STAGE = "record"


def record(run: Run) -> Receipt:
    """Raises StoreError where the run has no verdict or MLflow does not answer (transient)."""
    with run.open_store() as store:
        turn = history.read_turn(
            store, run.run_id, run.settings.evaluate.repeats, installed_versions()
        )
    folder = run.settings.home_path / "reports" / run.run_id
    published = publish(
        run.settings,
        turn,
        draw=lambda links: _draw(turn, folder, links),
        told=lambda done, total, note: run.progress(STAGE, done, total, note),
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


def _draw(turn: facts.Turn, folder: Path, links: Links) -> Pages:
    return write_pages(turn, folder, links)


def _receipt(run: Run, turn: facts.Turn, published: Published, report: Path) -> Receipt:
    num_pairs = len(turn.pairs)
    return Receipt(
        STAGE,
        published.links.mlflow_run_id,
        rows_in=num_pairs,
        rows_out=num_pairs,
        notes={
            "mlflow_run_id": published.links.mlflow_run_id,
            "experiment_id": published.links.experiment_id,
            "report": str(report),
            "compare_url_path": published.links.compare_url_path,
            "run_url_path": published.links.run_url_path,
            "child_run_ids": dict(published.links.child_run_ids),
            "rows_sent": published.rows_sent,
            "rows_capped": published.rows_capped,
            "versions": dict(published.versions),
            "prompts": list(published.prompts),
            "prompts_not_registered": list(published.not_registered),
            "undefined_metrics": list(published.undefined_metrics),
        },
    )
