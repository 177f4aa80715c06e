"""One person going through the answers of a run: what is asked next, and what was said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tasks.model.sample import Sample
from tasks.review.labels import Label, add_label, answer_digest, check_name, read_labels
from tasks.review.queue import Pair


@dataclass(frozen=True, slots=True)
class Question:
    """Answers of one sample that are looked at together, two of them at most; nobody is told whose
    they are. `place` from 1 on, of the pair in the order of the run."""

    sample: Sample
    texts: tuple[str, ...]
    place: int


@dataclass(frozen=True, slots=True)
class Choice:
    """What can be said of a question: a key, words, and the value of each answer."""

    key: str
    words: str
    values: tuple[float | None, ...]


_ONE = (
    Choice("y", "right", (1.0,)), Choice("n", "wrong", (0.0,)), Choice("t", "cannot tell", (None,)),
)  # fmt: skip
_TWO = (
    Choice("b", "both right", (1.0, 1.0)),
    Choice("1", "only the first", (1.0, 0.0)),
    Choice("2", "only the second", (0.0, 1.0)),
    Choice("n", "neither", (0.0, 0.0)),
    Choice("t", "cannot tell", (None, None)),
)


def choices(question: Question) -> tuple[Choice, ...]:
    return _ONE if len(question.texts) == 1 else _TWO


class Session:
    """The questions of `pairs` in their order, without those that this person has answered before.

    Raises UsageError for a name that cannot be one, and for a label that cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        by: str,
        pairs: Sequence[Pair],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.by = check_name(by)
        self._folder, self._clock = folder, clock
        labels = read_labels(folder)
        self.questions = [
            question
            for place, pair in enumerate(pairs, 1)
            for question in _questions(pair, pair.unlabelled(labels, by), place)
        ]
        self.num_pairs = len(pairs)
        self.num_said = 0
        self._at = 0

    @property
    def current(self) -> Question | None:
        """None where nothing is left."""
        return self.questions[self._at] if self._at < len(self.questions) else None

    @property
    def number(self) -> int:
        """Of the current question, from 0 on."""
        return self._at

    def say(self, values: Sequence[float | None], why: str = "") -> None:
        """Keep what is said of the current question, and go on. Raises OSError where it cannot be
        kept: the question stays."""
        question = self.current
        assert question is not None
        at = self._clock().isoformat(timespec="microseconds")
        for text, value in zip(question.texts, values, strict=True):
            said = Label(question.sample.sample_id, answer_digest(text), value, self.by, at, why)
            add_label(self._folder, said)
        self.num_said += 1
        self._at += 1

    def skip(self) -> None:
        self._at = min(self._at + 1, len(self.questions))

    def back(self) -> None:
        """To the question before; what is said of it then replaces what was."""
        self._at = max(0, self._at - 1)


def _questions(pair: Pair, texts: tuple[str, ...], place: int) -> list[Question]:
    """Two answers are looked at side by side; more of them one by one."""
    if len(texts) <= 2:
        return [Question(pair.item.sample, texts, place)] if texts else []
    return [Question(pair.item.sample, (text,), place) for text in texts]
