"""Helicone: rows of its export and of /v1/request/query, as JSON, JSON lines or CSV.

Bodies may be missing: they are exported on demand. An answer out of Helicone's cache repeats the
one before at no cost: it has no tokens here. The cache of a provider is counted beside the prompt;
the total decides. Properties Helicone-Session-* tell the session. Tools, vector databases and data
that are logged as requests are no calls. Source: Helicone's API reference and its export tool.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tasks.logs.formats import exchange as exchanges
from tasks.logs.formats.apis import api_of
from tasks.logs.formats.exchange import Exchange, an_object, decode
from tasks.logs.formats.payloads import read_input, read_output
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import NOT_RECORDED, finish
from tasks.logs.shapes.dead import or_dead
from tasks.logs.shapes.feedback import read_feedback
from tasks.logs.shapes.providers import named
from tasks.logs.shapes.records import Call, Dead, Feedback, Json, Other, Record, UnreadableError

NAME = "helicone"
VERSION = "helicone@2"

_SIGNS = ("request_properties", "helicone_user", "response_status", "request_user_id",
          "cache_reference_id", "request_path")  # fmt: skip
#: what stands for no cache
_NO_CACHE = "00000000-0000-0000-0000-000000000000"
_PROPERTIES = {
    "session_id": ("Helicone-Session-Id", "session_id", "conversation_id"),
    "release": ("release", "Release", "version"),
}
_NOT_TAGS = frozenset({name for names in _PROPERTIES.values() for name in names})
_EVENTS = ("tool", "vector_db", "data")
_NOT_PARAMS = frozenset({
    "messages", "input", "prompt", "contents", "model", "user", "metadata", "system",
    "instructions", "systemInstruction", "system_instruction",
})  # fmt: skip
#: Helicone's own: the client gave up, it was not answered, it was blocked, it failed before
_NO_HTTP = {-1: "failed", -2: "pending", -3: "cancelled", -4: "threat"}
_COUNTS = {
    "input": "prompt_tokens", "output": "completion_tokens", "total": "total_tokens",
    "cached": "prompt_cache_read_tokens", "cache_written": "prompt_cache_write_tokens",
}  # fmt: skip


def matches(value: Json) -> bool:
    return bool(_rows(value))


def _rows(value: Json) -> list[Json]:
    if _is_row(value):
        return [value]
    page = coerce.sequence(coerce.first(value, "data"))
    return page if any(_is_row(item) for item in page) else []


def _is_row(value: Json) -> bool:
    if not isinstance(value, dict) or "request_created_at" not in value:
        return False
    named_ = "request_id" in value or "response_id" in value
    return named_ and sum(sign in value for sign in _SIGNS) >= 2


def records(value: Json) -> Iterator[Record]:
    rows = _rows(value)
    if not rows:
        raise UnreadableError("no request of a Helicone export is in it")
    for row in rows:
        yield from _of_row(row)


def _of_row(row: Json) -> Iterator[Record]:
    if not isinstance(row, dict):
        yield Dead(f"expected an object, received {coerce.kind_of(row)}")
        return
    request = _body(row, "request_body")
    if coerce.first(request, "_type") in _EVENTS:
        yield Other()
        return
    signals: list[Feedback] = []
    for item, read in _feedback_of(row):
        signal = or_dead(item, read, item)
        if isinstance(signal, Dead):
            yield signal
        else:
            signals.append(signal)
    yield or_dead(row, _call, row, request, tuple(signals))


def _body(row: dict[str, Json], name: str) -> Json:
    """A body that is kept apart is told as an address, or as a note."""
    body = decode(row.get(name))
    if body in ("", {}, []) or isinstance(coerce.first(body, "heliconeMessage"), str):
        return None
    streamed = decode(coerce.first(body, "streamed_data"))
    return streamed if isinstance(streamed, list) else body


def _call(row: dict[str, Json], request: Json, feedback: tuple[Feedback, ...]) -> Call:
    response = _body(row, "response_body")
    asked = coerce.mapping(request)
    uri = coerce.first(row, "target_url", "request_path")
    exchange = Exchange(request, response, uri=uri)
    api = api_of(exchange)
    answer = NOT_RECORDED
    if response is not None:
        answer = api.read_answer(response) if api is not None else read_output(response)
    properties = {**an_object(row.get("request_properties")),
                  **an_object(row.get("properties"))}  # fmt: skip
    texts: dict[str, Any] = {
        name: coerce.text(name, coerce.first(properties, *names))
        for name, names in _PROPERTIES.items()
    }
    cached = row.get("cache_reference_id") not in (None, "", _NO_CACHE)
    if cached:  # nobody was asked
        answer = replace(answer, tokens=None)
    counts = {} if cached or answer.tokens else usage.counted(row, _COUNTS, cache_apart=True)
    status = coerce.small_integer("response_status", row.get("response_status"))
    provider = coerce.text("provider", row.get("provider"))
    if provider in (None, "CUSTOM"):
        host = exchanges.host_of(row.get("target_url"))
        provider = host or (None if api is None else api.provider)
    model = coerce.first(row, "response_model", "model_override", "request_model", "model")
    call = Call(
        **texts,
        request_id=coerce.text("request_id", coerce.first(row, "request_id", "response_id")),
        started_at=coerce.moment("request_created_at", row.get("request_created_at")),
        provider=named(provider),
        model=answer.model or coerce.text("model", model or asked.get("model")),
        prompt_name=coerce.text("prompt_id", coerce.first(row, "prompt_id")
                                or properties.get("Helicone-Prompt-Id")),
        prompt_version=coerce.text("prompt_version", row.get("prompt_version")),
        user=coerce.text("user", coerce.first(row, "request_user_id")),
        operation="chat" if api is None else api.operation,
        messages=api.read_messages(asked) if api is not None and asked else read_input(request),
        params={k: v for k, v in asked.items() if k not in _NOT_PARAMS and v is not None} or None,
        **counts,
        ttft_s=coerce.seconds("time_to_first_token", row.get("time_to_first_token"), 1000.0),
        latency_s=coerce.seconds("delay_ms", coerce.first(row, "delay_ms", "latency"), 1000.0),
        cost_usd=coerce.number("cost", coerce.first(row, "costUSD", "cost_usd", "cost")),
        http_status=status if status is not None and status >= 100 else None,
        tags=_tags(row, properties, cached),
        feedback=feedback,
    )  # fmt: skip
    return finish(call, answer, error=None if status is None else _NO_HTTP.get(status))


def _feedback_of(row: dict[str, Json]) -> Iterator[tuple[Json, Any]]:
    if row.get("feedback_rating") not in (None, ""):
        yield row, _rating
    for name, score in an_object(row.get("scores")).items():
        yield {"name": name, "score": score}, _score


def _rating(row: Json) -> Feedback:
    said = row["feedback_rating"]
    if said in ("true", "false", "True", "False"):  # of a table
        said = said in ("true", "True")
    (signal,) = read_feedback({"value": said, "at": row.get("feedback_created_at") or None})
    return signal


def _score(item: Json) -> Feedback:
    """A yes or no of Helicone is the name with -hcone-bool behind it."""
    score = (
        coerce.first(item["score"], "value") if isinstance(item["score"], dict) else item["score"]
    )
    value = float(score) if isinstance(score, bool) else coerce.number("score", score)
    return Feedback(str(item["name"]).removesuffix("-hcone-bool"), value=value)


def _tags(row: dict[str, Json], properties: dict[str, Json], cached: bool) -> dict[str, Json]:
    tags = {key: item for key, item in properties.items() if key not in _NOT_TAGS}
    about = {"country_code": row.get("country_code"), "request_path": row.get("request_path")}
    tags.update({key: item for key, item in about.items() if item not in (None, "")})
    if cached:
        tags["cache_hit"] = row["cache_reference_id"]
    return tags
