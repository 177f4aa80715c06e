"""Which items of suites stand in what a model is trained on. Pure.

    exact      a text of the record is the question, after normalisation
    near       a text of the record is a near-duplicate: Jaccard similarity of runs of three words
    contained  at least CONTAINED of the question's runs of eight words are in one text

A question of fewer than eight words is found by the first two only, since its words occur in any
text. Runs of eight words as in PaLM's and others' reports on contamination (Chowdhery et al.,
2022, section 8, where 70% of them count).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tasks.curate.normalize import normalize
from tasks.curate.shingles import words_of

CONTAINED = 0.8
WIDTH, NEAR_WIDTH = 8, 3

How = Literal["exact", "near", "contained"]
Run = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Question:
    suite: str
    sample_id: str
    text: str
    target: str


@dataclass(frozen=True, slots=True)
class Leak:
    """`share`: of the measure that found it. `with_target`: the record holds the target too."""

    question: Question
    where: str
    how: How
    share: float
    with_target: bool


class LeakFinder:
    """Looks questions up in records, one after the other; the strongest find of each is kept."""

    def __init__(self, questions: Sequence[Question], near: float) -> None:
        self._near = near
        self._questions = questions
        self._normal = [normalize(question.text) for question in questions]
        self._exact: dict[str, list[int]] = {}
        self._runs: dict[int, dict[Run, list[int]]] = {WIDTH: {}, NEAR_WIDTH: {}}
        self._sizes: dict[int, list[int]] = {WIDTH: [], NEAR_WIDTH: []}
        for index, text in enumerate(self._normal):
            self._exact.setdefault(text, []).append(index)
            words = words_of(text)
            for width, runs in self._runs.items():
                own = _runs(words, width)
                self._sizes[width].append(len(own))
                for run in own:
                    runs.setdefault(run, []).append(index)
        self.found: dict[int, Leak] = {}

    def look(self, where: str, record: Any) -> None:
        texts = [normalize(text) for text in texts_in(record)]
        whole = "\n".join(texts)
        for text in texts:
            for index, how, share in self._in(text):
                before = self.found.get(index)
                if before is None or _rank(how, share) > _rank(before.how, before.share):
                    target = normalize(self._questions[index].target)
                    self.found[index] = Leak(
                        self._questions[index], where, how, share, bool(target) and target in whole
                    )

    def _in(self, text: str) -> Iterator[tuple[int, How, float]]:
        for index in self._exact.get(text, ()):
            yield index, "exact", 1.0
        words = words_of(text)
        for width, how in ((NEAR_WIDTH, "near"), (WIDTH, "contained")):
            runs = _runs(words, width)
            known = self._runs[width]
            shared = Counter(index for run in runs if run in known for index in known[run])
            for index, number in shared.items():
                size = self._sizes[width][index]
                share = number / (size + len(runs) - number if how == "near" else size)
                if share >= (self._near if how == "near" else CONTAINED):
                    yield index, "near" if how == "near" else "contained", share


def _rank(how: How, share: float) -> tuple[int, float]:
    return ("contained", "near", "exact").index(how), share


def _runs(words: Sequence[str], width: int) -> set[Run]:
    return {tuple(words[i : i + width]) for i in range(len(words) - width + 1)}


def texts_in(value: Any) -> Iterable[str]:
    """Every text of a record, whatever its keys: messages, prompt, completion, conversations."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from texts_in(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from texts_in(one)
