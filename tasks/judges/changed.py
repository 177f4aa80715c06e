"""A changed judge is a changed instrument: before it decides, it is held against the one before.

The version that decided last left its scores in the store. Up to 100 answers that have one are
judged by the new version too; where both agree by as much as people must, it decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tasks.judges.asked import Item, question_of
from tasks.judges.asking import Opinion
from tasks.judges.measure import agreed
from tasks.judges.resolve import Judge
from tasks.model.judge import Agreed
from tasks.store import Store
from tasks.store.evals import samples as eval_sets
from tasks.store.evals.judgements import KeptScore, kept_scores, last_deciding

MAX_OVERLAP, MIN_OVERLAP = 100, 20


@dataclass(frozen=True, slots=True)
class Change:
    """`earlier`: the version that decided last. `kept`: items with what it gave. `is_accepted`:
    somebody said that the judge may disagree with it."""

    earlier: str
    kept: tuple[tuple[Item, float], ...]
    is_accepted: bool

    def why_not(self, overlap: Agreed, min_kappa: float) -> tuple[str, ...]:
        before = f"the judge has changed since {self.earlier}"
        if overlap.num_items < MIN_OVERLAP:
            return (f"{before}, and both judged only {overlap.num_items} answers",)
        interval = overlap.kappa_interval
        if overlap.kappa is None or interval is None:
            return (f"{before}, and kappa of both is not defined",)
        if interval.low < min_kappa:
            ends = f"[{interval.low:.2f} to {interval.high:.2f}]"
            return (
                f"{before}, and kappa of both is {overlap.kappa:.2f} {ends} on "
                f"{overlap.num_items} answers, its lower end below {min_kappa:g}",
            )
        return ()


def find_change(
    store: Store, run_id: str, eval_set: str, suite: str, judge: Judge, version: str
) -> Change | None:
    """None where nothing was decided by a judge before, or by this one."""
    earlier = last_deciding(store, run_id, suite)
    if earlier is None or earlier.split(":")[:2] == version.split(":")[:2]:
        return None
    samples = {one.sample_id: one for one in eval_sets.read_eval_set(store, eval_set)}
    is_pairwise = judge.kind == "pairwise"
    pair = earlier.split(":")[2:]
    is_accepted = judge.settings.replaces == ":".join(earlier.split(":")[:2])
    if bool(pair) != is_pairwise:  # another kind of judge says another kind of thing
        return Change(earlier, (), is_accepted)
    scores = kept_scores(store, eval_set, suite, earlier)
    by_role: dict[tuple[str, int], dict[str, KeptScore]] = {}
    kept: list[tuple[Item, float]] = []
    for one in scores:
        sample = samples[one.sample_id]
        if not is_pairwise:
            target = sample.target if judge.kind == "reference" else ""
            kept.append((Item(question_of(sample), (one.text,), target), one.value))
            continue
        both = by_role.setdefault((one.sample_id, one.seed), {})
        both[one.release_digest[:12]] = one
        if len(both) == 2:
            first, second = both[pair[0]], both[pair[1]]
            if first.text != second.text:
                item = Item(question_of(sample), (first.text, second.text))
                kept.append((item, second.value))
    return Change(earlier, tuple(dict(kept).items())[:MAX_OVERLAP], is_accepted)


def held_against(change: Change, by_item: Mapping[Item, Opinion]) -> Agreed:
    both = [(old, by_item[item].value) for item, old in change.kept]
    known = [(old, new) for old, new in both if new is not None]
    return agreed([old for old, _ in known], [new for _, new in known])
