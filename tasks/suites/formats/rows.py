"""Tables: CSV, JSON lines, a JSON list and Parquet, also in folders as Hugging Face keeps them.

A column is known by its name, or named by --input, --target, --choices and --slice. Datasets of
Inspect are such tables. Source of the layout of folders: the Hub's "data files configuration".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.errors import UsageError, did_you_mean
from tasks.referee.files import ResultFile
from tasks.referee.formats.table import csv_records, split
from tasks.suites.formats.inspect_samples import line_of, with_choices
from tasks.suites.imported import Imported, Item, LeftOut, Mapped, joined, with_numbers

FORMAT = "table"
INPUTS = ("messages", "input", "question", "prompt", "instruction", "query", "text")
TARGETS = (
    "target", "answer", "expected", "expected_output", "ideal", "reference", "ground_truth",
    "output", "completion", "label",
)  # fmt: skip
_CHOICES = ("choices", "options", "endings")
_KINDS = ("parquet", "jsonl", "json", "csv")
#: data/test-00000-of-00001-0123abcd.parquet, test.jsonl
_SHARD = re.compile(r"[-_.]\d{5}-of-\d{5}.*$")
_OTHERS = ("dataset_info", "dataset_infos", "state", "dataset_dict")
_LETTERS = re.compile(r"[A-Z]")
MAX_PARQUET_BYTES = 2 * 2**30

Records = list[tuple[str, Mapping[str, Any]]]


def read(path: Path, mapped: Mapped) -> Imported:
    """Raises UsageError where a file cannot be read, or no column is the question."""
    names = _files(path, mapped.split)
    records = [record for one in names for record in records_of(one)]
    if not records:
        raise UsageError("there are no rows to import", received=str(path))
    left_out = LeftOut()
    columns = list(dict.fromkeys(key for _, record in records for key in record))
    asked = _column("--input", mapped.input, INPUTS, columns, path)
    target = _column("--target", mapped.target, TARGETS, [c for c in columns if c != asked], path)
    choices = _column("--choices", mapped.choices, _CHOICES, columns, path)
    if asked is None:
        raise UsageError(
            "no column is known to be the question",
            received=", ".join(map(str, columns))[:200],
            allowed=", ".join(INPUTS),
            next="--input COLUMN, and --target COLUMN",
        )
    for name in mapped.slices:
        _column("--slice", name, (), columns, path)
    items = [
        Item(where, _line(record, where, left_out, asked, target, choices, mapped.slices),
             mapped.scorer or ("choice" if choices else ""))
        for where, record in records
    ]  # fmt: skip
    items = with_numbers(items)
    notes = (
        []
        if target or asked == "messages"
        else ["no column is known to be the target: name it by --target"]
    )
    if choices:
        notes.append("choices stand below the question, A to Z, and the target is a letter")
    name = path.stem if path.is_file() else path.resolve().name
    return Imported(FORMAT, name, str(path), tuple(items), left_out, tuple(notes))


def _column(
    option: str, said: str, known: Sequence[str], columns: Sequence[str], path: Path
) -> str | None:
    if not said:
        return next((name for name in known if name in columns), None)
    if said not in columns:
        raise UsageError(
            f"{option} names a column that is not there{did_you_mean(said, columns)}",
            received=f"{said} in {path}",
            allowed=", ".join(map(str, columns))[:200],
        )
    return said


def _line(
    record: Mapping[str, Any],
    where: str,
    left_out: LeftOut,
    asked: str,
    target: str | None,
    choices: str | None,
    slices: Sequence[str],
) -> dict[str, Any]:
    question, wanted = record.get(asked), None if target is None else record.get(target)
    if asked == "messages" and isinstance(question, str):
        question = _parsed(question)
    if asked == "messages" and target is None:
        question, wanted = _answered(question)
    listed, labels = _choices(record.get(choices)) if choices else ([], [])
    if listed:
        question = with_choices(question, listed)
        wanted = _letter(wanted, listed, labels)
    line = line_of(
        {"id": record.get("id"), "input": question, "target": wanted,
         "metadata": record.get("metadata"),
         **{key: record.get(key) for key in ("sandbox", "files", "setup")}},
        where, left_out,
    )  # fmt: skip
    told = {name: str(record[name]) for name in slices if record.get(name) is not None}
    given = record.get("slices")
    more = {str(k): str(v) for k, v in given.items()} if isinstance(given, dict) else {}
    if told or more:
        line["slices"] = {**line.get("slices", {}), **more, **told}
    return line


def _answered(messages: Any) -> tuple[Any, Any]:
    """Of a conversation that ends with an answer, as examples to train on do: what comes before
    it, and the answer."""
    last = messages[-1] if isinstance(messages, list) and len(messages) > 1 else None
    if isinstance(last, dict) and last.get("role") == "assistant" and last.get("content"):
        return messages[:-1], last["content"]
    return messages, None


def _choices(value: Any) -> tuple[list[str], list[str]]:
    """Choices and their labels: a list, JSON of one, or ARC's table of text and label."""
    if isinstance(value, str):
        value = _parsed(value)
    if isinstance(value, dict):
        listed, labels = value.get("text"), value.get("label")
        return (
            [str(one) for one in listed] if isinstance(listed, list) else [],
            [str(one) for one in labels] if isinstance(labels, list) else [],
        )
    return [str(one) for one in value] if isinstance(value, list) else [], []


def _letter(target: Any, listed: Sequence[str], labels: Sequence[str]) -> Any:
    """The letter of the right choice: by its label, letter, place from 0 on, or text."""
    found = joined(target)
    text = str(found).strip() if found is not None else ""
    if text in labels:
        return chr(65 + labels.index(text))
    if _LETTERS.fullmatch(text) and ord(text) - 65 < len(listed):
        return text
    if text.isdigit() and int(text) < len(listed):
        return chr(65 + int(text))
    return chr(65 + list(listed).index(text)) if text in listed else found


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _files(path: Path, wanted: str) -> list[Path]:
    """Of a folder the files of one kind and split. Raises UsageError where several splits are
    there and none is named."""
    if path.is_file():
        return [path]
    found = sorted(
        one
        for one in path.rglob("*")
        if one.is_file() and one.suffix.lstrip(".").lower() in _KINDS
        and one.stem not in _OTHERS and not any(part.startswith(".") for part in one.parts[-3:])
    )  # fmt: skip
    if not found:
        raise UsageError("the folder holds no data", received=str(path), allowed=", ".join(_KINDS))
    kind = next(kind for kind in _KINDS if any(one.suffix[1:].lower() == kind for one in found))
    splits: dict[str, list[Path]] = {}
    for one in found:
        if one.suffix[1:].lower() == kind:
            splits.setdefault(_SHARD.sub("", one.stem), []).append(one)
    if wanted not in splits if wanted else len(splits) > 1:
        raise UsageError(
            "the folder has no such split" if wanted else "the folder holds several splits",
            received=wanted or str(path),
            allowed=", ".join(splits)[:200],
            next=f"--split {next(iter(splits))}",
        )
    return splits[wanted] if wanted else next(iter(splits.values()))


def records_of(path: Path) -> Records:
    """Where each row stands, and the row. Raises UsageError."""
    file = ResultFile(path)
    if file.kind == "parquet":
        return _parquet(file)
    if file.kind == "csv":
        return [(f"{path}:{number}", record) for number, record in csv_records(file)]
    if file.kind == "tsv":
        raise file.refused("is a table with tabs", next="save it as CSV")
    if file.data.lstrip().startswith(b"[") or isinstance(_whole(file), dict):
        value = file.document
        rows = split(value) if isinstance(value, dict) else value
        if isinstance(value, dict) and rows is None:
            lists = [one for one in value.values() if isinstance(one, list)]
            rows = lists[0] if len(lists) == 1 else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise file.refused("is no list of objects", allowed="CSV, JSON lines, Parquet, JSON")
        return [(f"{path}: row {place}", row) for place, row in enumerate(rows, 1)]
    return [(f"{path}:{number}", record) for number, record in file.lines]


def _whole(file: ResultFile) -> Any:
    """The file as one object; None where it is an object a line."""
    has_lines = file.kind == "jsonl" or (
        isinstance(file.first_line, dict) and b"\n" in file.data.strip()
    )
    return None if has_lines else file.document


def _parquet(file: ResultFile) -> Records:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        source = pq.ParquetFile(file.path)
        size = sum(
            source.metadata.row_group(number).total_byte_size
            for number in range(source.metadata.num_row_groups)
        )
        if size > MAX_PARQUET_BYTES:
            raise file.refused(f"unpacks to more than {MAX_PARQUET_BYTES:,} bytes")
        names = dict(_label_names(source.schema_arrow.metadata or {}))
        rows = source.read().to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise file.refused(f"is no Parquet that can be read: {str(error)[:120]}") from None
    return [
        (f"{file.path}: row {place}", {**row, **_named(row, names)})
        for place, row in enumerate(rows, 1)
    ]


def _label_names(metadata: Mapping[bytes, bytes]) -> Iterator[tuple[str, Sequence[str]]]:
    """Column → names of its classes, which `datasets` keeps beside the numbers."""
    told = _parsed(metadata.get(b"huggingface", b"null").decode("utf-8", "replace"))
    info = told.get("info") if isinstance(told, dict) else None
    features = info.get("features") if isinstance(info, dict) else None
    for column, feature in features.items() if isinstance(features, dict) else ():
        names = feature.get("names") if isinstance(feature, dict) else None
        if isinstance(names, list):
            yield column, [str(name) for name in names]


def _named(row: Mapping[str, Any], names: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {
        column: classes[row[column]]
        for column, classes in names.items()
        if isinstance(row.get(column), int) and 0 <= row[column] < len(classes)
    }
