"""Messages in the shapes logs use → the one canonical shape.

Canonical: {"role", "content", "tool_calls"?, "tool_call_id"?, "reasoning"?, "refusal"?}; content is
text, or a list of content parts where there is more than text. What the provider did on its own is
beside it: {"server_tool_calls"?, "server_tool_results"?, "compaction"?, "citations"?}. A tool's
answer that says that it failed has "is_error". Sources: the OpenTelemetry GenAI JSON schemas for
input and output messages (role + parts), and the OpenAI chat completion message.
"""

from __future__ import annotations

from tasks.logs.shapes.json_text import dump
from tasks.logs.shapes.records import Json, UnreadableError

#: a tuple, because a hostile "type" may be no key of a set
_TEXT_TYPES = ("text", "input_text", "output_text")
#: parts of an answer that are none of its content
_BESIDE = ("server_tool_call", "server_tool_call_response", "compaction", "refusal")


def message_list(name: str, value: Json) -> list[Json]:
    """Text becomes one user message, one message a list of one; parts are folded."""
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if isinstance(value, dict):
        return from_parts(value)
    if not isinstance(value, list):
        raise UnreadableError(f"{name}: expected a list of messages")
    return [message for item in value for message in from_parts(item)]


def from_parts(message: Json) -> list[Json]:
    """One message of the OpenTelemetry shape (role + parts) → one or more canonical ones.

    A tool message with several results becomes one message a result. A message without parts
    stays as it is, but for text given in pieces.
    """
    if isinstance(message, str):
        return [{"role": "user", "content": message}]
    if not isinstance(message, dict):
        return [message]
    if not isinstance(message.get("parts"), list):
        # nearly every message of nearly every log
        return [message if type(message.get("content")) is str else flatten_content(message)]
    rest = message.copy()
    del rest["parts"]
    rest.pop("finish_reason", None)
    if len(message["parts"]) == 1:  # one text, as in most messages
        part = message["parts"][0]
        plain = type(part) is dict and part.get("type") == "text" and "citations" not in part
        if plain and type(part.get("content")) is str:
            rest["content"] = part["content"]
            return [rest]
    contents: list[Json] = []
    tool_calls: list[Json] = []
    reasoning: list[str] = []
    results: list[Json] = []
    beside: dict[str, Json] = {}
    for part in message["parts"]:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "tool_call":
            said = part.get("arguments")
            arguments = said if isinstance(said, str) else dump(said)
            tool_calls.append(tool_call(part.get("id"), part.get("name"), arguments))
        elif kind == "tool_call_response":
            said = part.get("response", part.get("result"))
            text = said if isinstance(said, str) else dump(said)
            failed = {"is_error": True} if part.get("is_error") is True else {}
            result = {"role": "tool", "tool_call_id": part.get("id"), "content": text, **failed}
            results.append(result)
        elif kind in ("reasoning", "thinking"):
            said = _text_of(part)
            if said:  # one that is hidden says nothing
                reasoning.append(said)
        elif kind in _TEXT_TYPES:
            contents.append({"type": "text", "text": _text_of(part)})
            if isinstance(part.get("citations"), list):
                beside["citations"] = [*beside.get("citations", []), *part["citations"]]
        elif kind in _BESIDE:
            _put_beside(beside, kind, part)
        else:
            contents.append(part)
    folded: dict[str, Json] = {**rest, "content": join_text(contents), **beside}
    if "refusal" in beside:
        folded = with_refusal(folded)
    if tool_calls:
        folded["tool_calls"] = tool_calls
    if reasoning:
        folded["reasoning"] = "\n".join(reasoning)
    if results and not contents and not tool_calls:
        return results
    # the answers to tool calls follow the calls, before what the user says next
    return [folded, *results] if message.get("role") == "assistant" else [*results, folded]


def _put_beside(beside: dict[str, Json], kind: str, part: dict[str, Json]) -> None:
    if kind in ("compaction", "refusal"):
        said = part.get("content") or part.get(kind) or part.get("encrypted_content") or ""
        beside[kind] = f"{beside.get(kind, '')}{said if isinstance(said, str) else dump(said)}"
        return
    gave = part.get("response", part.get(kind) if kind.endswith("_response") else None)
    if kind == "server_tool_call":
        said = part.get("arguments", part.get(kind))
        arguments = said if isinstance(said, str) else dump(said)
        called = tool_call(part.get("id"), part.get("name"), arguments)
        beside.setdefault("server_tool_calls", []).append(called)
    if gave is not None:
        result = {"tool_call_id": part.get("id"), "content": gave}
        beside.setdefault("server_tool_results", []).append(result)


def with_refusal(message: dict[str, Json]) -> dict[str, Json]:
    """A refusal is what was answered, where nothing else was."""
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal and not message.get("content"):
        return {**message, "content": refusal}
    return message


def flatten_content(message: dict[str, Json]) -> dict[str, Json]:
    """Content given as a list of nothing but text parts becomes the text."""
    content = message.get("content")
    return {**message, "content": join_text(content)} if isinstance(content, list) else message


def join_text(parts: list[Json]) -> Json:
    """Only text: one text (None where there is no part). Anything else: the list as it is.

    With nothing between: an API cuts a text where a citation ends, in the middle of a sentence.
    """
    if not parts:
        return None
    texts = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and part.get("type") in _TEXT_TYPES:
            texts.append(_text_of(part))
        else:
            return parts
    return "".join(texts)


def _text_of(part: dict[str, Json]) -> str:
    value = part.get("content", part.get("text"))
    return value if isinstance(value, str) else dump(value)


def tool_call(call_id: Json, name: Json, arguments: Json) -> dict[str, Json]:
    """The one shape of a tool call, that of the chat completions API."""
    function = {"name": name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}
