"""One address, one card, however they are spelled; and the same pseudonym for each spelling."""

from __future__ import annotations

import base64
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.privacy.masking import Redactor
from tasks.privacy.spellings import plain

MAIL = "ann.lee@example.com"
KEY = b"test"
SPELLINGS = [
    "ann.lee%40example.com", "ann.lee%2540example.com", "ann.lee&#64;example.com",
    "ann.lee&#x40;example.com", "ann.lee&commat;example.com", "ann.lee\\u0040example.com",
    "ann.lee\\\\u0040example.com", "ann.lee\\x40example.com", "ann.lee@exam\u200bple.com",
    "ann\u2060.lee\ufeff@example.com", "ａｎｎ．ｌｅｅ＠ｅｘａｍｐｌｅ．ｃｏｍ",
    "ann.lee＠example.com", "𝐚𝐧𝐧.lee@example.com", "ann.lee (at) example.com",
    "ann.lee[at]example.com", "ann.lee [at] example [dot] com", "ann.lee at example dot com",
    "ann.lee(at)example(dot)com", base64.b64encode(MAIL.encode()).decode(),
    base64.urlsafe_b64encode(MAIL.encode()).decode().rstrip("="),
]  # fmt: skip
CARDS = [
    "4111 1111 1111 1111", "4111-1111-1111-1111", "4111.1111.1111.1111", "4111/1111/1111/1111",
    "4111\n1111\n1111\n1111", "4111\r\n1111\r\n1111\r\n1111", "4111\u00a01111\u00a01111\u00a01111",
    "4111–1111–1111–1111", "4111_1111_1111_1111", "４１１１ １１１１ １１１１ １１１１",
    "4111\u200b1111\u200b1111\u200b1111", "4111  1111  1111  1111", "٤١١١١١١١١١١١١١١١",
]  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_address_has_one_pseudonym_in_every_spelling(spelling: str):
    redactor = Redactor(key=KEY)
    expected = redactor.text(f"write to {MAIL} now")
    assert redactor.text(f"write to {spelling} now") == expected


@pytest.mark.parametrize("spelling", CARDS)
def test_a_card_has_one_pseudonym_in_every_spelling(spelling: str):
    redactor = Redactor(key=KEY)
    expected = redactor.text("card 4111111111111111 of Ann")
    assert redactor.text(f"card {spelling} of Ann") == expected


@pytest.mark.parametrize(
    "secret", ["password=hunter2hunter2", "sk-proj-abc123DEF456ghi789jkl", "DB_PW: a1b2c3d4"]
)
def test_base64_of_a_secret_is_one(secret: str):
    hidden = base64.b64encode(f"x {secret} y".encode()).decode()
    assert hidden[4:-4] not in Redactor(key=KEY).text(f"data {hidden} end")


@pytest.mark.parametrize(
    "text",
    ["100% of 40 people", "50%40", "AT&T and R&D &amp; co", "C:\\users\\x40",
     "meet at noon (at home)", "we met at the dot com boom", "worked at amazon dot com",
     "look at x dot y", "naïve café – 2010–2015", "x² + y³", "4111/1111/1111/1112",
     "2024/1111/2222/3333", "internationalization of WebAssembly and getElementsByClassName",
     "日本語のテキスト（テスト）です。"],
)  # fmt: skip
def test_ordinary_texts_stay(text: str):
    kinds = ("secret", "email", "card")
    assert Redactor(kinds, KEY).text(text) == text


@given(st.text(st.sampled_from("a%4025\\ux&#;0６＠\u200b.@"), max_size=30))
def test_every_sign_of_the_plain_text_has_its_place(text: str):
    reads = plain(text)
    if reads is None:
        return
    spans = [reads.original(place, place + 1) for place in range(len(reads.text))]
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(left[1] <= right[0] for left, right in pairwise(spans))
