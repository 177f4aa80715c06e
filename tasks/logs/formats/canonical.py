"""Our own record: one object a call, with the names of expectations.contracts.CALL_FIELDS.

JSON lines, or the rows of a Parquet file, where nested values may be JSON text. `response` may be
plain text. Unknown keys become tags. {"record": "feedback", "request_id": …} is feedback alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from expectations.contracts import CALL_FIELDS
from tasks.logs.shapes import coerce
from tasks.logs.shapes.answers import NOT_RECORDED, Answer, finish
from tasks.logs.shapes.dead import or_dead
from tasks.logs.shapes.feedback import feedback_alone, is_feedback_record, read_feedback
from tasks.logs.shapes.json_text import nested
from tasks.logs.shapes.messages import message_list
from tasks.logs.shapes.records import Call, Dead, Feedback, Json, Record, UnreadableError

NAME = "canonical"
VERSION = "canonical@2"

_EXTRA = frozenset({"user", "user_id", "feedback", "record"})
_KNOWN = frozenset(CALL_FIELDS) | _EXTRA
#: one of these must be there before a record is taken for ours
_SIGNS = ("request_id", "messages", "response")
_TEXTS = (
    "request_id", "provider", "model", "release", "prompt_name", "prompt_version", "session_id",
    "operation", "finish_reason", "status", "error_type", "user", "user_hash",
)  # fmt: skip
_INTEGERS = ("input_tokens", "output_tokens", "total_tokens", "cached_tokens", "reasoning_tokens")
_NUMBERS = ("ttft_s", "latency_s", "cost_usd")


def matches(value: Json) -> bool:
    """Most keys are ours, so that other formats with a `model` or `status` are not taken."""
    if not isinstance(value, dict):
        return False
    if is_feedback_record(value):
        return True
    known = sum(key in _KNOWN for key in value)
    return any(sign in value for sign in _SIGNS) and 2 * known >= len(value)


def records(value: Json) -> Iterator[Record]:
    if is_feedback_record(coerce.an_object(value)):
        yield feedback_alone(value)
        return
    if _KNOWN.isdisjoint(value):
        raise UnreadableError("no key of a call is in it (request_id, messages, response, …)")
    said = value.get("feedback")
    feedback = () if said is None else or_dead(said, read_feedback, said)
    if isinstance(feedback, Dead):
        yield _call(value, ())
        yield feedback
    else:
        yield _call(value, feedback)


def _call(value: dict[str, Json], feedback: tuple[Feedback, ...]) -> Call:
    call = Call(feedback=feedback)
    unknown: dict[str, Json] = {}
    for key, given in value.items():
        read = _READERS.get(key)
        if read is not None:
            setattr(call, key, read(key, given))
        elif key not in _EXTRA and key != "tags":
            unknown[key] = given
    if "user_id" in value and "user" not in value:
        call.user = coerce.text("user", value["user_id"])
    call.tags = _tags(value.get("tags"), unknown)
    if call.response is None:
        # a field that is missing is for the expectations to judge
        return finish(call, NOT_RECORDED, error=call.error_type, otherwise=None)
    answer = Answer(call.response, complete=call.operation == "embeddings")
    return finish(call, answer, error=call.error_type)


def _messages(name: str, value: Json) -> Json:
    if value is None:
        return None
    if isinstance(value, str):
        inner = nested(value)
        # only a list of objects is messages; any other text is the prompt itself
        if isinstance(inner, list) and all(isinstance(item, dict) for item in inner):
            value = inner
    return message_list(name, value)


def _response(name: str, value: Json) -> Json:
    if isinstance(value, str):
        inner = nested(value)
        # an answer may itself be JSON text; only a message with a role is taken for one
        if not (isinstance(inner, dict) and "role" in inner):
            return {"role": "assistant", "content": value}
        value = inner
    if isinstance(value, dict):
        messages: list[Json] = message_list(name, value)
        return messages[0]
    if value is None:
        return None
    raise UnreadableError(f"{name}: expected text or a message, received {coerce.kind_of(value)}")


def _tags(given: Json, unknown: dict[str, Json]) -> dict[str, Json]:
    given = nested(given)
    tags: dict[str, Json] = dict(given) if isinstance(given, dict) else {}
    if given is not None and not isinstance(given, dict):
        tags["tags"] = given
    for key, value in unknown.items():
        # the log's own tag of that name keeps its place
        tags[key if key not in tags else f"record.{key}"] = value
    return tags


_READERS: dict[str, Callable[[str, Json], Json]] = {
    **dict.fromkeys(_TEXTS, coerce.text),
    **dict.fromkeys(_INTEGERS, coerce.integer),
    **dict.fromkeys(_NUMBERS, coerce.number),
    **dict.fromkeys(("http_status", "retries"), coerce.small_integer),
    **dict.fromkeys(("tool_calls", "params", "guardrail_verdicts"), lambda _, value: nested(value)),
    "started_at": coerce.moment,
    "messages": _messages,
    "response": _response,
}
assert {*_READERS, "tags"} == {*CALL_FIELDS, "user"}, "a call field without a reader"
