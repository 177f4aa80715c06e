"""What a trace recorded as input and output of a call, in whatever shape → messages.

Traces keep what the application passed in and got back: text, message lists, request bodies of any
API, LangChain or Gemini objects, as values or as JSON text. What has no known shape stays as it
is, as the content of one message.
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks.logs.formats.apis import api_of
from tasks.logs.formats.exchange import Exchange, decode
from tasks.logs.shapes import coerce
from tasks.logs.shapes.answers import NOT_RECORDED, Answer
from tasks.logs.shapes.json_text import dump
from tasks.logs.shapes.messages import from_parts
from tasks.logs.shapes.parts import answer_of, message_of, to_part
from tasks.logs.shapes.records import Json

_ROLES = {"human": "user", "ai": "assistant", "model": "assistant", "constructor": "user"}
_SYSTEM = ("system", "instructions", "system_instruction", "systemInstruction")
_ASKED = ("messages", "input", "contents", "prompt", "prompts", "args")
_SAID = ("completion", "text", "response", "output", "answer")


def read_input(value: Json) -> list[Json] | None:
    value = decode(value)
    if value is None:
        return None
    if isinstance(value, list):
        return [message for item in value for message in _message(item)]
    if isinstance(value, dict):
        asked = next((decode(value[key]) for key in _ASKED if value.get(key) is not None), None)
        if asked is not None:
            return [*_system(value), *(read_input(asked) or [])]
        if "role" in value:
            return _message(value)
    return [{"role": "user", "content": value if isinstance(value, str) else dump(value)}]


def read_output(value: Json) -> Answer:
    value = decode(value)
    if value is None or value == "":
        return NOT_RECORDED
    if isinstance(value, str):
        return Answer(message={"role": "assistant", "content": value})
    if isinstance(value, list):
        return Answer(message=_last_said(value), body=value)
    api = api_of(Exchange(None, value))
    if api is not None:
        return api.read_answer(value)
    return _of_object(value) if isinstance(value, dict) else Answer(message=_as_text(value))


def _of_object(value: dict[str, Json]) -> Answer:
    reason = value.get("finish_reason", value.get("finishReason"))
    finish = reason if isinstance(reason, str) else None
    inner = value.get("message", value.get("content"))
    if isinstance(inner, dict) and ("content" in inner or "parts" in inner):
        return Answer(message=_said(inner), finish_reason=finish, body=value)
    if "content" in value or "tool_calls" in value or "parts" in value:
        return Answer(message=_said(value), finish_reason=finish, body=value)
    choices = value.get("candidates", value.get("choices", value.get("generations")))
    while isinstance(choices, list) and choices:
        choices = choices[0]
    if isinstance(choices, dict):
        return read_output(choices)
    for key in _SAID:
        if isinstance(value.get(key), str | dict | list) and value[key]:
            return read_output(value[key])
    return Answer(message=_as_text(value))


def _last_said(items: Sequence[Json]) -> dict[str, Json] | None:
    """Of messages the last; blocks of one answer together."""
    if not items:
        return None
    last = items[-1]
    if isinstance(last, dict) and ("role" in last or "message" in last):
        return read_output(last).message
    return answer_of(items)


def _said(message: dict[str, Json]) -> dict[str, Json] | None:
    messages = _message({**message, "role": "assistant"})
    return messages[0] if messages and isinstance(messages[0], dict) else None


def _as_text(value: Json) -> dict[str, Json]:
    return {"role": "assistant", "content": dump(value)}


def _system(value: dict[str, Json]) -> list[Json]:
    config = value.get("config")
    holder = {**config, **value} if isinstance(config, dict) else value
    system = coerce.first(holder, *_SYSTEM)
    if isinstance(system, dict):
        system = system.get("parts", system)
    return [] if system is None else message_of("system", system)


def _message(item: Json) -> list[Json]:
    """One message of OpenAI, Anthropic, Gemini or LangChain, or an item of the Responses API."""
    if isinstance(item, list):
        return [message for inner in item for message in _message(inner)]
    if isinstance(item, str):
        return [{"role": "user", "content": item}]
    if not isinstance(item, dict):
        return [{"role": "user", "content": dump(item)}]
    inner = item.get("kwargs")
    if isinstance(inner, dict) and "content" in inner:  # a serialised LangChain message
        item = inner
    extra = item.get("additional_kwargs")
    if isinstance(extra, dict) and extra.get("tool_calls") and not item.get("tool_calls"):
        item = {**item, "tool_calls": extra["tool_calls"]}
    role, kind = item.get("role"), item.get("type")
    if role is None and isinstance(kind, str) and "content" in item:
        role = kind
    if not isinstance(role, str):
        result = isinstance(kind, str) and kind.endswith(("_output", "result"))
        return message_of("tool" if result else "assistant" if kind else "user", [item])
    role = _ROLES.get(role, role)
    blocks = item.get("parts", item.get("content"))
    if isinstance(blocks, list):
        rest = {key: item[key] for key in ("tool_calls", "tool_call_id", "name") if item.get(key)}
        folded = from_parts({**rest, "role": role, "parts": [to_part(block) for block in blocks]})
        return folded
    kept = ("content", "tool_calls", "tool_call_id", "name", "reasoning", "refusal")
    message = {key: item[key] for key in kept if item.get(key) is not None}
    return [{"role": role, "content": None, **message}]
