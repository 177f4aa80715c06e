"""Reads one finished turn back from the store: the only SQL behind the report and MLflow.

Everything is read by keys of the run's row, so it comes out the same however often it is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tasks.errors import StoreError
from tasks.model import turn as facts
from tasks.store.control import ledger
from tasks.store.db.connection import Store

_PAIRS = """
SELECT s.sample_id, s.suite, s.task, s.messages, s.system, s.target, s.target_kind, s.origin,
       s.slices, s.must_pass, e.cluster_id, s.request_id
FROM eval_set_samples e JOIN samples s USING (sample_id)
WHERE e.eval_set_digest = ? ORDER BY e.position
"""
_COMPLETIONS = """
SELECT c.sample_id, c.seed, c.text, c.error, c.finish_reason, c.input_tokens, c.output_tokens
FROM completions c JOIN eval_set_samples e USING (sample_id)
WHERE e.eval_set_digest = ? AND c.release_digest = ? AND c.seed >= ? AND c.seed < ?
ORDER BY c.sample_id, c.seed
"""
_SCORES = """
SELECT c.sample_id, c.seed, c.scorer, c.value, c.unscored_reason, c.answer, c.explanation
FROM scores c JOIN eval_set_samples e USING (sample_id)
WHERE e.eval_set_digest = ? AND c.release_digest = ? AND c.seed >= ? AND c.seed < ?
ORDER BY c.sample_id, c.seed, c.scorer
"""
#: files the eval set's calls came from, and files this run read; `sources` entries are file:line
_LOG_FILES = """
WITH used AS (
    SELECT DISTINCT regexp_replace(unnest(r.sources), ':[0-9]+$', '') AS path
    FROM eval_set_samples e JOIN samples s USING (sample_id)
    JOIN requests r ON r.request_id = s.request_id
    WHERE e.eval_set_digest = ?
)
SELECT f.path, f.digest, f.format, f.rows_out, f.run_id = ?
FROM sources f
WHERE f.run_id = ? OR f.path IN (SELECT path FROM used)
ORDER BY f.path, f.read_at
"""


def read_turn(store: Store, run_id: str, repeats: int, versions: Mapping[str, str]) -> facts.Turn:
    """All that is known of a run that has a verdict. Raises StoreError where a part is missing."""
    run = store.one(
        "SELECT started_at, request, eval_set_digest, champion_digest, challenger_digest "
        "FROM runs WHERE run_id = ?",
        [run_id],
    )
    verdict = store.one(
        "SELECT verdict, reasons, suites, slices, created_at FROM verdicts WHERE run_id = ?",
        [run_id],
    )
    if run is None or verdict is None or None in run[2:]:
        raise StoreError(
            "there is nothing to record: the run has no verdict yet",
            received=run_id,
            next="flywheel run, which decides before it records",
        )
    started_at, request, eval_set_digest, *release_digests = run
    request = json.loads(request)
    suites, slices = json.loads(verdict[2]), json.loads(verdict[3])
    results = tuple(facts.SuiteResult.from_json(suite) for suite in suites)
    first_seed = int(request.get("seed", 0))
    seeds = (first_seed, first_seed + repeats)
    metrics = {result.suite: result.metric for result in results}
    return facts.Turn(
        run_id=run_id,
        started_at=started_at,
        request=request,
        champion=_release(store, "champion", release_digests[0], request),
        challenger=_release(store, "challenger", release_digests[1], request),
        eval_set=_eval_set(store, eval_set_digest),
        verdict=verdict[0],
        reasons=tuple(clean(reason) for reason in json.loads(verdict[1])),
        decided_at=verdict[4],
        suites=results,
        slices=tuple(facts.SliceResult.from_json(each) for each in slices),
        pairs=_pairs(store, eval_set_digest, release_digests, seeds, metrics),
        receipts=tuple(ledger.receipts(store, run_id)),
        quarantined_by_reason=_quarantined(store, run_id),
        log_files=_log_files(store, eval_set_digest, run_id),
        versions=dict(versions),
        verdict_json={
            "run_id": run_id, "verdict": verdict[0], "reasons": json.loads(verdict[1]),
            "suites": suites, "slices": slices, "eval_set_digest": eval_set_digest,
            "champion_digest": release_digests[0], "challenger_digest": release_digests[1],
            "request": request, "decided_at": verdict[4].isoformat(), "versions": dict(versions),
        },
    )  # fmt: skip


def clean(value: Any) -> Any:
    """Text that UTF-8 can hold: lone surrogates (JSON escapes allow them) become U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [clean(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    return value


def _release(
    store: Store, role: facts.Role, digest: str, request: Mapping[str, Any]
) -> facts.Release:
    row = store.one(
        "SELECT name, model, model_digest, prompt_digest, prompts, sampling, engine FROM releases "
        "WHERE release_digest = ?",
        [digest],
    )
    if row is None:
        raise StoreError(f"the {role} of the run is not in the store", received=digest)
    name, model, model_digest, prompt_digest, prompts, sampling, engine = row
    return facts.Release(
        role, request.get(role) or name, digest, model, model_digest, prompt_digest,
        clean(json.loads(prompts)), clean(json.loads(sampling)), clean(json.loads(engine)),
    )  # fmt: skip


def _eval_set(store: Store, digest: str) -> facts.EvalSet:
    row = store.one(
        "SELECT parent_digest, num_samples, created_at, rule FROM eval_sets "
        "WHERE eval_set_digest = ?",
        [digest],
    )
    if row is None:
        raise StoreError("the eval set of the run is not in the store", received=digest)
    return facts.EvalSet(digest, row[0], row[1], row[2], clean(json.loads(row[3])))


def _pairs(
    store: Store,
    eval_set_digest: str,
    release_digests: Iterable[str],
    seeds: tuple[int, int],
    metrics: Mapping[str, str],
) -> tuple[facts.Pair, ...]:
    rows = store.rows(_PAIRS, [eval_set_digest])
    suite_of = {row[0]: row[1] for row in rows}
    champion, challenger = (
        _answers(store, eval_set_digest, digest, seeds, metrics, suite_of)
        for digest in release_digests
    )
    return tuple(
        facts.Pair(
            sample_id=row[0],
            suite=row[1],
            task=row[2],
            messages=tuple(clean(json.loads(row[3]))),
            system=row[4],
            target=row[5],
            target_kind=row[6],
            origin=row[7],
            slices={str(k): str(v) for k, v in clean(json.loads(row[8])).items()},
            must_pass=row[9],
            cluster_id=row[10],
            request_id=row[11],
            champion=champion.get(row[0]),
            challenger=challenger.get(row[0]),
        )
        for row in rows
    )


def _answers(
    store: Store,
    eval_set_digest: str,
    release_digest: str,
    seeds: tuple[int, int],
    metrics: Mapping[str, str],
    suite_of: Mapping[str, str],
) -> dict[str, facts.Answer]:
    keys = [eval_set_digest, release_digest, *seeds]
    scored: dict[str, list[tuple[Any, ...]]] = {}
    for sample_id, _seed, *score in store.rows(_SCORES, keys):
        metric = metrics.get(suite_of[sample_id], "")
        if _base(score[0]) == _base(metric) or not metric:
            scored.setdefault(sample_id, []).append(tuple(score))
    said: dict[str, list[tuple[Any, ...]]] = {}
    for sample_id, _seed, *completion in store.rows(_COMPLETIONS, keys):
        said.setdefault(sample_id, []).append(tuple(completion))
    return {
        sample_id: _answer(completions, scored.get(sample_id, []))
        for sample_id, completions in said.items()
    }


def _answer(completions: list[tuple[Any, ...]], scores: list[tuple[Any, ...]]) -> facts.Answer:
    text, error, finish_reason, input_tokens, output_tokens = completions[0]
    scorer, _, unscored_reason, extracted, explanation = scores[0] if scores else (None,) * 5
    values = [score[1] for score in scores if score[1] is not None]
    return facts.Answer(
        text=text,
        error=error,
        finish_reason=finish_reason,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        num_repeats=len(completions),
        scorer=scorer,
        value=sum(values) / len(values) if values else None,
        unscored_reason=unscored_reason,
        extracted=extracted,
        explanation=explanation,
    )


def _base(scorer: str) -> str:
    """exact_match@1 → exact_match"""
    return scorer.partition("@")[0]


def _quarantined(store: Store, run_id: str) -> dict[str, int]:
    return dict(
        store.rows(
            "SELECT expectation, count(*) FROM quarantine WHERE run_id = ? "
            "GROUP BY 1 ORDER BY 2 DESC, 1",
            [run_id],
        )
    )


def _log_files(store: Store, eval_set_digest: str, run_id: str) -> tuple[facts.LogFile, ...]:
    rows = store.rows(_LOG_FILES, [eval_set_digest, run_id, run_id])
    return tuple(facts.LogFile(*row) for row in rows)
