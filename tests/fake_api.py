"""A server of the APIs that releases may name, on loopback, which misbehaves as it is told to.

It answers by what it is asked, so an answer is right or wrong to the letter, and keeps account:
every request it got, and every answer that it sent whole and would have billed.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: all that it can do instead of answering
FAULTS = (
    "429", "429 date", "500", "cut", "reset", "slow", "wrong json", "html", "empty", "error in 200",
)  # fmt: skip


@dataclass
class Books:
    """What the server saw; `billed`: prompt → answers that it sent whole."""

    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    billed: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    under_way: int = 0
    most_under_way: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def answer_to(prompt: str) -> str:
    return f"echo {prompt}"


@dataclass
class FakeApi:
    """`behave`: how many requests came before, and the body → a fault, a status with its body, or
    None for an answer. `pause_s`: before the first and before the last part of an answer. `call`:
    the body → name and arguments of a tool that it calls instead of saying something."""

    behave: Callable[[int, dict[str, Any]], str | tuple[int, Any] | None]
    call: Callable[[dict[str, Any]], tuple[str, dict[str, Any]] | None] = lambda _: None
    answer: Callable[[dict[str, Any]], str] = lambda body: answer_to(prompt_of(body))
    pause_s: float = 0.0
    slow_s: float = 2.0
    retry_after_s: int = 0
    model: str = "big-1"
    build: str = "fp_1"
    books: Books = field(default_factory=Books)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


@contextlib.contextmanager
def serving_api(
    behave: Callable[[int, dict[str, Any]], str | tuple[int, Any] | None] = lambda _, __: None,
    **options: Any,
) -> Iterator[FakeApi]:
    api = FakeApi(behave, **options)

    class Handler(_Handler):
        pass

    Handler.api = api
    server = _Server(("127.0.0.1", 0), Handler)
    api.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that are gone are what this server is for."""


class _Handler(BaseHTTPRequestHandler):
    api: FakeApi
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.api.books.headers.append({k.lower(): v for k, v in self.headers.items()})
        told = self.api.behave(-1, {"path": self.path})
        if isinstance(told, tuple):
            self._json(*told)
        else:
            self._json(200, {"object": "list", "data": [{"id": self.api.model}]})

    def do_POST(self) -> None:
        api, books = self.api, self.api.books
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        prompt = prompt_of(body)
        with books.lock:
            number = len(books.bodies)
            books.bodies.append(body)
            books.headers.append({k.lower(): v for k, v in self.headers.items()})
            books.asked[prompt] += 1
            books.under_way += 1
            books.most_under_way = max(books.most_under_way, books.under_way)
        try:
            fault = api.behave(number, body)
            with books.lock:
                books.faults[fault if isinstance(fault, str) else "none"] += 1
            if isinstance(fault, tuple):
                self._json(*fault)
            elif fault is None:
                called = api.call(body)
                text = api.answer(body)
                events = _events(self.path, api, prompt, text)
                self._stream(_calling(self.path, events, *called) if called else events)
                with books.lock:
                    books.billed[prompt] += 1
            else:
                self._misbehave(fault, prompt)
        except OSError:
            self.close_connection = True  # the client is gone
        finally:
            with books.lock:
                books.under_way -= 1

    def _misbehave(self, fault: str, prompt: str) -> None:
        api = self.api
        events = _events(self.path, api, prompt)
        if fault in ("429", "429 date"):
            later = datetime.now(UTC) + timedelta(seconds=api.retry_after_s)
            date = format_datetime(later, usegmt=True)
            value = str(api.retry_after_s) if fault == "429" else date
            error = {"message": "slow down", "type": "rate_limit_error", "code": None}
            self._json(429, {"error": error}, {"Retry-After": value})
        elif fault == "500":
            self._json(500, {"error": {"message": "oops", "type": "server_error"}})
        elif fault == "cut":
            self._stream(events[: len(events) // 2], whole=False)
        elif fault == "reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
        elif fault == "slow":
            time.sleep(api.slow_s)
            self.close_connection = True
        elif fault == "wrong json":
            self._stream(["data: {this is no JSON\n\n"])
        elif fault == "html":
            self._send(200, "text/html", b"<!doctype html><html><body>Hello from a proxy</body>")
        elif fault == "empty":
            self._stream(_without_choices(events))
        elif fault == "error in 200":
            self._json(200, {"error": {"message": "try later", "type": "server_error"}})
        else:
            raise AssertionError(fault)

    def _json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, "application/json", json.dumps(value).encode(), headers)

    def _send(
        self, status: int, kind: str, data: bytes, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)),
                            **(headers or {})}.items():  # fmt: skip
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, events: list[str], *, whole: bool = True) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number, event in enumerate(events):
            if self.api.pause_s and number in (0, len(events) - 1):
                time.sleep(self.api.pause_s)
            data = event.encode()
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        if whole:
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.close_connection = True


def prompt_of(body: dict[str, Any]) -> str:
    """The last thing that was said."""
    if "prompt" in body:
        return str(body["prompt"])
    if "contents" in body:
        return str(body["contents"][-1]["parts"][0].get("text"))
    messages = body.get("messages") or body.get("input")
    assert messages, body
    content = messages[-1].get("content")
    return str(content[0].get("text")) if isinstance(content, list) else str(content)


def _calling(path: str, events: list[str], name: str, arguments: dict[str, Any]) -> list[str]:
    """The same stream with a call of a tool, in two parts, instead of the text."""
    said = json.dumps(arguments)
    values = [json.loads(event.partition("data: ")[2]) for event in events if "[DONE]" not in event]
    if path.endswith("/chat/completions"):
        for value, part in zip(values, (
            {"id": "c1", "type": "function", "function": {"name": name, "arguments": said[:4]}},
            {"function": {"arguments": said[4:]}},
        ), strict=False):  # fmt: skip
            value["choices"][0]["delta"] = {"tool_calls": [{"index": 0, **part}]}
        values[2]["choices"][0]["finish_reason"] = "tool_calls"
        return [*(f"data: {json.dumps(value)}\n\n" for value in values), "data: [DONE]\n\n"]
    if path.endswith("/responses"):
        item = {"type": "function_call", "id": "f", "call_id": "c1", "name": name,
                "arguments": said, "status": "completed"}  # fmt: skip
        last = values[-1]
        last["response"]["output"] = [item]
        done = {"type": "response.output_item.done", "sequence_number": 1, "output_index": 0,
                "item": item}  # fmt: skip
        return _named([values[0], done, last])
    if path.endswith("/messages"):
        start, *deltas = [value for value in values if value["type"].startswith("content_block")]
        start["content_block"] = {"type": "tool_use", "id": "c1", "name": name, "input": {}}
        for delta, part in zip(deltas, (said[:4], said[4:]), strict=False):
            delta["delta"] = {"type": "input_json_delta", "partial_json": part}
        return _named(values)
    for value in values:
        value["candidates"][0]["content"]["parts"] = []
    called = {"functionCall": {"name": name, "args": arguments}}
    values[0]["candidates"][0]["content"]["parts"] = [called]
    return [f"data: {json.dumps(value)}\r\n\r\n" for value in values]


def _events(path: str, api: FakeApi, prompt: str, text: str | None = None) -> list[str]:
    """The stream of one answer, in three parts."""
    text = answer_to(prompt) if text is None else text
    parts = [text[:3], text[3:]]
    tokens = {"prompt_tokens": len(prompt), "completion_tokens": len(text)}
    head = {"id": "x", "created": 1, "model": api.model, "system_fingerprint": api.build}
    if path.endswith("/chat/completions"):
        return _chunks(head, "chat.completion.chunk", [
            {"delta": {"role": "assistant", "content": part}} for part in parts
        ], {"delta": {}}, tokens)  # fmt: skip
    if path.endswith("/completions"):
        told = [{"text": part} for part in parts]
        return _chunks(head, "text_completion", told, {"text": ""}, tokens)
    if path.endswith("/responses"):
        return _responses(api, parts, tokens)
    if path.endswith("/messages"):
        return _messages(api, parts, tokens)
    return _gemini(api, parts, tokens)


def _chunks(
    head: dict[str, Any], kind: str, told: list[dict[str, Any]], last: dict[str, Any], tokens: Any
) -> list[str]:
    one = {"index": 0, "finish_reason": None}
    choices = [[{**one, **part}] for part in told]
    choices.append([{**one, **last, "finish_reason": "stop"}])
    lines = [{**head, "object": kind, "choices": choice} for choice in choices]
    usage = {**tokens, "total_tokens": sum(tokens.values()),
             "prompt_tokens_details": {"cached_tokens": 1}}  # fmt: skip
    lines.append({**head, "object": kind, "choices": [], "usage": usage})
    return [*(f"data: {json.dumps(line)}\n\n" for line in lines), "data: [DONE]\n\n"]


def _named(events: list[dict[str, Any]]) -> list[str]:
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]


def _responses(api: FakeApi, parts: list[str], tokens: dict[str, int]) -> list[str]:
    usage = {
        "input_tokens": tokens["prompt_tokens"], "output_tokens": tokens["completion_tokens"],
        "total_tokens": sum(tokens.values()),
        "input_tokens_details": {"cached_tokens": 1},
        "output_tokens_details": {"reasoning_tokens": 0},
    }  # fmt: skip
    said = {"type": "output_text", "text": "".join(parts), "annotations": []}
    message = {"type": "message", "id": "m", "role": "assistant", "status": "completed",
               "content": [said]}  # fmt: skip
    response = {
        "id": "r", "object": "response", "created_at": 1, "model": api.model, "output": [],
        "status": "in_progress", "incomplete_details": None, "error": None, "usage": None,
    }  # fmt: skip
    of_text = {"item_id": "m", "output_index": 0, "content_index": 0, "logprobs": []}
    done = {**response, "status": "completed", "output": [message], "usage": usage}
    return _named([
        {"type": "response.created", "sequence_number": 0, "response": response},
        *({"type": "response.output_text.delta", "sequence_number": 1, "delta": part, **of_text}
          for part in parts),
        {"type": "response.completed", "sequence_number": 2, "response": done},
    ])  # fmt: skip


def _messages(api: FakeApi, parts: list[str], tokens: dict[str, int]) -> list[str]:
    usage = {"input_tokens": tokens["prompt_tokens"] - 1, "output_tokens": 1,
             "cache_read_input_tokens": 1}  # fmt: skip
    message = {
        "id": "m", "type": "message", "role": "assistant", "model": api.model, "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": usage,
    }  # fmt: skip
    block = {"type": "text", "text": ""}
    return _named([
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *({"type": "content_block_delta", "index": 0,
           "delta": {"type": "text_delta", "text": part}} for part in parts),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
         "usage": {"output_tokens": tokens["completion_tokens"]}},
        {"type": "message_stop"},
    ])  # fmt: skip


def _gemini(api: FakeApi, parts: list[str], tokens: dict[str, int]) -> list[str]:
    usage = {"promptTokenCount": tokens["prompt_tokens"],
             "candidatesTokenCount": tokens["completion_tokens"],
             "totalTokenCount": sum(tokens.values()), "cachedContentTokenCount": 1}  # fmt: skip
    lines: list[dict[str, Any]] = [
        {"candidates": [{"content": {"role": "model", "parts": [{"text": part}]}, "index": 0}],
         "modelVersion": api.model}
        for part in parts
    ]  # fmt: skip
    lines[-1]["candidates"][0]["finishReason"] = "STOP"
    lines[-1]["usageMetadata"] = usage
    return [f"data: {json.dumps(line)}\r\n\r\n" for line in lines]


def _without_choices(events: list[str]) -> list[str]:
    """The same answer with nothing in it."""
    empty = []
    for event in events:
        name, _, data = event.rpartition("data: ")
        if data.startswith("[DONE]"):
            empty.append(event)
            continue
        value = json.loads(data)
        if "choices" in value:
            value["choices"] = []
        elif "candidates" in value:
            value["candidates"] = []
        elif "delta" in value and value.get("type", "").endswith("delta"):
            if value["type"] != "message_delta":
                continue
        elif value.get("type") == "response.completed":
            value["response"]["output"] = []
        elif value.get("type", "").startswith("content_block"):
            continue
        empty.append(f"{name}data: {json.dumps(value)}\n\n")
    return empty
