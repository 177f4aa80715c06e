"""The stage evaluate: both releases answer the eval set, and every answer is scored.

Reads samples; writes releases, completions (a cache: what is there is not computed again) and
scores. How answers are computed and scored is in tasks/answering.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tasks.answering import needs
from tasks.answering.compute import Work, compute
from tasks.answering.hosted import hosted_notes
from tasks.answering.judging import Judged, score_all
from tasks.answering.needs import Need
from tasks.champion import cautions_in
from tasks.errors import UsageError
from tasks.evaluate.stopping import Stopping
from tasks.evidence.stopping import in_turn
from tasks.judges.scoring import Pass, judge_all
from tasks.model.answer import Role
from tasks.model.receipt import Receipt
from tasks.model.sample import Asked
from tasks.releases.memory import MEMORY_FILE, Memory
from tasks.releases.promotion import CHAMPION
from tasks.releases.replaced import sentences
from tasks.releases.resolve import ResolvedRelease, resolve_release
from tasks.run import Run
from tasks.scoring import Instrument
from tasks.scoring.judged import is_judged, judge_of
from tasks.scoring.suites import also_instruments, instruments, suite_rules
from tasks.scoring.worth import as_answered
from tasks.store import Store
from tasks.store.control import ledger
from tasks.store.control.aliases import read_aliases
from tasks.store.evals import answers as table
from tasks.store.evals import samples as eval_sets
from tasks.store.evals.releases import save_model_files, save_release

if TYPE_CHECKING:
    import pyarrow as pa

STAGE = "evaluate"


def evaluate(run: Run) -> Receipt:
    """Compute what is missing, score everything, record both. Raises UsageError on a release or an
    eval set that cannot be used."""
    memory = Memory(run.settings.home_path / MEMORY_FILE)
    releases = {
        role: resolve_release(name, run.settings, memory)
        for role, name in run.request.releases.items()
    }
    distinct = needs.distinct(list(releases.values()))
    digests = [release.digest for release in distinct]
    files = {one.source.model_digest: one.source.files(memory) for one in distinct}
    seeds = run.seeds
    with run.open_store() as store:
        eval_set = ledger.run_value(store, run.run_id, "eval_set_digest")
        eval_set = eval_set or eval_sets.latest_eval_set(store, run.run_id)
        asked_for = eval_sets.read_asked(store, eval_set) if eval_set else []
        if eval_set is None or not asked_for:
            raise UsageError(
                "there is nothing to evaluate: "
                + ("the eval set holds no sample" if eval_set else "there is no eval set yet"),
                received=eval_set or "",
                allowed="calls in the logs, or a suite with samples",
                next="flywheel curate, after `samples` in [suites.NAME] or logs with feedback",
            )
        rules = suite_rules(run.settings, {asked.suite for asked in asked_for})
        scorers = instruments(run.settings, [rule.name for rule in rules])
        also = {rule.name: also_instruments(run.settings, rule.name) for rule in rules}
        may_stop = run.settings.evaluate.stop_when_decided and len(distinct) == len(releases)
        settled = None if may_stop else _settled(store, run, eval_set, digests, scorers, also)
        samples = eval_sets.read_eval_set(store, eval_set, without=settled)
        num_settled = 0 if settled is None else settled.num_rows * len(digests) * len(seeds)
        if may_stop:
            is_sampled = any(release.is_sampled for release in distinct)
            samples = as_answered(samples, is_sampled=is_sampled)
            samples = in_turn(samples, rules, eval_set)
        wanted = needs.needs(distinct, samples, seeds, in_turn=may_stop)
        only = [sample.sample_id for sample in samples]
        known = table.completed_keys(store, eval_set, digests, seeds, only)
        roles = {role: release.digest for role, release in releases.items()}
        keys = ledger.RunKeys(eval_set, roles)
        with store.transaction():
            for release in releases.values():
                save_release(store, release.record(), run.clock())
            for model_digest, digests_of_files in files.items():
                save_model_files(store, model_digest, digests_of_files)
            ledger.set_run_keys(store, run.run_id, keys)
        of_champion = _of_champion(store, run, releases)
    stopping = Stopping(run, STAGE, keys, rules, samples, wanted) if may_stop else None
    work = _answer(run, wanted, needs.missing(wanted, known), stopping)
    asked = _asked(stopping) if stopping is not None and stopping.stops else None
    if asked is not None:
        wanted = [need for need in wanted if need.sample.sample_id in asked]
    by_judge = [n for n in wanted if judge_of(run.settings, n.sample.suite) is not None]
    judged = score_all(run, STAGE, eval_set, wanted, seeds, scorers, work, also)
    judges = judge_all(run, STAGE, eval_set, by_judge, releases, work, memory)
    judged += judges.judged
    with run.open_store() as store, store.transaction():
        if asked is not None:
            eval_sets.keep_samples_of_run(store, run.run_id, asked)
        receipt = _receipt(
            store, run, eval_set, releases, judged, num_settled, work, judges, stopping
        )
        told = {"cautions": _replaced(distinct, asked_for)}
        told |= {"of_champion": of_champion} if of_champion else {}
        receipt = replace(receipt, notes={**receipt.notes, **told})
        ledger.finish_stage(store, run.run_id, receipt, run.clock())
    return receipt


def _settled(
    store: Store,
    run: Run,
    eval_set: str,
    digests: Sequence[str],
    scorers: Mapping[str, Instrument],
    also: Mapping[str, Sequence[Instrument]],
) -> pa.Table:
    """sample_id of the samples that need not even be read: everything about them is kept. Of a
    suite that a judge judges there is none: all of its answers are shown to it."""
    versions = {
        suite: {one.version for one in (scorer, *also[suite])}
        for suite, scorer in scorers.items()
        if not is_judged(scorer.metric)
    }
    return table.settled_samples(store, run.run_id, eval_set, digests, run.seeds, versions)


def _of_champion(store: Store, run: Run, releases: Mapping[Role, ResolvedRelease]) -> list[str]:
    """What should be looked at of the release that was promoted."""
    promoted = read_aliases(store).get(CHAMPION)
    is_asked = promoted is not None and promoted.release == run.request.champion
    resolved = releases[CHAMPION].record() if is_asked else None
    return cautions_in(store, run.settings, resolved)


def _replaced(releases: Sequence[ResolvedRelease], asked: Sequence[Asked]) -> list[str]:
    """What of the calls the prompts of releases take the place of."""
    return [
        text for release in releases for text in sentences(release.name, release.prompts, asked)
    ]


def _answer(
    run: Run, wanted: Sequence[Need], missing: Sequence[Need], stopping: Stopping | None
) -> Work:
    """All that is missing; or until the run is decided, and where it may ship, what of the samples
    that must pass is missing too."""
    if stopping is None:
        return compute(run, STAGE, missing)
    work = Work() if stopping(Work()) else compute(run, STAGE, missing, stopping)
    if "ship" in stopping.stops.values():
        in_turn = {sample.sample_id for sample in stopping.asked}
        demanded = [
            need
            for need in missing
            if need.sample.must_pass and need.sample.sample_id not in in_turn
        ]
        work.add(compute(run, STAGE, demanded))
    return work


def _asked(stopping: Stopping) -> dict[str, bool]:
    """Ids of what was asked after all: samples in turn (True), and out of turn those that must pass
    where a release may ship."""
    in_turn = {sample.sample_id: True for sample in stopping.asked}
    out_of_turn = {
        sample.sample_id: False
        for sample in stopping.samples
        if sample.must_pass and "ship" in stopping.stops.values()
    }
    return out_of_turn | in_turn


def _receipt(
    store: Store,
    run: Run,
    eval_set: str,
    releases: Mapping[Role, ResolvedRelease],
    judged: Sequence[Judged],
    num_settled: int,
    work: Work,
    judges: Pass,
    stopping: Stopping | None,
) -> Receipt:
    digests = sorted({release.digest for release in releases.values()})
    totals = table.completion_totals(store, run.run_id, eval_set, digests)
    computed = table.computed_keys(store, run.run_id, eval_set, digests)
    asked = {one.key for one in judged}
    run_s = sum(used["run_s"] for used in work.engines)
    tokens = work.input_tokens + work.output_tokens
    reasons = Counter(one.unscored_reason for one in judged if one.value is None)
    notes = {
        "eval_set": eval_set,
        "releases": [
            {"role": role, "name": release.name, "digest": release.digest}
            for role, release in releases.items()
        ],
        "computed": totals.computed,
        "cached": num_settled + len(asked - computed - work.transient.keys()),
        "errors": totals.errors + len(work.transient),
        "transient_errors": len(work.transient),
        "unscored": sum(reasons.values()),
        "unscored_reasons": dict(reasons.most_common(5)),
        "faults": dict(Counter(one.fault for one in judged if one.value is None)),
        "input_tokens": totals.input_tokens,
        "cached_input_tokens": totals.cached_tokens,
        "output_tokens": totals.output_tokens,
        "tokens_per_s": round(tokens / run_s, 1) if run_s else None,
        "engines": work.engines,
    }
    if judges.cards:
        notes["judges"] = {suite: card.to_json() for suite, card in judges.cards.items()}
        notes["engines"] = [*work.engines, *judges.work.engines]
    hosted = hosted_notes(store, run, eval_set, releases.values(), work)
    hosted |= hosted_notes(store, run, eval_set, judges.releases, judges.work)
    if hosted:
        notes["hosted"] = hosted
    if stopping is not None and stopping.stops:
        notes["stopped"] = {
            "challengers": stopping.stops,
            "num_samples": stopping.num_asked,
            "num_samples_in_all": len(stopping.samples),
            # an engine of its own may have answered more for one release than was asked of all
            "num_answers_saved": sum(
                need.key not in asked and need.key not in computed for need in stopping.wanted
            ),
        }
    num_rows = num_settled + len(judged)
    return Receipt(STAGE, eval_set, rows_in=num_rows, rows_out=num_rows, notes=notes)
