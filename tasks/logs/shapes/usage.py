"""Token counts as any API, trace or gateway reports them → the canonical five: decided here only.

Cached tokens are part of the input and reasoning tokens part of the output, as OpenTelemetry has
it. Some report them beside (Anthropic the cache, Gemini the thoughts, xAI the reasoning), some do
either: a total that is given decides. What does not add up is told by `answers.finish`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.logs.shapes import coerce
from tasks.logs.shapes.records import Json

_INPUT = (
    "prompt_tokens", "input_tokens", "inputTokens", "promptTokens", "promptTokenCount",
    "prompt_token_count", "inputTextTokenCount", "total_input_tokens", "tokens_in", "tokensIn",
    "tokens_prompt", "inputTokenCount",
)  # fmt: skip
_OUTPUT = (
    "completion_tokens", "output_tokens", "outputTokens", "completionTokens",
    "candidatesTokenCount", "candidates_token_count", "totalOutputTextTokenCount", "tokenCount",
    "generation_token_count", "total_output_tokens", "tokens_out", "tokensOut",
    "tokens_completion", "outputTokenCount",
)  # fmt: skip
_TOTAL = ("total_tokens", "totalTokens", "totalTokenCount", "total_token_count")
_READ = (
    "cache_read_input_tokens", "cacheReadInputTokens", "cacheReadInputTokenCount",
    "cachedContentTokenCount", "cached_content_token_count", "cached_tokens", "cachedInputTokens",
    "cached_input_tokens", "num_cached_tokens", "prompt_cache_hit_tokens", "total_cached_tokens",
    "tokens_cached",
)  # fmt: skip
#: Gemini counts these beside the prompt and beside the answer
_TOOLS = ("toolUsePromptTokenCount", "tool_use_prompt_token_count", "total_tool_use_tokens")
_THOUGHTS = (
    "thoughtsTokenCount", "thoughts_token_count", "total_thought_tokens", "total_reasoning_tokens",
)  # fmt: skip
_REASONING = (
    "reasoning_tokens", "reasoningTokens", "reasoning_output_tokens", "tokens_reasoning",
    "thinking_tokens",
)  # fmt: skip
_WRITTEN = (
    "cache_creation_input_tokens", "cacheWriteInputTokens", "cacheWriteInputTokenCount",
    "cacheCreationInputTokens", "cache_write_tokens", "cache_write_input_tokens",
)  # fmt: skip
_INPUT_DETAILS = ("prompt_tokens_details", "input_tokens_details", "promptTokensDetails",
                  "inputTokensDetails", "inputTokenDetails", "input_token_details",
                  "prompt_token_details")  # fmt: skip
_OUTPUT_DETAILS = ("completion_tokens_details", "output_tokens_details", "completionTokensDetails",
                   "outputTokensDetails", "outputTokenDetails", "output_token_details",
                   "completion_token_details")  # fmt: skip


@dataclass(slots=True)  # not frozen: one is made for every call
class Reported:
    """Counts as they were reported; None: not at all.

    `cache_apart`, `reasoning_apart`: what the reporter is known to count beside input and output,
    which a total may contradict.
    """

    input: int | None = None
    output: int | None = None
    total: int | None = None
    cached: int | None = None
    cache_written: int | None = None
    reasoning: int | None = None
    cache_apart: bool = False
    reasoning_apart: bool = False

    def canonical(self) -> dict[str, int | None]:
        """Under the names of the fields of a call."""
        likeliest = self._meant(self.cache_apart, self.reasoning_apart)
        input_tokens, output_tokens = likeliest
        if self.total is not None and _sum(*likeliest) != self.total:
            readings = (
                self._meant(cache_apart, reasoning_apart)
                for cache_apart in (self.cache_apart, not self.cache_apart)
                for reasoning_apart in (self.reasoning_apart, not self.reasoning_apart)
            )
            fit = next((pair for pair in readings if _sum(*pair) == self.total), None)
            input_tokens, output_tokens = fit or _completed(*likeliest, self.total)
        return {
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "total_tokens": self.total,
            "cached_tokens": self.cached,
            "reasoning_tokens": self.reasoning,
        }

    def _meant(self, cache_apart: bool, reasoning_apart: bool) -> tuple[int | None, int | None]:
        """Input and output, with what is counted beside them."""
        input_tokens, output_tokens = self.input, self.output
        if cache_apart and input_tokens is not None:
            input_tokens += (self.cached or 0) + (self.cache_written or 0)
        if reasoning_apart:
            output_tokens = _sum(output_tokens, self.reasoning)
        return input_tokens, output_tokens


def tokens(usage: Json, *, cache_apart: bool = False) -> dict[str, Any]:
    """Of a usage object with the names of any API; one that is none says nothing.

    `cache_apart`: the API counts cached tokens beside the input (Anthropic, Bedrock).
    """
    if not isinstance(usage, dict):
        return {}
    for key in ("tokens", "billed_units"):  # Cohere: what it counts, else what it bills
        if isinstance(usage.get(key), dict):
            usage = {**usage, **usage[key]}
            break
    counts = _reported(usage, cache_apart).canonical()
    rounds = _rounds(usage)
    if rounds:
        added = _added([_reported(each, cache_apart).canonical() for each in rounds])
        return {name: counts[name] if count is None else count for name, count in added.items()}
    return counts


def _rounds(usage: dict[str, Json]) -> list[dict[str, Json]]:
    """Anthropic's passes of the model that answered, where the counts beside them are not of all.

    An adviser is another model. Where a fallback answered, the counts beside are its own.
    """
    if "iterations" not in usage:
        return []
    rounds = [each for each in coerce.sequence(usage["iterations"]) if isinstance(each, dict)]
    if any(each.get("type") == "fallback_message" for each in rounds):
        return []
    return [each for each in rounds if each.get("type") != "advisor_message"]


_DETAILS = ("inputs", "outputs")


def _slots(**names: tuple[str, ...]) -> dict[str, tuple[str, int]]:
    """Name → what it counts, and its place among the names for that."""
    return {word: (slot, rank) for slot, words in names.items() for rank, word in enumerate(words)}


_SLOTS = _slots(
    input_tokens=_INPUT, output_tokens=_OUTPUT, total_tokens=_TOTAL, cached_tokens=_READ,
    reasoning_tokens=_REASONING, cache_written_tokens=_WRITTEN, tools=_TOOLS, thoughts=_THOUGHTS,
    inputs=_INPUT_DETAILS, outputs=_OUTPUT_DETAILS,
)  # fmt: skip
_OF_INPUT = _slots(cached_tokens=(*_READ, "cache_read"))
_OF_OUTPUT = _slots(reasoning_tokens=(*_REASONING, "reasoning"))


def cost(usage: Json) -> float | None:
    """In US dollars, where the provider tells what a call cost beside its tokens."""
    said = coerce.first(usage, "cost", "estimated_cost")
    if isinstance(said, dict):  # Perplexity
        said = said.get("total_cost")
    if said is None:  # xAI
        return coerce.seconds("cost_in_usd_ticks", coerce.first(usage, "cost_in_usd_ticks"), 1e10)
    return coerce.number("usage.cost", said)


def counted(
    holder: dict[str, Json], names: Mapping[str, str], *, cache_apart: bool = False
) -> dict[str, Any]:
    """Of an object with names of its own: field of Reported → the name there."""
    counts: dict[str, Any] = {field: _count(holder, name) for field, name in names.items()}
    return Reported(**counts, cache_apart=cache_apart).canonical()


def _reported(usage: dict[str, Json], cache_apart: bool) -> Reported:
    said = _named(usage, _SLOTS)
    inputs, outputs = said.get("inputs"), said.get("outputs")
    cached, reasoning = _count(said, "cached_tokens"), _count(said, "thoughts")
    has_thoughts = reasoning is not None
    if cached is None and isinstance(inputs, dict):
        cached = _count(_named(inputs, _OF_INPUT), "cached_tokens")
    if reasoning is None:
        reasoning = _count(said, "reasoning_tokens")
    if reasoning is None and isinstance(outputs, dict):
        reasoning = _count(_named(outputs, _OF_OUTPUT), "reasoning_tokens")
    return Reported(
        input=_sum(_count(said, "input_tokens"), _count(said, "tools")),
        output=_count(said, "output_tokens"),
        total=_count(said, "total_tokens"),
        cached=cached,
        cache_written=_count(said, "cache_written_tokens"),
        reasoning=reasoning,
        cache_apart=cache_apart,
        reasoning_apart=has_thoughts,
    )


def _named(usage: dict[str, Json], slots: dict[str, tuple[str, int]]) -> dict[str, Json]:
    """What it says under the names that are known, of two for one thing the earlier in the table:
    by a look at each key of the object, which has few, and not at each name, which are many."""
    found: dict[str, Json] = {}
    ranks: dict[str, int] = {}
    for key, value in usage.items():
        slot = slots.get(key)
        if slot is None or value is None:
            continue
        name, rank = slot
        if rank < ranks.get(name, len(slots)) and (isinstance(value, dict) or name not in _DETAILS):
            found[name], ranks[name] = value, rank
    return found


def _completed(
    input_tokens: int | None, output_tokens: int | None, total: int
) -> tuple[int | None, int | None]:
    """The one that is not told is the rest of the total."""
    if output_tokens is None and input_tokens is not None and input_tokens <= total:
        return input_tokens, total - input_tokens
    if input_tokens is None and output_tokens is not None and output_tokens <= total:
        return total - output_tokens, output_tokens
    return input_tokens, output_tokens


def _added(each: list[dict[str, int | None]]) -> dict[str, int | None]:
    total: dict[str, int | None] = dict.fromkeys(each[0])
    for counts in each:
        total = {name: _sum(total[name], counts[name]) for name in total}
    return total


def known(name: str, value: Json) -> int | None:
    """A count; -1 stands for one that is not known."""
    count = coerce.integer(name, value)
    return None if count == -1 else count


def _count(said: dict[str, Json], name: str) -> int | None:
    value = said.get(name)
    return None if value is None else known(f"usage.{name}", value)


def _sum(first: int | None, second: int | None) -> int | None:
    return first if second is None else (first or 0) + second
