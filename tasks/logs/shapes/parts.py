"""Content blocks of any vendor → the parts that messages.py folds.

Sources: Anthropic Messages content blocks, OpenAI Responses items, AWS Bedrock Converse blocks,
Gemini parts, TensorZero content blocks, Vercel AI SDK parts. A block that is none of these stays.
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks.logs.shapes import coerce
from tasks.logs.shapes.json_text import dump
from tasks.logs.shapes.messages import from_parts
from tasks.logs.shapes.records import Json

_CALLS = frozenset({
    "tool_use", "server_tool_use", "function_call", "custom_tool_call", "tool_call", "tool-call",
})  # fmt: skip
_RESULTS = frozenset({
    "tool_result", "function_call_output", "custom_tool_call_output", "tool-result",
    "tool_call_response",
})  # fmt: skip
_REASONING = frozenset({"thinking", "redacted_thinking", "thought", "reasoning"})
_TEXTS = frozenset({"text", "input_text", "output_text", "raw_text", "summary_text"})


def message_of(role: str, content: Json) -> list[Json]:
    """A message with text or blocks → one canonical message, or more with tool results."""
    if not isinstance(content, list):
        return [{"role": role, "content": content}]
    return from_parts({"role": role, "parts": [to_part(block) for block in content]})


def conversation(system: Json, turns: Json) -> list[Json] | None:
    """A system text or blocks, and turns with a role and a content; None where there is neither."""
    messages: list[Json] = [] if system is None else message_of("system", system)
    for item in coerce.sequence(turns):
        turn = item if isinstance(item, dict) else {"content": item}
        role = turn.get("role")
        messages.extend(message_of(role if isinstance(role, str) else "user", turn.get("content")))
    return messages or None


def answer_of(blocks: Sequence[Json]) -> dict[str, Json] | None:
    """The blocks of an answer as one message; None where there is no block at all."""
    if not blocks:
        return None
    message: dict[str, Json] = from_parts(
        {"role": "assistant", "parts": [to_part(block) for block in blocks]}
    )[0]
    return message


def to_part(block: Json) -> Json:
    if isinstance(block, str):
        return {"type": "text", "content": block}
    if not isinstance(block, dict):
        return block
    kind = block.get("type")
    if kind is None:
        return _untyped(block)
    if not isinstance(kind, str):
        return block
    if kind in _CALLS:
        return {
            "type": "tool_call",
            "id": coerce.first(block, "call_id", "toolCallId", "id"),
            "name": coerce.first(block, "name", "toolName", "raw_name"),
            "arguments": coerce.first(block, "arguments", "input", "args", "raw_arguments"),
        }
    if kind in _RESULTS:
        return {
            "type": "tool_call_response",
            "id": coerce.first(block, "tool_use_id", "call_id", "toolCallId", "id"),
            "response": plain_text(coerce.first(block, "content", "output", "result", "response")),
            "is_error": block.get("is_error") is True,
        }
    if kind in _REASONING:
        said = coerce.first(block, "thinking", "text", "content", "summary", "data")
        return {"type": "reasoning", "content": plain_text(said)}
    if kind in _TEXTS:
        said = coerce.first(block, "text", "content", "value", "arguments")
        return {"type": "text", "content": said}
    if kind == "template":  # it is not at hand: its arguments are what was said
        return {"type": "text", "content": dump(block.get("arguments"))}
    return block


def plain_text(value: Json) -> Json:
    """Text given as a list of text blocks becomes the text."""
    if isinstance(value, list):
        said = [block.get("text") if isinstance(block, dict) else block for block in value]
        texts = [text for text in said if isinstance(text, str)]
        if len(texts) == len(said):
            return "".join(texts)
    return value


def _untyped(block: dict[str, Json]) -> Json:
    """Bedrock Converse and Gemini name the kind by the key."""
    if isinstance(block.get("text"), str):
        kind = "reasoning" if block.get("thought") is True else "text"
        return {"type": kind, "content": block["text"]}
    if "toolCallId" in block and "toolName" in block:
        return to_part({"type": "tool-call", **block})
    call = coerce.first(block, "toolUse", "functionCall", "function_call")
    if isinstance(call, dict):
        return {
            "type": "tool_call",
            "id": coerce.first(call, "toolUseId", "id"),
            "name": call.get("name"),
            "arguments": coerce.first(call, "input", "args"),
        }
    result = coerce.first(block, "toolResult", "functionResponse", "function_response")
    if isinstance(result, dict):
        return {
            "type": "tool_call_response",
            "id": coerce.first(result, "toolUseId", "id", "name"),
            "response": plain_text(coerce.first(result, "content", "response")),
            "is_error": result.get("status") == "error",  # Bedrock
        }
    thought = block.get("reasoningContent")
    if isinstance(thought, dict):
        inner = thought.get("reasoningText")
        said = inner.get("text") if isinstance(inner, dict) else coerce.first(thought, "text")
        return {"type": "reasoning", "content": said if said is not None else thought}
    return block
