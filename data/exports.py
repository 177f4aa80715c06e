"""A call as two log formats write it: an OTLP document, and a chat completion request/response.

Example turns of a prompt are written as OpenAI documents it: system messages with the names
example_user and example_assistant, so that they are not taken for the conversation.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

MODEL = "smollm2-135m-instruct-q4_1"
RELEASE, PROMPT_VERSION = "support-v1", "v1"
MAX_TOKENS = 16


@dataclass(frozen=True, slots=True)
class Signal:
    """Feedback on a call, given `after_s` seconds later."""

    kind: str
    after_s: int
    value: float | None = None
    comment: str | None = None
    corrected: str | None = None


@dataclass(frozen=True, slots=True)
class Logged:
    """Everything the log of a call says."""

    index: int
    session: str
    user: str
    task: str
    text: str
    prompt: tuple[tuple[str, str], ...]
    temperature: float
    top_p: float
    seed: int
    started_at: datetime
    answer: str
    finish_reason: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    ttft_s: float
    latency_s: float
    signals: tuple[Signal, ...] = field(default=())


def otlp(call: Logged) -> dict[str, Any]:
    """One document with one span, GenAI conventions as of 2026."""
    start = _nanos(call.started_at)
    end = start + int(call.latency_s * 1e9)
    said = [{"role": "user", "parts": [{"type": "text", "content": call.text}]}]
    answered = [
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": call.answer}],
            "finish_reason": call.finish_reason,
        }
    ]
    instructions = [
        {"type": "text", "content": text if role == "system" else f"\nexample_{role}: {text}"}
        for role, text in call.prompt
    ]
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "local",
        "gen_ai.request.model": MODEL,
        "gen_ai.response.model": MODEL,
        "gen_ai.response.id": f"resp-{call.index:05d}",
        "gen_ai.conversation.id": call.session,
        "enduser.id": call.user,
        "gen_ai.request.temperature": call.temperature,
        "gen_ai.request.top_p": call.top_p,
        "gen_ai.request.max_tokens": MAX_TOKENS,
        "gen_ai.request.seed": call.seed,
        "gen_ai.request.stream": True,
        "gen_ai.system_instructions": _compact(instructions),
        "gen_ai.input.messages": _compact(said),
        "gen_ai.output.messages": _compact(answered),
        "gen_ai.response.finish_reasons": [call.finish_reason],
        "gen_ai.response.time_to_first_chunk": call.ttft_s,
        "gen_ai.usage.input_tokens": call.input_tokens,
        "gen_ai.usage.cache_read.input_tokens": call.cached_tokens,
        "gen_ai.usage.output_tokens": call.output_tokens,
        "flywheel.prompt.name": call.task,
        "flywheel.prompt.version": PROMPT_VERSION,
        "flywheel.release": RELEASE,
    }
    span = {
        "traceId": _hex(call.session, 32),
        "spanId": _hex(f"span {call.index}", 16),
        "name": f"chat {MODEL}",
        "kind": 3,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(end),
        "attributes": _pairs(attributes),
        "status": {"code": 1},
    }
    if call.signals:
        span["events"] = [_evaluation(call, signal) for signal in call.signals]
    resource = {"attributes": _pairs({"service.name": "fernway-support"})}
    scope = {"scope": {"name": "fernway"}, "spans": [span]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]}


def openai(call: Logged) -> dict[str, Any]:
    """One request/response pair with what the gateway adds around it."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": text}
        if role == "system"
        else {"role": "system", "name": f"example_{role}", "content": text}
        for role, text in call.prompt
    ]
    line: dict[str, Any] = {
        "request": {
            "model": MODEL,
            "messages": [*messages, {"role": "user", "content": call.text}],
            "temperature": call.temperature,
            "top_p": call.top_p,
            "max_tokens": MAX_TOKENS,
            "seed": call.seed,
            "user": call.user,
        },
        "response": {
            "id": f"chatcmpl-{_hex(f'call {call.index}', 24)}",
            "object": "chat.completion",
            "created": int(call.started_at.replace(tzinfo=UTC).timestamp()),
            "model": MODEL,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": call.answer},
                    "finish_reason": call.finish_reason,
                }
            ],
            "usage": {
                "prompt_tokens": call.input_tokens,
                "completion_tokens": call.output_tokens,
                "total_tokens": call.input_tokens + call.output_tokens,
                "prompt_tokens_details": {"cached_tokens": call.cached_tokens},
            },
        },
        "started_at": call.started_at.isoformat() + "Z",
        "latency_ms": round(call.latency_s * 1000, 1),
        "ttft_ms": round(call.ttft_s * 1000, 1),
        "status_code": 200,
        "metadata": {
            "provider": "local",
            "session_id": call.session,
            "prompt_name": call.task,
            "prompt_version": PROMPT_VERSION,
            "release": RELEASE,
        },
    }
    if call.signals:
        line["feedback"] = [_signal(call, signal) for signal in call.signals]
    return line


def _signal(call: Logged, signal: Signal) -> dict[str, Any]:
    said = {
        "kind": signal.kind,
        "value": signal.value,
        "comment": signal.comment,
        "corrected": signal.corrected,
        "at": (call.started_at + timedelta(seconds=signal.after_s)).isoformat() + "Z",
        "by": call.user,
    }
    return {key: value for key, value in said.items() if value is not None}


def _evaluation(call: Logged, signal: Signal) -> dict[str, Any]:
    attributes = {
        "gen_ai.evaluation.name": signal.kind,
        "gen_ai.evaluation.score.value": signal.value,
        "gen_ai.evaluation.explanation": signal.comment,
        "flywheel.feedback.corrected": signal.corrected,
        "enduser.id": call.user,
    }
    at = call.started_at + timedelta(seconds=signal.after_s)
    return {
        "name": "gen_ai.evaluation.result",
        "timeUnixNano": str(_nanos(at)),
        "attributes": _pairs({k: v for k, v in attributes.items() if v is not None}),
    }


def _pairs(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _any_value(value)} for key, value in attributes.items()]


def _any_value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}  # the JSON mapping writes 64-bit integers as text
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_any_value(item) for item in value]}}
    return {"stringValue": value}


def _nanos(at: datetime) -> int:
    return int(at.replace(tzinfo=UTC).timestamp()) * 1_000_000_000 + at.microsecond * 1000


def _hex(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
