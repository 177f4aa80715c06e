"""The ledger: which runs there were, which stages of them are done, and with what receipts.

It is the record of what happened; Prefect's state never is. A stage writes its rows and its
ledger entry in one transaction, so a killed run resumes after the last stage that is whole.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from expectations.contracts import RUN_STAGES, RUNS
from tasks.model.answer import Role, challenger_role
from tasks.model.receipt import Receipt
from tasks.model.run import RunRequest
from tasks.store.db.connection import Store


def new_run_id(now: datetime) -> str:
    """Sortable by time, unique without coordination: 20261124-160700-123456-3f."""
    return f"{now:%Y%m%d-%H%M%S-%f}-{secrets.token_hex(1)}"


def begin_run(store: Store, run_id: str, request: str, digest: str, now: datetime) -> None:
    row = {
        "run_id": run_id,
        "request": request,
        "request_digest": digest,
        "state": "running",
        "pid": os.getpid(),
        "started_at": now,
    }
    store.insert(RUNS, [row])


@dataclass(frozen=True, slots=True)
class RunKeys:
    """What an evaluated run is decided on: its eval set, and the release in each role."""

    eval_set_digest: str
    release_digests: Mapping[Role, str]


def run_keys(store: Store, run_id: str) -> RunKeys | None:
    """None where the run has not been evaluated."""
    row = store.one(
        "SELECT eval_set_digest, champion_digest, challenger_digest, more_challengers FROM runs "
        "WHERE run_id = ?",
        [run_id],
    )
    if row is None or None in row[:3]:
        return None
    eval_set, champion, *first, more = row
    challengers = enumerate([*first, *(more or ())])
    roles = {challenger_role(place): digest for place, digest in challengers}
    return RunKeys(eval_set, {"champion": champion, **roles})


def set_run_keys(store: Store, run_id: str, keys: RunKeys) -> None:
    """The releases with the champion first, then the challengers in order."""
    champion, challenger, *more = keys.release_digests.values()
    annotate_run(
        store,
        run_id,
        eval_set_digest=keys.eval_set_digest,
        champion_digest=champion,
        challenger_digest=challenger,
    )
    store.execute("UPDATE runs SET more_challengers = ? WHERE run_id = ?", [more, run_id])


def began_at(store: Store, run_id: str) -> datetime | None:
    moment: datetime | None = store.scalar("SELECT started_at FROM runs WHERE run_id = ?", [run_id])
    return moment


def find_completed(store: Store, digest: str) -> str | None:
    """The newest run of this request that has ended well."""
    run_id: str | None = store.scalar(
        "SELECT max(run_id) FROM runs WHERE request_digest = ? AND state = 'completed'", [digest]
    )
    return run_id


def unrecorded(store: Store, run_id: str = "") -> list[str]:
    """Runs, the oldest first, whose verdict was to be recorded and is not, of which nobody is at
    work; `run_id`: of the beginning of an id alone."""
    rows = store.rows(
        "SELECT run_id FROM runs WHERE run_id IN (SELECT run_id FROM verdicts) "
        "AND list_contains((request->>'$.stages[*]'), 'record') AND state <> 'running' "
        "AND run_id NOT IN (SELECT run_id FROM run_stages WHERE stage = 'record') "
        "AND starts_with(run_id, ?) ORDER BY run_id",
        [run_id],
    )
    return [found for (found,) in rows]


def last_decided_until(store: Store, until: datetime) -> datetime | None:
    """The latest end of a window, up to then, of a turn that came to a verdict of its own over all
    that had come in by that end, whatever became of it afterwards. One that was killed and is to be
    taken up is not among them."""
    ended: datetime | None = store.scalar(
        "SELECT max(ended) FROM (SELECT TRY_CAST(request->>'until' AS TIMESTAMP) AS ended "
        "FROM runs JOIN verdicts USING (run_id) WHERE state <> 'running' "
        "AND request->>'since' = '' AND request->>'scores_of' = '') WHERE ended <= ?",
        [until],
    )
    return ended


def find_evaluated(
    store: Store, run_id: str, champion: str, challengers: Sequence[str]
) -> str | None:
    """The newest run with scores; of the beginning of an id and of releases by name, where told:
    every challenger named is one of the run's."""
    for newest, request in store.rows(
        "SELECT run_id, request FROM runs JOIN run_stages USING (run_id) "
        "WHERE stage = 'evaluate' AND starts_with(run_id, ?) ORDER BY run_id DESC",
        [run_id],
    ):
        asked = RunRequest.from_json(request)
        if champion in ("", asked.champion) and set(challengers) <= set(asked.challengers):
            return str(newest)
    return None


def find_killed(store: Store, digest: str) -> str | None:
    """The newest run, if it had this request and never ended; else None.

    The caller holds the run lock, so whoever began it is gone. A run that failed with an error is
    not taken up: what caused it may have been mended, so all of it starts again (and finds what
    was committed).
    """
    newest = store.one(
        "SELECT run_id, request_digest, state FROM runs ORDER BY run_id DESC LIMIT 1"
    )
    if newest is None or newest[1:] != (digest, "running"):
        return None
    run_id: str = newest[0]
    return run_id


def find_run(store: Store, run_id: str) -> str | None:
    """The newest run whose id begins so; of no beginning, the newest that has a verdict."""
    newest: str | None = store.scalar(
        "SELECT max(run_id) FROM runs WHERE starts_with(run_id, $1) "
        "AND ($1 <> '' OR run_id IN (SELECT run_id FROM verdicts))",
        [run_id],
    )
    return newest


def count_runs(store: Store) -> int:
    return int(store.scalar("SELECT count(*) FROM runs"))


def adopt_run(store: Store, run_id: str) -> None:
    """This process takes the run over."""
    store.execute(
        "UPDATE runs SET state = 'running', error = NULL, pid = ? WHERE run_id = ?",
        [os.getpid(), run_id],
    )


def abandon_others(store: Store, run_id: str, now: datetime) -> None:
    """Mark every other unfinished run as abandoned; the caller holds the run lock."""
    store.execute(
        "UPDATE runs SET state = 'abandoned', finished_at = ?, error = 'its process is gone' "
        "WHERE state = 'running' AND run_id <> ?",
        [now, run_id],
    )


def finish_run(
    store: Store, run_id: str, state: str, now: datetime, *, error: str | None = None
) -> None:
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
    value: str | None = store.scalar(f'SELECT "{column}" FROM runs WHERE run_id = ?', [run_id])
    return value


def finish_stage(store: Store, run_id: str, receipt: Receipt, now: datetime) -> None:
    """Record the receipt; call it inside the transaction that writes the stage's rows."""
    store.execute("DELETE FROM run_stages WHERE run_id = ? AND stage = ?", [run_id, receipt.stage])
    row = {
        "run_id": run_id,
        "stage": receipt.stage,
        "receipt": json.dumps(receipt.to_dict()),
        "finished_at": now,
    }
    store.insert(RUN_STAGES, [row])


def set_stage_seconds(store: Store, run_id: str, receipt: Receipt) -> None:
    """The time a stage took is known only after its transaction; it decides nothing."""
    store.execute(
        "UPDATE run_stages SET receipt = ? WHERE run_id = ? AND stage = ?",
        [json.dumps(receipt.to_dict()), run_id, receipt.stage],
    )


def finished_stage(store: Store, run_id: str, stage: str) -> Receipt | None:
    return next((done for done in receipts(store, run_id) if done.stage == stage), None)


def receipts(store: Store, run_id: str) -> list[Receipt]:
    """Receipts of a run in the order the stages finished."""
    found = store.rows(
        "SELECT receipt FROM run_stages WHERE run_id = ? ORDER BY finished_at", [run_id]
    )
    return [Receipt.from_dict(json.loads(text)) for (text,) in found]


def newest_note(store: Store, stage: str, name: str) -> str | None:
    """A note of the newest receipt of a stage that has it, as text."""
    note: str | None = store.scalar(
        "SELECT receipt->'notes'->>? FROM run_stages WHERE stage = ? "
        "AND receipt->'notes'->>? IS NOT NULL ORDER BY finished_at DESC LIMIT 1",
        [name, stage, name],
    )
    return note
