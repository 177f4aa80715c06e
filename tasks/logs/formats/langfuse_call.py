"""One Langfuse generation → a call, one score → feedback."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, cast

from tasks.logs.formats.exchange import an_object, decode
from tasks.logs.formats.payloads import read_input, read_output
from tasks.logs.formats.printed_messages import spoken
from tasks.logs.formats.traces import Row
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import UNCLEAR_TOKENS, finish
from tasks.logs.shapes.providers import named
from tasks.logs.shapes.records import Call, Feedback, Json

_CAMEL = re.compile(r"([A-Z])")
#: what an exporter of OpenTelemetry leaves in the metadata, which repeats the observation
_TELEMETRY = frozenset({"attributes", "resourceAttributes", "scope", "tools"})
_PROVIDERS = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system",
              "ai.model.provider")  # fmt: skip
_NOT_PARAMS = frozenset({"finishReason", "system", "user"})
#: buckets for the whole of input and output
_INPUT = ("input", "input_tokens", "prompt_tokens", "promptTokens", "inputTokens",
          "prompt_token_count", "promptTokenCount")  # fmt: skip
_OUTPUT = ("output", "output_tokens", "completion_tokens", "completionTokens", "outputTokens",
           "candidates_token_count", "candidatesTokenCount")  # fmt: skip
_TOTAL = ("total", "total_tokens", "totalTokens", "total_token_count", "totalTokenCount")
#: how the names of other buckets of output begin
_SAID = ("output", "completion", "reasoning", "thoughts")
#: of buckets of the cache: what was put into it
_WRITTEN = ("creation", "write")
#: the type of a row that is the trace itself
TRACE = "TRACE"


def get(item: dict[str, Json], name: str) -> Json:
    """By the name of the API, or in snake_case."""
    value = item.get(name)
    return item.get(_snake(name)) if value is None else value


@cache
def _snake(name: str) -> str:
    return _CAMEL.sub(r"_\1", name).lower()


def from_observation(item: Row, around: list[Row]) -> Call:
    """Raises UnreadableError where a field cannot be held.

    An enriched row of the export has what its trace says; elsewhere the trace comes last.
    """
    trace: Row = {}
    for each in around:
        trace.update(each if each.get("type") == TRACE else {})
    trace_name = get(item, "traceName")
    about = {**trace, "name": trace_name} if trace_name else trace
    counts, unsure = _counts(item)
    metadata = an_object(item.get("metadata"))
    attributes = an_object(metadata.get("attributes"))
    started = coerce.moment("startTime", get(item, "startTime"))
    ended = coerce.moment("endTime", get(item, "endTime"))
    first = coerce.moment("completionStartTime", get(item, "completionStartTime"))
    given = an_object(get(item, "modelParameters"))
    asked, tools = _tools_apart(decode(item.get("input")))
    if tools:
        given = {"tools": tools, **given}
    error = coerce.text("error.type", attributes.get("error.type")) or "_OTHER"
    latency = (ended - started).total_seconds() if ended and started else None
    cost = get(item, "totalCost") or _price(item) or get(item, "calculatedTotalCost")
    call = Call(
        request_id=f"{get(item, 'traceId')}:{item['id']}" if item.get("id") else None,
        started_at=started,
        provider=named(coerce.text("provider", coerce.first(attributes, *_PROVIDERS)
                                   or metadata.get("ls_provider"))),
        model=coerce.text("model", item.get("model") or get(item, "providedModelName")),
        release=coerce.text("release", next(
            (each[name] for name in ("release", "version") for each in (trace, item)
             if each.get(name)), None)),
        prompt_name=coerce.text("promptName", get(item, "promptName")),
        prompt_version=coerce.text("promptVersion", get(item, "promptVersion")),
        session_id=coerce.text("sessionId", get(trace, "sessionId") or get(item, "sessionId")),
        user=coerce.text("userId", get(trace, "userId") or get(item, "userId")),
        operation="chat",
        messages=_messages(asked, metadata),
        finish_reason=coerce.text("finishReason", given.get("finishReason")),
        params={k: v for k, v in given.items() if v not in (None, "") and k not in _NOT_PARAMS}
        or None,
        **cast(dict[str, Any], counts),
        ttft_s=(first - started).total_seconds() if first and started
        else _first_token_s(item, latency),
        latency_s=latency,
        cost_usd=coerce.number("totalCost", cost),
        tags=_tags(item, about, metadata),
    )  # fmt: skip
    if unsure:
        call.tags[UNCLEAR_TOKENS] = unsure
    answer = read_output(item.get("output"))
    return finish(call, answer, error=error if item.get("level") == "ERROR" else None)


def _messages(asked: Json, metadata: dict[str, Json]) -> Json:
    """OpenLIT, which traces AutoGen and others, makes one text of a conversation."""
    if isinstance(asked, str):
        holders = (metadata.get(name) for name in ("resourceAttributes", "scope", "attributes"))
        told = (coerce.first(an_object(holder), "telemetry.sdk.name", "name") for holder in holders)
        if any(isinstance(name, str) and name.startswith("openlit") for name in told):
            return spoken(asked) or read_input(asked)
    return read_input(asked)


def _tools_apart(asked: Json) -> tuple[Json, list[Json]]:
    """Langfuse's handler for LangChain puts each tool that a model may use among its messages."""
    if not isinstance(asked, list):
        return asked, []
    defined = [_defined(message) for message in asked]
    rest = [message for message, tool in zip(asked, defined, strict=True) if tool is None]
    return rest, [tool for tool in defined if tool is not None]


def _defined(message: Json) -> Json:
    """The definition of a tool that stands as a message of a tool; else None."""
    if coerce.first(message, "role") != "tool" or coerce.first(message, "tool_call_id"):
        return None
    content = decode(message["content"]) if "content" in message else None
    function = coerce.mapping(coerce.first(content, "function"))
    return content if "name" in function and "arguments" not in function else None


def _counts(item: Row) -> tuple[dict[str, int | None], str | None]:
    """The counts, and what no total decides.

    Every bucket counts for itself where Langfuse filled it in, and where it is named as Anthropic
    does; where an exporter did, the cache is part of the input. Langfuse's own total is the sum of
    all buckets.
    """
    details = an_object(get(item, "usageDetails"))
    older = an_object(item.get("usage"))
    if not details and older.get("unit") in (None, "", "TOKENS"):
        details = older
    if not details:
        details = {
            ours: get(item, of_api) or get(item, of_table)
            for ours, of_api, of_table in (("input", "promptTokens", "inputUsage"),
                                           ("output", "completionTokens", "outputUsage"),
                                           ("total", "totalTokens", "totalUsage"))
        }  # fmt: skip
        if not any(details.values()):  # zeros stand for nothing there
            return {}, None
    counts = {
        key: number for key, value in details.items()
        if not key.endswith("Cost") and key != "unit"
        and (number := coerce.integer(f"usage.{key}", value)) is not None
    }  # fmt: skip
    beside_asked = {
        key: value for key, value in counts.items()
        if key not in _INPUT and (key.startswith(("input", "prompt")) or "cache" in key)
    }  # fmt: skip
    beside_said = {key: value for key, value in counts.items()
                   if key not in _OUTPUT and key.startswith(_SAID)}  # fmt: skip
    cached = [value for key, value in beside_asked.items() if "cache" in key
              and not any(word in key for word in _WRITTEN)]  # fmt: skip
    reasoning = [value for key, value in beside_said.items()
                 if "reasoning" in key or "thoughts" in key]  # fmt: skip
    reported = usage.Reported(
        input=_first(counts, _INPUT, 0 if beside_asked else None),
        output=_first(counts, _OUTPUT, 0 if beside_said else None),
        total=_first(counts, _TOTAL),
        cached=sum(cached),
        cache_written=sum(beside_asked.values()) - sum(cached),
        reasoning=sum(beside_said.values()),
        cache_apart=not all("details" in key for key in beside_asked),
        reasoning_apart=not all("details" in key for key in beside_said),
    )
    canonical = reported.canonical()
    canonical["cached_tokens"] = sum(cached) if cached else None
    canonical["reasoning_tokens"] = sum(reasoning) if reasoning else None
    unsure = [key for key, value in {**beside_asked, **beside_said}.items() if value]
    if reported.total is not None or not unsure:
        return canonical, None
    return canonical, f"no total tells whether {', '.join(unsure)} are counted beside the others"


def _price(item: Row) -> float | None:
    """The total of the costs, or all of them."""
    prices = an_object(get(item, "costDetails"))
    told = {name: coerce.number(f"costDetails.{name}", price) for name, price in prices.items()}
    known = [price for price in told.values() if price is not None]
    return told.get("total") or (sum(known) if known else None)


def _first(
    counts: dict[str, int], names: tuple[str, ...], otherwise: int | None = None
) -> int | None:
    return next((counts[name] for name in names if name in counts), otherwise)


def _tags(
    item: dict[str, Json], trace: dict[str, Json], metadata: dict[str, Json]
) -> dict[str, Json]:
    tags = {key: value for key, value in metadata.items() if key not in _TELEMETRY}
    about = {
        "span_name": item.get("name"),
        "parent_span_id": get(item, "parentObservationId"),
        "environment": item.get("environment"),
        "status_message": get(item, "statusMessage"),
        "trace_name": trace.get("name"),
        "trace_tags": decode(trace.get("tags") or item.get("tags") or get(item, "traceTags")),
    }
    tags.update({key: value for key, value in about.items() if value not in (None, "", [])})
    return tags


def _first_token_s(item: Row, latency_s: float | None) -> float | None:
    """In seconds; older exports have milliseconds, as their latency then shows."""
    told = coerce.number("timeToFirstToken", get(item, "timeToFirstToken"))
    whole = coerce.number("latency", item.get("latency"))
    if told is not None and whole and latency_s and whole > 100 * latency_s:
        return told / 1000.0
    return told


def correction(item: Row) -> Feedback:
    """What the output should have been."""
    return score(item, corrected=True)


def score(item: Row, corrected: bool = False) -> Feedback:
    """Numbers and yes/no are values; the label of a category is a comment, as is a text."""
    is_text = get(item, "dataType") in ("TEXT", "CATEGORICAL") and bool(get(item, "stringValue"))
    words = item.get("longStringValue") or get(item, "stringValue")
    comment = coerce.text("comment", item.get("comment"))
    value = None if corrected or is_text else coerce.number("score", item.get("value"))
    text = coerce.text("stringValue", words)
    return Feedback(
        kind="correction" if corrected else coerce.text("name", item.get("name")) or "evaluation",
        value=value,
        comment=comment if corrected or text is None else comment or text,
        corrected=text if corrected else None,
        given_at=coerce.moment("timestamp", item.get("timestamp")),
        by=coerce.text("authorUserId", get(item, "authorUserId")),
    )
