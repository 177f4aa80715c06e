"""Weights & Biases Weave: calls of `get_calls`, of the API's stream, of the export as table.

A call of Weave is any traced function. Model calls are those of kind llm, those of a client library
by the name of the op, and others that were asked as an API is and made one request or gave its
answer on. What is around them repeats their usage and is none. Source: Weave's schema of calls and
its integrations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from tasks.logs.formats.apis import api_of
from tasks.logs.formats.exchange import Exchange, decode
from tasks.logs.formats.payloads import read_input, read_output
from tasks.logs.formats.traces import Role, Row, Signal, Traces, error_class, first_told
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import finish
from tasks.logs.shapes.feedback import read_feedback
from tasks.logs.shapes.providers import named
from tasks.logs.shapes.records import Call, Feedback, Json, Record, UnreadableError

NAME = "weave"
VERSION = "weave@3"

#: weave:///entity/project/op/NAME:digest
_REF = re.compile(r"weave:///.*/op/([^:]+)(?::.*)?")
#: ops of client libraries that are one request to a model
_MODEL_OP = re.compile(
    r"(openai|anthropic|cohere|groq|mistralai|cerebras|together|litellm|vertexai|google|"
    r"huggingface_hub|bedrock\w*|boto\w*|fireworks|nvidia|openrouter)\b.*"
    r"\b(create|parse|stream|complet\w+|acompletion|chat|chat_stream|generate_content\w*|"
    r"send_message\w*|converse\w*|invoke(_model\w*)?|text_generation|chat_completion|generate)"
    r"|langchain\.(llm|chat_?model)\b.*",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(r"images?|audio|moderation|files?|models?\.list|count_tokens", re.IGNORECASE)
_EMBEDDINGS = re.compile(r"embed", re.IGNORECASE)
_NOT_PARAMS = frozenset({
    "self", "messages", "input", "prompt", "prompts", "contents", "model", "system", "instructions",
    "args", "kwargs", "api_key",
})  # fmt: skip
_ASKED = ("messages", "contents", "prompt", "prompts", "input")
_ATTRIBUTES = {
    "session_id": ("session_id", "thread_id", "conversation_id"),
    "user": ("user_id", "user"),
    "release": ("release", "revision", "service_version", "env_version"),
    "prompt_name": ("prompt_name",),
    "prompt_version": ("prompt_version",),
}
_NOT_TAGS = frozenset(
    {*(name for names in _ATTRIBUTES.values() for name in names), "weave", "kind"}
)
_NESTED = ("inputs", "output", "summary", "attributes")


def _rows(value: Json) -> list[Json]:
    if _is_call(value):
        return [_nested(value)]
    if isinstance(coerce.first(value, "call"), dict) and _is_call(value["call"]):
        return [_nested(value["call"])]
    for name in ("calls", "data"):
        page = coerce.sequence(coerce.first(value, name))
        if any(_is_call(item) for item in page):
            return [_nested(item) if isinstance(item, dict) else item for item in page]
    return []


def _is_call(value: Json) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("op_name"), str):
        return False
    return "started_at" in value and "trace_id" in value


def _nested(value: Row) -> Row:
    """A table may have `inputs.messages` as a column, and objects as JSON text."""
    row = {key: item for key, item in value.items() if key.partition(".")[0] not in _NESTED}
    for name in _NESTED:
        held = decode(value.get(name))
        columns = {key: item for key, item in value.items() if key.startswith(f"{name}.")}
        if held is not None or not columns:
            row[name] = held
            continue
        whole: Row = {}
        for key, item in columns.items():
            _put(whole, key.split(".")[1:], decode(item))
        row[name] = whole
    return row


def _put(holder: Row, path: list[str], item: Json) -> None:
    if item in (None, ""):
        return
    for name in path[:-1]:
        inner = holder.setdefault(name, {})
        if not isinstance(inner, dict):
            return
        holder = inner
    holder.setdefault(path[-1], item)


def _key(row: Row) -> tuple[str, str] | None:
    if not _is_call(row):
        return None
    own, trace = row.get("id", row.get("call_id")), row["trace_id"]
    return trace if isinstance(trace, str) else "", own if isinstance(own, str) else ""


def _parent(row: Row) -> Json:
    return row.get("parent_id")


def _op(row: Row) -> str:
    match = _REF.fullmatch(str(row.get("op_name")))
    return match[1] if match else str(row.get("op_name"))


def _role(row: Row) -> Role:
    op, inputs = _op(row), coerce.mapping(row.get("inputs"))
    attributes = coerce.mapping(row.get("attributes"))
    kind = coerce.first(attributes.get("weave"), "kind") or attributes.get("kind")
    if kind == "llm":
        return "call"
    if isinstance(kind, str):
        return "plain" if kind in ("chain", "function") else "other"
    if _MODEL_OP.fullmatch(op):
        return "other" if _NO_MODEL.search(op) else "call"
    if _EMBEDDINGS.search(op) and _usage(row):
        return "call"
    if op.startswith("langchain.") or not any(name in inputs for name in _ASKED):
        return "plain"
    # a function of one's own that was asked as an API is, or gives an API's answer on
    num_requests = coerce.first(_usage(row), "requests")
    if num_requests is None:
        is_one = api_of(Exchange(None, decode(row.get("output")))) is not None
    else:
        is_one = num_requests == 1 and "model" in inputs
    return "call" if is_one else "plain"


def _usage(row: Row) -> dict[str, Json]:
    """Of the one model that was asked; several are what is around several calls."""
    by_model = coerce.mapping(coerce.first(row.get("summary"), "usage"))
    each = list(by_model.values())
    return coerce.mapping(each[0]) if len(each) == 1 else {}


def _call(row: Row, around: list[Row]) -> Call:
    inputs, summary = coerce.mapping(row.get("inputs")), coerce.mapping(row.get("summary"))
    known = [coerce.mapping(each.get("attributes")) for each in (row, *around)]
    texts = first_told(known, _ATTRIBUTES)
    texts["session_id"] = coerce.text("thread_id", row.get("thread_id")) or texts["session_id"]
    texts["user"] = texts["user"] or coerce.text("wb_user_id", row.get("wb_user_id"))
    answer = read_output(row.get("output"))
    if _EMBEDDINGS.search(_op(row)):
        answer = replace(answer, complete=True)
    started = coerce.moment("started_at", row.get("started_at"))
    ended = coerce.moment("ended_at", row.get("ended_at"))
    measured = coerce.first(summary.get("weave"), "latency_ms")
    models = [name for name in coerce.mapping(summary.get("usage")) if isinstance(name, str)]
    model = answer.model or (models[0] if len(models) == 1 else None)
    exception = coerce.text("exception", row.get("exception"))
    asked = _of_self(inputs)
    counts = {} if answer.tokens else usage.tokens(_usage(row))
    call = Call(
        **texts,
        request_id=coerce.text("id", row.get("id", row.get("call_id"))),
        started_at=started,
        provider=_provider(row),
        model=model or coerce.text("model", asked.get("model")),
        operation="embeddings" if _EMBEDDINGS.search(_op(row)) else "chat",
        messages=read_input({k: v for k, v in inputs.items() if k != "self"} or None),
        params={k: v for k, v in inputs.items() if k not in _NOT_PARAMS and v is not None} or None,
        **counts,
        latency_s=(ended - started).total_seconds() if ended and started
        else coerce.seconds("latency_ms", measured, 1000.0),
        cost_usd=_cost(summary),
        tags=_tags(row, exception),
    )  # fmt: skip
    running = ended is None and exception is None and row.get("output") is None
    return finish(
        call, answer, error=exception and error_class(exception),
        otherwise=None if running else "ok",
    )  # fmt: skip


def _of_self(inputs: dict[str, Json]) -> dict[str, Json]:
    """Google's client keeps the model in the object whose method was called."""
    held = coerce.mapping(inputs.get("self"))
    model = coerce.first(inputs, "model") or coerce.first(
        held, "model", "model_name", "_model_name"
    )
    return {"model": model if isinstance(model, str) else None}


def _provider(row: Row) -> str | None:
    """The first word of the op, where that is a client library's."""
    op = _op(row)
    library = op.partition(".")[0].lower()
    known = _MODEL_OP.fullmatch(op) and library not in ("langchain", "litellm", "huggingface_hub")
    return named(library) if known else None


def _cost(summary: dict[str, Json]) -> float | None:
    prices = coerce.mapping(coerce.first(summary.get("weave"), "costs"))
    told = [
        coerce.number(name, each.get(name))
        for each in prices.values() if isinstance(each, dict)
        for name in ("prompt_tokens_total_cost", "completion_tokens_total_cost")
    ]  # fmt: skip
    known = [price for price in told if price is not None]
    return sum(known) if known else None


def _tags(row: Row, exception: str | None) -> dict[str, Json]:
    attributes = coerce.mapping(row.get("attributes"))
    tags = {key: item for key, item in attributes.items() if key not in _NOT_TAGS}
    about = {
        "span_name": coerce.first(row, "display_name") or _op(row),
        "trace_id": row.get("trace_id"),
        "parent_span_id": row.get("parent_id"),
        "turn_id": row.get("turn_id"),
        "error": exception,
    }
    tags.update({key: item for key, item in about.items() if item not in (None, "", {})})
    return tags


def _signals(row: Row) -> Iterator[Signal]:
    told = coerce.first(coerce.mapping(row.get("summary")).get("weave"), "feedback")
    for item in coerce.sequence(told if told is not None else decode(row.get("feedback"))):
        if isinstance(item, dict):
            yield item, _feedback, None


def _feedback(item: Json) -> Feedback:
    """A reaction, a note, or what an annotation or a scorer says: wandb.reaction.1, …"""
    kind = coerce.text("feedback_type", item.get("feedback_type")) or "evaluation"
    payload = coerce.mapping(item.get("payload"))
    said = coerce.first(payload, "emoji", "note", "value", "output")
    signal = Feedback(kind.removeprefix("wandb."))
    if kind.startswith("wandb.reaction"):
        try:
            (signal,) = read_feedback(said)
        except (UnreadableError, ValueError):  # an emoji that is no thumb
            signal = Feedback("reaction", comment=coerce.text("emoji", said))
    elif kind.startswith("wandb.note"):
        signal = Feedback("comment", comment=coerce.text("note", said))
    else:
        name = kind.rpartition(".")[2] if kind.startswith("wandb.") else kind
        signal = _judged(name, said, payload)
    return replace(
        signal,
        given_at=coerce.moment("created_at", item.get("created_at")),
        by=coerce.text("creator", coerce.first(item, "wb_user_id", "creator")),
    )


def _judged(name: str, said: Json, payload: dict[str, Json]) -> Feedback:
    if isinstance(said, dict):  # of a scorer: its first number or yes or no is the score
        payload = said
        said = next((each for each in said.values() if isinstance(each, bool | int | float)), None)
    if said is None:
        said = coerce.first(payload, "score", "rating")
    value = float(said) if isinstance(said, bool | int | float) else None
    words = said if isinstance(said, str) else coerce.first(payload, "comment", "reason")
    return Feedback(name, value=value, comment=words if isinstance(words, str) else None)


def _alone(row: Row) -> Iterator[Record]:
    raise UnreadableError("no call of Weave: op_name, trace_id or started_at is missing")


_TRACES = Traces(NAME, VERSION, _rows, _key, _parent, _role, _call, _signals, _alone)
matches, records, reader = _TRACES.matches, _TRACES.records, _TRACES.reader
