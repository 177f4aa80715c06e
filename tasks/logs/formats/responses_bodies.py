"""Bodies of the OpenAI Responses API.

The output is a list of items (message, function_call, reasoning, …): together they are one answer.
What its own tools did is beside the text. `instructions` is the system message. A stream that was
cut is read as far as it went. Source: the OpenAI API reference, response object and streaming
events.
"""

from __future__ import annotations

from tasks.logs.formats.exchange import Api
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import Answer, verdict
from tasks.logs.shapes.messages import message_list
from tasks.logs.shapes.parts import answer_of, message_of
from tasks.logs.shapes.records import Json

_READ = frozenset({
    "id", "object", "created_at", "model", "output", "usage", "error", "status", "metadata",
    "instructions", "tools", "text", "temperature", "top_p", "incomplete_details", "messages",
})  # fmt: skip
_NOT_PARAMS = frozenset({"input", "instructions", "model", "user", "metadata"})
_ENDINGS = ("response.completed", "response.incomplete", "response.failed", "response.cancelled",
            "response.done")  # fmt: skip
_BEGINNINGS = ("response.created", "response.queued", "response.in_progress")
#: compaction is a pass of the model over the conversation
_OBJECTS = ("response", "response.compaction", "realtime.response")


def is_response(value: Json) -> bool:
    if isinstance(value, list):
        known = (*_BEGINNINGS, *_ENDINGS)
        return any(coerce.first(event, "type") in known for event in value)
    if not isinstance(value, dict):
        return False
    return value.get("object") in _OBJECTS and isinstance(value.get("output"), list)


def read_input(request: dict[str, Json]) -> Json:
    value = request.get("input")
    messages: list[Json] = []
    if request.get("instructions") is not None:
        messages.extend(message_of("system", request["instructions"]))
    if isinstance(value, list):
        for item in value:
            if isinstance(item, dict) and isinstance(item.get("role"), str):
                messages.extend(message_of(item["role"], item.get("content")))
            else:
                results = isinstance(item, dict) and str(item.get("type", "")).endswith("_output")
                messages.extend(message_of("tool" if results else "assistant", [item]))
    elif value is not None:
        messages.extend(message_list("input", value))
    return messages or None


def read_answer(value: Json) -> Answer:
    if isinstance(value, list):
        value = _from_events(value)
    if not isinstance(value, dict):
        return Answer(body=value)
    blocks: list[Json] = []
    output = coerce.sequence(value.get("output"))
    for item in _run_by_the_provider(output):
        if coerce.first(item, "type") != "message":
            blocks.append(item)
        elif coerce.first(item, "role") in (None, "assistant"):  # compaction keeps the user's too
            inner = item.get("content")
            blocks.extend(inner if isinstance(inner, list) else [inner])
    message = answer_of(blocks)
    reason = _finish_reason(value, message)
    cancelled = {"code": "cancelled"} if value.get("status") == "cancelled" else None
    rest = {key: item for key, item in value.items() if key not in _READ and item is not None}
    return Answer(
        message=message,
        response_id=coerce.text("id", value.get("id")),
        model=coerce.text("model", value.get("model")),
        created=value.get("created_at"),
        finish_reason=reason,
        tokens=usage.tokens(value.get("usage")),
        error=value.get("error") or cancelled,
        body=value,
        tags=rest,
        verdicts=[verdict("content_filter", True, stage="output")]
        if reason == "content_filter"
        else None,
        cost_usd=usage.cost(value.get("usage")),
    )


def _run_by_the_provider(items: list[Json]) -> list[Json]:
    """A shell of the provider's has its result in the same answer: nobody else is asked."""
    results = [item for item in items if str(coerce.first(item, "type")).endswith("_call_output")]
    ran = [item.get("call_id") for item in results]
    told: list[Json] = []
    for item in items:
        if item in results:
            told.append({**item, "type": "server_tool_call_response", "id": item.get("call_id")})
        elif ran and coerce.first(item, "call_id") in ran:
            name = str(item.get("name") or str(item.get("type")).removesuffix("_call"))
            told.append(
                {**item, "type": "server_tool_call", "name": name, "id": item.get("call_id")}
            )
        else:
            told.append(item)
    return told


def _from_events(events: list[Json]) -> Json:
    """The response that its last event holds; where that has no output, what came until then."""
    ended = [event for event in events if coerce.first(event, "type") in _ENDINGS]
    if ended and coerce.first(ended[-1].get("response"), "output"):
        return ended[-1]["response"]
    whole: dict[str, Json] = {}
    items: dict[int, dict[str, Json]] = {}
    for event in events:
        if not isinstance(event, dict):
            return None
        kind = event.get("type")
        if isinstance(event.get("response"), dict):
            whole.update(event["response"])
        elif kind == "error":
            whole["error"] = event.get("error") or event
        elif isinstance(event.get("item"), dict):
            items[coerce.index(event, "output_index")] = dict(event["item"])
        elif isinstance(event.get("delta"), str):
            _add_delta(items.setdefault(coerce.index(event, "output_index"), {}), kind, event)
    if items:
        whole["output"] = [items[index] for index in sorted(items)]
    return whole


def _add_delta(item: dict[str, Json], kind: Json, event: dict[str, Json]) -> None:
    """Of a text, or of the arguments of a call."""
    if kind == "response.output_text.delta":
        item["type"] = "message"
        parts = coerce.sequence(item.get("content"))
        known = coerce.first(parts[0], "text") if parts else None
        text = (known if isinstance(known, str) else "") + event["delta"]
        item["content"] = [{"type": "output_text", "text": text}]
    elif isinstance(kind, str) and kind.endswith(("_arguments.delta", "tool_call_input.delta")):
        name = "arguments" if kind.endswith("_arguments.delta") else "input"
        before = item.get(name)
        item[name] = (before if isinstance(before, str) else "") + event["delta"]


def _finish_reason(value: dict[str, Json], message: dict[str, Json] | None) -> str | None:
    reason = coerce.first(value.get("incomplete_details"), "reason")
    if reason is not None:
        return reason if isinstance(reason, str) else None
    if message is None or value.get("status") not in ("completed", None):
        return None
    if value.get("object") == "response.compaction":
        return "stop"
    return "tool_calls" if message.get("tool_calls") else "stop"


RESPONSES = Api(
    "openai", ("/responses",), "chat", is_response,
    lambda request: "input" in request and "messages" not in request,
    read_input, read_answer, _NOT_PARAMS,
)  # fmt: skip
