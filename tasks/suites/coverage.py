"""Which of production's questions a suite has nothing like. Pure.

A question is near an item where the cosine of their TF-IDF vectors is at least a threshold. Words
are weighed by how few of the different texts, items and questions together, hold them: what a
template says in all of them counts little. tf is the count, idf = ln((1 + n) / (1 + df)) + 1, and
vectors have length 1 (as scikit-learn's TfidfVectorizer has it). Cosine of words knows no meaning:
another wording with other words is far, and the same words about another thing are near.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from tasks.curate.dedup import near_duplicate_groups
from tasks.curate.normalize import normalize
from tasks.curate.shingles import UNBROKEN

_WORD = re.compile(rf"[{UNBROKEN}]|\w+")
_CHUNK = 2048


@dataclass(frozen=True, slots=True)
class Asked:
    """Texts of calls or items and the task of each; None: any. `stands_for`: calls of the history
    that each is and stands for; empty: each for itself."""

    texts: tuple[str, ...]
    tasks: tuple[str | None, ...]
    stands_for: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskCoverage:
    """Of the calls of one task; `num_items` that may cover them."""

    task: str | None
    num_items: int
    num_calls: int
    num_uncovered: int

    @property
    def uncovered_share(self) -> float:
        return self.num_uncovered / self.num_calls


@dataclass(frozen=True, slots=True)
class UncoveredQuestion:
    """Calls that ask nearly the same, none of which is near an item. `nearest`: cosine."""

    question: str
    task: str | None
    num_calls: int
    nearest: float


@dataclass(frozen=True, slots=True)
class Coverage:
    tasks: tuple[TaskCoverage, ...]
    uncovered: tuple[UncoveredQuestion, ...]

    @property
    def num_calls(self) -> int:
        return sum(task.num_calls for task in self.tasks)

    @property
    def num_uncovered(self) -> int:
        return sum(task.num_uncovered for task in self.tasks)


def coverage(calls: Asked, items: Asked, *, near: float, near_duplicate: float) -> Coverage:
    """Items of a call's own task may cover it; of a call without a task all may."""
    known = nearest(calls, items)
    is_far = known < near
    weights = np.array(calls.stands_for or (1.0,) * len(calls.texts))
    tasks = []
    for task in sorted(set(calls.tasks), key=lambda name: name or ""):
        own = np.array([name == task for name in calls.tasks])
        num_items = sum(task is None or name in (None, task) for name in items.tasks)
        num_calls, num_far = (round(math.fsum(weights[of])) for of in (own, own & is_far))
        tasks.append(TaskCoverage(task, num_items, num_calls, num_far))
    far = np.flatnonzero(is_far)
    groups = near_duplicate_groups([normalize(calls.texts[i]) for i in far], near_duplicate)
    together: dict[tuple[str | None, int], list[int]] = {}
    for index, group in zip(far.tolist(), groups, strict=True):
        together.setdefault((calls.tasks[index], group), []).append(index)
    uncovered = [
        UncoveredQuestion(
            Counter(calls.texts[i] for i in members).most_common(1)[0][0],
            task,
            round(math.fsum(weights[members])),
            float(max(known[i] for i in members)),
        )
        for (task, _), members in together.items()
    ]
    uncovered.sort(key=lambda one: (-one.num_calls, one.nearest, one.question))
    return Coverage(tuple(tasks), tuple(uncovered))


def nearest(calls: Asked, items: Asked) -> NDArray[np.float64]:
    """[num_calls] float64: cosine with the nearest item that may cover the call, 0 where none."""
    unique = list(dict.fromkeys((*calls.texts, *items.texts)))
    place = {text: number for number, text in enumerate(unique)}
    vectors = _vectors(unique)
    found = np.zeros(len(calls.texts))
    for task in set(calls.tasks):
        own = [i for i, name in enumerate(calls.tasks) if name == task]
        rows = sorted({place[text] for text, name in zip(items.texts, items.tasks, strict=True)
                       if task is None or name in (None, task)})  # fmt: skip
        if not rows:
            continue
        covering = vectors[rows].T.tocsr()
        asked = sorted({place[calls.texts[i]] for i in own})
        best: dict[int, float] = {}
        for first in range(0, len(asked), _CHUNK):
            part = asked[first : first + _CHUNK]
            cosines = (vectors[part] @ covering).max(axis=1).toarray().reshape(-1)
            best |= zip(part, cosines.tolist(), strict=True)
        for index in own:
            found[index] = best[place[calls.texts[index]]]
    return found


def _vectors(texts: Sequence[str]) -> csr_array:
    """[num_texts, num_words] float64, each row of length 1 or, without words, 0."""
    vocabulary: dict[str, int] = {}
    columns: list[int] = []
    counts: list[int] = []
    starts = [0]
    for text in texts:
        words = Counter(_WORD.findall(normalize(text)))
        columns += [vocabulary.setdefault(word, len(vocabulary)) for word in words]
        counts += words.values()
        starts.append(len(columns))
    data = np.array(counts, dtype=np.float64)
    holding = np.bincount(columns, minlength=max(1, len(vocabulary)))
    data *= (np.log((1 + len(texts)) / (1 + holding)) + 1)[np.array(columns, dtype=np.int64)]
    owner = np.repeat(np.arange(len(texts)), np.diff(starts))
    lengths = np.sqrt(np.bincount(owner, weights=data**2, minlength=len(texts)))
    data /= lengths[owner]
    shape = (len(texts), max(1, len(vocabulary)))
    return csr_array((data, np.array(columns, dtype=np.int64), np.array(starts)), shape=shape)
