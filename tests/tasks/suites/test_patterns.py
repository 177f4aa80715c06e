"""Demands as expressions, against what Python's own texts say."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tasks.scoring.pattern import PatternParameters, pattern
from tasks.suites import patterns

TEXTS = st.text(alphabet="aA.b\n[*é ", max_size=6)
NOT_EMPTY = st.text(alphabet="aA.b\n[*é ", min_size=1, max_size=3)


def holds(demands: list[str], text: str) -> bool:
    found = pattern(text, patterns.together(demands), PatternParameters())
    assert found.value is not None, found
    return found.value == 1.0


@given(TEXTS, NOT_EMPTY, NOT_EMPTY)
def test_every_demand_is_what_it_says(text: str, one: str, other: str):
    said = {
        patterns.contains(one): one in text,
        patterns.contains(one, ignore_case=True): one.lower() in text.lower(),
        patterns.contains_any([one, other]): one in text or other in text,
        patterns.equals(one): text == one,
        patterns.starts_with(one): text.startswith(one),
        patterns.found("a.b"): re.search("a.b", text) is not None,
        patterns.found("^b|a$"): re.search("^b|a$", text) is not None
        if "\n" not in text else None,
    }  # fmt: skip
    for demand, expected in said.items():
        if expected is not None:
            assert holds([demand], text) == expected, demand
            assert holds([patterns.negated(demand)], text) != expected, demand
    assert holds([patterns.contains(one), patterns.contains(other)], text) == (
        one in text and other in text
    )
