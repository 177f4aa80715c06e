"""OpenAI Responses API: request/response pairs, response objects, recorded HTTP cassettes."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.logs.formats.apis import APIS, RESPONSES
from tasks.logs.formats.exchange_call import pair_matches, pair_records
from tasks.logs.shapes.records import Json, Record

NAME = "openai_responses"
VERSION = "openai_responses@3"


def matches(value: Json) -> bool:
    return pair_matches(value, (RESPONSES,), APIS)


def records(value: Json) -> Iterator[Record]:
    return pair_records(value, RESPONSES, APIS)
