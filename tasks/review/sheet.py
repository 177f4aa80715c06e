"""Answers to label as rows of a spreadsheet or of JSON lines, out and back in.

A row an answer, in the order of review; whoever has the file fills in `value` (1 right, 0 wrong,
between for partly right, ? for who cannot tell) and, if there is something to say, `why`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from tasks.errors import UsageError
from tasks.json_lines import bad_line, read_lines
from tasks.report.rows import csv_text, from_cell
from tasks.report.wording import message_text
from tasks.review.labels import Label, Labels, answer_digest, label_of, value_of
from tasks.review.queue import Pair

COLUMNS = (
    "place", "sample_id", "answer", "suite", "question", "target", "text", "value", "why",
)  # fmt: skip
_CANNOT_TELL = "?"
WHAT = "a row of labels"


def rows(pairs: Sequence[Pair], labels: Labels, by: str) -> Iterator[dict[str, Any]]:
    """By the names of COLUMNS, with what this person has said before."""
    for place, pair in enumerate(pairs, 1):
        sample = pair.item.sample
        for text in pair.texts:
            digest = answer_digest(text)
            said = labels.get((sample.sample_id, digest), {}).get(by)
            yield {
                "place": place,
                "sample_id": sample.sample_id,
                "answer": digest,
                "suite": sample.suite,
                "question": message_text(sample.messages),
                "target": sample.target,
                "text": text,
                "value": "" if said is None else _CANNOT_TELL if said.value is None else said.value,
                "why": "" if said is None else said.why,
            }


def text_of(path: Path, found: Sequence[Mapping[str, Any]]) -> str:
    """The file as its name says. Raises UsageError for another name."""
    if _is_csv(path):
        return csv_text(found, COLUMNS)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found)


def read_sheet(path: Path, by: str, at: datetime) -> list[Label]:
    """The labels of the rows that have a value. Raises UsageError that names a wrong row."""
    if _is_csv(path):
        found: Iterator[tuple[str, Mapping[str, Any]]] = _csv_rows(path)
    else:
        if not path.is_file():
            raise _unreadable(path, "there is no such file")
        found = read_lines(path, WHAT)
    labels = []
    for where, row in found:
        value = _value(row.get("value"), where)
        if value == "":
            continue
        told = {"sample_id": row.get("sample_id"), "answer": row.get("answer"), "by": by}
        stamp = at.isoformat(timespec="microseconds")
        why = row.get("why") or ""
        labels.append(label_of({**told, "value": value, "at": stamp, "why": why}, where))
    return labels


def judge_labels(pairs: Sequence[Pair], labels: Labels) -> Iterator[dict[str, Any]]:
    """Lines of a judge's file of labels (tasks/judges): of every answer that people call right or
    wrong what was asked, the answer, and that. Where they are divided there is no line."""
    for pair in pairs:
        sample = pair.item.sample
        leading = [{"role": "system", "content": sample.system}] if sample.system else []
        for text in pair.texts:
            value = value_of(labels, sample.sample_id, text)
            if value in (0.0, 1.0):
                by = sorted(labels[sample.sample_id, answer_digest(text)])
                yield {
                    "messages": [*leading, *map(dict, sample.messages)],
                    "answer": text,
                    "target": sample.target,
                    "label": value == 1.0,
                    "by": ", ".join(by),
                }


def _is_csv(path: Path) -> bool:
    if path.suffix not in (".csv", ".jsonl"):
        raise UsageError(
            "labels come and go as CSV or JSON lines",
            received=path.name,
            allowed="a name that ends in .csv or .jsonl",
        )
    return path.suffix == ".csv"


def _csv_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise _unreadable(path, why or "") from None
    # spreadsheets of some countries write semicolons
    separator = (
        ";" if text.partition("\n")[0].count(";") > text.partition("\n")[0].count(",") else ","
    )
    csv.field_size_limit(len(text) + 1)  # an answer may be longer than Python's usual limit
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    missing = {"sample_id", "answer", "value"} - set(reader.fieldnames or ())
    if missing:
        raise _unreadable(path, f"it has no column {', '.join(sorted(missing))}")
    try:
        for row in reader:
            yield (
                f"{path}:{reader.line_num}",
                {key: from_cell(cell) for key, cell in row.items() if isinstance(cell, str)},
            )
    except csv.Error as error:
        raise _unreadable(path, f"line {reader.line_num}: {error}") from None


def _value(cell: Any, where: str) -> float | str | None:
    """Empty where nothing is said, None where who looked cannot tell."""
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return ""
    if isinstance(cell, str) and cell.strip() == _CANNOT_TELL:
        return None
    try:
        return float(cell.strip().replace(",", ".") if isinstance(cell, str) else cell)
    except (TypeError, ValueError):
        raise bad_line(
            "the value of a label is no number", where, repr(cell)[:40], "0 to 1, ? or nothing"
        ) from None


def _unreadable(path: Path, why: str) -> UsageError:
    return UsageError(f"the labels cannot be read: {why}", received=str(path))
