"""SamplingParams: how one completion is drawn, checked when it is made.

Knows plain values only. Names and semantics are those of Hugging Face and vLLM, so that settings
can be carried over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import InvalidRequestError

__all__ = ["MAX_LOGPROBS", "SamplingParams", "is_logprobs"]

MAX_SEED = 2**64 - 1
MAX_LOGPROBS = 20
MAX_SAMPLES = 128


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How one completion is drawn.

    The logits go through repetition_penalty, temperature, top_k, top_p and min_p, in this order;
    the tokens that are left are drawn in proportion to their probability. A token is kept before
    another of the same probability when its id is smaller.

    max_tokens          tokens of the completion, at most
    temperature         0 is greedy; then top_k, top_p, min_p and seed change nothing
    top_p               smallest set of tokens with this probability; 1 keeps all
    seed                of the draws; sample i of n has a stream of its own, sample 0 that of n=1
    stop                texts that end the answer and are not part of it
    logprobs            0, or k up to 20: the log-probability of every generated token, and the k
                        most probable tokens in its place (of the model, before any of the above)
    top_k               so many most probable tokens; 0 keeps all
    min_p               tokens at least this fraction as probable as the first; 0 keeps all
    repetition_penalty  divides (or, if negative, multiplies) the logits of all tokens of prompt
                        and answer
    stop_token_ids      tokens that end the answer as the model's own end tokens do
    min_tokens          before that many, no end token can be drawn and no text stops
    n                   completions of this prompt
    json_schema         JSON schema (text or dict) that the answer must follow; needs the extra
                        `structured`
    """

    max_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    logprobs: int = 0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    stop_token_ids: tuple[int, ...] = ()
    min_tokens: int = 0
    n: int = 1
    json_schema: str | Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        stop: object = self.stop  # callers give a string or a list as well
        stop = (stop,) if isinstance(stop, str) else stop
        for name, value in (("stop", stop), ("stop_token_ids", self.stop_token_ids)):
            object.__setattr__(self, name, tuple(value) if isinstance(value, list) else value)
        if isinstance(self.json_schema, Mapping):
            object.__setattr__(self, "json_schema", _as_json(self.json_schema))
        for name, is_valid, what in self._allowed():
            if not is_valid:
                raise InvalidRequestError(
                    f"SamplingParams.{name} is {getattr(self, name)!r}, but it must be {what}."
                )

    def _allowed(self) -> list[tuple[str, bool, str]]:
        """(name, is valid, what is allowed)"""
        stop, ids = self.stop, self.stop_token_ids
        return [
            ("max_tokens", _is_int(self.max_tokens, 1), "a whole number of at least 1"),
            ("temperature", _is_number(self.temperature, 0, 100), "a number from 0 to 100"),
            (
                "top_p",
                _is_number(self.top_p, 0, 1) and self.top_p > 0,
                "a number above 0 and up to 1",
            ),
            ("seed", _is_int(self.seed, 0, MAX_SEED), f"a whole number from 0 to {MAX_SEED}"),
            (
                "stop",
                isinstance(stop, tuple) and all(isinstance(s, str) and s for s in stop),
                "strings that are not empty",
            ),
            (
                "logprobs",
                is_logprobs(self.logprobs),
                f"a whole number from 0 (none) to {MAX_LOGPROBS}",
            ),
            ("top_k", _is_int(self.top_k, 0), "0 (all tokens) or how many tokens to keep"),
            ("min_p", _is_number(self.min_p, 0, 1), "a number from 0 to 1"),
            (
                "repetition_penalty",
                _is_number(self.repetition_penalty, 0.01, 100),
                "a number from 0.01 to 100 (1: none)",
            ),
            (
                "stop_token_ids",
                isinstance(ids, tuple) and all(_is_int(t, 0) for t in ids),
                "token ids (whole numbers of at least 0)",
            ),
            (
                "min_tokens",
                _is_int(self.min_tokens, 0, self.max_tokens)
                and not (self.min_tokens and self.json_schema is not None),
                f"a whole number from 0 to max_tokens ({self.max_tokens}), and 0 with json_schema, "
                "which itself says when the answer may end",
            ),
            ("n", _is_int(self.n, 1, MAX_SAMPLES), f"a whole number from 1 to {MAX_SAMPLES}"),
            (
                "json_schema",
                self.json_schema is None or isinstance(self.json_schema, str),
                "a JSON schema as text or dict",
            ),
        ]


def is_logprobs(value: object) -> bool:
    """May this be asked for as a number of log-probabilities?"""
    return _is_int(value, 0, MAX_LOGPROBS)


def _is_int(value: object, least: int, most: float = float("inf")) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_number(value: object, least: float, most: float) -> bool:
    return (
        isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most
    )


def _as_json(schema: Mapping[str, Any]) -> str:
    """The schema as text: values stay hashable, and the order of its properties is kept."""
    try:
        return json.dumps(schema)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError(
            f"SamplingParams.json_schema cannot be written as JSON: {type(error).__name__}: {error}"
        ) from None
