from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from tasks.logs.shapes import coerce
from tasks.logs.shapes.records import UnreadableError

MOMENT = datetime(2023, 11, 14, 22, 13, 20)  # noqa: DTZ001 - UTC without zone, as stored


@pytest.mark.parametrize(
    "value",
    [
        1_700_000_000, 1_700_000_000_000, 1_700_000_000_000_000, 1_700_000_000_000_000_000,
        1_700_000_000.0, "1700000000", "1700000000000", "2023-11-14T22:13:20Z",
        "2023-11-14T22:13:20", "2023-11-15T00:13:20+02:00", "2023-11-14 22:13:20 UTC",
        "Tue, 14 Nov 2023 22:13:20 GMT", "Wed, 15 Nov 2023 00:13:20 +0200",
        "14/Nov/2023:22:13:20 +0000", "2023/11/14 22:13:20", "2023-11-15 00:13:20 +0200",
        datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), MOMENT,
    ],
)  # fmt: skip
def test_every_way_to_write_a_moment(value: object):
    assert coerce.moment("at", value) == MOMENT


@pytest.mark.parametrize("value", [None, ""])
def test_no_time_is_none(value: object):
    assert coerce.moment("at", value) is None


@pytest.mark.parametrize(
    "value",
    ["0000-01-01T00:00:00Z", "yesterday", "2023-02-30", True, [1], 10**21, 1e30, -1e30,
     "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00",
     datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5)))],
)  # fmt: skip
def test_a_time_that_cannot_be_held_is_refused(value: object):
    with pytest.raises(UnreadableError, match="at:"):
        coerce.moment("at", value)


def test_year_9999_can_be_held():
    assert coerce.moment("at", "9999-12-31T23:59:59Z") == datetime(9999, 12, 31, 23, 59, 59)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("value", "expected"),
    [(3, 3), ("3", 3), (3.0, 3), (" 12 ", 12), ("1e3", 1000), (None, None), ("", None),
     ("None", None), ("9007199254740993", 9007199254740993), (-(2**63), -(2**63))],
)  # fmt: skip
def test_integers(value: object, expected: int | None):
    assert coerce.integer("n", value) == expected


@pytest.mark.parametrize("value", [3.5, "many", True, [], {}, 2**63, "99999999999999999999",
                                   float("inf"), "1e999"])  # fmt: skip
def test_what_is_no_integer_is_refused(value: object):
    with pytest.raises(UnreadableError, match="n:"):
        coerce.integer("n", value)


def test_small_integers_have_32_bits():
    assert coerce.small_integer("n", 200) == 200
    with pytest.raises(UnreadableError, match="32 bits"):
        coerce.small_integer("n", 2**31)


@pytest.mark.parametrize("value", [True, "abc", [], float("nan"), "1e999"])
def test_what_is_no_number_is_refused(value: object):
    with pytest.raises(UnreadableError):
        coerce.number("n", value)


def test_numbers_and_seconds():
    assert coerce.number("n", "1.5") == 1.5
    assert coerce.number("n", "null") is None
    assert coerce.number("n", None) is None
    assert coerce.seconds("n", 1500, 1000.0) == 1.5
    assert coerce.seconds("n", None, 1000.0) is None


def test_texts():
    assert coerce.text("t", 5) == "5"
    assert coerce.text("t", True) == "true"
    assert coerce.text("t", False) == "false"
    assert coerce.text("t", "") is None
    with pytest.raises(UnreadableError, match="an object"):
        coerce.text("t", {})


def test_users_are_hashed_but_hashes_are_kept():
    hashed = coerce.user_hash("ann@example.com")
    assert hashed is not None
    assert len(hashed) == 64
    assert "ann" not in hashed
    assert coerce.user_hash(None) is None
    assert coerce.user_hash(None, "ab" * 16) == "ab" * 16
    assert coerce.user_hash(None, "ann@example.com") == hashed
