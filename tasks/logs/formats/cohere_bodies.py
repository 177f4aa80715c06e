"""Bodies of Cohere's chat API: v2 (messages) and v1 (message, chat_history), whole or streamed.

Tokens are what the model read and wrote; where only billed units are told, those. Embeddings make
a call complete. Source: Cohere's API reference, Chat (v1 and v2), streaming events and Embed.
"""

from __future__ import annotations

from tasks.logs.formats.exchange import Api
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import Answer
from tasks.logs.shapes.json_text import dump
from tasks.logs.shapes.messages import message_list, tool_call
from tasks.logs.shapes.parts import message_of
from tasks.logs.shapes.records import Json

#: a tuple, because a hostile reason may be no key of a set
_REASONS = (
    "COMPLETE", "STOP_SEQUENCE", "MAX_TOKENS", "TOOL_CALL", "ERROR", "TIMEOUT", "ERROR_TOXIC",
    "ERROR_LIMIT", "USER_CANCEL",
)  # fmt: skip
_READ = frozenset({
    "id", "generation_id", "response_id", "message", "text", "finish_reason", "usage", "meta",
    "tool_calls", "chat_history", "model", "is_finished", "type", "event_type",
})  # fmt: skip
_NOT_PARAMS = frozenset({"messages", "message", "chat_history", "preamble", "model", "texts"})
_V1_ROLES = {"CHATBOT": "assistant", "USER": "user", "SYSTEM": "system", "TOOL": "tool"}


def is_answer(value: Json) -> bool:
    if isinstance(value, list):
        return any(_is_event(event) for event in value)
    if not isinstance(value, dict):
        return False
    if _is_vectors(value):
        return True
    ended = value.get("finish_reason") in _REASONS
    second = isinstance(value.get("message"), dict) and "role" in value["message"]
    return ended and (second or (isinstance(value.get("text"), str) and "chat_history" in value))


def _is_event(event: Json) -> bool:
    second = coerce.first(event, "type") in ("message-start", "message-end", "content-delta")
    return second or coerce.first(event, "event_type") in ("text-generation", "stream-end")


def _is_vectors(value: dict[str, Json]) -> bool:
    known = "response_type" in value or "billed_units" in coerce.mapping(value.get("meta"))
    return isinstance(value.get("embeddings"), list | dict) and known


def is_question(request: dict[str, Json]) -> bool:
    return "chat_history" in request and isinstance(request.get("message"), str)


def read_messages(request: dict[str, Json]) -> Json:
    if "message" not in request:
        asked = request.get("messages", request.get("texts"))
        return None if asked is None else message_list("messages", asked)
    turns = [{"role": "SYSTEM", "message": request.get("preamble")}]
    turns += coerce.sequence(request.get("chat_history"))
    turns.append({"role": "USER", "message": request["message"]})
    return [
        {"role": _V1_ROLES.get(str(turn.get("role")), "user"), "content": turn["message"]}
        for turn in turns
        if isinstance(turn, dict) and turn.get("message") is not None
    ]


def read_answer(value: Json) -> Answer:
    if isinstance(value, list):
        value = _from_events(value)
    if not isinstance(value, dict):
        return Answer(body=value)
    meta = coerce.mapping(value.get("meta"))
    answer = Answer(
        response_id=coerce.text("id", coerce.first(value, "id", "generation_id", "response_id")),
        model=coerce.text("model", value.get("model")),
        tokens=usage.tokens(value.get("usage") or meta),
        body=value,
    )
    if _is_vectors(value):
        answer.complete, answer.operation = True, "embeddings"
        return answer
    answer.message = _message(value)
    answer.finish_reason = coerce.text("finish_reason", value.get("finish_reason"))
    if answer.finish_reason in ("ERROR", "TIMEOUT"):
        answer.error = {"code": answer.finish_reason.lower()}
    answer.tags = {key: item for key, item in value.items() if key not in _READ and item}
    return answer


def _message(value: dict[str, Json]) -> dict[str, Json] | None:
    said = value.get("message")
    if not isinstance(said, dict):  # v1, or an error in words
        if not isinstance(value.get("text"), str):
            return None
        calls = [_v1_call(each) for each in coerce.sequence(value.get("tool_calls"))]
        message: dict[str, Json] = {"role": "assistant", "content": value["text"]}
        return {**message, "tool_calls": calls} if calls else message
    message = message_of("assistant", said.get("content"))[0]
    for key in ("tool_calls", "citations"):
        if said.get(key):
            message[key] = said[key]
    if said.get("tool_plan"):  # what it thinks of doing
        plan = said["tool_plan"]
        message["reasoning"] = f"{message.get('reasoning') or ''}{plan}"
    return message


def _v1_call(call: Json) -> Json:
    if not isinstance(call, dict):
        return call
    return tool_call(call.get("id"), call.get("name"), dump(call.get("parameters")))


def _from_events(events: list[Json]) -> Json:
    """v2: message-start, content-*, tool-*, message-end; v1: its last event holds the response."""
    whole: dict[str, Json] = {}
    blocks: dict[int, dict[str, Json]] = {}
    calls: dict[int, dict[str, Json]] = {}
    texts: list[str] = []
    plan = ""
    for event in events:
        if not isinstance(event, dict):
            return None
        kind, delta = event.get("type"), coerce.mapping(event.get("delta"))
        piece = coerce.mapping(delta.get("message"))
        if event.get("event_type") == "stream-end":
            ended = coerce.mapping(event.get("response"))
            return {**ended, "finish_reason": event.get("finish_reason")}
        if event.get("event_type") == "text-generation" and isinstance(event.get("text"), str):
            texts.append(event["text"])
        elif kind == "message-start":
            whole["id"] = event.get("id")
        elif kind in ("content-start", "content-delta"):
            _add(blocks.setdefault(coerce.index(event), {}), coerce.mapping(piece.get("content")))
        elif kind == "tool-plan-delta" and isinstance(piece.get("tool_plan"), str):
            plan += piece["tool_plan"]
        elif kind in ("tool-call-start", "tool-call-delta"):
            _add(calls.setdefault(coerce.index(event), {}), coerce.mapping(piece.get("tool_calls")))
        elif kind == "message-end":
            whole.update(delta)
    if texts:
        return {**whole, "text": "".join(texts)}
    return {**whole, "message": {
        "content": [blocks[index] for index in sorted(blocks)], "tool_plan": plan,
        "tool_calls": [calls[index] for index in sorted(calls)],
    }}  # fmt: skip


def _add(whole: dict[str, Json], piece: dict[str, Json]) -> None:
    for key, value in piece.items():
        before = whole.get(key)
        if isinstance(value, dict):
            inner = dict(coerce.mapping(before))
            _add(inner, value)
            whole[key] = inner
        elif isinstance(value, str) and isinstance(before, str) and key not in ("type", "id"):
            whole[key] = before + value
        elif value is not None:
            whole[key] = value


COHERE = Api(
    "cohere",
    ("/v2/chat", "cohere.com/v1/chat", "cohere.ai/v1/chat", "/v2/embed", "/v1/embed"), "chat",
    is_answer, is_question, read_messages, read_answer, _NOT_PARAMS,
)  # fmt: skip
