"""record: reads a decided run, writes report and plot, publishes to MLflow, then the ledger.

The ledger entry comes last, in one transaction with where things are: killed anywhere before it,
the next attempt finds what stands in MLflow, finishes or replaces it, and counts nothing twice.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from tasks.model.receipt import Receipt
from tasks.model.turn import Turn
from tasks.record.pages import pages_of, write_pages
from tasks.record.reading import read_turn
from tasks.record.versions import installed_versions
from tasks.report import note, page, plot
from tasks.report.standings import standings
from tasks.run import Run
from tasks.store.control import ledger
from tasks.tracking.publish import Links, Pages, Published, publish

STAGE = "record"


def record(run: Run) -> Receipt:
    """Raises StoreError where the run has no verdict or MLflow does not answer (transient)."""
    with run.open_store() as store:
        turn = read_turn(store, run.run_id, run.seeds, installed_versions())
    folder = pages_of(run.settings, run.run_id)
    published = publish(
        run.settings,
        turn,
        draw=lambda links: draw_pages(turn, folder, links),
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
            **asdict(published.links),
            "report": str(report),
            "rows_capped": published.rows_capped,
            "versions": dict(published.versions),
            "prompts": list(published.prompts),
            "prompts_not_registered": list(published.not_registered),
            "undefined_metrics": list(published.undefined_metrics),
        },
    )


def draw_pages(turn: Turn, folder: Path, links: Links) -> Pages:
    """Into `folder`, each whole or not at all: report.html and differences.{svg,png} of the leading
    challenger, report-ROLE.html of every other. The note is not a file."""
    contents: dict[str, bytes] = {}
    names = {role: release.name for role, release in turn.releases.items()}
    rows = standings(names, turn.verdicts, turn.ranking)
    files = {role: f"report-{role}.html" for role in turn.verdicts}
    files[turn.leading] = "report.html"
    for role, file in files.items():
        pair = turn.pair(role)
        drawn = plot.draw(pair)
        html = page.render(
            pair,
            drawn,
            compare_url_path=links.compare_path(role),
            mlflow_run_id=links.mlflow_run_id,
            standings=rows,
            pages={other: name for other, name in files.items() if other != role},
        )
        contents[file] = html.encode()
        if drawn is not None and role == turn.leading:
            contents |= {"differences.svg": drawn.svg, "differences.png": drawn.png}
    write_pages(folder, contents)
    text = note.note(
        turn.pair(turn.leading),
        compare_url_path=links.compare_url_path,
        experiment_id=links.experiment_id,
        num_rows=links.rows_sent,
        standings=rows,
    )
    return Pages(text, tuple(folder / name for name in contents))
