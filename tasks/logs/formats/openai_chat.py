"""OpenAI chat completions: request/response pairs, completion objects, recorded HTTP cassettes.

A pair is {"request": body, "response": body, …}, each body bare or under "body". A completion
object may stand alone (stored completions carry their "messages"). A cassette is VCR's
{"interactions": […]}. A line that speaks another API of apis.py is read as that one.
"""

from __future__ import annotations

from collections.abc import Iterator

from tasks.logs.formats.apis import APIS, CHAT, EMBEDDINGS
from tasks.logs.formats.exchange_call import pair_matches, pair_records
from tasks.logs.shapes.records import Json, Record

NAME = "openai_chat"
VERSION = "openai_chat@3"


def matches(value: Json) -> bool:
    return pair_matches(value, (CHAT, EMBEDDINGS), APIS)


def records(value: Json) -> Iterator[Record]:
    return pair_records(value, CHAT, APIS)
