"""From suites and logged calls to an eval set: targets, duplicates, selection, clusters, in order.

Owns the path between the parts beside it; each part knows its own craft. Pure: values in, values
out, and the same values whatever the order of the calls.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress

from tasks.curate.clusters import clusters_of
from tasks.curate.dedup import near_duplicate_groups
from tasks.curate.evalset import Draft, EvalSet, eval_set
from tasks.curate.frame import (
    UNJUDGED,
    Asked,
    Drawn,
    Question,
    Seen,
    draw_samples,
    num_calls_of,
    stratum_of,
    stratum_of_call,
    when,
)
from tasks.curate.items import Item, call_item, known_answers, suite_item
from tasks.curate.select import thinned
from tasks.curate.targets import TargetResolver
from tasks.model.logged_call import MAX_CONVERSATION_CALLS, LoggedCall
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
class Assembled:
    """The set, what became of everything that could have been in it, and how it was drawn.
    `applications`: session ids that name no conversation, with their calls."""

    eval_set: EvalSet
    counts: Counts
    drawn: Drawn
    applications: dict[str, int]


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
    *,
    gating: Collection[str],
    pins: Sequence[Draft] = (),
) -> Assembled:
    """The eval set. `gating` names the suites that decide. `pins` are added as they are: they stand
    for no calls, and no call is left out for one of them.

    Calls that failed are taken only where they have a target (`replayable`); the caller counts the
    others. An empty set is returned as such.
    """
    items = [suite_item(sample) for sample in suites]
    items += [call_item(call, resolver) for call in sorted(calls, key=lambda call: call.request_id)]
    groups = near_duplicate_groups(
        [item.text for item in items], settings.near_duplicate_jaccard, known_answers(items)
    )
    unique = _deduplicated(items, groups)
    beside = _beside_traffic(items, resolver)
    asking = {
        index: [i for i in members if i not in beside]
        for index, members in unique.stands_for.items()
    }
    is_in_part = any(call.stands_for != 1 for call in calls)
    drawn = draw_samples(
        [
            question
            for i in unique.kept
            if items[i].call is not None and asking[i]
            for question in _questions(items, i, asking[i], resolver, is_in_part=is_in_part)
        ],
        _asked(items, unique.kept, asking),
        gating=gating,
        max_samples=settings.max_samples,
        judged_represent_all=settings.judged_represent_all,
        seed=seed,
    )
    taken = [i for i in unique.kept if _is_taken(items[i], drawn)]
    applications = _applications(calls)
    drafts = [
        _weighed(draft, items, i, asking[i], drawn, applications)
        for i in taken
        if (draft := items[i].draft) is not None
    ]
    clusters = clusters_of(
        [_ties(items, i, groups, unique.stands_for, applications) for i in taken]
    )
    drafts += pins
    clusters = [*clusters, *range(len(items), len(items) + len(pins))]
    num_candidates = sum(item.draft is not None for item in map(items.__getitem__, unique.kept))
    counts = Counts(
        rows_in=len(items) + len(pins),
        rows_out=len(unique.kept) + len(pins),
        exact_duplicates=unique.exact_duplicates,
        near_duplicates=unique.near_duplicates,
        without_target=len(unique.kept) - num_candidates,
        not_selected=num_candidates - len(taken),
        num_samples=len(drafts),
        num_clusters=len(set(clusters)),
        by_suite=dict(sorted(Counter(draft.suite for draft in drafts).items())),
        by_origin=dict(sorted(Counter(draft.origin for draft in drafts).items())),
    )
    return Assembled(eval_set(drafts, clusters), counts, drawn, applications)


def replayable(call: LoggedCall, resolver: TargetResolver) -> bool:
    """Whether a call can be a sample at all: one that failed only with a known target."""
    return not call.is_error or resolver.resolve(call) is not None


def _deduplicated(items: Sequence[Item], groups: Sequence[int]) -> _Deduplicated:
    """All suite samples stay. Of the calls of a scope and group, none stays beside a suite sample,
    else one: of those in the stratum of all of them, with a target before without, the earliest,
    the smallest id.
    """
    together: dict[tuple[str, int], list[int]] = {}
    for index, item in enumerate(items):
        together.setdefault((item.scope, groups[index]), []).append(index)
    kept: list[int] = []
    stands_for: dict[int, list[int]] = {}
    exact = near = 0
    for members in together.values():
        from_suites = [i for i in members if items[i].call is None]
        calls = _ranked(items, members)
        staying = from_suites or calls[:1]
        texts = {items[i].text for i in staying}
        for i in calls if from_suites else calls[1:]:
            exact, near = exact + (items[i].text in texts), near + (items[i].text not in texts)
            texts.add(items[i].text)
        kept += staying
        stands_for |= dict.fromkeys(staying, calls)
    return _Deduplicated(sorted(kept), stands_for, exact, near)


def _ranked(items: Sequence[Item], members: Sequence[int]) -> list[int]:
    """The calls among the members, the one that represents them first."""
    calls = [i for i in members if items[i].call is not None]
    if len(calls) < 2:
        return calls
    stratum = stratum_of([_call(items[i]) for i in calls])

    def rank(index: int) -> tuple[bool, bool, tuple[str, str]]:
        call = _call(items[index])
        return stratum_of_call(call) != stratum, items[index].draft is None, when(call)

    return sorted(calls, key=rank)


def _call(item: Item) -> LoggedCall:
    assert item.call is not None
    return item.call


def _questions(
    items: Sequence[Item],
    index: int,
    members: Sequence[int],
    resolver: TargetResolver,
    *,
    is_in_part: bool,
) -> list[Question]:
    """What the calls ask, in the suite whose traffic they are; and in the suite of the sample that
    they make, where that is another one (the suite of logged answers). `is_in_part`: whether some
    calls of the history stand for others."""
    item, calls = items[index], [_call(items[i]) for i in members]
    is_known = [
        stratum_of_call(call) != UNJUDGED or call.opinion.audited is not None for call in calls
    ]
    stratum = stratum_of(calls)
    own = [i for i in members if stratum_of_call(_call(items[i])) == stratum]
    own_calls = [_call(items[i]) for i in own]
    home = resolver.suite_of(_call(item), item.text)
    made = None if item.draft is None else item.draft.suite
    targets = [
        _call(items[i]) for i in own
        if (draft := items[i].draft) is not None and draft.suite == made
    ]  # fmt: skip
    return [
        Question(
            key=_call(item).request_id,
            suite=suite,
            stratum=stratum,
            num_calls=num_calls_of(calls),
            num_known=num_calls_of(compress(calls, is_known)),
            num_own=num_calls_of(own_calls),
            num_targets=num_calls_of(targets) if suite == made else 0,
            seen=Seen.of(calls, is_known) if is_in_part else None,
            own_seen=Seen.of(own_calls, [call.opinion.is_written for call in own_calls])
            if is_in_part
            else None,
        )
        for suite in sorted({home, made} - {None}, key=str)
        if suite is not None
    ]


def _beside_traffic(items: Sequence[Item], resolver: TargetResolver) -> frozenset[int]:
    """Conversations of data sets in suites that production asks: they are no part of its traffic,
    and nothing stands for them. Where there is no traffic they are what there is."""
    calls = {index: item.call for index, item in enumerate(items) if item.call is not None}
    of_data_sets = [index for index, call in calls.items() if call.of_data_set]
    if not of_data_sets:
        return frozenset()
    suites = {i: resolver.suite_of(call, items[i].text) for i, call in calls.items()}
    asked = {suites[i] for i, call in calls.items() if not call.of_data_set}
    return frozenset(i for i in of_data_sets if suites[i] in asked)


def _asked(
    items: Sequence[Item], kept: Sequence[int], asking: Mapping[int, Sequence[int]]
) -> list[Asked]:
    """Hand-written samples that calls ask too. A call is shared by the samples of its suite with
    the very same text, else by all that it is a near-duplicate of."""
    owners: dict[int, list[int]] = {}
    for index in kept:
        if items[index].call is None:
            for call in asking[index]:
                owners.setdefault(call, []).append(index)
    shares: dict[int, list[float]] = {}
    for call, samples in owners.items():
        for suite in {_suite(items[i]) for i in samples}:
            of_suite = [i for i in samples if _suite(items[i]) == suite]
            same = [i for i in of_suite if items[i].text == items[call].text] or of_suite
            for index in same:
                weight = _call(items[call]).stands_for
                shares.setdefault(index, []).append(weight / len(same))
    return [
        Asked(_key(items, index), _suite(items[index]), math.fsum(parts))
        for index, parts in sorted(shares.items())
    ]


def _suite(item: Item) -> str:
    assert item.draft is not None
    return item.draft.suite


def _key(items: Sequence[Item], index: int) -> str:
    """Request ids cannot be confused with it: a hand-written sample is named by its place."""
    call = items[index].call
    return f"\nsample {index}" if call is None else call.request_id


def _weighed(
    draft: Draft,
    items: Sequence[Item],
    index: int,
    members: Sequence[int],
    drawn: Drawn,
    applications: Collection[str],
) -> Draft:
    key = _key(items, index)
    if key not in drawn.weights:
        return draft  # written by hand, and production never asked it
    draws = thinned(_num_draws(items, index, members, applications), drawn.chances[key])
    return replace(
        draft,
        weight=drawn.weights[key],
        num_draws=round(draws, 6),
        stratum=stratum_of([_call(items[i]) for i in members]),
        is_counted=draft.request_id is None or draft.suite not in drawn.suites_not_counted,
    )


def _num_draws(
    items: Sequence[Item], index: int, members: Sequence[int], applications: Collection[str]
) -> float:
    """Independent draws from the traffic that an item is worth if it is taken for certain: the
    conversations that asked the very same, as one each. Of texts that are only nearly the same
    nobody knows whether they would be answered alike, so they hang on this one entirely.

    Only conversations that were read are draws: if n of them stand for n / p, what the item weighs
    is known from n, be it that n / p conversations were drawn from the traffic and n from those.
    Where their chances differ, they are worth as many as Kish's formula says (Σw)² / Σw².
    """
    same = [_call(items[i]) for i in members if items[i].text == items[index].text]
    if not same:
        return 1.0
    conversations = {_conversation(call, applications): call.stands_for for call in same}
    share = num_calls_of(same) / num_calls_of(_call(items[i]) for i in members)
    squares = math.fsum(weight**2 for weight in conversations.values())
    draws = math.fsum(conversations.values()) ** 2 / squares
    return (share / math.sqrt(draws) + 1 - share) ** -2


def _conversation(call: LoggedCall, applications: Collection[str]) -> tuple[str, str]:
    """A call whose session id names no conversation is one of its own."""
    if call.session_id is None or call.session_id in applications:
        return "call", call.request_id
    return "session", call.session_id


def _is_taken(item: Item, drawn: Drawn) -> bool:
    if item.draft is None:
        return False
    return item.call is None or item.call.request_id in drawn.weights


def _applications(calls: Sequence[LoggedCall]) -> dict[str, int]:
    """Session ids that name no conversation: they say nothing of which calls hang together."""
    sessions: dict[str, float] = {}
    for call in calls:
        if call.session_id is not None:
            sessions[call.session_id] = sessions.get(call.session_id, 0.0) + call.stands_for
    most = max(MAX_CONVERSATION_CALLS, num_calls_of(calls) / 2)
    return {session: round(number) for session, number in sessions.items() if number > most}


def _ties(
    items: Sequence[Item],
    index: int,
    groups: Sequence[int],
    stands_for: dict[int, list[int]],
    applications: Collection[str],
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
    if call is not None:
        ties.append(_conversation(call, applications))
    if item.draft is not None and item.draft.cluster is not None:
        ties.append(("declared", item.draft.cluster))
    return ties
