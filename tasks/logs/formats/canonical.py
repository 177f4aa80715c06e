"""One object a call under our own names, or under those that people choose for a record of theirs.

JSON lines, or the rows of a table, where nested values may be JSON text. Our names are those of
expectations.contracts.CALL_FIELDS; names.py has the others. `messages` may be a text, `response` a
text, a message or the body of any known API. Keys that mean nothing to us become tags and are told.
{"record": "feedback", "request_id": …} is feedback alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from expectations.contracts import CALL_FIELDS
from tasks.logs.formats.apis import api_of
from tasks.logs.formats.exchange import Exchange, is_pair
from tasks.logs.formats.names import OF_LOGGERS, PARAMS, field_of
from tasks.logs.formats.payloads import read_output
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import NOT_RECORDED, Answer, finish
from tasks.logs.shapes.dead import or_dead
from tasks.logs.shapes.feedback import feedback_alone, is_feedback_record, read_feedback
from tasks.logs.shapes.json_text import nested
from tasks.logs.shapes.messages import message_list
from tasks.logs.shapes.records import Call, Dead, Feedback, Json, Record, UnreadableError

NAME = "canonical"
VERSION = "canonical@3"

_EXTRA = frozenset({"feedback", "record", "tags", "metadata"})
_TEXTS = (
    "request_id", "provider", "model", "release", "prompt_name", "prompt_version", "session_id",
    "operation", "finish_reason", "status", "error_type", "user", "user_hash",
)  # fmt: skip
_INTEGERS = ("input_tokens", "output_tokens", "total_tokens", "cached_tokens", "reasoning_tokens")
_NUMBERS = ("ttft_s", "latency_s", "cost_usd")
#: what only a call of a model has, where question and answer are plain text or missing
_SIGNS = frozenset({
    "model", "provider", "release", "prompt_name", "ttft_s", "latency_s", "cost_usd",
    "finish_reason", "usage", *_INTEGERS,
})  # fmt: skip
#: around whatever Cloudflare's API answers; its messages are notes on that
_OF_CLOUDFLARE = {"result", "success", "errors", "messages"}
#: of metadata these are looked for
_ABOUT = ("session_id", "user", "release", "prompt_name", "prompt_version")


def matches(value: Json) -> bool:
    """Most keys are known, and question or answer are those of a model: messages have a role, an
    answer has a role or a content, and what stands in plain text has a model or counts beside it.
    """
    if not isinstance(value, dict):
        return False
    if is_feedback_record(value):
        return True
    if is_pair(value) or value.keys() >= _OF_CLOUDFLARE:
        return False
    fields = {field_of(key) or key: key for key in value}
    num_known = sum(field in _READERS or field in _OTHERS for field in fields)
    if 2 * num_known < len(value):
        return False
    asked, said = fields.get("messages"), fields.get("response")
    if asked is None and said is None:
        return {"request_id", "model"} <= fields.keys() and _has_result(value, fields)
    kinds = [None if asked is None else _kind_of_question(value[asked]),
             None if said is None else _kind_of_answer(value[said])]  # fmt: skip
    if "foreign" in kinds:
        return False
    is_both = asked is not None and said is not None and "request_id" in value
    return "messages" in kinds or not _SIGNS.isdisjoint(fields) or is_both


def _has_result(value: dict[str, Json], fields: dict[str, str]) -> bool:
    """Of a call without texts: counts, a latency, or how it ended in our own words."""
    said = nested(value[fields["usage"]]) if "usage" in fields else None
    if isinstance(said, dict):
        try:
            counts = _usage(said)
        except UnreadableError:  # which count it is, who reads the record tells
            return True
        return counts.get("input_tokens") is not None or counts.get("output_tokens") is not None
    if any(name in fields for name in ("input_tokens", "output_tokens")):
        return True
    failed = any(name in fields for name in ("error", "error_type", "latency_s"))
    return "request_id" in value and (failed or value.get("status") in ("ok", "error"))


def _kind_of_question(value: Json) -> str:
    if isinstance(value, str):  # a prompt may be JSON text of anything
        return "messages" if _kind_of_question(_in_text(value)) == "messages" else "text"
    items = value if isinstance(value, list) else [value]
    if all(isinstance(item, str) or item is None for item in items) and items:
        return "text"
    is_said = all(isinstance(item, dict) and isinstance(item.get("role"), str) for item in items)
    return "messages" if is_said else "foreign"


def _kind_of_answer(value: Json) -> str:
    if isinstance(value, str):  # and so may an answer
        return "messages" if _kind_of_answer(_in_text(value)) == "messages" else "text"
    if value is None:
        return "text"
    said = value[0] if isinstance(value, list) and value else value
    if not isinstance(said, dict):
        return "foreign"
    is_message = isinstance(said.get("role"), str) or "content" in said or "tool_calls" in said
    return "messages" if is_message or api_of(Exchange(None, value)) is not None else "foreign"


def _in_text(text: str) -> Json:
    value = nested(text)
    return value if isinstance(value, dict | list) and value else None


def records(value: Json) -> Iterator[Record]:
    if is_feedback_record(coerce.an_object(value)):
        yield feedback_alone(value)
        return
    is_another = _CALLS.isdisjoint(value) or value.keys() >= _OF_CLOUDFLARE
    if is_another and not matches(value):
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
    others: dict[str, Json] = {}
    for key, given in value.items():
        read = _READERS.get(key)
        if read is not None:
            setattr(call, key, read(key, given))
        elif key not in _EXTRA and given is not None:
            others[key] = given
    if not others and "metadata" not in value:  # all of it under our own names
        call.tags = _tags(value.get("tags"), {}, {})
        return _finished(call, {})
    if is_pair(value):
        raise UnreadableError("a request with its response, no record of a call")
    unknown, more = _named_otherwise(call, others)
    metadata = nested(value.get("metadata"))
    if isinstance(metadata, dict):
        about = {key: given for key, given in metadata.items() if field_of(key) in _ABOUT}
        metadata = {key: given for key, given in metadata.items() if key not in about}
        _named_otherwise(call, about)
    call.tags = _tags(value.get("tags"), metadata, unknown)
    call.unread = tuple(key for key in unknown if key not in OF_LOGGERS)
    return _finished(call, more)


def _finished(call: Call, more: dict[str, Json]) -> Call:
    error = more.get("error") or call.error_type
    if call.response is None:
        # a field that is missing is for the expectations to judge
        answer = Answer(recorded=False, tokens=more.get("usage")) if more else NOT_RECORDED
        return finish(call, answer, error=error, otherwise=None)
    answer = _answer(call.response, complete=call.operation == "embeddings")
    if more:
        answer.tokens = more.get("usage") or answer.tokens
    return finish(call, answer, error=error)


def _named_otherwise(
    call: Call, others: dict[str, Json]
) -> tuple[dict[str, Json], dict[str, Json]]:
    """Fields that people call by other names, where ours is not there; what is left, and what is
    no field by itself: `usage`, `error`."""
    unknown: dict[str, Json] = {}
    more: dict[str, Json] = {}
    params: dict[str, Json] = {}
    ended = system = None
    for key, given in others.items():
        name = field_of(key)
        if name in PARAMS:
            params[name] = given
        elif name == "usage" and isinstance(nested(given), dict):
            more["usage"] = _usage(nested(given))
        elif name == "error":
            more["error"] = nested(given)
        elif name == "ended_at":
            ended = coerce.moment(key, given)
        elif name == "system":
            system = given
        elif name in _IN_MS:
            field = _IN_MS[name]
            if getattr(call, field) is None:
                setattr(call, field, coerce.seconds(key, given, 1000.0))
        elif name is not None and name in _READERS and getattr(call, name) is None:
            setattr(call, name, _READERS[name](key, given))
        else:
            unknown[key] = given
    if system is not None:
        call.messages = [{"role": "system", "content": system}, *(call.messages or [])]
    if params and call.params is None:
        call.params = params
    if ended is not None and call.started_at is not None and call.latency_s is None:
        call.latency_s = (ended - call.started_at).total_seconds()
    return unknown, more


def _usage(given: dict[str, Json]) -> dict[str, Json]:
    """Short names are those of an object of tokens; Anthropic's mean that the cache is apart."""
    given = {_SHORT.get(key, key): count for key, count in given.items()}
    apart = "cache_read_input_tokens" in given or "cache_creation_input_tokens" in given
    return usage.tokens(given, cache_apart=apart)


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
    """As it stands; `_answer` says what it means."""
    if value is None or isinstance(value, str | dict | list):
        return value
    raise UnreadableError(f"{name}: expected text or a message, received {coerce.kind_of(value)}")


def _answer(value: Json, complete: bool) -> Answer:
    if isinstance(value, str):
        inner = nested(value)
        # an answer may itself be JSON text; only a message or a body of an API is taken for one
        if not isinstance(inner, dict) or not ("role" in inner or _api_says(inner)):
            return Answer({"role": "assistant", "content": value}, complete=complete)
        value = inner
    if isinstance(value, list) or ("role" not in value and _api_says(value)):
        answer = read_output(value)
        if isinstance(value, list) or answer.message or answer.error or answer.complete:
            return answer
    messages: list[Json] = message_list("response", value)
    return Answer(messages[0], complete=complete)


def _api_says(value: dict[str, Json]) -> bool:
    return api_of(Exchange(None, value)) is not None


def _tags(given: Json, metadata: Json, unknown: dict[str, Json]) -> dict[str, Json]:
    given = nested(given)
    tags: dict[str, Json] = dict(given) if isinstance(given, dict) else {}
    if given is not None and not isinstance(given, dict):
        tags["tags"] = given
    about = metadata if isinstance(metadata, dict) else {"metadata": metadata}
    for key, value in (*about.items(), *unknown.items()):
        if value is not None:
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
_SHORT = {"prompt": "prompt_tokens", "completion": "completion_tokens", "input": "input_tokens",
          "output": "output_tokens", "total": "total_tokens", "cached": "cached_tokens",
          "reasoning": "reasoning_tokens"}  # fmt: skip
_IN_MS = {"latency_ms": "latency_s", "ttft_ms": "ttft_s"}
_OTHERS = frozenset({*_EXTRA, *_IN_MS, *PARAMS, "usage", "error", "ended_at", "system"})
#: one of these must be there before a record is one of a call
_CALLS = frozenset({"request_id", "messages", "response"})
