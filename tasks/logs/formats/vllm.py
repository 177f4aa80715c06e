"""Text logs of the vLLM server: requests and their counts, no texts.

A "Received request" line is a call; with --enable-log-outputs its "Generated response" line adds
the output tokens. Where requests are not logged, the access lines of generating endpoints are the
calls; those of failed requests always are. The times have no year, so they stay a tag. Everything
else (throughput, start-up) is counted as other. Source: vllm/entrypoints/logger.py, uvicorn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from tasks.logs.shapes.answers import finish
from tasks.logs.shapes.records import Call, Json, Other, Record

NAME = "vllm"
VERSION = "vllm@1"

_LINE = re.compile(
    r"(?:INFO|WARNING|ERROR|DEBUG) (\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d+)? \[?[\w/.]+:\d+\]"
)
_RECEIVED = re.compile(r"Received request ([\w.:-]+): ")
_GENERATED = re.compile(r"Generated response ([\w.:-]+?)(?: \([^)]*\))?: output: ")
_DELTA = re.compile(r"Generated response [\w.:-]+ \(streaming delta\)")
_ACCESS = re.compile(r'"POST (\S+) HTTP/[\d.]+" (\d{3})')
_IDS = {
    "input_tokens": re.compile(r"prompt_token_ids: \[([\d, ]*)\]"),
    "output_tokens": re.compile(r"output_token_ids: \[([\d, ]*)\]"),
}
_FINISH = re.compile(r"finish_reason: (\w+)")
_PARAM = re.compile(
    r"\b(temperature|top_p|top_k|min_p|max_tokens|seed|n)="
    r"(-?[0-9]{1,18})(\.[0-9]{1,18})?(e[+-]?[0-9]{1,3})?(?=[,)\s]|$)"
)
_GENERATING = ("/completions", "/responses", "/messages", "/generate")
_MAX_PENDING = 10_000


def matches_lines(lines: Sequence[str]) -> bool:
    return any(_LINE.search(line) or _RECEIVED.search(line) for line in lines)


class VllmReader:
    """Reads one log from its start. Requests wait for their outputs where those are logged."""

    def __init__(self) -> None:
        self._pending: dict[str, Call] = {}
        self._requests_logged = False
        self._outputs_logged = False
        self._number = 0

    def feed(self, line: str) -> Iterator[Record]:
        self._number += 1
        received = _RECEIVED.search(line)
        generated = None if received or _DELTA.search(line) else _GENERATED.search(line)
        access = None if received or generated else _ACCESS.search(line)
        if received:
            self._requests_logged = True
            self._pending[received[1]] = _call(received[1], line)
            if not self._outputs_logged or len(self._pending) > _MAX_PENDING:
                yield self._pending.pop(next(iter(self._pending)))
        elif generated:
            yield from self._answered(generated[1], line)
        elif access and access[1].split("?")[0].endswith(_GENERATING):
            yield self._of_access(int(access[2]), access[1], line)
        else:
            yield Other()

    def end(self) -> Iterator[Record]:
        """Requests still at work: they are calls once their outputs are in the log."""
        if self._pending:
            yield Other(len(self._pending))
        self._pending = {}

    def _answered(self, request_id: str, line: str) -> Iterator[Record]:
        call = self._pending.pop(request_id, None)
        if call is None:
            # the first output tells that outputs are logged; its request is out already
            self._outputs_logged = True
            yield Other()
            return
        finish = _FINISH.search(line)
        yield replace(
            call, output_tokens=_count("output_tokens", line),
            finish_reason=finish[1] if finish and finish[1] != "None" else None,
        )  # fmt: skip

    def _of_access(self, status: int, path: str, line: str) -> Record:
        if status < 400 and self._requests_logged:
            return Other()
        # nothing else tells two such lines apart
        tags: dict[str, Json] = {"path": path, "line": self._number}
        return finish(Call(
            provider="vllm", operation="chat", http_status=status,
            tags={**tags, **_logged_at(line)},
        ))  # fmt: skip


reader = VllmReader


def _call(request_id: str, line: str) -> Call:
    params: dict[str, Any] = {}
    for name, whole, fraction, power in _PARAM.findall(line.rpartition("SamplingParams(")[2]):
        params[name] = float(whole + fraction + power) if fraction or power else int(whole)
    return finish(Call(
        request_id=request_id, provider="vllm",
        operation="chat" if request_id.startswith("chatcmpl") else "text_completion",
        input_tokens=_count("input_tokens", line), params=params or None,
        tags=_logged_at(line),
    ))  # fmt: skip


def _count(name: str, line: str) -> int | None:
    ids = _IDS[name].search(line)
    return len(ids[1].split(",")) if ids and ids[1].strip() else None


def _logged_at(line: str) -> dict[str, Json]:
    said = _LINE.search(line)
    return {"logged_at": said[1]} if said else {}
