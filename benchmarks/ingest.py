"""Ingest against DuckDB's own read_json on the same files, and of OTLP spans.

    python -m benchmarks.ingest                      1,000,000 canonical calls of about 2 KB
    python -m benchmarks.ingest --calls 50000

One line in 500 is there twice and one in 1,000 is cut in two. Every measurement runs in a process
of its own, into a fresh store; the fastest of --repeats counts, imports and generation left out.
Memory is that of all processes together. Prints a table with the project's targets and writes
JSON to results/.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import orjson

from benchmarks.process_cost import Cost, measure

ROOT = Path(__file__).resolve().parent.parent
START_S = 1_764_000_000


class Prose:
    """Texts cut out of one long text of 5,000 invented words, a letter in a hundred not ASCII."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        letters = "etaoinshrdlucmfwypvbgkjqxz"
        words = ["".join(self.draw.choices(letters, k=self.draw.randint(2, 10)))
                 for _ in range(5000)]  # fmt: skip
        ends = [" "] * 12 + [", ", ". ", '"\n', " é "]
        self._text = "".join(
            self.draw.choice(words) + self.draw.choice(ends) for _ in range(150_000)
        )

    def cut(self, num_chars: int) -> str:
        start = self.draw.randrange(len(self._text) - num_chars)
        return self._text[start : start + num_chars]


def canonical(number: int, prose: Prose) -> dict[str, Any]:
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
        "user": f"user-{prose.draw.randrange(10_000)}",
        "messages": [
            {"role": "system", "content": prose.cut(400)},
            {"role": "user", "content": f"{number} {prose.cut(prose.draw.randint(300, 900))}"},
        ],
        "response": {"role": "assistant", "content": prose.cut(prose.draw.randint(100, 700))},
        "finish_reason": "stop",
        "params": {"temperature": 0.2, "max_tokens": 400},
        "input_tokens": 180 + prose.draw.randrange(100),
        "output_tokens": 110,
        "latency_s": 1.5,
        "status": "ok",
        "tags": {"service.name": "support", "region": "eu"},
    }


def span(number: int, prose: Prose) -> dict[str, Any]:
    """One OTLP GenAI span a line, with its messages; about 2 KB."""
    start = (START_S + number) * 10**9
    question = [{"role": "user", "parts": [{"type": "text", "content": prose.cut(600)}]}]
    answer = [{"role": "assistant", "parts": [{"type": "text", "content": prose.cut(400)}]}]
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
        "traceId": f"{prose.draw.getrandbits(128):032x}", "spanId": f"{number:016x}",
        "name": "chat gpt-4o", "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + 10**9), "attributes": pairs, "status": {"code": 1},
    }  # fmt: skip
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "support"}}]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [item]}]}]}


def write(path: Path, count: int, make: Callable[[int, Prose], dict[str, Any]]) -> None:
    prose = Prose(0)
    with path.open("wb") as file:
        for number in range(count):
            line = orjson.dumps(make(number, prose)) + b"\n"
            file.write(line)
            if number % 500 == 499:
                file.write(line)
            if number % 1000 == 999:
                file.write(line[: len(line) // 2] + b"\n")


def with_duckdb(path: Path, store: Path) -> None:
    """read_json into a table with the columns of ours, types given; broken lines are left out."""
    import duckdb

    from expectations.contracts import LANDING

    columns = {c.name: "JSON" if c.sql_type == "JSON" else c.sql_type for c in LANDING.columns}
    with duckdb.connect(str(store / "plain.duckdb")) as connection:
        connection.execute(
            f"CREATE TABLE landing AS SELECT * FROM read_json('{path}', "
            f"format = 'newline_delimited', ignore_errors = true, columns = {columns!r})"
        )


def with_ours(path: Path, store: Path, processes: int = 0) -> None:
    from tasks.ingest.task import ingest
    from tasks.run import Run, RunRequest
    from tasks.settings import parse_settings

    number = sum(1 for _ in store.glob("run-*"))
    (store / f"run-{number}").touch()
    settings = parse_settings(
        {"home": str(store / "home"), "ingest": {"processes": processes}}, base=str(store)
    )
    ingest(Run(f"run-{number}", RunRequest(logs=(str(path),), log_format="auto"), settings))


def with_ours_alone(path: Path, store: Path) -> None:
    with_ours(path, store, 1)


WORKERS = {"duckdb": with_duckdb, "ours": with_ours, "alone": with_ours_alone}


def measured(name: str, path: Path, store: Path) -> Cost:
    command = [sys.executable, "-m", "benchmarks.ingest", "--worker", name, str(path), str(store)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def lines(options: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    calls, spans = folder / "calls.jsonl", folder / "spans.jsonl"
    write(calls, options.calls, canonical)
    write(spans, options.spans, span)
    best: dict[str, Cost] = {}
    second = best_of(None, None)
    for repeat in range(options.repeats):
        for name, worker, path in (
            ("duckdb", "duckdb", calls), ("calls", "ours", calls), ("spans", "ours", spans),
            ("spans alone", "alone", spans),
        ):  # fmt: skip
            with tempfile.TemporaryDirectory(dir=folder) as store:
                found = measured(worker, path, Path(store))
                best[name] = best_of(best.get(name), found)
                print(f"{name} {repeat + 1}: {found}", file=sys.stderr, flush=True)
                if name == "calls":
                    second = best_of(second, measured(worker, path, Path(store)))
    ours, plain = best["calls"], best["duckdb"]
    size = calls.stat().st_size / options.calls
    yield line(f"canonical calls of {size:.0f} bytes", options.calls, "")
    yield line("DuckDB's read_json", plain.seconds, "s")
    yield line("DuckDB's read_json, processor time", plain.processor_s, "s")
    yield line("ingest", ours.seconds, "s")
    yield line("ingest, processor time", ours.processor_s, "s")
    yield line("ingest, of DuckDB's time", ours.seconds / plain.seconds, "×", 2.0)
    yield line("ingest, peak memory", ours.peak_mib, "MiB", 2048)
    yield line("second run over the same file", second.seconds, "s", 2.0)
    size = spans.stat().st_size / options.spans
    yield line(f"OTLP spans of {size:.0f} bytes", options.spans, "")
    yield line("OTLP spans, all cores", options.spans / best["spans"].seconds, "1/s")
    alone = options.spans / best["spans alone"].processor_s
    yield line("OTLP spans, a core", alone, "1/s", 20_000, at_most=False)


def best_of(best: Cost | None, found: Cost | None) -> Cost:
    costs = [each for each in (best, found) if each is not None]
    return min(costs, key=lambda cost: cost.seconds, default=Cost(float("inf"), 0.0, 0.0))


def line(
    what: str, value: float, unit: str, target: float | None = None, at_most: bool = True
) -> dict[str, Any]:
    met = None if target is None else (value <= target if at_most else value >= target)
    return {"what": what, "value": value, "unit": unit, "target": target, "met": met}


def print_table(found: list[dict[str, Any]]) -> None:
    print("| measured | value | target | met |\n|---|---|---|---|")
    for each in found:
        target = "" if each["target"] is None else f"{each['target']:g}"
        met = {None: "", True: "yes", False: "no"}[each["met"]]
        print(f"| {each['what']} | {each['value']:.4g} {each['unit']} | {target} | {met} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--spans", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        import duckdb  # noqa: F401
        import pyarrow  # noqa: F401

        import tasks.ingest.task  # noqa: F401

        name, path, store = options.worker
        print(measure(lambda: WORKERS[name](Path(path), Path(store))).to_json())
        return
    from benchmarks import results

    with tempfile.TemporaryDirectory() as folder:
        found = list(lines(options, Path(folder)))
    print_table(found)
    results.write({**results.header(), "lines": found}, options.out, "ingest")


if __name__ == "__main__":
    main()
