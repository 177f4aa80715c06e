"""TensorZero: inferences are calls; datapoints are rows for eval sets and no calls.

Rows of ChatInference, JsonInference and ModelInference as ClickHouse exports them (nested values
are JSON text, integers may be text) and stored inferences as the API lists them. Export either the
inferences or the model inferences behind them, not both: they are the same calls. A datapoint's
key is (dataset_name, id); name its file in a suite. Feedback rows are feedback.
Source: TensorZero's data model reference.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from tasks.logs.formats.exchange import decode
from tasks.logs.formats.payloads import read_output
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import Answer, finish
from tasks.logs.shapes.json_text import dump
from tasks.logs.shapes.parts import answer_of, conversation
from tasks.logs.shapes.records import Call, Feedback, Json, Other, Record, UnreadableError

NAME = "tensorzero"
VERSION = "tensorzero@3"

_READ = frozenset({
    "id", "inference_id", "function_name", "variant_name", "episode_id", "input", "output",
    "tool_params", "inference_params", "processing_time_ms", "response_time_ms", "ttft_ms",
    "timestamp", "tags", "raw_request", "raw_response", "model_name", "model_provider_name",
    "input_tokens", "output_tokens", "system", "input_messages", "finish_reason",
    "output_schema", "created_at",
})  # fmt: skip
#: kinds of feedback that name no metric
_SIGNALS = ("comment", "demonstration", "boolean", "float")


def matches(value: Json) -> bool:
    if not isinstance(value, dict):
        return False
    if "model_provider_name" in value and "inference_id" in value:
        return True
    return (
        is_datapoint(value)
        or is_feedback(value)
        or ("variant_name" in value and "function_name" in value)
    )


def is_datapoint(value: Mapping[str, Json]) -> bool:
    return "dataset_name" in value and "function_name" in value and "input" in value


def is_feedback(value: dict[str, Json]) -> bool:
    named = "metric_name" in value or "target_type" in value
    return "target_id" in value and (named or value.get("type") in _SIGNALS)


def records(value: Json) -> Iterator[Record]:
    value = coerce.an_object(value)
    if not matches(value):
        raise UnreadableError("neither an inference nor a datapoint of TensorZero")
    if is_datapoint(value):
        yield Other()
    elif is_feedback(value):
        yield _feedback(value)
    elif "model_provider_name" in value:
        asked = {"system": value.get("system"), "messages": decode(value.get("input_messages"))}
        sent = decode(value.get("raw_request"))
        if not asked["messages"] and isinstance(sent, dict):
            asked = sent
        yield _call(value, asked, "response_time_ms")
    else:
        asked = decode(value.get("input"))
        yield _call(value, coerce.mapping(asked), "processing_time_ms")


def _call(value: dict[str, Json], asked: dict[str, Json], time_key: str) -> Call:
    output = decode(value.get("output"))
    answer = Answer(_response(output), body=output)
    if answer.message is None and "raw_response" in value:
        answer = replace(read_output(value["raw_response"]), recorded=True)
    params = decode(value.get("inference_params"))
    if isinstance(params, dict) and list(params) == ["chat_completion"]:
        params = params["chat_completion"]
    tool_params = decode(value.get("tool_params"))
    if tool_params:
        params = {**coerce.mapping(params), "tool_params": tool_params}
    system = asked.get("system")
    if system is not None and not isinstance(system, str):
        system = dump(system)
    labels = decode(value.get("tags"))
    inference_id = value.get("id", value.get("inference_id"))
    call = Call(
        request_id=coerce.text("id", inference_id),
        started_at=coerce.moment("timestamp", value.get("timestamp")) or _time_of(inference_id),
        provider=coerce.text("model_provider_name", value.get("model_provider_name")),
        model=coerce.text("model_name", value.get("model_name")),
        prompt_name=coerce.text("function_name", value.get("function_name")),
        prompt_version=coerce.text("variant_name", value.get("variant_name")),
        session_id=coerce.text("episode_id", value.get("episode_id")),
        operation="chat",
        messages=conversation(system, asked.get("messages")),
        finish_reason=coerce.text("finish_reason", value.get("finish_reason")),
        params=params or None,
        **usage.tokens(value),
        ttft_s=coerce.seconds("ttft_ms", value.get("ttft_ms"), 1000.0),
        latency_s=coerce.seconds(time_key, value.get(time_key), 1000.0),
        tags=_tags(value, labels),
    )
    return finish(call, answer)


def _time_of(inference_id: Json) -> datetime | None:
    """The first 48 bits of a UUIDv7 are milliseconds since the epoch (RFC 9562)."""
    try:
        known = uuid.UUID(inference_id) if isinstance(inference_id, str) else None
    except ValueError:
        return None
    if known is None or known.version != 7:
        return None
    return coerce.from_epoch("id", known.int >> 80)


def _response(output: Json) -> dict[str, Json] | None:
    """Chat: content blocks. JSON functions: {"raw", "parsed"}, of which raw is what was said."""
    if isinstance(output, list):
        return answer_of(output)
    if isinstance(output, dict) and ("raw" in output or "parsed" in output):
        raw = output.get("raw")
        said = raw if isinstance(raw, str) else dump(output.get("parsed"))
        return {"role": "assistant", "content": said}
    return {"role": "assistant", "content": output} if isinstance(output, str) else None


def _feedback(value: dict[str, Json]) -> Feedback:
    """A boolean or float metric, a comment or a demonstration of an inference."""
    said = value.get("value")
    words = said if isinstance(said, str) else None
    shown = value.get("type") == "demonstration" or "inference_id" in value
    kind = value.get("metric_name") or ("correction" if shown else "comment")
    return Feedback(
        kind=coerce.text("metric_name", kind) or "comment",
        request_id=coerce.text("target_id", value["target_id"]),
        value=float(said) if isinstance(said, bool | int | float) else None,
        comment=None if shown else words,
        corrected=words if shown else None,
        given_at=coerce.moment("timestamp", value.get("timestamp")),
    )


def _tags(value: dict[str, Json], labels: Json) -> dict[str, Json]:
    tags = {key: item for key, item in value.items()
            if key not in _READ and item not in (None, "", {}, [])}  # fmt: skip
    tags.update(coerce.mapping(labels))
    if "model_provider_name" in value:
        tags["inference_id"] = value.get("inference_id")
    return tags
