"""Ingest against DuckDB's own read_json on the same files, and of OTLP spans.

    python -m benchmarks.ingest                      1,000,000 canonical calls of about 2 KB
    python -m benchmarks.ingest --calls 50000

Every measurement runs in a process of its own, into a fresh store; the fastest of --repeats counts.
Prints a table with the project's targets and writes JSON to results/.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import results

ROOT = Path(__file__).resolve().parent.parent
WORDS = ["refund", "order", "the", "please", "customer", "invoice", "delayed", "of", "and", "was"]
START_S = 1_764_000_000


def canonical(number: int, draw: random.Random) -> dict[str, Any]:
    """About 2 KB of JSON."""
    return {
        "request_id": f"call-{number:08d}",
        "started_at": datetime.fromtimestamp(START_S + number // 10, UTC).strftime("%FT%T"),
        "provider": "openai",
        "model": "gpt-4o",
        "release": "2026-11-01",
        "prompt_name": "support",
        "prompt_version": "3",
        "session_id": f"session-{number // 5}",
        "messages": [
            {"role": "system", "content": text(60, draw)},
            {"role": "user", "content": f"{number} {text(120, draw)}"},
        ],
        "response": {"role": "assistant", "content": text(110, draw)},
        "finish_reason": "stop",
        "params": {"temperature": 0.2, "max_tokens": 400},
        "input_tokens": 180,
        "output_tokens": 110,
        "total_tokens": 290,
        "latency_s": 1.5,
        "status": "ok",
        "tags": {"service.name": "support", "region": "eu"},
    }


def span(number: int, draw: random.Random) -> dict[str, Any]:
    """One OTLP GenAI span a line, with its messages."""
    start = (START_S + number) * 10**9
    question = [{"role": "user", "parts": [{"type": "text", "content": text(120, draw)}]}]
    answer = [{"role": "assistant", "parts": [{"type": "text", "content": text(110, draw)}]}]
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.input.messages": json.dumps(question),
        "gen_ai.output.messages": json.dumps(answer),
        "gen_ai.usage.input_tokens": 180,
        "gen_ai.usage.output_tokens": 110,
    }
    pairs = [
        {"key": k, "value": {"intValue": str(v)} if isinstance(v, int) else {"stringValue": v}}
        for k, v in attributes.items()
    ]
    item = {
        "traceId": f"{number:032x}", "spanId": f"{number:016x}", "name": "chat gpt-4o",
        "startTimeUnixNano": str(start), "endTimeUnixNano": str(start + 10**9), "attributes": pairs,
        "status": {"code": 1},
    }  # fmt: skip
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "support"}}]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [item]}]}]}


def text(num_words: int, draw: random.Random) -> str:
    return " ".join(draw.choices(WORDS, k=num_words))


def write(path: Path, count: int, make: Callable[[int, random.Random], dict[str, Any]]) -> None:
    draw = random.Random(0)
    with path.open("w") as file:
        file.writelines(json.dumps(make(i, draw)) + "\n" for i in range(count))


def with_duckdb(path: Path, store: Path) -> None:
    """read_json into a table with the columns of ours, types given."""
    import duckdb

    from expectations.contracts import LANDING

    columns = {c.name: "JSON" if c.sql_type == "JSON" else c.sql_type for c in LANDING.columns}
    with duckdb.connect(str(store / "plain.duckdb")) as connection:
        connection.execute(
            f"CREATE TABLE landing AS SELECT * FROM read_json('{path}', "
            f"format = 'newline_delimited', columns = {columns!r})"
        )


def with_ours(path: Path, store: Path) -> None:
    from tasks.ingest.task import ingest
    from tasks.run import Run, RunRequest
    from tasks.settings import parse_settings

    settings = parse_settings({"home": str(store / "home")}, base=str(store))
    for number in range(1 + sum(1 for _ in store.glob("run-*")), 100):
        (store / f"run-{number}").touch()
        ingest(Run(f"run-{number}", RunRequest(logs=(str(path),), log_format="auto"), settings))
        return


WORKERS = {"duckdb": with_duckdb, "ours": with_ours}


def measured(name: str, path: Path, store: Path) -> tuple[float, float]:
    """Seconds of the work itself, and peak MiB of the process."""
    command = [sys.executable, "-m", "benchmarks.ingest", "--worker", name, str(path), str(store)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    seconds, peak = json.loads(done.stdout.splitlines()[-1])
    return seconds, peak


def lines(options: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    calls, spans = folder / "calls.jsonl", folder / "spans.jsonl"
    write(calls, options.calls, canonical)
    write(spans, options.spans, span)
    best: dict[str, tuple[float, float]] = {}
    second = (0.0, 0.0)
    for repeat in range(options.repeats):
        for name, worker, path in (
            ("duckdb", "duckdb", calls), ("calls", "ours", calls), ("spans", "ours", spans),
        ):  # fmt: skip
            store = folder / f"{name}-{repeat}"
            store.mkdir()
            found = measured(worker, path, store)
            best[name] = min(best.get(name, found), found)
            print(f"{name} {repeat + 1}: {found[0]:.2f} s", file=sys.stderr, flush=True)
            if name == "calls":
                second = measured(worker, path, store)
    size = calls.stat().st_size / options.calls
    ratio = best["calls"][0] / best["duckdb"][0]
    yield line(f"canonical calls of {size:.0f} bytes", options.calls, "")
    yield line("DuckDB's read_json", best["duckdb"][0], "s")
    yield line("ingest", best["calls"][0], "s")
    yield line("ingest, of DuckDB's time", ratio, "×", 2.0)
    yield line("ingest, peak memory", best["calls"][1], "MiB", 2048)
    yield line("second run over the same file", second[0], "s", 2.0)
    yield line("OTLP spans", options.spans / best["spans"][0], "1/s", 20_000, at_most=False)


def line(
    what: str, value: float, unit: str, target: float | None = None, at_most: bool = True
) -> dict[str, Any]:
    met = None if target is None else (value <= target if at_most else value >= target)
    return {"what": what, "value": value, "unit": unit, "target": target, "met": met}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--spans", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=results.FOLDER)
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        name, path, store = options.worker
        started = time.perf_counter()
        WORKERS[name](Path(path), Path(store))
        seconds = time.perf_counter() - started
        print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
        return
    with tempfile.TemporaryDirectory() as folder:
        found = list(lines(options, Path(folder)))
    print("| measured | value | target | met |\n|---|---|---|---|")
    for each in found:
        target = "" if each["target"] is None else f"{each['target']:g}"
        met = {None: "", True: "yes", False: "no"}[each["met"]]
        print(f"| {each['what']} | {each['value']:.4g} {each['unit']} | {target} | {met} |")
    results.write({**results.header(), "lines": found}, options.out, "ingest")


if __name__ == "__main__":
    main()
