"""Our gate against every conformance case, and the case files against their own description."""

from __future__ import annotations

from functools import cache

import pytest

from tests.conformance import ours
from tests.conformance.suite import PROPERTIES, SOURCES, Case, Reply, failures, load, questions

CASES = {case.id: case for case in load()}
#: cases that our gate gets wrong, and why; each is a fault to mend, not a case to bend
WRONG: dict[str, str] = {}


@cache
def _replies(case_id: str) -> dict[str, Reply]:
    return {name: ours.reply(asked) for name, asked in questions(CASES[case_id]).items()}


def _parameters() -> list[object]:
    return [
        pytest.param(
            case,
            id=case.id,
            marks=pytest.mark.xfail(reason=WRONG[case.id], strict=True) if case.id in WRONG else (),
        )
        for case in CASES.values()
    ]


@pytest.mark.parametrize("case", _parameters())
def test_our_gate_answers_as_the_case_says(case: Case) -> None:
    wrong = failures(case, _replies(case.id), lambda other: _replies(other)["base"])
    assert not wrong, f"{case.told['title']}: {'; '.join(wrong)}\n{case.told['why']}"
