"""Real logs that nobody here wrote; skipped where they are not at hand.

The numbers were counted by hand in the files: what is a call, its tokens, what is no log at all.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.ingest.task import ingest
from tasks.model.receipt import Receipt
from tests.tasks.logs.builders import make_run, query

pytestmark = pytest.mark.realdata

#: file: (format, calls, input tokens, output tokens, duplicates, spans and lines that are no call)
FILES = {
    "anthropic/test_anthropic_model_instructions.vcr.yaml": ("anthropic", 1, 20, 10, 0, 0),
    # the first exchange counts tokens, which runs no model
    "anthropic/test_anthropic_model_usage_limit_not_exceeded.vcr.yaml": (
        "anthropic", 1, 19, 77, 0, 1,
    ),
    # four records with one requestId, two of which are the same to the byte
    "bedrock/panther_tests.jsonl": ("bedrock", 3, 0, 0, 1, 0),
    "envoy_ai_gateway/accesslog_doc_example_0.json": ("envoy", 1, 15, 7, 0, 0),
    # tool traffic
    "kong/ai_log_doc_example_1.json": ("kong", 0, 0, 0, 0, 1),
    "langfuse/autogen-2025-06-06.trace.json": ("langfuse", 1, 41, 3, 0, 1),
    "langfuse/crewai-2025-07-11.trace.json": ("langfuse", 1, 190, 164, 0, 5),
    "langfuse/google-adk-2025-08-28.trace.json": ("langfuse", 2, 39 + 28, 6 + 3, 0, 3),
    "langfuse/llamaindex-2025-06-05.trace.json": ("langfuse", 1, 13, 81, 0, 1),
    "langfuse/openai-agents-2025-09-30.trace.json": ("langfuse", 2, 85 + 55, 29 + 15, 0, 3),
    "langfuse/pydantic-ai-tools-2025-06-06.trace.json": ("langfuse", 1, 31, 96, 0, 2),
    "litellm/spend_logs_payload.json": ("litellm", 1, 10, 20, 0, 0),
    "litellm/standard_logging_payload.json": ("litellm", 1, 10, 20, 0, 0),
    "openai_batch/batch_output.jsonl": ("openai_batch", 2, 20 + 22, 10 + 10, 0, 0),
    # HTTP 200 with a text that is no completion
    "openai_chat/test_text_response.vcr.yaml": ("openai_chat", 1, 0, 0, 0, 0),
    "openai_chat/test_valid_response.vcr.yaml": ("openai_chat", 1, 14, 7, 0, 0),
    "openinference/chat-basic.json": ("openinference", 1, 8, 377, 0, 0),
    "openinference/chat-json-mode.json": ("openinference", 1, 21, 280, 0, 0),
    "openinference/chat-multiturn.json": ("openinference", 1, 50, 526, 0, 0),
    "openinference/chat-no-messages.json": ("openinference", 1, 0, 0, 0, 0),
    "openinference/chat-reasoning.json": ("openinference", 1, 27, 267, 0, 0),
    "openinference/chat-streaming-detailed-usage.json": ("openinference", 1, 12, 100, 0, 0),
    "openinference/chat-tools.json": ("openinference", 1, 162, 287, 0, 0),
    "openinference/chat-unknown-model.json": ("openinference", 1, 0, 0, 0, 0),
    # four completions, a tool and a prompt span
    "otel_genai/latitude_LATITUDE_RENDERING_SPANS.otlp.json": (
        "otlp", 4, 19 + 30 + 57 + 93, 8 + 16 + 19 + 9, 0, 2,
    ),
    # datapoints: rows for eval sets
    "tensorzero/chat_datapoint_fixture.jsonl": ("tensorzero", 0, 0, 0, 0, 21),
    "tensorzero/json_datapoint_fixture.jsonl": ("tensorzero", 0, 0, 0, 0, 14),
}  # fmt: skip
#: what stands beside the logs and is refused by name, with the word that says what it is
REFUSED = {
    "PROVENANCE.md": "Markdown", "README.md": "Markdown", "accesslogs.md": "Markdown",
    "ai-audit-log-reference.md": "Markdown", "examples-llm-calls.md": "Markdown",
    "gen-ai-events.md": "Markdown", "gen-ai-metrics.md": "Markdown", "gen-ai-spans.md": "Markdown",
    "basic.yaml": "Kubernetes manifest", "standard_logging_payload_schema.json": "JSON Schema",
    "gen-ai-input-messages.json": "JSON Schema", "gen-ai-output-messages.json": "JSON Schema",
    "gen-ai-system-instructions.json": "JSON Schema",
}  # fmt: skip


def counted(receipt: Receipt) -> tuple[object, ...]:
    notes = receipt.notes
    return (
        receipt.rows_out, notes["input_tokens"], notes["output_tokens"], receipt.duplicates,
        notes["other_spans"],
    )  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_calls_and_tokens_of_a_file(name: str, shared: Path, tmp_path: Path):
    format, *expected = FILES[name]
    run = make_run(tmp_path, shared / "log_formats" / name)
    receipt = ingest(run)
    assert counted(receipt) == tuple(expected)
    assert receipt.dead_letters == 0
    assert receipt.rows_in == receipt.rows_out + receipt.duplicates
    assert query(run, "SELECT format FROM sources") == [(format,)]


def test_the_whole_folder_adds_up_and_what_is_no_log_is_refused_by_name(
    shared: Path, tmp_path: Path
):
    folder = shared / "log_formats"
    run = make_run(tmp_path, folder)
    receipt = ingest(run)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert receipt.notes["files"] == len(files)
    assert counted(receipt) == tuple(
        sum(each[number] for each in FILES.values())  # type: ignore[misc]
        for number in range(1, 6)
    )
    assert receipt.rows_in == receipt.rows_out + receipt.duplicates + receipt.dead_letters
    assert receipt.dead_letters == len(files) - len(FILES)
    dead = query(run, "SELECT source, error FROM dead_letters")
    assert {Path(source).name for source, _ in dead} == set(REFUSED)
    for source, error in dead:
        assert REFUSED[Path(source).name] in error


def test_what_the_samples_force(shared: Path, tmp_path: Path):
    run = make_run(tmp_path, shared / "log_formats")
    ingest(run)
    assert sorted(
        query(run, "SELECT format, error_type, http_status FROM landing WHERE status = 'error'")
    ) == [
        ("openai_chat", "no_completion", 200),
        ("openinference", "no_completion", None),
        ("openinference", "openai.BadRequestError", None),
        ("openinference", "openai.NotFoundError", None),
    ]
    # every call has an id of its own; spans without times have none
    assert query(run, "SELECT count(DISTINCT request_id), count(*) FROM landing") == [(32, 32)]
    assert query(run, "SELECT count(*) FROM landing WHERE started_at IS NULL") == [(8 + 4 + 3,)]
    assert query(
        run, "SELECT status, http_status FROM landing WHERE guardrail_verdicts IS NOT NULL"
    ) == [("ok", None)]
    # reasoning is part of the output
    assert query(run, "SELECT count(*) FROM landing WHERE reasoning_tokens > output_tokens") == [
        (0,)
    ]
    assert query(run, "SELECT sum(reasoning_tokens) FROM landing WHERE format = 'openinference'"
                 ) == [(320 + 256 + 512 + 192 + 100 + 256,)]  # fmt: skip
    assert query(
        run, "SELECT kind, count(*) FROM feedback GROUP BY kind ORDER BY kind"
    ) == [("correction", 1), ("hallucination", 3), ("toxicity", 3)]  # fmt: skip


def test_azure_trace_by_a_column_mapping(shared: Path, tmp_path: Path):
    columns = {
        "started_at": "TIMESTAMP", "input_tokens": "ContextTokens",
        "output_tokens": "GeneratedTokens",
    }  # fmt: skip
    path = shared / "datasets" / "azure_llm_2023_code.csv.gz"
    run = make_run(tmp_path, path, ingest={"columns": columns})
    receipt = ingest(run)
    # zcat | awk -F, '{a+=$2; b+=$3} END {print NR-1, a, b}'
    assert counted(receipt) == (8819, 18_059_974, 245_896, 0, 0)
    assert query(run, "SELECT min(started_at)::VARCHAR FROM landing") == [
        ("2023-11-16 18:17:03.97996",)
    ]
