"""Anthropic Messages API: request/response pairs, message objects, recorded HTTP cassettes."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.logs.formats.apis import ANTHROPIC, APIS
from tasks.logs.formats.exchange_call import pair_matches, pair_records
from tasks.logs.shapes.records import Json, Record

NAME = "anthropic"
VERSION = "anthropic@3"


def matches(value: Json) -> bool:
    return pair_matches(value, (ANTHROPIC,), APIS)


def records(value: Json) -> Iterator[Record]:
    return pair_records(value, ANTHROPIC, APIS)
