from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tasks.errors import UsageError
from tasks.privacy.masking import ALL_KINDS, KINDS, Found, Redactor, _claim, redact_text
from tasks.privacy.patterns import FINDERS
from tests.work import Work, assert_linear, counting

KEY = b"test"

FOUND = {
    "secret": [
        "sk-proj-abc123DEF456ghi789", "sk-ant-api03-AbCdEf0123456789", "AKIAIOSFODNN7EXAMPLE",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789", "github_pat_11ABCDEFG0abcdefghijkl_x",
        "glpat-abcdefghij0123456789", "xoxb-1234567890-abcdefghij",
        "hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXX", "rk_live_abcdefghij0123",
        "sk_test_abcdefghij0123", "whsec_abcdefghijklmnop0123",
        "AIzaSyA1234567890abcdefghijklmnopqrstuv", "ya29.a0AfH6SMBabcdefghijklmnop",
        "hf_abcdefghijklmnopqrstuvwxyzABCDEFGH", "npm_abcdefghijklmnopqrstuvwxyz0123456789",
        "pypi-AgEIcHlwaS5vcmcabcdefghijklmnopqrstuvwxyz0123",
        "SG.abcdefghijklmnopqrst.abcdefghijklmnopqrstuvwxyz",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-def_ghi",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nMIIE without an end",
    ],
    "email": ["ann@example.com", "a.b+c@mail.example.co.uk", "jörg@bücher.de", "o'neil@x.org"],
    "card": ["4111111111111111", "4111 1111 1111 1111", "5500-0000-0000-0004",
             "378282246310005", "6011000990139424"],
    "iban": ["DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "gb82west12345698765432",
             "NO93 8601 1117 947"],
    "ip": ["192.168.10.20", "2001:db8::8a2e:370:7334", "fe80::1"],
    "url": ["https://www.example.com/a?b=c#d", "http://192.168.10.20:8080/x", "www.example.com",
            "ftp://ann@example.com/secret"],
    "phone": ["+49 170 1234567", "+1 (202) 555-0143", "+442079460958", "555-867-5309",
              "(555) 867-5309", "0170 123 4567", "001-518-640-0854", "+46 (0)8 928 571 38"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "value"), [(kind, value) for kind, values in FOUND.items() for value in values]
)
def test_what_is_found_is_masked_and_its_surroundings_stay(kind: str, value: str):
    masked, counts = redact_text(f"see {value} there", key=KEY)
    if "without an end" in value:
        assert masked.startswith("see <secret:")
    else:
        assert masked.startswith(f"see <{kind}:")
        assert masked.endswith("> there")
    assert counts == Counter({kind: 1})


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("password=hunter2", "hunter2"),
        ("Password: hunter2", "hunter2"),
        ('{"api_key": "correcthorse"}', "correcthorse"),
        ('\\"client_secret\\": \\"correcthorse\\"', "correcthorse"),
        ("Authorization: Bearer abcdef0123456789abcdef", "abcdef0123456789abcdef"),
        ("BASIC dXNlcjpwYXNzd29yZDEy", "dXNlcjpwYXNzd29yZDEy"),
        ("postgres://admin:s3cr3t@db.internal:5432/x", "s3cr3t"),
        ("DB_PASSWORD=abcd", "abcd"),
    ],
)
def test_a_secret_is_known_by_what_stands_before_it(text: str, hidden: str):
    masked, counts = redact_text(text, key=KEY)
    assert hidden not in masked
    assert counts["secret"] == 1
    assert masked.split("<secret:")[0] == text.split(hidden)[0]


@pytest.mark.parametrize(
    "text",
    [
        "order A-20417 was split into 1234-5678 and 20417-5532", "ticket 1234567890",
        "tracking 9400 1118 9956 2231 1234 56", "your order number 555-867-5309 is late",
        "shipped 2024-11-05 at 12:30:45, again 05.11.2024", "total 1,234,567.89 EUR",
        "version 1.2.3 and v1.2.3.4", "the 3-2-1 rule for 10 000 000 people",
        "card 4111 1111 1111 1112", "DE89 3704 0044 0532 0130 02", "IBANs start with DE89",
        "std::vector and cafe::bad", "password: required", "api_key=<your key>", "token budget 512",
        "password=${PASSWORD}", "max_tokens=64", "@mention and a@b", "sk-learn-is-a-long-name",
        "call it 42", "basic understanding of things", "1111111111111111", "trace 1700000000000",
        "risk-assessment-of-sk-things", "evens = l[::2], odds = l[1::2]",
        "f('@this1_is6_valid.exe')",
        "docker run -v $PWD:/e2e -w /e2e x", "order number 4111111111111111 shipped",
    ],
)  # fmt: skip
def test_ordinary_numbers_and_words_stay(text: str):
    assert redact_text(text, key=KEY) == (text, Counter())


@pytest.mark.parametrize(
    "text",
    ["call me at 467 3395", "Mobile: 0393 1144137", "they do not answer at 78 651 450",
     "99 668472 fax", "phone number 9498777106"],
)  # fmt: skip
def test_a_short_number_is_a_phone_only_next_to_a_word_that_says_so(text: str):
    assert redact_text(text, key=KEY)[1] == Counter({"phone": 1})
    number = "".join(c for c in text if c.isdigit() or c == " ").strip()
    assert redact_text(f"item {number} is here", key=KEY)[1] == Counter()


def test_pseudonyms_are_the_same_for_the_same_thing_and_need_the_key():
    masked, _ = redact_text("a@x.com A@X.COM b@x.com", key=KEY)
    first, second, third = masked.split()
    assert first == second != third
    assert redact_text("a@x.com", key=b"other")[0] != first
    assert redact_text("4111 1111 1111 1111", key=KEY) == redact_text("4111111111111111", key=KEY)


def test_a_quotation_mark_is_no_part_of_an_address():
    masked, _ = redact_text("'a@x.com' a@x.com", key=KEY)
    assert masked.split()[0] == f"'{masked.split()[1]}'"


def test_masking_twice_changes_nothing():
    text = " and ".join(value for values in FOUND.values() for value in values)
    once, _ = redact_text(text, key=KEY)
    assert redact_text(once, key=KEY) == (once, Counter())


@pytest.mark.parametrize(
    ("text", "masked"),
    [("see (https://example.com/a), or", "see (<url:>), or"), ("www.example.com.", "<url:>."),
     ("the www. of things, http:// alone", "the www. of things, http:// alone"),
     ("https://u:hunter2@example.com/?q=a@b.com x", "<url:> x")],
)  # fmt: skip
def test_an_address_of_the_web_is_masked_whole_and_no_more(text: str, masked: str):
    assert (
        re.sub("<url:[0-9a-f]+>", "<url:>", redact_text(text, ("url", "email"), KEY)[0]) == masked
    )
    again = redact_text(text, ("url", "email"), KEY)[0]
    assert redact_text(again, key=KEY)[0] == again


SIGNS = st.sampled_from([
    "@", "a.de", "1", "22", "+49 ", "170", " ", "-", ".", ":", "://", "www.", "sk-", "abc123",
    "password", "token", "=", '"', "Bearer ", "DE89", "37040044", "0532013000", "4111", "::",
    "é", "call", "KEY", "PRIVATE KEY", "ghp_", "_live_", "eyJ", "x" * 20, "tel", "(0)", "\n",
])  # fmt: skip


@given(st.lists(SIGNS, max_size=14).map("".join))
@example("1::")  # the shortest there is
def test_looking_only_where_a_text_hints_at_something_finds_all_there_is(text: str):
    everywhere: list[Found] = []
    for finder in FINDERS:
        for start, end in finder.find(text):
            _claim(everywhere, Found(start, end, finder.kind, text[start:end]))
    assert Redactor(KINDS, KEY)._as_written(text) == everywhere


def test_kinds_may_be_left_out():
    text = "ann@example.com 192.168.10.20"
    assert "ann@example.com" in redact_text(text, ("ip",), KEY)[0]
    assert redact_text(text, (), KEY) == (text, Counter())
    assert Redactor(("ip",)).value({"password": "hunter22"}) == {"password": "hunter22"}


def test_an_unknown_kind_names_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'email'") as caught:
        Redactor(("emial",))
    assert caught.value.allowed == ", ".join(ALL_KINDS)


def test_values_and_the_names_of_members_are_walked():
    redactor = Redactor(key=KEY)
    value: dict[str, Any] = {
        "ann@example.com": [1, None, True, {"note": "ann@example.com"}],
        "password": "correcthorse", "token": "the", "x-api-key": 5, "secret": "",
    }  # fmt: skip
    masked = redactor.value(value)
    name, *others = masked
    assert name.startswith("<email:")
    assert others == ["password", "token", "x-api-key", "secret"]
    assert masked[name] == [1, None, True, {"note": name}]
    assert masked["password"].startswith("<secret:")
    assert (masked["token"], masked["x-api-key"], masked["secret"]) == ("the", 5, "")
    assert redactor.counts == Counter({"email": 2, "secret": 1})
    assert redactor.value(masked) == masked


def test_json_inside_a_text_is_masked_inside():
    arguments = json.dumps({"to": "a\u0040x.com", "api_key": "correcthorse"}).replace(
        "@", "\\u0040"
    )
    masked = Redactor(key=KEY).value({"arguments": arguments})
    inner = json.loads(masked["arguments"])
    assert inner["to"].startswith("<email:")
    assert inner["api_key"].startswith("<secret:")


def test_untouched_json_keeps_its_spelling():
    redactor = Redactor(key=KEY)
    assert redactor.json('{ "a" : "b" }') == '{ "a" : "b" }'
    assert redactor.json('{"b":1,"a":"x@y.de"}').startswith('{"a":"<email:')
    assert redactor.value('{ "a": 1.0 }') == '{ "a": 1.0 }'
    assert redactor.value("[not json]") == "[not json]"


@given(st.text(max_size=60))
def test_any_text_may_be_masked_and_again(text: str):
    once, _ = redact_text(text, key=KEY)
    assert redact_text(once, key=KEY)[0] == once


@given(st.text("abc1@.:+-( 0/=", max_size=80))
def test_texts_full_of_signs_are_stable(text: str):
    once, _ = redact_text(text, key=KEY)
    assert redact_text(once, key=KEY)[0] == once


@pytest.mark.parametrize(
    "piece",
    ["1234567890123 ", "a@", "0", "12 ", "a:", "::", "eyJ", "sk-", "password=", "1.1.1.1.",
     "-----BEGIN PRIVATE KEY-----", "(0", "://a:", "bearer ", '\\"', "[[", "+1", "x"],
)  # fmt: skip
def test_hostile_texts_take_linear_work(piece: str, monkeypatch: pytest.MonkeyPatch):
    work = Work()
    masking = counting(monkeypatch, work, "tasks.privacy.masking", with_package=True)
    redactor = masking.Redactor(key=KEY)
    assert_linear(lambda n: work.of(lambda: redactor.value(piece * (n // len(piece)))), 1_000)
