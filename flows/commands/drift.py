"""`flywheel drift`: what a run found when it compared its new calls with those before."""

from __future__ import annotations

from dataclasses import asdict

from flows.run_named import no_such_run
from flows.terminal import Table, console, print_json, print_table
from tasks.errors import UsageError
from tasks.model.drift import ColumnDrift
from tasks.model.visible import one_line
from tasks.report.drift import moved
from tasks.settings import read_settings
from tasks.store.control import ledger
from tasks.store.intake import drift as table
from tasks.store.opening import open_store

_HEADINGS = ("column", "reference", "new", "PSI", "test", "adjusted p", "judgement")


def show_drift(run_id: str, *, config: str | None, as_json: bool) -> int:
    settings = read_settings(config)
    with open_store(settings, read_only=True) as store:
        compared = table.find_run(store, run_id)
        if compared is None:
            if run_id and not ledger.find_run(store, run_id):
                raise no_such_run(run_id)
            raise UsageError(
                "no run compared its calls with those before",
                received=run_id or "nothing",
                next="flywheel run, once there are calls to compare",
            )
        columns = table.read(store, compared)
        receipt = ledger.finished_stage(store, compared, "redact")
        notes = receipt.notes.get("drift", {}) if receipt else {}
        alarms = {alarm["column"]: alarm for alarm in notes.get("alarms", ())}
    if as_json:
        told = [
            {**asdict(column), "moved": alarms.get(column.column_name, {}).get("moved", [])}
            for column in columns
        ]
        print_json({"run_id": compared, "columns": told})
        return 0
    print(f"new calls of {compared}")
    rows = [_cells(column) for column in columns]
    print_table(console(), Table(_HEADINGS, rows, texts=("column", "test", "judgement")))
    for name, alarm in alarms.items():
        if text := moved(alarm):
            print(one_line(f"{name}: {text}"))
    return 0


def _cells(column: ColumnDrift) -> tuple[str, ...]:
    counts = (column.column_name, f"{column.num_reference:,}", f"{column.num_new:,}")
    if column.psi is None or column.adjusted_p is None:
        return (*counts, "", "", "", column.not_judged or "")
    numbers = (f"{column.psi:.3f}", column.test or "", f"{column.adjusted_p:.3g}")
    return (*counts, *numbers, "ALARM" if column.is_alarm else "")
