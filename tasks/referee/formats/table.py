"""Plain tables: CSV with a heading, JSON lines, a JSON list of objects, or a table of MLflow.

A column is known by its name: id, score, and besides cluster, weight, suite, must_pass, error,
output, target, input; `slice.NAME` is a slice, and so is a member of `slices`. Every other column
can be a slice or cluster by --slice and --cluster, and a score by --metric.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tasks.errors import did_you_mean
from tasks.referee.files import ResultFile
from tasks.referee.values import UNNAMED, Mark, Results, Row, shown, texts

FORMAT = "table"
SCORE = "score"
#: what a column is → the names it may have, the first that is there counts
_NAMES: Mapping[str, tuple[str, ...]] = {
    "item_id": ("id", "item_id", "sample_id", "example_id", "custom_id", "doc_id"),
    "score": (SCORE,),
    "suite": ("suite", "task"),
    "cluster": ("cluster", "cluster_id"),
    "weight": ("weight",),
    "must_pass": ("must_pass",),
    "error": ("error",),
    "text": ("output", "outputs", "completion", "response", "answer", "prediction"),
    "target": ("target", "targets", "expected", "reference", "ground_truth"),
    "question": ("input", "inputs", "prompt", "question", "messages"),
    "explanation": ("explanation", "rationale"),
}
_PREFIX = "slice."
_MLFLOW_SCORE = "/score"
_TRUE, _FALSE = ("true", "1", "yes"), ("", "false", "0", "no")
csv.field_size_limit(2**27)


def read_csv(file: ResultFile) -> Results:
    return read(file, csv_records(file))


def csv_records(file: ResultFile) -> list[tuple[int, dict[str, Any]]]:
    """The rows of a CSV with the numbers of their lines. Raises UsageError."""
    reader = csv.DictReader(io.StringIO(file.text, newline=""), strict=True)
    records: list[tuple[int, dict[str, Any]]] = []
    try:
        columns = list(reader.fieldnames or ())
        for record in reader:
            if None in record or None in record.values():
                raise file.refused(
                    "a row has another number of cells than the heading", reader.line_num
                )
            records.append((reader.line_num, record))
    except csv.Error as error:
        raise file.refused(f"is not CSV: {error}", reader.line_num) from None
    if len(set(columns)) < len(columns):
        raise file.refused("two columns have the same name", 1, ", ".join(columns))
    return records


def split(value: Any) -> list[dict[str, Any]] | None:
    """A table as pandas writes it with orient="split", which MLflow keeps; None: it is none."""
    if not isinstance(value, dict) or not {"columns", "data"} <= value.keys():
        return None
    columns, data = value["columns"], value["data"]
    if not isinstance(columns, list) or not isinstance(data, list):
        return None
    return [dict(zip(columns, row, strict=False)) for row in data if isinstance(row, list)]


def read(file: ResultFile, records: Sequence[tuple[int, Mapping[str, Any]]]) -> Results:
    """Records with the numbers of their lines."""
    if not records:
        raise file.refused("holds no rows")
    columns = list(dict.fromkeys(key for _, record in records for key in record))
    known = {what: _found(names, columns) for what, names in _NAMES.items()}
    if known["item_id"] is None and known["question"] is None:
        raise file.refused(
            "has no column of ids or inputs, by which rows are paired"
            + did_you_mean("id", [str(column) for column in columns]),
            None,
            ", ".join(map(str, columns)),
            allowed=", ".join((*_NAMES["item_id"], *_NAMES["question"])),
        )
    is_scored = known["score"] is not None
    others = [name for name in columns if name not in known.values()]
    rows = [_row(file, number, record, known, others) for number, record in records]
    if not is_scored and known["text"] is None and not any(row.marks for row in rows):
        raise file.refused(
            "has neither a column of scores nor one of outputs",
            None,
            ", ".join(map(str, columns)),
            allowed=", ".join((SCORE, *_NAMES["text"])),
        )
    metrics = (SCORE,) if is_scored else tuple(name for name in columns if _is_mlflow_score(name))
    return Results(
        file.stem, str(file.path), FORMAT, file.digest, rows,
        notes=() if known["item_id"] else (f"{file.path.name}: no ids, so paired by input",),
        metrics=tuple(str(name).removesuffix(_MLFLOW_SCORE) for name in metrics),
    )  # fmt: skip


def _found(names: tuple[str, ...], columns: Sequence[str]) -> str | None:
    return next((name for name in names if name in columns), None)


def _row(
    file: ResultFile,
    line: int,
    record: Mapping[str, Any],
    known: Mapping[str, str | None],
    others: Sequence[str],
) -> Row:
    def cell(what: str) -> Any:
        name = known[what]
        return None if name is None else record.get(name)

    item_id = shown(cell("item_id")).strip()
    if known["item_id"] is None:
        item_id = hashlib.sha256(shown(cell("question")).encode()).hexdigest()[:16]
    if not item_id:
        raise file.refused("a row has no id", line)
    slices = record.get("slices")
    explanation, text, error = (cell(what) for what in ("explanation", "text", "error"))
    return Row(
        suite=shown(cell("suite")) or UNNAMED,
        item_id=item_id,
        marks=dict(_marks(record, known["score"], others, shown(explanation) or None)),
        error=shown(error) or None,
        text=None if text is None else shown(text),
        question=shown(cell("question")),
        target=shown(cell("target")),
        cluster=shown(cell("cluster")),
        weight=_weight(file, line, cell("weight")),
        must_pass=_flag(file, line, cell("must_pass")),
        slices={
            **(texts(slices) if isinstance(slices, dict) else {}),
            **{key.removeprefix(_PREFIX): shown(record[key])
               for key in others if str(key).startswith(_PREFIX) and key in record},
        },
        details=texts({key: record[key] for key in others if key in record}),
    )  # fmt: skip


def _marks(
    record: Mapping[str, Any], score: str | None, others: Sequence[str], explanation: str | None
) -> Iterator[tuple[str, Mark]]:
    """The column of scores, and every other of numbers, one of which may be asked for."""
    if score is not None:
        yield score, Mark(record.get(score), None, explanation)
    for name in others:
        value = record.get(name)
        if _is_mlflow_score(name) or _is_number(value):
            yield str(name).removesuffix(_MLFLOW_SCORE), Mark(value)


def _is_mlflow_score(column: object) -> bool:
    """As `mlflow.evaluate` calls them: exact_match/v1/score."""
    return str(column).endswith(_MLFLOW_SCORE)


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return False
        return True
    return isinstance(value, int | float)


def _weight(file: ResultFile, line: int, value: Any) -> float:
    if value in (None, ""):
        return 1.0
    try:
        weight = float(value)
    except (TypeError, ValueError):
        weight = -1.0
    if not 0 < weight < float("inf"):
        raise file.refused("a weight is not a number above 0", line, str(value))
    return weight


def _flag(file: ResultFile, line: int, value: Any) -> bool:
    text = "" if value is None else str(value).strip().lower()
    if text not in _TRUE + _FALSE:
        raise file.refused("must_pass is not true or false", line, str(value))
    return text in _TRUE
