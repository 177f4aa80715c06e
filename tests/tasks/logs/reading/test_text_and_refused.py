"""Text logs of servers, and files that are no logs, through the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.ingest.task import ingest
from tests.tasks.logs.builders import call, make_run, query, write_lines
from tests.tasks.logs.formats.test_server_logs import NEW, RECEIVED, STATS


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
    ((source, error),) = query(run, "SELECT source, error FROM dead_letters")
    assert source.endswith(f"/{name}")
    assert what in error
