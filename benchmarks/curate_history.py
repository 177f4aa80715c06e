"""Curation of a long history: seconds and memory of reading it and of assembling an eval set.

    python -m benchmarks.curate_history                          1,000,000 calls of 1 kB, all read
    python -m benchmarks.curate_history --calls 20000000 --max-calls 1000000

Calls are in sessions of four and of five tasks; three in ten ask one of 1,000 questions, the others
one of their own; people gave a thumb to one in a hundred, corrected one in a thousand. Making the
store is not measured. Writes JSON to results/.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.process_cost import Cost, measure
from tasks.collecting import without_collecting
from tasks.curate.assemble import Assembled, assemble
from tasks.curate.history import History, read_history
from tasks.curate.targets import TargetResolver
from tasks.settings import Settings, parse_settings
from tasks.store import Store

ROOT = Path(__file__).resolve().parent.parent
#: $1 first and $2 last call, $3 words a question; an answer is a third as long
_CALLS = """
INSERT INTO requests BY NAME
WITH words AS (
    SELECT list(translate(substr(md5(w::VARCHAR), 1, 3 + w % 6), '0123456789', 'ghijklmnop'))
        AS word FROM range(4000) t(w)
), calls AS (
    SELECT n, CASE WHEN hash(n) % 10 < 3 THEN hash(n, 1) % 1000 ELSE 1000 + n END AS question
    FROM range($1::BIGINT, $2::BIGINT) t(n)
), texts AS (
    SELECT n, array_to_string(list_transform(range($3::BIGINT),
            lambda i: word[1 + (hash(question, i) % 4000)::BIGINT]), ' ') AS asked,
        array_to_string(list_transform(range($3::BIGINT // 3),
            lambda i: word[1 + (hash(n, i, 7) % 4000)::BIGINT]), ' ') AS answered
    FROM calls, words
)
SELECT 'call-' || n AS request_id, TIMESTAMP '2026-01-01' + to_seconds(n) AS started_at,
    'task-' || (n // 4) % 5 AS prompt_name, 'session-' || n // 4 AS session_id,
    'some-model' AS model, 'chat' AS operation, 'ok' AS status, ['a.jsonl:1'] AS sources,
    'canonical' AS format, 'd' AS content_digest, 'r' AS run_id,
    TIMESTAMP '2026-01-01' AS ingested_at,
    json_array(json_object('role', 'user', 'content', asked)) AS messages,
    json_object('role', 'assistant', 'content', answered) AS response
FROM texts
"""
_FEEDBACK = """
INSERT INTO feedback BY NAME
SELECT 'f-' || n AS feedback_id, 'call-' || n AS request_id, 'a.jsonl:1' AS source, 'r' AS run_id,
    CASE WHEN n % 1000 = 0 THEN 'correction' ELSE 'thumbs' END AS kind,
    CASE WHEN n % 1000 = 0 THEN 'the right answer' END AS corrected,
    CASE WHEN n % 1000 = 0 THEN NULL WHEN n % 500 = 100 THEN -1 ELSE 1 END AS value
FROM range(0, $1::BIGINT, 100) t(n)
"""
_AT_ONCE = 500_000


def fill(path: Path, calls: int, words: int) -> None:
    with Store.open(path) as store:
        for first in range(0, calls, _AT_ONCE):
            store.execute(_CALLS, [first, min(calls, first + _AT_ONCE), words])
        store.execute(_FEEDBACK, [calls])


def read(path: Path, settings: Settings) -> History:
    with Store.open(path) as store:
        return read_history(store, settings, seed=0)


def assembled(history: History, settings: Settings) -> Assembled:
    resolver = TargetResolver({f"task-{n}": f"task-{n}" for n in range(5)}, [], use_logged=True)
    return assemble([], history.calls, resolver, settings.curate, 0, gating={"task-0"})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--max-calls", type=int, default=0)
    parser.add_argument("--words", type=int, default=130, help="of a question; 130 are 1 kB a call")
    parser.add_argument("--store", type=Path, help="keep it here, and use the one that is there")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    settings = parse_settings({"curate": {"max_calls": options.max_calls}}, base=".")
    with tempfile.TemporaryDirectory() as folder:
        path = options.store or Path(folder) / "flywheel.duckdb"
        if not path.exists():
            fill(path, options.calls, options.words)
        costs, history, made = _measured(path, settings)
    reading = history.reading
    print(
        f"{reading.num_read:,} of {reading.num_calls:,} calls read, "
        f"{len(made.eval_set.samples):,} samples, set {made.eval_set.digest[:12]}\n\n"
        "| part | seconds | processor s | peak MiB |\n|---|---|---|---|"
    )
    for name, cost in costs.items():
        print(f"| {name} | {cost.seconds:.1f} | {cost.processor_s:.1f} | {cost.peak_mib:,.0f} |")
    from benchmarks import results

    report = {
        **results.header(),
        "calls": reading.num_calls,
        "read": reading.num_read,
        "samples": len(made.eval_set.samples),
        "parts": {
            name: {"seconds": cost.seconds, "processor_s": cost.processor_s,
                   "peak_mib": cost.peak_mib}
            for name, cost in costs.items()
        },
    }  # fmt: skip
    results.write(report, options.out, "curate-history")


@without_collecting()
def _measured(path: Path, settings: Settings) -> tuple[dict[str, Cost], History, Assembled]:
    """As the stage does it; the memory of the second part has the calls in it."""
    histories: list[History] = []
    sets: list[Assembled] = []
    costs = {
        "read": measure(lambda: histories.append(read(path, settings))),
        "assemble": measure(lambda: sets.append(assembled(histories[0], settings))),
    }
    return costs, histories[0], sets[0]


if __name__ == "__main__":
    main()
