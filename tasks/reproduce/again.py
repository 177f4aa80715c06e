"""The releases of a recorded run answer again, in a store of its own, and every answer is scored.

What can be asked is: releases and judges on this machine. What an API answered is taken as it was
recorded, for the same answer twice is promised by nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tasks.answering import needs
from tasks.answering.compute import compute
from tasks.answering.judging import score_all
from tasks.answering.needs import Need
from tasks.backends.base import Backend
from tasks.judges.resolve import declared_judge
from tasks.judges.scoring import judge_all
from tasks.model.answer import CompletionKey, Role
from tasks.model.noise import Condition
from tasks.model.release import Release
from tasks.releases.memory import MEMORY_FILE, Memory
from tasks.releases.prompts import PromptSet, Turn
from tasks.releases.resolve import ResolvedRelease
from tasks.releases.source import EngineSource
from tasks.reproduce.comparing import (
    Comparison,
    Said,
    Scored,
    compare_estimates,
    compare_likelihoods,
    compare_scores,
    compare_texts,
    compare_verdicts,
)
from tasks.reproduce.recorded import Recorded
from tasks.run import Run
from tasks.scoring.judged import judge_of
from tasks.scoring.suites import also_instruments, instruments, suite_rules
from tasks.settings import SamplingSettings, Settings
from tasks.store import Store
from tasks.store.control import ledger
from tasks.store.control.rewinding import (
    lend_completions,
    lend_scores,
    read_scored,
    read_verdict_rows,
    rewind,
)
from tasks.store.evals import answers as table
from tasks.store.evals.samples import samples_of_run
from tasks.store.opening import open_store

STAGE = "evaluate"


@dataclass(frozen=True, slots=True)
class RecordedSource:
    """An API, which is not asked again."""

    release: Release

    is_deterministic = False
    weighs = True  # nothing is asked of it that it could refuse

    @property
    def model_digest(self) -> str:
        return self.release.model_digest

    @property
    def key(self) -> tuple[Any, ...]:
        return (self.release.digest,)

    def value(self) -> dict[str, Any]:
        return dict(self.release.engine)

    def files(self, memory: Memory) -> dict[str, str]:
        return {}

    def conditions(self) -> Iterator[Condition]:
        return iter(())

    def here(self) -> RecordedSource:
        return self

    def load(self) -> Backend:
        raise AssertionError("it is not asked again")


def as_recorded(
    name: str, release: Release, source: EngineSource | RecordedSource
) -> ResolvedRelease:
    """A release by its record: prompts, sampling, and the digest that all is kept under, whatever
    answers for it now."""
    prompts = {
        task: None if turns is None else tuple(Turn(**turn) for turn in turns)
        for task, turns in release.prompts.items()
    }
    return ResolvedRelease(
        name=name,
        digest=release.digest,
        model=release.model,
        source=source,
        prompts=PromptSet(prompts, "as recorded"),
        sampling=SamplingSettings.model_validate(release.sampling),
    )


def prepare(recorded: Recorded, source: Store, settings: Settings) -> None:
    """The store of the re-execution: as it stood before, with what cannot be asked again."""
    eval_set, seeds = recorded.facts.eval_set.digest, recorded.facts.seeds
    digests = [release.digest for release in recorded.facts.releases.values()]
    hosted = [
        release.digest
        for role, release in recorded.facts.releases.items()
        if recorded.is_hosted[role]
    ]
    with open_store(settings) as target:
        judged = any(judge_of(settings, suite) is not None for suite in settings.suites)
        rewind(source, target, recorded.run_id, recorded.evaluated, with_calls=judged)
        if hosted:
            lend_completions(source, target, eval_set, hosted, seeds)
        for suite in hosted_judges(settings, recorded):
            scorer = _version_of(recorded, suite)
            lend_scores(source, target, eval_set, scorer, digests, seeds)


def hosted_judges(settings: Settings, recorded: Recorded) -> dict[str, str]:
    """Suite → its judge, of those that an API answers for."""
    found = {}
    for suite in {sample.suite for sample in recorded.samples}:
        judge = judge_of(settings, suite)
        if judge is None:
            continue
        declared = declared_judge(judge, settings)
        members = [declared_judge(one, settings) for one in declared.panel] or [declared]
        if any(settings.release(member.release).api for member in members):
            found[suite] = judge
    return dict(sorted(found.items()))


def _version_of(recorded: Recorded, suite: str) -> str:
    suites = recorded.facts.verdicts[recorded.facts.leading].suites
    return next((one.scorer for one in suites if one.rule.name == suite), "")


def answer_again(
    run: Run, recorded: Recorded, sources: Mapping[Role, EngineSource]
) -> tuple[str, ...]:
    """Answers and scores, as the stage evaluate makes them, of the samples that were asked; the
    names of releases and judges that were not asked. `run`: the one that answered, in its own
    state folder."""
    facts, settings = recorded.facts, run.settings
    releases = {
        role: as_recorded(facts.name(role), release, sources.get(role) or RecordedSource(release))
        for role, release in facts.releases.items()
    }
    eval_set = facts.eval_set.digest
    distinct = needs.distinct(list(releases.values()))
    with run.open_store() as store:
        samples = samples_of_run(store, run.run_id, recorded.samples)
        digests = [release.digest for release in distinct]
        known = table.completed_keys(store, eval_set, digests, facts.seeds)
    wanted = needs.needs(distinct, samples, facts.seeds)
    missing = [
        need for need in needs.missing(wanted, known) if need.release.source.is_deterministic
    ]
    work = compute(run, STAGE, missing)
    rules = suite_rules(settings, {sample.suite for sample in samples})
    scorers = instruments(settings, [rule.name for rule in rules])
    also = {rule.name: also_instruments(settings, rule.name) for rule in rules}
    score_all(run, STAGE, eval_set, wanted, facts.seeds, scorers, work, also)
    not_asked = hosted_judges(settings, recorded)
    by_judge = [need for need in wanted if _is_asked(need, settings, not_asked)]
    memory = Memory(settings.home_path / MEMORY_FILE)
    judges = judge_all(run, STAGE, eval_set, by_judge, releases, work, memory)
    then = facts.evaluated
    assert then is not None, "read_recorded asks for it"
    cards = {suite: card.to_json() for suite, card in judges.cards.items()}
    judged = {"judges": {**then.notes.get("judges", {}), **cards}} if cards else {}
    receipt = replace(then, notes={**then.notes, **judged})
    with run.open_store() as store, store.transaction():
        ledger.finish_stage(store, run.run_id, receipt, run.clock())
    hosted = [facts.name(role) for role, is_hosted in recorded.is_hosted.items() if is_hosted]
    return (*dict.fromkeys(hosted), *dict.fromkeys(not_asked.values()))


def _is_asked(need: Need, settings: Settings, not_asked: Mapping[str, str]) -> bool:
    suite = need.sample.suite
    return judge_of(settings, suite) is not None and suite not in not_asked


def compare(
    recorded: Recorded, before: Store, again: Store, not_asked: tuple[str, ...]
) -> Comparison:
    """What both stores hold of the run. `before`: the one that was recorded in."""
    facts = recorded.facts
    run_id, eval_set = facts.run_id, facts.eval_set.digest
    digests = sorted({release.digest for release in facts.releases.values()})
    texts = [_texts(store, eval_set, digests, facts.seeds) for store in (before, again)]
    scored = [_scores(store, eval_set, digests, facts.seeds) for store in (before, again)]
    rows = [read_verdict_rows(store, run_id) for store in (before, again)]
    verdicts, difference = compare_verdicts(*rows)
    return Comparison(
        texts=compare_texts(*texts),
        likelihoods=compare_likelihoods(*texts),
        scores=compare_scores(*scored),
        estimates=compare_estimates(*rows),
        verdicts=verdicts,
        difference=difference,
        as_recorded=not_asked,
    )


def _texts(
    store: Store, eval_set: str, digests: list[str], seeds: range
) -> dict[CompletionKey, Said]:
    found = table.read_completions(store, eval_set, digests, seeds)
    return {one.key: (one.text, one.error) for one in found}


def _scores(
    store: Store, eval_set: str, digests: list[str], seeds: range
) -> dict[tuple[CompletionKey, str], Scored]:
    return {
        (CompletionKey(digest, sample_id, seed), scorer): (value, why)
        for digest, sample_id, seed, scorer, value, why in read_scored(
            store, eval_set, digests, seeds
        )
    }
