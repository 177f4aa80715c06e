"""Which answers of a run enter the decomposition of its variance, and how it is told."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.model.answer import MISSING, Answer, JudgedSample
from tasks.model.release import Release
from tasks.report.wording import repeats
from tasks.scoring.repeats import answer_noise
from tasks.statistics.repeats import noise
from tests.tasks.gate.cases import sample

GREEDY = Release("greedy", "g", "m", "m", "p", {}, {"temperature": 0.0}, {})
SAMPLED = Release("sampled", "s", "m", "m", "p", {}, {"temperature": 0.7}, {})
PAIR = {"champion": GREEDY, "challenger": SAMPLED}
FAILED = Answer(error="too long", fault="release")


def scored(*values: float | Answer) -> tuple[Answer, ...]:
    return tuple(one if isinstance(one, Answer) else Answer(one) for one in values)


def judged() -> list[JudgedSample]:
    return [
        sample(0, scored(1, 1, 1), scored(1, 0, 1), weight=2.0),
        sample(1, scored(0, 1, 0), scored(0, 0, FAILED)),
        sample(2, scored(1, 1, 0), scored(1, 1, MISSING)),
        sample(3, scored(1, 1, 1), scored(0, 0, 0), is_counted=False),
        sample(4, scored(0, 0, 1), scored(1, 1, 1), suite="mood"),
    ]


def test_counted_samples_enter_whose_answers_are_all_known() -> None:
    found = answer_noise(judged(), PAIR)
    by_hand = np.array([[0, -1, 0], [0, -1, 0]], dtype=float)
    assert found == {"route": noise(by_hand, np.arange(2), np.array([2.0, 1.0]))}
    # of one cluster there is no standard error, so nothing is said of mood
    assert found["route"].num_samples == 2


def test_of_releases_that_do_not_sample_and_of_single_answers_nothing_is_said() -> None:
    assert answer_noise(judged(), {"champion": GREEDY, "challenger": GREEDY}) == {}
    assert answer_noise([sample(n, 1.0, n % 2) for n in range(9)], PAIR) == {}


@pytest.mark.parametrize(
    ("spread", "said"),
    [
        (0.0, "repeats help, for all one sees"),
        (0.4, "From 3 answers on, twice the samples would bring more"),
        (2.0, "Already with one answer, twice the samples would bring more"),
    ],
)
def test_the_sentence_says_what_would_help(spread: float, said: str) -> None:
    """Within a sample ±0.3 twice: variance 0.18 with one degree of freedom; between ±spread."""
    middle = np.tile([-spread, spread], 10)[:, None]
    part = noise(middle + np.array([-0.3, 0.3]), np.arange(20), np.ones(20))
    text = repeats("route", part)
    assert said in text
    assert text.startswith("suite route: of the squared standard error of the difference ")
    assert "2 answers a sample, 20 samples" in text
    assert ", 2: " not in text
