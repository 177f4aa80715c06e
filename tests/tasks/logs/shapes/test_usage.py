"""Counts of tokens in the words of many APIs, by the rules of their references."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.logs.shapes.answers import UNCLEAR_TOKENS, finish
from tasks.logs.shapes.records import Call
from tasks.logs.shapes.usage import Reported, counted, tokens


@pytest.mark.parametrize(
    ("usage", "cache_apart", "expected"),
    [
        # reasoning within the output (OpenAI), and beside it (xAI): the total tells
        ({"prompt_tokens": 12, "completion_tokens": 229, "total_tokens": 241,
          "completion_tokens_details": {"reasoning_tokens": 228}}, False, (12, 229, None, 228)),
        ({"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 241,
          "completion_tokens_details": {"reasoning_tokens": 228}}, False, (12, 229, None, 228)),
        # cache beside the input (Anthropic), and within it (a gateway's total)
        ({"input_tokens": 10, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 5,
          "output_tokens": 3}, True, (55, 3, 40, None)),
        ({"input_tokens": 55, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 5,
          "output_tokens": 3, "total_tokens": 58}, True, (55, 3, 40, None)),
        ({"prompt_tokens": 15, "cache_read_input_tokens": 40, "completion_tokens": 3,
          "total_tokens": 58}, False, (55, 3, 40, None)),
        # Gemini: thoughts and the tools' prompt are beside
        ({"promptTokenCount": 7, "candidatesTokenCount": 1, "thoughtsTokenCount": 20,
          "toolUsePromptTokenCount": 2, "totalTokenCount": 30}, False, (9, 21, None, 20)),
        # Kimi and DeepSeek tell the cache without details
        ({"prompt_tokens": 20, "completion_tokens": 30, "total_tokens": 50, "cached_tokens": 10},
         False, (20, 30, 10, None)),
        ({"prompt_tokens": 20, "completion_tokens": 30, "total_tokens": 50,
          "prompt_cache_hit_tokens": 16, "prompt_cache_miss_tokens": 4}, False, (20, 30, 16, None)),
        # Cohere bills other tokens than it used
        ({"billed_units": {"input_tokens": 4, "output_tokens": 2},
          "tokens": {"input_tokens": 61, "output_tokens": 2}}, False, (61, 2, None, None)),
        # Anthropic: what it compacted counts too
        ({"input_tokens": 5, "output_tokens": 2, "iterations": [
            {"type": "compaction", "input_tokens": 600, "output_tokens": 50},
            {"type": "message", "input_tokens": 5, "cache_read_input_tokens": 3,
             "output_tokens": 2}]}, True, (608, 52, 3, None)),
        # an adviser is another model, and where a fallback answered the counts are its own
        ({"input_tokens": 5, "output_tokens": 2, "iterations": [
            {"type": "message", "input_tokens": 5, "output_tokens": 1},
            {"type": "advisor_message", "model": "big", "input_tokens": 900, "output_tokens": 80},
            {"type": "message", "input_tokens": 7, "output_tokens": 1}]}, True,
         (12, 2, None, None)),
        ({"input_tokens": 5, "output_tokens": 2, "iterations": [
            {"type": "message", "input_tokens": 4, "output_tokens": 0},
            {"type": "fallback_message", "input_tokens": 5, "output_tokens": 2}]}, True,
         (5, 2, None, None)),
        ({"input_tokens": 5, "output_tokens": 20,
          "output_tokens_details": {"thinking_tokens": 12}}, True, (5, 20, None, 12)),
        # unknown is -1 for some
        ({"prompt_tokens": -1, "completion_tokens": 4}, False, (None, 4, None, None)),
        # the one that is missing is the rest of the total
        ({"prompt_tokens": 6, "total_tokens": 10}, False, (6, 4, None, None)),
        ("many", False, (None, None, None, None)),
    ],
)  # fmt: skip
def test_what_counts_mean(usage: Any, cache_apart: bool, expected: tuple[int | None, ...]) -> None:
    counts = tokens(usage, cache_apart=cache_apart)
    names = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")
    assert tuple(counts.get(name) for name in names) == expected


COUNTS = st.integers(0, 1000)
WAYS = st.tuples(*[st.booleans()] * 4)


@given(COUNTS, COUNTS, COUNTS, st.integers(1, 1000), WAYS)
def test_a_total_decides_whatever_the_reporter_is_known_for(
    plain: int, cached: int, written: int, output: int, ways: tuple[bool, ...]
) -> None:
    cache_apart, reasoning_apart, known_cache, known_reasoning = ways
    reasoning = output // 2
    input_tokens = plain + cached + written
    said = Reported(
        input=plain if cache_apart else input_tokens,
        output=output - reasoning if reasoning_apart else output,
        total=input_tokens + output,
        cached=cached,
        cache_written=written,
        reasoning=reasoning,
        cache_apart=known_cache,
        reasoning_apart=known_reasoning,
    ).canonical()
    counts = said["input_tokens"], said["output_tokens"]
    assert sum(count or 0 for count in counts) == input_tokens + output
    # unless two meanings give the same total, the one that is meant is found
    if (cached + written) != reasoning and 0 not in (cached + written, reasoning):
        assert counts == (input_tokens, output)


def test_counts_that_do_not_add_up_are_told() -> None:
    odd = finish(Call(input_tokens=12, output_tokens=1, total_tokens=99))
    assert odd.tags == {UNCLEAR_TOKENS: "12 + 1, total 99"}
    assert finish(Call(input_tokens=12, output_tokens=87, total_tokens=99)).tags == {}
    assert finish(Call(input_tokens=12, total_tokens=99)).tags == {}


def test_counts_under_names_of_a_vendor():
    holder = {"asked": 10, "said": "3", "all": 53, "cache": 40, "unknown": -1}
    names = {"input": "asked", "output": "said", "total": "all", "cached": "cache",
             "reasoning": "unknown"}  # fmt: skip
    assert counted(holder, names) == {
        "input_tokens": 50, "output_tokens": 3, "total_tokens": 53, "cached_tokens": 40,
        "reasoning_tokens": None,
    }  # fmt: skip
    inside = {**holder, "all": None}
    assert counted(inside, names)["input_tokens"] == 10
    assert counted(inside, names, cache_apart=True)["input_tokens"] == 50


def test_counts_of_langchain():
    found = tokens({"input_tokens": 30, "output_tokens": 9, "total_tokens": 39,
                    "input_token_details": {"cache_read": 4, "audio": 1},
                    "output_token_details": {"reasoning": 5}})  # fmt: skip
    assert (found["input_tokens"], found["cached_tokens"], found["reasoning_tokens"]) == (30, 4, 5)
