"""Output of OpenAI's Batch API: {"id", "custom_id", "response": {"status_code", "body"}, "error"}.

The order is arbitrary, and the questions are in another file: a line of the batch's input
({"custom_id", "method", "url", "body"}) is no call and is counted as such. `custom_id` is a tag.
Source: the Batch API reference. Anthropic's message batches ({"custom_id", "result"}) too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tasks.ingest import coerce
from tasks.ingest.formats import anthropic, openai_chat, openai_responses
from tasks.ingest.formats.bodies import Body, unwrap
from tasks.ingest.formats.exchanges import Dialect, Exchange, call_of
from tasks.ingest.records import Json, Other, Record, UnreadableError

NAME = "openai_batch"
VERSION = "openai_batch@1"


def matches(value: Json) -> bool:
    return isinstance(value, dict) and "custom_id" in value and (
        "response" in value or "result" in value or _is_question(value)
    )  # fmt: skip


def _is_question(value: dict[str, Json]) -> bool:
    """OpenAI's names method and body, Anthropic's params."""
    return ("body" in value and "method" in value) or isinstance(value.get("params"), dict)


def records(value: Json) -> Iterator[Record]:
    if not isinstance(value, dict) or "custom_id" not in value:
        raise UnreadableError("a line without custom_id")
    if _is_question(value):
        yield Other()
        return
    if isinstance(value.get("result"), dict):
        dialect, response, failed = anthropic.DIALECT, *_of_result(value["result"])
    else:
        response = unwrap(value.get("response"))
        dialect, failed = _dialect(response), value.get("error")
    around = {"id": value.get("id"), "error": failed}
    call = call_of(Exchange(Body({}), response, around), dialect, ())
    custom = coerce.text("custom_id", value["custom_id"])
    yield replace(call, tags={**call.tags, "custom_id": custom})


def _of_result(result: dict[str, Json]) -> tuple[Body, Json]:
    if result.get("type") == "succeeded":
        return Body(result.get("message")), None
    return Body(None), result.get("error") or result.get("type")


def _dialect(response: Body) -> Dialect:
    if openai_responses.is_response(response.value):
        return openai_responses.DIALECT
    return openai_chat.DIALECT
