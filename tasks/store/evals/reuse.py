"""Which suites have decided on which releases, in the store. Owns the SQL; decides nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tasks.model.canonical import writable
from tasks.model.reuse import Decided
from tasks.model.sample import PINNED
from tasks.store.control.verdicts import CHALLENGER_DIGEST
from tasks.store.db.connection import Store


def eval_sets_like(store: Store, beginning: str) -> list[str]:
    rows = store.rows(
        "SELECT eval_set_digest FROM eval_sets WHERE starts_with(eval_set_digest, ?) ORDER BY 1",
        [beginning],
    )
    return [digest for (digest,) in rows]


def read_decided_suites(store: Store) -> list[Decided]:
    """Every verdict so far, by time."""
    rows = store.rows(
        "SELECT v.run_id, r.eval_set_digest, r.champion_digest, "
        f"{CHALLENGER_DIGEST}, "
        "concat_ws('/', r.request->>'seed', r.request->>'repeats', "
        "(SELECT count(*) FROM run_samples s WHERE s.run_id = r.run_id)), "
        "1 + coalesce(len(r.more_challengers), 0), v.suites, v.created_at "
        "FROM verdicts v JOIN runs r USING (run_id) "
        "WHERE r.eval_set_digest IS NOT NULL AND r.champion_digest IS NOT NULL "
        "ORDER BY v.created_at, v.run_id, v.role"
    )
    found = []
    for run_id, digest, champion, challenger, look, num_challengers, suites, at in rows:
        gating = {
            str(suite.get("suite"))
            for suite in writable(json.loads(suites))
            if suite.get("role") in ("primary", "guard")
        }
        if challenger is not None:
            of_run = (run_id, digest, champion, challenger, look, num_challengers)
            found.append(Decided(*of_run, frozenset(gating), at))
    return found


def shares_of_sets(store: Store, sample_ids: Sequence[str]) -> dict[str, float]:
    """Eval set → share of these samples that are in it, of all sets with any."""
    rows = store.rows(
        "SELECT eval_set_digest, count(*) FROM eval_set_samples "
        "JOIN (SELECT unnest(?::VARCHAR[]) AS sample_id) USING (sample_id) GROUP BY 1",
        [list(sample_ids)],
    )
    return {digest: number / len(sample_ids) for digest, number in rows}


def newest_decided_set(store: Store) -> str | None:
    """The eval set of the newest run that has a verdict."""
    digest: str | None = store.scalar(
        "SELECT r.eval_set_digest FROM runs r JOIN verdicts v USING (run_id) "
        "WHERE r.eval_set_digest IS NOT NULL ORDER BY r.run_id DESC LIMIT 1"
    )
    return digest


def newest_samples(store: Store) -> dict[str, tuple[str, ...]]:
    """Suite → ids of its samples in the newest eval set of a run that has a verdict, without
    pins."""
    found: dict[str, list[str]] = {}
    for suite, sample_id in store.rows(
        "SELECT s.suite, s.sample_id FROM eval_set_samples e JOIN samples s USING (sample_id) "
        "WHERE e.eval_set_digest = ? AND s.origin <> ? ORDER BY e.position",
        [newest_decided_set(store), PINNED],
    ):
        found.setdefault(suite, []).append(sample_id)
    return {suite: tuple(ids) for suite, ids in found.items()}
