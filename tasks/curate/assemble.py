"""From suites and logged calls to an eval set: targets, duplicates, selection, clusters, in order.

Owns the path between the parts beside it; each part knows its own craft. Pure: values in, values
out, and the same values whatever the order of the calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tasks.curate.clusters import clusters_of
from tasks.curate.dedup import near_duplicate_groups
from tasks.curate.evalset import Draft, EvalSet, eval_set
from tasks.curate.normalize import conversation_text, normalize, text_digest
from tasks.curate.select import Mined, length_band, select
from tasks.curate.targets import TargetResolver
from tasks.model.logged_call import LoggedCall
from tasks.settings import CurateSettings


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of every suite sample and call. rows_in = rows_out + both kinds of duplicates;
    rows_out = num_samples + without_target + not_selected."""

    rows_in: int
    rows_out: int
    exact_duplicates: int
    near_duplicates: int
    without_target: int
    not_selected: int
    num_samples: int
    num_clusters: int
    by_suite: dict[str, int]
    by_origin: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Item:
    """A suite sample or a call on its way. `scope`: only items of one scope are duplicates."""

    text: str
    scope: str
    draft: Draft | None
    call: LoggedCall | None


@dataclass(frozen=True, slots=True)
class _Deduplicated:
    """`kept` are indexes of items; `stands_for` maps each to the calls it represents (suite
    samples: the calls that ask the same)."""

    kept: list[int]
    stands_for: dict[int, list[int]]
    exact_duplicates: int
    near_duplicates: int


def assemble(
    suites: Sequence[Draft],
    calls: Sequence[LoggedCall],
    resolver: TargetResolver,
    settings: CurateSettings,
    seed: int,
) -> tuple[EvalSet, Counts]:
    """The eval set, and what became of everything that could have been in it.

    Calls that failed are taken only where they have a target (`replayable`); the caller counts the
    others. An empty set is returned as such.
    """
    items = [_suite_item(sample) for sample in suites]
    items += [
        _call_item(call, resolver) for call in sorted(calls, key=lambda call: call.request_id)
    ]
    groups = near_duplicate_groups(
        [item.text for item in items],
        settings.near_duplicate_jaccard,
    )
    unique = _deduplicated(items, groups)
    mined = [i for i in unique.kept if items[i].call is not None and items[i].draft is not None]
    chosen = select(
        [_mined(items[i], len(unique.stands_for[i])) for i in mined],
        max_samples=settings.max_samples,
        failure_share=settings.failure_share,
        seed=seed,
    )
    taken = [i for i in unique.kept if _is_taken(items[i], chosen)]
    drafts = [draft for i in taken if (draft := items[i].draft) is not None]
    clusters = clusters_of([_ties(items, i, groups, unique.stands_for) for i in taken])
    counts = Counts(
        rows_in=len(items),
        rows_out=len(unique.kept),
        exact_duplicates=unique.exact_duplicates,
        near_duplicates=unique.near_duplicates,
        without_target=sum(items[i].draft is None for i in unique.kept),
        not_selected=len(mined) - len(chosen),
        num_samples=len(drafts),
        num_clusters=len(set(clusters)),
        by_suite=dict(sorted(Counter(draft.suite for draft in drafts).items())),
        by_origin=dict(sorted(Counter(draft.origin for draft in drafts).items())),
    )
    return eval_set(drafts, clusters), counts


def replayable(call: LoggedCall, resolver: TargetResolver) -> bool:
    """Whether a call can be a sample at all: one that failed only with a known target."""
    return not call.is_error or resolver.resolve(call) is not None


def _suite_item(sample: Draft) -> _Item:
    slices = {"origin": "suite", "task": sample.task or "", **sample.slices}
    text = conversation_text(sample.conversation.messages)
    return _Item(text, f"task {sample.task}", replace(sample, slices=slices), None)


def _call_item(call: LoggedCall, resolver: TargetResolver) -> _Item:
    text = conversation_text(call.conversation.messages)
    target = resolver.resolve(call)
    task = call.task if target is None else target.task
    draft = None
    if target is not None:
        origin = "failure" if call.is_failure else "traffic"
        draft = Draft(
            suite=target.suite,
            task=task,
            conversation=call.conversation,
            target=target.text,
            target_kind=target.kind,
            origin=origin,
            slices={
                "origin": origin,
                "task": task or "(none)",
                "length": length_band(len(text)),
            },
            request_id=call.request_id,
        )
    # without a task, the system message is what says which question this is
    system = text_digest(normalize(call.conversation.system or ""))
    scope = f"system {system}" if task is None else f"task {task}"
    return _Item(text, scope, draft, call)


def _deduplicated(items: Sequence[_Item], groups: Sequence[int]) -> _Deduplicated:
    """All suite samples stay. Of the calls of a scope and group, none stays beside a suite sample,
    else one: with a target before without, a failure before others, the earliest, the smallest id.
    """
    together: dict[tuple[str, int], list[int]] = {}
    for index, item in enumerate(items):
        together.setdefault((item.scope, groups[index]), []).append(index)
    kept: list[int] = []
    stands_for: dict[int, list[int]] = {}
    exact = near = 0
    for members in together.values():
        from_suites = [i for i in members if items[i].call is None]
        calls = sorted(
            (i for i in members if items[i].call is not None), key=lambda i: _rank(items[i])
        )
        staying = from_suites or calls[:1]
        texts = {items[i].text for i in staying}
        for i in calls if from_suites else calls[1:]:
            exact, near = exact + (items[i].text in texts), near + (items[i].text not in texts)
            texts.add(items[i].text)
        kept += staying
        stands_for |= dict.fromkeys(staying, calls)
    return _Deduplicated(sorted(kept), stands_for, exact, near)


def _rank(item: _Item) -> tuple[bool, bool, str, str]:
    call = item.call
    assert call is not None
    at = "~" if call.started_at is None else call.started_at.isoformat()
    return item.draft is None, not call.is_failure, at, call.request_id


def _mined(item: _Item, num_calls: int) -> Mined:
    assert item.call is not None
    assert item.draft is not None
    stratum = (
        item.draft.suite,
        item.draft.task or "",
        item.call.model or "",
        item.draft.slices["length"],
    )
    return Mined(item.call.request_id, stratum, item.call.is_failure, num_calls)


def _is_taken(item: _Item, chosen: frozenset[str]) -> bool:
    if item.draft is None:
        return False
    return item.call is None or item.call.request_id in chosen


def _ties(
    items: Sequence[_Item], index: int, groups: Sequence[int], stands_for: dict[int, list[int]]
) -> list[tuple[str, str]]:
    """What makes a taken item depend on others: its conversation, and texts nearly the same.

    A suite sample joins the conversation of the first call that asks the same. Not those of all
    such calls: a greeting asked in every conversation would tie all of them into one cluster.
    """
    item = items[index]
    call = item.call
    if call is None:
        same = [i for i in stands_for[index] if items[i].text == item.text]
        call = items[(same or stands_for[index])[0]].call if stands_for[index] else None
    ties = [("near-duplicates", str(groups[index]))]
    if call is not None and call.session_id is not None:
        ties.append(("session", call.session_id))
    if item.draft is not None and item.draft.cluster is not None:
        ties.append(("declared", item.draft.cluster))
    return ties
