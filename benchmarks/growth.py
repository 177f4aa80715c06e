"""What logs cost as they grow: files → ingest, validate, redact, in waves of files or all at once.

    python -m benchmarks.growth                      1, 4 and 16 waves of 1,000,000 calls
    python -m benchmarks.growth --calls 50000 --waves 1 2
    python -m benchmarks.growth --waves 4 --at-once  all of them in one pass besides, and compared

Gzip files of --file-calls canonical calls of about 1 KB: one in 500 stands there twice, one in
1,000 is cut off, one in 200 breaks a rule, and every file begins with the last calls of the one
before. A wave is a run of the three stages on its files, as an hourly deployment makes it; every
stage runs in a process of its own, and its memory is that of all its processes together. Counts are
compared with what was written; with --at-once all rows of calls, quarantine and dead letters too,
with those of one pass. Prints a table and writes JSON to results/.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from multiprocessing import Pool
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import orjson

from benchmarks.ingest import ROOT, Prose, canonical
from benchmarks.process_cost import Cost, measure
from tasks.store.control.pseudonym_key import KEY_FILE

STAGES = ("ingest", "validate", "redact")
TWICE, CUT, BROKEN = 500, 1_000, 200
#: calls of the file before with which a file begins
AGAIN = 100
#: rows that tell the same, whichever run took them in
_COMPARED = {
    "requests": "* EXCLUDE (run_id, ingested_at, sources)",
    "quarantine": "request_id, \"row\"->>'content_digest' AS digest, expectation, also_failed",
    "dead_letters": "dead_letter_id, error, source, num_records",
}


@dataclass(frozen=True, slots=True)
class Written:
    """What a file holds. `quarantined` of the calls that are there once."""

    lines: int
    calls: int
    cut: int
    quarantined: int


@dataclass(slots=True)
class Wave:
    """A run of the three stages; `in_store`: calls there were behind it."""

    number: int
    in_store: int = 0
    store_mib: float = 0.0
    costs: dict[str, Cost] = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)


def call(number: int, prose: Prose) -> dict[str, Any]:
    """About 1 KB of JSON, the same whoever writes it."""
    prose.draw.seed(number)
    made = canonical(number, prose)
    made["messages"] = [
        {"role": "system", "content": made["messages"][0]["content"][:120]},
        {"role": "user", "content": made["messages"][1]["content"][:300]},
    ]
    made["response"]["content"] = made["response"]["content"][:160]
    if number % BROKEN == BROKEN - 1:
        del made["model"]
    return made


def write_file(job: tuple[Path, int, int]) -> Written:
    """`num_calls` calls from number `first` on, and some of the file before once more."""
    path, first, num_calls = job
    prose = Prose(0)
    lines = cut = quarantined = 0
    with gzip.open(path, "wb", compresslevel=1) as file:
        for number in range(max(0, first - AGAIN), first):
            file.write(orjson.dumps(call(number, prose)) + b"\n")
            lines += 1
        for number in range(first, first + num_calls):
            text = orjson.dumps(call(number, prose))
            file.write(text + b"\n")
            lines, quarantined = lines + 1, quarantined + (number % BROKEN == BROKEN - 1)
            if number % CUT == CUT - 1:
                file.write(text[: len(text) // 2] + b"\n")
                lines, cut = lines + 1, cut + 1
            if number % TWICE == TWICE - 1:
                file.write(text + b"\n")
                lines += 1
    return Written(lines, num_calls, cut, quarantined)


def run_stage(stage: str, home: Path, number: int, files: list[str]) -> None:
    """In this process; prints what it cost and its receipt."""
    from importlib import import_module

    from tasks.run import Run, RunRequest
    from tasks.settings import parse_settings

    settings = parse_settings({"home": str(home), "validate": {"data_docs": False}}, base=str(home))
    run = Run(f"wave-{number:05}", RunRequest(logs=tuple(files), log_format="auto"), settings)
    work = getattr(import_module(f"tasks.{stage}.task"), stage)
    receipts = []
    cost = measure(lambda: receipts.append(work(run)))
    (receipt,) = receipts
    names = ("rows_in", "rows_out", "duplicates", "dead_letters", "quarantined")
    counts = {name: getattr(receipt, name) for name in names}
    print(json.dumps({"cost": asdict(cost), "counts": counts}))


def wave(home: Path, number: int, files: list[Path]) -> Wave:
    done = Wave(number)
    home.mkdir(exist_ok=True)
    for stage in STAGES:
        command = [sys.executable, "-m", "benchmarks.growth", "--stage", stage, str(home),
                   str(number), *map(str, files)]  # fmt: skip
        said = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        found = json.loads(said.stdout.splitlines()[-1])
        done.costs[stage], done.counts[stage] = Cost(**found["cost"]), found["counts"]
        print(f"{home.name} {number} {stage}: {found}", file=sys.stderr, flush=True)
    done.store_mib = sum(f.stat().st_size for f in home.glob("flywheel.duckdb*")) / 2**20
    done.in_store = number_of(home, "requests")
    return done


def number_of(home: Path, table: str) -> int:
    from tasks.store import Store

    with Store.open(home / "flywheel.duckdb", read_only=True) as store:
        return int(store.scalar(f"SELECT count(*) FROM {table}"))


def differences(one: Path, other: Path) -> dict[str, int]:
    """Table → rows that only one of two stores has."""
    import duckdb

    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{one}/flywheel.duckdb' AS one (READ_ONLY)")
        connection.execute(f"ATTACH '{other}/flywheel.duckdb' AS other (READ_ONLY)")
        found = {}
        for table, columns in _COMPARED.items():
            # hashes, so that twice the texts need not be held
            sides = [f"SELECT hash(t) AS h FROM (SELECT {columns} FROM {name}.{table}) t"
                     for name in ("one", "other")]  # fmt: skip
            rows = connection.execute(
                f"SELECT count(*) FROM (({sides[0]} EXCEPT ALL {sides[1]}) "
                f"UNION ALL ({sides[1]} EXCEPT ALL {sides[0]}))"
            ).fetchall()
            found[table] = int(rows[0][0])
    return found


def told_right(waves: list[Wave], written: list[Written]) -> bool:
    """Whether the counts of all waves are what was written."""
    total = {name: sum(getattr(file, name) for file in written)
             for name in ("lines", "calls", "cut", "quarantined")}  # fmt: skip
    ingested = {name: sum(w.counts["ingest"][name] for w in waves)
                for name in ("rows_in", "rows_out", "duplicates", "dead_letters")}  # fmt: skip
    expected = {
        "rows_in": total["lines"], "rows_out": total["calls"], "dead_letters": total["cut"],
        "duplicates": total["lines"] - total["calls"] - total["cut"],
    }  # fmt: skip
    held = sum(w.counts["validate"]["quarantined"] for w in waves)
    moved = sum(w.counts["redact"]["rows_out"] for w in waves)
    good = total["calls"] - total["quarantined"]
    return ingested == expected and (held, moved) == (total["quarantined"], good)


def print_waves(waves: list[Wave], num_calls: int) -> None:
    names = [f"{stage}, s" for stage in STAGES], [f"{stage}, MiB" for stage in STAGES]
    rows = [["calls in the store", *names[0], "calls/s", *names[1], "store, MiB"]]
    rows.append(["---"] * len(rows[0]))
    for each in waves:
        costs = [each.costs[stage] for stage in STAGES]
        seconds = [cost.seconds for cost in costs]
        rows.append([
            f"{each.in_store:,}", *(f"{value:.1f}" for value in seconds),
            f"{num_calls / sum(seconds):,.0f}", *(f"{cost.peak_mib:,.0f}" for cost in costs),
            f"{each.store_mib:,.0f}",
        ])  # fmt: skip
    for row in rows:
        print(f"| {' | '.join(row)} |")


def found(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Any]]:
    per_wave = max(1, options.calls // options.file_calls)
    num_files = per_wave * options.waves
    paths = [folder / f"calls-{n:05}.jsonl.gz" for n in range(num_files)]
    jobs = [(path, n * options.file_calls, options.file_calls) for n, path in enumerate(paths)]
    with Pool(2) as pool:
        written = pool.map(write_file, jobs, chunksize=1)
    yield "log_mib", sum(path.stat().st_size for path in paths) / 2**20
    home = folder / "waves"
    waves = [wave(home, n, paths[n * per_wave : (n + 1) * per_wave]) for n in range(options.waves)]
    print_waves(waves, per_wave * options.file_calls)
    yield "waves", [asdict(each) for each in waves]
    yield "counts_as_written", told_right(waves, written)
    if options.at_once:
        (folder / "at-once").mkdir()
        shutil.copy(home / KEY_FILE, folder / "at-once")  # else the same has other pseudonyms
        whole = wave(folder / "at-once", 0, paths)
        print_waves([whole], num_files * options.file_calls)
        yield "at_once", asdict(whole)
        yield "at_once_as_written", told_right([whole], written)
        yield "rows_that_differ", differences(home, folder / "at-once")
        shutil.rmtree(folder / "at-once")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=1_000_000, help="of a wave")
    parser.add_argument("--waves", type=int, default=4)
    parser.add_argument("--file-calls", type=int, default=125_000)
    parser.add_argument("--at-once", action="store_true", help="one pass over all, besides")
    parser.add_argument("--beside", default="", help="what else the machine was doing")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--folder", type=Path, default=None, help="where files and stores are made")
    parser.add_argument("--stage", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        stage, home, number, *files = options.stage
        run_stage(stage, Path(home), int(number), files)
        return
    from benchmarks import results

    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        told = dict(found(options, Path(folder)))
    print({name: value for name, value in told.items() if name not in ("waves", "at_once")})
    results.write({**results.header(), "beside": options.beside, **told}, options.out, "growth")


if __name__ == "__main__":
    main()
