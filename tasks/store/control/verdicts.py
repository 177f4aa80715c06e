"""Verdicts in the store, and the scores they rest on. Owns the SQL; decides nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from expectations.contracts import VERDICTS
from tasks.store.db.connection import Store


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One completion with one of its scores; `scorer` None where it has none."""

    sample_id: str
    seed: int
    is_complete: bool
    scorer: str | None
    value: float | None


@dataclass(frozen=True, slots=True)
class RunKeys:
    """What the gate of a run reads; None where an earlier stage has not been run."""

    eval_set_digest: str | None
    champion_digest: str | None
    challenger_digest: str | None


@dataclass(frozen=True, slots=True)
class StoredVerdict:
    """A verdict as stored, its JSON read."""

    verdict: str
    reasons: tuple[str, ...]
    suites: tuple[dict[str, Any], ...]
    slices: tuple[dict[str, Any], ...]


def read_run_keys(store: Store, run_id: str) -> RunKeys:
    row = store.one(
        "SELECT eval_set_digest, champion_digest, challenger_digest FROM runs WHERE run_id = ?",
        [run_id],
    )
    return RunKeys(*row) if row else RunKeys(None, None, None)


def read_answers(
    store: Store, eval_set_digest: str, release_digest: str, seeds: Sequence[int]
) -> list[AnswerRow]:
    """What a release has for the samples of a set, one row a score; none for what is missing."""
    return [
        AnswerRow(*row)
        for row in store.rows(
            "SELECT c.sample_id, c.seed, c.text IS NOT NULL AND c.error IS NULL, s.scorer, s.value "
            "FROM completions c JOIN eval_set_samples e USING (sample_id) "
            "LEFT JOIN scores s ON s.release_digest = c.release_digest "
            "AND s.sample_id = c.sample_id AND s.seed = c.seed "
            "WHERE e.eval_set_digest = ? AND c.release_digest = ? AND list_contains(?, c.seed) "
            "ORDER BY c.sample_id, c.seed, s.scorer",
            [eval_set_digest, release_digest, list(seeds)],
        )
    ]


def write_verdict(
    store: Store,
    run_id: str,
    *,
    verdict: str,
    reasons: Sequence[str],
    suites: Sequence[Mapping[str, Any]],
    slices: Sequence[Mapping[str, Any]],
    now: datetime,
) -> None:
    """Write the verdict of a run; one that is there already is replaced."""
    texts = [json.dumps(value, allow_nan=False) for value in (reasons, suites, slices)]
    if store.one("SELECT 1 FROM verdicts WHERE run_id = ?", [run_id]) is None:
        row = dict(zip(("reasons", "suites", "slices"), texts, strict=True))
        store.insert(VERDICTS, [{"run_id": run_id, "verdict": verdict, "created_at": now, **row}])
        return
    store.execute(
        "UPDATE verdicts SET verdict = ?, reasons = ?, suites = ?, slices = ?, created_at = ? "
        "WHERE run_id = ?",
        [verdict, *texts, now, run_id],
    )


def read_verdict(store: Store, run_id: str) -> StoredVerdict | None:
    row = store.one(
        "SELECT verdict, reasons, suites, slices FROM verdicts WHERE run_id = ?", [run_id]
    )
    if row is None:
        return None
    return StoredVerdict(row[0], *(tuple(json.loads(text)) for text in row[1:]))
