"""Rows of traces, whatever the vendor: nesting, rows of one span, what speaks of a call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tasks.logs.formats import gathering
from tasks.logs.formats.traces import Role, Row, Signal, Traces, error_class
from tasks.logs.shapes.coerce import number
from tasks.logs.shapes.records import Call, Dead, Feedback, Json, Other, UnreadableError


def read(row: Row, around: list[Row]) -> Call:
    return Call(request_id=row.get("own"), cost_usd=number("cost", row.get("cost")),
                finish_reason=row.get("said"), started_at=row.get("at"),
                tags={"around": [each.get("own") for each in around]})  # fmt: skip


def signals(row: Row) -> Iterator[Signal]:
    if "score" in row:
        yield (
            row,
            lambda item: Feedback("score", value=number("score", item["score"])),
            row.get("on"),
        )


def alone(row: Row) -> Iterator[Feedback]:
    yield Feedback("alone", value=number("alone", row.get("alone")))


def role(row: Row) -> Role:
    kind: Role = row.get("role", "call")
    return kind


VENDOR = Traces(
    "vendor", "vendor@1",
    lambda value: value if isinstance(value, list) else [value] if isinstance(value, dict) else [],
    lambda row: None if "alone" in row else (row.get("trace", "t"), row.get("own", "")),
    lambda row: row.get("parent"), role, read, signals, alone,
)  # fmt: skip


def told(*values: Json) -> list[Any]:
    reader = VENDOR.reader()
    found = [each for place, value in enumerate(values) for each in reader.feed(value, place)]
    return [*found, *reader.end()]


def calls(*values: Json) -> dict[str | None, Call]:
    return {record.request_id: record for record, _ in told(*values) if isinstance(record, Call)}


def test_rows_of_traces_that_run_at_once_are_told_where_they_stand():
    found = told({"trace": "a", "own": "1"}, {"trace": "b", "own": "2", "role": "other"},
                 {"trace": "a", "own": "3", "parent": "1", "role": "other"})  # fmt: skip
    assert [(type(record), place) for record, place in found] == [
        (Call, 0), (Other, 2), (Other, 1),
    ]  # fmt: skip


def test_of_calls_around_one_api_call_the_inner_counts_with_what_the_outer_ones_recorded():
    found = calls({"own": "inner", "parent": "step"}, {"own": "outer", "said": "stop"},
                  {"own": "step", "parent": "middle", "role": "plain"},
                  {"own": "middle", "parent": "outer"})  # fmt: skip
    assert list(found) == ["inner"]
    assert found["inner"].finish_reason == "stop"
    assert found["inner"].tags["around"] == ["step", "middle", "outer"]


def test_a_call_under_the_tool_of_another_is_one_of_its_own():
    found = calls({"own": "a"}, {"own": "tool", "parent": "a", "role": "other"},
                  {"own": "b", "parent": "tool"})  # fmt: skip
    assert list(found) == ["a", "b"]


def test_rows_of_one_span_complete_each_other_and_nothing_takes_nothing_away():
    (found,) = told({"own": "1", "cost": 1, "said": "stop"}, {"own": "1", "cost": 2, "said": ""})
    assert (found[0].cost_usd, found[0].finish_reason, found[1]) == (2.0, "stop", 0)


def test_feedback_speaks_of_its_span_or_of_the_last_call_of_the_trace():
    found = calls(
        {"own": "root", "role": "plain", "score": 1}, {"own": "1", "at": "2", "score": 2},
        {"own": "2", "at": "3"}, {"own": "x", "role": "other", "score": 3, "on": "1"},
    )  # fmt: skip
    assert [each.value for each in found["1"].feedback] == [2.0, 3.0]
    assert [each.value for each in found["2"].feedback] == [1.0]


def test_what_tells_of_the_trace_comes_last_and_is_counted_only_where_it_stands_alone():
    about = {"own": "trace", "role": "about"}
    assert calls(about, {"own": "1"})["1"].tags["around"] == ["trace"]
    assert [record for record, _ in told(about)] == [Other()]


def test_what_cannot_be_read_is_a_dead_letter_beside_the_rest():
    found = told(["x", {"own": "1", "cost": "dear"}, {"own": "2", "score": "high"}],
                 {"alone": "x"}, {"alone": 1})  # fmt: skip
    errors = [record.error for record, _ in found if isinstance(record, Dead)]
    assert errors == [
        "expected an object, received text", "alone: expected a number, received 'x'",
        "cost: expected a number, received 'dear'", "score: expected a number, received 'high'",
    ]  # fmt: skip
    assert [type(record) for record, _ in found if not isinstance(record, Dead)] == [
        Feedback, Call,
    ]  # fmt: skip


def test_a_row_without_ids_is_a_call_of_its_own():
    assert len(told({"own": ""}, {"own": ""}, {"trace": "", "own": ""})) == 3


def test_circles_and_strange_parents_end():
    found = told({"own": "a", "parent": "b", "role": "plain"},
                 {"own": "b", "parent": "a", "role": "plain"},
                 {"own": "c", "parent": "a"}, {"own": "d", "parent": {"e": 1}})  # fmt: skip
    assert len(found) == 4
    assert len(told({"own": "a", "parent": "a"}, {"own": "b", "parent": "a"})) == 2


def test_no_more_rows_are_held_than_that_and_the_oldest_trace_goes_first(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(gathering, "MAX_HELD", 3)
    reader = VENDOR.reader()
    assert reader.oldest is None
    for place, trace in enumerate("abb"):
        assert not list(reader.feed({"trace": trace, "own": str(place)}, place))
    assert reader.oldest == 0
    (first,) = reader.feed({"trace": "c", "own": "3"}, 3)
    assert (first[0].request_id, first[1], reader.oldest) == ("0", 0, 1)
    assert [place for _, place in reader.end()] == [1, 2, 3]
    assert reader.oldest is None


def test_a_value_of_something_else_is_unreadable():
    with pytest.raises(UnreadableError, match="no record of vendor"):
        told(5)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("RateLimitError('429')", "RateLimitError"),
        ("openai.BadRequestError: no\n\nTraceback (most recent call last):", "BadRequestError"),
        ("Traceback (most recent call last):\n  File 'x'\nValueError: y", "ValueError"),
        ("something went wrong", "error"), ("", "error"),
    ],
)  # fmt: skip
def test_the_class_of_an_error_as_text(text: str, name: str):
    assert error_class(text) == name
