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


#: file: format, calls, input and output tokens, records that are no calls. Counted by hand.
SAMPLES = {
    "anthropic/test_anthropic_model_instructions.vcr.yaml": ("anthropic", 1, 20, 10, 0),
    # an exchange of counting tokens beside the call
    "anthropic/test_anthropic_model_usage_limit_not_exceeded.vcr.yaml": ("anthropic", 1, 19, 77, 0),
    "bedrock/panther_tests.jsonl": ("bedrock", 4, 0, 0, 0),  # two of them are the same
    "envoy_ai_gateway/accesslog_doc_example_0.json": ("envoy", 1, 15, 7, 0),
    "kong/ai_log_doc_example_1.json": ("kong", 0, 0, 0, 1),
    "langfuse/autogen-2025-06-06.trace.json": ("langfuse", 1, 41, 3, 1),
    "langfuse/crewai-2025-07-11.trace.json": ("langfuse", 1, 190, 164, 5),
    "langfuse/google-adk-2025-08-28.trace.json": ("langfuse", 2, 67, 9, 5),  # 2 scores of no call
    "langfuse/llamaindex-2025-06-05.trace.json": ("langfuse", 1, 13, 81, 1),
    "langfuse/openai-agents-2025-09-30.trace.json": ("langfuse", 2, 140, 44, 5),
    "langfuse/pydantic-ai-tools-2025-06-06.trace.json": ("langfuse", 1, 31, 96, 2),
    "litellm/spend_logs_payload.json": ("litellm", 1, 10, 20, 0),
    "litellm/standard_logging_payload.json": ("litellm", 1, 10, 20, 0),
    "openai_batch/batch_output.jsonl": ("openai_batch", 2, 42, 20, 0),
    "openai_chat/test_text_response.vcr.yaml": ("openai_chat", 1, 0, 0, 0),
    "openai_chat/test_valid_response.vcr.yaml": ("openai_chat", 1, 14, 7, 0),
    "openinference/chat-basic.json": ("openinference", 1, 8, 377, 0),
    "openinference/chat-json-mode.json": ("openinference", 1, 21, 280, 0),
    "openinference/chat-multiturn.json": ("openinference", 1, 50, 526, 0),
    "openinference/chat-no-messages.json": ("openinference", 1, 0, 0, 0),
    "openinference/chat-reasoning.json": ("openinference", 1, 27, 267, 0),
    "openinference/chat-streaming-detailed-usage.json": ("openinference", 1, 12, 100, 0),
    "openinference/chat-tools.json": ("openinference", 1, 162, 287, 0),
    "openinference/chat-unknown-model.json": ("openinference", 1, 0, 0, 0),
    "otel_genai/latitude_LATITUDE_RENDERING_SPANS.otlp.json": ("otlp", 4, 199, 52, 2),
    "tensorzero/chat_datapoint_fixture.jsonl": ("tensorzero", 0, 0, 0, 21),
    "tensorzero/json_datapoint_fixture.jsonl": ("tensorzero", 0, 0, 0, 14),
}


def test_every_sample_is_counted_as_by_hand_and_documents_are_refused(shared: Path, tmp_path: Path):
    folder = (shared / "log_formats").resolve()
    run = make_run(tmp_path, folder)
    receipt = ingest(run)
    read = query(run, """
        SELECT path, format, rows_out + duplicates - coalesce(f.n, 0), input_tokens, output_tokens,
               other_spans
        FROM sources LEFT JOIN (
            SELECT regexp_replace(source, ':[^:]*$', '') AS path, count(*) AS n
            FROM feedback GROUP BY 1
        ) f USING (path)
        WHERE format <> 'unknown'
    """)  # fmt: skip
    assert {str(Path(path).relative_to(folder)): rest for path, *rest in read} == {
        name: list(counted) for name, counted in SAMPLES.items()
    }
    assert receipt.notes["feedback"] == 2
    refused = {name for (name,) in query(run, "SELECT source FROM dead_letters")}
    documents = {str(path) for path in folder.glob("*/*")} - {
        str(folder / name) for name in SAMPLES
    }
    assert documents <= refused
    assert len(refused - documents) == 1, "the exchange that counts tokens"
    assert receipt.rows_in == receipt.rows_out + receipt.duplicates + receipt.dead_letters
    failed = query(run, "SELECT error_type FROM landing WHERE status = 'error' ORDER BY 1")
    assert failed == [("no_completion",), ("openai.BadRequestError",), ("openai.NotFoundError",)]
    verdicts = query(run, "SELECT status FROM landing WHERE guardrail_verdicts IS NOT NULL")
    assert verdicts == [("ok",)], "a guardrail's block is no error"
