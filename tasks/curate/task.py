"""Curate: from suites and the whole history of calls to an eval set addressed by content.

Reads `requests` and `feedback`, writes `samples`, `eval_sets` and `eval_set_samples`. The know-how
is in the modules beside this one.
"""

from __future__ import annotations

from tasks.curate.assemble import Counts, Rule, assemble, replayable
from tasks.curate.calls import (
    Call,
    Signal,
    is_question,
    opinion_of,
    read_conversation,
    read_response,
)
from tasks.curate.evalset import EvalSet, rule_json
from tasks.curate.suites import SuiteSample, read_suite
from tasks.curate.targets import TargetResolver
from tasks.errors import UsageError
from tasks.receipts import Receipt
from tasks.run import Run
from tasks.settings import Settings
from tasks.store import Store, ledger
from tasks.store import samples as table


def curate(run: Run) -> Receipt:
    """Build this run's eval set. Raises UsageError where there is nothing to evaluate."""
    suites = read_suites(run.settings)
    with run.open_store() as store:
        rows, feedback = table.read_calls(store), table.read_feedback(store)
    run.progress("curate", 0, len(rows) + len(suites), "find duplicates")
    calls = _calls(rows, feedback)
    resolver = TargetResolver(
        {settings.task or name: name for name, settings in reversed(run.settings.suites.items())},
        suites,
        use_logged=run.settings.curate.use_logged_targets,
    )
    usable = [call for call in calls if replayable(call, resolver)]
    chosen, counts = assemble(suites, usable, resolver, _rule(run))
    if not chosen.samples:
        raise _nothing(run.settings, len(rows), len(usable), counts)
    with run.open_store() as store, store.transaction():
        left_out = {
            "not_replayable": len(rows) - len(calls),
            "errors_without_target": len(calls) - len(usable),
        }
        receipt = _write(store, run, chosen, counts, left_out)
        ledger.finish_stage(store, run.run_id, receipt, run.clock())
    return receipt


def read_suites(settings: Settings) -> tuple[SuiteSample, ...]:
    """Every hand-written sample, suite by suite as declared."""
    samples: list[SuiteSample] = []
    for name, suite in settings.suites.items():
        if suite.samples:
            samples += read_suite(name, suite.task or name, settings.path(suite.samples))
    return tuple(samples)


def _calls(rows: list[table.CallRow], feedback: list[table.FeedbackRow]) -> list[Call]:
    """The calls that are a question to a text model."""
    signals: dict[str, list[Signal]] = {}
    for f in feedback:
        signal = Signal(f.feedback_id, f.kind, f.value, f.corrected, f.given_at)
        signals.setdefault(f.request_id, []).append(signal)
    calls = []
    for row in rows:
        conversation = read_conversation(row.messages) if is_question(row.operation) else None
        if conversation is None:
            continue
        calls.append(
            Call(
                request_id=row.request_id,
                conversation=conversation,
                response=read_response(row.response),
                started_at=row.started_at,
                task=row.prompt_name or None,
                session_id=row.session_id or None,
                model=row.model,
                is_error=row.status == "error",
                opinion=opinion_of(signals.get(row.request_id, ())),
            )
        )
    return calls


def _rule(run: Run) -> Rule:
    settings = run.settings.curate
    return Rule(
        max_samples=settings.max_samples,
        failure_share=settings.failure_share,
        near_duplicate_jaccard=settings.near_duplicate_jaccard,
        seed=run.request.seed,
    )


def _write(
    store: Store, run: Run, chosen: EvalSet, counts: Counts, left_out: dict[str, int]
) -> Receipt:
    stored = table.find_eval_set(store, chosen.digest)
    is_new = stored is None or stored.run_id == run.run_id
    parent = stored.parent_digest if stored else table.latest_eval_set(store, run.run_id)
    table.write_eval_set(
        store,
        chosen.digest,
        [sample.to_row() for sample in chosen.samples],
        {
            "created_at": run.clock(),
            "run_id": run.run_id,
            "parent_digest": parent,
            "rule": rule_json(
                run.settings.curate.model_dump(mode="json"), run.request.seed, counts.to_dict()
            ),
        },
    )
    ledger.annotate_run(store, run.run_id, eval_set_digest=chosen.digest)
    notes = counts.to_dict() | {
        **left_out,
        "eval_set_digest": chosen.digest,
        "new_eval_set": is_new,
        "parent": parent,
    }
    del notes["rows_in"], notes["rows_out"]
    return Receipt(
        stage="curate",
        key=chosen.digest,
        rows_in=counts.rows_in,
        rows_out=counts.rows_out,
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
