"""CSV and Parquet tables whose columns are named in the settings."""

from __future__ import annotations

import gzip
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import UsageError
from tasks.ingest.task import ingest
from tests.tasks.logs.builders import make_run, query

COLUMNS = {"started_at": "TIMESTAMP", "input_tokens": "ContextTokens",
           "output_tokens": "GeneratedTokens"}  # fmt: skip
CHATS = {"request_id": "id", "messages": "question", "response": "answer"}


def test_rows_become_calls_and_other_columns_tags(tmp_path: Path):
    (tmp_path / "a.csv").write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens,region\n"
        "2023-11-16 18:17:03.9799600,4808,10,eu\n"
        "2023-11-16 18:17:04.0319600,3180,,us\n\n"
    )
    run = make_run(tmp_path, tmp_path / "a.csv", ingest={"columns": COLUMNS})
    receipt = ingest(run)
    assert (receipt.rows_out, receipt.dead_letters) == (2, 0)
    assert query(
        run, "SELECT started_at, input_tokens, output_tokens, tags->>'region', format FROM landing"
        " ORDER BY 1"
    ) == [
        (datetime(2023, 11, 16, 18, 17, 3, 979960), 4808, 10, "eu", "table"),  # noqa: DTZ001
        (datetime(2023, 11, 16, 18, 17, 4, 31960), 3180, None, "us", "table"),  # noqa: DTZ001
    ]  # fmt: skip


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_cells_may_hold_delimiters_quotes_and_line_ends(tmp_path: Path, delimiter: str):
    rows = [["id", "question", "answer"], ["1", f'say "a{delimiter} b"\nnow', "no"]]
    text = "\n".join(
        delimiter.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows
    )
    path = tmp_path / ("a.tsv.gz" if delimiter == "\t" else "a.csv")
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    run = make_run(tmp_path, path, ingest={"columns": CHATS})
    ingest(run)
    (found,) = query(run, "SELECT messages->0->>'content', response->>'content' FROM landing")
    assert found == (f'say "a{delimiter} b"\nnow', "no")


def test_broken_rows_are_dead_letters_and_the_rest_goes_on(tmp_path: Path):
    (tmp_path / "a.csv").write_bytes(
        b"id,question,answer\n"
        b"1,a,b\n"
        b"2,a,b,too many\n"
        b"3,\xff\xfe,b\n" + b"4," + b"x" * 3000 + b",b\n"
        b"5,a,b\n"
        b'6,"never closed,b\n7,a,b\n'
    )
    run = make_run(tmp_path, tmp_path / "a.csv", ingest={"columns": CHATS, "max_line_bytes": 2000})
    receipt = ingest(run)
    assert query(run, "SELECT request_id FROM landing ORDER BY 1") == [("1",), ("5",)]
    assert query(run, "SELECT line_number, error FROM dead_letters ORDER BY 1") == [
        (3, "4 cells under 3 columns"), (4, "not UTF-8"), (5, "a line of 3004 bytes"),
        (7, "not CSV: unexpected end of data"),
    ]  # fmt: skip
    assert receipt.rows_in == receipt.rows_out + receipt.dead_letters == 6


def test_an_unnamed_table_says_what_is_missing_and_is_read_once_it_is_named(tmp_path: Path):
    (tmp_path / "a.csv").write_text("id,question,answer\n1,a,b\n")
    with pytest.raises(UsageError):
        ingest(make_run(tmp_path, tmp_path / "a.csv"))
    run = make_run(tmp_path, tmp_path / "a.csv", run_id="run-2", ingest={"columns": CHATS})
    assert (
        "[ingest.columns] says what each means"
        in query(run, "SELECT error FROM dead_letters")[0][0]
    )
    assert ingest(run).rows_out == 1
    with pytest.raises(UsageError, match="columns are not named"):
        ingest(make_run(tmp_path, tmp_path / "a.csv", run_id="run-3", log_format="table"))


def test_parquet_with_named_columns(tmp_path: Path):
    pq.write_table(
        pa.table({"id": ["1"], "question": ["a"], "answer": ["b"]}), tmp_path / "a.parquet"
    )
    run = make_run(tmp_path, tmp_path / "a.parquet", ingest={"columns": CHATS})
    assert ingest(run).notes["by_format"] == {"table": 1}
    ours = tmp_path / "ours.parquet"
    pq.write_table(pa.table({"request_id": ["9"], "messages": ["a"], "response": ["b"]}), ours)
    other = make_run(tmp_path, ours, run_id="run-2", ingest={"columns": CHATS})
    assert ingest(other).notes["by_format"] == {"canonical": 1}


def test_a_column_of_no_field_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="did you mean 'input_tokens'"):
        make_run(tmp_path, "a", ingest={"columns": {"input_token": "x"}})


@pytest.mark.realdata
def test_published_traces_of_azure(shared: Path, tmp_path: Path):
    path = shared / "datasets" / "azure_llm_2023_code.csv.gz"
    run = make_run(tmp_path, path, ingest={"columns": COLUMNS})
    receipt = ingest(run)
    rows = gzip.decompress(path.read_bytes()).decode().splitlines()[1:]
    assert receipt.rows_out + receipt.duplicates == len(rows)
    assert receipt.dead_letters == 0
    unique = {tuple(row.split(",")) for row in rows}
    assert receipt.notes["input_tokens"] == sum(int(row[1]) for row in unique)
    assert receipt.notes["output_tokens"] == sum(int(row[2]) for row in unique)
