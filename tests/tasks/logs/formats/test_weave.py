from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.formats import weave
from tasks.logs.shapes.records import Call, Feedback, Other

PRICES = {"prompt_tokens_total_cost": 0.25, "completion_tokens_total_cost": 0.5}


def op(name: str) -> str:
    return f"weave:///team/project/op/{name}:Xyz0"


def call(**changes: Any) -> dict[str, Any]:
    """A call of OpenAI's client, as the API streams it."""
    return {
        "id": "c2", "project_id": "team/project", "op_name": op("openai.chat.completions.create"),
        "trace_id": "t", "parent_id": "c1", "thread_id": "th", "turn_id": "c1",
        "started_at": "2026-01-02T03:04:05.000Z", "ended_at": "2026-01-02T03:04:06.500Z",
        "attributes": {"weave": {"source": "python-sdk"}, "team": "x"}, "exception": None,
        "inputs": {"self": {"_type": "Completions"}, "model": "m", "temperature": 0,
                   "messages": [{"role": "user", "content": "hi"}]},
        "output": {"id": "chatcmpl-1", "object": "chat.completion", "model": "m-2", "choices": [
            {"index": 0, "finish_reason": "stop",
             "message": {"role": "assistant", "content": "ho"}}],
            "usage": {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}},
        "summary": {"usage": {"m-2": {"requests": 1, "prompt_tokens": 12, "completion_tokens": 5,
                                      "total_tokens": 17}},
                    "weave": {"status": "success", "latency_ms": 1500, "costs": {"m-2": PRICES}}},
        "wb_user_id": "w", **changes,
    }  # fmt: skip


def root(**changes: Any) -> dict[str, Any]:
    """The application around it, which has its usage too."""
    return call(**{"id": "c1", "parent_id": None, "op_name": op("answer"), "inputs": {"q": "hi"},
                   "attributes": {"user_id": "ann", "release": "v1"}, "output": "ho",
                   **changes})  # fmt: skip


def fed(*values: Any) -> list[Any]:
    reader = weave.reader()
    found = [each for number, value in enumerate(values) for each in reader.feed(value, number)]
    return [record for record, _ in (*found, *reader.end())]


def test_every_field_of_a_call_and_what_is_around_it_is_none():
    assert formats.recognise(call()) is weave
    found, other = fed(call(), root())
    assert other == Other()
    assert (found.request_id, found.model, found.provider) == ("c2", "m-2", "openai")
    assert (str(found.started_at), found.latency_s) == ("2026-01-02 03:04:05", 1.5)
    assert found.messages == [{"role": "user", "content": "hi"}]
    assert found.response == {"role": "assistant", "content": "ho"}
    assert (found.input_tokens, found.output_tokens, found.total_tokens) == (12, 5, 17)
    assert (found.cost_usd, found.params, found.finish_reason) == (0.75, {"temperature": 0}, "stop")
    assert (found.session_id, found.user, found.release) == ("th", "ann", "v1")
    assert (found.status, found.operation) == ("ok", "chat")
    assert found.tags["team"] == "x"
    assert found.tags["span_name"] == "openai.chat.completions.create"
    assert (found.tags["trace_id"], found.tags["response_id"]) == ("t", "chatcmpl-1")
    (alone,) = fed(call())
    assert alone.user == "w"


@pytest.mark.parametrize("shape", ["text", "columns", "page", "call"])
def test_a_call_in_every_shape_people_have(shape: str):
    value: dict[str, Any] = call()
    if shape == "text":
        value = {key: json.dumps(item) if isinstance(item, dict) else item or ""
                 for key, item in value.items()}  # fmt: skip
    elif shape == "columns":
        value = {key: item for key, item in value.items() if not isinstance(item, dict)}
        for name, inner in call().items():
            for key, item in inner.items() if isinstance(inner, dict) else ():
                value[f"{name}.{key}"] = json.dumps(item) if isinstance(item, dict | list) else item
    else:
        value = {"calls": [value]} if shape == "page" else {"call": value}
    assert formats.recognise(value) is weave
    assert fed(value) == fed(call())


@pytest.mark.parametrize(
    ("changes", "is_call"),
    [
        ({"op_name": op("anthropic.AsyncMessages.create")}, True),
        ({"op_name": op("google.genai.models.Models.generate_content")}, True),
        ({"op_name": op("litellm.acompletion")}, True),
        ({"op_name": op("langchain.Llm.ChatOpenAI")}, True),
        ({"op_name": "openai.responses.create"}, True),
        ({"op_name": op("openai.images.generate")}, False),
        ({"op_name": op("openai.moderations.create")}, False),
        ({"op_name": op("langchain.Chain.RunnableSequence")}, False),
        ({"op_name": op("ask"), "attributes": {"weave": {"kind": "llm"}}}, True),
        ({"op_name": op("ask"), "attributes": {"kind": "tool"}}, False),
        # a function of one's own that was asked as an API is, and made one request
        ({"op_name": op("ask")}, True),
        ({"op_name": op("ask"), "summary": {"usage": {"m": {"requests": 2}}}}, False),
        ({"op_name": op("ask"), "inputs": {"question": "x"}}, False),
    ],
)  # fmt: skip
def test_which_calls_are_of_a_model(changes: dict[str, Any], is_call: bool):
    (found,) = fed(call(**changes))
    assert isinstance(found, Call) is is_call


def test_of_two_around_one_api_call_the_inner_counts():
    outer = call(id="c0", op_name=op("langchain.Llm.ChatOpenAI"), parent_id=None)
    found = fed(call(parent_id="c0"), outer)
    assert [getattr(each, "request_id", None) for each in found] == ["c2", None]


def test_counts_of_the_summary_where_the_output_has_none():
    (found,) = fed(call(output="ho", summary={"usage": {"m": {
        "input_tokens": 3, "output_tokens": 2, "requests": 1}}}))  # fmt: skip
    assert (found.input_tokens, found.output_tokens, found.model) == (3, 2, "m")
    assert (found.response["content"], found.cost_usd) == ("ho", None)


def test_failed_running_and_embedding_calls():
    (failed,) = fed(call(exception="Traceback (most recent call last):\nopenai.NotFoundError: no",
                         output=None))  # fmt: skip
    assert (failed.status, failed.error_type) == ("error", "NotFoundError")
    (running,) = fed(call(output=None, ended_at=None))
    assert (running.status, running.latency_s) == (None, 1.5)
    (vector,) = fed(call(op_name=op("openai.embeddings.create"), output={"data": [
        {"embedding": [0.5]}], "usage": {"prompt_tokens": 3}}, inputs={"input": "hi"}))  # fmt: skip
    assert (vector.operation, vector.status, vector.input_tokens) == ("embeddings", "ok", 3)


@pytest.mark.parametrize(
    ("kind", "payload", "expected"),
    [
        ("wandb.reaction.1", {"emoji": "👍"}, Feedback("thumbs", value=1.0)),
        ("wandb.reaction.1", {"emoji": "🎉"}, Feedback("reaction", comment="🎉")),
        ("wandb.note.1", {"note": "hm"}, Feedback("comment", comment="hm")),
        ("wandb.annotation.tone", {"value": "warm"}, Feedback("tone", comment="warm")),
        ("wandb.annotation.stars", {"value": 4}, Feedback("stars", value=4.0)),
        ("wandb.runnable.judge", {"output": {"passed": True}}, Feedback("judge", value=1.0)),
        ("correctness", {"score": 0.5, "comment": "half"},
         Feedback("correctness", value=0.5, comment="half")),
    ],
)  # fmt: skip
def test_feedback_of_every_kind(kind: str, payload: dict[str, Any], expected: Feedback):
    item = {"feedback_type": kind, "payload": payload, "created_at": None}
    (found,) = fed(call(summary={"weave": {"feedback": [item]}}))
    assert found.feedback == (expected,)
    _, told = fed(root(summary={"weave": {"feedback": [{**item, "wb_user_id": "b"}]}}), call())
    assert (told.feedback[0].kind, told.feedback[0].by) == (expected.kind, "b")


@pytest.mark.parametrize("value", [{"op_name": 1, "trace_id": 1, "started_at": 1},
                                   {"op_name": "x"}, {"calls": [{}]}, {"data": 1}])  # fmt: skip
def test_what_only_looks_like_it_is_not_taken(value: Any):
    assert not weave.matches(value)


def test_a_function_of_ones_own_that_gives_an_answer_on():
    own = {"op_name": op("chat_completion"), "summary": {"latency_ms": 1}, "attributes": {}}
    asked = {"messages": [{"role": "user", "content": "hi"}]}
    (alone,) = fed(call(**own, inputs=asked))
    assert isinstance(alone, Call)
    assert (alone.model, alone.input_tokens) == ("m-2", 12)
    # with the client's call in it it is what is around that
    found = fed(call(**{**own, "id": "c1", "parent_id": None}, inputs=asked), call())
    assert [type(each) for each in found] == [Other, Call]
    assert fed(call(**own, inputs={"question": "hi"})) == [Other()]
