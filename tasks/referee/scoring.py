"""Outputs without scores, judged by scorers of ours: rows of a suite become rows of one suite a
scorer. Nothing is generated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tasks.errors import UsageError
from tasks.referee.values import Mark, Results, Row
from tasks.scoring.instrument import Instrument

Key = tuple[str, str]


def targets_of(runs: Sequence[Results], targets: Results | None, target: str) -> dict[Key, str]:
    """(suite, id) → what a right answer is: `target` for all, else what another file says, its
    outputs where it has no targets, else what stands in the runs. Raises UsageError where none of
    the runs' samples has one."""
    found: dict[Key, str] = {}
    for run in ([] if targets is None else [targets]) or runs:
        for row in run.rows:
            told = row.target or ((row.text or "") if targets is not None else "")
            if told:
                found.setdefault((row.suite, row.item_id), told)
    if target:
        return {(row.suite, row.item_id): target for run in runs for row in run.rows}
    asked = {(row.suite, row.item_id) for run in runs for row in run.rows}
    if not asked & found.keys():
        raise UsageError(
            "the outputs have no targets to be scored against",
            received=", ".join(run.source for run in runs),
            next="--target TEXT for all samples, or --targets FILE with a target or output an id",
        )
    return found


def scored(run: Results, instruments: Sequence[Instrument], targets: Mapping[Key, str]) -> Results:
    """Raises UsageError where the run has no outputs."""
    if all(row.text is None and row.error is None for row in run.rows):
        raise UsageError("there are no outputs to be scored", received=run.source)
    rows = [
        _judged(row, instrument, targets.get((row.suite, row.item_id)), len(instruments) > 1)
        for instrument in instruments
        for row in run.rows
    ]
    return replace(run, rows=rows, metrics=None)


def _judged(row: Row, instrument: Instrument, target: str | None, is_one_of_several: bool) -> Row:
    suite = f"{row.suite}/{instrument.metric}" if is_one_of_several else row.suite
    marks: dict[str, Mark] = {}
    if row.text is not None and target is None:
        marks[instrument.metric] = Mark(None, reason="the sample has no target")
    elif row.text is not None:
        score = instrument.score(row.text, target or "")
        marks[instrument.metric] = Mark(
            score.value, score.answer, score.explanation, score.unscored_reason
        )
    return replace(
        row,
        suite=suite,
        marks=marks,
        target=target or "",
        # whatever suite a sample is in now, it is the same chance find
        cluster=row.cluster or f"{row.suite}\0{row.item_id}",
    )
