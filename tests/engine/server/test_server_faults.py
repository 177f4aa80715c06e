"""Requests that fail, block, go away or are cancelled, beside requests that do not: those get the
tokens they get alone, and the server answers on.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from engine import LLM
from engine.execution import readout
from engine.loading.tokenizer import TextCodec
from engine.models.llama import LlamaModel
from engine.requests import answers
from engine.requests.request import Request
from engine.sampling import sampler
from engine.scheduling.core import EngineCore
from engine.scheduling.scheduler import Scheduler
from engine.server import app, text
from engine.server.answers import Answer as ApiAnswer
from engine.server.options import Limits
from tests.engine.server.local_server import LocalServer, serving

SEED = 4242  # the victim's, and nobody else's
LONG = 120
OTHERS: list[dict[str, Any]] = [
    {"prompt": "tell me", "max_tokens": LONG, "temperature": 0, "logprobs": 2},
    {"prompt": [5, 6, 7], "max_tokens": LONG, "temperature": 1.1, "seed": 3},
    {"prompt": "tell me", "max_tokens": LONG, "temperature": 0.5, "seed": 1, "stream": True},
    {"prompt": "x" * 70, "max_tokens": LONG, "temperature": 0, "stop": ["never"], "stream": True},
]
VICTIM = {"prompt": "tell me all", "max_tokens": 40, "temperature": 1.0, "seed": SEED}


@pytest.fixture(scope="module")
def server(chatty: LLM) -> Iterator[LocalServer]:
    with serving(chatty, limits=Limits(max_requests=64, max_body_bytes=64 << 20)) as running:
        yield running


def outcome(server: LocalServer, body: dict[str, Any]) -> Any:
    """What a client keeps of an answer."""
    answer = server.post("completions", body)
    assert answer.status == 200, answer.text
    if body.get("stream"):
        assert answer.text.endswith("data: [DONE]\n\n")
        return "".join(event["choices"][0]["text"] for event in answer.events)
    return answer.json["choices"]


@pytest.fixture(scope="module")
def alone(server: LocalServer) -> list[Any]:
    return [outcome(server, body) for body in OTHERS]


def beside(server: LocalServer, alone: list[Any], act: Callable[[], None]) -> None:
    """The others are in the middle of their answers while `act` runs, and keep them."""
    with ThreadPoolExecutor(len(OTHERS)) as pool:
        running = [pool.submit(outcome, server, body) for body in OTHERS]
        act()
        assert [answer.result(60) for answer in running] == alone
    assert outcome(server, OTHERS[0]) == alone[0], "the server answers on"


def is_victims(values: Any) -> bool:
    for value in values:
        inner = getattr(value, "request", value)
        params = getattr(inner, "params", getattr(getattr(value, "ask", None), "params", None))
        if getattr(params, "seed", None) == SEED:
            return True
        if isinstance(inner, str) and inner == VICTIM["prompt"]:
            return True
        if isinstance(value, (list, tuple)) and value and is_victims(value):
            return True
    return False


SEAMS: dict[str, tuple[object, str]] = {
    "tokenizer": (TextCodec, "encode"),
    "draw": (sampler, "_pick"),
    "logits processing": (sampler, "_edit"),
    "draws of the batch": (readout, "choose"),
    "log-probabilities": (readout, "_tokens"),
    "end of a token": (EngineCore, "_take_token"),
    "stop strings": (answers, "finish_reason"),
    "taking over": (EngineCore, "_advance"),
    "giving back": (Scheduler, "_release"),
    "scheduling": (Scheduler, "_chunk"),
    "pieces of a stream": (ApiAnswer, "pieces"),
    "the whole answer": (ApiAnswer, "_whole_choice"),
}


#: through which only one kind of answer passes
ONLY = {"pieces of a stream": True, "the whole answer": False}
PASSED = [
    (name, stream) for name in SEAMS for stream in (False, True) if ONLY.get(name, stream) == stream
]


@pytest.mark.parametrize("kind", [ValueError, MemoryError, IndexError])
@pytest.mark.parametrize(("name", "stream"), PASSED)
def test_fault_at_any_seam_concerns_one_client(
    server: LocalServer,
    alone: list[Any],
    name: str,
    kind: type[Exception],
    stream: bool,
    monkeypatch: pytest.MonkeyPatch,
):
    where, what = SEAMS[name]
    original = getattr(where, what)
    raised: list[int] = []

    def breaks(*arguments: Any, **named: Any) -> Any:
        if is_victims(arguments):
            raised.append(1)
            if len(raised) > (what in ("_pick", "_edit", "choose", "_tokens", "_take_token")):
                raise kind("injected")
        return original(*arguments, **named)

    def ask() -> None:
        answer = server.post("completions", VICTIM | {"stream": stream})
        if name == "giving back":
            return  # it may have its whole answer by then
        if stream and answer.status == 200:
            *_, last = answer.events
            assert last["error"]["type"] == "server_error"
            assert "[DONE]" not in answer.text
        else:
            assert answer.status == 500
            assert answer.error["type"] == "server_error"

    with monkeypatch.context() as patch:
        patch.setattr(where, what, breaks)
        if what == "finish_reason":
            patch.setattr("engine.scheduling.core.finish_reason", breaks)
        beside(server, alone, ask)
    assert raised


def test_fault_in_the_text_of_a_stream(
    server: LocalServer, alone: list[Any], monkeypatch: pytest.MonkeyPatch
):
    original = text.TextStream.push

    def breaks(stream: Any, token_ids: Any) -> str:
        if stream._stops == ("mark",) and len(token_ids):
            raise UnicodeError("injected")
        return original(stream, token_ids)

    def ask() -> None:
        for stream in (False, True):
            answer = server.post("completions", VICTIM | {"stop": "mark", "stream": stream})
            assert "server_error" in answer.text

    with monkeypatch.context() as patch:
        patch.setattr(text.TextStream, "push", breaks)
        beside(server, alone, ask)


@pytest.mark.parametrize("what", ["forward", "logits"])
def test_step_that_breaks_once_is_nobodys_fault(
    server: LocalServer, alone: list[Any], what: str, monkeypatch: pytest.MonkeyPatch
):
    original = getattr(LlamaModel, what)
    calls: list[int] = []

    def breaks(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) in (5, 40, 60):
            raise RuntimeError("injected")
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(LlamaModel, what, breaks)
        beside(server, alone, lambda: None)
    assert len(calls) > 60


def test_parameters_at_their_bounds(server: LocalServer, alone: list[Any]):
    def ask() -> None:
        for more in (
            {"temperature": 1e-40},
            {"temperature": 5e-324, "top_p": 5e-324},
            {"temperature": 1, "min_p": 1, "top_k": 10**30},
            {"repetition_penalty": 100, "temperature": 1e-5},
        ):
            assert server.post("completions", VICTIM | more).status == 200
        every = {"min_tokens": 3, "stop_token_ids": [*range(259)]}
        answer = server.post("completions", VICTIM | every)
        assert answer.status == 400
        assert "No token can be drawn" in answer.error["message"]

    beside(server, alone, ask)


def test_clients_that_go_away_in_the_middle(server: LocalServer, alone: list[Any]):
    def ask() -> None:
        for stream in (False, True):
            body = json.dumps(VICTIM | {"max_tokens": 900, "stream": stream})
            head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            for cut in (len(head) + 5, None):
                connection = socket.create_connection(("127.0.0.1", server.port))
                # reset, not closed politely
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                connection.sendall((head + body).encode()[:cut])
                if cut is None and stream:
                    connection.recv(100)
                connection.close()

    beside(server, alone, ask)
    wait_until_idle(server)


def test_cancelled_tasks_leave_nothing_behind(
    server: LocalServer, alone: list[Any], monkeypatch: pytest.MonkeyPatch
):
    """As when a middleware or the shutdown cancels what is being answered."""
    tasks: list[asyncio.Task[Any]] = []
    loops: list[asyncio.AbstractEventLoop] = []
    original = app._Server._updates

    def seen(self: Any, answer: Any, exchange: Any) -> Any:
        if is_victims([answer]):
            task = asyncio.current_task()
            assert task is not None
            tasks.append(task)
            loops.append(asyncio.get_running_loop())
        return original(self, answer, exchange)

    def ask() -> None:
        for stream in (False, True):
            with ThreadPoolExecutor(1) as pool:
                asked = pool.submit(
                    server.post, "completions", VICTIM | {"max_tokens": 900, "stream": stream}
                )
                deadline = time.monotonic() + 30
                while len(tasks) <= stream:
                    assert time.monotonic() < deadline
                    time.sleep(0.005)
                loops[-1].call_soon_threadsafe(tasks[-1].cancel)
                with contextlib.suppress(http.client.HTTPException, ConnectionError):
                    assert asked.result(60).status in (200, 500)

    with monkeypatch.context() as patch:
        patch.setattr(app._Server, "_updates", seen)
        beside(server, alone, ask)
    wait_until_idle(server)


def wait_until_idle(server: LocalServer) -> None:
    core: Any = server.llm._engine
    deadline = time.monotonic() + 20
    while core.has_work or core.blocks.num_free != core.blocks.num_blocks:
        assert time.monotonic() < deadline, "somebody's blocks are still taken"
        time.sleep(0.01)
    metrics = server.request("GET", "/metrics").text
    assert "engine_requests_running 0.0" in metrics
    assert "engine_requests_waiting 0.0" in metrics


def test_long_text_is_refused_at_once_and_one_that_is_read_holds_up_nobody(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
):
    started = time.process_time()
    for answer in (
        server.complete(prompt="word " * 1_540_000),
        server.chat(messages=[{"role": "user", "content": "word " * 1_540_000}]),
    ):
        assert (answer.status, answer.error["code"]) == (400, "context_length_exceeded")
    assert time.process_time() - started < 4

    reading, may_end = threading.Event(), threading.Event()
    original = TextCodec.encode

    def slow(codec: TextCodec, text: str, **named: Any) -> Any:
        if len(text) > 100:
            reading.set()
            assert may_end.wait(60)
        return original(codec, text, **named)

    monkeypatch.setattr(TextCodec, "encode", slow)
    with ThreadPoolExecutor(1) as pool:
        # a large body of many texts, each of which could be a prompt
        large = pool.submit(server.complete, prompt=["a" * 200] + ["b"] * 16_000)
        refused = large.result(60)
        assert "at most 64" in refused.error["message"]
        large = pool.submit(server.complete, prompt="a" * 200, metadata={"pad": "x" * 70_000})
        assert reading.wait(60)
        assert server.complete(prompt="a", max_tokens=1).status == 200
        assert server.chat(max_tokens=1).status == 200
        assert not large.done()
        may_end.set()
        assert large.result(60).status == 200


def test_schema_that_refers_to_itself_is_refused(server: LocalServer, alone: list[Any]):
    pytest.importorskip("llguidance")

    def ask() -> None:
        for schema in (
            {"$ref": "#"},
            {"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}},
        ):
            described = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
            for stream in (False, True):
                answer = server.chat(response_format=described, stream=stream)
                assert answer.status == 400
                assert "in a circle" in answer.error["message"]

    beside(server, alone, ask)


def test_engine_thread_outlives_a_fault_of_its_own(
    server: LocalServer, alone: list[Any], monkeypatch: pytest.MonkeyPatch
):
    """Where not even the culprit can be looked for, those in the batch fail, and no later ones."""
    with monkeypatch.context() as patch:
        patch.setattr(EngineCore, "_isolate", lambda *_: (_ for _ in ()).throw(OSError("worse")))
        patch.setattr(Request, "logit_positions", lambda *_: 1 / 0)
        answer = server.post("completions", VICTIM)
        assert answer.status == 500
        assert "OSError" in answer.error["message"]
    assert [outcome(server, body) for body in OTHERS] == alone
    assert server.request("GET", "/health").json == {"status": "ok"}
