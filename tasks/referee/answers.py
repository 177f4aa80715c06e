"""What a row of others counts, and who lost what is not there. Pure.

A sample that one run has and another has not, or has with an error, is lost by that
run and counts 0 against it. Of the champion that holds up to the gate's max_missing_ratio: beyond
it the file is another set, or a part of one, and a cut champion must make no challenger better, so
there nobody knows what those samples count. A row without a readable score is unscored, with its
reason, and counts for no release. Rows of one id are repeats; a run that has fewer of a sample than
of most lost the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from tasks.model.answer import Answer, Role
from tasks.referee.scale import Scale, number
from tasks.referee.values import Reading, Row

#: suite and id
Key = tuple[str, str]
_ABSENT = "the run has no such row"


def answers_of(
    found: Mapping[Key, tuple[Row, ...]], metric: str, scale: Scale
) -> dict[Key, tuple[Answer, ...]]:
    sizes = Counter(len(rows) for rows in found.values() if rows)
    usual = min(sizes, key=lambda size: (-sizes[size], size)) if sizes else 1
    lost = Answer(is_missing=True, error=_ABSENT, fault="release")
    return {
        key: (
            *(_answer(row, metric, scale) for row in rows),
            *(lost for _ in range(usual - len(rows))),
        )
        for key, rows in found.items()
    }


def _answer(row: Row, metric: str, scale: Scale) -> Answer:
    said = Answer(
        text=row.text,
        finish_reason=row.finish_reason,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        latency_s=row.latency_s,
    )
    mark = row.marks.get(metric)
    value = number(mark.value) if mark is not None else f"{metric} has not judged it"
    if isinstance(value, str) and row.error:
        return replace(said, is_missing=True, error=row.error, fault="release")
    if isinstance(value, str):
        reason = (mark.reason if mark is not None else None) or value
        return replace(said, unscored_reason=reason, fault="judge")
    assert mark is not None, "it has a value"
    told = "" if scale.is_plain else f"{value:g} of {scale.worst:g} to {scale.best:g}"
    explanation = " · ".join(filter(None, (told, mark.explanation))) or None
    return replace(
        said,
        value=scale.of(value),
        scorer=metric,
        extracted=mark.answer,
        explanation=explanation,
    )


def lost_answers(
    name: str,
    role: Role,
    suite: str,
    answers: dict[Key, tuple[Answer, ...]],
    own: Sequence[Key],
    reading: Reading,
) -> Iterator[str]:
    """What becomes of answers that a run lost, in a sentence; of too many of the champion's nobody
    knows what they count, which is written into `answers`."""
    every = [answer for key in own for answer in answers[key]]
    lost = [answer for answer in every if answer.is_failed]
    if not lost:
        return
    absent = sum(answer.error == _ABSENT for answer in lost)
    text = f"suite {suite}: {name} lost {len(lost):,} of {len(every):,} answers ("
    text += ", ".join(
        f"{count:,} {what}"
        for count, what in ((absent, "not in its file"), (len(lost) - absent, "with an error"))
        if count
    )
    is_other_set = len(lost) > reading.max_missing_ratio * len(every)
    if role != "champion" or not is_other_set:
        yield f"{text}): they count 0 against it."
        return
    for key in own:
        answers[key] = tuple(
            replace(answer, fault="harness") if answer.is_failed else answer
            for answer in answers[key]
        )
    yield (
        f"{text}): that is more than {reading.max_missing_ratio:.0%}, so its file is another set "
        "or a part of one, and what they count is not known."
    )
