"""Token counts as any API reports them → the canonical five.

Reasoning tokens are part of the output, cached tokens part of the input, as OpenTelemetry has it.
"""

from __future__ import annotations

from typing import Any

from tasks.logs.shapes import coerce
from tasks.logs.shapes.records import Json

_INPUT = ("prompt_tokens", "input_tokens", "inputTokens", "promptTokens")
_OUTPUT = ("completion_tokens", "output_tokens", "outputTokens", "completionTokens")
_TOTAL = ("total_tokens", "totalTokens")
_READ = ("cache_read_input_tokens", "cacheReadInputTokens", "cacheReadInputTokenCount")
_WRITTEN = ("cache_creation_input_tokens", "cacheWriteInputTokens", "cacheWriteInputTokenCount")
_INPUT_DETAILS = ("prompt_tokens_details", "input_tokens_details")
_OUTPUT_DETAILS = ("completion_tokens_details", "output_tokens_details")


def tokens(usage: Json, *, cache_apart: bool = False) -> dict[str, Any]:
    """`cache_apart`: the API counts cached tokens beside the input (Anthropic, Bedrock)."""
    if not isinstance(usage, dict):
        return {}
    inputs = _details(usage, _INPUT_DETAILS)
    outputs = _details(usage, _OUTPUT_DETAILS)
    input_tokens = _count(usage, "input_tokens", _INPUT)
    cached = _count(usage, "cached_tokens", _READ)
    if cached is None:
        cached = coerce.integer("usage.cached_tokens", inputs.get("cached_tokens"))
    if cache_apart and input_tokens is not None:
        input_tokens += (cached or 0) + (_count(usage, "cache_written_tokens", _WRITTEN) or 0)
    return {
        "input_tokens": input_tokens,
        "output_tokens": _count(usage, "output_tokens", _OUTPUT),
        "total_tokens": _count(usage, "total_tokens", _TOTAL),
        "cached_tokens": cached,
        "reasoning_tokens": coerce.integer(
            "usage.reasoning_tokens", outputs.get("reasoning_tokens")
        ),
    }


def _count(usage: dict[str, Json], name: str, names: tuple[str, ...]) -> int | None:
    value = next((usage[key] for key in names if usage.get(key) is not None), None)
    return coerce.integer(f"usage.{name}", value)


def _details(usage: dict[str, Json], names: tuple[str, ...]) -> dict[str, Json]:
    for key in names:
        details = usage.get(key)
        if isinstance(details, dict):
            return details
    return {}
