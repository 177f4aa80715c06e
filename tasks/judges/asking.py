"""From items to what judges say of them: one batch, kept, cached, metered and resumed as the
answers of releases are.

A prompt is a sample of its own, named by its digest and of no eval set, and a judge a release: so
what was said once is read again, whatever run asked for it, and nothing is paid twice.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.answering import needs
from tasks.answering.compute import Work, compute
from tasks.answering.needs import Need
from tasks.judges.asked import Item, Read, prompt, read
from tasks.judges.resolve import Judge, Member
from tasks.model.failure import Fault
from tasks.model.sample import Sample
from tasks.run import Run
from tasks.store.evals.judgements import PROMPT_PREFIX, StoredJudgement, read_judgements
from tasks.store.evals.releases import read_release, save_release

#: a judge is not asked anew under another seed of the run
_SEED = 0


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a judge, or a panel, says of an item. `value`: 0 to 1, of a pair for its second answer;
    None where it is not known, and `why_not`. `orders`: the same of each order in which a pair was
    shown, by what stands for the second answer. Counts are of prompts."""

    value: float | None
    orders: tuple[float | None, ...]
    said: str
    why_not: str = ""
    fault: Fault | None = None
    num_asked: int = 0
    num_unread: int = 0
    num_lost: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0

    @property
    def is_flip(self) -> bool | None:
        """Whether the order of a pair changed the verdict; None where one of them is not known."""
        sides = [None if one is None else (one > 0.5) - (one < 0.5) for one in self.orders]
        return None if len(sides) < 2 or None in sides else sides[0] != sides[1]


def ask_all(
    run: Run, stage: str, asked: Sequence[tuple[Judge, Sequence[Item]]]
) -> tuple[list[list[Opinion]], Work]:
    """One opinion an item, in order, for each judge. Raises UsageError where a model cannot be
    used."""
    wanted = {
        need.key: need
        for judge, items in asked
        for member in judge.members
        for item in items
        for need in _needs(member, item)
    }
    by_release: dict[str, list[str]] = {}
    for key in wanted:
        by_release.setdefault(key.release_digest, []).append(key.sample_id)
    known = _said(run, by_release)
    missing = [
        need for key, need in wanted.items() if key.sample_id not in known[key.release_digest]
    ]
    if missing:
        with run.open_store() as store, store.transaction():
            for release in needs.distinct([need.release for need in missing]):
                if read_release(store, release.digest) is None:  # one of the run's keeps its name
                    save_release(store, release.record(), run.clock())
    work = compute(run, stage, missing)
    if missing:
        known = _said(run, by_release)
    return [[_opinion(judge, item, known, work) for item in items] for judge, items in asked], work


def _said(
    run: Run, by_release: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, StoredJudgement]]:
    with run.open_store() as store:
        return {
            digest: read_judgements(store, digest, ids, _SEED) for digest, ids in by_release.items()
        }


def _needs(member: Member, item: Item) -> list[Need]:
    """One prompt, or of a pair one in each order."""
    return [
        Need(
            member.release,
            _as_sample(prompt(member.kind, member.rubric, member.scale, shown)),
            _SEED,
        )
        for shown in _orders(item)
    ]


def _orders(item: Item) -> list[Item]:
    if len(item.answers) == 1:
        return [item]
    return [item, Item(item.question, item.answers[::-1], item.target)]


def _as_sample(text: str) -> Sample:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return Sample(
        sample_id=f"{PROMPT_PREFIX}{digest}",
        suite="",
        task=None,
        messages=({"role": "user", "content": text},),
        system=None,
        target="",
        target_kind="gold",
        origin="suite",
    )


def _opinion(
    judge: Judge, item: Item, known: Mapping[str, Mapping[str, StoredJudgement]], work: Work
) -> Opinion:
    by_order: list[list[Read]] = [[] for _ in _orders(item)]
    counts: Counter[str] = Counter()
    cost, lost = 0.0, ""
    for member in judge.members:
        for place, need in enumerate(_needs(member, item)):
            said = known[need.key.release_digest].get(need.key.sample_id)
            counts["asked"] += 1
            if said is None or said.text is None:
                counts["lost"] += 1
                failure = work.transient.get(need.key)
                lost = (said and said.error) or (failure and failure.message) or "no answer"
                counts["transient"] += said is None
                continue
            counts["input"] += said.input_tokens
            counts["output"] += said.output_tokens
            cost += member.release.price.of(said.input_tokens, said.output_tokens)
            got = read(said.text, member.kind, member.scale)
            counts["unread"] += got.value is None
            is_swapped = place == 1
            if got.value is not None and is_swapped:
                got = Read(1 - got.value, got.said)
            by_order[place].append(got)
    orders = tuple(_combined(judge, reads) for reads in by_order)
    values = [one for one in orders if one is not None]
    is_whole = len(values) == len(orders)
    unread = next((one.why_not for reads in by_order for one in reads if one.value is None), "")
    why_not = "" if is_whole else unread and f"its answer cannot be read: {unread}"
    if not is_whole and not why_not:
        why_not = f"the judge gave none: {lost}"
    fault: Fault = "harness" if counts["transient"] and not unread else "judge"
    return Opinion(
        value=sum(values) / len(values) if is_whole else None,
        orders=orders,
        said=" | ".join(one.said for reads in by_order for one in reads if one.said),
        why_not=why_not,
        fault=None if is_whole else fault,
        num_asked=counts["asked"],
        num_unread=counts["unread"],
        num_lost=counts["lost"],
        input_tokens=counts["input"],
        output_tokens=counts["output"],
        cost=cost,
    )


def _combined(judge: Judge, reads: Sequence[Read]) -> float | None:
    """What a panel says by those of it that can be read, if they are more than half of it."""
    values = [one.value for one in reads if one.value is not None]
    if 2 * len(values) <= len(judge.members):
        return None
    if judge.settings.combine == "majority":
        value, number = Counter(values).most_common(1)[0]
        if 2 * number > len(values):
            return value
    return sum(values) / len(values)
