"""What a call got back, and how that ends the call: the one place for both, whatever the format.

A format says what it read and hands call and answer to `finish`. An HTTP 200 without a completion
is an error row, never an answer; a block of a guardrail is a verdict, never an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tasks.logs.shapes.messages import flatten_content
from tasks.logs.shapes.records import Call, Json

_BLOCKED = "blocked"
#: what Google's APIs put before the name of a model that it serves itself
_GOOGLE_PATH = re.compile(r"^(?:(?:projects/.+/)?publishers/[^/]+/)?models/")
#: error of a call without anything that is an answer
NO_COMPLETION = "no_completion"
#: error of an answer that is logged piece by piece, where its end is not in the log
CUT_OFF = "stream_cut"
#: tag of a call whose input and output are not its total
UNCLEAR_TOKENS = "tokens_unclear"
#: tag of a call that a gateway answered from its cache: its tokens were counted before
FROM_CACHE = "answered_from_cache"
#: how much of a text that is no completion is kept for people to look at
_MAX_KEPT_CHARS = 2000
#: in an assistant's message: whatever may be its answer
_SAYING = (
    "content", "tool_calls", "function_call", "refusal", "audio", "images", "reasoning",
    "reasoning_content", "server_tool_calls", "compaction",
)  # fmt: skip
_EMPTY: tuple[Json, ...] = (None, "", [], {})
#: the word of an API, in small letters → ours; any other stays as it is
_FINISH = {
    "stop": "stop", "end_turn": "stop", "stop_sequence": "stop", "finish": "stop",
    "finished": "stop", "complete": "stop", "completed": "stop", "eos": "stop",
    "endoftext": "stop", "eos_token": "stop",
    "length": "length", "max_tokens": "length", "max_output_tokens": "length",
    "tool_calls": "tool_calls", "tool_call": "tool_calls", "tool_use": "tool_calls",
    "tool-calls": "tool_calls", "function_call": "tool_calls", "requires_action": "tool_calls",
    "model_context_window_exceeded": "length", "model_length": "length",
    "content_filter": "content_filter", "content-filter": "content_filter",
    "content_filtered": "content_filter", "refusal": "content_filter",
    "guardrail_intervened": "content_filter", "error_toxic": "content_filter",
}  # fmt: skip


@dataclass(slots=True)  # not frozen: one is made for every call
class Answer:
    """What came back. `message` None: there is no message in it.

    `body`: what it was read from. `complete`: all is there without a message, as with embeddings.
    `recorded` False: the log does not tell what came back. `verdicts`: of guardrails. `provider`,
    `operation`: where they show in the answer itself. `cost_usd`: as it tells.
    `ttft_s`, `latency_s`: of an API that tells in its answer how long it took.
    """

    message: dict[str, Json] | None = None
    response_id: str | None = None
    model: str | None = None
    created: Json = None
    finish_reason: str | None = None
    tokens: Mapping[str, int | None] | None = None
    other_choices: list[Json] | None = None
    error: Json = None
    body: Json = None
    tags: dict[str, Json] | None = None
    complete: bool = False
    recorded: bool = True
    verdicts: list[dict[str, Json]] | None = None
    ttft_s: float | None = None
    latency_s: float | None = None
    provider: str | None = None
    operation: str | None = None
    cost_usd: float | None = None


NOT_RECORDED = Answer(recorded=False)


def verdict(
    guardrail: str | None, blocked: bool, *, masked: bool = False, **details: Json
) -> dict[str, Json]:
    """What a guardrail decided on a call; details are kept where they say something."""
    action = _BLOCKED if blocked else "masked" if masked else "passed"
    said = {name: value for name, value in details.items() if value not in (None, "", [], {})}
    return {"guardrail": guardrail or "unknown", "action": action, **said}


def finish(
    call: Call, answer: Answer = NOT_RECORDED, error: Json = None, otherwise: str | None = "ok"
) -> Call:
    """`call`, with its end and with what it lacks and its answer says. Changes the call.

    `error`: what the log says went wrong. `otherwise`: the status where nothing did. A status that
    the log itself gives is believed, but for a success without a completion.
    """
    message = answer.message
    if message is not None:
        content = message.get("content")
        if type(content) is not str or not content:  # unlike nearly every answer
            message = flatten_content(message)
            message = message if says_something(message) else None
    call.response = message
    if message is not None and call.tool_calls is None:
        call.tool_calls = message.get("tool_calls")
    call.model = call.model or answer.model
    if call.model is not None and "/" in call.model:
        call.model = _GOOGLE_PATH.sub("", call.model)
    if answer.latency_s is not None and call.latency_s is None:
        call.latency_s, call.ttft_s = answer.latency_s, call.ttft_s or answer.ttft_s
    if call.cost_usd is None:
        call.cost_usd = answer.cost_usd
    if answer.tokens:
        for name, count in answer.tokens.items():
            if getattr(call, name) is None:
                setattr(call, name, count)
    if -1 in (call.input_tokens, call.output_tokens, call.total_tokens, call.cached_tokens,
              call.reasoning_tokens):  # fmt: skip
        _drop_unknown(call)
    asked, said, total = call.input_tokens, call.output_tokens, call.total_tokens
    if None not in (asked, said, total) and (asked or 0) + (said or 0) != total:
        call.tags = {**call.tags, UNCLEAR_TOKENS: f"{asked} + {said}, total {total}"}
    reason = call.finish_reason or answer.finish_reason
    call.finish_reason = reason and _FINISH.get(reason.lower(), reason)
    verdicts = call.guardrail_verdicts or answer.verdicts or None
    call.guardrail_verdicts = verdicts
    missing = answer.recorded and message is None and not answer.complete
    failed_over_http = (call.http_status or 0) >= 400
    if isinstance(verdicts, list) and any(
        isinstance(verdict, dict) and verdict.get("action") == _BLOCKED for verdict in verdicts
    ):
        call.finish_reason, missing = "content_filter", False
        if failed_over_http:
            call.http_status = None
    elif error or answer.error:
        call.error_type = _error_name(error or answer.error)
    elif failed_over_http and call.status != "ok":
        call.error_type = str(call.http_status)
    elif missing:
        call.error_type = NO_COMPLETION
    if call.status is None or (missing and call.status == "ok"):
        call.status = otherwise if call.error_type is None else "error"
    tags = _tags(answer, missing)
    if answer.response_id is not None and answer.response_id != call.request_id:
        tags["response_id"] = answer.response_id
    if tags:
        call.tags = {**tags, **call.tags}
    return call


def _drop_unknown(call: Call) -> None:
    """Some say -1 for a count that is not known; any other below 0 is for the expectations."""
    for name in ("input_tokens", "output_tokens", "total_tokens", "cached_tokens",
                 "reasoning_tokens"):  # fmt: skip
        if getattr(call, name) == -1:
            setattr(call, name, None)


def says_something(message: Mapping[str, Json]) -> bool:
    """Whether a message holds an answer: a text, tool calls, a refusal, …; a role alone is none.

    An object of another shape than a message is believed to hold one.
    """
    if any(message.get(key) not in _EMPTY for key in _SAYING):
        return True
    return bool(message) and not any(key in message for key in ("role", *_SAYING))


def _error_name(error: Json) -> str:
    """The class of an error: its code, else its type, else whatever short text it is."""
    if isinstance(error, dict):
        inner = error["error"] if isinstance(error.get("error"), dict) else error
        for key in ("code", "type", "name"):
            if isinstance(inner.get(key), str | int) and inner.get(key):
                return str(inner[key])[:200]
        return "error"
    return str(error)[:200] if isinstance(error, str | int) else "error"


def _tags(answer: Answer, missing: bool) -> dict[str, Json]:
    tags: dict[str, Json] = {}
    if missing and not answer.error:
        body = answer.body
        if body is None:  # of a message that says nothing, whatever stands in it beside its role
            message = {**(answer.message or {}), "role": None}
            body = {key: item for key, item in message.items() if item not in _EMPTY}
        if body not in _EMPTY:
            tags["response_body"] = body[:_MAX_KEPT_CHARS] if isinstance(body, str) else body
    elif answer.tags:
        tags.update(answer.tags)
    if answer.error:
        tags["error"] = answer.error
    if answer.other_choices:
        tags["other_choices"] = answer.other_choices
    return tags
