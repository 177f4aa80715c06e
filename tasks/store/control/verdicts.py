"""Verdicts in the store. Owns the SQL and that a verdict is kept as JSON; decides nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from tasks.model.canonical import writable
from tasks.model.guardrail import GuardrailResult
from tasks.model.verdict import RecordedVerdict, SliceResult, SuiteResult, Verdict
from tasks.store.db.connection import Store


def write_verdict(
    store: Store,
    run_id: str,
    *,
    verdict: Verdict,
    reasons: Sequence[str],
    suites: Sequence[SuiteResult],
    slices: Sequence[SliceResult],
    guardrails: Sequence[GuardrailResult],
    now: datetime,
) -> None:
    """Write the verdict of a run; one that is there already is replaced."""
    parts = (
        list(reasons),
        [suite.to_json() for suite in suites],
        [asdict(part) for part in slices],
        [part.to_json() for part in guardrails],
    )
    store.execute(
        "INSERT OR REPLACE INTO verdicts "
        "(run_id, verdict, reasons, suites, slices, guardrails, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        [run_id, verdict, *(json.dumps(part, allow_nan=False) for part in parts), now],
    )


def read_verdict(store: Store, run_id: str) -> RecordedVerdict | None:
    row = store.one(
        "SELECT verdict, reasons, suites, slices, coalesce(guardrails, '[]'), created_at "
        "FROM verdicts WHERE run_id = ?",
        [run_id],
    )
    if row is None:
        return None
    reasons, suites, slices, guardrails = (writable(json.loads(text)) for text in row[1:5])
    return RecordedVerdict(
        verdict=row[0],
        reasons=tuple(reasons),
        suites=tuple(SuiteResult.from_json(suite) for suite in suites),
        slices=tuple(SliceResult(**part) for part in slices),
        decided_at=row[5],
        guardrails=tuple(GuardrailResult.from_json(part) for part in guardrails),
    )


def number_of_look(store: Store, run_id: str, champion: str, challenger: str) -> int:
    """Which look at this pair of releases the run is: other samples, another seed or number of
    repeats are another look, the same again are the same. Counted by their first verdicts."""
    looks = store.rows(
        "SELECT list_contains(list(run_id), ?) FROM runs "
        "WHERE champion_digest = ? AND challenger_digest = ? "
        "AND (run_id = ? OR run_id IN (SELECT run_id FROM verdicts)) "
        "GROUP BY eval_set_digest, request->>'seed', request->>'repeats' ORDER BY min(run_id)",
        [run_id, champion, challenger, run_id],
    )
    return 1 + [is_this for (is_this,) in looks].index(True)


def newest_results(store: Store, before: str) -> dict[str, tuple[str, SuiteResult]]:
    """Suite → the newest run before `before` that judged it, and what it found."""
    results: dict[str, tuple[str, SuiteResult]] = {}
    for run_id, suites in store.rows(
        "SELECT run_id, suites FROM verdicts WHERE run_id < ? ORDER BY run_id", [before]
    ):
        for suite in writable(json.loads(suites)):
            result = SuiteResult.from_json(suite)
            results[result.rule.name] = (run_id, result)
    return results
