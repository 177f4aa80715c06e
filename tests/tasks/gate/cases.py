"""Pairs and samples that the tests of the gate are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from tasks.gate.answers import Answer, PairedSample
from tasks.gate.verdict import GateRule, SuiteRule
from tasks.statistics.paired import Pairs

GATE = GateRule(alpha=0.05, max_missing_ratio=0.1)
PRIMARY = SuiteRule("route", "primary", 0.05, "exact_match")
GUARD = replace(PRIMARY, name="mood", role="guard")
REPORT = replace(PRIMARY, name="logged", role="report")


def pairs(
    first: Sequence[float], second: Sequence[float], clusters: Sequence[int] | None = None
) -> Pairs:
    one, two = np.array(first, dtype=float), np.array(second, dtype=float)
    labels = np.arange(len(one)) if clusters is None else np.array(clusters)
    return Pairs(one, two, two - one, labels)


def sample(
    number: int,
    champion: float | Answer | tuple[Answer, ...],
    challenger: float | Answer | tuple[Answer, ...],
    suite: str = "route",
    cluster: str | None = None,
    *,
    must_pass: bool = False,
) -> PairedSample:
    return PairedSample(
        sample_id=f"{suite}-{number:04}",
        suite=suite,
        cluster_id=f"{suite} cluster {number}" if cluster is None else cluster,
        champion=_answers(champion),
        challenger=_answers(challenger),
        must_pass=must_pass,
        slices={"parity": "odd" if number % 2 else "even"},
    )


def samples(
    champion: Sequence[float], challenger: Sequence[float], suite: str = "route"
) -> list[PairedSample]:
    return [
        sample(number, old, new, suite)
        for number, (old, new) in enumerate(zip(champion, challenger, strict=True))
    ]


def swapped(items: Sequence[PairedSample]) -> list[PairedSample]:
    return [replace(item, champion=item.challenger, challenger=item.champion) for item in items]


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
    return pairs(draw(scores), draw(scores), labels)


def _answers(value: float | Answer | tuple[Answer, ...]) -> tuple[Answer, ...]:
    if isinstance(value, tuple):
        return value
    return (value,) if isinstance(value, Answer) else (Answer(float(value)),)
