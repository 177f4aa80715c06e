"""Verdicts in the store. Owns the SQL and that a verdict is kept as JSON; decides nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from expectations.contracts import RANKINGS
from tasks.model.answer import Role
from tasks.model.canonical import parsed
from tasks.model.guardrail import GuardrailResult
from tasks.model.reuse import PairVerdict
from tasks.model.verdict import Rank, RecordedVerdict, SliceResult, SuiteResult, Verdict
from tasks.store.db.connection import Store

#: of a verdict v and its run r: the release that it is on
CHALLENGER_DIGEST = (
    "CASE v.role WHEN 'challenger' THEN r.challenger_digest "
    "ELSE r.more_challengers[TRY_CAST(replace(v.role, 'challenger_', '') AS BIGINT) - 1] END"
)


def write_verdict(
    store: Store,
    run_id: str,
    role: Role = "challenger",
    *,
    verdict: Verdict,
    reasons: Sequence[str],
    suites: Sequence[SuiteResult],
    slices: Sequence[SliceResult],
    guardrails: Sequence[GuardrailResult],
    now: datetime,
    is_leading: bool = True,
) -> None:
    """Write the verdict of a run on one challenger; one that is there already is replaced."""
    parts = (
        list(reasons),
        [suite.to_json() for suite in suites],
        [asdict(part) for part in slices],
        [part.to_json() for part in guardrails],
    )
    store.execute(
        "INSERT OR REPLACE INTO verdicts "
        "(run_id, role, verdict, reasons, suites, slices, guardrails, created_at, is_leading) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            *(run_id, role, verdict),
            *(json.dumps(part, allow_nan=False) for part in parts),
            *(now, is_leading),
        ],
    )


def read_verdicts(store: Store, run_id: str) -> dict[Role, RecordedVerdict]:
    """Of every challenger, the one that the run came to first; none before the gate."""
    rows = store.rows(
        "SELECT role, verdict, reasons, suites, slices, coalesce(guardrails, '[]'), created_at "
        "FROM verdicts WHERE run_id = ? ORDER BY is_leading DESC, length(role), role",
        [run_id],
    )
    found: dict[Role, RecordedVerdict] = {}
    for role, verdict, *texts, decided_at in rows:
        reasons, suites, slices, guardrails = (parsed(text) for text in texts)
        found[role] = RecordedVerdict(
            verdict=verdict,
            reasons=tuple(reasons),
            suites=tuple(SuiteResult.from_json(suite) for suite in suites),
            slices=tuple(SliceResult(**part) for part in slices),
            decided_at=decided_at,
            guardrails=tuple(GuardrailResult.from_json(part) for part in guardrails),
        )
    return found


def pair_verdicts(store: Store) -> list[PairVerdict]:
    """Every verdict on two releases that are known, in the order they were reached."""
    rows = store.rows(
        f"SELECT v.run_id, v.verdict, r.champion_digest, {CHALLENGER_DIGEST} AS challenger, "
        "v.created_at FROM verdicts v JOIN runs r USING (run_id) "
        "WHERE r.champion_digest IS NOT NULL AND challenger IS NOT NULL "
        "ORDER BY v.created_at, v.run_id, v.role"
    )
    return [PairVerdict(*row) for row in rows]


def write_ranking(store: Store, run_id: str, ranking: Sequence[Rank]) -> None:
    store.execute("DELETE FROM rankings WHERE run_id = ?", [run_id])
    store.insert(RANKINGS, [{"run_id": run_id, **asdict(rank)} for rank in ranking])


def read_ranking(store: Store, run_id: str) -> tuple[Rank, ...]:
    """Suite by suite, all of them together first; in each the best mean first."""
    rows = store.rows(
        "SELECT suite, role, mean, low, high, num_samples FROM rankings WHERE run_id = ? "
        "ORDER BY suite, mean DESC NULLS LAST, length(role), role",
        [run_id],
    )
    return tuple(Rank(*row) for row in rows)


def number_of_look(store: Store, run_id: str, champion: str, challenger: str) -> int:
    """Which look at this pair of releases the run is: other samples, another seed or number of
    repeats are another look, the same again are the same. Counted by their first verdicts."""
    looks = store.rows(
        "SELECT list_contains(list(run_id), $1) FROM (SELECT *, (SELECT count(*) FROM run_samples "
        "WHERE run_samples.run_id = runs.run_id) AS num_asked FROM runs "
        "WHERE champion_digest = $2 "
        "AND list_contains(list_prepend(challenger_digest, more_challengers), $3) "
        "AND (run_id = $1 OR run_id IN (SELECT run_id FROM verdicts))) "
        "GROUP BY eval_set_digest, request->>'seed', request->>'repeats', num_asked "
        "ORDER BY min(run_id)",
        [run_id, champion, challenger],
    )
    return 1 + [is_this for (is_this,) in looks].index(True)


def newest_results(store: Store, before: str) -> dict[str, tuple[str, SuiteResult]]:
    """Suite → the newest run before `before` that judged it, and what it found of the challenger
    that it came to."""
    results: dict[str, tuple[str, SuiteResult]] = {}
    for run_id, suites in store.rows(
        "SELECT run_id, suites FROM verdicts WHERE run_id < ? AND is_leading ORDER BY run_id",
        [before],
    ):
        for suite in parsed(suites):
            result = SuiteResult.from_json(suite)
            results[result.rule.name] = (run_id, result)
    return results
