"""The store as it stood before a run answered and decided, in a store of its own. Owns the SQL;
decides nothing.

What is there: the eval set, all releases, the runs and verdicts up to then, the noise that was
known, and the evidence that the run's look began with. What is not: answers and scores, which are
to be made anew; and calls, but where a judge is held against the labels of feedback.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from expectations.contracts import (
    COMPLETIONS,
    EVAL_SET_SAMPLES,
    EVAL_SETS,
    EVIDENCE,
    EVIDENCE_LOOKS,
    EVIDENCE_SAMPLES,
    FEEDBACK,
    MODEL_FILES,
    RELEASES,
    REQUESTS,
    RUN_SAMPLES,
    RUN_STAGES,
    RUNS,
    SAMPLES,
    SCORES,
    VERDICTS,
    TableContract,
)
from tasks.store.db.connection import Store

#: of a run that is executed again, what it did not know yet
_AFTERWARDS = ("gate", "record")


def rewind(source: Store, target: Store, run_id: str, evaluated: str, *, with_calls: bool) -> None:
    """Fill an empty store. `evaluated`: the run that answered, where it is another one."""
    eval_set = source.scalar("SELECT eval_set_digest FROM runs WHERE run_id = ?", [run_id])
    decided_at = source.scalar("SELECT max(created_at) FROM verdicts WHERE run_id = ?", [run_id])
    of_set = "SELECT sample_id FROM eval_set_samples WHERE eval_set_digest = ?"
    own = [run_id, evaluated]
    parts: list[tuple[TableContract, str, Sequence[Any]]] = [
        (EVAL_SETS, "eval_set_digest = ?", [eval_set]),
        (EVAL_SET_SAMPLES, "eval_set_digest = ?", [eval_set]),
        (SAMPLES, f"sample_id IN ({of_set})", [eval_set]),
        (RELEASES, "true", []),
        (MODEL_FILES, "true", []),
        (RUNS, "run_id <= ?", [run_id]),
        (RUN_SAMPLES, "run_id <= ?", [run_id]),
        (VERDICTS, "run_id < ?", [run_id]),
        (
            RUN_STAGES,
            "CASE WHEN list_contains(?::VARCHAR[], run_id) "
            "THEN NOT list_contains(?::VARCHAR[], stage) ELSE finished_at <= ? END",
            [own, list(_AFTERWARDS), decided_at],
        ),
        (EVIDENCE_SAMPLES, "run_id < ?", [run_id]),
        (EVIDENCE_LOOKS, "run_id < ?", [run_id]),
    ]
    if with_calls:
        parts += [(REQUESTS, "run_id <= ?", [run_id]), (FEEDBACK, "run_id <= ?", [run_id])]
    with target.transaction():
        for contract, condition, parameters in parts:
            _copy(source, target, contract, f"FROM {contract.name} WHERE {condition}", parameters)
        _copy(source, target, EVIDENCE, _EVIDENCE, [run_id])


#: every evidence as the last look before the run left it
_EVIDENCE = """
FROM (
    SELECT e.* REPLACE (l.state AS state, l.run_id AS run_id)
    FROM evidence e JOIN evidence_looks l USING (evidence_id)
    WHERE l.run_id < ?
    QUALIFY row_number() OVER (PARTITION BY l.evidence_id ORDER BY l.run_id DESC) = 1
)
"""


def is_evidence_kept(store: Store, run_id: str) -> bool:
    """Whether it is known what every evidence that this run fed had been before: earlier builds
    kept only what it is."""
    lost = store.scalar(
        "SELECT count(*) FROM evidence_samples WHERE run_id < $1 "
        "AND evidence_id IN (SELECT evidence_id FROM evidence_samples WHERE run_id = $1) "
        "AND evidence_id NOT IN (SELECT evidence_id FROM evidence_looks WHERE run_id < $1)",
        [run_id],
    )
    return not lost


def lend_completions(
    source: Store, target: Store, eval_set: str, digests: Sequence[str], seeds: range
) -> None:
    """Answers that cannot be asked for again, as they were recorded."""
    with target.transaction():
        _copy(
            source,
            target,
            COMPLETIONS,
            "FROM completions WHERE list_contains(?::VARCHAR[], release_digest) "
            "AND seed >= ? AND seed < ? AND sample_id IN "
            "(SELECT sample_id FROM eval_set_samples WHERE eval_set_digest = ?)",
            [list(digests), seeds.start, seeds.stop, eval_set],
        )


def lend_scores(
    source: Store, target: Store, eval_set: str, scorer: str, digests: Sequence[str], seeds: range
) -> None:
    """What a judge that cannot be asked again gave, as it was recorded."""
    with target.transaction():
        _copy(
            source,
            target,
            SCORES,
            "FROM scores WHERE scorer = ? AND list_contains(?::VARCHAR[], release_digest) "
            "AND seed >= ? AND seed < ? AND sample_id IN "
            "(SELECT sample_id FROM eval_set_samples WHERE eval_set_digest = ?)",
            [scorer, list(digests), seeds.start, seeds.stop, eval_set],
        )


def read_scored(
    store: Store, eval_set: str, digests: Sequence[str], seeds: range
) -> list[tuple[Any, ...]]:
    """Release, sample, seed, scorer, value, and why there is none, of the answers to a set."""
    return store.rows(
        "SELECT s.release_digest, s.sample_id, s.seed, s.scorer, s.value, s.unscored_reason "
        "FROM scores s JOIN eval_set_samples e USING (sample_id) WHERE e.eval_set_digest = ? "
        "AND list_contains(?::VARCHAR[], s.release_digest) AND s.seed >= ? AND s.seed < ?",
        [eval_set, list(digests), seeds.start, seeds.stop],
    )


#: what a verdict's bytes are; when it was written is none of them
_VERDICT = ("verdict", "reasons", "suites", "slices", "guardrails")


def read_verdict_rows(store: Store, run_id: str) -> dict[str, dict[str, str]]:
    """Role → column → its text, byte by byte; with the ranking, which is of all of them, under
    each."""
    ranking = store.scalar(
        "SELECT string_agg(concat_ws('|', suite, role, mean, low, high, num_samples), ';' "
        "ORDER BY suite, role) FROM rankings WHERE run_id = ?",
        [run_id],
    )
    rows = store.rows(
        f"SELECT role, {', '.join(f'{name}::VARCHAR' for name in _VERDICT)}, is_leading::VARCHAR "
        "FROM verdicts WHERE run_id = ? ORDER BY is_leading DESC, length(role), role",
        [run_id],
    )
    names = (*_VERDICT, "is_leading")
    return {
        role: {**dict(zip(names, texts, strict=True)), "ranking": ranking or ""}
        for role, *texts in rows
    }


def _copy(
    source: Store, target: Store, contract: TableContract, rows: str, parameters: Sequence[Any]
) -> None:
    columns = ", ".join(f'"{name}"' for name in contract.column_names)
    found = source.arrow(f"SELECT {columns} {rows}", parameters)
    if found.num_rows:
        target.insert_table(contract, found)
