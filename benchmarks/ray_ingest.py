"""Logs read and masked by workers of Ray beside one process: seconds, memory, and the same store.

    python -m benchmarks.ray_ingest                             400,000 calls in 16 gzip files
    python -m benchmarks.ray_ingest --calls 20000 --files 8

Needs the extra: pip install 'llm-flywheel[ray]'. The calls are those of benchmarks/ingest.py, with
an e-mail address in every third. Each way is a process of its own that ingests the same files into
a new store and masks the calls: this process with one that parses or masks, with one a core, then
one and two workers of Ray. `ray`: seconds until Ray could begin, told apart since a command pays
them once; reading and masking have the start of their workers in them, and all that one store does
for them. Memory is the proportional share of all processes, Ray's own among them, at its highest.
`same`: no row of landing's calls, of feedback, dead letters or sources is in one store alone, times
of the clock aside. Compare within one run only.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import duckdb
import orjson

from benchmarks.ingest import Prose, canonical
from benchmarks.ray_eval import memory
from benchmarks.results import FOLDER, header, write

ROOT = Path(__file__).resolve().parent.parent
#: name → (ingest.on, ingest.processes, ingest.max_workers)
WAYS = {
    "this process, 1 beside it": ("here", 1, 0),
    "this process, one a core": ("here", 0, 0),
    "1 worker of Ray": ("ray", 1, 1),
    "2 workers of Ray": ("ray", 1, 2),
}
#: of each table, what the clock says
_CLOCK = {"requests": "ingested_at", "feedback": "", "dead_letters": "created_at",
          "sources": "read_at"}  # fmt: skip


def write_logs(folder: Path, num_calls: int, num_files: int) -> None:
    """In files of equal length; one line in 1,000 twice, one in 2,000 cut in two."""
    prose = Prose(0)
    for part in range(num_files):
        with gzip.open(folder / f"{part:03}.jsonl.gz", "wb", compresslevel=1) as file:
            for number in range(part, num_calls, num_files):
                record = canonical(number, prose)
                if number % 3 == 0:
                    record["messages"][1]["content"] += f" mail ann.{number}@example.com"
                data = orjson.dumps(record) + b"\n"
                file.write(data if number % 1_000 else data * 2)
                if number % 2_000 == 0:
                    file.write(data[:500] + b"\n")


def child(logs: Path, home: Path, on: str, processes: int, workers: int) -> None:
    from tasks.ingest.task import ingest
    from tasks.on_ray.driver import driver_of
    from tasks.redact.task import redact
    from tasks.run import Run, RunRequest
    from tasks.settings import parse_settings

    values = {
        "home": str(home),
        "ingest": {"on": on, "processes": processes, "max_workers": workers},
        "drift": {"enabled": False},
    }
    settings = parse_settings(values, base=str(home))
    run = Run("run-1", RunRequest(logs=(str(logs),)), settings)
    marks = [time.monotonic()]
    if on != "here":
        driver_of(settings.rows_run)
    marks.append(time.monotonic())
    read = ingest(run)
    marks.append(time.monotonic())
    masked = redact(run)
    marks.append(time.monotonic())
    told = {
        "seconds": [after - before for before, after in itertools.pairwise(marks)],
        "counts": [read.rows_in, read.rows_out, read.duplicates, read.dead_letters],
        "workers": [each.notes.get("workers") for each in (read, masked)],
        "redactions": masked.notes["redactions"],
    }
    (home / "told.json").write_text(json.dumps(told))


def measured(way: str, logs: Path, home: Path, key: bytes) -> dict[str, Any]:
    on, processes, workers = WAYS[way]
    home.mkdir()
    (home / "pseudonym.key").write_bytes(key)
    arguments = [str(logs), str(home), on, str(processes), str(workers)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.ray_ingest", "--child", *arguments],
        env=environment, cwd=ROOT, stdout=sys.stderr,
    )  # fmt: skip
    most = 0
    while process.poll() is None:
        most = max(most, memory(process.pid))
        time.sleep(0.5)
    assert process.returncode == 0, f"{way} ended with {process.returncode}"
    told = json.loads((home / "told.json").read_text())
    ray_s, read_s, mask_s = told["seconds"]
    num_calls = told["counts"][0]
    return {
        "way": way,
        "calls": num_calls,
        "ray_s": round(ray_s, 1),
        "read_s": round(read_s, 1),
        "mask_s": round(mask_s, 1),
        "read_per_s": round(num_calls / read_s),
        "masked_per_s": round(num_calls / mask_s),
        "memory_mib": round(most / 2**20),
        "counts": told["counts"],
        "workers": told["workers"],
        "redactions": told["redactions"],
    }


def differing(one: Path, other: Path) -> int:
    """Rows that only one of two stores has."""
    total = 0
    with duckdb.connect() as connection:
        connection.execute("SET preserve_insertion_order = false")
        for name, home in (("one", one), ("other", other)):
            connection.execute(f"ATTACH '{home / 'flywheel.duckdb'}' AS {name} (READ_ONLY)")
        for table, clock in _CLOCK.items():
            columns = f"* EXCLUDE ({clock})" if clock else "*"
            for this, that in (("one", "other"), ("other", "one")):
                # by their hashes: two stores of long texts would not fit in memory side by side
                some = [
                    f"SELECT md5(CAST(t AS VARCHAR)) FROM (SELECT {columns} FROM {store}.{table}) t"
                    for store in (this, that)
                ]
                sql = f"SELECT count(*) FROM ({' EXCEPT ALL '.join(some)})"
                ((count,),) = connection.execute(sql).fetchall()
                total += count
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=400_000)
    parser.add_argument("--files", type=int, default=16)
    parser.add_argument("--beside", default="", help="what else was at work on the machine")
    parser.add_argument("--out", type=Path, default=FOLDER / "ray-ingest.json")
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        logs, home, on, processes, workers = options.child
        child(Path(logs), Path(home), on, int(processes), int(workers))
        return
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "logs").mkdir()
        write_logs(folder / "logs", options.calls, options.files)
        key = os.urandom(32)
        first = folder / "0"
        for number, way in enumerate(WAYS):
            load = os.getloadavg()[0]
            home = folder / str(number)
            row = measured(way, folder / "logs", home, key)
            row |= {"load_before": round(load, 1), "differing_rows": differing(first, home)}
            row["same"] = row["differing_rows"] == 0 and all(
                row[each] == (rows or [row])[0][each] for each in ("counts", "redactions")
            )
            rows.append(row)
            print(
                f"{way:<26} ray {row['ray_s']:5.1f} s  read {row['read_s']:6.1f} s "
                f"{row['read_per_s']:>8,}/s  mask {row['mask_s']:6.1f} s "
                f"{row['masked_per_s']:>8,}/s  {row['memory_mib']:>6} MiB  same {row['same']}",
                flush=True,
            )
    told = {"beside": options.beside, "files": options.files, "rows": rows}
    write({**header(), **told}, options.out, "ray-ingest")


if __name__ == "__main__":
    main()
