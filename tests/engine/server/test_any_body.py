"""Any body at all gets 200 or a refusal in OpenAI's shape, and the next request is answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engine import LLM
from engine.server import neutral
from tests.engine.server.local_server import Answer, LocalServer, serving
from tests.engine.server.test_ported_requests import (
    NEUTRAL_FOR_BOTH,
    NEUTRAL_FOR_CHAT,
    REFUSED_FOR_BOTH,
    REFUSED_FOR_CHAT,
    REFUSED_FOR_COMPLETIONS,
)

ROUTES = ("completions", "chat/completions")
KNOWN = sorted(
    {
        *(NEUTRAL_FOR_BOTH | NEUTRAL_FOR_CHAT | REFUSED_FOR_BOTH),
        *(REFUSED_FOR_CHAT | REFUSED_FOR_COMPLETIONS),
        *(neutral.NEUTRAL | dict.fromkeys(neutral.IGNORED)),
        *("model", "messages", "prompt", "logprobs", "top_logprobs", "max_completion_tokens"),
    }
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 30),
    st.integers(),
    st.sampled_from([2**63, -(2**63), 10**40, 10**4200, 1e-40, 5e-324, 1e308, -0.0, 0.5]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["tiny", "user", "text", "json_schema", "none", "auto", "\x00", "é😀"]),
)
NAMES = st.one_of(
    st.text(max_size=6),
    st.sampled_from(["role", "content", "type", "text", "schema", "json_schema", "$ref", *KNOWN]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=12,
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.one_of(st.sampled_from(["user", "assistant", "system"]), VALUES)},
        optional={"content": VALUES, "name": VALUES, "tool_calls": VALUES},
    ),
    max_size=3,
)
BODIES = st.dictionaries(st.sampled_from(KNOWN), VALUES, max_size=4)


@pytest.fixture(scope="module")
def server(chatty: LLM) -> Iterator[LocalServer]:
    with serving(chatty) as running:
        yield running


def check(answer: Answer) -> None:
    if answer.status == 200:
        for event in answer.events if answer.text.startswith("data:") else [answer.json]:
            error = event.get("error")
            assert error is None or error["type"] == "invalid_request_error", error
        return
    assert 400 <= answer.status < 500, answer.text
    assert answer.error["type"] == "invalid_request_error"


def still_answers(server: LocalServer) -> None:
    assert server.complete(prompt="a", max_tokens=2).json["usage"]["completion_tokens"] == 2


@given(st.sampled_from(ROUTES), BODIES, MESSAGES, VALUES)
@settings(max_examples=400, suppress_health_check=list(HealthCheck))
@example("chat/completions", {"top_k": 10**4200}, [], "a")
@example("completions", {"min_tokens": 10**4200}, [], "a")
@example("completions", {"seed": -(10**300)}, [], "a")
@example("completions", {"stop": "\x00" * 9}, [], ["a", [1, 2]])
@example("completions", {}, [], [1, 2**70])
@example("completions", {"stop_token_ids": [2**80]}, [], "a")
@example("completions", {"temperature": 10**400}, [], "a")
@example("chat/completions", {"response_format": {"type": ["a"]}}, [], "a")
@example("chat/completions", {}, [{"role": ["user"], "content": "a"}], "a")
@example("chat/completions", {}, [{"role": "user", "content": [{"type": {}}]}], "a")
def test_body_of_known_fields_with_any_values(
    server: LocalServer, route: str, body: dict[str, Any], messages: list[Any], prompt: Any
):
    asked = {"max_tokens": 2, "prompt" if route == "completions" else "messages": messages}
    if route == "completions":
        asked["prompt"] = prompt
    body = asked | body
    if not isinstance(body["max_tokens"], int) or body["max_tokens"] > 9:
        del body["max_tokens"]  # else every answer is as long as the context
    body.setdefault("max_tokens", 2)
    check(server.post(route, json.dumps(body).encode()))
    still_answers(server)


@given(st.sampled_from(ROUTES), VALUES)
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
def test_any_json_at_all(server: LocalServer, route: str, body: Any):
    check(server.post(route, json.dumps(body).encode()))
    still_answers(server)


@given(st.sampled_from(ROUTES), st.binary(max_size=60))
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@example("completions", b'{"prompt": "\\ud800", "max_tokens": 1}')
@example("chat/completions", b'{"messages": [{"role": "user", "content": "\\udc00"}]}')
@example("completions", b'{"prompt": "a", "max_tokens": 1, "max_tokens": 2}')
@example("completions", b'{"prompt": "a", "temperature": NaN}')
@example("completions", b'{"prompt": "a", "temperature": Infinity}')
@example("completions", b'{"prompt": "a", "temperature": 1e999}')
@example("completions", b"\xef\xbb\xbf{}")
@example("completions", b'{"prompt": "\xff"}')
@example("completions", b"[" * 100_000)
@example("chat/completions", b'{"messages": [' + b'{"role": ' * 50_000)
@example("completions", b'{"prompt": ' + b"9" * 100_000 + b"}")
@example("completions", b'{"prompt": [' + b"9" * 5_000 + b'], "max_tokens": 1}')
@example("completions", b'{"prompt": "a", "x": ' + b"9" * 4_500 + b"}")
def test_any_bytes_at_all(server: LocalServer, route: str, body: bytes):
    check(server.post(route, body))
    still_answers(server)


@given(st.dictionaries(NAMES, VALUES, max_size=5))
@settings(max_examples=80, suppress_health_check=list(HealthCheck))
def test_any_schema(server: LocalServer, schema: dict[str, Any]):
    pytest.importorskip("llguidance")
    described = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    check(server.chat(response_format=described, max_tokens=3))
    still_answers(server)
