"""Calls into landing: which ones were met before, exactly, whatever their digests begin with."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations.contracts import LANDING
from tasks.store import Store
from tasks.store.db.arrow import table_from_values
from tasks.store.intake.forgotten import Forgotten, Kind, keyed
from tasks.store.intake.readings import DeadCap, LogRows
from tasks.store.intake.streaming import Digests, Intake
from tests.tasks.logs.builders import clock


def batch(*calls: tuple[str, str], tokens: int = 1) -> LogRows:
    """Calls by id and digest."""
    rows = []
    for request_id, digest in calls:
        row = dict.fromkeys(LANDING.column_names) | {
            "request_id": request_id, "content_digest": digest, "messages": b"[]", "format": "x",
            "input_tokens": tokens, "run_id": "r", "ingested_at": clock(),
            "sources": [f"a:{digest}"],
        }  # fmt: skip
        rows.append(list(row.values()))
    return LogRows(table_from_values(LANDING, rows), [], [])


#: of a call: its own time, or None and the time of the envelope it came in, or none of both
_TIMES = st.tuples(st.sampled_from([None, 1, 2, 40_000]), st.sampled_from([None, 3, 90_000]))
_BEGAN = datetime(2026, 11, 24)  # noqa: DTZ001 - as clock()
_TOLD = st.lists(st.tuples(st.sampled_from("abcde"), _TIMES), max_size=8)


def told(*calls: tuple[str, tuple[int | None, int | None]]) -> LogRows:
    """As tasks/logs/shapes/rows.py makes them: the digest is over the call's own time, an envelope
    gives one that has none and says so in its tags."""
    rows = []
    for name, (own, logged) in calls:
        digest = hashlib.sha256(f"{name} {own}".encode()).hexdigest()
        row = dict.fromkeys(LANDING.column_names) | {
            "request_id": f"{name} {own}", "content_digest": digest,
            "messages": b"[]", "format": "x", "run_id": "r", "ingested_at": clock(),
            "started_at": _BEGAN + timedelta(hours=own or logged or 0) if own or logged else None,
            "tags": json.dumps({"logged_at": str(logged)}).encode() if logged else None,
            "sources": [f"a:{name}"],
        }  # fmt: skip
        rows.append(list(row.values()))
    return LogRows(table_from_values(LANDING, rows), [], [])


@settings(max_examples=60, deadline=None)
@given(st.lists(_TOLD, min_size=1, max_size=4), st.integers(0, 3), st.booleans())
def test_what_was_met_is_known_whatever_its_time_and_table(
    nights: list[list[tuple[str, tuple[int | None, int | None]]]], admitted: int, streamed: bool
) -> None:
    from tasks.store.intake import landing

    with TemporaryDirectory() as folder, Store.open(Path(folder) / "s.duckdb") as store:
        known: set[tuple[str, int | None]] = set()
        for number, calls in enumerate(nights):
            expected = []
            for name, (own, _) in calls:
                expected.append((name, own) not in known)
                known.add((name, own))
            with store.transaction():
                if streamed:
                    intake = Intake(store, DeadCap(), str)
                    intake.take([told(*calls)])
                    assert intake.counts.rows_out == sum(expected)
                else:
                    found = landing.add_new_calls(store, told(*calls).calls)
                    assert found.tolist() == expected
            if number < admitted:
                with store.transaction():
                    landing.admit(store, list(landing.batches(store, 100)))
                    landing.clear(store)


@given(st.lists(st.lists(st.sampled_from("0123456789ab"), max_size=6), max_size=12))
def test_digests_are_met_again_as_in_a_set(batches: list[list[str]]) -> None:
    digests, known = Digests(), set[str]()
    for each in batches:
        expected = []
        for digit in each:
            expected.append(digit in known)
            known.add(digit)
        found = digests.add([digit * 64 for digit in each])
        np.testing.assert_array_equal(found, np.array(expected, dtype=np.bool_))


def test_digests_that_begin_alike_are_two_calls(tmp_path: Path) -> None:
    one, other = "a" * 16 + "1" * 48, "a" * 16 + "2" * 48
    with Store.open(tmp_path / "s.duckdb") as store, store.transaction():
        intake = Intake(store, DeadCap(), str)
        intake.take([batch(("x", one), ("y", other)), batch(("y", other), ("x", one), ("z", one))])
        assert (intake.counts.rows_out, intake.counts.duplicates) == (3, 2)
        assert store.rows("SELECT request_id FROM landing ORDER BY 1") == [("x",), ("y",), ("z",)]


def test_tokens_beyond_all_reason_do_not_stop_the_intake(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.duckdb") as store, store.transaction():
        intake = Intake(store, DeadCap(), str)
        intake.take([batch(("x", "1" * 64), ("y", "2" * 64), tokens=2**63 - 1)])
        assert intake.counts.input_tokens == 2**63 - 1


def test_what_the_batches_raise_comes_out_as_it_is_and_nothing_stays(tmp_path: Path) -> None:
    def broken() -> Iterator[LogRows]:
        yield batch(("x", "1" * 64))
        raise KeyboardInterrupt("now")

    with Store.open(tmp_path / "s.duckdb") as store:
        with pytest.raises(KeyboardInterrupt, match="now"), store.transaction():
            Intake(store, DeadCap(), str).take(broken())
        assert store.rows("SELECT count(*) FROM landing") == [(0,)]


def test_where_calls_were_met_again_survives_until_it_is_noted(tmp_path: Path) -> None:
    from tasks.store.intake import landing

    path = tmp_path / "s.duckdb"
    with Store.open(path) as store, store.transaction():
        Intake(store, DeadCap(), str).take([batch(("x", "1" * 64))])
    again = batch(("x", "1" * 64))
    moved = again.calls.set_column(
        again.calls.schema.get_field_index("sources"), "sources", [[["b:1"]]]
    )
    with Store.open(path) as store, store.transaction():
        intake = Intake(store, DeadCap(), str)
        intake.take([LogRows(moved, [], [])])
        assert (intake.counts.rows_out, intake.counts.duplicates) == (0, 1)
    with Store.open(path) as store, store.transaction():
        landing.note_sources(store)
        (sources,) = store.rows("SELECT sources FROM landing")
        assert sources == (["a:" + "1" * 64, "b:1"],)
        assert store.rows("SELECT count(*) FROM met_again") == [(0,)]


def test_neither_noting_nor_pairing_holds_the_texts_of_rows_beside(tmp_path: Path) -> None:
    """128 MiB of tags in rows beside the one that was met again: they are read, and no more."""
    from tasks.store.intake import landing, reports

    tags = json.dumps({"name": "x" * 4 * 2**20, "response_id": "x"}).encode()
    names = [f"{number}" for number in range(33)]
    rows = batch(*((name, name * 32) for name in names))
    column = rows.calls.schema.get_field_index("tags")
    kind = rows.calls.schema.field(column).type
    long = pa.ExtensionArray.from_storage(kind, pa.array([tags] * 32 + [b"{}"], pa.string()))
    wide = rows.calls.set_column(column, rows.calls.schema.field(column), long)
    with Store.open(tmp_path / "s.duckdb") as store:
        with store.transaction():
            Intake(store, DeadCap(), str).take([LogRows(wide, [], [])])
        store.execute("CHECKPOINT")
        store.hold_memory(400 * 2**20)
        with store.transaction():
            store.execute("INSERT INTO met_again VALUES ('32', ?, 'b:1')", ["32" * 32])
            assert reports.pairs_by_shared_id(store, "r") == []
            landing.note_sources(store)
        ((sources,),) = store.rows("SELECT sources FROM landing WHERE request_id = '32'")
        assert sources == ["a:" + "32" * 32, "b:1"]


def erased(*marks: tuple[Kind, str | bytes], user: str = "", until: int = 0) -> Forgotten:
    """What was erased; a user until that second of the year 2026."""
    known: dict[str, datetime | None] = {keyed(b"key", kind, told): None for kind, told in marks}
    if user:
        known[keyed(b"key", "user", user)] = datetime.fromisoformat(f"2026-01-01T00:00:{until:02}")
    return Forgotten(b"key", known)


def by_user(number: int, user: str | None, second: int | None) -> LogRows:
    """One call."""
    rows = batch((f"r{number}", f"{number}" * 64)).calls
    at = None if second is None else datetime.fromisoformat(f"2026-01-01T00:00:{second:02}")
    for name, value in (("user_hash", user), ("started_at", at)):
        place = rows.schema.get_field_index(name)
        column = pa.array([value], type=rows.schema.field(place).type)
        rows = rows.set_column(place, rows.schema.field(place), column)
    return LogRows(rows, [], [])


def taken(path: Path, forgotten: Forgotten, *batches: LogRows) -> tuple[Intake, list[str]]:
    """The ids of the calls that came in."""
    with Store.open(path / "s.duckdb") as store, store.transaction():
        intake = Intake(store, DeadCap(), str, forgotten)
        intake.take(batches)
        counts = intake.counts
        assert counts.rows_in == counts.rows_out + counts.duplicates + counts.dead_letters
        return intake, [name for (name,) in store.rows("SELECT request_id FROM landing ORDER BY 1")]


def test_an_erased_call_is_passed_over_by_its_id_or_its_content(tmp_path: Path) -> None:
    forgotten = erased(("call", "x"), ("content", "2" * 64))
    calls = batch(("x", "1" * 64), ("y", "2" * 64), ("z", "3" * 64))
    intake, ids = taken(tmp_path, forgotten, calls, batch(("z", "3" * 64), ("x", "9" * 64)))
    assert ids == ["z"]
    assert (intake.counts.rows_out, intake.counts.duplicates, intake.counts.forgotten) == (1, 4, 3)


def test_of_an_erased_user_what_is_later_is_new(tmp_path: Path) -> None:
    forgotten = erased(user="ann", until=30)
    batches = (
        by_user(1, "ann", 30), by_user(2, "ann", 31), by_user(3, "ann", None),
        by_user(4, "bob", 1), by_user(5, None, 1),
    )  # fmt: skip
    intake, ids = taken(tmp_path, forgotten, *batches)
    assert ids == ["r2", "r4", "r5"]
    assert intake.counts.forgotten == 2


def test_feedback_on_an_erased_call_and_an_erased_line_are_passed_over(tmp_path: Path) -> None:
    signal = {"kind": "thumbs", "source": "a:1", "run_id": "r", "by_hash": None, "given_at": None}
    letter = {"source": "a", "line_number": 1, "byte_offset": 0, "error": "e", "format": "x",
              "parser_version": "1", "run_id": "r", "created_at": clock(), "state": "dead",
              "is_rest": False, "num_records": 1}  # fmt: skip
    signals = [
        ({**signal, "feedback_id": "with its call", "request_id": "r1"}, False),
        ({**signal, "feedback_id": "alone", "request_id": "r1"}, True),
        ({**signal, "feedback_id": "erased", "request_id": "r9"}, True),
        ({**signal, "feedback_id": "kept", "request_id": "r9"}, True),
    ]
    dead = [{**letter, "dead_letter_id": name, "raw": name.encode()} for name in ("gone", "left")]
    forgotten = erased(("feedback", "erased"), ("line", b"gone"), user="ann", until=30)
    rows = LogRows(by_user(1, "ann", 1).calls, signals, dead)
    intake, ids = taken(tmp_path, forgotten, rows)
    assert ids == []
    counts = intake.counts
    assert (counts.rows_out, counts.dead_letters, counts.duplicates) == (1, 1, 4)
    assert counts.forgotten == 4
    with Store.open(tmp_path / "s.duckdb") as store:
        assert store.rows("SELECT feedback_id FROM feedback") == [("kept",)]
        assert store.rows("SELECT raw FROM dead_letters") == [(b"left",)]


def test_marks_are_those_of_hmac() -> None:
    told = hmac.new(b"key", b"call:r-\xc3\xa9", hashlib.sha256).hexdigest()
    assert keyed(b"key", "call", "r-é") == told
    assert keyed(b"other", "call", "r-é") != told
