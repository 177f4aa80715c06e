"""What was planted in the logs of one whole turn stands nowhere in the state folder afterwards."""

from __future__ import annotations

import gzip
import random
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from tests.flows.application import Application, call_record
from tests.flows.planted import Markers, plant

_SETTINGS = """
[ingest.columns]
request_id = "id"
model = "model"
messages = "question"
response = "answer"
"""
_HELD = {"quarantine", "dead_letters"}


def tables(store: Path, compacted: Path) -> Iterator[tuple[str, bytes]]:
    """(table, all its values as text), after a copy that leaves freed pages behind."""
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{store}' AS old (READ_ONLY)")
        connection.execute(f"ATTACH '{compacted}' AS new")
        connection.execute("COPY FROM DATABASE old TO new")
        connection.execute("DETACH old")
        connection.execute("USE new")
        names = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        for (name,) in names:
            rows = connection.execute(f'SELECT * FROM "{name}"').fetchall()
            yield (
                name,
                "\n".join(map(str, rows)).encode()
                + b"\n"
                + b"\n".join(value for row in rows for value in row if isinstance(value, bytes)),
            )


def contents(home: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(home.rglob("*")):
        if path.is_file() and not path.name.startswith("flywheel.duckdb"):
            data = path.read_bytes()
            if data.startswith(b"SQLite format 3"):
                with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
                    data += "\n".join(connection.iterdump()).encode()
            is_packed = data.startswith(b"\x1f\x8b")
            yield str(path.relative_to(home)), gzip.decompress(data) if is_packed else data


def found_in(data: bytes, needles: dict[str, str]) -> set[str]:
    pattern = re.compile(b"|".join(re.escape(needle.encode()) for needle in needles))
    return {needles[match.decode()] for match in set(pattern.findall(data))}


@pytest.mark.slow
def test_nothing_planted_is_found_again_but_what_is_held(application: Application, tmp_path: Path):
    settings = application.folder / "flywheel.toml"
    text = settings.read_text().replace('"logs/*.jsonl"', '"logs/*"')
    settings.write_text(text + _SETTINGS)
    markers, held = Markers(random.Random(14)), Markers(random.Random(15))
    plant(application.folder / "logs", markers)
    assert markers.count >= 300
    broken = {**call_record(95), "request_id": None, "messages": held.mail("quarantine"),
              "started_at": "1999-01-01T00:00:00Z"}  # fmt: skip
    path = application.log("held.jsonl", [broken])
    path.write_text(path.read_text() + f'{{"not json": {held.mail("dead")}\n')
    answer = application.call("run", "--json")
    assert answer.code in (0, 1), answer.err
    assert found_in((answer.out + answer.err).encode(), markers.needles) == set()
    places: dict[str, set[str]] = {}
    (store,) = application.home.glob("*.duckdb")
    compacted = tmp_path / "compacted.duckdb"
    kept: set[str] = set()
    for name, data in tables(store, compacted):
        if name in _HELD:
            kept |= found_in(data, held.needles)
        else:
            places[name] = found_in(data, markers.needles | held.needles)
        if name in _HELD:
            assert data.count(b"\n(") == 0, f"more than was meant is held in {name}: {data!r}"
        if name in ("requests", "samples"):
            assert b"<email:" in data, name
            assert b"<secret:" in data, name
    places["the compacted file"] = found_in(compacted.read_bytes(), markers.needles)
    for name, data in contents(application.home):
        places[name] = found_in(data, markers.needles | held.needles)
    assert {name: where for name, where in places.items() if where} == {}
    assert kept == {"quarantine: mail", "dead: mail"}
