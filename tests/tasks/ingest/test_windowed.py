"""--since and --until: what is passed over is counted, and a wider window brings it in later."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UsageError
from tasks.ingest.task import ingest
from tasks.logs.reading import reader
from tasks.model.receipt import Receipt
from tests.tasks.logs.builders import append, call, line, make_run, query, write_lines


def counts(receipt: Receipt) -> tuple[int, int, int, int, int]:
    return (receipt.rows_in, receipt.rows_out, receipt.duplicates, receipt.dead_letters,
            receipt.outside_window)  # fmt: skip


def at(number: int, started_at: str, **changes: Any) -> dict[str, Any]:
    return call(number, started_at=started_at, **changes)


def landed(run: Any) -> list[str]:
    return [row[0] for row in query(run, "SELECT request_id FROM landing ORDER BY request_id")]


@pytest.mark.parametrize(
    ("since", "until"),
    [
        ("2026-11-02", "2026-11-03"),
        ("2026-11-02T00:00", "2026-11-03T00:00Z"),
        ("2026-11-02T01:00+01:00", "2026-11-02T14:00-10:00"),
    ],
)
def test_naive_and_zoned_times_meet_in_utc_and_only_the_beginning_is_inside(
    tmp_path: Path, since: str, until: str
):
    path = write_lines(
        tmp_path / "a.jsonl",
        at(1, "2026-11-01T23:59:59.999999"),
        at(2, "2026-11-02T00:00:00"),
        at(3, "2026-11-02T00:59:59+01:00"),
        at(4, "2026-11-02T01:00:00+01:00"),
        at(5, "2026-11-02T23:59:59.999999Z"),
        at(6, "2026-11-03T00:00:00Z"),
        at(7, "2026-11-02T20:00:00-04:00"),
    )
    run = make_run(tmp_path, path, since=since, until=until)
    receipt = ingest(run)
    assert counts(receipt) == (7, 3, 0, 0, 4)
    assert landed(run) == ["r2", "r4", "r5"]
    assert receipt.notes["window"] == {
        "since": "2026-11-02T00:00:00Z", "until": "2026-11-03T00:00:00Z",
    }  # fmt: skip


def test_ages_count_back_from_the_beginning_of_the_run(tmp_path: Path):
    run = make_run(tmp_path, tmp_path / "a.jsonl", since="24h")
    now = run.clock()
    moments = [now - timedelta(hours=hours) for hours in (47, 23, 1)]
    calls = [at(number, f"{moment.isoformat()}Z") for number, moment in enumerate(moments)]
    write_lines(tmp_path / "a.jsonl", *calls)
    assert counts(ingest(run)) == (3, 2, 0, 0, 1)


def test_what_is_no_call_or_has_no_time_is_taken_in_whatever_the_window(tmp_path: Path):
    signal = {"record": "feedback", "request_id": "r1", "kind": "thumbs", "value": 1}
    inside = at(2, "2026-11-02T10:00:00Z")
    path = write_lines(
        tmp_path / "a.jsonl", at(1, "2026-10-01T00:00:00Z"), signal, inside,
        call(3, started_at=...), b"{broken",
    )  # fmt: skip
    run = make_run(tmp_path, path, since="2026-11-01")
    assert counts(ingest(run)) == (5, 3, 0, 1, 1)
    assert landed(run) == ["r2", "r3"]


def test_the_same_window_again_reads_nothing_and_a_wider_one_brings_the_rest(tmp_path: Path):
    days = [at(day, f"2026-11-{day:02d}T12:00:00Z") for day in range(1, 7)]
    path = write_lines(tmp_path / "a.jsonl", *days)

    def take(number: int, since: str = "", until: str = "") -> tuple[int, ...]:
        run = make_run(tmp_path, path, run_id=f"run-{number}", since=since, until=until)
        return counts(ingest(run))

    assert take(1, "2026-11-03", "2026-11-05") == (6, 2, 0, 0, 4)
    assert take(2, "2026-11-03", "2026-11-05") == (0, 0, 0, 0, 0)
    assert take(3, "2026-11-04T06:00", "2026-11-04T18:00") == (0, 0, 0, 0, 0)
    assert take(4, "2026-11-05") == (6, 2, 0, 0, 4)
    # two windows side by side are one
    assert take(5, "2026-11-03") == (0, 0, 0, 0, 0)
    assert take(6, "", "2026-11-02") == (6, 1, 0, 0, 5)
    assert take(7, "2026-12-01") == (0, 0, 0, 0, 0)
    assert take(8) == (6, 1, 5, 0, 0)
    assert take(9) == (0, 0, 0, 0, 0)
    assert len(landed(make_run(tmp_path))) == 6


def test_of_a_file_that_grows_under_a_moving_window_only_the_tail_is_read(tmp_path: Path):
    path = write_lines(
        tmp_path / "a.jsonl", *(at(day, f"2026-11-{day:02d}T12:00:00Z") for day in (1, 2, 3))
    )
    assert counts(ingest(make_run(tmp_path, path, since="2026-11-02"))) == (3, 2, 0, 0, 1)
    append(path, line(at(4, "2026-11-04T12:00:00Z")) + b"\n" + line(at(5, "2026-10-01")) + b"\n")
    run = make_run(tmp_path, path, run_id="run-2", since="2026-11-03")
    assert counts(ingest(run)) == (2, 1, 0, 0, 1)
    # what both passed over comes in with no window, and the rest is known
    run = make_run(tmp_path, path, run_id="run-3")
    assert counts(ingest(run)) == (5, 2, 3, 0, 0)
    assert landed(run) == ["r1", "r2", "r3", "r4", "r5"]


def test_a_grown_file_whose_beginning_is_wanted_by_now_is_read_from_its_beginning(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", at(1, "2026-11-01"), at(2, "2026-11-02"))
    ingest(make_run(tmp_path, path, since="2026-11-02"))
    append(path, line(at(3, "2026-11-03")) + b"\n")
    run = make_run(tmp_path, path, run_id="run-2", since="2026-11-01")
    receipt = ingest(run)
    assert counts(receipt) == (3, 2, 1, 0, 0)
    assert "changed_files" not in receipt.notes


def test_several_processes_pass_over_the_same_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reader, "_SMALL_BYTES", 0)
    monkeypatch.setattr(reader, "_MIN_BYTES_FOR_PROCESSES", 0)
    monkeypatch.setattr(reader, "_STRETCH_BYTES", 300)
    calls = [at(n, f"2026-11-{1 + n % 9:02d}T12:00:00Z") for n in range(45)]
    path = write_lines(tmp_path / "a.jsonl", *calls)
    run = make_run(tmp_path, path, since="2026-11-05", ingest={"processes": 2})
    assert counts(ingest(run)) == (45, 25, 0, 0, 20)
    (times,) = query(run, "SELECT outside_window, first_call_at, last_call_at FROM sources")
    assert [str(value) for value in times] == ["20", "2026-11-01 12:00:00", "2026-11-09 12:00:00"]


def test_a_window_that_is_none_stops_before_anything_is_read(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", call(1))
    run = make_run(tmp_path, path, since="soon")
    with pytest.raises(UsageError, match="--since is no time"):
        ingest(run)
    assert query(run, "SELECT count(*) FROM sources") == [(0,)]
