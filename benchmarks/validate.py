"""Validation against one hand-written SQL pass with the same checks, and GX's pandas engine.

    python -m benchmarks.validate                    100,000, 1,000,000 and 10,000,000 calls
    python -m benchmarks.validate --rows 100000 1000000

Ours is what the stage does with a batch: Great Expectations judges it, our own SQL marks the rows,
the two are compared. By hand: validate_by_hand.sql, one SELECT with a count for each rule. Pandas:
GX's pandas engine on the rules it can express (no SQL predicates), beside the same rules judged
here; with the frame read from the store, where the calls lie, and with the frame in memory.
Rows are calls of about 2 KB, one in 50 of them with a fault; all arms read the same file. Every
measurement runs in a process of its own; the fastest of --repeats counts, imports and generation
left out. The counts of all arms are compared. Prints a table and writes JSON to results/.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.ingest import Prose, line, print_table
from benchmarks.process_cost import Cost, measure
from expectations.calls import calls_rules
from expectations.checks import JudgedTable
from expectations.contracts import LANDING
from expectations.rules import RuleSet
from tasks.store import Store
from tasks.store.held import marks
from tasks.store.held.quarantine import CALLS

ROOT = Path(__file__).resolve().parent.parent
BY_HAND = Path(__file__).with_name("validate_by_hand.sql")
NOW = datetime.fromisoformat("2026-11-24 12:00:00")
BATCH = JudgedTable(LANDING.name, NOW)
SUITE = calls_rules(300.0)
STORE = "flywheel.duckdb"
NUM_TEXTS = 20_000

#: one call in 50 has one of these faults
_CALLS = """
INSERT INTO landing BY NAME
SELECT 'call-' || CASE n % 500 WHEN 49 THEN n - 1 ELSE n END AS request_id,
       TIMESTAMP '2026-11-01' + INTERVAL (n % 2000000) SECOND AS started_at,
       'openai' AS provider,
       CASE n % 500 WHEN 99 THEN NULL ELSE 'gpt-4o' END AS model,
       '2026-11-01' AS "release", 'support' AS prompt_name, '3' AS prompt_version,
       'session-' || n // 5 AS session_id, 'chat' AS operation,
       CASE n % 500 WHEN 149 THEN '[{"role":"user"},{"role":"assistant","content":""}]'
       ELSE to_json([{role: 'system', content: system.text},
                     {role: 'user', content: n || ' ' || question.text}]) END AS messages,
       CASE n % 500 WHEN 199 THEN NULL
       ELSE to_json({role: 'assistant', content: answer.text}) END AS response,
       'stop' AS finish_reason, '{"temperature":0.2,"max_tokens":400}' AS params,
       CASE n % 500 WHEN 249 THEN -1 ELSE 180 + n % 100 END AS input_tokens,
       110 AS output_tokens,
       CASE n % 500 WHEN 299 THEN 7 WHEN 249 THEN NULL ELSE 290 + n % 100 END AS total_tokens,
       CASE n % 500 WHEN 349 THEN -2.0 ELSE 1.5 END AS latency_s, 0.2 AS ttft_s,
       CASE n % 500 WHEN 399 THEN 'maybe' ELSE 'ok' END AS status,
       CASE n % 500 WHEN 449 THEN 500 ELSE 200 END AS http_status, 0 AS retries,
       '{"service.name":"support","region":"eu"}' AS tags,
       ['calls.jsonl:' || n] AS sources, 'canonical' AS format,
       sha256(n::VARCHAR) AS content_digest, 'run' AS run_id, TIMESTAMP '2026-11-24' AS ingested_at
FROM range(?, ?) calls(n)
JOIN texts system ON system.id = hash(n, 1) % 20000
JOIN texts question ON question.id = hash(n, 2) % 20000
JOIN texts answer ON answer.id = hash(n, 3) % 20000
"""
_STEP = 500_000


def generate(path: Path, num_rows: int) -> None:
    """A store with that many calls in landing, and one in 1,000 known with other content."""
    prose = Prose(0)
    texts = [prose.cut(prose.draw.randint(300, 800)) for _ in range(NUM_TEXTS)]
    with Store.open(path) as store:
        store.execute(
            "CREATE TEMP TABLE texts AS SELECT unnest(range(len(?::VARCHAR[]))) AS id, "
            "unnest(?::VARCHAR[]) AS text",
            [texts, texts],
        )
        for start in range(0, num_rows, _STEP):
            end = min(num_rows, start + _STEP)
            store.execute(_CALLS, [start, end])
        store.execute(
            "INSERT INTO requests SELECT * REPLACE ('other' AS content_digest) FROM landing "
            "WHERE rowid % 1000 = 0"
        )
        store.execute("CHECKPOINT")


def ours(store: Store) -> dict[str, int]:
    from tasks.rules import gx
    from tasks.rules.outcomes import check_agreement

    outcomes = gx.judge(store, SUITE, BATCH)
    counts = mark(store)
    check_agreement(outcomes, counts, SUITE)
    return counts


def judged(store: Store, suite: RuleSet = SUITE) -> dict[str, int]:
    from tasks.rules import gx

    outcomes = gx.judge(store, suite, BATCH)
    return {outcome.rule_id: outcome.unexpected_rows for outcome in outcomes}


def mark(store: Store) -> dict[str, int]:
    critical, warning = (
        {rule.id: rule.violation_sql(BATCH) for rule in SUITE.of(severity)}
        for severity in ("critical", "warning")
    )
    return marks.mark_violations(store, CALLS.rows, critical, warning)


def by_hand(store: Store) -> dict[str, int]:
    result = store.connection.execute(BY_HAND.read_text(), {"now": str(NOW)})
    row = result.fetchone()
    assert row is not None
    return dict(zip((column[0] for column in result.description), row, strict=True))


def pandas_suite() -> RuleSet:
    rules = tuple(rule for rule in SUITE.rules if rule.check.expectation(BATCH) is not None)
    return RuleSet(SUITE.name, SUITE.table, rules)


def judged_as_pandas(store: Store) -> dict[str, int]:
    return judged(store, pandas_suite())


ARMS: dict[str, Callable[[Store], dict[str, int]]] = {
    "ours": ours, "judged": judged, "judged as pandas": judged_as_pandas, "mark": mark,
    "by hand": by_hand,
}  # fmt: skip


def work_on_pandas(store: Store, *, in_memory: bool) -> tuple[Cost, dict[str, int]]:
    """Only the columns that the rules look at. `in_memory`: the frame is there already."""
    import great_expectations as gx

    from tasks.rules.gx import outcomes_of

    suite = pandas_suite()
    columns = {name for rule in suite.rules for name in rule.columns}
    columns |= {condition.column for rule in suite.rules for condition in rule.when}
    query = "SELECT " + ", ".join(f'"{name}"' for name in sorted(columns)) + " FROM landing"
    held = store.frame(query) if in_memory else None
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("pandas").add_dataframe_asset("landing")
    definition = asset.add_batch_definition_whole_dataframe("all")
    counts: dict[str, int] = {}

    def work() -> None:
        frame = store.frame(query) if held is None else held
        batch = definition.get_batch({"dataframe": frame})
        result = batch.validate(suite.to_gx(BATCH), result_format="BASIC")
        counts.update(
            (outcome.rule_id, outcome.unexpected_rows) for outcome in outcomes_of(result, suite)
        )

    return measure(work), counts


def run_worker(name: str, path: Path) -> None:

    with Store.open(path) as store:
        if name.startswith("pandas"):
            cost, counts = work_on_pandas(store, in_memory=name == "pandas, in memory")
        else:
            # what GX and DuckDB load on first use is not what a row costs
            with tempfile.TemporaryDirectory() as folder:
                generate(Path(folder) / STORE, 100)
                with Store.open(Path(folder) / STORE) as small:
                    ARMS[name](small)
            counts = {}
            cost = measure(lambda: counts.update(ARMS[name](store)))
    print(json.dumps({"cost": json.loads(cost.to_json()), "counts": counts}))


def measured(name: str, path: Path, repeats: int) -> tuple[Cost, dict[str, int]]:
    command = [sys.executable, "-m", "benchmarks.validate", "--worker", name, str(path)]
    best: Cost | None = None
    for _ in range(repeats):
        done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        cost = Cost(**found["cost"])
        best = cost if best is None or cost.seconds < best.seconds else best
        print(f"{path.parent.name} {name}: {cost}", file=sys.stderr, flush=True)
    assert best is not None
    return best, found["counts"]


def lines(options: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    seconds_of: dict[int, float] = {}
    for num_rows in options.rows:
        home = folder / str(num_rows)
        home.mkdir()
        path = home / STORE
        generate(path, num_rows)
        size = path.stat().st_size / 2**20
        yield line("calls in the store", num_rows, "")
        yield line("size of the store", size, "MiB")
        hand, expected = measured("by hand", path, options.repeats)
        costs = {name: measured(name, path, options.repeats) for name in ("ours", "judged", "mark")}
        agree = all(counts == expected for _, counts in costs.values())
        cost = costs["ours"][0]
        seconds_of[num_rows] = cost.seconds
        yield line("one SQL pass by hand", hand.seconds, "s")
        yield line("validation", cost.seconds, "s")
        yield line("  of it Great Expectations", costs["judged"][0].seconds, "s")
        yield line("  of it marking the rows", costs["mark"][0].seconds, "s")
        yield line("validation, of the pass by hand", cost.seconds / hand.seconds, "×", 3.0)
        yield line("validation, peak memory", cost.peak_mib, "MiB")
        yield line("rules with other counts by hand", 0 if agree else 1, "", 0)
        if num_rows <= options.pandas_rows:
            yield from _against_pandas(path, options.repeats, expected)
        shutil.rmtree(home)
    first, *others = options.rows
    for num_rows in others:
        grown = seconds_of[num_rows] / seconds_of[first] / (num_rows / first)
        yield line(f"time a row, {num_rows:,} against {first:,}", grown, "×", 1.2)


def _against_pandas(path: Path, repeats: int, expected: dict[str, int]) -> Iterator[dict[str, Any]]:
    pandas, counts = measured("pandas", path, repeats)
    in_memory, _ = measured("pandas, in memory", path, repeats)
    ours, _ = measured("judged as pandas", path, repeats)
    agree = counts == {name: expected[name] for name in counts}
    yield line(
        f"{len(counts)} of {len(expected)} rules: by GX's pandas engine", pandas.seconds, "s"
    )
    yield line("  the same with the frame in memory", in_memory.seconds, "s")
    yield line("  the same by GX here", ours.seconds, "s")
    yield line("  times faster than pandas", pandas.seconds / ours.seconds, "×", 10, False)
    yield line("  times faster than in memory", in_memory.seconds / ours.seconds, "×")
    yield line("rules with other counts in pandas", 0 if agree else 1, "", 0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--pandas-rows", type=int, default=1_000_000, help="no larger frame")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--folder", type=Path, default=None, help="where the stores are made")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        run_worker(options.worker[0], Path(options.worker[1]))
        return
    from benchmarks import results

    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        found = list(lines(options, Path(folder)))
    print_table(found)
    results.write({**results.header(), "lines": found}, options.out, "validate")


if __name__ == "__main__":
    main()
