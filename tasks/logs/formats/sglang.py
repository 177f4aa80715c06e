"""Logs of the SGLang server: the requests it logs as text (--log-requests) or as JSON lines.

A "Finish" line is a call; its "Receive" line tells when it began. In the lower levels of its log
texts and parameters are left out, in the second long ones are cut in their middle, and are no text
then. Access lines are the calls where requests are not logged, and those refused before they were.
Its clock tells no zone. Source: sglang/srt/utils/request_logger.py, its older forms in
tokenizer_manager.py, request_metrics_exporter.py, and uvicorn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from tasks.logs.formats.python_text import MAX_CHARS, value_of
from tasks.logs.formats.server_bodies import is_sglang, read_sglang
from tasks.logs.formats.server_text import Access, access_of, full_time
from tasks.logs.shapes import coerce
from tasks.logs.shapes.answers import finish
from tasks.logs.shapes.json_text import nested
from tasks.logs.shapes.records import Call, Json, Other, Record, UnreadableError

NAME = "sglang"
VERSION = "sglang@1"

_STAMP = r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?: [A-Z_]+\d+)*\] "
_SIGNS = re.compile(
    rf"(?:Receive|Finish)(?: OpenAI)?: obj=\w+\(|{_STAMP}.{{0,80}}(?:Prefill|Decode) batch"
    r"|server_args=ServerArgs\("
)
_RECEIVED = re.compile(r"Receive: (?=obj=\w+\()")
_FINISHED = re.compile(r"Finish: (?=obj=(\w+)\()")
_RID = re.compile(r"\brid='([^']{1,200})'")
_MODEL = re.compile(r"\b(served_model_name|model_path)='([^']{1,300})'")
_EVENT = re.compile(r'\{"timestamp": ?"')
_MAX_OPEN = 4_000
#: of a request that is at work; its "Finish" line mostly repeats it
_MAX_KEPT_CHARS = 16_000


def matches_lines(lines: Sequence[str]) -> bool:
    return any(_SIGNS.search(line) for line in lines)


class SglangReader:
    """Reads one log from its start."""

    def __init__(self, latest: datetime | None = None) -> None:
        self._began: dict[str, tuple[datetime | None, str]] = {}
        self._model: str | None = None
        self._requests_logged = False
        self._num_aborted = 0
        self._number = 0

    def feed(self, line: str) -> Iterator[Record]:
        self._number += 1
        if "server_args=ServerArgs(" in line:
            named = dict(reversed(_MODEL.findall(line)))
            self._model = named.get("served_model_name") or named.get("model_path")
        if (finished := _FINISHED.search(line)) is not None:
            yield self._finish(_parts(line[finished.end() :]), finished[1], full_time(line))
        elif (received := _RECEIVED.search(line)) is not None:
            self._requests_logged = True
            rid = _RID.search(line)
            if rid is not None:
                asked = line[received.end() :]
                kept = asked if len(asked) <= _MAX_KEPT_CHARS else ""
                self._began[rid[1]] = full_time(line), kept
                if len(self._began) > _MAX_OPEN:
                    del self._began[next(iter(self._began))]
            yield Other()
        elif (access := access_of(line)) is not None:
            yield self._respond(access, line)
        elif _EVENT.match(line) and is_event(event := nested(line)):
            yield from records_of_event(event, self._model)
        else:
            yield Other()

    def end(self) -> Iterator[Record]:
        """Requests still at work were counted with their line."""
        return iter(())

    def _finish(self, parts: dict[str, Json], kind: str, ended: datetime | None) -> Record:
        self._requests_logged = True
        asked = coerce.mapping(parts.get("obj"))
        rid = coerce.first(asked, "rid") or coerce.first(_meta(parts.get("out")), "id")
        began, received = self._began.pop(str(rid), (None, ""))
        if received and not ("text" in asked and "sampling_params" in asked):
            with suppress(UnreadableError):
                asked = {**coerce.mapping(_parts(received).get("obj")), **asked}
        call = call_of(asked, parts.get("out"), rid, embeds=kind.startswith("Embedding"))
        call.model = call.model or self._model
        if began is None and ended is not None and call.latency_s is not None:
            began = coerce.earlier(ended, call.latency_s)
        call.started_at = call.started_at or began or ended
        self._num_aborted += call.status == "error"
        return call

    def _respond(self, access: Access, line: str) -> Record:
        if access.failed and self._num_aborted:
            self._num_aborted -= 1
            return Other()
        if self._requests_logged and not access.failed:
            return Other()
        # nothing else tells two such lines apart
        return finish(Call(
            provider="sglang", operation=access.operation, model=self._model,
            http_status=access.status, started_at=full_time(line),
            tags={"path": access.path, "line": self._number},
        ))  # fmt: skip


reader = SglangReader


def is_event(value: Json) -> bool:
    """A line of --log-requests-format json, or of the exporter of request metrics."""
    if not isinstance(value, dict):
        return False
    event = value.get("event")
    if isinstance(event, str) and event.startswith("request.") and "rid" in value:
        return isinstance(value.get("obj"), dict)
    return "request_parameters" in value and "e2e_latency" in value and "prompt_tokens" in value


def records_of_event(value: Json, model: str | None = None) -> Iterator[Record]:
    value = coerce.an_object(value)
    if value.get("event") == "request.received":
        yield Other()
        return
    if not is_event(value):
        raise UnreadableError("no request of SGLang")
    if "request_parameters" in value:
        meta = {key: item for key, item in value.items() if key != "request_parameters"}
        asked, out = nested(value["request_parameters"]), {"meta_info": meta}
    else:
        asked, out = value["obj"], value.get("out")
    call = call_of(coerce.mapping(asked), out, value.get("rid"), embeds=False)
    call.model = call.model or model
    ended = coerce.moment("timestamp", value.get("timestamp"))
    if call.started_at is None and ended is not None:
        call.started_at = coerce.earlier(ended, call.latency_s or 0.0)
    yield call


def call_of(asked: dict[str, Json], out: Json, rid: Json, *, embeds: bool) -> Call:
    """`asked`: what GenerateReqInput holds; `out`: what was sent back, or its counts alone."""
    if not is_sglang(out) and _meta(out):
        out = {**coerce.mapping(out), "meta_info": _meta(out)}
    elif not _meta(out):
        out = {}
    answer = read_sglang(out)
    embeds = embeds or answer.complete
    if embeds:
        answer.complete = True
    prompt = asked.get("text")
    params = asked.get("sampling_params")
    request_id = coerce.text("rid", rid) or answer.response_id
    if answer.response_id is not None and answer.response_id != request_id:
        answer.tags = {**(answer.tags or {}), "response_id": answer.response_id}
    began = coerce.first(_meta(out), "request_received_ts", "request_received_time")
    tags: dict[str, Json] = {"prompt": "rendered"} if isinstance(prompt, str) else {}
    status = coerce.first(coerce.first(_meta(out), "finish_reason"), "status_code")
    return finish(Call(
        request_id=request_id, provider="sglang",
        model=coerce.text("lora", asked.get("lora_path") if isinstance(asked.get("lora_path"), str)
                          else None),
        operation="embeddings" if embeds else "chat" if str(rid).startswith("chatcmpl")
        else "text_completion",
        started_at=coerce.moment("request_received_ts", began) if began else None,
        messages=[{"role": "user", "content": prompt}] if isinstance(prompt, str) else None,
        params=params if isinstance(params, dict) else None, tags=tags,
        http_status=status if isinstance(status, int) and 100 <= status < 600 else None,
    ), replace(answer, response_id=None))  # fmt: skip


def _meta(out: Json) -> dict[str, Json]:
    """The counts, which stand bare in older lines."""
    meta = coerce.first(out, "meta_info")
    if isinstance(meta, dict):
        return meta
    return out if isinstance(out, dict) and "prompt_tokens" in out else {}


def _parts(said: str) -> dict[str, Json]:
    """{"obj", "out"}. Where the request holds what cannot be read, the answer alone."""
    try:
        return coerce.mapping(value_of(f"Line({said.rstrip()})"))
    except UnreadableError:
        out = said.rfind(", out={")
        if out < 0 or len(said) > MAX_CHARS:
            raise
        rid = _RID.search(said[:out])
        known: dict[str, Any] = {} if rid is None else {"rid": rid[1]}
        return {"obj": known, "out": value_of(said[out + len(", out=") :].rstrip())}
