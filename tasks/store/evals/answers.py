"""Completions with their scores: kept by evaluate, read by whoever judges. Decides nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from expectations.contracts import COMPLETIONS, SCORES
from tasks.model.answer import Answer, CompletionKey
from tasks.model.failure import Fault
from tasks.model.health import StoredScores
from tasks.store.db.connection import Store
from tasks.store.db.sql import among
from tasks.store.evals.judgements import PROMPT_PREFIX

if TYPE_CHECKING:
    import pyarrow as pa

#: there is no text to judge
_IS_LOST = "(c.text IS NULL OR c.error IS NOT NULL)"


@dataclass(frozen=True, slots=True)
class StoredCompletion:
    """A completion as scoring needs it."""

    key: CompletionKey
    text: str | None
    error: str | None
    fault: Fault | None


@dataclass(frozen=True, slots=True)
class CompletionTotals:
    """Sums over the completions one run computed for given releases."""

    computed: int
    errors: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int


#: completions of releases on an eval set, whichever run computed them
_COMPLETED = (
    "FROM completions c JOIN eval_set_samples e USING (sample_id) "
    "WHERE e.eval_set_digest = ? AND list_contains(?::VARCHAR[], c.release_digest) "
    "AND c.seed >= ? AND c.seed < ?"
)


def read_completions(
    store: Store,
    eval_set_digest: str,
    release_digests: Sequence[str],
    seeds: range,
    only: Collection[str] | None = None,
) -> list[StoredCompletion]:
    """Completions of these releases on the eval set, or `only` on some samples of it, whichever run
    computed them."""
    condition, of_these = _only(only)
    rows = store.rows(
        "SELECT c.release_digest, c.sample_id, c.seed, c.text, c.error, c.fault "
        f"{_COMPLETED}{condition} ORDER BY c.release_digest, e.position, c.seed",
        [eval_set_digest, list(release_digests), seeds.start, seeds.stop, *of_these],
    )
    return [
        StoredCompletion(CompletionKey(digest, sample_id, seed), *completion)
        for digest, sample_id, seed, *completion in rows
    ]


def completed_keys(
    store: Store,
    eval_set_digest: str,
    release_digests: Sequence[str],
    seeds: range,
    only: Collection[str] | None = None,
) -> set[CompletionKey]:
    """Of the completions that `read_completions` reads."""
    condition, of_these = _only(only)
    rows = store.rows(
        f"SELECT c.release_digest, c.sample_id, c.seed {_COMPLETED}{condition}",
        [eval_set_digest, list(release_digests), seeds.start, seeds.stop, *of_these],
    )
    return {CompletionKey(*row) for row in rows}


def _only(samples: Collection[str] | None) -> tuple[str, list[list[str]]]:
    """What more is asked of a completion that is of these samples, and its parameter."""
    return ("", []) if samples is None else (f" AND {among('c.sample_id')}", [list(samples)])


def settled_samples(
    store: Store,
    run_id: str,
    eval_set_digest: str,
    release_digests: Sequence[str],
    seeds: range,
    scorers: Mapping[str, Collection[str]],
) -> pa.Table:
    """sample_id of each sample of which other runs left nothing to do: these releases have all
    answered it under every seed, and each of the scorers of its suite gave each of the answers a
    value. `scorers`: suite → versions, none twice; of a suite that is not there none is settled."""
    asked = [(suite, version) for suite, versions in scorers.items() for version in versions]
    return store.arrow(
        "WITH asked AS (SELECT unnest(?::VARCHAR[]) AS suite, unnest(?::VARCHAR[]) AS scorer), "
        "wanted AS (SELECT suite, count(*) * ? AS num_values FROM asked GROUP BY suite) "
        "SELECT c.sample_id FROM completions c JOIN eval_set_samples e USING (sample_id) "
        "JOIN samples a USING (sample_id) JOIN asked k USING (suite) JOIN wanted w USING (suite) "
        "JOIN scores s ON s.release_digest = c.release_digest AND s.sample_id = c.sample_id "
        "AND s.seed = c.seed AND s.scorer = k.scorer "
        "WHERE e.eval_set_digest = ? AND list_contains(?::VARCHAR[], c.release_digest) "
        "AND c.seed >= ? AND c.seed < ? AND c.run_id <> ? "
        f"AND s.value IS NOT NULL AND NOT {_IS_LOST} "
        "GROUP BY c.sample_id HAVING count(*) = any_value(w.num_values)",
        [
            [suite for suite, _ in asked],
            [version for _, version in asked],
            len(release_digests) * len(seeds),
            eval_set_digest,
            list(release_digests),
            seeds.start,
            seeds.stop,
            run_id,
        ],
    )


def read_values(
    store: Store,
    eval_set_digest: str,
    release_digests: Sequence[str],
    seeds: range,
    only: Collection[str] | None = None,
) -> dict[tuple[CompletionKey, str], float]:
    """(completion, scorer) → the value it gave to the text that is kept."""
    condition, of_these = _only(only)
    rows = store.rows(
        "SELECT c.release_digest, c.sample_id, c.seed, s.scorer, s.value "
        "FROM completions c JOIN eval_set_samples e USING (sample_id) "
        "JOIN scores s USING (release_digest, sample_id, seed) "
        "WHERE e.eval_set_digest = ? AND list_contains(?::VARCHAR[], c.release_digest) "
        f"AND c.seed >= ? AND c.seed < ? AND s.value IS NOT NULL AND NOT {_IS_LOST}{condition}",
        [eval_set_digest, list(release_digests), seeds.start, seeds.stop, *of_these],
    )
    return {(CompletionKey(*key), scorer): value for *key, scorer, value in rows}


def read_answers(
    store: Store, eval_set_digest: str, release_digest: str, seeds: range
) -> dict[tuple[str, int], list[Answer]]:
    """(sample id, seed) → what the release said, once a score of it; once without any score."""
    answers: dict[tuple[str, int], list[Answer]] = {}
    for sample_id, seed, *fields in store.rows(
        "SELECT c.sample_id, c.seed, s.value, c.text, c.error, "
        f"CASE WHEN {_IS_LOST} THEN c.fault ELSE s.fault END, "
        "c.finish_reason, c.input_tokens, "
        "c.output_tokens, s.scorer, s.unscored_reason, s.answer, s.explanation, c.latency_s "
        "FROM completions c JOIN eval_set_samples e USING (sample_id) "
        "LEFT JOIN scores s ON s.release_digest = c.release_digest "
        "AND s.sample_id = c.sample_id AND s.seed = c.seed "
        "WHERE e.eval_set_digest = ? AND c.release_digest = ? AND c.seed >= ? AND c.seed < ? "
        "ORDER BY c.sample_id, c.seed, s.scorer",
        [eval_set_digest, release_digest, seeds.start, seeds.stop],
    ):
        value, *rest = fields
        answers.setdefault((sample_id, seed), []).append(Answer(value, False, *rest))
    return answers


#: as `Answer.counted`, by the scorer that counts in a suite
_SCORES = f"""
WITH counted AS (
    SELECT unnest(?::VARCHAR[]) AS suite, unnest(?::VARCHAR[]) AS scorer
), members AS (
    SELECT sample_id, row_number() OVER (ORDER BY position, sample_id) - 1 AS place
    FROM eval_set_samples WHERE eval_set_digest = ?
), answered AS (
    SELECT m.place, c.release_digest, c.seed, c.created_at,
        CASE WHEN {_IS_LOST} THEN NULL ELSE s.value END AS value,
        CASE WHEN {_IS_LOST} THEN c.fault ELSE s.fault END AS fault
    FROM members m JOIN samples a USING (sample_id) JOIN counted k USING (suite)
    JOIN completions c USING (sample_id)
    LEFT JOIN scores s ON s.release_digest = c.release_digest AND s.sample_id = c.sample_id
        AND s.seed = c.seed AND s.scorer = k.scorer
), known AS (
    SELECT place, release_digest, seed, created_at, coalesce(value, 0) AS value
    FROM answered WHERE value IS NOT NULL OR fault = 'release'
), builds AS (
    SELECT release_digest,
        row_number() OVER (ORDER BY min(created_at), release_digest) - 1 AS build
    FROM known GROUP BY release_digest
)
SELECT place, build, seed, value, release_digest FROM known JOIN builds USING (release_digest)
ORDER BY place, build, seed
"""


def read_scores(store: Store, eval_set_digest: str, scorers: Mapping[str, str]) -> StoredScores:
    """What every stored answer to the samples of a set counts, of any release, run and seed.
    `scorers`: suite → the version that counts."""
    table = store.arrow(_SCORES, [list(scorers), list(scorers.values()), eval_set_digest])
    place, build, seed, value = (table[name].to_numpy() for name in table.column_names[:4])
    _, firsts = np.unique(build, return_index=True)
    return StoredScores(
        digests=tuple(table["release_digest"].take(firsts).to_pylist()),
        sample=place.astype(np.int64),
        build=build.astype(np.int64),
        seed=seed.astype(np.int64),
        value=value.astype(np.float64),
    )


def mean_tokens(store: Store, release: str) -> tuple[float, float] | None:
    """Tokens read and written for a completion, of all that releases of this name gave, or else of
    all that are kept; None where there is none."""
    means = (
        "SELECT avg(input_tokens), avg(output_tokens) FROM completions "
        "JOIN releases USING (release_digest) WHERE input_tokens + output_tokens IS NOT NULL "
        f"AND NOT starts_with(sample_id, '{PROMPT_PREFIX}') "
    )
    of_release = store.one(means + "AND name = ?", [release])
    row = of_release if of_release and of_release[0] is not None else store.one(means)
    return None if row is None or row[0] is None else (float(row[0]), float(row[1]))


def save_completions(store: Store, rows: Iterable[dict[str, Any]]) -> int:
    """Keep completions; one that is there already stays as it is. Returns rows handed in."""
    return store.insert(COMPLETIONS, rows, existing="keep")


def save_scores(store: Store, rows: Sequence[dict[str, Any]]) -> int:
    """Keep scores; a later judgement of the same completion replaces the earlier one."""
    return store.insert(SCORES, rows, existing="replace")


def computed_keys(
    store: Store, run_id: str, eval_set_digest: str, release_digests: Sequence[str]
) -> set[CompletionKey]:
    """Of the completions that this run computed, over all its attempts."""
    rows = store.rows(
        "SELECT c.release_digest, c.sample_id, c.seed "
        "FROM completions c JOIN eval_set_samples e USING (sample_id) WHERE c.run_id = ? "
        "AND e.eval_set_digest = ? AND list_contains(?::VARCHAR[], c.release_digest)",
        [run_id, eval_set_digest, list(release_digests)],
    )
    return {CompletionKey(*row) for row in rows}


def completion_totals(
    store: Store, run_id: str, eval_set_digest: str, release_digests: Sequence[str]
) -> CompletionTotals:
    """What this run computed, over all its attempts: from the store, not from memory."""
    row = store.one(
        "SELECT count(*), count(c.error), coalesce(sum(c.input_tokens), 0), "
        "coalesce(sum(c.cached_tokens), 0), coalesce(sum(c.output_tokens), 0) "
        "FROM completions c JOIN eval_set_samples e USING (sample_id) WHERE c.run_id = ? "
        "AND e.eval_set_digest = ? AND list_contains(?::VARCHAR[], c.release_digest)",
        [run_id, eval_set_digest, list(release_digests)],
    )
    assert row is not None
    return CompletionTotals(*(int(value) for value in row))
