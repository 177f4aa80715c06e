"""Samples that lm-eval logs (`--log_samples`): samples_TASK_TIME.jsonl, a line a sample and filter.

A metric is called as in its results: with the filter it was computed after, where a task has
several (`exact_match,strict-match`). The run's name is the model's, by the results beside the
samples, else that of the folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tasks.logs.formats.results_of_others import is_lm_eval_sample
from tasks.referee.files import ResultFile
from tasks.referee.values import UNNAMED, Mark, Results, Row, shown, texts

FORMAT = "lm-eval"
_NAME = re.compile(r"samples_(?P<task>.+?)(_\d{4}-\d\d-\d\dT[\d.:-]+)?$")
#: of a line besides its metrics
_TOLD = frozenset(
    ("doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics",
     "doc_hash", "prompt_hash", "target_hash")
)  # fmt: skip


def task_of(file: ResultFile) -> str | None:
    """By the file's name."""
    found = _NAME.match(file.stem)
    return found["task"] if found else None


def _model(file: ResultFile) -> str:
    """The model, by the results that lm-eval writes beside the samples of the same time."""
    found = _NAME.match(file.stem)
    beside = file.path.with_name(f"results{found[2] or ''}.json") if found else file.path
    if beside == file.path or not beside.is_file():
        return ""
    value = ResultFile(beside).document
    name = value.get("model_name") if isinstance(value, dict) else None
    return name if isinstance(name, str) else ""


def read(file: ResultFile) -> Results:
    task = task_of(file)
    lines = [line for _, line in file.lines if is_lm_eval_sample(line)]
    if len(lines) < len(file.lines):
        raise file.refused("some lines are no samples of lm-eval: doc_id or filtered_resps lacks")
    filters = {str(line.get("filter") or "none") for line in lines}
    found: dict[tuple[str, str, int], Row] = {}
    times: dict[tuple[str, str], int] = {}
    for line in lines:
        row = _row(task or UNNAMED, line, with_filter=len(filters) > 1)
        again = (row.item_id, str(line.get("filter") or "none"))
        repeat = times.get(again, 0)
        times[again] = repeat + 1
        key = (row.suite, row.item_id, repeat)
        if key in found:  # another filter of the same answer
            row = replace(row, marks={**found[key].marks, **row.marks})
        found[key] = row
    return Results(
        name=_model(file) or (file.path.resolve().parent.name if task else file.stem),
        source=str(file.path),
        format=FORMAT,
        digest=file.digest,
        rows=list(found.values()),
    )


def _row(suite: str, line: Mapping[str, Any], *, with_filter: bool) -> Row:
    doc = line.get("doc")
    filter_name = str(line.get("filter") or "none")
    names = line.get("metrics")
    if not isinstance(names, list):
        names = [key for key in line if key not in _TOLD]
    responses = line.get("filtered_resps")
    answer = responses[0] if isinstance(responses, list) and responses else responses
    raw = line.get("resps")
    while isinstance(raw, list) and len(raw) == 1:
        raw = raw[0]
    suffix = f",{filter_name}" if with_filter else ""
    return Row(
        suite=suite,
        item_id=str(line["doc_id"]),
        marks={
            f"{name}{suffix}": Mark(line.get(name), shown(answer))
            for name in map(str, names)
        },
        text=raw if isinstance(raw, str) else shown(line.get("resps")),
        question=_asked(line),
        target=shown(line.get("target")),
        details=texts(doc) if isinstance(doc, dict) else {},
    )  # fmt: skip


def _asked(line: Mapping[str, Any]) -> str:
    """The prompt of the first request."""
    arguments = line.get("arguments")
    if isinstance(arguments, dict):
        arguments = next(iter(arguments.values()), None)
        if isinstance(arguments, dict):
            return shown(next(iter(arguments.values()), ""))
    while isinstance(arguments, list) and arguments:
        arguments = arguments[0]
    return arguments if isinstance(arguments, str) else ""
