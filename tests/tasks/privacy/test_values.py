"""JSON values: whatever their type and place, and what has to stay as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.privacy.masking import Redactor

CARD = 4111111111111111
MAIL = "ann@example.com"


def masked(value: Any) -> Any:
    return Redactor(key=b"test").value(value)


@pytest.mark.parametrize("card", [CARD, float(CARD), -CARD])
@pytest.mark.parametrize("place", [lambda v: v, lambda v: {"n": v}, lambda v: [[{"a": [v]}]]])
def test_a_card_is_one_as_a_number_too(card: float, place: Any):
    text = json.dumps(masked(place(card)))
    assert "4111" not in text
    assert masked(str(CARD)) in text


@pytest.mark.parametrize(
    "value",
    [
        {"max_tokens": 4096, "temperature": 0.7, "seed": CARD, "n": 1},
        {"created": 1700000000, "at_ms": 1700000000123, "at_ns": 1700000000123456789},
        {"usage": {"prompt_tokens": 123456, "cached_tokens": 0, "user_tokens": 1200}},
        {"cost_usd": 0.00123, "big": 1e300, "id": 123456789012345678, "flag": True, "none": None},
        {"order_id": CARD, "tracking_number": CARD},
        {"password": False, "secret": None, "secrets": 3, "credentials": 0.98},
        {"token": " the", "logprob": -0.1, "bytes": [32, 116]},
        {"auth": "none", "pass": "yes", "key": "greeting", "signature": "def f(x)"},
        {"required": ["username", "password"], "keys": ["password", "email"]},
        {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span": "00f067aa0ba902b7"},
        {"uuid": "123e4567-e89b-12d3-a456-426614174000", "date": "2026-11-24T10:00:31Z"},
        {"sha": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
        {"password": {"type": "string", "description": "password of the user", "minLength": 8}},
    ],
)
def test_counts_prices_times_ids_and_schemas_stay(value: Any):
    assert masked(value) == value


@pytest.mark.parametrize(
    ("value", "hidden"),
    [
        ({"password": 12345678}, "12345678"),
        ({"password": ["hunter22", {"old": "hunter11"}]}, "hunter"),
        ({"credentials": {"user": "annlee", "pass": "hunter22"}}, "hunter"),
        ({"dbPassword": "correcthorse"}, "correct"), ({"DB_PW": "correcthorse"}, "correct"),
        ({"aws_session_token": "correcthorse"}, "correct"),
        ({"Set-Cookie": "sid=correcthorse"}, "correct"),
        ({"headers": [["Authorization", "Token abc12345"]]}, "abc12345"),
        ({"headers": [{"name": "X-Api-Key", "value": "correcthorse"}]}, "correct"),
        ({"key": "db.password", "value": {"stringValue": "correcthorse"}}, "correct"),
        ({"token": "abcd1234efgh"}, "abcd1234"),
        ({"arguments": '{"a": {"password": ["correcthorse"]}}'}, "correct"),
        ({"password": {"type": "string", "default": "correcthorse"}}, "correct"),
        ({"phone": 491701234567}, "491701234567"), ({"mobile": "0393 1144137"}, "1144137"),
        ({"x": {MAIL: 1}}, MAIL), ({"x": {f"of {MAIL}": {MAIL: MAIL}}}, MAIL),
        ({"4111 1111 1111 1111": 1}, "1111"),
        (json.dumps(json.dumps({"to": MAIL})).replace("@", "\\u0040"), "example.com"),
        (json.dumps(json.dumps(json.dumps({"password": "correcthorse"}))), "correct"),
    ],
)  # fmt: skip
def test_a_secret_is_found_whatever_its_type_and_place(value: Any, hidden: str):
    once = masked(value)
    assert hidden not in json.dumps(once)
    assert masked(once) == once


def test_two_members_whose_names_become_one_are_two_still():
    value = masked({MAIL: 1, "ANN@example.com": 2})
    assert sorted(value.values()) == [1, 2]


def test_what_only_looks_masked_is_masked():
    assert masked({"password": "<secret:hunter22>"}) != {"password": "<secret:hunter22>"}
