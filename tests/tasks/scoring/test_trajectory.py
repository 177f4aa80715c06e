from __future__ import annotations

from typing import Any

import pytest

from tasks.model.answer import MISSING, Answer, JudgedSample
from tasks.model.sample import Sample
from tasks.model.tool_calls import with_calls
from tasks.scoring.step import StepParameters, step
from tasks.scoring.trajectory import departures, summary, trajectories

FIND = ("find", {"city": "Oslo", "days": 2})
BUY = ("buy", {"seat": {"row": "A", "place": [1, 2]}})


def _text(*calls: tuple[str, Any], said: str = "") -> str:
    return with_calls(said, calls)


@pytest.mark.parametrize(
    ("text", "wanted", "value"),
    [
        (_text(("find", {"days": 2.0, "city": " oslo."})), [FIND], 1),
        (_text(("find", {"days": 2, "city": "Oslo", "more": None})), [FIND], 1),
        (_text(("find", {"days": "2", "city": "Oslo"})), [FIND], 0),
        (_text(("Find", FIND[1])), [FIND], 0),
        (_text(("find", {"city": "Oslo"})), [FIND], 0),
        (_text(("find", {**FIND[1], "more": 1})), [FIND], 0),
        (_text(("ask", {"days": True})), [("ask", {"days": 1})], 0),
        (_text(("buy", {"seat": {"place": [1, 2], "row": "a"}})), [BUY], 1),
        (_text(("buy", {"seat": {"place": [2, 1], "row": "a"}})), [BUY], 0),
        (_text(BUY, FIND, said="So:"), [FIND, BUY], 1),
        (_text(FIND, FIND), [FIND, BUY], 0),
        (_text(FIND), [FIND, FIND], 0),
        (_text(FIND, FIND), [FIND], 0),
        ('{"name": "find", "parameters": {"city": "Oslo", "days": 2}}', [FIND], 1),
        ("I do not know.", [FIND], 0),
        ("", [FIND], 0),
    ],
)  # fmt: skip
def test_calls_are_the_recorded_ones_by_name_and_normalised_arguments(
    text: str, wanted: list[tuple[str, Any]], value: float
) -> None:
    assert step(text, _text(*wanted), StepParameters()).value == value


def test_the_order_of_the_calls_of_one_step_counts_where_asked_for() -> None:
    in_order = StepParameters(in_order=True)
    assert step(_text(BUY, FIND), _text(FIND, BUY), in_order).value == 0
    assert step(_text(FIND, BUY), _text(FIND, BUY), in_order).value == 1


def test_an_answer_instead_of_a_call_is_held_to_the_recorded_one_only_as_far_as_asked_for() -> None:
    other, words = "It rains in Bergen.", StepParameters(goal="includes")
    assert step(other, "Oslo", StepParameters()).value == 1
    assert step(_text(FIND), "Oslo", StepParameters()).value == 0
    assert step("  ", "Oslo", StepParameters()).value == 0
    assert [step(text, "Oslo", words).value for text in (other, "In Oslo.")] == [0, 1]
    # a recorded answer that is JSON is no call
    assert step("Ann", '{"name": "Ann"}', StepParameters()).value == 1


def _judged(session: str, place: int, target: str, **said: str | None) -> JudgedSample:
    sample = Sample(
        f"{session}-{place}", "agent", None, (), None, target, "gold", "suite",
        session=session, step=place,
    )  # fmt: skip
    answers = {
        role: (MISSING if text is None
               else Answer(step(text, target, StepParameters()).value, text=text),)
        for role, text in said.items()
    }  # fmt: skip
    return JudgedSample(sample, answers)


def test_a_session_is_summed_up_by_its_first_departure() -> None:
    wrong = _text(("find", {"city": "Bergen", "days": 2}))
    judged = [
        _judged("a", 2, _text(BUY), champion=_text(BUY), challenger=_text(FIND)),
        _judged("a", 1, _text(FIND), champion=_text(FIND), challenger=wrong),
        _judged("a", 3, "Done.", champion="Done.", challenger="Ready."),
        _judged("b", 1, _text(FIND), champion=wrong, challenger=wrong),
        _judged("b", 2, _text(BUY), champion=_text(BUY), challenger="Done."),
        _judged("c", 1, _text(FIND), champion=_text(FIND), challenger=None),
    ]
    found = trajectories(judged)
    assert [(one.session, one.role, one.departure) for one in found] == [
        ("a", "champion", None), ("a", "challenger", 1), ("b", "champion", 1),
        ("b", "challenger", 1), ("c", "champion", None),
    ]  # fmt: skip
    assert summary(found)["agent"]["challenger"] == {
        "num_sessions": 2, "departed": 2, "departures": {"1": 2}, "tools": 0, "order": 0,
        "arguments": 0, "length": 1, "goal": 1,
    }  # fmt: skip
    assert departures(found, "challenger") == [
        "Suite agent: in 1 of 2 sessions the challenger departs from what was recorded before the "
        "champion does, in 1 of them at step 1: find is called with other arguments."
    ]
    assert departures(found, "champion") == []
    assert trajectories([]) == []
