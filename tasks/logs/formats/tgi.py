"""Text logs of text-generation-inference (TGI): a "Success" line of a generating span is a call.

The span tells parameters and times; it tells neither texts nor tokens nor a model, but for the
model of the launcher's arguments. The line is written when the call has ended. Failed requests are
calls too. Source: text-generation-inference, router/src/server.rs; the `tracing` crate's formats.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from tasks.logs.formats.server_text import full_time
from tasks.logs.shapes import coerce
from tasks.logs.shapes.answers import finish
from tasks.logs.shapes.records import Call, Json, Other, Record

NAME = "tgi"
VERSION = "tgi@1"

#: as the router colours them on a terminal
_COLOUR = re.compile(r"\x1b\[[0-9;]{0,20}m")
_SIGNS = re.compile(r"\btext_generation_(?:router|launcher)(?:_v\d)?(?:::\w+)*: ")
_SPAN = re.compile(r"\b((?:compat_)?generate(?:_stream)?|(?:chat_)?completions|vertex\w*)\{")
_FIELD = re.compile(
    r'\b(total_time|validation_time|queue_time|inference_time|time_per_token|seed)="([^"]{1,80})"'
)
_TAIL = re.compile(r"\}(?::\w+)*: (text_generation_router\S*): (?:\S+:\d+: )?(.{0,2000})$")
_FAILED = re.compile(r"\s(?:ERROR|WARN)\s")
_MODEL = re.compile(r'\bmodel_id: "([^"]{1,300})"')
_DURATION = re.compile(r"(\d{1,15}(?:\.\d{1,12})?)(ns|µs|us|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "µs": 1e-6, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PARAM = re.compile(
    r"\b(best_of|temperature|repetition_penalty|frequency_penalty|top_k|top_p|typical_p|do_sample|"
    r"max_new_tokens|truncate|watermark|top_n_tokens): (?:Some\()?(-?\d{1,18}(?:\.\d{1,18})?|true|"
    r"false)\b"
)
#: of a span, in seconds, kept as they are
_PARTS = ("validation_time", "queue_time", "inference_time", "time_per_token")


def matches_lines(lines: Sequence[str]) -> bool:
    return any(_SIGNS.search(_COLOUR.sub("", line)) for line in lines)


class TgiReader:
    """Reads one log from its start."""

    def __init__(self, latest: datetime | None = None) -> None:
        self._model: str | None = None

    def feed(self, line: str) -> Iterator[Record]:
        line = _COLOUR.sub("", line).rstrip()
        if (named := _MODEL.search(line)) is not None:
            self._model = named[1]
        span, tail = _SPAN.search(line), _TAIL.search(line)
        fields = dict(_FIELD.findall(line))
        if span is None or tail is None:
            yield Other()
        elif "total_time" in fields:
            fields["parameters"] = line
            yield call_of(fields, full_time(line), _outer(line, span[1]), model=self._model)
        elif _FAILED.search(line[: span.start()]) and is_failure(tail[2]):
            fields["parameters"] = line
            yield call_of(fields, full_time(line), _outer(line, span[1]), tail[2], self._model)
        else:
            yield Other()

    def end(self) -> Iterator[Record]:
        return iter(())


reader = TgiReader


def _outer(line: str, span: str) -> str:
    return "chat_completions" if re.search(r"\bchat_completions[:{]", line) else span


def is_failure(message: str) -> bool:
    """That of a request: what else goes wrong in it is told before, by other modules."""
    return message.startswith(("Request failed", "Input validation error", "Model is overloaded",
                               "Incomplete generation", "Template error"))  # fmt: skip


def seconds_of(said: Json) -> float | None:
    """A duration as Rust prints it: "1.2s", "45.5µs", "2m 3s"."""
    if not isinstance(said, str) or len(said) > 80:
        return None
    parts = _DURATION.findall(said)
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != said.replace(" ", ""):
        return None
    return sum((coerce.number("time", number) or 0.0) * _UNITS[unit] for number, unit in parts)


def call_of(
    fields: Mapping[str, Json],
    ended: datetime | None,
    span: str,
    error: str | None = None,
    model: str | None = None,
) -> Call:
    """`fields`: of the span; `parameters` is their text. `ended`: the time of the line."""
    latency = seconds_of(fields.get("total_time"))
    asked = fields.get("parameters")
    params: dict[str, Any] = {}
    for name, said in _PARAM.findall(asked if isinstance(asked, str) else ""):
        fixed = {"true": True, "false": False}.get(said)
        params[name] = fixed if fixed is not None else float(said) if "." in said else int(said)
    seed = re.search(r"\d{1,20}", str(fields.get("seed") or ""))
    if seed is not None and int(seed[0]) < 2**63:
        params["seed"] = int(seed[0])
    tags: dict[str, Json] = {"span": span}
    for name in _PARTS:
        if (part := seconds_of(fields.get(name))) is not None:
            tags[f"{name}_s"] = part
    if error is not None:
        tags["error"] = error
    began = coerce.earlier(ended, latency) if ended is not None and latency else ended
    return finish(Call(
        provider="tgi", model=model,
        operation="chat" if span == "chat_completions" else "text_completion",
        started_at=began, latency_s=latency, params=params or None, tags=tags,
    ), error=error and error.partition(":")[0])  # fmt: skip
