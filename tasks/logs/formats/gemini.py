"""Gemini API and Vertex AI: request/response pairs, responses, recorded HTTP cassettes."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.logs.formats.apis import APIS, GEMINI
from tasks.logs.formats.exchange_call import pair_matches, pair_records
from tasks.logs.shapes.records import Json, Record

NAME = "gemini"
VERSION = "gemini@2"


def matches(value: Json) -> bool:
    return pair_matches(value, (GEMINI,), APIS)


def records(value: Json) -> Iterator[Record]:
    return pair_records(value, GEMINI, APIS)
