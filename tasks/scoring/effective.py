"""What a sample counts: of all that is stored, the scores that are its answers' values.

The one place that picks the scorer's version, pairs the repeats and says what is missing. Gate,
report, MLflow and `--json` all read its result. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from tasks.model.answer import MISSING, AlsoScored, Answer, JudgedSample, Role
from tasks.model.sample import Sample
from tasks.scoring.instrument import parts

#: what one release said to a sample under a seed, once a stored score (`Answer.scorer`)
StoredAnswers = Mapping[tuple[str, int], Sequence[Answer]]


def counted_scorers(
    samples: Sequence[Sample], stored: Iterable[StoredAnswers], metrics: Mapping[str, str]
) -> dict[str, str]:
    """Suite → its scorer, with its parameters, in the newest version any release has a score of.

    Of `samples` alone: answers to others may be stored. One version a suite: two releases are never
    compared by two. `metrics`: suite → scorer, with or without a version; with one
    (`exact_match@2`, as a verdict keeps it) that one counts.
    """
    suite_of = {sample.sample_id: sample.suite for sample in samples}
    newest = dict(metrics)
    for answers in stored:
        for (sample_id, _), scored in answers.items():
            suite = suite_of.get(sample_id)  # None: other runs asked it, this one stopped before
            if suite is None or suite not in metrics or "@" in metrics[suite]:
                continue
            for answer in scored:
                metric, version = parts(answer.scorer or "")
                if metric == metrics[suite] and version >= parts(newest[suite])[1]:
                    newest[suite] = answer.scorer or ""
    return newest


def also_scorers(
    samples: Sequence[Sample],
    stored: Collection[StoredAnswers],
    also: Mapping[str, Sequence[str]],
) -> dict[str, tuple[str, ...]]:
    """The same for the scorers that a suite has besides, each by itself."""
    most = max(map(len, also.values()), default=0)
    found = [
        counted_scorers(
            samples,
            stored,
            {suite: metrics[place] for suite, metrics in also.items() if len(metrics) > place},
        )
        for place in range(most)
    ]
    return {suite: tuple(one[suite] for one in found if suite in one) for suite in also}


def judged_samples(
    samples: Sequence[Sample],
    stored: Mapping[Role, StoredAnswers],
    seeds: Sequence[int],
    scorers: Mapping[str, str],
    also: Mapping[str, Sequence[str]] = {},
) -> tuple[JudgedSample, ...]:
    """Every sample with one answer a release and seed, in order. `scorers`: suite → version;
    `also`: suite → versions of those that it has besides."""

    def answer(answers: StoredAnswers, sample: Sample, seed: int) -> Answer:
        scored = answers.get((sample.sample_id, seed))
        if scored is None:
            return MISSING
        if scored[0].text is None or scored[0].error is not None:
            return replace(scored[0], value=None, is_missing=True)
        scorer = scorers[sample.suite]
        counted = next((one for one in scored if one.scorer == scorer), None)
        if counted is None:
            reason = f"{scorer} has not judged it"
            counted = replace(scored[0], value=None, scorer=None, unscored_reason=reason,
                              fault="judge", extracted=None, explanation=None)  # fmt: skip
        more = also.get(sample.suite)
        return replace(counted, also=_also(scored, more)) if more else counted

    return tuple(
        JudgedSample(
            sample,
            {
                role: tuple(answer(answers, sample, seed) for seed in seeds)
                for role, answers in stored.items()
            },
        )
        for sample in samples
    )


def _also(scored: Sequence[Answer], versions: Sequence[str]) -> tuple[AlsoScored, ...]:
    by_version = {answer.scorer: answer for answer in scored}
    return tuple(
        AlsoScored(
            version,
            one.value,
            one.unscored_reason,
            one.fault,
            one.extracted,
            one.explanation,
        )
        if (one := by_version.get(version))
        else AlsoScored(version, unscored_reason=f"{version} has not judged it", fault="judge")
        for version in versions
    )
