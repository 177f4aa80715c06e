"""Calls for the tests of expectations: a good row, and changes that each break one rule."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

NOW = datetime.fromisoformat("2026-11-24 12:00:00")
_GOOD: dict[str, Any] = {
    "started_at": datetime.fromisoformat("2026-11-24 11:00:00"),
    "provider": "local",
    "model": "smol",
    "release": "r1",
    "prompt_name": "triage",
    "session_id": "s1",
    "operation": "chat",
    "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}],
    "response": {"role": "assistant", "content": "Hello"},
    "finish_reason": "stop",
    "params": {"temperature": 0},
    "input_tokens": 12,
    "output_tokens": 3,
    "total_tokens": 15,
    "cached_tokens": 4,
    "reasoning_tokens": 1,
    "ttft_s": 0.1,
    "latency_s": 0.4,
    "cost_usd": 0.001,
    "status": "ok",
    "http_status": 200,
    "retries": 0,
    "sources": ["calls.jsonl:1"],
    "format": "canonical",
    "run_id": "run-ingest",
    "ingested_at": NOW,
}
_JSON = ("messages", "response", "tool_calls", "params", "guardrail_verdicts", "tags")


def call(number: int, **changes: Any) -> dict[str, Any]:
    """A good call with some fields changed. JSON fields are given as values, or as JSON text."""
    row = {
        **_GOOD,
        "request_id": f"call-{number}",
        "content_digest": f"digest-{number}",
        "sources": [f"calls.jsonl:{number}"],
        **changes,
    }
    return {
        name: json.dumps(value)
        if name in _JSON and value is not None and not isinstance(value, str)
        else value
        for name, value in row.items()
    }


ROLE_ONLY = [{"role": "user"}, {"role": "assistant", "content": ""}]
NO_TOKENS = dict.fromkeys(
    ("input_tokens", "output_tokens", "total_tokens", "cached_tokens", "reasoning_tokens")
)
#: rule id → rows that fail this rule and no other
BAD_ROWS: dict[str, list[dict[str, Any]]] = {
    "has_request_id": [{"request_id": None}],
    "unique_request_id": [{"request_id": "twice"}, {"request_id": "twice"}],
    "request_id_conflict": [{"request_id": "known"}],
    "has_model": [{"model": None}],
    "model_not_blank": [{"model": ""}, {"model": " \t"}],
    "has_messages": [{"messages": None}],
    "messages_are_a_list": [
        {"messages": "[]"},
        {"messages": '{"role": "user"}'},
        {"messages": '"hi"'},
        {"messages": "null"},
        {"messages": '["hi"]'},
        {"messages": '[{"content": "hi"}]'},
        {"messages": '[{"role": 3, "content": "hi"}]'},
    ],
    "messages_have_content": [
        {"messages": ROLE_ONLY},
        {"messages": '[{"role": "user", "content": []}]'},
        {"messages": '[{"role": "user", "content": null}]'},
    ],
    "response_is_an_object": [{"response": '["hi"]'}, {"response": '"hi"'}],
    "has_response_when_ok": [{"response": None}, {"response": "null", "tool_calls": "[]"}],
    "known_status": [{"status": "maybe"}],
    "started_at_not_in_future": [{"started_at": datetime.fromisoformat("2026-11-24 12:05:01")}],
    "started_at_not_too_old": [{"started_at": datetime.fromisoformat("1970-01-21 00:00:00")}],
    "input_tokens_possible": [
        {**NO_TOKENS, "input_tokens": -1},
        {**NO_TOKENS, "input_tokens": 10_000_001},
        {**NO_TOKENS, "input_tokens": 2**63 - 1},
    ],
    "output_tokens_possible": [
        {**NO_TOKENS, "output_tokens": -1, "finish_reason": "length"},
        {**NO_TOKENS, "output_tokens": 10_000_001},
    ],
    "total_tokens_possible": [
        {**NO_TOKENS, "total_tokens": -1},
        {**NO_TOKENS, "total_tokens": 20_000_001},
    ],
    "cached_tokens_possible": [{**NO_TOKENS, "cached_tokens": -1}],
    "reasoning_tokens_possible": [{**NO_TOKENS, "reasoning_tokens": -1}],
    "total_tokens_add_up": [{"total_tokens": 14}, {"total_tokens": 100}],
    "cached_within_input": [{"cached_tokens": 13}],
    "reasoning_within_output": [{"reasoning_tokens": 4}],
    "latency_possible": [{"latency_s": -0.5, "ttft_s": None}, {"latency_s": 604_801.0}],
    "ttft_possible": [{"ttft_s": -0.5}, {"ttft_s": 604_801.0, "latency_s": None}],
    "ttft_within_latency": [{"ttft_s": 0.5}],
    "error_has_type": [{"status": "error", "response": None}],
    "ok_has_finish_reason": [{"finish_reason": None}],
    "text_has_output_tokens": [{**NO_TOKENS, "output_tokens": 0}],
    "response_not_empty": [
        {"response": {"role": "assistant", "content": " "}},
        {"response": {"role": "assistant", "content": []}},
        {"response": {"role": "assistant"}},
    ],
    "tool_calls_are_a_list": [{"tool_calls": '{"id": 1}'}],
    "tool_calls_name_a_tool": [
        {"tool_calls": '[{"id": "1"}]'},
        {"tool_calls": '[{"name": "f"}, {"function": {"name": ""}}]'},
        {"tool_calls": '["f"]'},
    ],
    "tool_arguments_are_json": [
        {"tool_calls": [{"function": {"name": "f", "arguments": "{"}}]},
        {"tool_calls": [{"function": {"name": "f", "arguments": "to Oslo"}}]},
    ],
    "http_status_possible": [
        {"http_status": 0},
        {"http_status": 600, "status": "error", "error_type": "x"},
    ],
    "ok_has_no_http_error": [{"http_status": 500}],
    "has_started_at": [{"started_at": None}],
    "has_status": [{"status": None}],
    "known_roles": [{"messages": '[{"role": "wizard", "content": "hi"}]'}],
    "retries_possible": [{"retries": -1}, {"retries": 1001}],
    "cost_possible": [{"cost_usd": -0.1}, {"cost_usd": 10_001.0}],
}
#: fields that look odd and are fine
GOOD_CHANGES: list[dict[str, Any]] = [
    {},
    {"status": "error", "error_type": "Timeout", "response": None, "finish_reason": "error"},
    {"response": None, "finish_reason": "tool_calls", "tool_calls": [{"name": "f"}]},
    {"tool_calls": [{"function": {"name": "f", "arguments": '{"to": "Oslo"}'}}, {"name": "g"}]},
    {"tool_calls": [{"function": {"name": "f", "arguments": {"to": "Oslo"}}}]},
    {"tool_calls": [{"function": {"name": "f", "arguments": ""}}]},
    {"response": None, "finish_reason": "content_filter"},
    {"response": {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}},
    {"response": None, "operation": "embeddings"},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]},
    {"messages": [{"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}]},
    {"total_tokens": 16},  # reasoning counted beside the output
    {"total_tokens": 19},  # cached counted beside the input
    {"total_tokens": 20},  # both
    {**NO_TOKENS},
    {"input_tokens": 10_000_000, "total_tokens": None},
    {"started_at": datetime.fromisoformat("2026-11-24 12:05:00")},  # within the clock skew
    {"ttft_s": 0.4},
    {"latency_s": 0.0, "ttft_s": 0.0},
    {"http_status": None, "cost_usd": None, "retries": None},
    {"model": "'; DROP TABLE landing; --", "session_id": '"{batch}:x\\'},
    {"messages": [{"role": "user", "content": "'); DELETE FROM requests; -- {0} :name %s"}]},
]
