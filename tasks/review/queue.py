"""Which answers a person should look at first, and with what chance each comes to be looked at.

The interval of a difference between two releases is as wide as what the scorer may be wrong about:
pairs of answers that differ, the heavier the more. A pair of equal texts needs no person: whatever
is said of one holds for the other. The order is drawn, by permanent random numbers over sizes
(priority sampling: Duffield, Lund & Thorup, 2007), so that the first n of it are a sample with
known chances, whatever n a person stops at, and an estimate from their labels is not tilted by what
was looked at. A size knows nothing of labels. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from tasks.model.answer import ROLES, JudgedSample, Role
from tasks.review.labels import Labels, answer_digest

#: how far a label may lie from the score, where the scorer tells the answers apart and where not
_TOLD_APART, _TOLD_THE_SAME = 1.0, 0.5
_BITS = 64


@dataclass(frozen=True, slots=True)
class Pair:
    """A sample of which the releases' answers differ. `texts`: each answer once, in an order that
    says nothing of whose it is; `size`: what its label is worth; `lot`: the smaller the earlier."""

    item: JudgedSample
    texts: tuple[str, ...]
    size: float
    lot: float

    def unlabelled(self, labels: Labels, by: str = "") -> tuple[str, ...]:
        """The answers of which nobody, or this person, has said anything."""
        said = (labels.get((self.item.sample.sample_id, answer_digest(t)), {}) for t in self.texts)
        return tuple(
            text
            for text, people in zip(self.texts, said, strict=True)
            if (by not in people if by else not people)
        )


def texts_of(item: JudgedSample, role: Role) -> list[str | None]:
    return [answer.text for answer in item.answers[role]]


def answers_differ(item: JudgedSample) -> bool:
    """Whether the repeats of both releases, in any order, are not the same texts."""
    champion, challenger = (sorted(map(repr, texts_of(item, role))) for role in ROLES)
    return champion != challenger


def queue(judged: Iterable[JudgedSample], gating: Collection[str] = ()) -> list[Pair]:
    """Of a turn of one challenger: every pair that differs, those that count before the others and
    the suites that decide before the others, each part in the order drawn."""

    def rank(pair: Pair) -> tuple[bool, bool, float]:
        sample = pair.item.sample
        return not sample.is_counted, sample.suite not in gating, pair.lot

    return sorted((_pair(item) for item in judged if answers_differ(item)), key=rank)


def labelled_first(pairs: Sequence[Pair], labels: Labels) -> list[Pair]:
    """The longest beginning of the order of which every answer has a label."""
    return list(takewhile(lambda pair: not pair.unlabelled(labels), pairs))


def chances(pairs: Sequence[Pair], num: int) -> list[float]:
    """Of the first `num`: the chance to be among them, given the lot of the next."""
    if num >= len(pairs):
        return [1.0] * len(pairs)
    return [min(1.0, pair.size * pairs[num].lot) for pair in pairs[:num]]


def _pair(item: JudgedSample) -> Pair:
    said = {text for role in ROLES for text in texts_of(item, role) if text is not None}
    sample = item.sample
    apart = _TOLD_APART if item.is_flip else _TOLD_THE_SAME
    size = sample.weight * apart
    lot = (_number(sample.sample_id) + 1) / 2**_BITS / size
    return Pair(item, tuple(sorted(said, key=lambda t: _number(sample.sample_id, t))), size, lot)


def _number(*texts: str) -> int:
    told = "\n".join(texts).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(told).digest()[: _BITS // 8], "big")
