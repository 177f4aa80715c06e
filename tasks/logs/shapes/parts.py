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
    "tool_use", "function_call", "custom_tool_call", "tool_call", "tool-call",
})  # fmt: skip
#: the model asks whoever called it to do something, beside functions of the caller's own
_ACTIONS = frozenset({"local_shell_call", "shell_call", "apply_patch_call", "computer_call"})
#: tools that the provider runs itself, before it answers
_SERVER_CALLS = frozenset({
    "server_tool_use", "mcp_tool_use", "server_tool_call", "mcp_call", "web_search_call",
    "file_search_call", "code_interpreter_call", "tool_search_call", "code_execution_call",
    "google_search_call", "google_maps_call", "url_context_call", "retrieval_call",
    "processing_call", "mcp_server_tool_call", "mcp_approval_request", "image_generation_call",
    "x_search_call", "attachment_search_call", "program",
})  # fmt: skip
_SERVER_RESULTS = frozenset({
    "server_tool_call_response", "mcp_list_tools", "tool_search_output", "code_execution_result",
    "google_search_result", "google_maps_result", "url_context_result", "file_search_result",
    "retrieval_result", "processing_result", "mcp_server_tool_result", "tool_search_result",
    "program_output",
})  # fmt: skip
_RESULTS = frozenset({
    "tool_result", "function_call_output", "custom_tool_call_output", "tool-result",
    "tool_call_response", "function_result", "local_shell_call_output", "shell_call_output",
    "apply_patch_call_output", "computer_call_output",
})  # fmt: skip
_REASONING = frozenset({"thinking", "redacted_thinking", "thought", "reasoning"})
#: of a part of Gemini's that has nothing else
_SIGNATURES = frozenset({"thoughtSignature", "thought_signature", "thought"})
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
    if kind == "function" and "arguments" in coerce.mapping(block.get("function")):
        # a tool call of the chat API, where there is a part of a content
        asked = block["function"]
        return {"type": "tool_call", "id": block.get("id"), "name": asked.get("name"),
                "arguments": asked["arguments"]}  # fmt: skip
    if kind in _ACTIONS or (kind == "tool_search_call" and block.get("execution") == "client"):
        return {
            "type": "tool_call",
            "id": coerce.first(block, "call_id", "id"),
            "name": kind.removesuffix("_call"),
            "arguments": coerce.first(block, "action", "actions", "operation", "arguments"),
        }
    if kind in _SERVER_CALLS:
        return _server_call(kind, block)
    if kind in _SERVER_RESULTS or (kind.endswith("_tool_result") and kind not in _RESULTS):
        said = coerce.first(
            block, "content", "result", "server_tool_call_response", "tools", "response", "output"
        )
        called = coerce.first(block, "tool_use_id", "call_id", "id")
        return {"type": "server_tool_call_response", "id": called, "response": said}
    if kind == "refusal":
        return {"type": "refusal", "content": coerce.first(block, "refusal", "content", "text")}
    if kind in _RESULTS:
        return {
            "type": "tool_call_response",
            "id": coerce.first(block, "tool_use_id", "call_id", "toolCallId", "id"),
            "response": plain_text(coerce.first(block, "content", "output", "result", "response")),
            "is_error": block.get("is_error") is True,
        }
    if kind in _REASONING or kind.endswith(".TextReasoningContent"):  # Microsoft.Extensions.AI
        names = ("thinking", "text", "content", "summary", "data")
        said = next((block[name] for name in names if block.get(name)), "")
        said = said.get("text") if isinstance(said, dict) else said
        return {"type": "reasoning", "content": "" if said is None else plain_text(said)}
    if kind in ("audio", "output_audio") and isinstance(block.get("transcript"), str):
        return {"type": "text", "content": block["transcript"]}
    if kind == "reference":  # Mistral's pointer into its sources, between two pieces of the text
        return {"type": "text", "content": ""}
    if kind in _TEXTS:
        said = coerce.first(block, "text", "content", "value", "arguments")
        cited = coerce.sequence(coerce.first(block, "citations", "annotations"))
        return {"type": "text", "content": said, **({"citations": cited} if cited else {})}
    if kind == "template":  # it is not at hand: its arguments are what was said
        return {"type": "text", "content": dump(block.get("arguments"))}
    return block


def _server_call(kind: str, block: dict[str, Json]) -> dict[str, Json]:
    """OpenAI tells in one item what the tool was asked and what it gave."""
    asked = ("arguments", "input", "server_tool_call", "code", "action", "queries",
             "revised_prompt", "operation")  # fmt: skip
    gave = ("output", "outputs", "results", "result", "error")
    return {
        "type": "server_tool_call",
        "id": coerce.first(block, "id", "call_id"),
        "name": coerce.first(block, "name") or kind.removesuffix("_call"),
        "arguments": coerce.first(block, *asked),
        "response": coerce.first(block, *gave),
    }


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
    code = coerce.first(block, "executableCode", "executable_code")
    if isinstance(code, dict):  # Gemini runs it itself
        return _server_call("code_execution_call", {**code, "name": "code_execution"})
    built_in = coerce.first(block, "toolCall", "tool_call")
    if isinstance(built_in, dict):  # Gemini asks a tool of its own
        kind = coerce.first(built_in, "toolType", "tool_type")
        name = kind.lower() if isinstance(kind, str) else "tool"
        return _server_call("tool_call", {"id": built_in.get("id"), "name": name,
                                          "arguments": built_in.get("args")})  # fmt: skip
    gave = coerce.first(block, "toolResponse", "tool_response")
    if isinstance(gave, dict):
        said = gave.get("response")
        return {"type": "server_tool_call_response", "id": gave.get("id"), "response": said}
    if block and set(block) <= _SIGNATURES:
        return {"type": "text", "content": ""}
    ran = coerce.first(block, "codeExecutionResult", "code_execution_result")
    if isinstance(ran, dict):
        return {"type": "server_tool_call_response", "id": ran.get("id"), "response": ran}
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
