"""Model invocation logs of Amazon Bedrock: ModelInvocationLog, schema 1.0.

Bodies are those of Converse, or of the model's own API (InvokeModel), whole or as the list of a
stream's chunks. A guardrail that stepped in is a verdict, not an error. requestId repeats between
records, so a call is known by its content. Times have no zone and mean UTC.
Source: Bedrock's user guide, model invocation logging; the Converse API reference.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tasks.ingest import coerce
from tasks.ingest.formats import anthropic_bodies, bodies, openai_bodies
from tasks.ingest.formats.blocks import from_blocks, message_list
from tasks.ingest.formats.bodies import Answer, Body
from tasks.ingest.records import Call, Json, Record, UnreadableError

NAME = "bedrock"
VERSION = "bedrock@1"

#: of a model's own request: the question under any of the names that models use
_QUESTIONS = ("prompt", "inputText", "message")
_ANSWERS = ("generation", "outputText", "completion", "text")
_NOT_PARAMS = frozenset({"messages", "system", *_QUESTIONS, "anthropic_version"})


def matches(value: Json) -> bool:
    if not isinstance(value, dict):
        return False
    if value.get("schemaType") == "ModelInvocationLog":
        return True
    return "modelId" in value and "operation" in value and ("input" in value or "output" in value)


def records(value: Json) -> Iterator[Record]:
    if not isinstance(value, dict) or "modelId" not in value:
        raise UnreadableError("no modelId: not a model invocation")
    asked, answered = _object(value, "input"), _object(value, "output")
    request = bodies.decode(asked.get("inputBodyJson"))
    request = request if isinstance(request, dict) else {}
    answer = _answer(bodies.decode(answered.get("outputBodyJson")))
    metrics = answer.tags.pop("metrics", None)
    latency = metrics.get("latencyMs") if isinstance(metrics, dict) else None
    failed = value.get("errorCode") or answer.error
    error = bodies.error_name(failed) if failed else None
    if error is None and answer.message is None and not _is_stopped(answer):
        error = "no_completion"
    yield Call(
        started_at=coerce.moment("timestamp", value.get("timestamp")),
        provider="aws.bedrock",
        model=coerce.text("modelId", value.get("modelId")),
        user=_user(value.get("identity")),
        operation="chat",
        messages=_messages(request),
        response=answer.message,
        tool_calls=answer.message.get("tool_calls") if answer.message else None,
        finish_reason=answer.finish_reason,
        params={k: v for k, v in request.items() if k not in _NOT_PARAMS} or None,
        **_tokens(asked, answered, answer),
        latency_s=coerce.seconds("latencyMs", latency, 1000.0),
        status="ok" if error is None else "error",
        error_type=error,
        guardrail_verdicts=_verdicts(answer),
        tags=_tags(value, answer),
    )


def _object(value: dict[str, Json], name: str) -> dict[str, Json]:
    found = value.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise UnreadableError(f"{name}: expected an object, received {coerce.kind_of(found)}")
    return found


def _user(identity: Json) -> str | None:
    return coerce.text("identity.arn", identity.get("arn")) if isinstance(identity, dict) else None


def _messages(request: dict[str, Json]) -> Json:
    if "messages" in request:
        return message_list(request["messages"], request.get("system"))
    text = next((request[name] for name in _QUESTIONS if request.get(name) is not None), None)
    return None if text is None else [{"role": "user", "content": text}]


def _answer(body: Json) -> Answer:
    if isinstance(body, list):
        body = _from_chunks(body)
    if anthropic_bodies.is_answer(body):
        return anthropic_bodies.read_answer(Body(body))
    if openai_bodies.is_completion(body):
        return openai_bodies.read_answer(Body(body))
    if not isinstance(body, dict):
        return Answer(leftover=bodies.leftover(body))
    message = _converse_message(body) or _plain_message(body)
    metrics = body.get("amazon-bedrock-invocationMetrics", body.get("metrics"))
    usage = body.get("usage")
    tags = {name: body[name] for name in ("trace", "amazon-bedrock-trace") if body.get(name)}
    return Answer(
        message=message,
        finish_reason=bodies.finish_reason(
            "stopReason", body.get("stopReason", body.get("stop_reason"))
        ),
        tokens=_usage(usage if isinstance(usage, dict) else metrics),
        error=body.get("error"),
        leftover=None if message is not None else body,
        tags={**tags, "metrics": metrics} if metrics else tags,
    )


def _converse_message(body: dict[str, Json]) -> dict[str, Json] | None:
    output = body.get("output")
    message = output.get("message") if isinstance(output, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list) or not content:
        return None
    found: dict[str, Json] = from_blocks("assistant", content)[-1]
    return found


def _plain_message(body: dict[str, Json]) -> dict[str, Json] | None:
    """Llama's generation, Titan's results, Mistral's outputs, Cohere's generations."""
    for name in ("results", "outputs", "generations"):
        items = body.get(name)
        if isinstance(items, list) and items and isinstance(items[0], dict):
            body = items[0]
            break
    for name in _ANSWERS:
        if isinstance(body.get(name), str):
            return {"role": "assistant", "content": body[name]}
    return None


def _from_chunks(chunks: list[Json]) -> Json:
    """The chunks of InvokeModelWithResponseStream or of ConverseStream, put together."""
    events = [chunk for chunk in chunks if isinstance(chunk, dict)]
    if anthropic_bodies.is_answer(chunks):
        whole = anthropic_bodies.from_events(chunks)
        return whole if isinstance(whole, dict) else None
    if openai_bodies.is_completion(events[0] if events else None):
        return openai_bodies.from_chunks(chunks)
    whole = {}
    blocks: dict[int, dict[str, Json]] = {}
    texts: list[str] = []
    for event in events:
        index = event.get("contentBlockIndex")
        block = blocks.setdefault(index if isinstance(index, int) else 0, {})
        start, delta = event.get("start"), event.get("delta")
        if isinstance(start, dict) and isinstance(start.get("toolUse"), dict):
            block["toolUse"] = {**start["toolUse"], "input": ""}
        if isinstance(delta, dict):
            _add_delta(block, delta)
        texts += [event[name] for name in _ANSWERS if isinstance(event.get(name), str)]
        for name in ("stopReason", "stop_reason", "usage", "metrics", "trace",
                     "amazon-bedrock-invocationMetrics"):  # fmt: skip
            if event.get(name) is not None:
                whole[name] = event[name]
    content = [blocks[index] for index in sorted(blocks) if blocks[index]]
    if content:
        whole["output"] = {"message": {"role": "assistant", "content": content}}
    elif texts:
        whole["generation"] = "".join(texts)
    return whole


def _add_delta(block: dict[str, Json], delta: dict[str, Json]) -> None:
    if isinstance(delta.get("text"), str):
        block["text"] = block.get("text", "") + delta["text"]
    tool = delta.get("toolUse")
    if isinstance(tool, dict) and isinstance(tool.get("input"), str):
        known = block.setdefault("toolUse", {"input": ""})
        known["input"] += tool["input"]


def _usage(usage: Json) -> dict[str, int | None]:
    if not isinstance(usage, dict):
        return {}
    names = {
        "input_tokens": ("inputTokens", "inputTokenCount"),
        "output_tokens": ("outputTokens", "outputTokenCount"),
        "total_tokens": ("totalTokens",),
        "cached_tokens": ("cacheReadInputTokens", "cacheReadInputTokenCount"),
    }
    return {
        ours: coerce.integer(ours, next((usage[n] for n in theirs if n in usage), None))
        for ours, theirs in names.items()
    }


def _tokens(asked: dict[str, Json], answered: dict[str, Json], answer: Answer) -> dict[str, Any]:
    """The log's own counts; where it has none, the body's. A total of the body alone is kept."""
    inputs = coerce.integer("inputTokenCount", asked.get("inputTokenCount"))
    outputs = coerce.integer("outputTokenCount", answered.get("outputTokenCount"))
    return {
        **answer.tokens,
        "input_tokens": answer.tokens.get("input_tokens") if inputs is None else inputs,
        "output_tokens": answer.tokens.get("output_tokens") if outputs is None else outputs,
    }


def _is_stopped(answer: Answer) -> bool:
    return answer.finish_reason == "content_filter"


def _verdicts(answer: Answer) -> Json:
    if _is_stopped(answer):
        return [{"guardrail": "bedrock", "verdict": "block"}]
    return None


def _tags(value: dict[str, Json], answer: Answer) -> dict[str, Json]:
    names = ("requestId", "accountId", "region", "operation", "inferenceRegion", "errorCode")
    tags = {name: value[name] for name in names if value.get(name) is not None}
    if answer.message is None and answer.leftover:
        tags["response_body"] = answer.leftover
    return {**tags, **answer.tags}
