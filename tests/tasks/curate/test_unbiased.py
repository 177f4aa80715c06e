"""Simulated production, the real `assemble`: the weighted mean of what is drawn is that of traffic.

Every question has a value that is known here and not there. Production answers a question right or
wrong, always the same; people judge the answers. The truth is the mean over all calls.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean, stdev

import pytest

from tasks.curate.assemble import assemble
from tasks.curate.targets import TargetResolver
from tasks.model.logged_call import Conversation, LoggedCall, Opinion
from tasks.model.sample import Sample
from tasks.settings import CurateSettings

_NUM_LOGS = 200
_MAX_BIAS = 0.005


@dataclass(frozen=True, slots=True)
class _Question:
    """`value`: what a challenger would score on it less what production does, say."""

    text: str
    is_right: bool
    value: float


Judge = Callable[[random.Random, _Question], Opinion]


def _always(draw: random.Random, question: _Question) -> Opinion:
    return Opinion(thumbs=1.0) if question.is_right else Opinion(corrected="right")


def _now_and_then(draw: random.Random, question: _Question) -> Opinion:
    return _always(draw, question) if draw.random() < 0.4 else Opinion()


def _mostly_the_failures_and_an_audit(draw: random.Random, question: _Question) -> Opinion:
    if draw.random() < (0.1 if question.is_right else 0.7):
        return _always(draw, question)
    return Opinion(audited="right") if draw.random() < 0.3 else Opinion()


def _questions(draw: random.Random) -> list[_Question]:
    """On a question that production gets wrong a challenger can only win, and the other way."""
    questions = []
    for number in range(100):
        is_right = draw.random() < 0.8
        value = draw.choice((0.0, -1.0, 0.0)) if is_right else draw.choice((0.0, 1.0, 1.0))
        questions.append(_Question(f"what about {number}", is_right, value))
    return questions


@dataclass(frozen=True, slots=True)
class _Simulated:
    """What was asked, call by call, and the samples that were drawn from it."""

    asked: list[_Question]
    samples: tuple[Sample, ...]

    @property
    def error(self) -> float:
        value_of = {question.text: question.value for question in self.asked}
        found = math.fsum(
            sample.weight * value_of[str(sample.messages[0]["content"])] for sample in self.samples
        )
        truth = fmean(question.value for question in self.asked)
        return found / math.fsum(sample.weight for sample in self.samples) - truth


def _simulated(
    seed: int, judge: Judge, popular: float = 0.0, *, judged_represent_all: bool = False
) -> _Simulated:
    draw = random.Random(seed)
    questions = _questions(draw)
    asked = [
        questions[0] if draw.random() < popular else draw.choice(questions) for _ in range(240)
    ]
    calls = [
        LoggedCall(
            f"call-{n}", Conversation(None, ({"role": "user", "content": question.text},)),
            "answer", task="route", opinion=judge(draw, question),
        )
        for n, question in enumerate(asked)
    ]  # fmt: skip
    rule = CurateSettings(max_samples=50, judged_represent_all=judged_represent_all)
    resolver = TargetResolver({"route": "route"}, [], use_logged=False)
    samples = assemble([], calls, resolver, rule, seed, gating={"route"}).eval_set.samples
    assert all(sample.is_counted for sample in samples)
    assert len(samples) <= 50
    return _Simulated(asked, samples)


def _assert_unbiased(errors: list[float]) -> None:
    standard_error = stdev(errors) / math.sqrt(len(errors))
    bias = fmean(errors)

    # so small a bias could be told from the largest that is allowed
    assert standard_error < _MAX_BIAS
    assert abs(bias) < max(_MAX_BIAS, 3 * standard_error)


@pytest.mark.parametrize("popular", [0.0, 0.3])
def test_with_feedback_on_every_call_the_mean_is_that_of_traffic(popular: float) -> None:
    """Though failures are a fifth of the calls and nearly a third of the draw or more."""
    logs = [_simulated(seed, _always, popular) for seed in range(_NUM_LOGS)]
    _assert_unbiased([log.error for log in logs])
    assert fmean(not question.is_right for log in logs for question in log.asked) < 0.25
    assert fmean(s.stratum == "failed" for log in logs for s in log.samples) > 0.3


def test_with_feedback_now_and_then_the_mean_is_that_of_traffic_where_declared() -> None:
    logs = [
        _simulated(seed, _now_and_then, 0.3, judged_represent_all=True) for seed in range(_NUM_LOGS)
    ]
    _assert_unbiased([log.error for log in logs])


def test_with_feedback_that_hangs_on_the_answer_an_audit_keeps_the_mean() -> None:
    logs = [_simulated(seed, _mostly_the_failures_and_an_audit) for seed in range(_NUM_LOGS)]
    _assert_unbiased([log.error for log in logs])
