"""Injects the faults that data/README.md lists, and says what the pipeline must make of each.

Owns the kinds of faults, how many there are of each in each file, and the expected counts. A line
gets at most one fault, and only lines without feedback and without a planted text are chosen, so
that every count follows from the tables below.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exports import Logged, openai, otlp

#: planted in the texts by traffic.py, before the model answers
PLANTED = {"exact_duplicate": 6, "near_duplicate": 6, "email": 5, "secret": 4}


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault: how many lines of each file get it, and what becomes of a call with it.

    `calls` is how many calls one fault costs: a conflict takes both calls that share the id.
    """

    name: str
    otel: int
    openai: int
    stage: str
    outcome: str
    reason: str
    calls: int = 1

    @property
    def num_calls(self) -> int:
        return (self.otel + self.openai) * self.calls

    def listed(self, files: Mapping[str, str]) -> dict[str, Any]:
        """As faults.json lists it; `files` is kind → file name."""
        numbers = {name: getattr(self, kind) for kind, name in files.items()}
        outcome = {"stage": self.stage, "outcome": self.outcome, "reason": self.reason}
        return {"fault": self.name, **numbers, **outcome, "calls": self.num_calls}


FAULTS = (
    Fault("missing_messages", 4, 3, "validate", "quarantined", "has_messages"),
    Fault("missing_model", 3, 3, "validate", "quarantined", "has_model"),
    Fault("negative_input_tokens", 3, 0, "validate", "quarantined", "input_tokens_possible"),
    Fault("negative_output_tokens", 0, 2, "validate", "quarantined", "output_tokens_possible"),
    Fault("total_is_not_the_sum", 0, 4, "validate", "quarantined", "total_tokens_add_up"),
    Fault("id_conflict", 2, 3, "validate", "quarantined", "unique_request_id", calls=2),
    Fault("start_in_future", 3, 2, "validate", "quarantined", "started_at_not_in_future"),
    Fault("repeated_line", 4, 4, "ingest", "duplicate", "same id, same content"),
    Fault("wrong_encoding", 2, 2, "ingest", "dead letter", "not UTF-8"),
    Fault("cut_off_last_line", 1, 1, "ingest", "dead letter", "cut off"),
    Fault("timeout", 6, 0, "curate", "left out", "errors_without_target"),
    Fault("http_500", 0, 6, "curate", "left out", "errors_without_target"),
)

Document = dict[str, Any]
Change = Callable[[Document], None]


def write_lines(calls: Sequence[Logged], kind: str, seed: int, free: set[int]) -> list[bytes]:
    """The lines of one file ("otel" or "openai"), faults included, the last one cut off.

    `free` are the indexes of calls that may get a fault.
    """
    export = otlp if kind == "otel" else openai
    documents = [export(call) for call in calls]
    lines = [_line(document) for document in documents]
    rng = random.Random(f"{seed} {kind}")
    last = len(calls) - 1
    places = [i for i, call in enumerate(calls) if call.index in free and i != last]
    rng.shuffle(places)
    extra: list[tuple[int, bytes]] = []
    for fault in FAULTS:
        for _ in range(getattr(fault, kind)):
            if fault.name == "cut_off_last_line":
                lines[last] = lines[last][: len(lines[last]) * 3 // 5]
                continue
            place = places.pop()
            if fault.name == "repeated_line":
                extra.append((place + rng.randrange(1, 30), lines[place]))
            elif fault.name == "wrong_encoding":
                lines[place] = _latin1(calls[place], kind)
            elif fault.name == "id_conflict":
                _take_id(documents[place], documents[other := places.pop()], kind)
                lines[place], lines[other] = _line(documents[place]), _line(documents[other])
            else:
                _CHANGES[kind, fault.name](documents[place])
                lines[place] = _line(documents[place])
    for place, line in sorted(extra, reverse=True):
        lines.insert(min(place, last), line)
    return [line + b"\n" for line in lines[:-1]] + [lines[-1]]


def _line(document: Document) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _latin1(call: Logged, kind: str) -> bytes:
    said = {name: getattr(call, name) for name in call.__slots__}
    changed = Logged(**{**said, "text": f"{call.text} Café Zoë"})
    export = otlp if kind == "otel" else openai
    return json.dumps(export(changed), ensure_ascii=False).encode("latin-1")


def _take_id(taker: Document, owner: Document, kind: str) -> None:
    if kind == "otel":
        _span(taker)["traceId"] = _span(owner)["traceId"]
        _span(taker)["spanId"] = _span(owner)["spanId"]
    else:
        taker["response"]["id"] = owner["response"]["id"]


def _span(document: Document) -> dict[str, Any]:
    found: dict[str, Any] = document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    return found


def _drop(*keys: str) -> Change:
    def change(document: Document) -> None:
        span = _span(document)
        span["attributes"] = [pair for pair in span["attributes"] if pair["key"] not in keys]

    return change


def _set(key: str, value: dict[str, Any]) -> Change:
    def change(document: Document) -> None:
        for pair in _span(document)["attributes"]:
            if pair["key"] == key:
                pair["value"] = value

    return change


def _later_span(document: Document) -> None:
    span = _span(document)
    for key in ("startTimeUnixNano", "endTimeUnixNano"):
        span[key] = str(int(span[key]) + _CENTURY_S * 1_000_000_000)


def _time_out_span(document: Document) -> None:
    _drop(*_ANSWER)(document)
    span = _span(document)
    span["attributes"].append({"key": "error.type", "value": {"stringValue": "timeout"}})
    span["endTimeUnixNano"] = str(int(span["startTimeUnixNano"]) + 30_000_000_000)
    span["status"] = {"code": 2, "message": "no answer within 30 s"}


def _drop_model(line: Document) -> None:
    del line["request"]["model"], line["response"]["model"]


def _drop_messages(line: Document) -> None:
    del line["request"]["messages"]


def _negative_output(line: Document) -> None:
    usage = line["response"]["usage"]
    usage["completion_tokens"] = -usage["completion_tokens"]
    usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]


def _wrong_total(line: Document) -> None:
    line["response"]["usage"]["total_tokens"] += 1000


def _later_line(line: Document) -> None:
    line["started_at"] = "2126" + line["started_at"][4:]


def _fail_line(line: Document) -> None:
    message = copy.deepcopy({"message": "internal error", "type": "server_error", "code": None})
    line["request_id"] = line["response"]["id"]
    line["response"] = {"error": message}
    line["status_code"] = 500
    del line["ttft_ms"]


#: what a span has only when there was an answer
_ANSWER = (
    "gen_ai.output.messages",
    "gen_ai.response.finish_reasons",
    "gen_ai.response.id",
    "gen_ai.usage.output_tokens",
    "gen_ai.response.time_to_first_chunk",
)
_CENTURY_S = 100 * 365 * 86_400
_CHANGES: dict[tuple[str, str], Change] = {
    ("otel", "missing_messages"): _drop("gen_ai.input.messages", "gen_ai.system_instructions"),
    ("otel", "missing_model"): _drop("gen_ai.request.model", "gen_ai.response.model"),
    ("otel", "negative_input_tokens"): _set("gen_ai.usage.input_tokens", {"intValue": "-7"}),
    ("otel", "start_in_future"): _later_span,
    ("otel", "timeout"): _time_out_span,
    ("openai", "missing_messages"): _drop_messages,
    ("openai", "missing_model"): _drop_model,
    ("openai", "negative_output_tokens"): _negative_output,
    ("openai", "total_is_not_the_sum"): _wrong_total,
    ("openai", "start_in_future"): _later_line,
    ("openai", "http_500"): _fail_line,
}
