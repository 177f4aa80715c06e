"""The judges' pass over the answers of a run: after the releases, all prompts as one batch.

A pointwise or reference judge gives a value to every answer. A pairwise one is shown champion and
challenger in both orders; with p, the mean of what both say for the challenger (1, 0.5 or 0), the
challenger scores p and the champion 1 - p, so that their difference is wins less losses. Equal
answers are a tie that nobody is asked about; a release that failed by its own fault loses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tasks.answering.compute import Work
from tasks.answering.judging import Judged, keep_scores
from tasks.answering.needs import Need
from tasks.errors import UsageError
from tasks.judges.asked import Item, question_of
from tasks.judges.asking import Opinion, ask_all
from tasks.judges.changed import Change, find_change, held_against
from tasks.judges.labels import Label
from tasks.judges.measure import card, self_preference, why_not
from tasks.judges.people import labels_of, people_of
from tasks.judges.predicted import predicted
from tasks.judges.resolve import Judge, resolve_judge
from tasks.model.answer import CompletionKey, Role
from tasks.model.judge import JudgeCard
from tasks.releases.memory import Memory
from tasks.releases.resolve import ResolvedRelease
from tasks.run import Run
from tasks.scoring.judged import judge_of
from tasks.store import Store
from tasks.store.evals import answers as table
from tasks.store.evals.answers import StoredCompletion

_TIE = Opinion(0.5, (), "both answers are the same")


@dataclass(slots=True)
class Pass:
    """What the judges made of a run: scores, cards by suite, and the work it took."""

    judged: list[Judged] = field(default_factory=list)
    cards: dict[str, JudgeCard] = field(default_factory=dict)
    work: Work = field(default_factory=Work)
    releases: list[ResolvedRelease] = field(default_factory=list)


@dataclass(slots=True)
class _Suite:
    """One judged suite: what of it is wanted, and what is asked of its judge."""

    name: str
    judge: Judge
    version: str
    needs: Sequence[Need]
    labels: Sequence[Label]
    change: Change | None
    #: completion → the item with its answer, and whether it is the second of a pair
    items: dict[CompletionKey, tuple[Item, bool]] = field(default_factory=dict)


def judge_all(
    run: Run,
    stage: str,
    eval_set: str,
    wanted: Sequence[Need],
    releases: Mapping[Role, ResolvedRelease],
    work: Work,
    memory: Memory,
) -> Pass:
    """Every completion wanted, of suites that have a judge, has a score that is kept, or a reason
    why it has none. Raises UsageError on a judge that cannot be used."""
    if not wanted:
        return Pass()
    digests = sorted({need.release.digest for need in wanted})
    names = list(dict.fromkeys(need.sample.suite for need in wanted))
    with run.open_store() as store:
        kept = {c.key: c for c in table.read_completions(store, eval_set, digests, run.seeds)}
        suites = [_suite(run, store, eval_set, name, wanted, releases, memory) for name in names]
    for suite in suites:
        suite.items = _items(suite, kept, releases)
    asked = [(suite.judge, _distinct(suite)) for suite in suites]
    opinions, judging = ask_all(run, stage, asked)
    done = Pass(work=judging)
    rows: list[dict[str, Any]] = []
    for suite, (_, items), said in zip(suites, asked, opinions, strict=True):
        by_item = dict(zip(items, said, strict=True))
        done.releases += [member.release for member in suite.judge.members]
        scored = [_row(suite, need, kept, by_item, releases, work) for need in suite.needs]
        rows += scored
        values = {need.key: row["value"] for need, row in zip(suite.needs, scored, strict=True)}
        done.cards[suite.name] = _card(run, suite, by_item, values, releases)
        done.judged += [
            Judged(need.key, row["value"], row["unscored_reason"], row["fault"])
            for need, row in zip(suite.needs, scored, strict=True)
        ]
    keep_scores(run, rows)
    return done


def _suite(
    run: Run,
    store: Store,
    eval_set: str,
    name: str,
    wanted: Sequence[Need],
    releases: Mapping[Role, ResolvedRelease],
    memory: Memory,
) -> _Suite:
    judge_name = judge_of(run.settings, name)
    assert judge_name is not None, "it is wanted because it has a judge"
    judge = resolve_judge(judge_name, run.settings, memory)
    version = judge.version
    if judge.kind == "pairwise":
        refuse_many(judge_name, len(releases) - 1)
        pair = [releases[role].digest[:12] for role in ("champion", "challenger")]
        version += ":" + ":".join(pair)
    of_suite = [need for need in wanted if need.sample.suite == name]
    task = of_suite[0].sample.task
    change = find_change(store, run.run_id, eval_set, name, judge, version)
    labels = labels_of(judge, run.settings, store, task)
    return _Suite(name, judge, version, of_suite, labels, change)


def refuse_many(judge: str, num_challengers: int) -> None:
    """Raises UsageError: what the champion scores would be another thing beside each of them."""
    if num_challengers > 1:
        raise UsageError(
            f"judge {judge!r} is pairwise and compares two releases",
            received=f"{num_challengers} challengers",
            next="run each challenger by itself, or set kind to pointwise",
        )


def _items(
    suite: _Suite,
    kept: Mapping[CompletionKey, StoredCompletion],
    releases: Mapping[Role, ResolvedRelease],
) -> dict[CompletionKey, tuple[Item, bool]]:
    items: dict[CompletionKey, tuple[Item, bool]] = {}
    for need in suite.needs:
        sample, key = need.sample, need.key
        target = sample.target if suite.judge.kind == "reference" else ""
        if suite.judge.kind != "pairwise":
            text = _text(kept, key)
            if text is not None:
                items[key] = (Item(question_of(sample), (text,), target), False)
            continue
        champion, challenger = _pair(need, releases)
        texts = [_text(kept, one) for one in (champion, challenger)]
        if texts[0] is not None and texts[1] is not None:
            item = Item(question_of(sample), (texts[0], texts[1]))
            items[key] = (item, key == challenger and champion != challenger)
    return items


def _pair(
    need: Need, releases: Mapping[Role, ResolvedRelease]
) -> tuple[CompletionKey, CompletionKey]:
    one, other = (
        replace(need.key, release_digest=releases[role].digest)
        for role in ("champion", "challenger")
    )
    return one, other


def _text(kept: Mapping[CompletionKey, StoredCompletion], key: CompletionKey) -> str | None:
    completion = kept.get(key)
    return None if completion is None or completion.error is not None else completion.text


def _is_equal(item: Item) -> bool:
    return len(item.answers) == 2 and item.answers[0] == item.answers[1]


def _distinct(suite: _Suite) -> list[Item]:
    """Each item that is to be judged once."""
    asked = [item for item, _ in suite.items.values() if not _is_equal(item)]
    asked += [label.item for label in suite.labels]
    asked += [item for item, _ in suite.change.kept] if suite.change is not None else []
    return list(dict.fromkeys(asked))


def _row(
    suite: _Suite,
    need: Need,
    kept: Mapping[CompletionKey, StoredCompletion],
    by_item: Mapping[Item, Opinion],
    releases: Mapping[Role, ResolvedRelease],
    work: Work,
) -> dict[str, Any]:
    """The score of one completion as the store keeps it."""
    value, said, reason, fault = None, "", None, None
    found = suite.items.get(need.key)
    if found is not None:
        item, is_second = found
        opinion = _TIE if _is_equal(item) else by_item[item]
        value, said, reason, fault = opinion.value, opinion.said, opinion.why_not, opinion.fault
        if value is not None and len(item.answers) == 2 and not is_second:
            value = 1 - value
    else:
        value, said, reason, fault = _without_text(suite, need, kept, releases, work)
    if value is not None:
        explanation = f"judge {suite.judge.name}: {said}"
    else:
        reason = f"judge {suite.judge.name}: {reason}"
        explanation = f"unscored: {reason}"
    return {
        **asdict(need.key),
        "scorer": suite.version,
        "value": value,
        "unscored_reason": None if value is not None else reason,
        "answer": None,
        "explanation": explanation,
        "fault": None if value is not None else fault,
    }


def _without_text(
    suite: _Suite,
    need: Need,
    kept: Mapping[CompletionKey, StoredCompletion],
    releases: Mapping[Role, ResolvedRelease],
    work: Work,
) -> tuple[float | None, str, str, Any]:
    """Where an answer is lacking: its own release fails, and of a pair the other one wins."""
    own = kept.get(need.key)
    if _text(kept, need.key) is not None:
        other = next(key for key in _pair(need, releases) if key != need.key)
        missing = kept.get(other)
        if missing is not None and missing.fault == "release":
            return 1.0, "the other release gave no answer", "", None
        return None, "", "the other release's answer is lost", "harness"
    failure = work.transient.get(need.key)
    error = own.error if own is not None else failure.message if failure is not None else None
    return (
        None,
        "",
        f"no completion: {error or 'the engine gave none'}",
        (own.fault if own is not None else "harness"),
    )


def _card(
    run: Run,
    suite: _Suite,
    by_item: Mapping[Item, Opinion],
    values: Mapping[CompletionKey, float | None],
    releases: Mapping[Role, ResolvedRelease],
) -> JudgeCard:
    judge, settings = suite.judge, run.settings
    on_suite = {item for item, _ in suite.items.values() if not _is_equal(item)}
    labels = [(label, by_item[label.item]) for label in suite.labels]
    found = card(judge, [(item, by_item[item]) for item in on_suite], labels)
    people = people_of(suite.labels, suite.items)
    own_models = {member.release.source.model_digest for member in judge.members}
    same = tuple(r for r, one in releases.items() if one.source.model_digest in own_models)
    added = {
        role: [
            (value, people[key])
            for key, value in values.items()
            if key.release_digest == release.digest and value is not None and key in people
        ]
        for role, release in releases.items()
    }
    overlap = None if suite.change is None else held_against(suite.change, by_item)
    why = why_not(found, judge.settings)
    if suite.change is not None and overlap is not None and not suite.change.is_accepted:
        why += suite.change.why_not(overlap, judge.settings.min_kappa)
    return replace(
        found,
        version=suite.version,
        same_model=same,
        self_preference=self_preference(added, same),
        predicted=predicted(suite.needs, values, people, releases, settings),
        earlier="" if suite.change is None else suite.change.earlier,
        overlap=overlap,
        declared_role=settings.suites[suite.name].role,
        why_not=why,
    )
