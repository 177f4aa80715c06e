"""The sampling frame: what production asked, by suite and by what people said of its answers.

Every replayable call of a suite is in one stratum: failed, liked or unjudged. A question that was
asked more than once (its duplicates) is one candidate that stands for all its calls, and all of
them are in the stratum of the question. Candidates need a target; within a stratum those that have
one stand for those that have none. The more often a question was asked, the likelier one of its
calls came by a target, so each also stands for as many of its kind as its chance to have one says
(inverse propensity; every call of the stratum is as likely to come by a target as any other).

Of a history that was read in part (history.py) a call counts as many times as the calls it stands
for, in all of these numbers. What a person wrote or judged is read before the rest, so that none of
it is among the calls that an unjudged one stands for: they make a question larger, not its chance
to have come by a target that production gave (`Seen`).

A stratum in which no question has a target cannot be stood for by the others, which differ from it
in what people said of the answers. The suite's drawn samples are then selected by outcome: they are
shown and do not count. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress

from tasks.curate.select import draw, places_of_strata, places_of_suites, to_mean_one
from tasks.model.logged_call import LoggedCall
from tasks.scoring.suites import LOGGED_SUITE

FAILED, LIKED, UNJUDGED = "failed", "liked", "unjudged"
#: a stratum without a known answer may hold this share of the calls of its suite
MAX_UNCOVERED_RATIO = 0.01


@dataclass(frozen=True, slots=True)
class Seen:
    """How calls of a question were read. `num_first` are read that have what lets a call be read
    first, which stand for `first_calls`; `num_others` that do not have it, for `other_calls`."""

    num_first: int
    num_others: int
    first_calls: float
    other_calls: float

    @classmethod
    def of(cls, calls: Sequence[LoggedCall], is_first: Sequence[bool]) -> Seen:
        """`is_first`: which of the calls have it."""
        first = list(compress(calls, is_first))
        others = [call for call, its in zip(calls, is_first, strict=True) if not its]
        return cls(len(first), len(others), num_calls_of(first), num_calls_of(others))


@dataclass(frozen=True, slots=True)
class Question:
    """What some calls of a suite ask. `key` is the request id of the one that represents them.

    num_calls: all of them. num_known: those that were judged, or whose right answer somebody gave.
    num_own: those of the question's stratum. num_targets: of these, those with a target. All four
    are of the history. `seen` is of all calls, those that are known first; `own_seen` of those of
    the stratum, those to which somebody wrote the right answer first; None: all were read.
    """

    key: str
    suite: str
    stratum: str
    num_calls: float
    num_known: float
    num_own: float
    num_targets: float
    seen: Seen | None = None
    own_seen: Seen | None = None


@dataclass(frozen=True, slots=True)
class Stratum:
    """One stratum of the frame. `num_candidates` are questions with a target. Of a history that was
    read in part the numbers of calls are estimates, here and below."""

    suite: str
    stratum: str
    num_calls: int
    num_candidates: int
    num_drawn: int


@dataclass(frozen=True, slots=True)
class Uncovered:
    """A stratum of a suite that none of its drawn samples stands for: it has no candidates, or
    there was no place for any of them."""

    suite: str
    stratum: str
    num_calls: int
    num_calls_of_suite: int
    num_candidates: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A hand-written sample that production asks too, and how many calls it stands for."""

    key: str
    suite: str
    num_calls: float


@dataclass(frozen=True, slots=True)
class Drawn:
    """`weights` by key, of drawn questions and of asked samples; `chances` to be in the set. The
    drawn ones of a suite with an `uncovered` stratum do not count."""

    weights: Mapping[str, float]
    chances: Mapping[str, float]
    strata: tuple[Stratum, ...]
    uncovered: tuple[Uncovered, ...]

    @property
    def suites_not_counted(self) -> frozenset[str]:
        return frozenset(stratum.suite for stratum in self.uncovered)


def stratum_of(calls: Sequence[LoggedCall]) -> str:
    """The stratum of a question: what most of those who judged it said, the last if they are even.

    Which of the two is the more interesting decides nothing.
    """
    judged = [call for call in calls if stratum_of_call(call) != UNJUDGED]
    if not judged:
        return UNJUDGED
    failed, liked = (
        num_calls_of(call for call in judged if stratum_of_call(call) == stratum)
        for stratum in (FAILED, LIKED)
    )
    if failed == liked:
        return stratum_of_call(max(judged, key=when))
    return FAILED if failed > liked else LIKED


def stratum_of_call(call: LoggedCall) -> str:
    if call.is_failure:
        return FAILED
    return LIKED if call.opinion.is_liked else UNJUDGED


def num_calls_of(calls: Iterable[LoggedCall]) -> float:
    """Calls of the history that these are and stand for."""
    return math.fsum(call.stands_for for call in calls)


def when(call: LoggedCall) -> tuple[str, str]:
    """Calls in the order of their time, those without one last."""
    return "~" if call.started_at is None else call.started_at.isoformat(), call.request_id


def draw_samples(
    questions: Iterable[Question],
    asked: Iterable[Asked],
    *,
    gating: Collection[str],
    max_samples: int,
    judged_represent_all: bool,
    seed: int,
) -> Drawn:
    """Draw from every suite, from those that can gate first, and weigh what counts.

    A weight is in proportion to the calls that a sample stands for, and 1 on average over the
    samples of its suite that production asks. `judged_represent_all`: calls that nobody judged
    leave the frame, and the judged ones stand for them (every call is as likely to be judged as any
    other).
    """
    frames: dict[str, _SuiteFrame] = {}
    for question in sorted(questions, key=lambda question: question.key):
        frame = frames.setdefault(question.suite, _SuiteFrame(question.suite))
        frame.strata.setdefault(question.stratum, []).append(question)
    for sample in sorted(asked, key=lambda sample: sample.key):
        frame = frames.setdefault(sample.suite, _SuiteFrame(sample.suite))
        frame.asked[sample.key] = sample.num_calls
    for frame in frames.values():
        if judged_represent_all and frame.suite != LOGGED_SUITE and frame.num_calls:
            frame.known = frame.known_shares()
    tiers: tuple[dict[str, int], ...] = ({}, {}, {})
    for name, frame in sorted(frames.items()):
        candidates = frame.candidates()
        tier = 2 if name not in gating else 1 if frame.uncovered(candidates) else 0
        tiers[tier][name] = sum(map(len, candidates.values()))
    places = places_of_suites(max_samples, tiers)
    weights: dict[str, float] = {}
    chances: dict[str, float] = {}
    strata: list[Stratum] = []
    uncovered: list[Uncovered] = []
    for name, frame in sorted(frames.items()):
        drawn = frame.drawn(places[name], seed)
        chances |= dict.fromkeys(frame.asked, 1.0) | frame.chances(drawn)
        counts = frame.counts(drawn)
        missed = frame.uncovered({count.stratum for count in counts if count.num_drawn})
        strata += counts
        uncovered += missed if drawn else ()
        # what does not count is on no scale with what does
        for scale in (frame.asked, drawn) if missed else ({**frame.asked, **drawn},):
            weights |= zip(scale, to_mean_one(list(scale.values())), strict=True)
    return Drawn(weights, chances, tuple(strata), tuple(uncovered))


@dataclass(slots=True)
class _SuiteFrame:
    """The questions of a suite by stratum; `asked`: calls that hand-written samples stand for.
    `known`: by stratum, where only calls that were judged are in the frame."""

    suite: str
    strata: dict[str, list[Question]] = field(default_factory=dict)
    asked: dict[str, float] = field(default_factory=dict)
    known: dict[str, _Shares] | None = None

    @property
    def num_calls(self) -> float:
        """Calls that no hand-written sample stands for."""
        return math.fsum(q.num_calls for questions in self.strata.values() for q in questions)

    def known_shares(self) -> dict[str, _Shares]:
        """By stratum. The share is of all calls, for each is as likely to be judged as any other;
        whether one is then read hangs on what was said of it."""
        known = math.fsum(q.num_known for questions in self.strata.values() for q in questions)
        share = known / self.num_calls
        return {
            name: _Shares(share, share, _read_of_first(q.seen for q in questions))
            for name, questions in self.strata.items()
        }

    def calls(self) -> dict[str, float]:
        """Stratum → its calls, or those that its judged questions stand for."""
        sizes = {
            name: math.fsum(self._size(question) for question in questions)
            for name, questions in sorted(self.strata.items())
        }
        return {name: size for name, size in sizes.items() if size}

    def candidates(self) -> dict[str, dict[str, float]]:
        """Stratum → key of each question with a target → calls it stands for."""
        candidates = {}
        for name, questions in sorted(self.strata.items()):
            num_own = math.fsum(q.num_own for q in questions)
            share = math.fsum(q.num_targets for q in questions) / num_own
            seen = [question.own_seen for question in questions]
            written = math.fsum(s.first_calls for s in seen if s is not None) / num_own
            shares = _Shares(share, min(share, written), _read_of_first(seen))
            sizes = {
                question.key: self._size(question)
                / shares.chance_of_any(question.num_own, question.own_seen)
                for question in questions
                if question.num_targets and self._size(question)
            }
            if sizes:
                candidates[name] = sizes
        return candidates

    def _size(self, question: Question) -> float:
        """Its calls; where only judged questions are in the frame, calls of others like it too."""
        if self.known is None:
            return question.num_calls
        if not question.num_known:
            return 0.0
        known = self.known[question.stratum]
        return question.num_calls / known.chance_of_any(question.num_calls, question.seen)

    def uncovered(self, covered: Collection[str]) -> list[Uncovered]:
        """The strata with calls that are not among these; none in the suite that never gates."""
        if self.suite == LOGGED_SUITE:
            return []
        candidates = self.candidates()
        total = self.num_calls + round(math.fsum(self.asked.values()))
        missed = [name for name in self.calls() if name not in covered]
        num_missed = {name: math.fsum(q.num_calls for q in self.strata[name]) for name in missed}
        return [
            Uncovered(self.suite, name, round(number), round(total), len(candidates.get(name, ())))
            for name, number in num_missed.items()
            if number > MAX_UNCOVERED_RATIO * total
        ]

    def drawn(self, places: int, seed: int) -> dict[str, float]:
        """Key of each drawn question → calls it stands for; together all that are not `asked`."""
        calls, candidates = self.calls(), self.candidates()
        shares = places_of_strata(
            places,
            {name: calls[name] for name in candidates},
            {name: len(sizes) for name, sizes in candidates.items()},
        )
        stands_for: dict[str, float] = {}
        for name, sizes in candidates.items():
            weights = draw(sizes, shares[name], seed)
            # those with a target stand for those without
            stands_for |= _scaled(weights, calls[name])
        return _scaled(stands_for, self.num_calls)

    def chances(self, drawn: Mapping[str, float]) -> dict[str, float]:
        """Key of each drawn question → its chance to be: its own calls among those that it stands
        for."""
        return {
            question.key: min(1.0, question.num_calls / drawn[question.key])
            for questions in self.strata.values()
            for question in questions
            if question.key in drawn
        }

    def counts(self, drawn: Collection[str]) -> list[Stratum]:
        candidates = self.candidates()
        return [
            Stratum(
                self.suite,
                name,
                round(math.fsum(question.num_calls for question in questions)),
                len(candidates.get(name, ())),
                sum(question.key in drawn for question in questions),
            )
            for name, questions in sorted(self.strata.items())
        ]


def _scaled(weights: Mapping[str, float], total: float) -> dict[str, float]:
    """The weights in their proportions and the order of their keys, adding up to the total."""
    scale = total / math.fsum(weights.values()) if weights else 0.0
    return {key: weight * scale for key, weight in sorted(weights.items())}


@dataclass(frozen=True, slots=True)
class _Shares:
    """Of calls: those with a target (or that are known), and those of them that are read first,
    with the chance that these were."""

    whole: float
    first: float
    read: float

    def chance_of_any(self, number: float, seen: Seen | None) -> float:
        """That at least one of so many calls has it and was read. One that was read may have it of
        either kind, each call that it stands for besides only of the kind that is read first."""
        if self.whole >= 1:
            return 1.0
        if seen is None:
            return -math.expm1(number * math.log1p(-self.whole))
        none = seen.num_first * math.log1p(-self.whole)
        none += seen.num_others * (math.log1p(-self.whole) - math.log1p(-self.first))
        none += seen.other_calls * math.log1p(-self.first * self.read)
        return -math.expm1(none)


def _read_of_first(seen: Iterable[Seen | None]) -> float:
    """The share of the calls to be read first that was."""
    parts = [part for part in seen if part is not None]
    calls = math.fsum(part.first_calls for part in parts)
    return sum(part.num_first for part in parts) / calls if calls else 1.0
