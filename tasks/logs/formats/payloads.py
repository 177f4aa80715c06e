"""What a trace recorded as input and output of a call, in whatever shape → messages.

Traces keep what the application passed in and got back: text, message lists, request bodies of any
API, LangChain or Gemini objects, as values or as JSON text. What has no known shape stays as it
is, as the content of one message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tasks.logs.formats.apis import api_of
from tasks.logs.formats.exchange import Exchange, decode
from tasks.logs.formats.printed_messages import printed
from tasks.logs.shapes import coerce
from tasks.logs.shapes.answers import NOT_RECORDED, Answer
from tasks.logs.shapes.json_text import dump
from tasks.logs.shapes.messages import from_parts, tool_call
from tasks.logs.shapes.parts import answer_of, message_of, to_part
from tasks.logs.shapes.records import Json

_ROLES = {"human": "user", "ai": "assistant", "model": "assistant", "constructor": "user",
          "function": "tool"}  # fmt: skip
#: LangChain's classes of messages, without "Chunk"
_CLASSES = {
    "HumanMessage": "user", "AIMessage": "assistant", "SystemMessage": "system",
    "ToolMessage": "tool", "FunctionMessage": "tool",
}  # fmt: skip
#: first item of a pair of role and text
_PAIRED = ("system", "human", "user", "ai", "assistant", "developer")
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
        if value.keys() == {"content"} and isinstance(value["content"], str | list):
            return _message({"role": "user", **value})
    return [{"role": "user", "content": value if isinstance(value, str) else dump(value)}]


def read_output(value: Json) -> Answer:
    value = decode(value)
    if value is None or value == "":
        return NOT_RECORDED
    if isinstance(value, str):
        told = printed(value)
        return Answer(message={"role": "assistant", "content": value} if told is None else told)
    if isinstance(value, list):
        if _is_choice(value[0] if value else None):
            return read_output({"choices": value})
        return Answer(message=_last_said(value), body=value)
    api = api_of(Exchange(None, value))
    if api is not None:
        return api.read_answer(value)
    return _of_object(value) if isinstance(value, dict) else Answer(message=_as_text(value))


def _is_choice(item: Json) -> bool:
    """Of the list of choices of a chat completion, without what is around it."""
    if not isinstance(item, dict) or not isinstance(item.get("message"), dict):
        return False
    return "finish_reason" in item or "index" in item


def _of_object(value: dict[str, Json]) -> Answer:
    value = of_langchain(value)
    reason = coerce.first(value, "finish_reason", "finishReason", "stop_reason", "stopReason")
    finish = reason if isinstance(reason, str) else None
    inner = value.get("message", value.get("content"))
    if isinstance(inner, dict):
        inner = of_langchain(inner)
    if isinstance(inner, dict) and ("content" in inner or "parts" in inner):
        return Answer(message=_said(inner), finish_reason=finish, body=value)
    if "content" in value or "tool_calls" in value or "parts" in value:
        return Answer(message=_said(value), finish_reason=finish, body=value)
    choices = value.get("candidates", value.get("choices", value.get("generations")))
    others: Sequence[Json] = ()
    while isinstance(choices, list) and choices:
        choices, others = choices[0], choices[1:]
    if isinstance(choices, dict):
        said = [read_output(other).message for other in others]
        return replace(read_output(choices), other_choices=[each for each in said if each])
    if isinstance(value.get("messages"), list):  # the conversation with its answer
        return Answer(message=_last_said(value["messages"]), body=value)
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
        if len(item) == 2 and item[0] in _PAIRED and isinstance(item[1], str):
            return _message({"role": item[0], "content": item[1]})
        return [message for inner in item for message in _message(inner)]
    if isinstance(item, str):
        told = printed(item)
        return [{"role": "user", "content": item}] if told is None else _message(told)
    if not isinstance(item, dict):
        return [{"role": "user", "content": dump(item)}]
    item = of_langchain(item)
    role, kind = item.get("role"), item.get("type")
    if role is None and isinstance(kind, str) and "content" in item:
        role = kind
    if not isinstance(role, str):
        result = isinstance(kind, str) and kind.endswith(("_output", "result"))
        return message_of("tool" if result else "assistant" if kind else "user", [item])
    role = _ROLES.get(role) or _CLASSES.get(role.removesuffix("Chunk"), role)
    blocks = _asked_in(item.get("parts", item.get("content")))
    if isinstance(blocks, list):
        if role == "tool" and all(map(_is_asked, blocks)) and blocks:  # what asks a tool (Koog)
            role = "assistant"
        rest = {key: item[key] for key in ("tool_calls", "tool_call_id", "name") if item.get(key)}
        folded = from_parts({**rest, "role": role, "parts": [to_part(block) for block in blocks]})
        return folded
    kept = ("content", "tool_calls", "tool_call_id", "name", "reasoning", "refusal")
    message = {key: item[key] for key in kept if item.get(key) not in (None, [])}
    return [{"role": role, "content": None, **message}]


def _asked_in(content: Json) -> Json:
    """Tool calls that stand as JSON text where an answer does; any other content as it is."""
    if not isinstance(content, str) or not content.startswith("[{"):
        return content
    told = decode(content)
    return told if isinstance(told, list) and all(map(_is_asked, told)) else content


def _is_asked(block: Json) -> bool:
    """A tool call as the chat API has it."""
    if not isinstance(block, dict) or block.get("type") != "function":
        return False
    return "arguments" in coerce.mapping(block.get("function"))


def of_langchain(item: dict[str, Json]) -> dict[str, Json]:
    """A message of LangChain out of what it is serialised in; any other object stays as it is.

    {"lc", "id": […, "AIMessage"], "kwargs"} (dumpd) or {"type", "data"} (message_to_dict).
    """
    inner = item.get("kwargs", item.get("data"))
    if isinstance(inner, dict) and "content" in inner:
        path = item.get("id")
        name = str(path[-1]).removesuffix("Chunk") if isinstance(path, list) and path else None
        role = _CLASSES.get(name or "") or inner.get("role") or item.get("type")
        item = {"type": role, **inner}
    extra = item.get("additional_kwargs")
    if isinstance(extra, dict) and extra.get("tool_calls") and not item.get("tool_calls"):
        item = {**item, "tool_calls": extra["tool_calls"]}
    calls = item.get("tool_calls")
    if isinstance(calls, list) and any(isinstance(each, dict) and "args" in each for each in calls):
        item = {**item, "tool_calls": [_tool_call(each) for each in calls]}
    return item


def _tool_call(call: Json) -> Json:
    if not isinstance(call, dict) or "args" not in call:
        return call
    arguments = call["args"]
    said = arguments if isinstance(arguments, str) else dump(arguments)
    return tool_call(call.get("id"), call.get("name"), said)
