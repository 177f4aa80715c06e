"""What NeMo Evaluator writes: results.jsonl, a line a problem and repeat, and beside it the bundle
eval-*.json, which names benchmark and model.

Source: NeMo Evaluator's own description of the files that `nel compare` reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.logs.formats.results_of_others import is_nemo_result
from tasks.referee.files import ResultFile
from tasks.referee.values import UNNAMED, Mark, Results, Row, shown, texts

FORMAT = "nemo-evaluator"
ROWS = "results.jsonl"


def read(file: ResultFile) -> Results:
    bundle = _bundle(file)
    benchmark = _named(bundle, "benchmark")
    rows = [_row(benchmark or UNNAMED, line) for _, line in file.lines if is_nemo_result(line)]
    if len(rows) < len(file.lines):
        raise file.refused("some lines have no problem_idx or no reward")
    model = _named(bundle, "model")
    folder = file.path.resolve().parent.name
    return Results(model or folder, str(file.path), FORMAT, file.digest, rows)


def _bundle(file: ResultFile) -> Mapping[str, Any]:
    for path in sorted(file.path.parent.glob("eval-*.json")):
        value = ResultFile(path).document
        if isinstance(value, dict):
            return value
    return {}


def _named(bundle: Mapping[str, Any], key: str) -> str:
    """A name that stands at the top of the bundle or in its configuration."""
    for part in (bundle, bundle.get("config"), bundle.get("run"), bundle.get("metadata")):
        value = part.get(key) if isinstance(part, dict) else None
        if isinstance(value, dict):
            value = value.get("name") or value.get("id")
        if isinstance(value, str) and value:
            return value
    return ""


def _row(suite: str, line: Mapping[str, Any]) -> Row:
    metadata, scoring = line.get("metadata"), line.get("scoring_details")
    details = texts(scoring) if isinstance(scoring, dict) else {}
    details |= texts(metadata) if isinstance(metadata, dict) else {}
    response = line.get("model_response", line.get("response"))
    extracted = line.get("extracted_answer")
    return Row(
        suite=suite,
        item_id=str(line["problem_idx"]),
        marks={"reward": Mark(line["reward"], None if extracted is None else shown(extracted))},
        text=shown(extracted if response is None else response) or None,
        question=shown(line.get("prompt")),
        target=shown(line.get("expected_answer")),
        slices={"category": details["category"]} if "category" in details else {},
        details=details,
    )
