"""`flywheel record`: verdicts that MLflow was not there for, recorded now; each once.

So does every night at its beginning. Reports are drawn with it, since they link to MLflow.
"""

from __future__ import annotations

from collections.abc import Iterator

from flows.progress import shown
from flows.run_named import no_such_run
from flows.terminal import print_json
from flows.turn import RECORD, Execute, execute_stage, hold
from tasks.model.receipt import Receipt
from tasks.model.run import RunRequest
from tasks.model.visible import one_line
from tasks.run import Progress, Run, silent
from tasks.settings import Settings, read_settings
from tasks.store.control import ledger
from tasks.store.opening import open_store, store_exists


def record(run_id: str, *, config: str | None, as_json: bool) -> int:
    settings = read_settings(config)
    if run_id and not _is_known(settings, run_id):
        raise no_such_run(run_id)
    with hold(settings), shown() as progress:
        done = dict(catch_up(settings, run_id, progress=progress))
    if as_json:
        print_json({"recorded": list(done)})
        return 0
    for recorded, receipt in done.items():
        print(one_line(f"recorded {recorded} · {receipt.notes['report']}"))
    if not done:
        print("nothing to record: every verdict is in MLflow")
    return 0


def catch_up(
    settings: Settings,
    run_id: str = "",
    *,
    execute: Execute = execute_stage,
    progress: Progress = silent,
) -> Iterator[tuple[str, Receipt]]:
    """Record what is not recorded, the oldest run first; the ids with their receipts. The caller
    holds the state folder. Raises StoreError where MLflow is away; what was recorded stays so."""
    if not store_exists(settings):
        return
    with open_store(settings, read_only=True) as store:
        waiting = {
            found: RunRequest.from_json(ledger.run_value(store, found, "request") or "{}")
            for found in ledger.unrecorded(store, run_id)
        }
    for found, request in waiting.items():
        run = Run(found, request, settings, progress)
        receipt = execute(RECORD, run)
        with run.open_store() as store:
            ledger.annotate_run(store, found, error=None)
        yield found, receipt


def _is_known(settings: Settings, run_id: str) -> bool:
    if not store_exists(settings):
        return False
    with open_store(settings, read_only=True) as store:
        return ledger.find_run(store, run_id) is not None
