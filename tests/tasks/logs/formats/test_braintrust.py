from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.formats import braintrust
from tasks.logs.shapes.records import Call, Feedback, Other


def row(**changes: Any) -> dict[str, Any]:
    return {
        "id": "row", "span_id": "s2", "root_span_id": "s1", "span_parents": ["s1"],
        "_xact_id": "1", "created": "2026-01-02T03:04:05.000Z", "is_root": False,
        "span_attributes": {"name": "Chat Completion", "type": "llm"},
        "input": [{"role": "user", "content": "hi"}],
        "output": [{"index": 0, "finish_reason": "stop",
                    "message": {"role": "assistant", "content": "ho"}},
                   {"index": 1, "message": {"role": "assistant", "content": "hu"}}],
        "metadata": {"model": "m", "provider": "azure", "temperature": 0, "team": "x",
                     "prompt": {"id": "p", "version": "7"}},
        "metrics": {"start": 1767323045.1, "end": 1767323046.6, "time_to_first_token": 0.25,
                    "prompt_tokens": 12, "completion_tokens": 5, "tokens": 17,
                    "prompt_cached_tokens": 4, "completion_reasoning_tokens": 2,
                    "estimated_cost": 0.5},
        "scores": {"acc": 1, "none": None}, "expected": "hey", "tags": ["a"], "error": None,
        **changes,
    }  # fmt: skip


def root(**changes: Any) -> dict[str, Any]:
    about = {"span_attributes": {"name": "app", "type": "task"}, "span_parents": None,
             "metadata": {"user_id": "ann", "session_id": "s", "release": "v1"},
             "scores": {"thumbs": 0}, "comments": [
                 {"comment": {"text": "bad"}, "user": {"id": "b"}, "created": "2026-01-03"}],
             **changes}  # fmt: skip
    return row(id="rootrow", span_id="s1", is_root=True, **about)


def fed(*values: Any) -> list[Any]:
    reader = braintrust.reader()
    found = [each for number, value in enumerate(values) for each in reader.feed(value, number)]
    return [record for record, _ in (*found, *reader.end())]


def test_every_field_of_a_span_and_what_its_root_says():
    assert formats.recognise(row()) is braintrust
    call, other = fed(row(), root())
    assert other == Other()
    assert (call.request_id, call.model, call.provider) == ("row", "m", "azure.ai.openai")
    assert (str(call.started_at)[:21], call.latency_s, call.ttft_s) == (
        "2026-01-02 03:04:05.1", 1.5, 0.25,
    )  # fmt: skip
    assert call.messages == [{"role": "user", "content": "hi"}]
    assert call.response == {"role": "assistant", "content": "ho"}
    assert call.tags["other_choices"] == [{"role": "assistant", "content": "hu"}]
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (12, 5, 17)
    assert (call.cached_tokens, call.reasoning_tokens, call.cost_usd) == (4, 2, 0.5)
    assert (call.user, call.session_id, call.release) == ("ann", "s", "v1")
    assert (call.prompt_name, call.prompt_version) == ("p", "7")
    assert (call.params, call.finish_reason, call.status) == ({"temperature": 0}, "stop", "ok")
    assert (call.tags["team"], call.tags["row_tags"]) == ("x", ["a"])
    assert [(each.kind, each.value, each.comment, each.corrected) for each in call.feedback] == [
        ("acc", 1.0, None, None), ("correction", None, None, "hey"), ("thumbs", 0.0, None, None),
        ("comment", None, "bad", None),
    ]  # fmt: skip
    assert call.feedback[-1].by == "b"


@pytest.mark.parametrize("name", ["events", "data"])
def test_pages_of_fetch_and_btql(name: str):
    page = {name: [row(), root()], "cursor": "c"}
    assert formats.recognise(page) is braintrust
    assert [type(each) for each in fed(page)] == [Call, Other]


def test_a_row_of_a_table_has_objects_as_json_text():
    cells = {key: json.dumps(item) if isinstance(item, dict | list) else item or ""
             for key, item in row().items()}  # fmt: skip
    assert formats.recognise(cells) is braintrust
    assert fed(cells) == fed(row())


def test_scores_of_a_scorer_stand_on_the_root_as_well_and_count_once():
    scorer = row(id="x", span_id="s3", span_attributes={"name": "acc", "type": "score"})
    call, *_ = fed(row(scores={}, expected=None), scorer, root(expected=None))
    assert [each.kind for each in call.feedback] == ["thumbs", "comment"]


def test_of_two_llm_spans_around_one_api_call_the_inner_counts():
    inner = row(id="inner", span_id="s3", span_parents=["f"])
    function = row(id="f", span_id="f", span_attributes={"type": "function"}, span_parents=["s2"])
    found = fed(row(), function, inner)
    assert [getattr(each, "request_id", None) for each in found] == [None, None, "inner"]


def test_errors_and_embeddings():
    (failed,) = fed(row(error="openai.RateLimitError: no", output=None))
    assert (failed.status, failed.error_type) == ("error", "RateLimitError")
    metrics = {"prompt_tokens": 3, "tokens": 3, "completion_tokens": -1}
    (vector,) = fed(row(output={"embedding_length": 8}, metrics=metrics))
    assert (vector.operation, vector.status, vector.input_tokens) == ("embeddings", "ok", 3)
    assert vector.output_tokens is None


def test_an_expected_object_is_a_correction_as_text():
    (call,) = fed(row(expected={"a": 1}, scores=None))
    assert call.feedback == (Feedback("correction", corrected='{"a":1}'),)


@pytest.mark.parametrize(
    "value",
    [{"span_attributes": {"type": "llm"}}, {"data": [{"id": 1}]},
     {"span_attributes": {"type": "http"}, "span_id": "s"}],
)  # fmt: skip
def test_what_only_looks_like_it_is_not_taken(value: Any):
    assert not braintrust.matches(value)
