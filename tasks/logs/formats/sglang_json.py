"""Requests that SGLang logs as JSON lines: --log-requests-format json, and its metrics exporter.

Its own API's bodies (`text` and `meta_info`) beside their request are read too.
"""

from __future__ import annotations

from collections.abc import Iterator

from tasks.logs.formats.apis import SGLANG
from tasks.logs.formats.pairs import Pairs
from tasks.logs.formats.sglang import is_event, records_of_event
from tasks.logs.shapes.records import Json, Record

_pairs = Pairs("sglang_json", "sglang_json@1", (SGLANG,))
NAME, VERSION = _pairs.NAME, _pairs.VERSION


def matches(value: Json) -> bool:
    return is_event(value) or _pairs.matches(value)


def records(value: Json) -> Iterator[Record]:
    own = isinstance(value, dict) and ("event" in value or "request_parameters" in value)
    yield from records_of_event(value) if own else _pairs.records(value)
