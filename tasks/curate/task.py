"""Curate: from suites and the whole history of calls to an eval set addressed by content.

Reads `requests` and `feedback`, writes `samples`, `eval_sets` and `eval_set_samples`. The know-how
is in the modules beside this one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import date
from typing import Any

from expectations.rules import RuleSet
from tasks.collecting import without_collecting
from tasks.curate.assemble import Assembled, Counts, assemble, replayable
from tasks.curate.cautions import cautions, reviews_due
from tasks.curate.declared import read_declared
from tasks.curate.evalset import Draft, EvalSet
from tasks.curate.history import read_history
from tasks.curate.judge import judged
from tasks.curate.pins import Pin, read_pins
from tasks.curate.sessions import numbered
from tasks.curate.targets import TargetResolver
from tasks.errors import DataError, UsageError
from tasks.evidence.worn import worn_suites
from tasks.model.canonical import canonical_json
from tasks.model.reading import Part
from tasks.model.receipt import Receipt
from tasks.rules.in_force import samples_rules
from tasks.rules.outcomes import Failures
from tasks.run import Run
from tasks.scoring.suites import gate_rule, suite_rules
from tasks.settings import Settings
from tasks.store import Store
from tasks.store.control import ledger
from tasks.store.evals import samples as table

#: raised when selection changes meaning, so that a rule tells what made its set
_RULE_VERSION = 2


@without_collecting()
def curate(run: Run) -> Receipt:
    """Build this run's eval set.

    Raises UsageError where there is nothing to evaluate, DataError where a hand-written sample or
    the set as a whole fails its expectations.
    """
    suites, rule_set = read_suites(run.settings), samples_rules(run.settings)
    declared = suite_rules(run.settings, ())
    gating = {rule.name for rule in declared if rule.is_gating}
    pins = read_pins(run.settings)
    today = run.clock().date()
    holding = [pin for pin in pins if pin.holds_on(today)]
    with run.open_store() as store:
        part = Part(until=run.window(store).until)
        history = read_history(store, run.settings, run.request.seed, part)
    reading = history.reading
    calls = numbered(history.calls, _of_sessions(run.settings), history.apart)
    run.progress("curate", 0, reading.num_read + len(suites), "find duplicates")
    resolver = target_resolver(
        run.settings, suites, use_logged=run.settings.curate.use_logged_targets
    )
    usable = [call for call in calls if replayable(call, resolver)]
    assembled = assemble(
        suites,
        usable,
        resolver,
        run.settings.curate,
        run.request.seed,
        gating=gating,
        pins=[pin.draft for pin in holding],
    )
    if not assembled.eval_set.samples:
        raise _nothing(run.settings, reading.num_read, len(usable), assembled.counts)
    not_taken = {
        "not_sampled": reading.num_not_sampled,
        "not_replayable": reading.num_read - len(calls),
        "errors_without_target": len(calls) - len(usable),
    }
    with run.open_store() as store:
        kept, left_out = _judge(store, run, rule_set, assembled.eval_set)
        if not kept.samples:
            raise DataError(
                "every sample of the eval set fails an expectation; none was written",
                received=", ".join(f"{name} {rows}" for name, rows in left_out.by_reason.items()),
                next="fix the rules or the logs, then run again",
            )
        told = cautions(
            kept.samples,
            declared,
            gate_rule(run.settings, len(run.request.challengers)).alpha,
            assembled.drawn.uncovered,
            assembled.applications,
        )
        told += worn_suites(store, kept.samples, gating, run.settings.gate.alpha)
        with store.transaction():
            receipt = _write(
                store,
                run,
                replace(assembled, eval_set=kept, counts=_recount(assembled.counts, kept)),
                {**not_taken, "cautions": told + _due(run.settings, pins, today)},
                left_out,
                rule_set,
                {"reading": reading.to_json()} if reading.is_in_part else {},
            )
            ledger.finish_stage(store, run.run_id, receipt, run.clock())
    return receipt


def read_suites(settings: Settings) -> tuple[Draft, ...]:
    """Every hand-written sample, suite by suite as declared."""
    return tuple(sample for name in settings.suites for sample in read_declared(settings, name))


def target_resolver(
    settings: Settings, suites: tuple[Draft, ...], *, use_logged: bool
) -> TargetResolver:
    """Of two suites that ask the same task, the first declared has its calls; one that takes none
    has none."""
    taking = {name: suite for name, suite in settings.suites.items() if suite.takes_calls}
    return TargetResolver(
        {suite.task or name: name for name, suite in reversed(taking.items())},
        [draft for draft in suites if draft.suite in taking],
        use_logged=use_logged,
        of_sessions=_of_sessions(settings).values(),
    )


def _of_sessions(settings: Settings) -> dict[str, str]:
    """Task → the suite of recorded sessions that asks it."""
    return {suite.task or name: name for name, suite in settings.suites.items() if suite.sessions}


def _due(settings: Settings, pins: Sequence[Pin], today: date) -> list[str]:
    """Of pins and suites whose day has come."""
    expired = [_expired(pin) for pin in pins if not pin.holds_on(today)]
    return expired + reviews_due(settings.suites, today)


def _expired(pin: Pin) -> str:
    return (
        f"the pin of {pin.request_id} expired on {pin.expires} and holds no more; its owner "
        f"{pin.owner or '(nobody)'} may renew it or remove it ({pin.where})"
    )


def _judge(store: Store, run: Run, rule_set: RuleSet, chosen: EvalSet) -> tuple[EvalSet, Failures]:
    """A set that stands in the store was judged when it was made, if by the same rules."""
    stored = table.find_eval_set(store, chosen.digest)
    if stored is not None and stored.rule.get("judged_by") == rule_set.version:
        return chosen, Failures()
    run.progress("curate", 0, len(chosen.samples), "Great Expectations")
    min_rows = run.settings.validation.min_rows_for_ratio
    return judged(store, rule_set, chosen, run.clock(), min_rows)


def _recount(counts: Counts, kept: EvalSet) -> Counts:
    """The counts of what is in the set, once samples were left out."""
    return replace(
        counts,
        num_samples=len(kept.samples),
        num_clusters=len({sample.cluster_id for sample in kept.samples}),
        by_suite=dict(sorted(Counter(sample.suite for sample in kept.samples).items())),
        by_origin=dict(sorted(Counter(sample.origin for sample in kept.samples).items())),
    )


def _write(
    store: Store,
    run: Run,
    assembled: Assembled,
    further_notes: dict[str, Any],
    left_out: Failures,
    rule_set: RuleSet,
    read: dict[str, Any],
) -> Receipt:
    """`read`: of a history that was read in part, how."""
    chosen, counts = assembled.eval_set, assembled.counts
    stored = table.find_eval_set(store, chosen.digest)
    is_new = stored is None or stored.run_id == run.run_id
    parent = stored.parent_digest if stored else table.latest_eval_set(store, run.run_id)
    # how the set was chosen: for people and for reproduction
    rule = {
        "version": _RULE_VERSION,
        "curate": run.settings.curate.model_dump(mode="json"),
        "seed": run.request.seed,
        "counts": asdict(counts),
        "frame": [asdict(stratum) for stratum in assembled.drawn.strata],
        "judged_by": rule_set.version,
        **read,
    }
    table.write_eval_set(
        store,
        chosen.digest,
        chosen.samples,
        created_at=run.clock(),
        run_id=run.run_id,
        parent_digest=parent,
        rule=canonical_json(rule),
    )
    ledger.annotate_run(store, run.run_id, eval_set_digest=chosen.digest)
    notes = asdict(counts) | {
        **further_notes,
        **read,
        "by_reason": dict(left_out.by_reason),
        "warnings": dict(left_out.warnings),
        "eval_set_digest": chosen.digest,
        "new_eval_set": is_new,
        "parent": parent,
    }
    del notes["rows_in"], notes["rows_out"]
    return Receipt(
        stage="curate",
        key=chosen.digest,
        rows_in=counts.rows_in,
        rows_out=counts.rows_out - left_out.quarantined,
        quarantined=left_out.quarantined,
        duplicates=counts.exact_duplicates + counts.near_duplicates,
        notes=notes,
    )


def _nothing(settings: Settings, num_calls: int, num_usable: int, counts: Counts) -> UsageError:
    if not num_calls:
        return UsageError(
            "there is nothing to evaluate: no suite has samples and no call was ingested",
            received=f"{len(settings.suites)} suites, 0 calls",
            allowed="a suite with a samples file, or logs",
            next="flywheel run --logs 'PATTERN', or name a samples file under [suites.NAME]",
        )
    return UsageError(
        "there is nothing to evaluate: no call has a target and no suite has samples",
        received=f"{num_calls} calls: {num_calls - num_usable} cannot be asked again, "
        f"{counts.without_target} without a target",
        allowed="calls with corrected or liked answers, suites with a samples file, or "
        "use_logged_targets = true under [curate]",
        next="add feedback or a suite, then flywheel run",
    )
