"""What programs that carry logs wrap around a record, taken off again: value → the values in it.

Docker, Fluent Bit, CloudWatch, Cloud Logging, Elastic, Loki, Splunk, Kafka, queues and structured
loggers all keep a record under some key, as an object or as its text, alone or in a list. Which of
its keys holds one of ours, the formats tell: nothing is opened that one of them takes as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tasks.logs.formats import Format
from tasks.logs.formats.exchange import decode
from tasks.logs.reading.line_text import json_in
from tasks.logs.shapes import coerce
from tasks.logs.shapes.json_text import nested
from tasks.logs.shapes.records import Facts, Json

#: envelopes within envelopes: CRI around docker around a logger around CloudWatch
_MAX_DEPTH = 4
#: values looked at in one, so that a hostile one costs no more than its size
_MAX_LOOKS = 200
#: keys of an envelope that are looked into
_MAX_KEYS = 60
#: items of a list that are looked at to know it
_MAX_ITEMS = 20
_TEXT = ("log", "message", "msg", "MESSAGE", "@message", "Message", "line", "_raw", "textPayload")
_LISTS = ("logEvents", "events", "records", "Records", "hits", "rows", "items", "data", "results")
_TIMES = ("time", "@timestamp", "timestamp", "ts", "eventTime", "datetime", "date", "asctime",
          "TimeGenerated", "ingestionTime")  # fmt: skip
_STREAMS = ("stream", "logStreamName", "logStream", "log_stream")
_IDS = ("request_id", "requestId", "stream_id", "call_id", "trace_id", "id")


@dataclass(frozen=True, slots=True)
class Opened:
    """A value out of its envelope. `format` None: of none that is known."""

    format: Format | None
    value: Json
    facts: Facts


def open_envelope(value: Json, recognise: Callable[[Json], Format | None]) -> list[Opened]:
    """The values inside an object that no format takes, as soon as one of them is known; else
    nothing. `recognise`: the format of a bare value."""
    return _Search(recognise).inside(value, _MAX_DEPTH)


class _Search:
    def __init__(self, recognise: Callable[[Json], Format | None]) -> None:
        self._recognise = recognise
        self._looks_left = _MAX_LOOKS

    def inside(self, value: Json, depth: int) -> list[Opened]:
        if not isinstance(value, dict) or depth <= 0 or _is_recording(value):
            return []
        facts = facts_of(value)
        names = _names(value)
        for number, name in enumerate(names[:_MAX_KEYS]):
            found = self._under(value[name], facts, depth)
            if not found:
                continue
            if name not in _TEXT and name not in _LISTS:  # records by their keys: all of them
                for other in names[number + 1 :]:
                    self._looks_left = max(self._looks_left, _MAX_LOOKS)
                    found += self._under(value[other], facts, depth)
            return found
        return []

    def _under(self, inner: Json, facts: Facts, depth: int) -> list[Opened]:
        """What stands under a key, as soon as a record is among it."""
        if isinstance(inner, str):
            inner = json_of(inner)
        if not isinstance(inner, dict | list) or not inner:
            return []
        items = inner if isinstance(inner, list) else [inner]
        if not any(self._opened(item, facts, depth) for item in items[:_MAX_ITEMS]):
            return []
        self._looks_left = max(self._looks_left, _MAX_LOOKS * len(items))
        unknown = [Opened(None, item, facts) for item in items]
        return [one for item, none in zip(items, unknown, strict=True)
                for one in self._opened(item, facts, depth) or [none]]  # fmt: skip

    def _opened(self, item: Json, facts: Facts, depth: int) -> list[Opened]:
        self._looks_left -= 1
        if self._looks_left < 0:
            return []
        known = self._recognise(item)
        if known is not None:
            return [Opened(known, item, facts)]
        within = self.inside(item, depth - 1)
        return [Opened(one.format, one.value, facts.around(one.facts)) for one in within]


def _is_recording(value: dict[str, Json]) -> bool:
    """Of HTTP (VCR): its exchanges are read whole or not at all."""
    items = value.get("interactions")
    first = items[0] if isinstance(items, list) and items else None
    return isinstance(first, dict) and (
        "version" in value or {"request", "response"} <= first.keys()
    )


def _names(value: dict[str, Json]) -> list[str]:
    """Keys that may hold a record or a list of them: the known ones first."""
    return [*(key for key in (*_TEXT, *_LISTS) if key in value),
            *(key for key in value if key not in _TEXT and key not in _LISTS)]  # fmt: skip


def json_of(text: str) -> Json:
    """The value of a text that is JSON, has JSON in it or is an event stream; else the text."""
    if "{" not in text:
        return text
    value = decode(text)
    if not isinstance(value, str):
        return value
    inner = json_in(text.encode("utf-8", "replace"))
    return text if inner is None or not inner.data else nested(inner.data.decode())


def text_in(value: Json) -> str | None:
    """The line of text that an object carries."""
    text = coerce.first(value, *_TEXT)
    return text.rstrip("\r\n") if isinstance(text, str) else None


def carries_text(value: Json) -> bool:
    """Whether it is a line of a log that holds no JSON: a text, and when it was logged."""
    text = text_in(value)
    if text is None or text.lstrip().startswith("{"):
        return False
    return facts_of(value).time is not None


def facts_of(value: dict[str, Json]) -> Facts:
    time, stream, own_id = (coerce.first(value, *names) for names in (_TIMES, _STREAMS, _IDS))
    return Facts(
        time=str(time) if isinstance(time, str | int | float) else None,
        stream=stream if isinstance(stream, str) else None,
        key=str(own_id) if isinstance(own_id, str | int) else None,
    )
