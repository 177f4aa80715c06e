from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.formats import langsmith
from tasks.logs.shapes.records import Call, Dead, Feedback, Other


def message(name: str, content: Any, **more: Any) -> dict[str, Any]:
    """As LangChain serialises one."""
    path = ["langchain", "schema", "messages", name]
    return {"lc": 1, "type": "constructor", "id": path, "kwargs": {"content": content, **more}}


def run(**changes: Any) -> dict[str, Any]:
    """A run of LangChain's tracer, as the API has it."""
    said = message(
        "AIMessage", "",
        tool_calls=[{"name": "f", "args": {"a": 1}, "id": "c1", "type": "tool_call"}],
        response_metadata={"model_name": "m-2", "finish_reason": "tool_calls"},
        usage_metadata={"input_tokens": 30, "output_tokens": 9, "total_tokens": 39,
                        "input_token_details": {"cache_read": 4},
                        "output_token_details": {"reasoning": 5}},
    )  # fmt: skip
    return {
        "id": "r2", "trace_id": "r1", "parent_run_id": "r1", "run_type": "llm", "name": "Chat",
        "start_time": "2026-01-02T03:04:05.000000", "end_time": "2026-01-02T03:04:07.500000",
        "first_token_time": "2026-01-02T03:04:05.250000", "session_id": "project",
        "dotted_order": "20260102T030405000000Zr1.20260102T030405000000Zr2", "status": "success",
        "inputs": {"messages": [[message("SystemMessage", "be brief"),
                                 message("HumanMessage", "hi"),
                                 message("ToolMessage", "42", tool_call_id="c0")]]},
        "outputs": {"generations": [[{"text": "", "message": said}]],
                    "llm_output": {"token_usage": {"prompt_tokens": 1}}},
        "extra": {"invocation_params": {"model": "m", "_type": "chat", "temperature": 0.5},
                  "metadata": {"ls_provider": "amazon_bedrock", "ls_model_name": "m",
                               "ls_temperature": 0.5, "thread_id": "th", "team": "x"}},
        "total_cost": "0.25", "prompt_tokens": 30, "tags": ["seq:step:1"],
        "feedback_stats": {"helpful": {"n": 2, "avg": 0.5}, "none": {"n": 0, "avg": None}},
        **changes,
    }  # fmt: skip


def root(**changes: Any) -> dict[str, Any]:
    return run(id="r1", parent_run_id=None, run_type="chain", name="app", extra={"metadata": {
        "user_id": "ann", "revision_id": "abc", "lc_hub_owner": "me", "lc_hub_repo": "qa",
        "lc_hub_commit_hash": "f00"}}, dotted_order="20260102T030405000000Zr1",
        feedback_stats={"stars": {"n": 1, "values": {"good": 1}, "comments": ["nice"]}},
        **changes)  # fmt: skip


def feed(*values: Any) -> list[Any]:
    reader = langsmith.reader()
    found = [each for number, value in enumerate(values) for each in reader.feed(value, number)]
    return [record for record, _ in (*found, *reader.end())]


def one(*values: Any) -> Call:
    (call,) = [each for each in feed(*values) if isinstance(each, Call)]
    return call


def test_every_field_of_a_run():
    assert formats.recognise(run()) is langsmith
    call = one(run(), root())
    assert (call.request_id, call.provider, call.model) == ("r2", "aws.bedrock", "m-2")
    assert str(call.started_at) == "2026-01-02 03:04:05"
    assert (call.latency_s, call.ttft_s, call.cost_usd) == (2.5, 0.25, 0.25)
    assert call.messages == [
        {"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"},
        {"role": "tool", "content": "42", "tool_call_id": "c0"},
    ]  # fmt: skip
    function = {"name": "f", "arguments": '{"a":1}'}
    assert call.tool_calls == [{"id": "c1", "type": "function", "function": function}]
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (30, 9, 39)
    assert (call.cached_tokens, call.reasoning_tokens) == (4, 5)
    assert (call.status, call.finish_reason, call.operation) == ("ok", "tool_calls", "chat")
    assert call.params == {"temperature": 0.5}
    # what the run does not say, the runs around it say; the session is no project
    assert (call.session_id, call.user, call.release) == ("th", "ann", "abc")
    assert (call.prompt_name, call.prompt_version) == ("me/qa", "f00")
    assert call.tags["team"] == "x"
    assert (call.tags["trace_id"], call.tags["parent_span_id"]) == ("r1", "r1")
    assert call.tags["run_tags"] == ["seq:step:1"]
    assert [(each.kind, each.value, each.comment) for each in call.feedback] == [
        ("helpful", 0.5, None), ("stars", None, "nice"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["runs", "data", "items"])
def test_a_page_of_the_api_and_a_tree_of_runs(name: str):
    page = {name: [root(child_runs=[run(child_runs=[])])], "cursors": {}}
    assert formats.recognise(page) is langsmith
    assert [type(each) for each in feed(page)] == [Other, Call]
    assert one(page).user == "ann"


def test_a_patch_completes_the_run_that_was_posted_also_in_an_earlier_batch():
    wrapped = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 0}
    posted = run(start_time=1767323045000, end_time=None, outputs=None, inputs=wrapped)
    patch = {
        "end_time": 1767323046500, "trace_id": "r1",
        "dotted_order": posted["dotted_order"], "extra": posted["extra"],
        "outputs": {"id": "chatcmpl-1", "model": "m-2", "object": "chat.completion", "choices": [
            {"index": 0, "finish_reason": {"finish_reason": "stop"},
             "message": {"role": "assistant", "content": "ho"}}],
            "usage_metadata": {"input_tokens": 3, "output_tokens": 1, "total_tokens": 24,
                               "output_token_details": {"reasoning": 20}}},
    }  # fmt: skip
    for values in (
        [{"post": [posted], "patch": [patch]}],
        [{"post": [posted]}, {"patch": [patch]}],
    ):
        assert all(formats.recognise(value) is langsmith for value in values)
        call = one(*values)
        assert (call.request_id, call.latency_s, call.status) == ("r2", 1.5, "ok")
        assert call.response == {"role": "assistant", "content": "ho"}
        assert (call.finish_reason, call.tags["response_id"]) == ("stop", "chatcmpl-1")
        # Gemini's thoughts are beside the output there: the total tells
        assert (call.input_tokens, call.output_tokens) == (3, 21)
        assert call.params == {"temperature": 0}
    (pending,) = feed({"post": [posted], "patch": []})
    assert (pending.status, pending.response) == (None, None)
    (dead,) = feed({"patch": [patch]})
    assert isinstance(dead, Dead)
    assert "posted in no batch" in dead.error


def test_a_row_of_the_bulk_export_has_objects_as_json_text():
    row = {key: json.dumps(item) if isinstance(item, dict | list) else item
           for key, item in run().items()}  # fmt: skip
    assert formats.recognise(row) is langsmith
    assert one(row) == one(run())


def test_of_two_llm_runs_around_one_api_call_the_inner_counts():
    inner = run(id="r3", parent_run_id="step", name="OpenAI", outputs={"output": "x"})
    step = run(id="step", parent_run_id="r2", run_type="chain", feedback_stats=None)
    call = one(inner, step, run())
    assert (call.request_id, call.tool_calls[0]["id"]) == ("r3", "c1")


@pytest.mark.parametrize(
    ("outputs", "columns", "tokens", "text"),
    [
        # a completion model, counts of the provider
        ({"generations": [[{"text": "ho", "generation_info": {"finish_reason": "stop"}}]],
          "llm_output": {"token_usage": {"prompt_tokens": 2, "completion_tokens": 1}}}, {},
         (2, 1), "ho"),
        # Anthropic's message without its type
        ({"id": "msg", "role": "assistant", "model": "c", "stop_reason": "end_turn",
          "content": [{"type": "text", "text": "ho"}],
          "usage_metadata": {"input_tokens": 5, "output_tokens": 1, "total_tokens": 6}}, {},
         (5, 1), "ho"),
        # the Responses API
        ({"object": "response", "output": [{"type": "message", "role": "assistant", "content": [
            {"type": "output_text", "text": "ho"}]}]}, {"prompt_tokens": 7, "completion_tokens": 8,
            "total_tokens": 15}, (7, 8), "ho"),
        # a run that was given no counts has zeros
        ({"output": "ho"}, {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
         (None, None), "ho"),
        ({"output": message("AIMessageChunk", "ho", type="AIMessageChunk", usage_metadata={
            "input_tokens": 1, "output_tokens": 2, "total_tokens": 3})}, {}, (1, 2), "ho"),
    ],
)  # fmt: skip
def test_outputs_of_wrappers_and_models(
    outputs: Any, columns: dict[str, Any], tokens: tuple[Any, Any], text: str
):
    call = one(run(**{"prompt_tokens": None, "outputs": outputs, **columns}))
    assert call.response["content"] == text
    assert (call.input_tokens, call.output_tokens, call.status) == (*tokens, "ok")


def test_a_failed_run_is_a_call_with_its_error():
    call = one(run(error="RateLimitError('slow down')\n\nTraceback …", outputs=None, events=[
        {"name": "start"}, {"name": "new_token", "time": "2026-01-02T03:04:06"}],
        first_token_time=None))  # fmt: skip
    assert (call.status, call.error_type, call.ttft_s) == ("error", "RateLimitError", 1.0)
    assert call.tags["error"].startswith("RateLimitError('slow down')")


def test_feedback_one_a_line_names_its_run():
    line = {"id": "f", "run_id": "r2", "key": "correct", "score": True, "value": None,
            "comment": "yes", "correction": {"answer": "42"}, "created_at": "2026-01-03T00:00:00Z",
            "feedback_source": {"type": "app", "user_id": "bob"}}  # fmt: skip
    assert formats.recognise(line) is langsmith
    (signal,) = feed(line)
    assert isinstance(signal, Feedback)
    assert (signal.kind, signal.request_id, signal.value) == ("correct", "r2", 1.0)
    assert (signal.comment, signal.corrected, signal.by) == ("yes", "42", "bob")
    assert str(signal.given_at) == "2026-01-03 00:00:00"
    (dead,) = feed({**line, "run_id": None})
    assert isinstance(dead, Dead)


@pytest.mark.parametrize(
    "value",
    [{"post": 1}, {"post": [{"id": 1}]}, {"data": [{"run_type": "llm"}]}, {"run_type": "llm"},
     {"key": "a", "run_id": 1}, {"run_type": "training", "start_time": 1, "inputs": {}},
     {"patch": [{"op": "replace", "path": "/a"}]}],
)  # fmt: skip
def test_what_only_looks_like_it_is_not_taken(value: Any):
    assert not langsmith.matches(value)


def test_operations_one_by_one():
    begun = run(end_time=None, outputs=None)
    ended = {"id": "r2", "trace_id": "r1", "dotted_order": begun["dotted_order"],
             "end_time": "2026-01-02T03:04:07.500000", "outputs": run()["outputs"]}  # fmt: skip
    assert formats.recognise([begun, ended]) is langsmith
    assert formats.recognise(ended) is langsmith
    reader = langsmith.reader()
    found = [*reader.feed(begun, 0), *reader.feed(ended, 1), *reader.end()]
    (call,) = [record for record, _ in found]
    assert isinstance(call, Call)
    assert (call.latency_s, call.output_tokens, call.status) == (2.5, 9, "ok")


def test_a_query_that_left_the_times_out():
    bare = {name: item for name, item in run().items() if not name.endswith("_time")}
    assert formats.recognise(bare) is langsmith
    (call,) = langsmith.records(bare)
    assert isinstance(call, Call)
    assert (str(call.started_at), call.latency_s) == ("2026-01-02 03:04:05", None)
    (call,) = langsmith.records({**bare, "dotted_order": "odd"})
    assert call.started_at is None  # type: ignore[union-attr]
