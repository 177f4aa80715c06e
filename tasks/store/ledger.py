"""The ledger: which runs there were, which stages of them are done, and with what receipts.

It is the record of what happened; Prefect's state never is. A stage writes its rows and its
ledger entry in one transaction, so a killed run resumes after the last stage that is whole.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from expectations.contracts import RUN_STAGES, RUNS
from tasks.receipts import Receipt
from tasks.store.connection import Store


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One row of `runs`, as far as resuming and reporting need it."""

    run_id: str
    request: str
    state: str
    pid: int
    process_started_at: float
    started_at: datetime
    mlflow_run_id: str | None
    report: str | None


def new_run_id(now: datetime) -> str:
    """Sortable by time, unique without coordination: 20261124-160700-3f9a1c."""
    return f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def begin_run(store: Store, run_id: str, request: str, digest: str, now: datetime) -> None:
    row = {
        "run_id": run_id, "request": request, "request_digest": digest, "state": "running",
        "pid": os.getpid(), "process_started_at": process_started_at(os.getpid()) or 0.0,
        "started_at": now,
    }
    store.insert(RUNS, [row])


def find_unfinished(store: Store) -> list[RunRecord]:
    """Runs marked running, newest first, whoever works on them."""
    return [
        RunRecord(*row)
        for row in store.rows(
            "SELECT run_id, request, state, pid, process_started_at, started_at, mlflow_run_id, "
            "report FROM runs WHERE state = 'running' ORDER BY run_id DESC"
        )
    ]


def find_resumable(store: Store, digest: str) -> str | None:
    """The newest run with this request that stopped before its end: killed or failed."""
    return store.scalar(
        "SELECT run_id FROM runs WHERE request_digest = ? AND state IN ('running', 'failed') "
        "AND run_id = (SELECT max(run_id) FROM runs) LIMIT 1",
        [digest],
    )


def adopt_run(store: Store, run_id: str) -> None:
    """This process takes the run over."""
    pid = os.getpid()
    store.execute(
        "UPDATE runs SET state = 'running', error = NULL, pid = ?, process_started_at = ? "
        "WHERE run_id = ?",
        [pid, process_started_at(pid) or 0.0, run_id],
    )


def abandon_others(store: Store, run_id: str, now: datetime) -> int:
    """Mark other runs whose process is gone as abandoned; returns how many."""
    gone = [r for r in find_unfinished(store) if r.run_id != run_id and not is_alive(r)]
    for record in gone:
        finish_run(store, record.run_id, "abandoned", now, error="its process is gone")
    return len(gone)


def finish_run(store: Store, run_id: str, state: str, now: datetime, *, error: str | None = None) -> None:
    store.execute(
        "UPDATE runs SET state = ?, finished_at = ?, error = ? WHERE run_id = ?",
        [state, now, error, run_id],
    )


def annotate_run(store: Store, run_id: str, **columns: str | None) -> None:
    """Set columns of the run's row (eval_set_digest, champion_digest, mlflow_run_id, …)."""
    for name, value in columns.items():
        RUNS.column(name)  # a KeyError here is our own bug
        store.execute(f'UPDATE runs SET "{name}" = ? WHERE run_id = ?', [value, run_id])


def run_value(store: Store, run_id: str, column: str) -> str | None:
    RUNS.column(column)
    return store.scalar(f'SELECT "{column}" FROM runs WHERE run_id = ?', [run_id])


def finish_stage(store: Store, run_id: str, receipt: Receipt, now: datetime) -> None:
    """Record the receipt; call it inside the transaction that writes the stage's rows."""
    store.execute(
        "DELETE FROM run_stages WHERE run_id = ? AND stage = ?", [run_id, receipt.stage]
    )
    row = {
        "run_id": run_id, "stage": receipt.stage,
        "receipt": json.dumps(receipt.to_dict()), "finished_at": now,
    }
    store.insert(RUN_STAGES, [row])


def set_stage_seconds(store: Store, run_id: str, receipt: Receipt) -> None:
    """The time a stage took is known only after its transaction; it decides nothing."""
    store.execute(
        "UPDATE run_stages SET receipt = ? WHERE run_id = ? AND stage = ?",
        [json.dumps(receipt.to_dict()), run_id, receipt.stage],
    )


def finished_stage(store: Store, run_id: str, stage: str) -> Receipt | None:
    text = store.scalar(
        "SELECT receipt FROM run_stages WHERE run_id = ? AND stage = ?", [run_id, stage]
    )
    return None if text is None else Receipt.from_dict(json.loads(text))


def receipts(store: Store, run_id: str) -> list[Receipt]:
    """Receipts of a run in the order the stages finished."""
    found = store.rows(
        "SELECT receipt FROM run_stages WHERE run_id = ? ORDER BY finished_at", [run_id]
    )
    return [Receipt.from_dict(json.loads(text)) for (text,) in found]


def is_alive(record: RunRecord) -> bool:
    """Whether the process that began the run still is that process (a pid may be reused)."""
    started = process_started_at(record.pid)
    return started is not None and abs(started - record.process_started_at) < 1.0


def process_started_at(pid: int) -> float | None:
    """Start of a process in seconds since boot, None where it is gone.

    From /proc on Linux; elsewhere a living pid counts as started at 0.
    """
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return int(fields[19]) / os.sysconf("SC_CLK_TCK")
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return 0.0
    return 0.0
