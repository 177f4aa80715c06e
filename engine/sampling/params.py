"""SamplingParams: how one completion is drawn, checked when it is made.

Knows plain values only. Names and semantics are those of Hugging Face and vLLM, so that settings
can be carried over. Each field stands here once, with what it means and what it may hold: the
command line makes its flags of them, JSON lines and the server take them by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from engine.errors import InvalidRequestError
from engine.options import Allowed, option

__all__ = ["MAX_LOGPROBS", "SamplingParams", "is_logprobs"]

MAX_SEED = 2**64 - 1
MAX_LOGPROBS = 20
MAX_SAMPLES = 128
#: below it everything is the first choice, and dividing by it overflows (the bound is vLLM's)
MIN_TEMPERATURE = 1e-5


def is_logprobs(value: object) -> bool:
    """May this be asked for as a number of log-probabilities?"""
    return _is_int(value, 0, MAX_LOGPROBS)


def _is_int(value: object, least: int, most: float = float("inf")) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_number(value: object, least: float, most: float) -> bool:
    return (
        isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most
    )


def _whole(least: int, most: int) -> Allowed:
    return Allowed(f"a whole number from {least} to {most}", lambda v: _is_int(v, least, most))


def _number(least: float, most: float, more: str = "") -> Allowed:
    return Allowed(f"a number from {least} to {most}{more}", lambda v: _is_number(v, least, most))


def _all_of(words: str, test: Any) -> Allowed:
    return Allowed(words, lambda values: isinstance(values, tuple) and all(map(test, values)))


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How one completion is drawn.

    The logits go through repetition_penalty, temperature, top_k, top_p and min_p, in this order;
    the tokens that are left are drawn in proportion to their probability. A token is kept before
    another of the same probability when its id is smaller.
    """

    max_tokens: int = option(
        64,
        "of the completion, at most",
        Allowed("a whole number of at least 1", lambda v: _is_int(v, 1)),
    )  # fmt: skip
    temperature: float = option(
        0.0,
        f"below {MIN_TEMPERATURE:.5f}: greedy, then top_k, top_p, min_p and seed change nothing",
        _number(0, 100),
    )
    top_p: float = option(
        1.0, "keep the smallest set of tokens with this probability; 1: all",
        Allowed("a number above 0 and up to 1", lambda v: _is_number(v, 0, 1) and v > 0),
    )  # fmt: skip
    seed: int = option(
        0, "of the draws; sample i of n has a stream of its own, sample 0 that of n=1",
        _whole(0, MAX_SEED),
    )  # fmt: skip
    stop: tuple[str, ...] = option(
        (), "text that ends the answer and is not part of it; repeatable",
        _all_of("strings that are not empty", lambda text: isinstance(text, str) and text != ""),
    )  # fmt: skip
    logprobs: int = option(
        0, "log-probabilities of every token, with so many most probable ones in its place (of the "
        "model, before any of the others here)",
        Allowed(f"a whole number from 0 (none) to {MAX_LOGPROBS}", is_logprobs),
    )  # fmt: skip
    top_k: int = option(
        0, "keep so many most probable tokens; 0: all",
        Allowed("0 (all tokens) or how many tokens to keep", lambda v: _is_int(v, 0)),
    )  # fmt: skip
    min_p: float = option(
        0.0, "keep tokens at least this fraction as probable as the first; 0: all", _number(0, 1)
    )
    repetition_penalty: float = option(
        1.0, "divides (or, if negative, multiplies) the logits of all tokens of prompt and answer",
        _number(0.01, 100, " (1: none)"),
    )  # fmt: skip
    stop_token_ids: tuple[int, ...] = option(
        (), "token that ends the answer as the model's own end tokens do; repeatable",
        _all_of("token ids (whole numbers of at least 0)", lambda token: _is_int(token, 0)),
    )  # fmt: skip
    min_tokens: int = option(
        0, "before that many, no end token can be drawn and no text stops"
    )  # checked against the others
    n: int = option(1, "completions of the prompt", _whole(1, MAX_SAMPLES))
    json_schema: str | Mapping[str, Any] | None = option(
        None, "that the answer must follow, as JSON text (or dict); needs the extra `structured`",
        Allowed("a JSON schema as text or dict", lambda v: v is None or isinstance(v, str)),
    )  # fmt: skip

    def __post_init__(self) -> None:
        stop: object = self.stop  # callers give a string or a list as well
        stop = (stop,) if isinstance(stop, str) else stop
        for name, value in (("stop", stop), ("stop_token_ids", self.stop_token_ids)):
            object.__setattr__(self, name, tuple(value) if isinstance(value, list) else value)
        if isinstance(self.json_schema, Mapping):
            object.__setattr__(self, "json_schema", _as_json(self.json_schema))
        for field in fields(self):
            allowed: Allowed = field.metadata["allowed"] or self._min_tokens_allowed()
            if not allowed.test(getattr(self, field.name)):
                raise InvalidRequestError(
                    f"SamplingParams.{field.name} is {getattr(self, field.name)!r}, but it must be "
                    f"{allowed.words}."
                )

    @property
    def is_greedy(self) -> bool:
        return self.temperature < MIN_TEMPERATURE

    def _min_tokens_allowed(self) -> Allowed:
        has_schema = self.json_schema is not None
        return Allowed(
            f"a whole number from 0 to max_tokens ({self.max_tokens}), and 0 with json_schema, "
            "which itself says when the answer may end",
            lambda value: _is_int(value, 0, 0 if has_schema else self.max_tokens),
        )


def _as_json(schema: Mapping[str, Any]) -> str:
    """The schema as text: values stay hashable, and the order of its properties is kept."""
    try:
        return json.dumps(schema)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError(
            f"SamplingParams.json_schema cannot be written as JSON: {type(error).__name__}: {error}"
        ) from None
