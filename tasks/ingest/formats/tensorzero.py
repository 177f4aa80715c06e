"""TensorZero: rows of its inference tables are calls, rows of feedback tables feedback.

Datapoints (dataset_name, function_name, input) are material for eval sets, not calls: they are
counted and left out. JSON columns may come as text. Source: TensorZero's data model (ChatInference,
JsonInference, ModelInference, the feedback tables, the dataset tables).
"""

from __future__ import annotations

from collections.abc import Iterator

from tasks.ingest import coerce
from tasks.ingest.formats import blocks, bodies, loose
from tasks.ingest.json_text import dump
from tasks.ingest.records import Call, Feedback, Json, Other, Record, UnreadableError

NAME = "tensorzero"
VERSION = "tensorzero@1"


def matches(value: Json) -> bool:
    return isinstance(value, dict) and (
        _is_datapoint(value) or _is_inference(value) or _is_model_inference(value)
        or _is_feedback(value)
    )  # fmt: skip


def _is_datapoint(value: dict[str, Json]) -> bool:
    return {"dataset_name", "function_name", "input"} <= value.keys()


def _is_inference(value: dict[str, Json]) -> bool:
    return {"function_name", "variant_name", "input", "output"} <= value.keys()


def _is_model_inference(value: dict[str, Json]) -> bool:
    return {"inference_id", "raw_request", "raw_response"} <= value.keys()


def _is_feedback(value: dict[str, Json]) -> bool:
    return "target_id" in value and ("metric_name" in value or "value" in value)


def records(value: Json) -> Iterator[Record]:
    if not isinstance(value, dict):
        raise UnreadableError(f"expected an object, received {coerce.kind_of(value)}")
    if _is_datapoint(value):
        yield Other()
    elif _is_model_inference(value):
        yield _model_call(value)
    elif _is_inference(value):
        yield _call(value)
    elif _is_feedback(value):
        yield _feedback(value)
    else:
        raise UnreadableError("neither an inference nor feedback nor a datapoint")


def _call(value: dict[str, Json]) -> Call:
    asked = bodies.decode(value.get("input"))
    output = bodies.decode(value.get("output"))
    message = _message(output)
    params = bodies.decode(value.get("inference_params"))
    return Call(
        request_id=coerce.text("id", value.get("id", value.get("inference_id"))),
        started_at=coerce.moment("timestamp", value.get("timestamp")),
        prompt_name=coerce.text("function_name", value.get("function_name")),
        prompt_version=coerce.text("variant_name", value.get("variant_name")),
        session_id=coerce.text("episode_id", value.get("episode_id")),
        operation="chat",
        messages=_messages(asked),
        response=message,
        tool_calls=message.get("tool_calls") if message else None,
        params=_chat_params(params),
        latency_s=coerce.seconds("processing_time_ms", value.get("processing_time_ms"), 1000.0),
        ttft_s=coerce.seconds("ttft_ms", value.get("ttft_ms"), 1000.0),
        status="ok" if message else "error",
        error_type=None if message else "no_completion",
        tags=_tags(value),
    )


def _model_call(value: dict[str, Json]) -> Call:
    """What one model was asked for an inference: the bodies as they went over the wire."""
    asked = bodies.decode(value.get("input_messages")) or bodies.decode(value["raw_request"])
    output = bodies.decode(value.get("output"))
    answer = loose.read_answer(value["raw_response"])
    message = _message(output) or answer.message
    cached = value.get("cached")
    return Call(
        request_id=coerce.text("id", value.get("id")),
        started_at=coerce.moment("timestamp", value.get("timestamp")),
        provider=coerce.text("model_provider_name", value.get("model_provider_name")),
        model=coerce.text("model_name", value.get("model_name")),
        operation="chat",
        messages=_messages(asked),
        response=message,
        tool_calls=message.get("tool_calls") if message else None,
        finish_reason=coerce.text("finish_reason", value.get("finish_reason")),
        input_tokens=coerce.integer("input_tokens", value.get("input_tokens")),
        output_tokens=coerce.integer("output_tokens", value.get("output_tokens")),
        latency_s=coerce.seconds("response_time_ms", value.get("response_time_ms"), 1000.0),
        ttft_s=coerce.seconds("ttft_ms", value.get("ttft_ms"), 1000.0),
        status="ok" if message else "error",
        error_type=None if message else "no_completion",
        tags={"inference_id": value["inference_id"], **({"cached": cached} if cached else {})},
    )


def _messages(asked: Json) -> Json:
    if isinstance(asked, dict) and "messages" in asked:
        return blocks.message_list(_read_blocks(asked["messages"]), _system(asked.get("system")))
    return blocks.message_list(_read_blocks(asked)) if isinstance(asked, list) else None


def _system(system: Json) -> Json:
    return dump(system) if isinstance(system, dict) else system


def _read_blocks(messages: Json) -> Json:
    """A block's text may be in `value`; the arguments of a template are kept as JSON text."""
    if not isinstance(messages, list):
        return messages
    return [
        {**each, "content": [_block(block) for block in each["content"]]}
        if isinstance(each, dict) and isinstance(each.get("content"), list) else each
        for each in messages
    ]  # fmt: skip


def _block(block: Json) -> Json:
    if not isinstance(block, dict):
        return block
    kind = block.get("type")
    if kind in ("text", "raw_text") and "text" not in block:
        value = block.get("value", block.get("arguments"))
        return {"type": "text", "text": value if isinstance(value, str) else dump(value)}
    if kind == "template":
        return {"type": "text", "text": dump(block.get("arguments"))}
    if kind == "tool_call":
        arguments = block.get("arguments", block.get("raw_arguments"))
        name = block.get("name") or block.get("raw_name")
        return {"type": "tool_use", "id": block.get("id"), "name": name, "input": arguments}
    if kind == "tool_result":
        return {**block, "tool_use_id": block.get("id"), "content": block.get("result")}
    return block


def _message(output: Json) -> dict[str, Json] | None:
    """Content blocks of a chat function, {"raw", "parsed"} of a JSON function."""
    if isinstance(output, dict) and "raw" in output:
        return {"role": "assistant", "content": output["raw"]}
    if isinstance(output, list) and output:
        found: dict[str, Json] = blocks.from_blocks("assistant", [_block(b) for b in output])[-1]
        return found
    return None


def _chat_params(params: Json) -> Json:
    """inference_params are kept by variant type."""
    inner = params.get("chat_completion") if isinstance(params, dict) else None
    return inner or params or None


def _tags(value: dict[str, Json]) -> dict[str, Json]:
    tags = bodies.decode(value.get("tags"))
    return tags if isinstance(tags, dict) else {}


def _feedback(value: dict[str, Json]) -> Feedback:
    """A boolean or float metric, a comment or a demonstration of an inference."""
    said = value.get("value")
    is_text = isinstance(said, str)
    is_demonstration = value.get("type") == "demonstration" or "inference_id" in value
    number = float(said) if isinstance(said, bool) else said
    kind = value.get("metric_name") or ("correction" if is_demonstration else "comment")
    return Feedback(
        kind=coerce.text("metric_name", kind) or "comment",
        request_id=coerce.text("target_id", value["target_id"]),
        value=None if is_text else coerce.number("value", number),
        comment=said if is_text and not is_demonstration else None,
        corrected=said if is_text and is_demonstration else None,
        given_at=coerce.moment("timestamp", value.get("timestamp")),
    )
