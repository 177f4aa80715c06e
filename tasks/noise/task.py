"""Noise: the champion against itself, under conditions that should not matter.

Reads `eval_set_samples`. Some of them are answered again in another batch and order, with another
number of threads and, where the release draws, under other seeds; and what it said is judged again.
Writes `completions` and `scores` of the run's seeds and of the others, as evaluate does; what was
answered under another condition of the same key is compared and dropped. The result is the
receipt, which gate and plan read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tasks.answering import needs
from tasks.answering.compute import answer_again, compute
from tasks.answering.judging import score_all, score_row
from tasks.answering.needs import Need
from tasks.errors import StoreError
from tasks.model.answer import Answer
from tasks.model.noise import Condition, ConditionName, Noise, SuiteNoise
from tasks.model.receipt import Receipt
from tasks.model.sample import Sample
from tasks.model.verdict import SuiteRule
from tasks.noise.measure import AFTER, BEFORE, counted, drawn, suite_noise
from tasks.releases.memory import MEMORY_FILE, Memory
from tasks.releases.resolve import ResolvedRelease, resolve_release
from tasks.report.noise import margins_below, told
from tasks.run import Run
from tasks.scoring import Instrument
from tasks.scoring.effective import StoredAnswers, judged_samples
from tasks.scoring.judged import is_judged
from tasks.scoring.suites import instruments, suite_rules
from tasks.store import Store
from tasks.store.control import ledger
from tasks.store.evals import answers as table
from tasks.store.evals.answers import StoredCompletion
from tasks.store.evals.releases import save_release
from tasks.store.evals.samples import read_eval_set

STAGE = "noise"


@dataclass(frozen=True, slots=True)
class _Part:
    """What is answered again: `chosen` of the samples of an eval set, for the suites that gate,
    under the run's seeds and under others; no others where the release does not draw."""

    eval_set: str
    samples: list[Sample]
    rules: list[SuiteRule]
    scorers: dict[str, Instrument]
    chosen: list[Sample]
    seeds: range
    other_seeds: range

    @property
    def all_seeds(self) -> range:
        return range(self.seeds.start, self.other_seeds.stop)

    def num_samples(self, rule: SuiteRule) -> int:
        return len(counted(self.samples, rule))

    @property
    def versions(self) -> dict[str, str]:
        return {suite: scorer.version for suite, scorer in self.scorers.items()}


def noise(run: Run) -> Receipt:
    """Measure. Raises StoreError where the run has no eval set, and UsageError on a release or a
    set that cannot be used."""
    memory = Memory(run.settings.home_path / MEMORY_FILE)
    release = resolve_release(run.request.champion, run.settings, memory)
    conditions = tuple(_conditions(release))
    draws = release.is_sampled
    with run.open_store() as store:
        part = _part(run, store, draws=draws)
        wanted = needs.needs([release], part.chosen, part.seeds)
        all_wanted = [*wanted, *needs.needs([release], part.chosen, part.other_seeds)]
        kept = table.read_completions(store, part.eval_set, [release.digest], part.all_seeds)
        judged_before = table.read_answers(store, part.eval_set, release.digest, part.seeds)
        with store.transaction():
            save_release(store, release.record(), run.clock())
    work = compute(run, STAGE, needs.missing(all_wanted, {c.key for c in kept}))
    again = _answer_again(run, wanted, conditions)
    score_all(run, STAGE, part.eval_set, all_wanted, part.all_seeds, part.scorers, work)
    with run.open_store() as store:
        said = table.read_answers(store, part.eval_set, release.digest, part.all_seeds)
        again["judge"] = table.read_completions(store, part.eval_set, [release.digest], part.seeds)
    after: dict[ConditionName, StoredAnswers] = {
        name: _judged(wanted, completions, part.scorers) for name, completions in again.items()
    }
    with run.open_store() as store, store.transaction():
        if draws:
            after["seed"] = {(id_, seed - len(part.seeds)): said[id_, seed] for id_, seed in said}
        # a score that was kept before was computed by another process
        before = {**said, **_of_version(judged_before, part)}
        suites = _suites(part, {
            name: (before if name == "judge" else said, answers) for name, answers in after.items()
        })  # fmt: skip
        found = Noise(release.name, release.digest, len(part.seeds), conditions, suites)
        notes = {
            "headline": told(found) if suites else "no suite gates: there is nothing to measure",
            "cautions": margins_below(
                suites, {rule.name: (rule.margin, part.num_samples(rule)) for rule in part.rules}
            ),
            "eval_set": part.eval_set,
            # from the store, so that a resumed run tells of all its attempts
            "computed": table.completion_totals(
                store, run.run_id, part.eval_set, [release.digest]
            ).computed,
            **found.to_json(),
        }
        num = len(part.chosen)
        receipt = Receipt(STAGE, release.digest, rows_in=num, rows_out=num, notes=notes)
        ledger.finish_stage(store, run.run_id, receipt, run.clock())
    return receipt


def _part(run: Run, store: Store, *, draws: bool) -> _Part:
    eval_set = ledger.run_value(store, run.run_id, "eval_set_digest")
    if eval_set is None:
        raise StoreError(
            "there is nothing to measure on: the run has no eval set", received=run.run_id
        )
    samples = read_eval_set(store, eval_set)
    rules = suite_rules(run.settings, {sample.suite for sample in samples})
    gating = [
        rule
        for rule in rules
        # a judge is an instrument with a card of its own (tasks/judges)
        if rule.is_gating and counted(samples, rule) and not is_judged(rule.metric)
    ]
    most = run.settings.noise.max_samples
    chosen = [sample for rule in gating for sample in drawn(samples, rule, most)]
    seeds = run.seeds
    others = range(seeds.stop, seeds.stop + (len(seeds) if draws else 0))
    scorers = instruments(run.settings, [rule.name for rule in gating])
    return _Part(eval_set, samples, gating, scorers, chosen, seeds, others)


def _suites(
    part: _Part, answers: Mapping[ConditionName, tuple[StoredAnswers, StoredAnswers]]
) -> tuple[SuiteNoise, ...]:
    """`answers`: condition → those before and after."""
    pairs = {
        name: judged_samples(part.chosen, {BEFORE: one, AFTER: other}, part.seeds, part.versions)
        for name, (one, other) in answers.items()
    }
    return tuple(
        suite_noise(
            rule,
            part.versions[rule.name],
            counted(part.samples, rule),
            {
                name: [item for item in items if item.sample.suite == rule.name]
                for name, items in pairs.items()
            },
        )
        for rule in part.rules
    )


def _conditions(release: ResolvedRelease) -> Iterator[Condition]:
    """What can be another one here, and why something cannot."""
    yield from release.source.conditions()
    why = "" if release.is_sampled else "there is no seed at temperature 0"
    yield Condition("seed", "another seed", not_measured=why)
    yield Condition("judge", "judging again")


def _answer_again(
    run: Run, wanted: Sequence[Need], conditions: Iterable[Condition]
) -> dict[ConditionName, list[StoredCompletion]]:
    """Under each condition of the engine that can be tried, by an engine of its own."""
    # so small that even few answers have other neighbours
    smaller = max(1, min(run.settings.evaluate.chunk_size, len(wanted)) // 3)
    answered: dict[ConditionName, list[StoredCompletion]] = {}
    for condition in conditions if wanted else ():
        if condition.not_measured:
            continue
        note = condition.what
        if condition.name == "batch":
            answered["batch"] = answer_again(run, STAGE, wanted[::-1], note, chunk_size=smaller)
        elif condition.name == "processor":
            answered["processor"] = answer_again(run, STAGE, wanted, note, other_threads=True)
    return answered


def _judged(
    wanted: Sequence[Need],
    completions: Iterable[StoredCompletion],
    scorers: Mapping[str, Instrument],
) -> dict[tuple[str, int], list[Answer]]:
    """Completions with the score they get now."""
    need_of = {need.key: need for need in wanted}
    judged = {}
    for completion in completions:
        need = need_of.get(completion.key)
        if need is None:
            continue
        row = score_row(need, scorers[need.sample.suite], completion)
        judged[need.sample.sample_id, need.seed] = [
            Answer(
                value=row["value"],
                text=completion.text,
                error=completion.error,
                fault=row["fault"],
                scorer=row["scorer"],
                unscored_reason=row["unscored_reason"],
                extracted=row["answer"],
                explanation=row["explanation"],
            )
        ]
    return judged


def _of_version(stored: StoredAnswers, part: _Part) -> StoredAnswers:
    """Those that were judged by today's version of the scorer."""
    versions = {sample.sample_id: part.versions[sample.suite] for sample in part.chosen}
    return {
        (id_, seed): answers
        for (id_, seed), answers in stored.items()
        if id_ in versions and any(answer.scorer == versions[id_] for answer in answers)
    }
