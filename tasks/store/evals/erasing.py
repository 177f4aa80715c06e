"""Samples made of erased calls, and what was answered to them: found, and taken out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from tasks.store.db.connection import Store
from tasks.store.db.sql import among
from tasks.store.evals.judgements import PROMPT_PREFIX

#: what a judge of an erased answer may have said. Its prompts are known by their digests alone, so
#: all goes that it was asked by a run with such a sample, or outside of runs (`flywheel judge`)
_JUDGED = (
    f"starts_with(sample_id, '{PROMPT_PREFIX}') AND created_at >= ? AND ({among('run_id')} "
    "OR run_id NOT IN (SELECT run_id FROM runs WHERE eval_set_digest IS NOT NULL))"
)


@dataclass(frozen=True, slots=True)
class Answers:
    completions: int
    scores: int
    judgements: int


def find_samples(
    store: Store,
    request_ids: Collection[str],
    sample_ids: Collection[str],
    corrected: Sequence[tuple[str, str]],
) -> list[str]:
    """Ids of the samples made of these calls, of these by name, and of those whose target is what
    was said of a call. `corrected`: request id and that text."""
    rows = store.rows(
        f"SELECT sample_id FROM samples WHERE {among('request_id')} OR {among('sample_id')} "
        "OR (request_id, target) IN (SELECT (unnest(?::VARCHAR[]), unnest(?::VARCHAR[]))) "
        "ORDER BY sample_id",
        [
            list(request_ids),
            list(sample_ids),
            [request_id for request_id, _ in corrected],
            [text for _, text in corrected],
        ],
    )
    return [sample_id for (sample_id,) in rows]


def sets_with(store: Store, sample_ids: Collection[str]) -> dict[str, int]:
    """Eval set → how many of these samples are in it."""
    return dict(
        store.rows(
            "SELECT eval_set_digest, count(*) FROM eval_set_samples "
            f"WHERE {among('sample_id')} GROUP BY 1 ORDER BY 1",
            [list(sample_ids)],
        )
    )


def count_answers(
    store: Store, sample_ids: Collection[str], run_ids: Collection[str], since: datetime | None
) -> Answers:
    """What `erase_samples` takes besides the samples. `since`: as there."""
    completions, scores = (
        store.scalar(f"SELECT count(*) FROM {name} WHERE {among('sample_id')}", [list(sample_ids)])
        for name in ("completions", "scores")
    )
    judged = store.scalar(
        f"SELECT count(*) FROM completions WHERE {_JUDGED}", [since, list(run_ids)]
    )
    return Answers(int(completions), int(scores), int(judged))


def erase_samples(
    store: Store, sample_ids: Collection[str], run_ids: Collection[str], since: datetime | None
) -> None:
    """`since`: when the first of the erased calls came in; None: there is none. Rows of `eval_sets`
    stay."""
    for name in ("scores", "completions", "eval_set_samples", "samples"):
        store.execute(f"DELETE FROM {name} WHERE {among('sample_id')}", [list(sample_ids)])
    store.execute(f"DELETE FROM completions WHERE {_JUDGED}", [since, list(run_ids)])
