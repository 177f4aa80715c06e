"""What keeps a judge from deciding, and what is told of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.judges.measure import agreed, self_preference, why_not
from tasks.model.comparison import Interval
from tasks.model.judge import Agreed, JudgeCard, Predicted, Rate
from tasks.report.judges import card_rows
from tasks.settings import JudgeSettings, parse_settings

SETTINGS = JudgeSettings(release="r", rubric="Be right.")
GOOD = Agreed(100, 0.7, Interval(0.6, 0.8), 0.85, Interval(0.77, 0.91))


def card(**changes: Any) -> JudgeCard:
    values: dict[str, Any] = {
        "name": "j", "kind": "pairwise", "version": "judge:j@1", "models": ("m",),
        "num_asked": 200, "num_labels": 100, "people": GOOD, **changes,
    }  # fmt: skip
    return JudgeCard(**values)


def test_one_that_keeps_all_its_thresholds_may_decide() -> None:
    assert why_not(card(flips=Rate(0.2, 100), num_unread=10), SETTINGS) == ()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"people": agreed([], []), "num_labels": 0}, "there is no label"),
        ({"people": agreed([], [])}, "0 labels of people of 100, that it judged, are fewer than"),
        (
            {"people": agreed([0, 1] * 20, [0, 1] * 20), "num_labels": 40},
            "40 labels of people are fewer than 50",
        ),
        ({"people": agreed([1] * 60, [1] * 60)}, "kappa is not defined"),
        (
            {"people": Agreed(100, 0.45, Interval(0.3, 0.6), 0.7, None)},
            "kappa with people is 0.45 [0.30 to 0.60] on 100 labels, and its lower end must be 0.4",
        ),
        ({"num_unread": 11}, "5.5% of its answers cannot be read, and 5.0% may"),
        ({"num_lost": 100, "num_unread": 6}, "6.0% of its answers cannot be read"),
        ({"flips": Rate(0.21, 100)}, "changes 21.0% of its verdicts, and 20.0% may"),
    ],
)
def test_one_below_any_of_them_may_not(changes: dict[str, Any], why: str) -> None:
    (told,) = why_not(card(**changes), SETTINGS)
    assert why in told


def test_self_preference_is_what_it_adds_beside_people() -> None:
    added = {"champion": [(1.0, 0.5), (0.5, 0.5)], "challenger": [(0.5, 0.5), (0.25, 0.75)]}
    # adds 0.25 to its own, takes 0.25 from the other
    assert self_preference(added, ("champion",)) == pytest.approx(0.5)
    assert self_preference(added, ("champion", "challenger")) is None
    assert self_preference({}, ("champion",)) is None


def test_a_card_comes_back_from_its_json_and_every_row_of_it_is_told() -> None:
    whole = card(
        flips=Rate(0.1, 50, Interval(0.05, 0.2)),
        predicted={"challenger": Predicted(20, 0.1, Interval(-0.1, 0.3), 0.4, 0.2)},
        overlap=GOOD,
        earlier="judge:j@0",
        cost=0.5,
        currency="USD",
        why_not=("of this", "and that"),
    )
    assert JudgeCard.from_json(json.loads(json.dumps(whole.to_json()))) == whole
    rows = dict(card_rows(whole))
    assert rows["may gate"] == "no: of this; and that"
    assert rows["flip rate"] == "10.0% [5.0% to 20.0%] of 50"
    assert rows["kappa with people"] == "0.70 [0.60 to 0.80] on 100 items"


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        ({"release": "r"}, "needs a `rubric`"),
        ({"rubric": "x"}, "a `release` or a `panel`"),
        ({"release": "r", "rubric": "x", "scale": [5, 1]}, "lowest and highest"),
        ({"panel": ["a"]}, "two judges or more"),
        ({"panel": ["a", "b"], "rubric": "x"}, "not of a panel"),
        ({"release": "r", "rubric": "x", "combine": "mean"}, "of a panel"),
    ],
)
def test_a_judge_that_makes_no_sense_is_refused(judge: dict[str, Any], message: str) -> None:
    with pytest.raises(Exception, match=message):
        parse_settings({"judges": {"j": judge}}, base=".")
