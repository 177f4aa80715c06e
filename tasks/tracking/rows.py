"""Per-row results for MLflow's side-by-side evaluation view: one trace a row and release.

`mlflow.genai.evaluate` costs 100 ms a row and runs scorers of its own; ours are scored already, so
the traces are written directly (7 ms, and 3 ms where a hundred share a transaction). Two traces
stand side by side when their inputs are the same JSON: hence the sample id among the inputs. The
tracing client is internal to MLflow, so it is used here alone. Imports mlflow: import this module
late.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlflow.entities import (
    AssessmentError,
    AssessmentSource,
    Expectation,
    Feedback,
    Span,
    TraceInfo,
    TraceLocation,
    TraceState,
)

from tasks.model.answer import Answer, JudgedSample, Role
from tasks.model.sample import Sample
from tasks.model.turn import Turn
from tasks.tracking.links import assessment_name, row_id
from tasks.tracking.session import Session
from tasks.tracking.together import together
from tasks.tracking.values import MAX_TEXT_CHARS, shortened

_PREVIEW_CHARS = 1_000
#: MLflow links at most so many traces in one call
_CHUNK = 100


def choose_rows(judged: Sequence[JudgedSample], max_rows: int) -> tuple[JudgedSample, ...]:
    """All, in the order of the eval set; above `max_rows` those with the first sample ids.

    A sample id is a digest of the sample's content: which are first has nothing to do with how a
    release did on them, and it is the same ones every night.
    """
    chosen = set(sorted(item.sample.sample_id for item in judged)[:max_rows])
    return tuple(item for item in judged if item.sample.sample_id in chosen)


def row_name(item: JudgedSample, scorers: Mapping[str, str]) -> str:
    sample = item.sample
    scorer = scorers[sample.suite]
    return assessment_name(sample.suite, scorer, is_counted=sample.is_counted)


def binary_names(judged: Sequence[JudgedSample], scorers: Mapping[str, str]) -> frozenset[str]:
    """Names whose every score is 0 or 1: their values are shown as pass and fail."""
    names: set[str] = set()
    graded: set[str] = set()
    for item in judged:
        name = row_name(item, scorers)
        names.add(name)
        if any(item.score(role) not in (None, 0.0, 1.0) for role in item.answers):
            graded.add(name)
    return frozenset(names - graded)


def send_rows(
    session: Session,
    turn: Turn,
    role: Role,
    rows: Sequence[JudgedSample],
    *,
    mlflow_run_id: str,
    model_id: str,
    on_sent: Callable[[int], None],
) -> None:
    """Write one trace a row, linked to the run; `on_sent` is called with the size of each chunk."""
    scorers = {suite.rule.name: suite.rule.metric for suite in turn.verdict.suites}
    binary = binary_names(turn.judged, scorers)
    for start in range(0, len(rows), _CHUNK):
        spans, trace_ids = [], []
        with together(session.tracing.store):
            for item in rows[start : start + _CHUNK]:
                name = row_name(item, scorers)
                row = _Row(item, role, name, name in binary, mlflow_run_id, model_id)
                info, span = _trace(session.experiment_id, row, turn.verdict.decided_at)
                session.tracing.start_trace(info)
                spans.append(span)
                trace_ids.append(info.trace_id)
        with together(session.tracing.store):
            session.tracing.log_spans(session.experiment_id, spans)
            session.client.link_traces_to_run(trace_ids, mlflow_run_id)
        on_sent(len(trace_ids))


def delete_rows(session: Session, mlflow_run_id: str) -> int:
    """Delete every trace of a run, linked or not; returns how many."""
    deleted = 0
    while True:
        page = session.client.search_traces(
            locations=[session.experiment_id],
            run_id=mlflow_run_id,
            include_spans=False,
            max_results=_CHUNK,
        )
        trace_ids = [trace.info.trace_id for trace in page]
        if not trace_ids:
            return deleted
        deleted += session.client.delete_traces(session.experiment_id, trace_ids=trace_ids)


def row_inputs(sample: Sample) -> dict[str, Any]:
    """What pairs two rows: nothing in it may differ between the releases."""
    return {
        "row_id": row_id(sample.sample_id),
        "suite": sample.suite,
        "messages": [
            {**message, "content": _bounded(message.get("content"))} for message in sample.messages
        ],
    }


@dataclass(frozen=True, slots=True)
class _Row:
    """One sample of one release, on its way to a run."""

    item: JudgedSample
    role: Role
    score_name: str
    is_binary: bool
    mlflow_run_id: str
    model_id: str


def _trace(experiment_id: str, row: _Row, decided_at: datetime) -> tuple[TraceInfo, Span]:
    sample, answers = row.item.sample, row.item.answers[row.role]
    inputs, outputs = json.dumps(row_inputs(sample)), json.dumps(_output(answers))
    failed = all(answer.text is None for answer in answers)
    hex_id = secrets.token_hex(16)
    trace_id = f"tr-{hex_id}"
    at_ns = int(decided_at.timestamp() * 1e9)
    span = Span.from_dict({
        "name": sample.task or sample.suite,
        "context": {"trace_id": f"0x{hex_id}", "span_id": f"0x{secrets.token_hex(8)}"},
        "parent_id": None, "start_time": at_ns, "end_time": at_ns,
        "attributes": {
            "mlflow.traceRequestId": json.dumps(trace_id),
            "mlflow.spanType": json.dumps("CHAT_MODEL"),
            "mlflow.spanInputs": inputs, "mlflow.spanOutputs": outputs,
        },
        "status_code": "ERROR" if failed else "OK", "status_message": "", "events": [],
    })  # fmt: skip
    tags = {"mlflow.traceName": sample.task or sample.suite, "origin": sample.origin}
    # each tag costs a row of its own
    if not sample.is_counted:
        tags["flywheel.not_counted"] = "true"
    if sample.weight != 1:
        tags["flywheel.weight"] = repr(sample.weight)
    info = TraceInfo(
        trace_id=trace_id,
        trace_location=TraceLocation.from_experiment_id(experiment_id),
        request_time=at_ns // 1_000_000,
        execution_duration=0,
        state=TraceState.ERROR if failed else TraceState.OK,
        request_preview=shortened(inputs, _PREVIEW_CHARS),
        response_preview=shortened(outputs, _PREVIEW_CHARS),
        trace_metadata={
            "mlflow.sourceRun": row.mlflow_run_id, "mlflow.modelId": row.model_id,
            "mlflow.trace_schema.version": "3",
        },
        tags=tags,
        assessments=_assessments(row, trace_id),
    )  # fmt: skip
    return info, span


def _assessments(row: _Row, trace_id: str) -> list[Expectation | Feedback]:
    """The target, and what the sample counts; of an answer that nobody knows, why there is none."""
    sample, answers = row.item.sample, row.item.answers[row.role]
    score = row.item.score(row.role)
    lacking = [
        f"{'counts 0' if answer.is_failed else 'not known'}: "
        f"{answer.unscored_reason or answer.error or 'there is no completion'}"
        for answer in answers
        if answer.value is None
    ]
    explained = [answer.explanation for answer in answers if answer.value is not None]
    rationale = "\n".join([*lacking, *(text for text in explained if text)])
    scorer = next((answer.scorer for answer in answers if answer.scorer), row.score_name)
    return [
        Expectation(
            name="target",
            value=shortened(sample.target, MAX_TEXT_CHARS),
            source=AssessmentSource("HUMAN", f"target:{sample.target_kind}"),
            trace_id=trace_id,
        ),
        Feedback(
            name=row.score_name,
            value=bool(score) if row.is_binary and score is not None else score,
            error=None if score is not None else AssessmentError("NOT_KNOWN", rationale[:200]),
            source=AssessmentSource("CODE", scorer),
            trace_id=trace_id,
            metadata={"mlflow.assessment.sourceRunId": row.mlflow_run_id},
            rationale=shortened(rationale, MAX_TEXT_CHARS),
        ),
    ]


def _output(answers: Sequence[Answer]) -> Any:
    """What the release said: a text, or with repeats a list of what it said each time."""
    said = [
        _bounded(answer.text)
        if answer.text is not None
        else {"error": _bounded(answer.error or "there is no completion")}
        for answer in answers
    ]
    return said[0] if len(said) == 1 else said


def _bounded(content: Any) -> Any:
    if isinstance(content, str):
        return shortened(content, MAX_TEXT_CHARS)
    text = json.dumps(content)
    return content if len(text) <= MAX_TEXT_CHARS else shortened(text, MAX_TEXT_CHARS)
