"""The bytes of a receipt, and what is refused in their place."""

from __future__ import annotations

import json
import math
import struct

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from tasks.receipts.canonical import NotCanonicalError, canonical_bytes, read_canonical
from tasks.receipts.differences import first_difference

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_what_is_written_is_read_again_and_no_other_text_of_it(value: object) -> None:
    text = canonical_bytes(value)
    assert text == rfc8785.dumps(json.loads(json.dumps(value)))
    again = read_canonical(text)
    assert first_difference(again, value) is None
    other = json.dumps(value, indent=1).encode()
    if other != text:
        with pytest.raises(NotCanonicalError):
            read_canonical(other)


#: bits of a double → its text: Appendix B of RFC 8785
NUMBERS = {
    "0000000000000000": "0", "8000000000000000": "0", "0000000000000001": "5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308", "4340000000000000": "9007199254740992",
    "44b52d02c7e14af5": "9.999999999999997e+22", "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8d": "0.000001", "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "41b3de4355555553": "333333333.3333332", "becbf647612f3696": "-0.0000033333333333333333",
}  # fmt: skip


@pytest.mark.parametrize("bits", NUMBERS)
def test_numbers_are_written_as_the_appendix_has_them(bits: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical_bytes(number).decode() == NUMBERS[bits]


def test_a_number_that_json_cannot_hold_becomes_a_text() -> None:
    seeds = [0, 2**53 - 1, 2**53, -(2**60)]
    assert (
        canonical_bytes(seeds) == b'[0,9007199254740991,"9007199254740992","-1152921504606846976"]'
    )
    assert canonical_bytes({"a": ["\ud800", True]}) == '{"a":["\ufffd",true]}'.encode()
    with pytest.raises(ValueError, match="nan"):
        canonical_bytes(math.nan)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b'{"a":1,"a":1}', "the key 'a' is there twice"),
        (b'{"b":1,"a":2}', "byte 2 is not"),
        (b'{"a": 1}', "byte 5 is not"),
        (b'{"a":1}\n', "byte 7 is not"),
        (b'{"a":1.0}', "byte 6 is not"),
        (b"[NaN]", "NaN is no number"),
        (b"[1e999]", "no JSON"),
        (b'"\\u0061"', "byte 1 is not"),
        (b'"\\ud800"', "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"\xff", "no JSON"),
        (b"", "no JSON"),
    ],
)
def test_another_text_is_refused_with_the_place(text: bytes, why: str) -> None:
    with pytest.raises(NotCanonicalError, match=why):
        read_canonical(text)


@pytest.mark.parametrize(
    ("then", "now", "path"),
    [
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, "$.a[1].b"),
        ({"a": 1}, {"a": 1, "b": None}, "$.b"),
        ([1, 2], [1], "$[1]"),
        ({"a": 1}, {"a": True}, "$.a"),
        ({"a": "x"}, {"a": ["x"]}, "$.a"),
        ({"b": 1, "a": 1}, {"b": 2, "a": 2}, "$.a"),
    ],
)
def test_the_first_field_that_differs_is_named(then: object, now: object, path: str) -> None:
    found = first_difference(then, now)
    assert found is not None
    assert found.path == path
    assert first_difference(then, then) is None
    assert first_difference({"a": 1}, {"a": 1.0}) is None
