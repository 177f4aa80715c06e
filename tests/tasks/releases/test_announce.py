"""Whoever is to hear of a move: a server on loopback, and programs of this machine."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tasks.releases.announce import Heard, announce
from tasks.settings import Settings, parse_settings

EVENT = {"event": "promote", "by": "Zoë", "champion": {"release": "new"}}


class Server(HTTPServer):
    """Answers with the statuses of `planned`, one a request, then with 204."""

    def __init__(self, planned: list[Any]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.planned = planned
        self.got: list[tuple[str, Message, bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, self.headers, body))
        answer = self.server.planned.pop(0) if self.server.planned else 204
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(*planned: Any) -> Iterator[Server]:
    with Server(list(planned)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def told(settings: Settings, **of: Any) -> tuple[list[Heard], list[float]]:
    waits: list[float] = []
    heard = list(announce(settings, EVENT, "the hash", sleep=waits.append, **of))
    return heard, waits


def to(base: Path, **promotion: Any) -> Settings:
    return parse_settings({"promotion": promotion}, base=str(base))


def test_a_post_is_signed_and_has_one_key_however_often_it_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOOK_SECRET", "s3cret")
    with serving(503, (429, {"Retry-After": "7"}), 500) as server:
        settings = to(tmp_path, webhook=f"{server.url}/hook", secret_env="HOOK_SECRET")
        heard, waits = told(settings)
    assert heard == [Heard("webhook")]
    assert len(server.got) == 4
    for path, headers, body in server.got:
        assert path == "/hook"
        assert json.loads(body) == EVENT
        assert headers["Content-Type"] == "application/json"
        assert headers["Idempotency-Key"] == "the hash"
        mac = hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
        assert headers["X-Flywheel-Signature"] == f"sha256={mac}"
        assert b"s3cret" not in body
    assert waits[1] == 7
    assert waits[0] <= 0.5
    assert waits[2] <= 2


def test_what_does_not_get_better_is_tried_once_and_all_else_so_often(tmp_path: Path):
    for status in (400, 401, 404, 410):
        with serving(status, 204) as server:
            heard, _ = told(to(tmp_path, webhook=server.url))
        assert heard == [Heard("webhook", f"127.0.0.1: status {status}")]
        assert len(server.got) == 1
        assert "X-Flywheel-Signature" not in server.got[0][1]
    with serving(*[503] * 9) as server:
        heard, waits = told(to(tmp_path, webhook=server.url, max_retries=2))
    assert heard == [Heard("webhook", "127.0.0.1: status 503, 3 times")]
    assert (len(server.got), len(waits)) == (3, 2)
    with serving((503, {"Retry-After": "3600"})) as server:
        (one,), waits = told(to(tmp_path, webhook=server.url))
    assert "asks to wait 3600 s" in one.why
    assert waits == []
    gone = server.url
    (one,), waits = told(to(tmp_path, webhook=gone, max_retries=1))
    assert "refused" in one.why
    assert len(waits) == 1


def test_a_redirect_takes_the_signature_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOOK_SECRET", "s3cret")
    with serving() as other, serving((302, {"Location": f"{other.url}/x"})) as server:
        (one,), _ = told(to(tmp_path, webhook=server.url, secret_env="HOOK_SECRET"))
    assert one.why == "127.0.0.1: status 302"
    assert other.got == []


def test_nothing_goes_out_unsigned_and_no_address_is_told(tmp_path: Path):
    with serving() as server:
        settings = to(tmp_path, webhook=f"{server.url}/T0KEN", secret_env="HOOK_SECRET")
        (one,), _ = told(settings)
    assert "HOOK_SECRET is not set" in one.why
    assert server.got == []
    (one,), _ = told(to(tmp_path, webhook=f"{server.url}/T0KEN", max_retries=0))
    assert one.why
    assert "T0KEN" not in one.why


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_a_command_gets_the_event_and_no_shell(tmp_path: Path):
    code = "import sys; open(sys.argv[1], 'wb').write(sys.stdin.buffer.read()); print('done')"
    settings = to(tmp_path, command=(*python(code), "got; touch more"))
    assert told(settings)[0] == [Heard("command")]
    (made,) = tmp_path.iterdir()
    assert made.name == "got; touch more"
    assert json.loads(made.read_bytes()) == EVENT


def test_what_a_command_says_when_it_fails_is_its_last_line(tmp_path: Path):
    code = "import sys; print('first'); print('no \\x1b[31mroute'); sys.exit(3)"
    ((one,), _) = told(to(tmp_path, command=python(code)))
    assert one.why == f"{sys.executable} ended with 3: no \\x1b[31mroute"
    ((one,), _) = told(to(tmp_path, command=("./nowhere",)))
    assert "cannot be started" in one.why


def test_a_command_that_does_not_end_is_ended_with_all_it_started(tmp_path: Path):
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "open('pid', 'w').write(str(child.pid))\n"
        "time.sleep(600)"
    )
    ((one,), _) = told(to(tmp_path, command=python(code), timeout_s=1.5))
    assert "did not end within 1.5 s" in one.why
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and is_running(pid):
        time.sleep(0.05)
    assert not is_running(pid)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_only_those_that_wait_are_told(tmp_path: Path):
    with serving() as server:
        settings = to(tmp_path, webhook=server.url, command=python("import sys; sys.exit(1)"))
        assert told(settings, only=("webhook",))[0] == [Heard("webhook")]
        assert [one.subject for one in told(settings, only=("command",))[0]] == ["command"]
        assert told(settings, only=())[0] == []
    assert told(to(tmp_path))[0] == []
