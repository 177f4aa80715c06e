"""Records to rows of the store: JSON text, digests and ids.

The content digest is over the canonical call fields before redaction, so that a call met again
is recognised after its texts were masked. What an envelope says is no part of it, so that a call
is the same one in the log of a container and in that of the application.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

import orjson

from expectations.contracts import CALL_FIELDS, LANDING
from tasks.logs.shapes import coerce
from tasks.logs.shapes.records import Call, Facts, Feedback, Json, UnreadableError
from tasks.model.window import OPEN, Window

Row = dict[str, Any]
#: of a call, in the order of LANDING's columns; JSON as UTF-8 bytes
CallValues = list[Any]

_fields_of = attrgetter(*CALL_FIELDS)
_JSON_FIELDS = tuple(p for p, c in enumerate(LANDING.columns) if c.sql_type == "JSON")
_REQUEST_ID = LANDING.column_names.index("request_id")
_USER_HASH = LANDING.column_names.index("user_hash")
_STARTED_AT = LANDING.column_names.index("started_at")
_TAGS = LANDING.column_names.index("tags")


@dataclass(frozen=True, slots=True)
class Provenance:
    """What every row of one reading shares."""

    path: str
    format: str
    parser_version: str
    run_id: str
    now: datetime
    window: Window = OPEN


def call_values(call: Call, place: str, made_by: Provenance) -> CallValues:
    """A row of `landing`, on its way to Arrow. A call without an id gets one from its content."""
    row: CallValues = list(_fields_of(call))
    digested = row.copy()
    for position in _JSON_FIELDS:
        value = row[position]
        # an empty conversation is a finding, an empty object of tags is nothing
        if value is None or value == {}:
            row[position] = digested[position] = None
        else:
            row[position] = text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
            digested[position] = orjson.Fragment(text)
    if call.user is not None or call.user_hash is not None:
        row[_USER_HASH] = digested[_USER_HASH] = coerce.user_hash(call.user, call.user_hash)
    digest = hashlib.sha256(orjson.dumps(digested)).hexdigest()
    if row[_REQUEST_ID] is None:
        row[_REQUEST_ID] = f"content:{digest[:32]}"
    if call.facts is not None:  # of an envelope: the call in it is the same without
        row[_STARTED_AT] = start_of(call)
        row[_TAGS] = orjson.dumps(_with_facts(call.tags, call.facts))
    row += ([f"{made_by.path}:{place}"], made_by.format, digest, made_by.run_id, made_by.now)
    return row


def start_of(call: Call) -> datetime | None:
    """When it started; when it was logged, where that alone is told."""
    if call.started_at is not None or call.facts is None:
        return call.started_at
    try:
        return coerce.moment("time", call.facts.time)
    except UnreadableError:
        return None


def _with_facts(tags: dict[str, Json], facts: Facts) -> dict[str, Json]:
    said = {"logged_at": facts.time, "log_stream": facts.stream}
    return dict(sorted(({key: text for key, text in said.items() if text} | tags).items()))


def feedback_row(
    feedback: Feedback, request_id: str | None, place: str, made_by: Provenance
) -> Row:
    """`request_id`: of the call it speaks of, which names itself where feedback comes with it."""
    row: Row = {
        "request_id": request_id,
        "kind": feedback.kind,
        "value": feedback.value,
        "comment": feedback.comment,
        "corrected": feedback.corrected,
        "given_at": feedback.given_at,
        "by_hash": coerce.user_hash(feedback.by),
    }
    row["feedback_id"] = hashlib.sha256(orjson.dumps(list(row.values()))).hexdigest()
    row["source"] = f"{made_by.path}:{place}"
    row["run_id"] = made_by.run_id
    return row


def dead_letter_row(
    error: str, raw: bytes, line_number: int | None, byte_offset: int, made_by: Provenance
) -> Row:
    head = f"{made_by.path}\n{byte_offset}\n".encode("utf-8", "surrogateescape")
    return {
        "dead_letter_id": hashlib.sha256(head + raw).hexdigest(),
        "source": made_by.path,
        "line_number": line_number,
        "byte_offset": byte_offset,
        "raw": raw,
        "error": error,
        "format": made_by.format,
        "parser_version": made_by.parser_version,
        "run_id": made_by.run_id,
        "created_at": made_by.now,
        "state": "dead",
        "is_rest": False,
        "num_records": 1,
    }
