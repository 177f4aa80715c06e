"""The server in a thread of the test's own process, so that a test can reach into it: real sockets,
real HTTP, a real engine.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import uvicorn

from engine import LLM
from engine.server.app import make_app
from engine.server.guard import Access, Guard
from engine.server.options import Limits

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def error(self) -> dict[str, Any]:
        """Proved to have OpenAI's shape."""
        error = self.json["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert isinstance(error["message"], str)
        assert error["message"]
        assert isinstance(error["type"], str)
        return dict(error)

    @property
    def events(self) -> list[Any]:
        """Of a stream, without the end that it must have."""
        lines = [line.removeprefix("data: ") for line in self.text.split("\n\n") if line]
        return [json.loads(line) for line in lines if line != "[DONE]"]


@dataclass(frozen=True)
class LocalServer:
    llm: LLM
    port: int

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] = JSON,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read().decode())

    def post(self, path: str, body: object, headers: Mapping[str, str] = JSON) -> Answer:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request("POST", f"/v1/{path}", raw, headers)

    def complete(self, **body: Any) -> Answer:
        return self.post("completions", {"max_tokens": 3, "temperature": 0} | body)

    def chat(self, **body: Any) -> Answer:
        messages = [{"role": "user", "content": "Hi"}]
        return self.post("chat/completions", {"messages": messages, "max_tokens": 3} | body)

    def raw(self, text: bytes, half_close: bool = True) -> bytes:
        """What comes back on a connection of its own until the server closes it. half_close: tell
        it that no more is sent, which it takes for going away where it still computes.
        """
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(text)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            received = b""
            while piece := connection.recv(65536):
                received += piece
            return received


@contextlib.contextmanager
def serving(
    llm: LLM, access: Access | None = None, limits: Limits | None = None
) -> Iterator[LocalServer]:
    core: Any = llm._engine
    core.reset()
    app = make_app(core, "tiny", limits or Limits())
    guarded = Guard(app, access or Access.of("127.0.0.1", (), (), ""))
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(guarded, log_level="critical"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield LocalServer(llm, listening.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()
        assert not thread.is_alive()
