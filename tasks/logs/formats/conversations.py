"""Conversations out of data sets, which are no calls of production: sources of eval sets.

ShareGPT, WildChat, LMSYS-Chat-1M, fine-tuning lines of OpenAI and Anthropic, preference pairs. One
row a conversation: its last answer, and the turns before as messages. Neither time, tokens, cost
nor status are told of them, so they count in no share of calls; the tag `data_set` says what it is.
Source: the data sets' cards, the fine-tuning guides of OpenAI, Bedrock's for Anthropic.
"""

from __future__ import annotations

from collections.abc import Iterator

from expectations.contracts import CALL_FIELDS, DATA_SET_FORMAT
from tasks.logs.formats.payloads import read_input
from tasks.logs.shapes import coerce
from tasks.logs.shapes.answers import Answer, finish, says_something
from tasks.logs.shapes.json_text import dump, nested
from tasks.logs.shapes.messages import message_list, tool_call
from tasks.logs.shapes.records import Call, Json, Record, UnreadableError

NAME = DATA_SET_FORMAT
VERSION = "conversations@1"

_ROLES = {
    "human": "user", "user": "user", "prompter": "user", "gpt": "assistant", "chatgpt": "assistant",
    "assistant": "assistant", "bing": "assistant", "bard": "assistant", "claude": "assistant",
    "model": "assistant", "bot": "assistant", "system": "system", "tool": "tool",
    "observation": "tool", "function_response": "tool", "function_call": "function_call",
}  # fmt: skip
#: keys of a call: a line that has one is a log of it and not a conversation
_OF_CALLS = (frozenset(CALL_FIELDS) - {"messages", "tags"}) | {
    "response", "completion", "output", "answer", "choices", "usage", "request", "error", "user",
    "user_id", "timestamp", "created", "created_at", "time", "start_time", "latency", "latency_ms",
    "duration_ms", "cost", "trace_id", "span_id", "finish_reason", "stop_reason", "max_tokens",
    "temperature", "stream", "object", "type", "sessionId", "uuid",
}  # fmt: skip
_OF_ANSWERS = frozenset({"response", "completion", "choices", "usage", "request"})
_TOOLS = ("tools", "functions", "tool_choice", "function_call", "parallel_tool_calls")
_FLAGS = (
    "language",
    "toxic",
    "redacted",
    "turn",
    "state",
    "country",
    "category",
    "source",
    "split",
)
_IDS = ("conversation_hash", "conversation_id")


def matches(value: Json) -> bool:
    return _data_set(value) is not None


def records(value: Json) -> Iterator[Record]:
    value = coerce.an_object(value)
    data_set = _data_set(value)
    if data_set is None:
        raise UnreadableError("no conversation of a data set")
    tags: dict[str, Json] = {"data_set": data_set}
    if data_set == "preference":
        asked = coerce.mapping(nested(value.get("input")))
        turns = [*coerce.sequence(nested(asked.get("messages"))),
                 *coerce.sequence(nested(value.get("preferred_output")))]  # fmt: skip
        tags["non_preferred_output"] = nested(value.get("non_preferred_output"))
        value = {**asked, **{key: value[key] for key in ("id", "metadata") if key in value}}
    else:
        turns = coerce.sequence(nested(coerce.first(value, *_TURNS)))
    tags.update(_tags(value))
    messages = [message for turn in turns for message in _message(turn)]
    if isinstance(value.get("system"), str | list) and value["system"]:
        messages = [
            *(read_input([{"role": "system", "content": value["system"]}]) or []),
            *messages,
        ]
    last = next(
        (place for place in range(len(messages) - 1, -1, -1) if _is_answer(messages[place])), None
    )
    if last is None:
        raise UnreadableError("a conversation without an answer")
    if last + 1 < len(messages):
        tags["turns_after_answer"] = len(messages) - last - 1
    params = {key: nested(value[key]) for key in _TOOLS if value.get(key) not in (None, "")}
    told = data_set in ("wildchat", "lmsys_chat")
    ids = [value[name] for name in _IDS if told and value.get(name)]
    users = [turn.get("hashed_ip") for turn in turns if isinstance(turn, dict)]
    yield finish(Call(
        request_id=coerce.text("id", ids[0]) if ids else None,
        model=coerce.text("model", value.get("model")),
        user=coerce.text("user", value.get("hashed_ip") or next(filter(None, users), None)),
        operation="chat", messages=messages[:last] or None, params=params or None, tags=tags,
    ), Answer(messages[last]), otherwise=None)  # fmt: skip


_TURNS = ("conversations", "conversation", "messages")


def _data_set(value: Json) -> str | None:
    """Which shape it has; None: it is no such conversation."""
    if not isinstance(value, dict):
        return None
    if "preferred_output" in value:
        asked = coerce.first(nested(value.get("input")), "messages")
        return "preference" if isinstance(nested(asked), list) else None
    name = next((name for name in _TURNS if value.get(name) is not None), None)
    turns = nested(value[name]) if name is not None else None
    if not isinstance(turns, list) or not turns or not isinstance(turns[0], dict):
        return None
    if name == "conversation":
        if "role" not in turns[0] or not any(key in value for key in (*_IDS, "language", "turn")):
            return None
        # of the two only these tell times and models
        return "wildchat" if "conversation_hash" in value else "lmsys_chat"
    if name == "conversations":
        if not _OF_ANSWERS.isdisjoint(value):
            return None
        shaped = any(("from" in turn and "value" in turn) or ("role" in turn and "content" in turn)
                     for turn in turns if isinstance(turn, dict))  # fmt: skip
        return "sharegpt" if shaped else None
    # a question alone may be the record of a call that lacks its answer
    last = turns[-1]
    if not _OF_CALLS.isdisjoint(value):
        return None
    return "fine_tune" if isinstance(last, dict) and last.get("role") == "assistant" else None


def _message(turn: Json) -> list[dict[str, Json]]:
    if not isinstance(turn, dict):
        raise UnreadableError(f"a turn: expected an object, received {coerce.kind_of(turn)}")
    if "from" in turn:
        said = turn["from"]
        role = _ROLES.get(said.lower(), said) if isinstance(said, str) else "user"
        content = turn.get("value", turn.get("content"))
        if role == "function_call":
            return [_called(nested(content))]
        return [{"role": role, "content": content}]
    called, named = turn.get("function_call"), turn.get("role")
    if isinstance(called, dict) and not turn.get("tool_calls"):
        return [{**_called(called), "content": turn.get("content")}]
    if isinstance(named, str):
        turn = {**turn, "role": _ROLES.get(named, named)}
    read = message_list("messages", read_input([turn]) or [])
    return [message for message in read if isinstance(message, dict)]


def _called(call: Json) -> dict[str, Json]:
    if not isinstance(call, dict) or "name" not in call:
        return {"role": "assistant", "content": call if isinstance(call, str) else dump(call)}
    said = coerce.first(call, "arguments", "parameters")
    arguments = said if isinstance(said, str) else dump(said)
    calls = [tool_call(call.get("id"), call["name"], arguments)]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def _is_answer(message: dict[str, Json]) -> bool:
    return message.get("role") == "assistant" and says_something({**message, "role": None})


def _tags(value: dict[str, Json]) -> dict[str, Json]:
    """What the data set says of the conversation; of moderation whether anything was flagged."""
    tags = {key: nested(value[key]) for key in _FLAGS if value.get(key) not in (None, "")}
    for key in ("id", "timestamp", "tstamp", "metadata"):
        if value.get(key) not in (None, ""):
            tags["conversation_metadata" if key == "metadata" else key] = nested(value[key])
    moderation = nested(value.get("openai_moderation"))
    if isinstance(moderation, list):
        tags["flagged"] = any(coerce.first(turn, "flagged") is True for turn in moderation)
    return tags
