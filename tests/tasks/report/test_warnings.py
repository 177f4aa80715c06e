from __future__ import annotations

from dataclasses import replace

import pytest

from tasks.model.profile import AnswerProfile
from tasks.model.turn import Turn
from tasks.model.verdict import ReleaseScore, SuiteResult
from tasks.report import page
from tasks.report.warnings import warnings
from tasks.run import Run
from tests.tasks.record.stores import read


def _scoring(suite: SuiteResult, champion: float | None, challenger: float | None) -> SuiteResult:
    means = {"champion": champion, "challenger": challenger}
    releases: dict[str, ReleaseScore] = {
        role: replace(suite.releases[role], mean=mean) for role, mean in means.items()
    }
    return replace(suite, releases=releases)


@pytest.fixture
def turn(decided: Run) -> Turn:
    return read(decided)


@pytest.mark.parametrize(
    ("champion", "challenger", "num_samples", "is_told"),
    [
        (0.14, 0.0, 10, True),
        (0.14, 0.15, 10, False),
        (0.0, 0.0, 9, False),
        (None, 0.0, 50, False),
        (0.9, 0.0, 50, False),
    ],
)
def test_a_suite_on_which_both_fail_nearly_everywhere_is_told(
    turn: Turn, champion: float | None, challenger: float, num_samples: int, is_told: bool
):
    suite = replace(turn.verdict.suites[0], num_samples=num_samples)
    suite = _scoring(suite, champion, challenger)
    told = warnings([suite], [])
    assert bool(told) == is_told == suite.is_on_floor == suite.to_json()["is_on_floor"]
    if told:
        assert "prompt, scorer or max_tokens is probably wrong" in told[0]
        assert f"flywheel show --suite {suite.rule.name} --both-failed" in told[0]


def test_degenerate_answers_are_one_sentence_a_suite_and_stand_in_the_report(turn: Turn):
    both = (
        AnswerProfile("tickets", "champion", 40, 0, 1, 9, 30.0, 4.0, 0.00002, "EUR"),
        AnswerProfile("tickets", "challenger", 40, 8, 0, 0, 31.0, 5.0, 0.00004, "EUR"),
        AnswerProfile("orders", "champion", 40, 1, 1, 1, None, None, None, ""),
    )
    assert warnings(turn.verdict.suites, both) == (
        "suite tickets: of the answers, 0 of 40 of the champion and 8 of 40 of the challenger are "
        "empty; 9 of 40 of the champion and 0 of 40 of the challenger end in one phrase over and "
        "over.",
    )
    html = page.render(replace(turn, profiles=both), None)
    for said in ("challenger are empty", "20.0%", "0.02 EUR for 1,000 answers", "31.0"):
        assert said in html, said
    assert "What the answers are like" not in page.render(turn, None)


def test_sessions_and_what_a_prompt_takes_the_place_of_stand_on_the_page(turn: Turn) -> None:
    told = "the prompt 'default' takes the place of <b>"
    receipts = tuple(
        replace(receipt, notes={**receipt.notes, "cautions": [told]})
        if receipt.stage == "evaluate"
        else receipt
        for receipt in turn.receipts
    )
    assert "<h2>Sessions</h2>" not in page.render(turn, None)
    steps = [
        replace(item, sample=replace(item.sample, session="s", step=place))
        for place, item in enumerate(turn.judged[:2], 1)
    ]
    html = page.render(replace(turn, receipts=receipts, judged=tuple(steps)), None)
    assert html.count("<h2>Sessions</h2>") == 1
    assert html.count("takes the place of &lt;b&gt;") == 1
