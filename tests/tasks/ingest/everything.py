"""Logs of every kind in one folder, and whether two stores hold the same of them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.logs.reading.reader import _MIN_BYTES_FOR_PROCESSES
from tasks.model.receipt import Receipt
from tasks.store.intake.forgotten import Mark, keep_marks, keyed
from tests.tasks.ingest.test_retold import session
from tests.tasks.logs.builders import call, line, write_lines
from tests.tasks.logs.formats.test_gateways import STANDARD
from tests.tasks.logs.reading.test_batch_inputs import answered, asked
from tests.tasks.logs.reading.test_processes import EVERY_KIND
from tests.tasks.logs.shapes.test_merging import details, span
from tests.tasks.redact.test_task import personal

KEY = b"k" * 32
FORGOTTEN = ("r5", "r77", "small-3")
COLUMNS = {"request_id": "id", "messages": "question", "response": "answer"}
#: by the clock of whoever ran
_OF_THE_CLOCK = (
    "ingested_at", "created_at", "read_at", "finished_at", "applied_at", "age_h",
)  # fmt: skip
_HELD_ROW = """json_merge_patch("row", '{"ingested_at": null}')"""
_MANY = 2_600


def write_everything(folder: Path, num_calls: int = _MANY) -> Path:
    """Four large files of so many calls each, with repetitions; small files; one of each oddity."""
    folder.mkdir()
    for part in range(4):
        # the first calls of a part are the last ones of the part before
        numbers = range(part * num_calls - 50 if part else 0, (part + 1) * num_calls)
        lines = [line(_call(number)) for number in numbers]
        lines[100:100] = [b'{"cut": "of', *(data for data, _ in EVERY_KIND.values())]
        data = b"\n".join(lines) + b"\n"
        name = folder / f"calls-{part}.jsonl"
        if part % 2:
            name.with_suffix(".jsonl.gz").write_bytes(gzip.compress(data, 1))
        else:
            name.write_bytes(data)
    (folder / "small").mkdir()
    for number in range(150):
        value = call(number % 140, request_id=f"small-{number % 140}")
        data = line(value)
        (folder / "small" / f"{number:03}.json").write_bytes(data if number % 9 else data[:-7])
    if num_calls == _MANY:  # more than 32 MiB: it is cut
        long = {"role": "assistant", "content": "word " * 2_200}
        write_lines(
            folder / "long.jsonl",
            *(call(n, request_id=f"long-{n}", response=long) for n in range(3_150)),
        )
        assert (folder / "long.jsonl").stat().st_size > _MIN_BYTES_FOR_PROCESSES
    write_lines(folder / "gateway.jsonl", STANDARD)
    write_lines(folder / "spans.jsonl", span(), details())
    write_lines(folder / "thumbs.jsonl",
                {"record": "feedback", "request_id": "chatcmpl-1", "value": -1},
                *({"record": "feedback", "request_id": f"r{n}", "value": 1} for n in range(40)),
                {"record": "feedback", "request_id": "r5", "value": 1})  # fmt: skip
    (folder / "batch").mkdir()
    ids = [f"b{number}" for number in range(30)]
    write_lines(folder / "batch" / "in.jsonl", *(asked(own, f"question {own}") for own in ids))
    write_lines(folder / "batch" / "out.jsonl", *(answered(own) for own in reversed(ids)))
    write_lines(folder / "session.jsonl", *session("s", 4))
    (folder / "table.csv").write_text("id,question,answer\nc1,why,because\nc2,how,so\n")
    table = pa.table({"id": ["p1", "p2"], "question": ["a", "b"], "answer": ["c", "d"]})
    pq.write_table(table, folder / "table.parquet")
    (folder / "nothing.jsonl").write_bytes(b"")
    (folder / "notes.txt").write_text("this is no log\n" * 40)
    return folder


def _call(number: int) -> dict[str, Any]:
    made = personal(number) if number % 3 else call(number)
    made["tags"] = {"padding": f"{number} " * 300}
    return made


def begin_home(run: Any) -> None:
    """The key that pseudonyms are made by, and what was erased."""
    run.settings.home_path.mkdir(parents=True)
    (run.settings.home_path / "pseudonym.key").write_bytes(KEY)
    with run.open_store() as store, store.transaction():
        keep_marks(store, [Mark(keyed(KEY, "call", own)) for own in FORGOTTEN], "erasure")


def differences(one: Any, other: Any) -> dict[str, int]:
    """Rows of each table that only one of two stores has; times of the clock do not count."""
    found: dict[str, int] = {}
    with duckdb.connect() as connection:
        for name, run in (("one", one), ("other", other)):
            connection.execute(f"ATTACH '{run.settings.store_path}' AS {name} (READ_ONLY)")
        tables: dict[str, list[str]] = {}
        for table, column in connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = 'one' "
            "AND NOT internal ORDER BY ALL"
        ).fetchall():
            tables.setdefault(table, []).append(column)
        tables.pop("run_stages", None)  # its receipts: `same_receipts`
        for table, columns in tables.items():
            names = ", ".join(
                _HELD_ROW if (table, name) == ("quarantine", "row") else f'"{name}"'
                for name in columns
                if name not in _OF_THE_CLOCK
            )
            for this, that in (("one", "other"), ("other", "one")):
                ((count,),) = connection.execute(
                    f"SELECT count(*) FROM (SELECT {names} FROM {this}.{table} "
                    f"EXCEPT ALL SELECT {names} FROM {that}.{table})"
                ).fetchall()
                if count:
                    found[f"{table} of {this}"] = count
    return found


def compared(receipt: Receipt) -> dict[str, Any]:
    """All of a receipt but who did the work and how long it took."""
    told = json.loads(json.dumps(receipt.to_dict()))
    told["notes"].pop("workers", None)
    told["notes"].get("batch", {}).pop("age_h", None)
    told.pop("seconds")
    return told
