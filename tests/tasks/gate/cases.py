"""Pairs and samples that the tests of the gate are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from tasks.model.answer import Answer, JudgedSample
from tasks.model.sample import Sample
from tasks.model.verdict import GateRule, SuiteRule
from tasks.statistics.paired import Pairs

GATE = GateRule(
    alpha=0.05, early=0.0, max_missing_ratio=0.1, unseen_loss=0.25, must_pass_reliability=0.98
)
PRIMARY = SuiteRule("route", "primary", 0.05, "exact_match")
GUARD = replace(PRIMARY, name="mood", role="guard")
REPORT = replace(PRIMARY, name="logged", role="report")


def pairs(
    first: Sequence[float],
    second: Sequence[float],
    clusters: Sequence[int] | None = None,
    weights: Sequence[float] | None = None,
) -> Pairs:
    one, two = np.array(first, dtype=float), np.array(second, dtype=float)
    labels = np.arange(len(one)) if clusters is None else np.array(clusters)
    w = np.ones(len(one)) if weights is None else np.array(weights, dtype=float)
    return Pairs(two - one, labels, w, bool(np.isin([one, two], (0.0, 1.0)).all()))


def sample(
    number: int,
    champion: float | Answer | tuple[Answer, ...],
    challenger: float | Answer | tuple[Answer, ...],
    suite: str = "route",
    cluster: str | None = None,
    *,
    must_pass: bool = False,
    slices: Mapping[str, str] | None = None,
    weight: float = 1.0,
    is_counted: bool = True,
) -> JudgedSample:
    asked = Sample(
        sample_id=f"{suite}-{number:04}",
        suite=suite,
        task=suite,
        messages=(),
        system=None,
        target="t",
        target_kind="gold",
        origin="suite",
        slices={"parity": "odd" if number % 2 else "even"} if slices is None else slices,
        must_pass=must_pass,
        cluster_id=f"{suite} cluster {number}" if cluster is None else cluster,
        weight=weight,
        is_counted=is_counted,
    )
    return JudgedSample(asked, {"champion": _answers(champion), "challenger": _answers(challenger)})


def samples(
    champion: Sequence[float], challenger: Sequence[float], suite: str = "route"
) -> list[JudgedSample]:
    return [
        sample(number, old, new, suite)
        for number, (old, new) in enumerate(zip(champion, challenger, strict=True))
    ]


def swapped(items: Sequence[JudgedSample]) -> list[JudgedSample]:
    return [
        answering(item, champion=item.answers["challenger"], challenger=item.answers["champion"])
        for item in items
    ]


def answering(item: JudgedSample, **answers: tuple[Answer, ...]) -> JudgedSample:
    """The same sample with other answers of these releases."""
    return replace(item, answers={**item.answers, **answers})


@st.composite
def any_pairs(draw: st.DrawFn) -> Pairs:
    """Two pairs or more in two clusters or more: right/wrong or graded, clustered or not."""
    count = draw(st.integers(2, 40))
    score = draw(st.sampled_from((st.sampled_from((0.0, 1.0)), st.floats(0, 1, width=16))))
    scores = st.lists(score, min_size=count, max_size=count)
    labels = draw(
        st.one_of(
            st.just(list(range(count))),
            st.lists(st.integers(0, 5), min_size=count, max_size=count).filter(
                lambda found: len(set(found)) > 1
            ),
        )
    )
    weights = st.one_of(
        st.just([1.0] * count), st.lists(st.floats(0.1, 9), min_size=count, max_size=count)
    )
    return pairs(draw(scores), draw(scores), labels, draw(weights))


def _answers(value: float | Answer | tuple[Answer, ...]) -> tuple[Answer, ...]:
    if isinstance(value, tuple):
        return value
    return (value,) if isinstance(value, Answer) else (Answer(float(value)),)
