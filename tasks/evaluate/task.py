"""The stage evaluate: both releases answer the eval set, and every answer is scored.

Reads samples; writes releases, completions (a cache: what is there is not computed again) and
scores. The store is closed while the model computes; completions are kept a chunk at a time, so a
kill loses at most one chunk. Without anything to compute neither torch nor a model is loaded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from engine import EngineError
from tasks.backends.base import Backend
from tasks.errors import UsageError
from tasks.evaluate import plan
from tasks.evaluate.plan import Need
from tasks.model.answer import CompletionKey, Role
from tasks.model.failure import Failure, Fault
from tasks.model.receipt import Receipt
from tasks.releases.memory import Memory
from tasks.releases.resolve import (
    ResolvedRelease,
    resolve_release,
    share_processors,
    unusable_model,
)
from tasks.run import Run
from tasks.scoring import score, scorer_version, unscored
from tasks.scoring.suites import suite_rules
from tasks.store import Store
from tasks.store.control import ledger
from tasks.store.evals import answers as table
from tasks.store.evals import samples as eval_sets
from tasks.store.evals.releases import save_release

STAGE = "evaluate"
MEMORY_FILE = "evaluate-memory.json"


@dataclass(slots=True)
class _Work:
    """What this process did: seconds by engine, and answers that are not kept."""

    engines: list[dict[str, Any]] = field(default_factory=list)
    output_tokens: int = 0
    input_tokens: int = 0
    transient: dict[CompletionKey, Failure] = field(default_factory=dict)


def evaluate(run: Run) -> Receipt:
    """Compute what is missing, score everything, record both. Raises UsageError on a release or an
    eval set that cannot be used."""
    memory = Memory(run.settings.home_path / MEMORY_FILE)
    releases = {
        role: resolve_release(name, run.settings, memory)
        for role, name in run.request.releases.items()
    }
    distinct = plan.distinct(list(releases.values()))
    digests = [release.digest for release in distinct]
    seeds = run.seeds
    with run.open_store() as store:
        eval_set = ledger.run_value(store, run.run_id, "eval_set_digest")
        eval_set = eval_set or eval_sets.latest_eval_set(store, run.run_id)
        samples = eval_sets.read_eval_set(store, eval_set) if eval_set else []
        if eval_set is None or not samples:
            raise UsageError(
                "there is nothing to evaluate: "
                + ("the eval set holds no sample" if eval_set else "there is no eval set yet"),
                received=eval_set or "",
                allowed="calls in the logs, or a suite with samples",
                next="flywheel curate, after `samples` in [suites.NAME] or logs with feedback",
            )
        rules = suite_rules(run.settings, {sample.suite for sample in samples})
        scorers = {rule.name: rule.metric for rule in rules}
        wanted = plan.needs(distinct, samples, seeds)
        known = {c.key for c in table.read_completions(store, eval_set, digests, seeds)}
        with store.transaction():
            for release in releases.values():
                save_release(store, release.record(), run.clock())
            roles = {role: release.digest for role, release in releases.items()}
            ledger.set_run_keys(store, run.run_id, ledger.RunKeys(eval_set, roles))
    work = _compute(run, plan.missing(wanted, known))
    with run.open_store() as store, store.transaction():
        rows = _score(store, eval_set, wanted, seeds, scorers, work)
        table.save_scores(store, rows)
        receipt = _receipt(store, run, eval_set, releases, rows, work)
        ledger.finish_stage(store, run.run_id, receipt, run.clock())
    return receipt


def _compute(run: Run, missing: Sequence[Need]) -> _Work:
    """Answer what is missing, engine by engine, chunk by chunk."""
    work = _Work()
    done, total = 0, len(missing)
    for _, chunks in plan.batches(missing, run.settings.evaluate.chunk_size):
        run.progress(STAGE, done, total, f"loading {chunks[0][0].release.model}")
        backend = _load(chunks[0][0].release)
        try:
            for chunk in chunks:
                _compute_chunk(run, backend, chunk, done, total, work)
                done += len(chunk)
            names = sorted({need.release.name for chunk in chunks for need in chunk})
            work.engines.append({"releases": names, **asdict(backend.facts())})
        finally:
            backend.close()
    return work


def _compute_chunk(
    run: Run, backend: Backend, chunk: list[Need], done: int, total: int, work: _Work
) -> None:
    note = " and ".join(dict.fromkeys(need.release.name for need in chunk))

    def on_progress(part: int, _: int) -> None:
        run.progress(STAGE, done + part, total, note)

    replies = backend.answer([need.ask() for need in chunk], on_progress)
    kept = []
    for need, reply in zip(chunk, replies, strict=True):
        work.input_tokens += reply.input_tokens or 0
        work.output_tokens += reply.output_tokens or 0
        if reply.failure is not None and reply.failure.is_transient:
            work.transient[need.key] = reply.failure
        else:
            kept.append({
                **asdict(need.key),
                "text": reply.text,
                "finish_reason": reply.finish_reason,
                "input_tokens": reply.input_tokens,
                "cached_tokens": reply.cached_tokens,
                "output_tokens": reply.output_tokens,
                "error": reply.failure and reply.failure.message,
                "fault": reply.failure and reply.failure.fault,
                "run_id": run.run_id,
                "created_at": run.clock(),
            })  # fmt: skip
    with run.open_store() as store, store.transaction():
        table.save_completions(store, kept)


def _load(release: ResolvedRelease) -> Backend:
    share_processors()
    from tasks.backends.local import LocalBackend  # loads torch

    identity = release.identity
    try:
        return LocalBackend(
            release.model_path,
            identity.device,
            identity.dtype,
            release.batch_invariant,
            identity.quantization,
        )
    except (EngineError, OSError) as error:
        raise unusable_model(release.name, release.model, error) from None


def _score(
    store: Store,
    eval_set: str,
    wanted: Sequence[Need],
    seeds: range,
    scorers: Mapping[str, str],
    work: _Work,
) -> list[dict[str, Any]]:
    """One score row for every completion wanted; without a completion, a reason."""
    digests = sorted({need.release.digest for need in wanted})
    completions = {c.key: c for c in table.read_completions(store, eval_set, digests, seeds)}
    rows = []
    for need in wanted:
        completion, name = completions.get(need.key), scorers[need.sample.suite]
        fault: Fault | None = None
        if completion is not None and completion.text is not None:
            result = score(name, completion.text, need.sample.target)
            fault = "judge" if result.value is None else None
        elif completion is not None:
            result, fault = unscored(f"no completion: {completion.error}"), completion.fault
        else:
            failure = work.transient.get(need.key)
            why = "the engine gave none" if failure is None else failure.message
            result, fault = unscored(f"no completion: {why}"), "harness"
        rows.append({
            **asdict(need.key),
            "scorer": scorer_version(name),
            "value": result.value,
            "unscored_reason": result.unscored_reason,
            "answer": result.answer,
            "explanation": result.explanation,
            "fault": fault,
        })  # fmt: skip
    return rows


def _receipt(
    store: Store,
    run: Run,
    eval_set: str,
    releases: Mapping[Role, ResolvedRelease],
    rows: Sequence[dict[str, Any]],
    work: _Work,
) -> Receipt:
    digests = sorted({release.digest for release in releases.values()})
    totals = table.completion_totals(store, run.run_id, eval_set, digests)
    run_s = sum(used["run_s"] for used in work.engines)
    tokens = work.input_tokens + work.output_tokens
    reasons = Counter(row["unscored_reason"] for row in rows if row["value"] is None)
    notes = {
        "eval_set": eval_set,
        "releases": [
            {"role": role, "name": release.name, "digest": release.digest}
            for role, release in releases.items()
        ],
        "computed": totals.computed,
        "cached": len(rows) - totals.computed - len(work.transient),
        "errors": totals.errors + len(work.transient),
        "transient_errors": len(work.transient),
        "unscored": sum(reasons.values()),
        "unscored_reasons": dict(reasons.most_common(5)),
        "faults": dict(Counter(row["fault"] for row in rows if row["value"] is None)),
        "input_tokens": totals.input_tokens,
        "cached_input_tokens": totals.cached_tokens,
        "output_tokens": totals.output_tokens,
        "tokens_per_s": round(tokens / run_s, 1) if run_s else None,
        "engines": work.engines,
    }
    return Receipt(STAGE, eval_set, rows_in=len(rows), rows_out=len(rows), notes=notes)
