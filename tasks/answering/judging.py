"""From completions that are kept to scores that are kept.

A scorer may take long: what the same one gave a value is not judged again, the store is closed
while answers are judged, and what is judged is kept every few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tasks.answering.compute import Work
from tasks.answering.needs import Need
from tasks.model.answer import CompletionKey
from tasks.model.failure import Failure, Fault
from tasks.run import Run
from tasks.scoring import Instrument, unscored
from tasks.scoring.judged import is_judged
from tasks.store.evals import answers as table

_KEEP_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Judged:
    """What a completion counts, or why it counts nothing and whose fault that is."""

    key: CompletionKey
    value: float | None
    unscored_reason: str | None = None
    fault: Fault | None = None


def score_all(
    run: Run,
    stage: str,
    eval_set: str,
    wanted: Sequence[Need],
    seeds: range,
    scorers: Mapping[str, Instrument],
    work: Work,
    also: Mapping[str, Sequence[Instrument]] = {},
) -> list[Judged]:
    """Every completion wanted has a score that is kept, or a reason why it has none. `scorers`:
    suite → scorer, what is given back, but where a judge is asked later; `also`: suite → those
    whose scores are kept besides; `stage` names the progress."""
    digests = sorted({need.release.digest for need in wanted})
    only = {need.sample.sample_id for need in wanted}
    with run.open_store() as store:
        kept = table.read_completions(store, eval_set, digests, seeds, only)
        known = table.read_values(store, eval_set, digests, seeds, only)
    completions = {completion.key: completion for completion in kept}
    judged: list[Judged] = []
    fresh: list[dict[str, Any]] = []
    kept_at = time.monotonic()
    for need in wanted:
        scorer = scorers[need.sample.suite]
        value = known.get((need.key, scorer.version))
        more = [
            one for one in also.get(need.sample.suite, ()) if (need.key, one.version) not in known
        ]
        if value is not None:
            judged.append(Judged(need.key, value))
        is_done = value is not None or is_judged(scorer.metric)
        if is_done and not more:
            continue
        completion = completions.get(need.key)
        completion = completion or _lost(need.key, work.transient.get(need.key))
        if not is_done:
            row = score_row(need, scorer, completion)
            judged.append(Judged(need.key, row["value"], row["unscored_reason"], row["fault"]))
            fresh.append(row)
        fresh += [score_row(need, one, completion) for one in more]
        if time.monotonic() - kept_at > _KEEP_EVERY_S:
            keep_scores(run, fresh)
            run.progress(stage, len(judged), len(wanted), f"judging by {scorer.metric}")
            fresh, kept_at = [], time.monotonic()
    keep_scores(run, fresh)
    return judged


def keep_scores(run: Run, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        with run.open_store() as store, store.transaction():
            table.save_scores(store, rows)


def score_row(need: Need, scorer: Instrument, completion: table.StoredCompletion) -> dict[str, Any]:
    """The score of one completion as the store keeps it; without a text, a reason."""
    fault: Fault | None = completion.fault
    if completion.text is not None:
        result = scorer.score(completion.text, need.sample.target)
        fault = "judge" if result.value is None else None
    else:
        result = unscored(f"no completion: {completion.error}")
    return {
        **asdict(need.key),
        "scorer": scorer.version,
        "value": result.value,
        "unscored_reason": result.unscored_reason,
        "answer": result.answer,
        "explanation": result.explanation,
        "fault": fault,
    }


def _lost(key: CompletionKey, failure: Failure | None) -> table.StoredCompletion:
    """One that is not kept, and why."""
    why = "the engine gave none" if failure is None else failure.message
    return table.StoredCompletion(key, None, why, "harness")
