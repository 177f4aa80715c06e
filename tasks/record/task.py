"""record: reads a decided run, writes its receipt, report, plot and the index of all, publishes to
MLflow, then the ledger.

The ledger entry comes last, in one transaction with where things are: killed anywhere before it,
the next attempt finds what stands in MLflow, finishes or replaces it, and counts nothing twice.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

from tasks.model.receipt import Receipt
from tasks.model.turn import Turn
from tasks.receipts.files import write_receipt
from tasks.receipts.materials import installed_versions
from tasks.receipts.reading import read_facts
from tasks.record.pages import REPORT, index_of, pages_of, runs_with_page, write_pages
from tasks.record.reading import read_turn
from tasks.releases.promotion import MLFLOW, MOVES, waiting
from tasks.report import index, note, page, plot, trends
from tasks.report.standings import standings
from tasks.run import Run
from tasks.settings import Settings
from tasks.store.control import ledger
from tasks.store.control.aliases import promoted_releases
from tasks.store.control.audit import read_audit
from tasks.store.control.history import read_history
from tasks.store.opening import open_store
from tasks.tracking.publish import Links, Pages, Published, publish

STAGE = "record"


def record(run: Run) -> Receipt:
    """Raises StoreError where the run has no verdict or MLflow does not answer (transient)."""
    with run.open_store() as store:
        turn = read_turn(store, run.run_id, run.seeds, installed_versions())
        facts = read_facts(store, run.run_id)
        promoted = promoted_releases(store)
        if run.settings.promotion.approval == "mlflow" and not waiting(read_audit(store), [MLFLOW]):
            promoted = {}  # whoever moved the alias there since asks for something
    receipt_file = write_receipt(run.settings, facts)
    folder = pages_of(run.settings, run.run_id)
    published = publish(
        run.settings,
        turn,
        draw=lambda links: draw_pages(turn, folder, links, receipt_file),
        on_progress=lambda done, total, note: run.progress(STAGE, done, total, note),
        promoted=promoted,
    )
    write_index(run.settings)
    receipt = _receipt(run, turn, published, folder / REPORT, receipt_file)
    with run.open_store() as store, store.transaction():
        ledger.annotate_run(
            store,
            run.run_id,
            mlflow_run_id=published.links.mlflow_run_id,
            report=str(folder / REPORT),
        )
        ledger.finish_stage(store, run.run_id, receipt, run.clock())
    return receipt


def _receipt(
    run: Run, turn: Turn, published: Published, report: Path, receipt_file: Path
) -> Receipt:
    return Receipt(
        STAGE,
        published.links.mlflow_run_id,
        rows_in=len(turn.judged),
        rows_out=len(turn.judged),
        notes={
            **asdict(published.links),
            "report": str(report),
            "receipt": str(receipt_file),
            "rows_capped": published.rows_capped,
            "versions": dict(published.versions),
            "prompts": list(published.prompts),
            "prompts_not_registered": list(published.not_registered),
            "undefined_metrics": list(published.undefined_metrics),
        },
    )


def write_index(settings: Settings) -> None:
    """The page of all runs."""
    with open_store(settings, read_only=True) as store:
        history = read_history(store, index.MAX_RUNS, trends.MAX_RUNS)
        moves = [row for row in read_audit(store) if row.action in MOVES]
    page_of_all = index_of(settings)
    html = index.render(history, runs_with_page(settings), moves)
    write_pages(page_of_all.parent, {page_of_all.name: html.encode()})


def draw_pages(turn: Turn, folder: Path, links: Links, receipt_file: Path) -> Pages:
    """Into `folder`, each whole or not at all: report.html and differences.{svg,png} of the leading
    challenger, report-ROLE.html of every other. The note is not a file, and the receipt is there
    already."""
    contents: dict[str, bytes] = {}
    names = {role: release.name for role, release in turn.releases.items()}
    rows = standings(names, turn.verdicts, turn.ranking)
    files = {role: f"report-{role}.html" for role in turn.verdicts}
    files[turn.leading] = REPORT
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
            receipt=os.path.relpath(receipt_file, folder),
        )
        contents[file] = html.encode()
        if drawn is not None and role == turn.leading:
            contents |= {"differences.svg": drawn.svg, "differences.png": drawn.png}
    write_pages(folder, contents)
    text = note.note(
        turn.pair(turn.leading),
        compare_url_path=links.compare_url_path,
        report_url_path=links.artifact_path(REPORT),
        runs_url_path=links.runs_path,
        num_rows=links.rows_sent,
        standings=rows,
    )
    return Pages(text, tuple(folder / name for name in contents), receipt_file)
