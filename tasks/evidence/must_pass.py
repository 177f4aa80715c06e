"""Samples that must pass: which the challenger failed, and which of those the champion fails too.

One repeat that fails is a failure. Of several, a slip is none: a sample has failed when a release
that passes it as often as the gate demands (`must_pass_reliability`) would hardly ever be seen to
fail it so often, all samples that must pass taken together (Bonferroni). Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks.model.answer import Answer, JudgedSample
from tasks.model.verdict import GateRule, MustPass


def must_pass(
    judged: Sequence[JudgedSample], gate: GateRule, num_in_all: int | None = None
) -> MustPass:
    """Sorts the samples that must pass and did not. `num_in_all`: how many must, where these are
    not all of them yet."""
    demanded = sorted(
        (item for item in judged if item.sample.must_pass),
        key=lambda item: (item.sample.suite, item.sample.sample_id),
    )
    num_demanded = num_in_all or len(demanded)
    new: list[JudgedSample] = []
    old: list[JudgedSample] = []
    unknown: list[JudgedSample] = []
    for item in demanded:
        answers = item.answers["challenger"]
        if _has_failed(answers, num_demanded, gate, unknown_passes=True):
            champion = item.answers["champion"]
            failed_too = _has_failed(champion, num_demanded, gate, unknown_passes=True)
            (old if failed_too else new).append(item)
        elif _has_failed(answers, num_demanded, gate, unknown_passes=False):
            unknown.append(item)
    return MustPass(tuple(new), tuple(old), tuple(unknown))


def _has_failed(
    answers: Sequence[Answer], num_samples: int, gate: GateRule, *, unknown_passes: bool
) -> bool:
    """`unknown_passes`: what is taken of an answer that is lost through nobody's fault."""
    from scipy.special import bdtr

    passed = sum(
        unknown_passes if answer.counted is None else answer.counted >= 1 for answer in answers
    )
    if len(answers) == 1 or passed == len(answers):
        return passed < len(answers)
    chance = float(bdtr(passed, len(answers), gate.must_pass_reliability))
    return chance <= gate.alpha / num_samples
