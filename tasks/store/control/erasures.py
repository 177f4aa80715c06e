"""The `erasures` table: which eval sets lost samples, which runs stood on them. Decides nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

from expectations.contracts import ERASURES
from tasks.model.erasure import BLOT, Erasure
from tasks.store.db.connection import Store
from tasks.store.db.sql import among

_ABANDONED = "samples of its eval set were erased"
#: where such a text may stand: table, its key, column of JSON
_TOLD = (
    ("runs", ("run_id",), "request"),
    ("run_stages", ("run_id", "stage"), "receipt"),
    ("verdicts", ("run_id", "role"), "reasons"),
)


def keep_erasure(
    store: Store,
    erasure_id: str,
    erased_at: datetime,
    eval_set_digest: str,
    successor_digest: str | None,
    num_samples: int,
) -> None:
    row = {
        "erasure_id": erasure_id,
        "erased_at": erased_at,
        "eval_set_digest": eval_set_digest,
        "successor_digest": successor_digest,
        "num_samples": num_samples,
    }
    store.insert(ERASURES, [row])


def erasures_of(store: Store, run_id: str) -> tuple[Erasure, ...]:
    """Of the eval set that a run stood on, in order."""
    rows = store.rows(
        "SELECT e.erased_at, e.num_samples FROM erasures e JOIN runs USING (eval_set_digest) "
        "WHERE run_id = ? ORDER BY e.erasure_id",
        [run_id],
    )
    return tuple(Erasure(*row) for row in rows)


def erased_sets(store: Store) -> set[str]:
    return {digest for (digest,) in store.rows("SELECT DISTINCT eval_set_digest FROM erasures")}


def runs_on(store: Store, eval_set_digests: Collection[str]) -> list[str]:
    rows = store.rows(
        f"SELECT run_id FROM runs WHERE {among('eval_set_digest')} ORDER BY run_id",
        [list(eval_set_digests)],
    )
    return [run_id for (run_id,) in rows]


def abandon_on(store: Store, eval_set_digests: Collection[str], now: datetime) -> None:
    """Runs that were killed on these sets: nobody may take them up. The caller holds the run
    lock."""
    store.execute(
        f"UPDATE runs SET state = 'abandoned', finished_at = ?, error = '{_ABANDONED}' "
        f"WHERE state = 'running' AND {among('eval_set_digest')}",
        [now, list(eval_set_digests)],
    )


def blot_out(store: Store, quotes: Callable[[str], bool]) -> int:
    """Take out of requests, receipts, reasons and errors of runs every text that quotes what was
    erased; returns how many rows had one."""
    num = 0
    for table, key, column in _TOLD:
        for *values, text in store.rows(f"SELECT {', '.join(key)}, {column} FROM {table}"):
            told = json.loads(text)
            blotted = _blotted(told, quotes)
            if blotted != told:
                where = " AND ".join(f"{name} = ?" for name in key)
                store.execute(
                    f"UPDATE {table} SET {column} = ? WHERE {where}",
                    [json.dumps(blotted), *values],
                )
                num += 1
    for run_id, error in store.rows("SELECT run_id, error FROM runs WHERE error IS NOT NULL"):
        if quotes(error):
            store.execute("UPDATE runs SET error = ? WHERE run_id = ?", [BLOT, run_id])
            num += 1
    return num


def _blotted(value: Any, quotes: Callable[[str], bool]) -> Any:
    if isinstance(value, str):
        return BLOT if quotes(value) else value
    if isinstance(value, list):
        return [_blotted(item, quotes) for item in value]
    if isinstance(value, dict):
        return {name: _blotted(item, quotes) for name, item in value.items()}
    return value
