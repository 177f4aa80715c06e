"""Ingest killed with SIGKILL at random moments, then run again: is the store the same as ever?

    python -m benchmarks.killed_ingest                     50 moments of 100,000 calls

A real process each time, with the processes that parse for it. Moments are spread over the time
that an undisturbed run takes, from its first instruction of ingest to the closing of the store.
Compared are the tables, row for row but for times of the clock, and the receipt. After the kill no
process may be left.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import duckdb
import orjson

from benchmarks.ingest import ROOT, Prose, canonical

#: columns that tell the time of the clock
TABLES = {
    "landing": "ingested_at",
    "feedback": "",
    "dead_letters": "created_at",
    "sources": "read_at",
    "met_again": "",
    "run_stages": "finished_at",
}
_NUM_FILES = 4
_CALLS_A_SMALL_FILE = 10


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill: when, what stood in landing after it, and whether all was well in the end."""

    after_s: float
    num_rows_kept: int
    same: bool


def write_logs(folder: Path, num_calls: int) -> None:
    """Calls in four files with feedback, repetitions within and across files, broken lines; and a
    tenth as many in files of one call each, some repeated, some cut off."""
    prose = Prose(0)
    folder.mkdir()
    first = b""
    for number in range(num_calls // _CALLS_A_SMALL_FILE):
        if number % 5 != 4:  # else the same once more
            record = canonical(num_calls + number, prose)
        path = folder / f"{number % 3}" / f"{number:06}.json"
        path.parent.mkdir(exist_ok=True)
        data = orjson.dumps(record)
        path.write_bytes(data if number % 11 else data[:-9])
    for part in range(_NUM_FILES):
        with (folder / f"{part}.jsonl").open("wb") as file:
            for number in range(part, num_calls, _NUM_FILES):
                record = canonical(number, prose)
                if number % 50 == 0:
                    record["feedback"] = {"value": 1}
                line = orjson.dumps(record) + b"\n"
                first = first or line
                file.write(line)
                if number % 500 > 495:
                    file.write(line)
                if number % 700 == 0:
                    file.write(line[: len(line) // 2] + b"\n" + first)


def start(logs: Path, home: Path, min_bytes: int) -> subprocess.Popen[str]:
    """The ingest process, when it has come to its first instruction of ingest."""
    command = [sys.executable, "-m", "benchmarks.killed_ingest", "--child", str(logs), str(home),
               str(min_bytes)]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def child(logs: Path, home: Path, min_bytes: int) -> None:
    from tasks.ingest import in_turn, task
    from tasks.logs.reading import reader
    from tasks.run import Run, RunRequest
    from tasks.settings import parse_settings

    reader._MIN_BYTES_FOR_PROCESSES = min_bytes
    if min_bytes < reader._SMALL_BYTES:  # a test of the same with less
        reader._SMALL_BYTES = 2**16
        in_turn._MAX_FILES = 20
    settings = parse_settings({"home": str(home), "ingest": {"processes": 2}}, base=str(home))
    print("ready", flush=True)
    receipt = task.ingest(Run("run-1", RunRequest(logs=(str(logs),)), settings))
    print(json.dumps({"receipt": str(receipt)}), flush=True)


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate()
    assert process.returncode == 0, process.returncode
    receipt: str = json.loads(output)["receipt"]
    return receipt


def state(home: Path) -> dict[str, Any]:
    """Rows and a digest of every table."""
    with duckdb.connect(str(home / "flywheel.duckdb"), read_only=True) as connection:
        return {name: _digest(connection, name, without) for name, without in TABLES.items()}


def _digest(connection: duckdb.DuckDBPyConnection, name: str, without: str) -> tuple[int, int]:
    columns = f"* EXCLUDE ({without})" if without else "*"
    # whatever the order of rows
    sql = f"SELECT count(*), sum(hash(t)::HUGEINT) FROM (SELECT {columns} FROM {name}) t"
    ((rows, digest),) = connection.execute(sql).fetchall()
    return rows, digest


def nobody_left(group: int, wait_s: float = 10.0) -> bool:
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def kill_at(logs: Path, home: Path, min_bytes: int, after_s: float) -> int:
    """Kill an ingest; returns the rows of landing it left. Fails if a process is left."""
    process = start(logs, home, min_bytes)
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert nobody_left(process.pid), "a process outlived the one that was killed"
    if not (home / "flywheel.duckdb").exists():
        return 0
    with duckdb.connect(str(home / "flywheel.duckdb")) as connection:
        found = connection.execute(
            "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'landing'"
        ).fetchall()
        if found == [(0,)]:
            return 0
        ((rows,),) = connection.execute("SELECT count(*) FROM landing").fetchall()
    return int(rows)


def try_moments(
    folder: Path, num_calls: int, num_moments: int, *, min_bytes: int, seed: int = 0
) -> tuple[float, list[Kill]]:
    """Seconds of the undisturbed run, and what came of each kill."""
    logs = folder / "logs"
    write_logs(logs, num_calls)
    started = start(logs, folder / "undisturbed", min_bytes)
    began = time.monotonic()
    receipt = finish(started)
    seconds = time.monotonic() - began
    expected = state(folder / "undisturbed")
    draw = random.Random(seed)
    kills = []
    for number in range(num_moments):
        # one in each equal part of the run, so that none is left out
        after_s = seconds * (number + draw.random()) / num_moments
        home = folder / f"killed-{number}"
        kept = kill_at(logs, home, min_bytes, after_s)
        again = finish(start(logs, home, min_bytes))
        kills.append(Kill(after_s, kept, again == receipt and state(home) == expected))
        print(f"{number + 1}/{num_moments}: {kills[-1]}", file=sys.stderr, flush=True)
        for path in home.iterdir():
            path.unlink()
    return seconds, kills


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        logs, home, min_bytes = options.child
        child(Path(logs), Path(home), int(min_bytes))
        return
    with tempfile.TemporaryDirectory() as folder:
        seconds, kills = try_moments(
            Path(folder), options.calls, options.moments, min_bytes=32 * 2**20
        )
    same = sum(kill.same for kill in kills)
    midway = sum(kill.num_rows_kept > 0 for kill in kills)
    print(f"{options.calls:,} calls in {_NUM_FILES} files, and small ones: {seconds:.1f} s")
    print(f"{len(kills)} kills, {midway} of them with some files committed: {same} stores the same")
    from benchmarks import results

    report = {"calls": options.calls, "undisturbed_s": seconds, "kills": len(kills), "same": same,
              "with_some_rows": midway}  # fmt: skip
    results.write({**results.header(), **report}, options.out, "killed-ingest")
    sys.exit(same != len(kills))


if __name__ == "__main__":
    main()
