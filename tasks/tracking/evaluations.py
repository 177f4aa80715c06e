"""Evaluation runs of MLflow, whoever made them, as rows: a trace is an answer, its feedback the
scores, its expectations the target. A run without traces is read from its tables (artifacts with
columns and data). Only reads. Imports mlflow: import this module late.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Expectation, Feedback, Trace

from tasks.errors import UsageError
from tasks.model.canonical import canonical_json
from tasks.referee.files import ResultFile
from tasks.referee.formats import table
from tasks.referee.values import UNNAMED, Mark, Results, Row, shown, texts
from tasks.tracking.environment import TrackingLocation
from tasks.tracking.session import explained

FORMAT = "mlflow"
_PAGE = 100
_MAX_ROWS = 200_000
#: pairs of keys under which a prompt is known
_ASKED = ("question", "query", "prompt", "messages", "input")


def read_evaluation(location: TrackingLocation, run_id: str) -> Results:
    """Raises UsageError where the run is not there or holds no results, StoreError where MLflow
    does not answer."""
    from mlflow.exceptions import MlflowException

    with explained(location):
        client = MlflowClient(tracking_uri=location.uri)
        try:
            run = client.get_run(run_id)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise UsageError(
                    "MLflow has no such run",
                    received=f"mlflow:{run_id}",
                    next="--tracking-uri URI names another MLflow",
                ) from None
            raise
        name = run.info.run_name or run_id
        rows = [_row(trace) for trace in _traces(client, run.info.experiment_id, run_id)]
        if rows:
            digest = hashlib.sha256(repr(rows).encode()).hexdigest()
            return Results(name, f"mlflow:{run_id}", FORMAT, digest, rows)
        return _of_table(client, run_id, name)


def _traces(client: Any, experiment_id: str, run_id: str) -> Iterator[Trace]:
    token, num = None, 0
    while num <= _MAX_ROWS:
        page = client.search_traces(
            locations=[experiment_id], run_id=run_id, max_results=_PAGE, page_token=token
        )
        yield from page
        num += len(page)
        token = page.token
        if not token:
            return
    raise UsageError("the run has too many traces", received=f"mlflow:{run_id}",
                     allowed=f"{_MAX_ROWS:,}")  # fmt: skip


def _row(trace: Trace) -> Row:
    root = next((span for span in trace.data.spans if span.parent_id is None), None)
    inputs = root.inputs if root is not None else None
    outputs = root.outputs if root is not None else None
    told = inputs if isinstance(inputs, dict) else {}
    suite = told.get("suite")
    marks: dict[str, Mark] = {}
    targets = []
    for assessment in trace.info.assessments or ():
        if assessment.valid is False:  # somebody replaced it
            continue
        if isinstance(assessment, Expectation):
            targets.append(shown(assessment.value))
        elif isinstance(assessment, Feedback):
            error = assessment.error
            marks[assessment.name] = Mark(
                assessment.value,
                None,
                assessment.rationale,
                None if error is None else str(error.error_message or error.error_code),
            )
    failed = str(trace.info.state) in ("ERROR", "TraceState.ERROR")
    is_error = isinstance(outputs, dict) and set(outputs) == {"error"}
    lost = failed and (outputs is None or is_error)
    asked = next((told[key] for key in _ASKED if key in told), inputs)
    return Row(
        suite=suite if isinstance(suite, str) and "row_id" in told else UNNAMED,
        item_id=hashlib.sha256(canonical_json(inputs).encode()).hexdigest()[:16],
        marks={} if lost else marks,
        error=(shown(outputs) or "the trace ended in an error") if lost else None,
        text=None if outputs is None or lost else shown(outputs),
        question=_asked(asked),
        target="\n".join(targets),
        details={**texts(trace.info.tags or {}), **texts(told)},
    )


def _asked(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[-1], dict):
        return shown(value[-1].get("content", value))
    return shown(value)


def _of_table(client: Any, run_id: str, name: str) -> Results:
    from dataclasses import replace

    paths = [
        one.path
        for one in client.list_artifacts(run_id)
        if not one.is_dir and one.path.endswith(".json")
    ]
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted(paths):
            local = ResultFile(Path(client.download_artifacts(run_id, path, folder)))
            records = table.split(_document(local))
            if records:
                results = table.read(local, list(enumerate(records, 1)))
                return replace(results, name=name, source=f"mlflow:{run_id}/{path}", format=FORMAT)
    raise UsageError(
        "the run of MLflow holds no evaluation: no traces and no table of results",
        received=f"mlflow:{run_id}",
        next="name a run of mlflow.genai.evaluate or mlflow.evaluate",
    )


def _document(file: ResultFile) -> Mapping[str, Any] | None:
    try:
        value = json.loads(file.data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
