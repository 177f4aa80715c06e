"""A turn disturbed in every way that machines and people have: does it end as if undisturbed?

    python -m benchmarks.chaos                      200 events, about 15 minutes on two cores

A chain is one state folder and one command, `flywheel run`, inline or in Prefect, given again and
again. Its first attempts are disturbed: SIGKILL, SIGTERM or SIGINT at a random moment, little
memory, a disk that fills up (a real one of its own where a tmpfs may be mounted, else a limit on
the size of files), Prefect's server killed; and beside them, at random moments, a second run and a
reader. The last attempt is left alone. Then the rows of every table, but for times and the ids of
runs, are those of a state folder that was never disturbed and saw as many whole turns; MLflow has
as many finished runs and no other; nobody is left who was started; no file is left that the
undisturbed one does not have. Every attempt has to end with a code that is promised for what was
done to it, without a traceback.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import duckdb

from benchmarks.results import FOLDER, header, write
from flows.processes import process_started_at
from tests.flows.application import make_application
from tests.flows.processes import servers_of
from tests.flows.test_resume import with_faults
from tests.tiny_model import write_tiny_model

SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT")
#: what is done to an attempt, and how often beside the others
DISTURBANCES = {"SIGKILL": 4, "SIGTERM": 3, "SIGINT": 3, "memory": 2, "disk": 2, "server": 1}
BESIDE = ("second run", "reader")
#: of a run, or of the clock
VOLATILE = ("run_id", "created_at", "ingested_at", "read_at", "updated_at", "finished_at", "age_h")
#: a row that is held is kept whole, with the run that took it in
HELD_ROW = """json_merge_patch("row", '{"run_id": null, "ingested_at": null}')"""
#: they tell of every attempt, or of the calls that the last one found new
OF_ATTEMPTS = ("runs", "run_stages", "schema_migrations", "batch_profile")
#: what a run that failed after its verdict told stays; only whole turns are compared
OF_RUNS = ("verdicts", "rankings", "run_samples")
#: lasts as long as an attempt may take at most
TIMEOUT_S = 240.0
_MARK = "CHAOS_CHAIN"
_DISK_MIB = 128


@dataclass(slots=True)
class Event:
    kind: str
    mode: str
    after_s: float
    code: int | None = None
    wrong: str = ""


@dataclass(slots=True)
class Chain:
    number: int
    home: Path
    temporary: Path
    events: list[Event] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith(("FLYWHEEL_", "PREFECT_"))},
            "FLYWHEEL_HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
            _MARK: f"{os.getpid()}-{self.number}",
        }


def start(
    chain: Chain, folder: Path, arguments: tuple[str, ...], limit: Callable[[], None] | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "flows", *arguments],
        cwd=folder,
        env=chain.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit,
    )


def attempt(chain: Chain, folder: Path, event: Event, draw: random.Random) -> bool:
    """One attempt, disturbed; whether it was a whole turn. What is wrong with it is told."""
    arguments = ("run", "--inline") if event.mode == "inline" else ("run",)
    limit, promised = None, {0, 1}
    ballast = chain.home / "ballast"
    if event.kind == "memory":
        size = int(draw.uniform(0.3, 3.5) * 2**30)
        limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (size, size))  # noqa: E731
        promised |= {4}
    elif event.kind == "disk":
        promised |= {4}
        size = int(draw.uniform(0, 12) * 2**20)
        if os.path.ismount(chain.home):
            free = shutil.disk_usage(chain.home).free
            ballast.write_bytes(b"\0" * max(0, free - size))
        else:
            limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))  # noqa: E731
    elif event.kind in SIGNALS:
        number = signal.Signals[event.kind]
        # Python says SIGINT where a handler's KeyboardInterrupt has passed through exec
        promised |= {-number, 128 + number, -signal.SIGINT}
    process = start(chain, folder, arguments, limit)
    beside = [
        threading.Thread(target=_beside, args=(chain, folder, kind, event, draw.random()))
        for kind in BESIDE
        if draw.random() < 0.25
    ]
    for thread in beside:
        thread.start()
    timer = threading.Timer(event.after_s, _disturb, (process, event.kind))
    timer.start()
    try:
        _, said = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        _, said = process.communicate()
        event.wrong = f"did not end in {TIMEOUT_S:.0f} s"
    timer.cancel()
    for thread in beside:
        thread.join()
    ballast.unlink(missing_ok=True)
    event.code = process.returncode
    if not event.wrong and process.returncode not in promised:
        event.wrong = f"exit code {process.returncode}: {said[-300:]}"
    elif event.kind == "memory" and "unexpected error: SystemError" in said:
        event.wrong = ""  # so CPython says of a lack of memory inside itself, and of nothing else
    elif "Traceback" in said or "unexpected error" in said:
        event.wrong = f"said: {said[-600:]}"
    return process.returncode in (0, 1) and completed(chain.home) > 0


def _disturb(process: subprocess.Popen[str], kind: str) -> None:
    if kind in SIGNALS:
        process.send_signal(signal.Signals[kind])
    elif kind == "server":
        for server in servers_of(process.pid):
            with suppress(ProcessLookupError):
                os.killpg(server, signal.SIGKILL)


def _beside(chain: Chain, folder: Path, kind: str, of: Event, share: float) -> None:
    """A second run, or a reader, while the attempt is at work or just after it."""
    time.sleep(share * of.after_s)
    event = Event(kind, of.mode, share * of.after_s)
    chain.events.append(event)
    reads = ("sql", "SELECT count(*) FROM requests")
    process = start(chain, folder, ("run", "--inline") if kind == "second run" else reads)
    _, said = process.communicate(timeout=TIMEOUT_S)
    event.code = process.returncode
    # of a store that is not there yet, and one that a full disk leaves no room to copy
    promised = {0, 1, 4} if kind == "second run" else {0, 2, 4}
    if process.returncode not in promised or "Traceback" in said or "unexpected error" in said:
        event.wrong = f"exit code {process.returncode}: {said[-600:]}"


def completed(home: Path) -> int:
    """Whole turns in the ledger."""
    if not (home / "flywheel.duckdb").exists():
        return 0
    with duckdb.connect(str(home / "flywheel.duckdb"), read_only=True) as store:
        found = store.execute("SELECT count(*) FROM runs WHERE state = 'completed'").fetchall()
    return int(found[0][0])


def state(home: Path) -> dict[str, Any]:
    """Rows of every table whatever their order, the runs of MLflow, and the names of files."""
    told: dict[str, Any] = {}
    with duckdb.connect(str(home / "flywheel.duckdb"), read_only=True) as store:
        columns = store.execute(
            "SELECT table_name, list(column_name) FROM duckdb_columns() "
            "WHERE NOT internal AND table_name NOT IN (SELECT view_name FROM duckdb_views()) "
            "GROUP BY ALL"
        ).fetchall()
        for table, names in columns:
            if table in OF_ATTEMPTS:
                continue
            kept = ", ".join(
                HELD_ROW if (table, name) == ("quarantine", "row") else f'"{name}"'
                for name in names
                if name not in VOLATILE
            )
            whole = "WHERE run_id IN (SELECT run_id FROM runs WHERE state = 'completed')"
            rows = store.execute(
                f"SELECT {kept} FROM {table} {whole if table in OF_RUNS else ''}"
            ).fetchall()
            told[table] = sorted(map(repr, rows))
    with closing(sqlite3.connect(home / "mlflow.db")) as mlflow:
        told["mlflow"] = sorted(
            mlflow.execute(
                "SELECT r.status, count(*) FROM runs r JOIN tags t ON t.run_uuid = r.run_uuid "
                "WHERE t.key = 'flywheel.run_id' AND r.lifecycle_stage = 'active' GROUP BY r.status"
            ).fetchall()
        )
    told["files"] = sorted(
        path.name for path in home.iterdir() if path.name not in ("prefect", "ballast")
    )
    told["reports"] = len(list((home / "reports").iterdir()))
    told["spool"] = sorted(str(path) for path in home.glob("spool/**/*") if path.is_file())
    return told


def differing(found: Any, wanted: Any) -> str:
    if not (isinstance(found, list) and isinstance(wanted, list)):
        return f"{found}, undisturbed {wanted}"
    more, fewer = Counter(found) - Counter(wanted), Counter(wanted) - Counter(found)
    return (
        f"{len(found)} rows, more: {list(more)[:2]}, undisturbed {len(wanted)}: {list(fewer)[:2]}"
    )


def left_over(chain: Chain, wait_s: float = 15.0) -> list[str]:
    """Processes that carry the chain's mark and are still there after a while."""
    mark = f"{_MARK}={chain.environment()[_MARK]}\0".encode()
    deadline = time.monotonic() + wait_s
    while True:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                is_ours = mark in (folder / "environ").read_bytes() + b"\0"
            except OSError:
                continue
            if is_ours and process_started_at(int(folder.name)) is not None:
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


@contextmanager
def disk(home: Path) -> Iterator[None]:
    """A file system of its own for a state folder, where one may be mounted."""
    home.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_MIB}m", "tmpfs", str(home)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    try:
        yield
    finally:
        if mounted:
            subprocess.run(["umount", str(home)], check=False)


def run_chain(
    number: int, folder: Path, seconds: dict[str, float], expected: dict[int, dict[str, Any]]
) -> Chain:
    draw = random.Random(number)
    base = folder / f"chain-{number}"
    base.mkdir()
    chain = Chain(number, base / "home", base / "tmp")
    chain.temporary.mkdir()
    kinds, weights = list(DISTURBANCES), list(DISTURBANCES.values())
    with disk(chain.home):
        for _ in range(draw.randint(2, 5)):
            (kind,) = draw.choices(kinds, weights)
            mode = "prefect" if kind == "server" else draw.choice(("inline", "prefect"))
            event = Event(kind, mode, draw.uniform(0, seconds[mode]))
            chain.events.append(event)
            if attempt(chain, folder, event, draw):
                break
        last = start(chain, folder, ("run", "--inline"))
        _, said = last.communicate(timeout=TIMEOUT_S)
        if last.returncode not in (0, 1):
            chain.wrong.append(f"the last attempt ended with {last.returncode}: {said[-600:]}")
        else:
            found, turns = state(chain.home), completed(chain.home)
            wanted = expected[turns]
            chain.wrong += [
                f"{name} after {turns} turns: {differing(found.get(name), wanted.get(name))}"
                for name in sorted({*found, *wanted})
                if found.get(name) != wanted.get(name)
            ]
        chain.wrong += [f"left: {command}" for command in left_over(chain)]
        # a traceback is kept to be reported; where none is promised its event is wrong already
        left = [path for path in chain.temporary.iterdir() if path.suffix != ".traceback"]
        chain.wrong += [f"left: {path.name}" for path in left]
    shutil.rmtree(base, ignore_errors=True)
    return chain


def undisturbed(folder: Path, turns: int) -> tuple[dict[str, float], dict[int, dict[str, Any]]]:
    """Seconds of a turn, inline and in Prefect, and the state after each number of turns."""
    (folder / "undisturbed").mkdir()
    chain = Chain(-1, folder / "undisturbed" / "home", folder / "undisturbed")
    seconds, expected = {}, {}
    for turn in range(1, turns + 1):
        mode = "prefect" if turn == 2 else "inline"
        began = time.monotonic()
        process = start(chain, folder, ("run", "--inline") if mode == "inline" else ("run",))
        _, said = process.communicate()
        assert process.returncode in (0, 1), said
        seconds.setdefault(mode, time.monotonic() - began)
        expected[turn] = state(chain.home)
    return seconds, expected


def main() -> None:
    # started in the background, all it starts would ignore it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="the number of the first chain")
    parser.add_argument("--out", type=Path, default=FOLDER / "chaos.json")
    options = parser.parse_args()
    chains: list[Chain] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "application"
        with_faults(make_application(folder, write_tiny_model(Path(temporary) / "model")))
        seconds, expected = undisturbed(folder, 8)
        print(f"undisturbed: {seconds}", flush=True)

        def work(first: int) -> None:
            number = options.seed + first
            while sum(len(chain.events) for chain in chains) < options.events:
                chain = run_chain(number, folder, seconds, expected)
                chains.append(chain)
                number += options.jobs
                print(
                    f"chain {chain.number}: "
                    + ", ".join(f"{e.kind} {e.mode} {e.after_s:.1f} s → {e.code}"
                                for e in chain.events)
                    + "".join(f"\n  WRONG {wrong}" for wrong in chain.wrong)
                    + "".join(f"\n  WRONG {e.kind} {e.wrong}" for e in chain.events if e.wrong),
                    flush=True,
                )  # fmt: skip

        with ThreadPoolExecutor(options.jobs) as threads:
            list(threads.map(work, range(options.jobs)))
    report(chains, time.monotonic() - began, options.out)


def report(chains: list[Chain], took_s: float, out: Path) -> None:
    events = [event for chain in chains for event in chain.events]
    counts = Counter((event.kind, event.mode) for event in events)
    whole = Counter((event.kind, event.mode) for event in events if event.code in (0, 1))
    wrong = Counter((event.kind, event.mode) for event in events if event.wrong)
    print("| event | mode | number | ended before it, or in spite of it | wrong |")
    print("|---|---|---|---|---|")
    rows = [
        {"event": kind, "mode": mode, "number": counts[kind, mode],
         "ended_whole": whole[kind, mode], "wrong": wrong[kind, mode]}
        for kind, mode in sorted(counts)
    ]  # fmt: skip
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")
    right = sum(not chain.wrong for chain in chains)
    print(f"{len(events)} events in {len(chains)} chains, {took_s:.0f} s: "
          f"{right} chains ended as undisturbed")  # fmt: skip
    found = [wrong for chain in chains for wrong in chain.wrong]
    found += [f"{event.kind} {event.mode}: {event.wrong}" for event in events if event.wrong]
    told = {"seconds": took_s, "chains": len(chains), "chains_right": right, "events": rows}
    write({**header(), **told, "wrong": found}, out, "chaos")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
