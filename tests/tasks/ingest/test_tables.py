"""CSV and Parquet tables with mapped columns, text logs and refused files, through the store."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import UsageError
from tasks.ingest.delimited import header_of, rows_of
from tasks.ingest.task import ingest
from tests.tasks.ingest.builders import append, call, make_run, query, write_lines
from tests.tasks.ingest.formats.test_server_logs import NEW, RECEIVED, STATS

COLUMNS = {"started_at": "When", "input_tokens": "In", "latency_ms": "Ms", "response": "Answer"}


def test_a_mapped_csv_is_read_and_what_does_not_fit_is_a_dead_letter(tmp_path: Path):
    path = tmp_path / "trace.csv"
    path.write_bytes(
        b"\xef\xbb\xbfWhen;In;Ms;Answer;Team\r\n"
        b'2026-01-01 00:00:00.1234567;5;1500;"two\nlines; one ""field""";a\r\n'
        b"\r\n"
        b"2026-01-01;many;1;x;a\r\n"
        b"2026-01-02;7;;y\r\n"
        b"\xff;1;1;z;a\r\n"
        b'2026-01-03;8;1;"open;a'
    )
    run = make_run(tmp_path, path, ingest={"columns": COLUMNS})
    receipt = ingest(run)
    assert (receipt.rows_in, receipt.rows_out, receipt.dead_letters) == (5, 1, 4)
    assert query(
        run, "SELECT started_at::VARCHAR, input_tokens, latency_s, response->>'content', tags "
        "FROM landing"
    ) == [
        ("2026-01-01 00:00:00.123456", 5, 1.5, 'two\nlines; one "field"', '{"Team":"a"}')
    ]  # fmt: skip
    dead = query(run, "SELECT line_number, error, raw FROM dead_letters ORDER BY 1")
    assert [number for number, _, _ in dead] == [5, 6, 7, 8]
    assert "expected an integer, received 'many'" in dead[0][1]
    assert "4 fields where the header has 5" in dead[1][1]
    assert "not UTF-8" in dead[2][1]
    assert dead[1][2] == b"2026-01-02;7;;y"


def test_a_grown_csv_adds_only_its_new_rows(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("When,In,Ms,Answer\n1,2,3,a\n")
    ingest(make_run(tmp_path, path, ingest={"columns": COLUMNS}))
    append(path, b"2,3,4,b\n")
    receipt = ingest(make_run(tmp_path, path, run_id="run-2", ingest={"columns": COLUMNS}))
    assert (receipt.rows_in, receipt.rows_out, receipt.duplicates) == (2, 1, 1)


def test_a_table_without_mapping_says_which_columns_it_has(tmp_path: Path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    run = make_run(tmp_path, tmp_path / "t.csv")
    with pytest.raises(UsageError):
        ingest(run)
    ((error,),) = query(run, "SELECT error FROM dead_letters")
    assert "[ingest.columns]" in error
    assert "a, b" in error


def test_a_mapped_parquet_is_read_and_ours_beside_it(tmp_path: Path):
    pq.write_table(pa.table({"When": [1], "In": [2], "Ms": [3.0], "Answer": ["a"]}),
                   tmp_path / "theirs.parquet")  # fmt: skip
    pq.write_table(pa.Table.from_pylist([call(1)]), tmp_path / "ours.parquet")
    run = make_run(tmp_path, tmp_path, ingest={"columns": COLUMNS})
    assert ingest(run).notes["by_format"] == {"canonical": 1, "table": 1}


def test_a_column_of_no_field_is_refused_with_the_nearest(tmp_path: Path):
    with pytest.raises(UsageError, match="did you mean 'input_tokens'"):
        make_run(tmp_path, ingest={"columns": {"input_token": "x"}})


def test_text_logs_of_servers(tmp_path: Path):
    (tmp_path / "vllm.log").write_text("\n".join([STATS, *[RECEIVED.format(id=i) for i in "ab"]]))
    (tmp_path / "llama.log").write_text(NEW)
    run = make_run(tmp_path, tmp_path)
    receipt = ingest(run)
    assert receipt.notes["by_format"] == {"llama_cpp": 2, "vllm": 2}
    assert (receipt.notes["input_tokens"], receipt.notes["output_tokens"]) == (3 + 3 + 40, 192)
    assert receipt.notes["other_spans"] == 1 + 9


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [("values.yaml", "a: 1\n", "configuration"), ("app.toml", "a = 1\n", "configuration"),
     ("LICENSE", "free", "a document"), ("x.py", "print()", "source code"),
     ("pod.yml", "kind: Pod\napiVersion: v1\n", "Kubernetes manifest"),
     ("api.json", '{"openapi": "3.0", "paths": {}}', "OpenAPI"),
     ("pod.json", '{"kind": "Pod",\n "apiVersion": "v1"}', "Kubernetes manifest")],
)  # fmt: skip
def test_what_is_no_log_is_refused_by_name(tmp_path: Path, name: str, content: str, what: str):
    (tmp_path / name).write_text(content)
    write_lines(tmp_path / "a.jsonl", call(1))
    run = make_run(tmp_path, tmp_path)
    assert ingest(run).rows_out == 1
    ((error,),) = query(run, "SELECT error FROM dead_letters")
    assert name in error
    assert what in error


def test_rows_of_odd_text():
    assert header_of(b'a\t"b"\t c') == ["a", "b", "c"]
    assert header_of(b"only") == ["only"]
    long = b"a,b\n" + b"x" * 200 + b"\n1,2\n"
    first, second = rows_of(io.BytesIO(long), 100)
    assert "200 bytes" in first.error
    assert second.value == {"a": "1", "b": "2"}
    open_quote = b'a\n"' + b"x\n" * 3001
    rows = list(rows_of(io.BytesIO(open_quote), 100))
    assert sum(row.raw.count(b"x") for row in rows) == 3001
    assert "bytes" in rows[0].error
    (last,) = rows_of(io.BytesIO(b'a\n"x\n'), 100)
    assert last.error == "a quoted field is not closed"
