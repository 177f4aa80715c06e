from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tasks.logs.formats import canonical
from tasks.logs.shapes.records import Call, Dead, Feedback, UnreadableError


def read(value: Any) -> list[Any]:
    return list(canonical.records(value))


def one(**value: Any) -> Call:
    (found,) = read(value)
    assert isinstance(found, Call)
    return found


def test_a_whole_record_is_taken_up_field_by_field():
    call = one(
        request_id="r1", started_at="2026-01-02T03:04:05Z", provider="p", model="m", release="v1",
        prompt_name="triage", prompt_version=3, session_id="s", user="ann", operation="chat",
        messages=[{"role": "user", "content": "hi"}], response={"role": "assistant"},
        finish_reason="stop", params={"temperature": 0}, input_tokens="7", output_tokens=2.0,
        total_tokens=9, cached_tokens=0, reasoning_tokens=0, ttft_s=0.1, latency_s="0.5",
        cost_usd=0.01, status="ok", http_status=200, retries=0, guardrail_verdicts=[{"ok": True}],
        tags={"a": 1}, region="eu",
    )  # fmt: skip
    assert call.started_at == datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001
    assert (call.prompt_version, call.input_tokens, call.output_tokens) == ("3", 7, 2)
    assert (call.user, call.latency_s, call.http_status) == ("ann", 0.5, 200)
    assert call.tags == {"a": 1, "region": "eu"}


def test_missing_fields_stay_missing_for_the_expectations_to_judge():
    call = one(messages=[])
    assert (call.request_id, call.response, call.model, call.status, call.messages) == (
        None, None, None, None, [],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("hello", {"role": "assistant", "content": "hello"}),
        ('{"label": "x"}', {"role": "assistant", "content": '{"label": "x"}'}),
        ('{"role": "assistant", "content": "in"}', {"role": "assistant", "content": "in"}),
        ("{broken", {"role": "assistant", "content": "{broken"}),
    ],
)
def test_response_may_be_text_and_an_answer_in_json_stays_text(response: str, expected: Any):
    assert one(request_id="r", response=response).response == expected


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ("what?", [{"role": "user", "content": "what?"}]),
        ('[{"role": "user", "content": "a"}]', [{"role": "user", "content": "a"}]),
        ('["a list that is the prompt"]',
         [{"role": "user", "content": '["a list that is the prompt"]'}]),
        ({"role": "user", "content": "a"}, [{"role": "user", "content": "a"}]),
    ],
)  # fmt: skip
def test_messages_may_be_a_text_or_json_text(messages: Any, expected: Any):
    assert one(messages=messages).messages == expected


def test_status_follows_from_what_is_there():
    assert one(request_id="r", response="x").status == "ok"
    assert one(request_id="r", error_type="timeout").status == "error"
    assert one(request_id="r", http_status=503, response="x").status == "error"


def test_tool_calls_of_the_response_are_lifted_out():
    calls = [{"id": "1"}]
    assert one(response={"role": "assistant", "tool_calls": calls}).tool_calls == calls


def test_json_text_in_json_fields_is_nested_and_other_text_stays():
    call = one(request_id="r", params='{"n": 1}', tags='{"a": 2}', guardrail_verdicts="blocked")
    assert (call.params, call.tags, call.guardrail_verdicts) == ({"n": 1}, {"a": 2}, "blocked")


def test_an_unknown_key_that_is_a_tag_already_keeps_both():
    call = one(request_id="r", messages=[], tags={"region": "eu"}, region="us")
    assert call.tags == {"region": "eu", "record.region": "us"}
    assert one(request_id="r", tags=["x"]).tags == {"tags": ["x"]}


@pytest.mark.parametrize(
    "changes",
    [{"input_tokens": "many"}, {"started_at": "0000-00-00"}, {"model": {"a": 1}}, {"response": 5},
     {"messages": 5}, {"http_status": 2**40}, {"latency_s": "slow"}],
)  # fmt: skip
def test_a_value_that_cannot_be_held_makes_the_record_unreadable(changes: dict[str, Any]):
    with pytest.raises(UnreadableError, match=next(iter(changes))):
        read({"request_id": "r", **changes})


@pytest.mark.parametrize("value", [5, "x", None, {}, {"foreign": 1}])
def test_what_is_no_call_at_all_is_unreadable(value: Any):
    with pytest.raises(UnreadableError):
        read(value)


def test_feedback_attached_and_alone():
    call = one(request_id="r", feedback={"kind": "thumbs", "value": -1, "comment": "bad"})
    assert call.feedback == (Feedback("thumbs", value=-1.0, comment="bad"),)
    (alone,) = read({"record": "feedback", "request_id": "r", "kind": "rating", "value": 4})
    assert alone == Feedback("rating", request_id="r", value=4.0)
    with pytest.raises(UnreadableError, match="speaks of no call"):
        read({"record": "feedback", "kind": "thumbs", "value": 1})


def test_broken_feedback_does_not_cost_the_call():
    call, dead = read({"request_id": "r", "feedback": {"kind": "thumbs", "value": "maybe"}})
    assert isinstance(call, Call)
    assert call.feedback == ()
    assert isinstance(dead, Dead)
    assert b"maybe" in (dead.raw or b"")


def test_records_of_other_formats_are_not_taken_for_ours():
    assert canonical.matches({"messages": []})
    assert canonical.matches({"record": "feedback"})
    assert not canonical.matches({"model": "m", "status": "ok"})
    foreign = {"request_id": 1, "call_type": 2, "startTime": 3, "endTime": 4, "api_key": 5}
    assert not canonical.matches(foreign)
    assert not canonical.matches([1])


@pytest.mark.parametrize("text", ['["a", "b"]', '{"label": "x"}', "[1, 2]", "[]", "{}", "plain"])
def test_a_prompt_and_an_answer_may_be_json_text_of_anything(text: str):
    record = {"request_id": "r", "model": "m", "messages": text, "response": text}
    assert canonical.matches(record)
