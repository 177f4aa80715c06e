"""Text logs of the vLLM server.

A "Received request" line is a call, with its prompt where the version logs it; its "Generated
response" line (--enable-log-outputs) or "Finished request" line (the older engine) ends it. Where
requests are not logged, the access lines of generating endpoints are the calls. Everything else
(throughput, start-up) is counted as other. Its times have neither year nor zone (see docs).
Source: vllm/entrypoints/logger.py and vllm/engine/async_llm_engine.py, 0.2 to 0.15; uvicorn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tasks.logs.formats.python_text import text_at
from tasks.logs.formats.server_text import Access, access_of, full_time, yearless_time
from tasks.logs.shapes.answers import NOT_RECORDED, Answer, finish
from tasks.logs.shapes.records import Call, Json, Other, Record

NAME = "vllm"
VERSION = "vllm@3"

_LINE = re.compile(
    r"(?:INFO|WARNING|ERROR|DEBUG) (\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) \[?[\w/.]+:\d+\]"
)
_ID = r"([\w.:-]{1,200}?)"
_RECEIVED = re.compile(rf"Received request {_ID}: (?=prompt|params)")
_DETAILS = re.compile(rf"Request {_ID} details: (?=prompt)")
_GENERATED = re.compile(rf"Generated response {_ID}(?: \(streaming complete\))?: output: ")
_DELTA = re.compile(r"Generated response [\w.:-]+ \(streaming delta\)")
_ENDED = re.compile(rf"(Finished|Aborted) request {_ID}\.?\s*$|Request {_ID} (failed|aborted)\b")
_IDS = {
    "input_tokens": re.compile(r"prompt_token_ids: \[([\d, ]*)\]"),
    "output_tokens": re.compile(r"output_token_ids: \[([\d, ]*)\]"),
}
_FINISH = re.compile(r"finish_reason: (\w+)")
_PARAM = re.compile(
    r"\b(temperature|top_p|top_k|min_p|max_tokens|seed|n)="
    r"(-?[0-9]{1,18})(\.[0-9]{1,18})?(e[+-]?[0-9]{1,3})?(?=[,)\s]|$)"
)
_LORA = re.compile(r"lora_name='([^']{1,200})'")
_START = re.compile(r"\bargs: |Initializing an? (?:V\d )?LLM engine")
_MODEL = re.compile(r"\b(served_model_name|model)'?[=:] ?\[?'?([^\s,'\])]{1,200})")
_MAX_LOG_LEN = re.compile(r"\bmax_log_len'?[=:] ?(\d{1,9})")
#: the id of a request → what it asks for
_OPERATIONS = {"chatcmpl": "chat", "embd": "embeddings", "resp": "chat"}
_MAX_PENDING = 10_000
_MAX_PENDING_CHARS = 64 * 2**20
#: after so many responses without a logged output, outputs are not logged
_MAX_UNTOLD = 64


def matches_lines(lines: Sequence[str]) -> bool:
    return any(_LINE.search(line) or _RECEIVED.search(line) for line in lines)


@dataclass(slots=True)
class _Request:
    call: Call
    num_chars: int
    num_answers: int = 1
    answers: list[Answer] = field(default_factory=list)


class VllmReader:
    """Reads one log from its start. A request waits until it is known how it ended."""

    def __init__(self, latest: datetime | None = None) -> None:
        """`latest`: the time of the last line, which tells the year of all."""
        self._latest = latest
        self._open: dict[str, _Request] = {}
        self._num_chars = 0
        self._prompts: dict[str, str | None] = {}
        #: of those that are open: without an access line yet, by operation, and with one
        self._waiting: dict[str, dict[str, None]] = {}
        self._responded: dict[str, None] = {}
        #: ended, and their access line is still to come, by operation
        self._answered: dict[str, int] = {}
        self._ended: dict[str, None] = {}
        self._requests_logged = False
        #: None: not known yet
        self._outputs_logged: bool | None = None
        self._model: str | None = None
        self._max_log_len: int | None = None
        self._number = 0

    def feed(self, line: str) -> Iterator[Record]:
        self._number += 1
        if _START.search(line):
            self._note_start(line)
        if (received := _RECEIVED.search(line)) is not None:
            self._requests_logged = True
            yield from self._receive(received[1], line, received.end())
        elif (generated := _GENERATED.search(line)) is not None:
            yield from self._generate(generated[1], line, generated.end())
        elif _DELTA.search(line):
            yield Other()
        elif (details := _DETAILS.search(line)) is not None:
            self._keep_prompt(details[1], self._text_after("prompt: ", line, details.end()))
            yield Other()
        elif (ended := _ENDED.search(line)) is not None:
            yield from self._end(ended[2] or ended[3], ended[1] or ended[4], line)
        elif (access := access_of(line)) is not None:
            yield from self._respond(access, line)
        else:
            yield Other()

    def end(self) -> Iterator[Record]:
        """Requests still at work: calls where nothing more would be logged of them, else they are
        once their outputs are in the log."""
        if self._outputs_logged and self._open:
            yield Other(len(self._open))
            self._open = {}
        yield from self._let_go(list(self._open))

    def _note_start(self, line: str) -> None:
        named = {key: value for key, value in reversed(_MODEL.findall(line)) if value != "None"}
        self._model = named.get("served_model_name") or named.get("model") or self._model
        limit = _MAX_LOG_LEN.search(line)
        self._max_log_len = int(limit[1]) if limit else self._max_log_len

    def _receive(self, request_id: str, line: str, start: int) -> Iterator[Record]:
        params: dict[str, Any] = {}
        for name, whole, fraction, power in _PARAM.findall(line.rpartition("Params(")[2]):
            params[name] = float(whole + fraction + power) if fraction or power else int(whole)
        prompt = self._text_after("prompt: ", line, start)
        prompt = self._prompts.pop(request_id, None) if prompt is None else prompt
        lora = _LORA.search(line)
        call = Call(
            request_id=request_id, provider="vllm", model=lora[1] if lora else self._model,
            operation=_OPERATIONS.get(request_id.partition("-")[0], "text_completion"),
            messages=None if prompt is None else [{"role": "user", "content": prompt}],
            input_tokens=self._count("input_tokens", line), params=params or None,
            **self._when(line),
        )  # fmt: skip
        if prompt is not None:
            # a chat template has made one text of the messages
            call.tags["prompt"] = "rendered"
        if request_id in self._open:  # asked again under the same id
            yield from self._let_go([request_id])
        self._open[request_id] = _Request(call, len(prompt or ""), params.get("n", 1))
        self._waiting.setdefault(call.operation or "", {})[request_id] = None
        self._num_chars += len(prompt or "")
        while len(self._open) > _MAX_PENDING or self._num_chars > _MAX_PENDING_CHARS:
            yield from self._let_go([next(iter(self._open))])

    def _generate(self, request_id: str, line: str, start: int) -> Iterator[Record]:
        self._outputs_logged = True
        # a completion is received under the id of its prompt, the first of possibly several
        request_id = request_id if request_id in self._open else f"{request_id}-0"
        request = self._open.get(request_id)
        if request is None:
            request_id = request_id.removesuffix("-0")
            if request_id in self._ended:
                yield Other()
                return
            # its request came before the log began
            operation = _OPERATIONS.get(request_id.partition("-")[0], "text_completion")
            request = self._open[request_id] = _Request(Call(
                request_id=request_id, provider="vllm", operation=operation, model=self._model,
                tags={"answered_at": _said_at(line)},
            ), 0)  # fmt: skip
        output = self._text_after("", line, start)
        reason = _FINISH.match(line, max(line.rfind("finish_reason: "), 0))
        said = reason[1] if reason and reason[1] not in ("None", "streaming_complete") else None
        request.answers.append(Answer(
            None if output is None else {"role": "assistant", "content": output},
            finish_reason=said, recorded=output is not None,
            error="error" if said in ("error", "abort") else None,
            tokens={"output_tokens": self._count("output_tokens", line)},
        ))  # fmt: skip
        if len(request.answers) < max(request.num_answers, 1):
            yield Other()
        else:
            yield from self._let_go([request_id])

    def _end(self, request_id: str, how: str, line: str) -> Iterator[Record]:
        request = self._open.get(request_id)
        if request is None or (how == "Finished" and self._outputs_logged):
            yield Other()
            return
        if how != "Finished":
            request.call.error_type = how.lower()
        yield from self._let_go([request_id])

    def _respond(self, access: Access, line: str) -> Iterator[Record]:
        """An access line: of the oldest request that still lacks one."""
        kind = access.operation
        if not access.failed and self._answered.get(kind):
            self._answered[kind] -= 1
            yield Other()
            return
        waiting = self._waiting.get(kind, {})
        if access.failed and (access.status < 500 or not waiting):
            # refused before it was logged
            yield self._of_access(access, line)
        elif access.failed:
            oldest = next(iter(waiting))
            call = self._open[oldest].call
            call.http_status = access.status
            if len(waiting) > 1:
                call.tags["http_status_of"] = f"one of {len(waiting)} requests at work"
            yield from self._let_go([oldest], accessed=True)
        elif waiting:
            oldest = next(iter(waiting))
            del waiting[oldest]
            self._responded[oldest] = None
            if self._outputs_logged is None and len(self._responded) >= _MAX_UNTOLD:
                self._outputs_logged = False
            if self._outputs_logged is False:
                yield from self._let_go(list(self._responded))
            else:
                yield Other()
        elif self._requests_logged:
            yield Other()
        else:
            yield self._of_access(access, line)

    def _let_go(self, request_ids: list[str], *, accessed: bool = False) -> Iterator[Record]:
        for request_id in request_ids:
            request = self._open.pop(request_id)
            self._num_chars -= request.num_chars
            self._ended[request_id] = None
            if len(self._ended) > _MAX_PENDING:
                del self._ended[next(iter(self._ended))]
            kind = request.call.operation or ""
            self._waiting.get(kind, {}).pop(request_id, None)
            if request_id in self._responded:
                del self._responded[request_id]
            elif not accessed:
                self._answered[kind] = self._answered.get(kind, 0) + 1
            yield finish(request.call, _together(request), error=request.call.error_type)

    def _of_access(self, access: Access, line: str) -> Record:
        # nothing else tells two such lines apart
        tags: dict[str, Json] = {"path": access.path, "line": self._number}
        when = self._when(line)
        return finish(Call(
            provider="vllm", operation=access.operation, model=self._model,
            http_status=access.status, started_at=when["started_at"], tags={**tags, **when["tags"]},
        ))  # fmt: skip

    def _keep_prompt(self, request_id: str, prompt: str | None) -> None:
        """Its request is logged next."""
        self._prompts = {request_id: prompt}

    def _text_after(self, name: str, line: str, start: int) -> str | None:
        """None also where --max-log-len has cut it."""
        if not line.startswith(name, start):
            return None
        text = text_at(line, start + len(name)).value
        return None if text is None or self._is_cut(len(text)) else text

    def _count(self, name: str, line: str) -> int | None:
        ids = _IDS[name].search(line)
        number = len(ids[1].split(",")) if ids and ids[1].strip() else None
        return None if number is None or self._is_cut(number) else number

    def _is_cut(self, length: int) -> bool:
        return self._max_log_len is not None and length >= self._max_log_len

    def _when(self, line: str) -> dict[str, Any]:
        said = _said_at(line)
        moment = full_time(line) or yearless_time(said or "", self._latest)
        return {"started_at": moment, "tags": {} if said is None else {"logged_at": said}}


reader = VllmReader


def _said_at(line: str) -> str | None:
    said = _LINE.search(line)
    return said[1] if said else None


def _together(request: _Request) -> Answer:
    """The answers to one request (n > 1): the first, with the tokens of all."""
    if not request.answers:
        embeds = request.call.operation == "embeddings"
        return Answer(complete=True) if embeds else NOT_RECORDED
    first, *others = request.answers
    counts = [(answer.tokens or {}).get("output_tokens") for answer in request.answers]
    known = [count for count in counts if count is not None]
    first.tokens = {"output_tokens": sum(known) if len(known) == len(counts) else None}
    first.other_choices = [answer.message for answer in others if answer.message]
    return first
