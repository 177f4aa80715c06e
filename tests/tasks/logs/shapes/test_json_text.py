from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.logs.shapes.json_text import deeper_than, dump, dump_bytes, parse, plain
from tasks.logs.shapes.records import UnreadableError


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "nothing to read"),
        (b"  ", "nothing to read"),
        (b'{"a":1', "not JSON"),
        (b'{"a":NaN}', "NaN and Infinity are not allowed"),
        (b'{"a":-Infinity}', "NaN and Infinity are not allowed"),
        (b'{"a":"\xe9"}', "not UTF-8: byte 0xe9 at byte 6"),
        (b'{"a":"x\x00y"}', "NUL byte at byte 7"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b'{"a":18446744073709551616}', "beyond 64 bits"),
        (b'{"a":-9223372036854775809}', "beyond 64 bits"),
        (b'{"a": 1' + b"0" * 5000 + b"}", "number is infinity"),
        (b'{"a":1e999}', "not JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "nested deeper than 100"),
        (b"[" * 100_000, "nested deeper than 100"),
        (b'["]",' * 300 + b"1" + b',"["]' * 300, "nested deeper than 100"),
    ],
)
def test_hostile_json_is_refused_with_its_reason(data: bytes, reason: str):
    with pytest.raises(UnreadableError, match=reason):
        parse(data, 100)


def test_integers_up_to_64_bits_stay_exact():
    assert parse(b'{"a":18446744073709551615,"b":[-9223372036854775808]}', 100) == {
        "a": 2**64 - 1, "b": [-(2**63)],
    }  # fmt: skip


def test_a_long_digit_text_is_no_integer():
    assert parse(b'{"a":"184467440737095516160000"}', 100)["a"] == "184467440737095516160000"


def test_byte_order_mark_is_skipped_and_nul_escape_is_a_character():
    assert parse(b'\xef\xbb\xbf{"a":"\\u0000"}', 100) == {"a": "\x00"}


def test_brackets_inside_texts_do_not_count_as_depth():
    assert parse(json.dumps({"a": "[" * 500, "b": '\\"{{{' * 100}).encode(), 3)["a"] == "[" * 500


@given(st.recursive(st.text("[]{}\"\\a", max_size=5), lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.text("[{", max_size=2), inner, max_size=3)))  # fmt: skip
def test_depth_check_agrees_with_the_true_depth(value: object):
    def depth(item: object) -> int:
        if isinstance(item, list):
            return 1 + max(map(depth, item), default=0)
        return 1 + max(map(depth, item.values()), default=0) if isinstance(item, dict) else 0

    data = json.dumps(value).encode()
    for limit in range(1, 5):
        assert deeper_than(data, limit) == (depth(value) > limit)


def test_equal_values_give_equal_text():
    assert dump({"b": 1, "a": "é"}) == dump({"a": "é", "b": 1}) == '{"a":"é","b":1}'


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 2**64, "\ud800", {"\ud800": 1}, object()]
)
def test_what_json_cannot_hold_is_refused(value: object):
    with pytest.raises(UnreadableError):
        plain(value)


def test_values_of_yaml_and_parquet_become_plain():
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    assert plain({1: (moment, Decimal("1.5"), b"x", None, True)}) == {
        "1": [moment.isoformat(), 1.5, "x", None, True]
    }


def test_a_deep_python_value_is_refused_not_recursed_into():
    deep: object = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(UnreadableError, match="nested deeper"):
        plain(deep)


def test_dead_letters_get_bytes_of_anything():
    assert dump_bytes({1: object})
    assert dump_bytes("\ud800")
