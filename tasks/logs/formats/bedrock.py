"""AWS Bedrock: model invocation logs, as CloudWatch and S3 deliver them, and output of batches.

Different calls may share a requestId, and batches a recordId, so the id of a call is that and a
digest of its record. Times without a zone are UTC; batches tell none. A guardrail that intervened
is a verdict, not an error. Bodies that AWS put into S3 beside the log are tags. Pairs and cassettes
of Bedrock's APIs are read too, and streams of Converse an event a line. Source: the Bedrock user
guide, model invocation logging and batch inference.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from tasks.logs.formats import exchange as exchanges
from tasks.logs.formats.apis import APIS, CONVERSE, api_of
from tasks.logs.formats.bedrock_bodies import TEXT_MODEL
from tasks.logs.formats.exchange import Api, Exchange
from tasks.logs.formats.pairs import converse
from tasks.logs.formats.streaming import Joining
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import Answer, finish, verdict
from tasks.logs.shapes.dead import or_dead
from tasks.logs.shapes.json_text import dump
from tasks.logs.shapes.records import Call, Json, Other, Record, UnreadableError

NAME = converse.NAME
VERSION = converse.VERSION
#: of a line of a batch, in input and output
ID = "recordId"

_APIS: tuple[Api, ...] = (*APIS, TEXT_MODEL)
_READ = frozenset({
    "timestamp", "requestId", "operation", "modelId", "input", "output", "identity", "errorCode",
    "schemaType", "schemaVersion",
})  # fmt: skip
_INTERVENED = ("guardrail_intervened", "INTERVENED", "GUARDRAIL_INTERVENED")
_METRICS = "amazon-bedrock-invocationMetrics"


def matches(value: Json) -> bool:
    if not isinstance(value, dict):
        return False
    wrapped = _of_cloudwatch(value)
    if wrapped:
        return matches(exchanges.decode(wrapped[0]))
    if value.get("schemaType") == "ModelInvocationLog" or _is_of_batch(value):
        return True
    asked = value.get("input")
    if "modelId" in value and isinstance(asked, dict) and "inputContentType" in asked:
        return True
    return converse.matches(value)


def records(value: Json) -> Iterator[Record]:
    value = coerce.an_object(value)
    wrapped = _of_cloudwatch(value)
    if wrapped:
        for text in wrapped:
            yield or_dead(text, _call, exchanges.decode(text))
    elif _is_of_batch(value):
        yield _batched(value, value.get("modelInput"))
    elif "modelId" not in value and converse.matches(value):
        yield from converse.records(value)
    else:
        yield _call(value)


def reader() -> Joining:
    """Of a file in which streams of Converse may stand an event a line."""
    return Joining(records)


def _of_cloudwatch(value: dict[str, Json]) -> list[Json]:
    """The messages of an export or a subscription of CloudWatch Logs; empty where it is none."""
    events = value.get("logEvents", value.get("events", [value]))
    texts = [item.get("message", item.get("@message")) for item in events
             if isinstance(item, dict)] if isinstance(events, list) else []  # fmt: skip
    return texts if any(isinstance(item, str) and "modelId" in item for item in texts) else []


def _is_of_batch(value: dict[str, Json]) -> bool:
    return ID in value and any(isinstance(value.get(name), dict | str)
                               for name in ("modelInput", "modelOutput"))  # fmt: skip


def is_input(value: Json) -> bool:
    return isinstance(value, dict) and _is_of_batch(value) and not _is_answered(value)


def lacks_question(value: Json) -> bool:
    """Of a batch whose output leaves its input out."""
    return _is_answered(value) and "modelInput" not in value


def _is_answered(value: dict[str, Json]) -> bool:
    return "modelOutput" in value or "error" in value


def joined(value: Json, requests: Mapping[str, Json]) -> Iterator[Record]:
    """The records of a value, with the question from `requests` (input lines by recordId)."""
    asked = None
    if isinstance(value, dict) and _is_of_batch(value) and lacks_question(value):
        asked = coerce.mapping(requests.get(str(value[ID]))).get("modelInput")
    return records(value) if asked is None else iter([_batched(value, asked)])


def _batched(value: dict[str, Json], asked: Json) -> Record:
    """A line of a batch's output; one of its input is no call yet."""
    if not _is_answered(value):
        return Other()
    request = coerce.mapping(exchanges.decode(asked))
    body = _body(exchanges.decode(value.get("modelOutput")))
    api = api_of(Exchange(request, body), _APIS) or CONVERSE
    answer = api.read_answer(body)
    answer.recorded = body is not None
    failed = value.get("error")
    if isinstance(failed, dict):
        code = "expired" if failed.get("expired") is True else failed.get("errorCode")
        failed = {**failed, "code": code}
        answer.tags = {**(answer.tags or {}), "error": failed}
    call = Call(
        request_id=_own_id(coerce.text("recordId", value["recordId"]), value),
        provider="aws.bedrock",
        operation=answer.operation or api.operation,
        messages=api.read_messages(request),
        params=api.params(request),
        guardrail_verdicts=_verdicts(body, answer),
        tags={"bedrock_record_id": value["recordId"]},
    )
    return finish(call, answer, error=failed)


def _own_id(name: str | None, value: Json) -> str:
    digest = hashlib.sha256(dump(value).encode()).hexdigest()[:16]
    return f"{name or 'bedrock'}:{digest}"


def _call(value: Json) -> Call:
    if not isinstance(value, dict) or "modelId" not in value:
        raise UnreadableError("no modelId in it: no model invocation")
    asked, said = coerce.mapping(value.get("input")), coerce.mapping(value.get("output"))
    request = exchanges.decode(asked.get("inputBodyJson"))
    body = _body(exchanges.decode(said.get("outputBodyJson")))
    api = api_of(Exchange(request, body), _APIS) or CONVERSE
    answer = api.read_answer(body)
    # texts that are not delivered, or stand in S3, are no missing completion
    answer.recorded = body is not None
    answer.tokens = _counts(asked, said, answer)
    metrics = _metrics(body)
    known = coerce.mapping(request)
    call = Call(
        request_id=_own_id(coerce.text("requestId", value.get("requestId")), value),
        started_at=coerce.moment("timestamp", value.get("timestamp")),
        provider="aws.bedrock",
        model=coerce.text("modelId", value["modelId"]),
        user=coerce.text("identity.arn", coerce.first(value.get("identity"), "arn")),
        operation=answer.operation or api.operation,
        messages=api.read_messages(known),
        params=api.params(known),
        ttft_s=coerce.seconds("firstByteLatency", metrics.get("firstByteLatency"), 1000.0),
        latency_s=coerce.seconds(
            "latencyMs", metrics.get("latencyMs", metrics.get("invocationLatency")), 1000.0
        ),
        guardrail_verdicts=_verdicts(body, answer),
        tags=_tags(value, asked, said),
    )
    return finish(call, answer, error=coerce.text("errorCode", value.get("errorCode")))


def _body(body: Json) -> Json:
    """Chunks of a stream may be wrapped, as the API delivers them."""
    if not isinstance(body, list) or not all(
        isinstance(item, dict) and isinstance(item.get("chunk"), dict) for item in body
    ):
        return body
    return [_chunk(item["chunk"]) for item in body]


def _chunk(chunk: dict[str, Json]) -> Json:
    data = chunk.get("bytes")
    if not isinstance(data, str):
        return chunk
    try:
        return exchanges.decode(base64.b64decode(data, validate=True).decode())
    except ValueError:
        return chunk


def _counts(asked: dict[str, Json], said: dict[str, Json], answer: Answer) -> dict[str, Any]:
    """The body's usage where it has one, else the counts of the log record."""
    recorded = usage.tokens(
        {
            "inputTokens": asked.get("inputTokenCount"),
            "outputTokens": said.get("outputTokenCount"),
            "cacheReadInputTokens": asked.get("cacheReadInputTokenCount"),
            "cacheWriteInputTokens": asked.get("cacheWriteInputTokenCount"),
        },
        cache_apart=True,
    )
    usage_said = answer.tokens or {}
    return {
        name: usage_said[name] if usage_said.get(name) is not None else count
        for name, count in recorded.items()
    }


def _verdicts(body: Json, answer: Answer) -> list[dict[str, Json]]:
    said = [item for item in (body if isinstance(body, list) else [body]) if isinstance(item, dict)]
    actions = [item.get("amazon-bedrock-guardrailAction") for item in said]
    if not any(word in _INTERVENED for word in (answer.finish_reason, *actions)):
        return []
    trace = (answer.tags or {}).get("trace")
    detail = coerce.first(trace, "guardrail")
    return [verdict("bedrock", True, trace=detail)]


def _metrics(body: Json) -> dict[str, Json]:
    """Converse: `metrics` of the body or of the last event; InvokeModel: of the last chunk."""
    metrics: dict[str, Json] = {}
    for item in body if isinstance(body, list) else [body]:
        if isinstance(item, dict):
            holder = coerce.mapping(item.get("metadata")) if "metadata" in item else item
            metrics.update(coerce.mapping(holder.get("metrics")))
            metrics.update(coerce.mapping(item.get(_METRICS)))
    return metrics


def _tags(value: dict[str, Json], asked: dict[str, Json], said: dict[str, Json]) -> dict[str, Json]:
    tags = {key: item for key, item in value.items() if key not in _READ and item is not None}
    tags["bedrock_request_id"] = value.get("requestId")
    tags["bedrock_operation"] = value.get("operation")
    for part, key in ((asked, "inputBodyS3Path"), (said, "outputBodyS3Path")):
        if part.get(key) is not None:
            tags[key] = part[key]
    return {key: item for key, item in tags.items() if item is not None}
