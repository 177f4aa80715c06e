"""A suite to edit from logged calls: those that people corrected, and what is asked most.

Calls that ask nearly the same are one item, by the rule of the eval set (near_duplicate_jaccard).
The one that stands for them is the one that somebody corrected, else audited or liked, last; else
the medoid: the text most like all the others. Targets are those of the eval set: corrected, written
elsewhere in a suite, audited, accepted; where none is known the target is open. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.curate.dedup import jaccard, near_duplicate_groups
from tasks.curate.evalset import Draft
from tasks.curate.frame import num_calls_of, when
from tasks.curate.lines import line_of_call
from tasks.curate.normalize import conversation_text
from tasks.curate.shingles import shingle
from tasks.curate.targets import Target, TargetResolver
from tasks.model.logged_call import LoggedCall
from tasks.model.visible import one_line

#: different texts of a group among which the medoid is looked for
_MAX_TEXTS = 200
_MAX_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Drafted:
    """`lines` as they stand in the file; counts of calls, of the history where it was read in
    part."""

    lines: tuple[Mapping[str, Any], ...]
    num_calls: int
    num_questions: int
    num_covered: int
    num_corrected: int
    num_open: int


@dataclass(frozen=True, slots=True)
class _Question:
    """Calls that ask nearly the same, the one that stands for them, and what is right."""

    call: LoggedCall
    target: Target | None
    num_calls: int

    @property
    def is_corrected(self) -> bool:
        return self.target is not None and self.target.kind == "corrected"


def drafted(
    name: str,
    calls: Sequence[LoggedCall],
    suites: Sequence[Draft],
    *,
    threshold: float,
    limit: int,
) -> Drafted:
    """At most `limit` lines: corrected questions and typical ones share the places, each by how
    often they are asked; what one cannot fill goes to the other. What a suite asks already is
    passed over."""
    resolver = TargetResolver({call.task or "": name for call in calls}, suites, use_logged=False)
    known = {conversation_text(sample.conversation.messages) for sample in suites}
    questions = list(_questions(calls, resolver, threshold))
    fresh = [
        one for one in questions if conversation_text(one.call.conversation.messages) not in known
    ]
    ranked = sorted(fresh, key=lambda one: (-one.num_calls, one.call.request_id))
    corrected = [one for one in ranked if one.is_corrected]
    typical = [one for one in ranked if not one.is_corrected]
    places = max(limit - len(typical), min(len(corrected), (limit + 1) // 2))
    chosen = corrected[:places]
    chosen += typical[: limit - len(chosen)]
    return Drafted(
        lines=tuple(_line(one) for one in chosen),
        num_calls=round(num_calls_of(calls)),
        num_questions=len(questions),
        num_covered=sum(one.num_calls for one in chosen),
        num_corrected=sum(one.is_corrected for one in chosen),
        num_open=sum(one.target is None for one in chosen),
    )


def _questions(
    calls: Sequence[LoggedCall], resolver: TargetResolver, threshold: float
) -> Iterator[_Question]:
    texts = [conversation_text(call.conversation.messages) for call in calls]
    groups = near_duplicate_groups(texts, threshold)
    together: dict[tuple[str | None, int], list[int]] = {}
    for index, group in enumerate(groups):
        together.setdefault((calls[index].task, group), []).append(index)
    for members in together.values():
        targets = {i: target for i in members if (target := resolver.resolve(calls[i]))}
        best = [i for kind in _KINDS for i in targets if targets[i].kind == kind]
        if best:
            first = targets[best[0]].kind
            index = max((i for i in best if targets[i].kind == first), key=lambda i: when(calls[i]))
        else:
            index = members[_medoid([texts[i] for i in members])]
        num_calls = round(num_calls_of(calls[i] for i in members))
        yield _Question(calls[index], targets.get(index), num_calls)


_KINDS = ("corrected", "gold", "accepted")


def _medoid(texts: Sequence[str]) -> int:
    """The place of the text that is most like all of them, each as often as it is there; of equals
    the first by its text."""
    counts = Counter(texts)
    unique = sorted(counts, key=lambda text: (-counts[text], text))[:_MAX_TEXTS]
    if len(unique) == 1:
        return texts.index(unique[0])
    weights = np.array([counts[text] for text in unique], dtype=np.float64)
    pairs = np.array([(a, b) for a in range(len(unique)) for b in range(a)], dtype=np.int64)
    alike = np.eye(len(unique))
    found = jaccard(shingle(unique), pairs)
    alike[pairs[:, 0], pairs[:, 1]] = alike[pairs[:, 1], pairs[:, 0]] = found
    return texts.index(unique[int(np.argmax(np.round(alike @ weights, 9)))])


def _line(question: _Question) -> dict[str, Any]:
    call, target = question.call, question.target
    line = line_of_call(call)
    messages = line["messages"]
    if len(messages) == 1 and messages[0].keys() == {"role", "content"} and (
        messages[0]["role"] == "user"
    ):  # fmt: skip
        del line["messages"]
        line = {"input": messages[0]["content"], **line}
    times = f"asked by {question.num_calls:,} calls" if question.num_calls > 1 else "asked once"
    told = f"{times}; {target.kind}" if target else f"{times}; fill in target"
    if target is None and call.response is not None:
        answer = one_line(call.response)
        shown = answer[:_MAX_SHOWN] + ("…" if len(answer) > _MAX_SHOWN else "")
        told += f"; answered: {shown}"
    return {
        "id": call.request_id,
        **line,
        "target": None if target is None else target.text,
        "comment": told,
    }
