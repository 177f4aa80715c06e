"""Runs of others as samples with an answer of each release, paired by suite and id. Pure. What each
row counts is for answers.py to say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tasks.errors import UsageError, did_you_mean
from tasks.model.answer import Answer, JudgedSample, Role
from tasks.model.sample import Sample
from tasks.referee.answers import Key, answers_of, lost_answers
from tasks.referee.scale import number, refuse_outside
from tasks.referee.values import Reading, Results, Row

_SHORT_ID = 12
_MAX_NAMED = 8


@dataclass(frozen=True, slots=True)
class Paired:
    """`metrics`: suite → which score was judged. `sentences`: what a reader of the verdict has to
    know of the files; of those, `losses` tell what the runs lost."""

    judged: tuple[JudgedSample, ...]
    metrics: Mapping[str, str]
    losses: tuple[str, ...]
    sentences: tuple[str, ...]


def paired(runs: Mapping[Role, Results], reading: Reading) -> Paired:
    """Raises UsageError where the runs have no sample or score in common, a score outside its scale
    or another target of the same id."""
    rows = {role: _by_key(run.rows) for role, run in runs.items()}
    _refuse_strangers(runs, rows)
    keys = list(dict.fromkeys(key for of_role in rows.values() for key in of_role))
    _refuse_other_targets(runs, rows, keys)
    metrics = {suite: _metric(runs, suite, reading) for suite in dict.fromkeys(s for s, _ in keys)}
    for role, run in runs.items():
        for suite, metric in metrics.items():
            values = (
                row.marks[metric].value
                for row in run.rows
                if row.suite == suite and metric in row.marks
            )
            refuse_outside(values, reading.scale, f"suite {suite}, {metric},", runs[role].source)
    answers: dict[Role, dict[Key, tuple[Answer, ...]]] = {}
    losses: list[str] = []
    for role in runs:
        answers[role] = dict.fromkeys(keys, ())
        for suite, metric in metrics.items():
            own = [key for key in keys if key[0] == suite]
            found = {key: rows[role].get(key, ()) for key in own}
            answers[role] |= answers_of(found, metric, reading.scale)
            losses += lost_answers(runs[role].name, role, suite, answers[role], own, reading)
    samples = _samples(keys, rows, runs, reading)
    told = [*losses, *_repeated(runs, rows)]
    judged = tuple(
        JudgedSample(sample, {role: answers[role][key] for role in runs})
        for key, sample in samples.items()
    )
    others = _others(runs, metrics) if not reading.metric else ()
    return Paired(judged, metrics, tuple(losses), (*told, *others))


def _by_key(rows: Sequence[Row]) -> dict[Key, tuple[Row, ...]]:
    found: dict[Key, list[Row]] = {}
    for row in rows:
        found.setdefault((row.suite, row.item_id), []).append(row)
    return {key: tuple(of_key) for key, of_key in found.items()}


def _refuse_strangers(
    runs: Mapping[Role, Results], rows: Mapping[Role, Mapping[Key, object]]
) -> None:
    for role, of_role in rows.items():
        if of_role.keys() & rows["champion"].keys():
            continue
        examples = (
            f"{runs[each].source} has {' '.join(next(iter(rows[each]), ('no', 'rows')))}"
            for each in ("champion", role)
        )
        raise UsageError(
            "the runs have no sample in common, by suite and id",
            received="; ".join(examples),
            next="judge runs of the same samples, with the same ids",
        )


def _refuse_other_targets(
    runs: Mapping[Role, Results],
    rows: Mapping[Role, Mapping[Key, tuple[Row, ...]]],
    keys: Sequence[Key],
) -> None:
    """The same id with another target is another sample, whatever its scores say."""
    others: list[Key] = []
    for key in keys:
        targets = {row.target for of_role in rows.values() for row in of_role.get(key, ())} - {""}
        if len(targets) > 1:
            others.append(key)
    if others:
        raise UsageError(
            f"{len(others):,} of {len(keys):,} samples have the same id and another target in "
            "another run, so they are not the same samples",
            received=f"{' '.join(others[0])} in {', '.join(run.source for run in runs.values())}",
            next="judge runs of the same samples",
        )


def _metric(runs: Mapping[Role, Results], suite: str, reading: Reading) -> str:
    """The one asked for, else the first in the champion's order that every run has a number of."""
    known: dict[Role, dict[str, bool]] = {}
    for role, run in runs.items():
        names: dict[str, bool] = {}
        for row in run.rows:
            if row.suite == suite:
                for name, mark in row.marks.items():
                    is_read = isinstance(number(mark.value), float)
                    names[name] = names.get(name, False) or is_read
        known[role] = names
    present = {role: names for role, names in known.items() if names} or known
    everywhere = [
        name
        for name in next(iter(present.values()))
        if all(name in names for names in present.values())
    ]
    if reading.metric:
        if reading.metric in everywhere:
            return reading.metric
        every = list(dict.fromkeys(name for names in known.values() for name in names))
        raise UsageError(
            f"suite {suite} has no score {reading.metric!r} in every run"
            + did_you_mean(reading.metric, everywhere),
            received=f"--metric {reading.metric}",
            allowed=", ".join((everywhere or every)[:_MAX_NAMED]) or "none: no row has a score",
        )
    readable = [name for name in everywhere if any(names.get(name) for names in present.values())]
    for run in runs.values():
        if run.metrics is not None:
            readable = [name for name in readable if name in run.metrics]
    if readable:
        return readable[0]
    told = "; ".join(
        f"{runs[role].source}: {', '.join(list(names)[:_MAX_NAMED]) or 'no score'}"
        for role, names in known.items()
    )
    raise UsageError(
        f"suite {suite}: it is not known which score to judge",
        received=told,
        next="--metric NAME for a score that is there, or --scorer NAME to score the outputs",
    )


def _samples(
    keys: Sequence[Key],
    rows: Mapping[Role, Mapping[Key, tuple[Row, ...]]],
    runs: Mapping[Role, Results],
    reading: Reading,
) -> dict[Key, Sample]:
    _refuse_unknown(reading, runs)
    ids = [item_id for _, item_id in keys]
    is_short = len(set(ids)) == len(ids) and all(len(one) <= _SHORT_ID for one in ids)
    found = {}
    for key in keys:
        of_key = [row for of_role in rows.values() for row in of_role.get(key, ())]
        first = of_key[0]
        details = {name: value for row in reversed(of_key) for name, value in row.details.items()}
        slices = {name: value for row in reversed(of_key) for name, value in row.slices.items()}
        slices |= {name: details[name] for name in reading.slices if name in details}
        question = next((row.question for row in of_key if row.question), "")
        digest = hashlib.sha256("\0".join(key).encode()).hexdigest()
        cluster = next((row.cluster for row in of_key if row.cluster), "\0".join(key))
        found[key] = Sample(
            sample_id=key[1] if is_short else digest,
            suite=key[0],
            task=None,
            messages=({"role": "user", "content": question or f"id {key[1]}"},),
            system=None,
            target=next((row.target for row in of_key if row.target), ""),
            target_kind="gold",
            origin="suite",
            slices=slices,
            must_pass=any(row.must_pass for row in of_key),
            request_id=key[1],
            cluster_id=details.get(reading.cluster, cluster),
            weight=first.weight,
        )
    return found


def _refuse_unknown(reading: Reading, runs: Mapping[Role, Results]) -> None:
    known = list(dict.fromkeys(n for run in runs.values() for row in run.rows for n in row.details))
    for option, names in (("--slice", reading.slices), ("--cluster", (reading.cluster,))):
        for name in names:
            if name and name not in known:
                raise UsageError(
                    f"no row has a field {name!r}{did_you_mean(name, known)}",
                    received=f"{option} {name}",
                    allowed=", ".join(known[:_MAX_NAMED]) or "none: the rows say nothing else",
                )


def _repeated(
    runs: Mapping[Role, Results], rows: Mapping[Role, Mapping[Key, tuple[Row, ...]]]
) -> Iterator[str]:
    for role, of_role in rows.items():
        num = sum(len(of_key) > 1 for of_key in of_role.values())
        if num:
            yield (
                f"{runs[role].name} has several rows of {num:,} of {len(of_role):,} ids: they are "
                "repeats, and their mean counts."
            )


def _others(runs: Mapping[Role, Results], metrics: Mapping[str, str]) -> Iterator[str]:
    """Scores that were not judged."""
    for suite, metric in metrics.items():
        known = (row.marks for row in runs["champion"].rows if row.suite == suite)
        others = [name for name in dict.fromkeys(n for marks in known for n in marks)
                  if name != metric]  # fmt: skip
        if others:
            more = f" and {len(others) - _MAX_NAMED} more" if len(others) > _MAX_NAMED else ""
            yield (
                f"suite {suite}: judged by {metric}; the files also have "
                f"{', '.join(others[:_MAX_NAMED])}{more}: --metric NAME."
            )
