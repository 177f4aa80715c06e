"""What a sample counts: of all that is stored, the scores that are its answers' values.

The one place that picks the scorer's version, pairs the repeats and says what is missing. Gate,
report, MLflow and `--json` all read its result. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from tasks.model.answer import MISSING, Answer, JudgedSample, Role
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
            if suite is None or "@" in metrics[suite]:
                continue
            for answer in scored:
                metric, version = parts(answer.scorer or "")
                if metric == metrics[suite] and version >= parts(newest[suite])[1]:
                    newest[suite] = answer.scorer or ""
    return newest


def judged_samples(
    samples: Sequence[Sample],
    stored: Mapping[Role, StoredAnswers],
    seeds: Sequence[int],
    scorers: Mapping[str, str],
) -> tuple[JudgedSample, ...]:
    """Every sample with one answer a release and seed, in order. `scorers`: suite → version."""

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
            return replace(scored[0], value=None, scorer=None, unscored_reason=reason,
                           fault="judge", extracted=None, explanation=None)  # fmt: skip
        return counted

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
