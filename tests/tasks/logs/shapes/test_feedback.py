from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tasks.logs.shapes.feedback import read_feedback
from tasks.logs.shapes.records import Feedback, UnreadableError


@pytest.mark.parametrize(
    ("given", "value"),
    [("up", 1), ("thumbs_down", -1), ("👎", -1), (1, 1), (-1, -1), (True, 1), (False, -1),
     ({"kind": "thumbs", "value": "positive"}, 1), ({"kind": "thumbs_up"}, 1), ({"value": -1}, -1)],
)  # fmt: skip
def test_a_thumb_may_be_given_in_many_ways(given: Any, value: int):
    assert read_feedback(given) == (Feedback("thumbs", value=float(value)),)


def test_a_correction_is_one_without_being_named():
    assert read_feedback([{"corrected": "right"}]) == (Feedback("correction", corrected="right"),)


def test_all_fields():
    (found,) = read_feedback(
        [{"kind": "rating", "score": "4.5", "comment": "ok", "at": 1_700_000_000, "by": "ann"}]
    )
    assert found == Feedback(
        "rating", value=4.5, comment="ok", given_at=datetime(2023, 11, 14, 22, 13, 20), by="ann"  # noqa: DTZ001
    )  # fmt: skip


def test_no_feedback_is_none():
    assert read_feedback(None) == ()
    assert read_feedback({"kind": "incident", "value": True})[0].value == 1.0


@pytest.mark.parametrize("given", [{"value": 7}, {"kind": "thumbs"}, [[]], {"mood": "good"},
                                   {"kind": "rating", "value": "four"}])  # fmt: skip
def test_feedback_that_says_nothing_clear_is_refused(given: Any):
    with pytest.raises(UnreadableError, match="feedback"):
        read_feedback(given)
