"""What tracing tools keep as "input" and "output" of a model call, whatever shape it has.

Texts, lists of messages, bodies of the known APIs (as JSON text too), Gemini's contents. What has
none of these shapes is kept as JSON text, so that nothing is lost.
"""

from __future__ import annotations

from tasks.ingest.formats import anthropic_bodies, blocks, bodies, openai_bodies, openai_responses
from tasks.ingest.formats.bodies import Answer, Body
from tasks.ingest.json_text import dump
from tasks.ingest.messages import from_parts
from tasks.ingest.records import Json

_GEMINI_ROLES = {"model": "assistant", "function": "tool"}


def read_messages(value: Json) -> list[Json] | None:
    """None: there is no input."""
    value = bodies.decode(value)
    if value is None or value in ("", [], {}):
        return None
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if isinstance(value, dict):
        return _of_object(value)
    if not isinstance(value, list):
        return [{"role": "user", "content": dump(value)}]
    if any(isinstance(item, dict) and str(item.get("type", "")).startswith("function_call")
           for item in value):  # fmt: skip
        return openai_responses.input_messages(value)
    return [message for item in value for message in _message(item)]


def _of_object(value: dict[str, Json]) -> list[Json]:
    if "messages" in value:
        found = read_messages(value["messages"]) or []
        if isinstance(value.get("system"), str | list):
            found = [*blocks.message_list([], value["system"]), *found]
        return found
    if isinstance(value.get("contents"), list):
        config = value.get("config")
        said = config.get("system_instruction") if isinstance(config, dict) else None
        system = [{"role": "system", "content": said}] if said else []
        return system + [_gemini(item) for item in value["contents"]]
    for name in ("input", "prompt", "text", "args"):
        if value.get(name):
            inner = value[name]
            if name == "args" and isinstance(inner, list) and len(inner) == 1:
                inner = inner[0]
            return read_messages(inner) or []
    return _message(value)


def _message(item: Json) -> list[Json]:
    if not isinstance(item, dict):
        return [{"role": "user", "content": item if isinstance(item, str) else dump(item)}]
    if isinstance(item.get("parts"), list):
        is_typed = any(isinstance(part, dict) and "type" in part for part in item["parts"])
        return from_parts(item) if is_typed else [_gemini(item)]
    if isinstance(item.get("message"), dict):
        return _message(item["message"])
    if "role" not in item and "content" not in item:
        return [{"role": "user", "content": dump(item)}]
    if isinstance(item.get("content"), list):
        return blocks.from_blocks(str(item.get("role", "user")), item["content"])
    return [{key: part for key, part in item.items() if "." not in key and part is not None}]


def read_answer(value: Json) -> Answer:
    """message None: there is no output."""
    value = bodies.decode(value)
    if value is None or value in ("", [], {}):
        return Answer()
    body = Body(value)
    if openai_bodies.is_completion(value):
        return openai_bodies.read_answer(body)
    if openai_responses.is_response(value):
        return openai_responses.read_answer(body)
    if anthropic_bodies.is_answer(value):
        return anthropic_bodies.read_answer(body)
    candidates = value.get("candidates") if isinstance(value, dict) else None
    if isinstance(candidates, list) and candidates:
        value = candidates[0]
    if isinstance(value, dict) and isinstance(value.get("content"), dict):
        finish = value.get("finish_reason", value.get("finishReason"))
        return Answer(
            message=_gemini(value["content"]),
            finish_reason=bodies.finish_reason("finish_reason", finish),
        )
    if isinstance(value, list):
        found = [message for item in value for message in _message(item)]
        said = [message for message in found if message.get("role") == "assistant"]
        return Answer(message=(said or found)[-1])
    if isinstance(value, dict) and ("role" in value or "message" in value or "content" in value):
        message = {**_message(value)[-1], "role": "assistant"}
        finish = bodies.finish_reason("finish_reason", value.get("finish_reason"))
        return Answer(message=message, finish_reason=finish)
    text = value if isinstance(value, str) else dump(value)
    return Answer(message={"role": "assistant", "content": text})


def _gemini(item: Json) -> dict[str, Json]:
    """{"role": "model", "parts": [{"text"} | {"function_call"} | {"function_response"}]}."""
    if not isinstance(item, dict):
        return {"role": "user", "content": item}
    role = str(item.get("role", "user"))
    message: dict[str, Json] = {"role": _GEMINI_ROLES.get(role, role)}
    texts: list[str] = []
    calls: list[Json] = []
    for part in item.get("parts") or []:
        call = _inner(part, "function_call", "functionCall")
        result = _inner(part, "function_response", "functionResponse")
        if call is not None:
            function = {"name": call.get("name"), "arguments": dump(call.get("args") or {})}
            calls.append({"id": call.get("id"), "type": "function", "function": function})
        elif result is not None:
            message["role"] = "tool"
            texts.append(dump(result.get("response")))
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            texts.append(part["text"])
        else:
            texts.append(dump(part))
    message["content"] = "\n".join(texts) if texts else None
    return {**message, "tool_calls": calls} if calls else message


def _inner(part: Json, *names: str) -> dict[str, Json] | None:
    if not isinstance(part, dict):
        return None
    return next((part[name] for name in names if isinstance(part.get(name), dict)), None)
