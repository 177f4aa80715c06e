"""Token counts as any API reports them → the canonical five.

Reasoning tokens are part of the output, cached tokens part of the input, as OpenTelemetry has it.
"""

from __future__ import annotations

from typing import Any

from tasks.logs.shapes import coerce
from tasks.logs.shapes.records import Json

_INPUT = (
    "prompt_tokens", "input_tokens", "inputTokens", "promptTokens", "promptTokenCount",
    "prompt_token_count", "inputTextTokenCount",
)  # fmt: skip
_OUTPUT = (
    "completion_tokens", "output_tokens", "outputTokens", "completionTokens",
    "candidatesTokenCount", "candidates_token_count", "totalOutputTextTokenCount", "tokenCount",
    "generation_token_count",
)  # fmt: skip
_TOTAL = ("total_tokens", "totalTokens", "totalTokenCount", "total_token_count")
_READ = (
    "cache_read_input_tokens", "cacheReadInputTokens", "cacheReadInputTokenCount",
    "cachedContentTokenCount", "cached_content_token_count",
)  # fmt: skip
#: Gemini counts these beside the prompt and beside the answer
_TOOLS = ("toolUsePromptTokenCount", "tool_use_prompt_token_count")
_THOUGHTS = ("thoughtsTokenCount", "thoughts_token_count")
_WRITTEN = ("cache_creation_input_tokens", "cacheWriteInputTokens", "cacheWriteInputTokenCount")
_INPUT_DETAILS = ("prompt_tokens_details", "input_tokens_details")
_OUTPUT_DETAILS = ("completion_tokens_details", "output_tokens_details")


def tokens(usage: Json, *, cache_apart: bool = False) -> dict[str, Any]:
    """`cache_apart`: the API counts cached tokens beside the input (Anthropic, Bedrock)."""
    if not isinstance(usage, dict):
        return {}
    thoughts = _count(usage, "reasoning_tokens", _THOUGHTS)
    input_tokens = _sum(_count(usage, "input_tokens", _INPUT), _count(usage, "tools", _TOOLS))
    cached = _count(usage, "cached_tokens", _READ)
    if cached is None:
        inputs = _details(usage, _INPUT_DETAILS)
        cached = coerce.integer("usage.cached_tokens", inputs.get("cached_tokens"))
    reasoning = thoughts
    if reasoning is None:
        outputs = _details(usage, _OUTPUT_DETAILS)
        reasoning = coerce.integer("usage.reasoning_tokens", outputs.get("reasoning_tokens"))
    if cache_apart and input_tokens is not None:
        input_tokens += (cached or 0) + (_count(usage, "cache_written_tokens", _WRITTEN) or 0)
    return {
        "input_tokens": input_tokens,
        "output_tokens": _sum(_count(usage, "output_tokens", _OUTPUT), thoughts),
        "total_tokens": _count(usage, "total_tokens", _TOTAL),
        "cached_tokens": cached,
        "reasoning_tokens": reasoning,
    }


def _count(usage: dict[str, Json], name: str, names: tuple[str, ...]) -> int | None:
    return coerce.integer(f"usage.{name}", coerce.first(usage, *names))


def _sum(first: int | None, second: int | None) -> int | None:
    return first if second is None else (first or 0) + second


def _details(usage: dict[str, Json], names: tuple[str, ...]) -> dict[str, Json]:
    for key in names:
        details = usage.get(key)
        if isinstance(details, dict):
            return details
    return {}
