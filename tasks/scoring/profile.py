"""What answers are like and use, besides being right, suite by suite and release by release. Pure.

Of the degenerate ones three kinds are known: empty; cut by max_tokens and not right; and those that
end in one phrase over and over, as a model does that has lost itself (Holtzman et al., The Curious
Case of Neural Text Degeneration, 2020).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tasks.model.answer import Answer, JudgedSample, Role
from tasks.model.guardrail import Price
from tasks.model.profile import AnswerProfile, Usage

#: a phrase so many times in a row, and so many characters of it
_MIN_TIMES = 4
_MIN_CHARS = 32
_MAX_PHRASE = 200


def profiles(
    judged: Sequence[JudgedSample], prices: Mapping[Role, Price]
) -> tuple[AnswerProfile, ...]:
    """`prices`: of every release, or none."""
    answers: dict[tuple[str, Role], list[Answer]] = {}
    for item in judged:
        for role, given in item.answers.items():
            said = answers.setdefault((item.sample.suite, role), [])
            said += [answer for answer in given if answer.text is not None]
    return tuple(_profile(*key, said, prices.get(key[1])) for key, said in answers.items())


def usage(judged: Sequence[JudgedSample], prices: Mapping[Role, Price]) -> dict[Role, Usage]:
    """Of every release, over all its answers with a text, whatever their suite."""
    said: dict[Role, list[Answer]] = {}
    for item in judged:
        for role, given in item.answers.items():
            said.setdefault(role, []).extend(one for one in given if one.text is not None)
    return {role: _usage(answers, prices.get(role)) for role, answers in said.items()}


def _usage(said: Sequence[Answer], price: Price | None) -> Usage:
    used_in = _mean(answer.input_tokens for answer in said)
    used_out = _mean(answer.output_tokens for answer in said)
    is_known = price is not None and used_in is not None and used_out is not None
    return Usage(
        num_requests=len(said),
        cost_per_1000=1000 * price.of(used_in or 0.0, used_out or 0.0)
        if price and is_known
        else None,
        currency=price.currency if price and is_known else "",
        latency_p50_s=_percentile(said, 50),
        latency_p95_s=_percentile(said, 95),
    )


def _profile(suite: str, role: Role, said: list[Answer], price: Price | None) -> AnswerProfile:
    used_in = _mean(answer.input_tokens for answer in said)
    used_out = _mean(answer.output_tokens for answer in said)
    is_known = price is not None and used_in is not None and used_out is not None
    return AnswerProfile(
        suite=suite,
        role=role,
        num_answers=len(said),
        num_empty=sum(not (answer.text or "").strip() for answer in said),
        num_cut=sum(
            answer.finish_reason == "length" and (answer.counted or 0.0) < 1 for answer in said
        ),
        num_repeating=sum(is_repeating(answer.text or "") for answer in said),
        input_tokens=used_in,
        output_tokens=used_out,
        cost=price.of(used_in or 0.0, used_out or 0.0) if price and is_known else None,
        currency=price.currency if price and is_known else "",
        latency_p50_s=_percentile(said, 50),
        latency_p95_s=_percentile(said, 95),
    )


def _percentile(said: Iterable[Answer], share: int) -> float | None:
    known = [answer.latency_s for answer in said if answer.latency_s is not None]
    return float(np.percentile(known, share)) if known else None


def _mean(values: Iterable[int | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def is_repeating(text: str) -> bool:
    """Whether a text ends in one phrase at least four times in a row, over at least 32 characters,
    wherever in the phrase it stops. What has no letter or digit, such as a ruled line, is none."""
    text = text.rstrip()
    for length in range(1, min(_MAX_PHRASE, len(text) // _MIN_TIMES) + 1):
        if text[-1 - length] != text[-1]:
            continue
        covered = max(_MIN_TIMES * length, _MIN_CHARS)
        tail = text[-covered:]
        if len(tail) == covered and tail[length:] == tail[:-length]:
            return any(char.isalnum() for char in tail[:length])
    return False
