"""Files of AlpacaEval: outputs of a model, which have no score, and annotations, where a judge said
which of two outputs is better.

A preference lies between 1, for the first output, and 2, for the second; 1.5 and, in older files,
0 are draws. In annotations the second output is of the model that is evaluated, so its score is its
chance against the baseline. An instruction is its own id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from tasks.logs.formats.results_of_others import is_alpaca_annotation, is_alpaca_record
from tasks.referee.files import ResultFile
from tasks.referee.values import Mark, Results, Row, texts

FORMAT = "alpaca_eval"
SUITE = "alpaca_eval"
WIN = "preference"
_TEXTS = ("instruction", "output", "output_1", "output_2")


def read(file: ResultFile, records: list[dict[str, Any]]) -> Results:
    if wrong := next((record for record in records if not is_alpaca_record(record)), None):
        raise file.refused("a record is no output or annotation of AlpacaEval", None, str(wrong))
    names = {str(one.get("generator") or one.get("generator_2") or file.stem) for one in records}
    if len(names) > 1:
        raise file.refused("holds outputs of several models", None, ", ".join(sorted(names)[:8]))
    rows = [_row(record) for record in records]
    return Results(names.pop(), str(file.path), FORMAT, file.digest, rows)


def _row(record: Mapping[str, Any]) -> Row:
    instruction = str(record["instruction"])
    dataset = record.get("dataset")
    marks = {}
    text = record.get("output", record.get("output_2"))
    if is_alpaca_annotation(record):
        value = record["preference"]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        marks = {WIN: Mark(0.5 if value == 0 else value - 1 if is_number else None)}
    return Row(
        suite=SUITE,
        item_id=hashlib.sha256(instruction.encode()).hexdigest()[:16],
        marks=marks,
        text=text if isinstance(text, str) else None,
        question=instruction,
        slices={"dataset": dataset} if isinstance(dataset, str) else {},
        details=texts({key: value for key, value in record.items() if key not in _TEXTS}),
    )
