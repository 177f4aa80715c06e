"""Per-row results for MLflow's side-by-side evaluation view: one trace a row and release.

`mlflow.genai.evaluate` costs 100 ms a row and runs scorers of its own; ours are scored already, so
the traces are written directly (7 ms). Two traces stand side by side when their inputs are the
same JSON: hence the sample id among the inputs. The tracing client is internal to MLflow, so it is
used here alone. Imports mlflow: import this module late.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
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

from tasks.model import turn as facts
from tasks.tracking.links import assessment_name
from tasks.tracking.session import Session
from tasks.tracking.values import shortened

#: more than this of one text goes to the store only
MAX_TEXT_CHARS = 20_000
_PREVIEW_CHARS = 1_000
#: MLflow links at most so many traces in one call
_CHUNK = 100


def choose_rows(turn: facts.Turn, max_rows: int) -> tuple[facts.Pair, ...]:
    """All flips, then others up to `max_rows` in all; 0 sends none.

    The others come in order of sample id, which is a digest: a sample without favour, the same
    each time. Given back in the order of the eval set.
    """
    if max_rows == 0:
        return ()
    others = sorted((p for p in turn.pairs if not p.is_flip), key=lambda pair: pair.sample_id)
    room = max(0, max_rows - len(turn.flips))
    chosen = {pair.sample_id for pair in (*turn.flips, *others[:room])}
    return tuple(pair for pair in turn.pairs if pair.sample_id in chosen)


def binary_scorers(pairs: Sequence[facts.Pair]) -> frozenset[str]:
    """Scorers that only ever said 0 or 1 here: their values are shown as pass and fail."""
    graded: set[str] = set()
    seen: set[str] = set()
    for pair in pairs:
        for answer in (pair.champion, pair.challenger):
            if answer is None or answer.scorer is None or answer.value is None:
                continue
            seen.add(answer.scorer)
            if answer.value not in (0.0, 1.0):
                graded.add(answer.scorer)
    return frozenset(seen - graded)


def send_rows(
    session: Session,
    turn: facts.Turn,
    role: facts.Role,
    pairs: Sequence[facts.Pair],
    *,
    mlflow_run_id: str,
    model_id: str,
    told: Callable[[int], None],
) -> int:
    """Write one trace a pair, linked to the run; returns how many, and tells `told` each chunk."""
    binary = binary_scorers(turn.pairs)
    sent = 0
    for start in range(0, len(pairs), _CHUNK):
        spans, trace_ids = [], []
        for pair in pairs[start : start + _CHUNK]:
            info, span = _trace(session, turn, role, pair, mlflow_run_id, model_id, binary)
            session.tracing.start_trace(info)
            spans.append(span)
            trace_ids.append(info.trace_id)
        session.tracing.log_spans(session.experiment_id, spans)
        session.client.link_traces_to_run(trace_ids, mlflow_run_id)
        sent += len(trace_ids)
        told(len(trace_ids))
    return sent


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


def row_inputs(pair: facts.Pair) -> dict[str, Any]:
    """What pairs two rows: nothing in it may differ between the releases."""
    return {
        "row_id": pair.sample_id[:16],
        "suite": pair.suite,
        "messages": [
            {**message, "content": _bounded(message.get("content"))} for message in pair.messages
        ],
    }


def _trace(
    session: Session,
    turn: facts.Turn,
    role: facts.Role,
    pair: facts.Pair,
    mlflow_run_id: str,
    model_id: str,
    binary: frozenset[str],
) -> tuple[Any, Any]:
    answer = pair.answer(role)
    inputs, outputs = json.dumps(row_inputs(pair)), json.dumps(_output(answer))
    failed = answer is None or answer.text is None
    hex_id = secrets.token_hex(16)
    trace_id = f"tr-{hex_id}"
    at_ns = int(turn.decided_at.timestamp() * 1e9)
    span = Span.from_dict({
        "name": pair.task or pair.suite,
        "context": {"trace_id": f"0x{hex_id}", "span_id": f"0x{secrets.token_hex(8)}"},
        "parent_id": None, "start_time": at_ns, "end_time": at_ns,
        "attributes": {
            "mlflow.traceRequestId": json.dumps(trace_id),
            "mlflow.spanType": json.dumps("CHAT_MODEL"),
            "mlflow.spanInputs": inputs, "mlflow.spanOutputs": outputs,
        },
        "status_code": "ERROR" if failed else "OK", "status_message": "", "events": [],
    })  # fmt: skip
    info = TraceInfo(
        trace_id=trace_id,
        trace_location=TraceLocation.from_experiment_id(session.experiment_id),
        request_time=at_ns // 1_000_000,
        execution_duration=0,
        state=TraceState.ERROR if failed else TraceState.OK,
        request_preview=shortened(inputs, _PREVIEW_CHARS),
        response_preview=shortened(outputs, _PREVIEW_CHARS),
        trace_metadata={
            "mlflow.sourceRun": mlflow_run_id, "mlflow.modelId": model_id,
            "mlflow.trace_schema.version": "3",
        },
        # each tag costs a row of its own; run and release are the linked run's
        tags={"mlflow.traceName": pair.task or pair.suite, "origin": pair.origin},
        assessments=_assessments(pair, answer, trace_id, mlflow_run_id, binary),
    )  # fmt: skip
    return info, span


def _assessments(
    pair: facts.Pair,
    answer: facts.Answer | None,
    trace_id: str,
    mlflow_run_id: str,
    binary: frozenset[str],
) -> list[Any]:
    found: list[Any] = [
        Expectation(
            name="target",
            value=shortened(pair.target, MAX_TEXT_CHARS),
            source=AssessmentSource("HUMAN", f"target:{pair.target_kind}"),
            trace_id=trace_id,
        )
    ]
    if answer is None or answer.scorer is None:
        return found
    common = {
        "name": assessment_name(answer.scorer),
        "source": AssessmentSource("CODE", answer.scorer),
        "trace_id": trace_id,
        "metadata": {"mlflow.assessment.sourceRunId": mlflow_run_id},
        "rationale": shortened(answer.explanation or "", MAX_TEXT_CHARS),
    }
    if answer.value is None:
        reason = answer.unscored_reason or "no value"
        error = AssessmentError(error_code="UNSCORED", error_message=shortened(reason, 1_000))
        return [*found, Feedback(error=error, **common)]
    value = bool(answer.value) if answer.scorer in binary else float(answer.value)
    return [*found, Feedback(value=value, **common)]


def _output(answer: facts.Answer | None) -> Any:
    if answer is None:
        return {"error": "there is no completion"}
    if answer.text is None:
        return {"error": _bounded(answer.error or "no reason given")}
    return _bounded(answer.text)


def _bounded(content: Any) -> Any:
    if isinstance(content, str):
        return shortened(content, MAX_TEXT_CHARS)
    text = json.dumps(content)
    return content if len(text) <= MAX_TEXT_CHARS else shortened(text, MAX_TEXT_CHARS)
