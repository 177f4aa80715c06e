from __future__ import annotations

import contextlib
import gzip
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.ingest.task import ingest
from tasks.logs.files.opening import LogStream
from tasks.logs.reading import reader
from tasks.logs.shapes.records import UnreadableError
from tests.tasks.logs.builders import call, line, make_run, query, write_lines
from tests.work import Work, assert_linear, counting

HOSTILE: dict[str, tuple[bytes, str]] = {
    "deep": (b'{"request_id":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested deeper"),
    "nul": (line(call(90)).replace(b"question", b"quest\x00on"), "NUL byte"),
    "latin-1": (line(call(91)).replace(b"question", b"qu\xe9stion"), "not UTF-8: byte 0xe9"),
    "surrogate": (line(call(92)).replace(b"question", b"qu\\ud800stion"), "surrogate"),
    "nan": (line(call(93)).replace(b'output_tokens": 5', b'output_tokens": NaN'), "NaN"),
    "huge": (line(call(94, input_tokens=2**80)), "beyond 64 bits"),
    "u64": (line(call(95, input_tokens=2**63)), "beyond 64 bits"),
    "year 0": (line(call(96, started_at="0000-01-01T00:00:00Z")), "not a time"),
    "cut": (line(call(97))[:40], "not JSON"),
    "utf-16": ('{"request_id": "x"}'.encode("utf-16"), "not UTF-8"),
}


def test_every_hostile_line_is_a_dead_letter_with_its_reason_and_the_rest_is_read(tmp_path: Path):
    lines: list[Any] = [call(1), *(data for data, _ in HOSTILE.values()), call(2)]
    run = make_run(tmp_path, write_lines(tmp_path / "a.jsonl", *lines))
    receipt = ingest(run)
    # UTF-16 has a line of its own: its last zero byte stands behind the line end
    assert receipt.rows_out == 2
    assert receipt.rows_in == 2 + receipt.dead_letters
    errors = dict(query(run, "SELECT line_number, error FROM dead_letters"))
    for number, (data, reason) in enumerate(HOSTILE.values(), start=2):
        assert reason in errors[number], (number, errors[number])
        stored = query(run, f"SELECT raw FROM dead_letters WHERE line_number = {number}")
        assert stored == [(data,)]


def test_year_9999_sql_in_names_and_paths_in_values_are_just_data(tmp_path: Path):
    record = call(
        1, started_at="9999-12-31T23:59:59Z", model="'; DROP TABLE landing; --",
        prompt_name="../../../etc/passwd", **{"x'); DROP TABLE landing; --": "\u0000\u202e"},
    )  # fmt: skip
    run = make_run(tmp_path, write_lines(tmp_path / "a.jsonl", record))
    assert ingest(run).rows_out == 1
    assert query(run, "SELECT model, prompt_name FROM landing") == [
        ("'; DROP TABLE landing; --", "../../../etc/passwd")
    ]


def test_a_line_of_50_megabytes_is_never_held(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    with path.open("wb") as handle:
        handle.write(line(call(1)) + b'\n{"request_id": "')
        for _ in range(50):
            handle.write(b"x" * 2**20)
        handle.write(b'"}\n' + line(call(2)) + b"\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run = make_run(tmp_path, path)
    receipt = ingest(run)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert (receipt.rows_out, receipt.dead_letters) == (2, 1)
    ((error, size),) = query(run, "SELECT error, octet_length(raw) FROM dead_letters")
    assert f"a line of {50 * 2**20 + 18} bytes" in error
    assert size == 64 * 1024
    assert grown < 400_000  # KiB; DuckDB itself takes most of it


def test_a_gzip_bomb_stops_early_and_what_came_before_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    unpacked = {}
    read = LogStream.read

    def counted(stream: LogStream, size: int, /) -> bytes:
        data = read(stream, size)
        unpacked[stream] = stream.position
        return data

    monkeypatch.setattr(LogStream, "read", counted)
    monkeypatch.setattr(reader, "_SMALL_BYTES", 2**40)  # else another process reads it
    path = tmp_path / "a.jsonl.gz"
    with gzip.open(path, "wb") as handle:
        handle.write(line(call(1)) + b"\n")
        for _ in range(120):
            handle.write(b"0" * 2**20)
    run = make_run(tmp_path, path)
    receipt = ingest(run)
    assert (receipt.rows_out, receipt.dead_letters) == (1, 1)
    assert "bomb" in query(run, "SELECT error FROM dead_letters")[0][0]
    # the ratio counts from 8 MiB on; the next chunk of at most 1 MiB is the last
    assert 8 * 2**20 <= max(unpacked.values()) <= 9 * 2**20
    assert sum(unpacked.values()) <= 3 * 9 * 2**20


def test_the_deepest_json_that_is_read_can_also_be_kept(tmp_path: Path):
    deep: Any = 1
    for _ in range(199):
        deep = [deep]
    path = write_lines(tmp_path / "a.jsonl", call(1, params=deep), call(2, params=[deep]))
    run = make_run(tmp_path, path, ingest={"max_json_depth": 200})
    receipt = ingest(run)
    assert (receipt.rows_out, receipt.dead_letters) == (1, 1)
    assert "deeper than 200" in query(run, "SELECT error FROM dead_letters")[0][0]


def test_brackets_and_quotes_without_end_cost_no_quadratic_time(tmp_path: Path):
    lines = [b'{"a' + b'\\"' * 400_000 + b"[" * 200, b"[" * 1_000_000, b'"' * 1_000_001]
    receipt = ingest(make_run(tmp_path, write_lines(tmp_path / "a.jsonl", call(1), *lines)))
    assert receipt.dead_letters == 3


@pytest.mark.parametrize(
    "line_of",
    [
        lambda n: b'{"a' + b'\\"' * n + b"[" * 200,
        lambda n: b"[" * n,
        lambda n: b'"' * (n + 1) + b"[" * 200,
        lambda n: b"[" * 200 + b"\\" * n,
        lambda n: b"[]" * n,
        lambda n: b"0" * n,
        lambda n: b"[" + b'"0000000000000000000",' * n + b"0]",
        lambda n: b'{"a": "' + b"0" * n + b'"}',
    ],
)
def test_a_line_costs_work_in_proportion_to_its_length(
    line_of: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
):
    work = Work()
    json_text = counting(monkeypatch, work, "tasks.logs.shapes.json_text")

    def parse(data: bytes) -> None:
        with contextlib.suppress(UnreadableError):
            json_text.parse(data, 100)

    assert_linear(lambda n: work.of(lambda: parse(line_of(n))), 500)


def test_limits_come_from_the_settings(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", call(1), call(2, note="x" * 2000))
    receipt = ingest(make_run(tmp_path, path, ingest={"max_line_bytes": 1000}))
    assert (receipt.rows_out, receipt.dead_letters) == (1, 1)
    big = tmp_path / "big.json"
    big.write_text("{\n" + "\n" * 5000 + "}")
    run = make_run(tmp_path, big, path, run_id="run-2", ingest={"max_document_bytes": 1000})
    assert ingest(run).dead_letters == 1
    assert "a document of more than 1000 bytes" in str(query(run, "SELECT error FROM dead_letters"))


@pytest.mark.parametrize("kind", [b"\x00" * 100, b"\xff\xfe{\x00", b"\n\n\n", b"[]", b"{}", b"5"])
def test_odd_files_are_counted_and_never_raise(tmp_path: Path, kind: bytes):
    (tmp_path / "odd.jsonl").write_bytes(kind)
    write_lines(tmp_path / "good.jsonl", call(1))
    receipt = ingest(make_run(tmp_path, tmp_path))
    assert receipt.rows_out == 1
    assert receipt.rows_in == 1 + receipt.dead_letters
