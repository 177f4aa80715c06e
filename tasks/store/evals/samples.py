"""Samples and eval sets in the store: what curate reads and writes, and what later stages read.

Owns the SQL; decides nothing. Everything but the choice of columns is in the contracts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from expectations.contracts import EVAL_SET_SAMPLES, EVAL_SETS, SAMPLES
from tasks.model.sample import Sample
from tasks.store.db.connection import Store
from tasks.store.db.schema import create_table_sql
from tasks.store.held.quarantine import Rows


@dataclass(frozen=True, slots=True)
class CallRow:
    """The columns of `requests` that curate needs."""

    request_id: str
    started_at: datetime | None
    prompt_name: str | None
    session_id: str | None
    model: str | None
    operation: str | None
    status: str | None
    messages: str | None
    response: str | None


@dataclass(frozen=True, slots=True)
class FeedbackRow:
    """The columns of `feedback` that curate needs."""

    feedback_id: str
    request_id: str
    kind: str
    value: float | None
    corrected: str | None
    given_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredEvalSet:
    """An eval set that is there already."""

    run_id: str
    parent_digest: str | None
    judged_by: str | None


def read_calls(store: Store) -> list[CallRow]:
    """Every call of the history."""
    return [
        CallRow(*row)
        for row in store.rows(
            "SELECT request_id, started_at, prompt_name, session_id, model, operation, status, "
            "messages, response FROM requests ORDER BY request_id"
        )
    ]


def read_feedback(store: Store) -> list[FeedbackRow]:
    return [
        FeedbackRow(*row)
        for row in store.rows(
            "SELECT feedback_id, request_id, kind, value, corrected, given_at FROM feedback "
            "ORDER BY feedback_id"
        )
    ]


def read_eval_set(store: Store, digest: str) -> list[Sample]:
    """The samples of an eval set in its order; none where there is no such set."""
    return [
        Sample(
            sample_id=sample_id,
            suite=suite,
            task=task,
            messages=tuple(writable(json.loads(messages))),
            system=system,
            target=target,
            target_kind=target_kind,
            origin=origin,
            slices={str(name): str(value) for name, value in writable(json.loads(slices)).items()},
            must_pass=must_pass,
            request_id=request_id,
            cluster_id=cluster_id,
        )
        for (
            sample_id, suite, task, messages, system, target, target_kind, origin, slices,
            must_pass, request_id, cluster_id,
        ) in store.rows(
            "SELECT s.sample_id, s.suite, s.task, s.messages, s.system, s.target, s.target_kind, "
            "s.origin, s.slices, s.must_pass, s.request_id, e.cluster_id "
            "FROM eval_set_samples e JOIN samples s USING (sample_id) "
            "WHERE e.eval_set_digest = ? ORDER BY e.position, s.sample_id",
            [digest],
        )
    ]  # fmt: skip


def writable(value: Any) -> Any:
    """Text that UTF-8 can hold: lone surrogates (JSON escapes allow them) become U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [writable(item) for item in value]
    if isinstance(value, dict):
        return {writable(key): writable(item) for key, item in value.items()}
    return value


def find_eval_set(store: Store, digest: str) -> StoredEvalSet | None:
    row = store.one(
        "SELECT run_id, parent_digest, rule->>'$.judged_by' FROM eval_sets "
        "WHERE eval_set_digest = ?",
        [digest],
    )
    return None if row is None else StoredEvalSet(*row)


def latest_eval_set(store: Store, run_id: str) -> str | None:
    """The eval set of the newest other run that has one."""
    digest: str | None = store.scalar(
        "SELECT eval_set_digest FROM runs WHERE eval_set_digest IS NOT NULL AND run_id <> ? "
        "ORDER BY run_id DESC LIMIT 1",
        [run_id],
    )
    return digest


#: the samples of a set that is not written yet, where Great Expectations can see them
CANDIDATES = Rows("eval_candidates", "sample_id", "judged_candidates")


@contextmanager
def candidates(store: Store, samples: Sequence[Mapping[str, Any]]) -> Iterator[None]:
    """A table of the samples for as long as they are judged."""
    known = set(SAMPLES.column_names)
    rows = [{key: value for key, value in row.items() if key in known} for row in samples]
    with store.transaction():
        store.execute(f"DROP TABLE IF EXISTS {CANDIDATES.table}")
        store.execute(create_table_sql(SAMPLES, CANDIDATES.table))
        store.insert(SAMPLES, rows, table=CANDIDATES.table)
    try:
        yield
    finally:
        store.execute(f"DROP TABLE IF EXISTS {CANDIDATES.table}")


def failed_candidates(store: Store) -> dict[str, str]:
    """Sample id → the first critical rule it fails."""
    return dict(
        store.rows(f"SELECT row_id, failed[1] FROM {CANDIDATES.marks} WHERE len(failed) > 0")
    )


def write_eval_set(
    store: Store, digest: str, samples: Sequence[Mapping[str, Any]], set_row: Mapping[str, Any]
) -> None:
    """Write a set and its samples; what is there already is the same by content and stays.

    `samples` are rows of the contract with `cluster_id` besides; `set_row` holds created_at,
    run_id, parent_digest and rule.
    """
    known = set(SAMPLES.column_names)
    store.insert(
        SAMPLES,
        [{key: value for key, value in row.items() if key in known} for row in samples],
        ignore_existing=True,
    )
    store.insert(
        EVAL_SETS,
        [{**set_row, "eval_set_digest": digest, "num_samples": len(samples)}],
        ignore_existing=True,
    )
    store.insert(
        EVAL_SET_SAMPLES,
        [
            {
                "eval_set_digest": digest,
                "sample_id": row["sample_id"],
                "position": position,
                "cluster_id": row["cluster_id"],
            }
            for position, row in enumerate(samples)
        ],
        ignore_existing=True,
    )
