"""Logs of evaluations: their model calls are calls, their results are refused by name."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.foreign import by_magic
from tasks.logs.formats import inspect_events, results_of_others
from tasks.logs.shapes.records import Call, Other

EVENT = {
    "event": "model", "uuid": "e1", "timestamp": "2026-11-03T09:00:00+01:00",
    "model": "anthropic/claude-x", "input": [
        {"role": "system", "content": "attachment://a1"}, {"role": "user", "content": "add"},
        {"role": "tool", "tool_call_id": "t0", "content": "no", "error": {"type": "timeout"}}],
    "tools": [{"name": "add"}], "config": {"temperature": 0.0, "top_p": None}, "retries": 2,
    "output": {
        "model": "claude-x-1", "time": 1.5, "choices": [{"stop_reason": "tool_calls", "message": {
            "role": "assistant", "content": [{"type": "reasoning", "reasoning": "r", "text": "hm"},
                                             {"type": "text", "text": "so"}],
            "tool_calls": [{"id": "t1", "function": "add", "arguments": {"x": 1}}]}}],
        "usage": {"input_tokens": 5, "output_tokens": 7, "total_tokens": 32,
                  "input_tokens_cache_read": 20, "input_tokens_cache_write": 0}},
}  # fmt: skip
LOG = {
    "version": 2, "status": "success", "eval": {"eval_id": "v", "task": "sums", "model": "m"},
    "samples": [{"id": 1, "epoch": 1, "uuid": "u1", "attachments": {"a1": "be exact"},
                 "events": [{"event": "span_begin"}, EVENT, {**EVENT, "pending": True}]}],
}  # fmt: skip
TESTS = {"results": {"results": [{"success": True, "prompt": {}}]}}
TABLE = {"columns": ["inputs", "outputs", "toxicity/v1/score"], "data": [["a", "b", 0.1]]}


def test_a_model_event_of_inspect_is_a_call():
    assert formats.recognise(LOG) is inspect_events
    call, other = inspect_events.records(LOG)
    assert other == Other(2)
    assert isinstance(call, Call)
    assert (call.request_id, call.session_id, call.prompt_name) == ("e1", "u1", "sums")
    assert (call.provider, call.model, str(call.started_at)) == (
        "anthropic", "anthropic/claude-x", "2026-11-03 08:00:00",
    )  # fmt: skip
    assert (call.input_tokens, call.output_tokens, call.cached_tokens) == (25, 7, 20)
    assert [message["content"] for message in call.messages] == ["be exact", "add", "no"]
    assert call.messages[2]["is_error"] is True
    assert call.response["content"] == "so"
    assert call.tool_calls[0]["function"] == {"name": "add", "arguments": '{"x":1}'}
    assert call.params == {"temperature": 0.0, "tools": [{"name": "add"}]}
    assert (call.latency_s, call.retries, call.finish_reason) == (1.5, 2, "tool_calls")
    assert call.tags["response_model"] == "claude-x-1"


@pytest.mark.parametrize(("value", "what"), [
    ({**LOG, "samples": []}, "Inspect"), (TESTS, "promptfoo"), (TABLE, "an MLflow evaluation"),
    ({"doc_id": 0, "filtered_resps": ["x"], "doc": {}}, "lm-eval"),
    ({"problem_idx": 0, "reward": 1.0}, "NeMo Evaluator"),
    ([{"instruction": "i", "output": "o", "generator": "g"}], "AlpacaEval"),
])  # fmt: skip
def test_results_are_refused_by_name(value: Any, what: str):
    assert formats.recognise(value) is None
    told = results_of_others.of_value(value)
    assert told == f"results of {what}: flywheel judge-runs judges them"


@pytest.mark.parametrize("value", [
    {"results": []}, {"columns": ["a"], "data": []}, {"doc_id": 1}, [], None, "x", {"eval": 1},
])  # fmt: skip
def test_nothing_else_is_taken_for_results(value: Any):
    assert results_of_others.of_value(value) is None


def test_a_zip_of_inspect_is_refused_by_what_is_in_it():
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as log:
        log.writestr("header.json", "{}")
        log.writestr("samples/1_epoch_1.json", "{}")
    told = by_magic.told(held.getvalue())
    assert told == f"an Inspect evaluation log (.eval), {results_of_others.refusal('Inspect')}"
    assert "Inspect" not in str(by_magic.told(b"PK\x03\x04"))
