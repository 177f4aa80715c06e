"""`flywheel judge`: what a judge is worth by itself, on labels of people."""

from __future__ import annotations

import os
import time

from flows.commands.ui import mlflow_page
from flows.progress import shown
from flows.summary import config_option
from flows.terminal import console, print_json, print_pairs
from flows.turn import hold
from tasks.answering.journal import recover
from tasks.judges.alone import judge_alone
from tasks.model.run import RunRequest
from tasks.preflight import require_judge
from tasks.report.judges import card_rows
from tasks.run import Run, utc_now
from tasks.settings import read_settings
from tasks.store.control import ledger
from tasks.tracking.judges import record_judge


def measure_judge(
    name: str, *, labels: str, config: str | None, as_json: bool, is_recorded: bool = False
) -> int:
    """Exit code 0: it may gate; 1: it informs only. `is_recorded`: in MLflow, too."""
    settings = read_settings(config)
    require_judge(settings, name, is_labelled=bool(labels))
    started = time.monotonic()
    with hold(settings), shown() as progress:
        recover(settings, utc_now())
        run = Run(ledger.new_run_id(utc_now()), RunRequest(), settings, progress)
        measured = judge_alone(run, name, os.path.abspath(labels) if labels else "")
        seconds = round(time.monotonic() - started, 1)
        card, recorded = measured.card, None
        if is_recorded:
            recorded = record_judge(settings, run.run_id, card, measured.about, seconds)
    if as_json:
        told = {} if recorded is None else {"mlflow_run_id": recorded.mlflow_run_id}
        print_json({**card.to_json(), "seconds": seconds, **told})
    else:
        screen = console()
        screen.print()
        lost = measured.lost
        why = [("lost for now", f"{len(lost):,}: {lost[0].message}")] if lost else []
        where = []
        if recorded is not None:
            where = mlflow_page(settings, recorded.run_url_path, config_option(settings))
        print_pairs(screen, [*card_rows(card), *why, ("seconds", f"{seconds:.1f}"), *where])
        screen.print()
    return int(not card.can_gate)
