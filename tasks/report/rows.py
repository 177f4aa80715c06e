"""A judged sample as a JSON object, and as rows of a spreadsheet. Pure."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import zip_longest
from typing import Any

from tasks.model.answer import ROLES, Answer, JudgedSample
from tasks.model.turn import Turn
from tasks.report.wording import message_text

#: what spreadsheets take for the beginning of a formula, half width and full, behind any number of
#: blanks and quotation marks
_FORMULA = re.compile(r"['\s]*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")
_QUOTED_FORMULA = re.compile("'" + _FORMULA.pattern)
_OF_ANSWER = (
    "score", "text", "extracted", "explanation", "unscored_reason", "error", "finish_reason",
    "input_tokens", "output_tokens",
)  # fmt: skip
_OF_SAMPLE = (
    "run_id", "sample_id", "suite", "outcome", "is_reworded", "must_pass", "is_counted", "weight",
    "request_id", "slices", "question", "system", "target", "target_kind",
)  # fmt: skip
COLUMNS = (
    *_OF_SAMPLE, "repeat", "difference",
    *(f"{role}_{name}" for role in ROLES for name in ("release", *_OF_ANSWER)),
)  # fmt: skip


def to_object(turn: Turn, item: JudgedSample) -> dict[str, Any]:
    """All that is known of a sample of a turn of one challenger; what is not known is None."""
    sample = item.sample
    return {
        "run_id": turn.run_id,
        "sample_id": sample.sample_id,
        "suite": sample.suite,
        "outcome": item.outcome,
        "is_reworded": item.is_reworded,
        "must_pass": sample.must_pass,
        "is_counted": sample.is_counted,
        "weight": sample.weight,
        "request_id": sample.request_id,
        "slices": dict(sample.slices),
        "messages": [dict(message) for message in sample.messages],
        "system": sample.system,
        "target": sample.target,
        "target_kind": sample.target_kind,
        "difference": item.difference(),
        **{
            role: {
                "release": turn.releases[role].name,
                "score": item.score(role),
                "answers": [_answer(answer) for answer in item.answers[role]],
            }
            for role in ROLES
        },
    }


def to_rows(turn: Turn, item: JudgedSample) -> Iterator[dict[str, Any]]:
    """By the names of COLUMNS, a row a repeat, from 1 on; the difference is of that repeat. What
    other scorers of the suite gave stands behind, as `champion_also_length@1`."""
    told = to_object(turn, item)
    asked = {name: told[name] for name in _OF_SAMPLE if name in told}
    asked["question"] = message_text(item.sample.messages)
    asked["slices"] = json.dumps(told["slices"], ensure_ascii=False) if told["slices"] else ""
    answers = (item.answers[role] for role in ROLES)  # of runs of others not always as many
    for place, pair in enumerate(zip_longest(*answers, fillvalue=Answer())):
        scores = [answer.counted for answer in pair]
        row = {**asked, "repeat": place + 1, "difference": None}
        if scores[0] is not None and scores[1] is not None:
            row["difference"] = scores[1] - scores[0]
        for role, answer in zip(ROLES, pair, strict=True):
            row[f"{role}_release"] = turn.releases[role].name
            row |= {f"{role}_{name}": value for name, value in _answer(answer).items()}
        also = {
            f"{role}_also_{one.scorer}": one.value
            for role, answer in zip(ROLES, pair, strict=True)
            for one in answer.also
        }
        yield {name: row[name] for name in COLUMNS} | also


def csv_text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = COLUMNS) -> str:
    """With a heading, as RFC 4180 has it. What a spreadsheet would take for a formula gets a
    quotation mark before it, which `from_cell` takes off; numbers stay numbers."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    more = dict.fromkeys(name for row in rows for name in row if name not in columns)
    columns = (*columns, *more)
    writer.writerow(columns)
    writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)
    return written.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and _FORMULA.match(value):
        return f"'{value}"
    return value


def from_cell(cell: str) -> str:
    """The text that `csv_text` wrote into a cell."""
    return cell[1:] if _QUOTED_FORMULA.match(cell) else cell


def _answer(answer: Answer) -> dict[str, Any]:
    return {
        "score": answer.counted,
        **{name: getattr(answer, name) for name in _OF_ANSWER[1:]},
        "also": [asdict(one) for one in answer.also],
    }
