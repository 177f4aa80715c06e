"""Messages whose content is a list of typed blocks → the canonical shape.

Anthropic names a block's kind in "type" ({"type": "tool_use", …}), Bedrock's Converse makes it the
key ({"toolUse": {…}}). Sources: the Messages and the Converse API reference.
"""

from __future__ import annotations

from tasks.ingest.json_text import dump
from tasks.ingest.messages import join_text
from tasks.ingest.records import Json

#: Converse's key → Anthropic's type
_KINDS = {
    "text": "text", "toolUse": "tool_use", "toolResult": "tool_result",
    "reasoningContent": "thinking",
}  # fmt: skip


def message_list(messages: Json, system: Json = None) -> list[Json]:
    """All messages, the system prompt first."""
    found: list[Json] = []
    if system:
        found.append({"role": "system", "content": _text_or_parts(system)})
    for message in messages if isinstance(messages, list) else [messages]:
        if isinstance(message, dict) and isinstance(message.get("content"), list):
            found += from_blocks(str(message.get("role", "user")), message["content"])
        elif message is not None:
            found.append(message)
    return found


def from_blocks(role: str, content: list[Json]) -> list[Json]:
    """One message with blocks; a tool's results become messages of their own."""
    contents: list[Json] = []
    tool_calls: list[Json] = []
    reasoning: list[str] = []
    results: list[Json] = []
    for block in content:
        kind, about = _kind(block)
        if kind == "tool_use":
            tool_calls.append(_tool_call(about))
        elif kind == "tool_result":
            results.append(_tool_result(about))
        elif kind == "thinking":
            reasoning.append(_thought(about))
        elif kind == "text":
            contents.append({"type": "text", "text": about.get("text")})
        else:
            contents.append(block)
    if results and not contents and not tool_calls:
        return results
    message: dict[str, Json] = {"role": role, "content": join_text(contents)}
    if tool_calls:
        message["tool_calls"] = tool_calls
    if any(reasoning):
        message["reasoning"] = "\n".join(filter(None, reasoning))
    return [*results, message]


def _kind(block: Json) -> tuple[str, dict[str, Json]]:
    if isinstance(block, str):
        return "text", {"text": block}
    if not isinstance(block, dict):
        return "", {}
    if isinstance(block.get("type"), str):
        return block["type"], block
    for key, kind in _KINDS.items():
        if key in block:
            inner = block[key]
            return kind, inner if isinstance(inner, dict) else {"text": inner}
    return "", block


def _text_or_parts(system: Json) -> Json:
    if not isinstance(system, list):
        return system
    return join_text([{"type": "text", "text": b["text"]} if _is_text(b) else b for b in system])


def _is_text(block: Json) -> bool:
    return isinstance(block, dict) and isinstance(block.get("text"), str)


def _thought(about: dict[str, Json]) -> str:
    inner = about.get("reasoningText")
    text = inner.get("text") if isinstance(inner, dict) else about.get("thinking")
    return text if isinstance(text, str) else ""


def _tool_call(about: dict[str, Json]) -> Json:
    arguments = about.get("input")
    text = arguments if isinstance(arguments, str) else dump({} if arguments is None else arguments)
    return {
        "id": about.get("id", about.get("toolUseId")),
        "type": "function",
        "function": {"name": about.get("name"), "arguments": text},
    }


def _tool_result(about: dict[str, Json]) -> Json:
    content = about.get("content")
    if isinstance(content, list):
        content = join_text([_result_part(part) for part in content])
    return {
        "role": "tool",
        "tool_call_id": about.get("tool_use_id", about.get("toolUseId")),
        "content": content,
    }


def _result_part(part: Json) -> Json:
    if isinstance(part, dict) and "json" in part:
        return {"type": "text", "text": dump(part["json"])}
    return {"type": "text", "text": part["text"]} if _is_text(part) else part
