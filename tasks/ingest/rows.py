"""Records to rows of the store: JSON text, digests and ids.

The content digest is over the canonical call fields before redaction, so that a call met again
is recognised after its texts were masked.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from expectations.contracts import CALL_FIELDS, LANDING
from tasks.ingest import coerce
from tasks.ingest.json_text import dump
from tasks.ingest.records import Call, Feedback

Row = dict[str, Any]

_JSON_FIELDS = frozenset(c.name for c in LANDING.columns if c.sql_type == "JSON")
_FIELDS = tuple((name, name in _JSON_FIELDS) for name in CALL_FIELDS)


@dataclass(frozen=True, slots=True)
class Reader:
    """What every row of one reading shares."""

    path: str
    format: str
    parser_version: str
    run_id: str
    now: datetime


def call_row(call: Call, place: str, reader: Reader) -> Row:
    """A row of `landing`. A call without an id gets one from its content."""
    row: Row = {}
    for name, is_json in _FIELDS:
        value = getattr(call, name)
        # an empty conversation is a finding, an empty object of tags is nothing
        absent = value is None or (is_json and value == {})
        row[name] = None if absent else dump(value) if is_json else value
    row["user_hash"] = coerce.user_hash(call.user, call.user_hash)
    digest = hashlib.sha256(orjson.dumps(list(row.values()))).hexdigest()
    if row["request_id"] is None:
        row["request_id"] = f"content:{digest[:32]}"
    row["sources"] = [f"{reader.path}:{place}"]
    row["format"] = reader.format
    row["content_digest"] = digest
    row["run_id"] = reader.run_id
    row["ingested_at"] = reader.now
    return row


def feedback_row(feedback: Feedback, place: str, reader: Reader) -> Row:
    row: Row = {
        "request_id": feedback.request_id,
        "kind": feedback.kind,
        "value": feedback.value,
        "comment": feedback.comment,
        "corrected": feedback.corrected,
        "given_at": feedback.given_at,
        "by_hash": coerce.user_hash(feedback.by),
    }
    row["feedback_id"] = hashlib.sha256(orjson.dumps(list(row.values()))).hexdigest()
    row["source"] = f"{reader.path}:{place}"
    row["run_id"] = reader.run_id
    return row


def dead_letter_row(
    error: str, raw: bytes, line_number: int | None, byte_offset: int, reader: Reader
) -> Row:
    head = f"{reader.path}\n{byte_offset}\n".encode("utf-8", "surrogateescape")
    return {
        "dead_letter_id": hashlib.sha256(head + raw).hexdigest(),
        "source": reader.path,
        "line_number": line_number,
        "byte_offset": byte_offset,
        "raw": raw,
        "error": error,
        "format": reader.format,
        "parser_version": reader.parser_version,
        "run_id": reader.run_id,
        "created_at": reader.now,
        "state": "dead",
    }
