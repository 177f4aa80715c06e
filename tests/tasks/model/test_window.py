from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import UsageError
from tasks.model.window import OPEN, Window, covered, window

NOW = datetime.fromisoformat("2026-11-24T12:30:00.250000")
START = datetime.fromisoformat("2026-11-01T00:00:00")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-01", "2026-11-01T00:00:00"),
        ("2026-11-01T06:00", "2026-11-01T06:00:00"),
        ("2026-11-01T06:00+01:00", "2026-11-01T05:00:00"),
        ("2026-11-01 06:00:00.5Z", "2026-11-01T06:00:00.500000"),
        ("2026-10-31T23:30-02:00", "2026-11-01T01:30:00"),
        ("90m", "2026-11-24T11:00:00"),
        ("24h", "2026-11-23T12:30:00"),
        ("7d", "2026-11-17T12:30:00"),
        ("2w", "2026-11-10T12:30:00"),
    ],
)
def test_times_are_utc_unless_they_have_a_zone_and_ages_count_back(text: str, moment: str):
    assert window(text, "", NOW) == Window(at(moment), None)
    assert window("", text, NOW) == Window(None, at(moment))


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "7 days", "-1d", "999999w", "1e3h"])
def test_what_is_no_time_is_a_usage_error_with_an_example(text: str):
    with pytest.raises(UsageError, match="--until is no time") as caught:
        window("", text, NOW)
    assert caught.value.received == text
    assert "2026-11-17" in caught.value.next


@pytest.mark.parametrize("until", ["2026-11-01", "2026-10-31", "2026-11-01T01:00+01:00"])
def test_a_window_without_a_moment_is_a_usage_error(until: str):
    with pytest.raises(UsageError, match="no moment lies between"):
        window("2026-11-01", until, NOW)


def test_the_beginning_is_inside_and_the_end_is_not():
    day = window("2026-11-01", "2026-11-02", NOW)
    tick = timedelta(microseconds=1)
    assert [day.holds(START - tick), day.holds(START)] == [False, True]
    end = START + timedelta(days=1)
    assert [day.holds(end - tick), day.holds(end)] == [True, False]
    assert OPEN.holds(NOW)


def test_days_are_cut_at_midnight_and_leave_nothing_out():
    found = window("2026-10-31T18:00", "2026-11-02T06:00", NOW).days()
    assert [(str(day.since), str(day.until)) for day in found] == [
        ("2026-10-31 18:00:00", "2026-11-01 00:00:00"),
        ("2026-11-01 00:00:00", "2026-11-02 00:00:00"),
        ("2026-11-02 00:00:00", "2026-11-02 06:00:00"),
    ]


def minutes(low: int = 0, high: int = 12) -> st.SearchStrategy[int]:
    return st.integers(low, high)


def some_window(bounds: tuple[int | None, int | None]) -> Window:
    since, until = (None if n is None else START + timedelta(microseconds=n) for n in bounds)
    return Window(since, until)


WINDOWS = st.tuples(st.none() | minutes(), st.none() | minutes()).map(some_window)


@given(wanted=WINDOWS, first=minutes(), length=minutes(0, 5), windows=st.lists(WINDOWS, max_size=4))
def test_covered_is_what_looking_at_every_moment_says(
    wanted: Window, first: int, length: int, windows: list[Window]
):
    calls = [START + timedelta(microseconds=n) for n in range(first, first + length + 1)]
    expected = all(
        any(each.holds(moment) for each in windows) for moment in calls if wanted.holds(moment)
    )
    assert covered(wanted, calls[0], calls[-1], windows) == expected


def test_without_a_call_that_has_a_time_everything_is_covered():
    assert covered(OPEN, None, None, [])
