"""Real logs that nobody here wrote; skipped where they are not at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.ingest.task import ingest
from tests.tasks.ingest.builders import make_run, query

pytestmark = pytest.mark.realdata


def test_otel_and_openai_samples_are_ingested_or_dead_lettered_and_add_up(
    shared: Path, tmp_path: Path
):
    formats = shared / "log_formats"
    run = make_run(tmp_path, formats / "otel_genai" / "*", formats / "openai_chat" / "*")
    receipt = ingest(run)
    # counted by hand: four completions, a tool and a prompt span; one answer and one non-answer
    assert receipt.notes["by_format"] == {"openai_chat": 2, "otlp": 4}
    assert receipt.notes["other_spans"] == 2
    assert receipt.notes["input_tokens"] == 19 + 30 + 57 + 93 + 14
    assert receipt.notes["output_tokens"] == 8 + 16 + 19 + 9 + 7
    assert receipt.rows_in == receipt.rows_out + receipt.dead_letters
    assert receipt.dead_letters == receipt.notes["files"] - 3
    assert query(run, "SELECT count(DISTINCT request_id), count(started_at) FROM landing") == [
        (6, 1)
    ]
    assert query(run, "SELECT error_type, http_status FROM landing WHERE status = 'error'") == [
        ("no_completion", 200)
    ]
    assert query(run, "SELECT finish_reason FROM landing WHERE tool_calls IS NOT NULL") == [
        ("tool_calls",)
    ]


def test_files_of_other_formats_are_not_misread(shared: Path, tmp_path: Path):
    run = make_run(tmp_path, shared / "log_formats")
    receipt = ingest(run)
    assert receipt.rows_out == 6
    assert receipt.dead_letters == receipt.notes["files"] - 3
