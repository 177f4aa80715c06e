"""Who may use the server: no web page, nobody under a foreign name, nobody without the key."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from engine import LLM
from engine.server.guard import Access
from tests.engine.server.local_server import JSON, LocalServer, serving

BODY = {"prompt": "a", "max_tokens": 1}
KEY = "sk-é-1"


@pytest.fixture(scope="module")
def server(chatty: LLM) -> Iterator[LocalServer]:
    with serving(chatty) as running:
        yield running


@pytest.fixture(scope="module")
def open_server(chatty: LLM) -> Iterator[LocalServer]:
    """On all addresses, behind a name, for one web page, with a key."""
    access = Access.of("0.0.0.0", ("models.example",), ("https://page.example",), KEY)
    with serving(chatty, access) as running:
        yield running


@pytest.mark.parametrize(
    "media_type",
    [
        *("text/plain", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded", ""),
        *("multipart/form-data; boundary=x", "application/jsonp", "text/plain; application/json"),
    ],
)
def test_body_that_a_web_page_may_send_unasked_is_refused(server: LocalServer, media_type: str):
    for route in ("completions", "chat/completions"):
        answer = server.post(route, BODY, {"Content-Type": media_type})
        assert answer.status == 415
        assert "must be application/json" in answer.error["message"]
    assert server.request("POST", "/v1/completions", b"{}", {}).status == 415


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_json_by_any_spelling_is_read(server: LocalServer, media_type: str):
    assert server.post("completions", BODY, {"Content-Type": media_type}).status == 200


@pytest.mark.parametrize(
    ("host", "is_known"),
    [
        *((f"{name}{port}", True) for name in ("localhost", "LOCALHOST", "127.0.0.1", "[::1]")
          for port in ("", ":8000")),
        ("localhost.", True),
        ("127.0.0.2", True),
        ("evil.example", False),
        ("evil.example:8000", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("192.168.0.7", False),
        ("evil@localhost", True),
        ("localhost@evil.example", False),
        ("[::1", False),
        ("", False),
    ],
)  # fmt: skip
def test_only_its_own_names_are_answered_to(server: LocalServer, host: str, is_known: bool):
    for answer in (
        server.post("completions", BODY, JSON | {"Host": host}),
        server.request("GET", "/health", None, {"Host": host}),
        server.request("GET", "/metrics", None, {"Host": host}),
    ):
        assert answer.status == (200 if is_known else 403)
        assert is_known or answer.error["code"] == "host_not_allowed"


def test_two_hosts_are_refused(server: LocalServer):
    text = b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"
    assert server.raw(text).startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://localhost:1", "null", "", "http://127.0.0.1"]
)
def test_page_of_another_origin_is_refused(server: LocalServer, origin: str):
    answer = server.post("completions", BODY, JSON | {"Origin": origin})
    assert (answer.status, answer.error["code"]) == (403, "origin_not_allowed")
    assert server.request("GET", "/v1/models", None, {"Origin": origin}).status == 403


def test_page_of_its_own_origin_is_answered(server: LocalServer):
    own = f"http://127.0.0.1:{server.port}"
    assert server.post("completions", BODY, JSON | {"Origin": own}).status == 200


@pytest.mark.parametrize("route", ["completions", "chat/completions", "nothing"])
def test_length_beside_chunks_is_refused(server: LocalServer, route: str):
    body = json.dumps(BODY).encode()
    head = f"POST /v1/{route} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    both = f"{head}Content-Length: {len(body)}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    smuggled = b"0\r\n\r\nGET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"
    received = server.raw(both + smuggled)
    assert received.startswith(b"HTTP/1.1 400")
    assert received.count(b"HTTP/1.1") == 1, "what follows is not another request"
    assert b"Content-Length and Transfer-Encoding" in received


def test_chunks_alone_are_read(server: LocalServer):
    body = json.dumps(BODY).encode()
    head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    text = head + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    text += b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    assert server.raw(text, half_close=False).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("length", ["-1", "x", "1, 2", "99999999999999999999"])
def test_lengths_that_are_none_are_refused(server: LocalServer, length: str):
    head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    assert server.raw(f"{head}Content-Length: {length}\r\n\r\n".encode()).startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize(
    ("header", "is_right"),
    [
        (f"Bearer {KEY}", True),
        (f"bearer   {KEY}", True),
        (None, False),
        ("", False),
        ("Bearer", False),
        (f"Bearer {KEY}x", False),
        (f"Basic {KEY}", False),
        (KEY, False),
    ],
)
def test_key_is_asked_for_everywhere_but_for_health(
    open_server: LocalServer, header: str | None, is_right: bool
):
    # as the client sends it: bytes, whatever they mean
    own = {"Host": "models.example", "Content-Type": "application/json"}
    if header is not None:
        own["Authorization"] = header.encode().decode("latin-1")
    for answer in (
        open_server.post("completions", BODY, own),
        open_server.request("GET", "/v1/models", None, own),
        open_server.request("GET", "/metrics", None, own),
    ):
        assert answer.status == (200 if is_right else 401)
        assert is_right or answer.error["code"] == "invalid_api_key"
        assert is_right or answer.headers["WWW-Authenticate"] == "Bearer"
    assert open_server.request("GET", "/health", None, own).status == 200


def test_what_was_allowed_is_and_nothing_else(open_server: LocalServer):
    key = {"Authorization": f"Bearer {KEY}".encode().decode("latin-1")}
    for host, origin, status in [
        ("models.example:80", None, 200),
        ("192.168.0.7:8000", None, 200),  # nobody can point an address here as they can a name
        ("other.example", None, 403),
        ("models.example", "https://page.example", 200),
        ("models.example", "http://page.example", 403),
        ("models.example", "http://models.example", 200),
    ]:
        headers = JSON | key | {"Host": host} | ({"Origin": origin} if origin else {})
        assert open_server.post("completions", BODY, headers).status == status, (host, origin)
