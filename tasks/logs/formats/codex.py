"""Session files of the Codex CLI (~/.codex/sessions/**/rollout-*.jsonl): a call is a response.

Its items stand in lines of their own; `token_count` tells what it took: the newest usage counts,
never the running total; where only totals are told, what they grew by. Newer versions write the
items before the count, older ones behind it, the oldest (bare items) none. A forked session begins
with a copy of its parent's items, written at once: their calls have the parent's ids. Source:
codex-rs/protocol, codex-rs/core and codex-rs/rollout, 0.2 to 0.130.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tasks.logs.formats.sessions import MAX_HELD_BYTES, Before, Turn, before, merged
from tasks.logs.shapes import coerce
from tasks.logs.shapes.answers import Answer, finish, says_something
from tasks.logs.shapes.dead import or_dead
from tasks.logs.shapes.json_text import dump, nested
from tasks.logs.shapes.messages import tool_call
from tasks.logs.shapes.parts import message_of, plain_text
from tasks.logs.shapes.records import Call, Json, Other, Record, UnreadableError
from tasks.logs.shapes.usage import Reported

NAME = "codex"
VERSION = "codex@2"

_KINDS = ("session_meta", "turn_context", "response_item", "event_msg", "compacted")
#: a tuple, because a hostile "type" may be no key of a set
_OUTPUTS = (
    "reasoning", "function_call", "custom_tool_call", "local_shell_call", "web_search_call",
    "image_generation_call", "tool_search_call",
)  # fmt: skip
_COUNTS = ("input_tokens", "output_tokens", "total_tokens", "cached_input_tokens",
           "reasoning_output_tokens")  # fmt: skip
#: after a pause like that a line is none of what was copied; no model answers sooner
_PAUSE = timedelta(seconds=0.5)
_FAILED = re.compile(r"Exit code: (?!0\b)-?\d+\b")


def matches(value: Json) -> bool:
    if not isinstance(value, dict):
        return False
    if value.get("type") in _KINDS:
        return isinstance(value.get("payload"), dict)
    if value.get("record_type") == "state" or _is_bare_item(value):
        return True
    # how files of 2025 began
    began = isinstance(value.get("id"), str) and "instructions" in value and "timestamp" in value
    return began and "messages" not in value


def _is_bare_item(value: dict[str, Json]) -> bool:
    """An item of the Responses API by itself, as the oldest files have them."""
    kind, content = value.get("type"), value.get("content")
    if kind == "message":
        kinds = [coerce.first(block, "type") for block in coerce.sequence(content)]
        return bool(kinds) and all(one in ("input_text", "output_text") for one in kinds)
    if kind == "reasoning":
        return isinstance(value.get("summary"), list)
    needed = {"function_call": "arguments", "function_call_output": "output",
              "local_shell_call": "action"}  # fmt: skip
    name = needed.get(kind) if isinstance(kind, str) else None
    return name is not None and name in value and ("call_id" in value or "id" in value)


def records(value: Json) -> Iterator[Record]:
    """Of one line by itself: a count is a call, without what was said."""
    reader = CodexReader()
    yield from (record for record, _ in (*reader.feed(value, 0), *reader.end()))


@dataclass(slots=True)
class _Response:
    """One response of the model. `session`: id of that which made it; `saw_input`: something else
    was written since."""

    place: Any
    at: Json
    number: int
    asked: Before
    model: Json
    session: Json = None
    message: dict[str, Json] | None = None
    usage: dict[str, Json] | None = None
    saw_input: bool = False
    tags: dict[str, Json] = field(default_factory=dict)
    error: Json = None


class CodexReader:
    """Of one file, which has to be read from its start: its turns are told once."""

    def __init__(self) -> None:
        self._first: Any | None = None
        self._session: dict[str, Json] = {}
        self._model: Json = None
        self._turns: list[Turn] = []
        self._num_bytes = 0
        self._gap = False
        self._number = 0
        self._open: _Response | None = None
        self._totals: dict[str, Json] = {}
        #: items come before their count
        self._counts_last = False
        #: while a copy of its items is read: the id of the session that this one was forked from
        self._parent: Json = None
        self._last_at: datetime | None = None

    def feed(self, value: Json, place: Any) -> Iterator[tuple[Record, Any]]:
        line = coerce.an_object(value)
        # further kinds of lines may come with any version
        shaped = isinstance(line.get("type"), str) and isinstance(line.get("payload"), dict)
        if not matches(line) and not (shaped and "timestamp" in line):
            raise UnreadableError("no line of a session of Codex")
        self._first = place if self._first is None else self._first
        found = list(self._read(line, place))
        yield from found
        begun = self._open is not None and self._open.place is place
        if not begun and all(where is not place for _, where in found):
            yield Other(), place

    def _read(self, line: dict[str, Json], place: Any) -> Iterator[tuple[Record, Any]]:
        kind, payload = line.get("type"), line.get("payload")
        if not isinstance(payload, dict):  # the oldest files have bare items
            payload, kind = line, "response_item" if "type" in line else "session_meta"
        at = line.get("timestamp")
        self._note_pause(at)
        if kind == "session_meta":
            if "id" in payload and not self._session:
                self._session = payload
                self._parent = payload.get("forked_from_id")
                self._begin_with(payload)
        elif kind == "turn_context":
            self._model = payload.get("model") or self._model
        elif kind == "compacted":
            yield from self._close()
            self._compact(payload)
        elif kind == "response_item":
            yield from self._item(payload, at, place)
        elif kind == "event_msg":
            yield from self._event(payload, at, place)

    def end(self) -> Iterator[tuple[Record, Any]]:
        yield from self._close()

    @property
    def oldest(self) -> Any | None:
        """A file that has grown is read from its start: calls need the turns before them."""
        return self._first

    def _note_pause(self, at: Json) -> None:
        if self._parent is None:
            return
        try:
            moment = coerce.moment("timestamp", at)
        except UnreadableError:
            moment = None
        if moment is not None and self._last_at is not None and moment - self._last_at >= _PAUSE:
            self._parent = None
        self._last_at = moment or self._last_at

    def _begin_with(self, meta: dict[str, Json]) -> None:
        told = coerce.first(meta, "base_instructions", "instructions")
        text = coerce.first(told, "text") if isinstance(told, dict) else told
        if isinstance(text, str) and text:
            self._add(Turn([{"role": "system", "content": text}]))

    def _compact(self, payload: dict[str, Json]) -> None:
        self._turns, self._num_bytes, self._gap = [], 0, False
        self._begin_with(self._session)
        history = payload.get("replacement_history")
        for item in coerce.sequence(history):
            if isinstance(item, dict):
                self._add(Turn(_messages(item)))
        if not isinstance(history, list) and isinstance(payload.get("message"), str):
            self._add(Turn([{"role": "user", "content": payload["message"]}]))

    def _item(self, item: dict[str, Json], at: Json, place: Any) -> Iterator[tuple[Record, Any]]:
        messages = _messages(item)
        if not messages:
            return
        said = item.get("type") in _OUTPUTS or messages[0].get("role") == "assistant"
        current = self._open
        if not said:
            if current is not None and current.usage is not None:
                yield from self._close()
            elif current is not None:
                current.saw_input = True
            self._add(Turn(messages))
            return
        if current is not None and current.saw_input:
            yield from self._close()
        if self._open is None:
            self._open = self._response(at, place)
        current = self._open
        current.message = (
            messages[0] if current.message is None else merged(current.message, messages[0])
        )
        self._add(Turn(messages, key=str(current.number)))

    def _event(self, event: dict[str, Json], at: Json, place: Any) -> Iterator[tuple[Record, Any]]:
        kind = event.get("type")
        if kind == "token_count":
            usage = self._usage(event)
            if usage is None:
                return
            current = self._open
            if current is not None and current.message is not None and current.usage is None:
                self._counts_last = True
            else:
                yield from self._close()
                current = self._open = self._response(at, place)
            current.usage = usage
            current.model = coerce.first(event.get("info"), "model") or self._model
            if self._counts_last:
                yield from self._close()
        elif kind == "turn_aborted" and self._open is not None:
            self._open.tags["turn_aborted"] = event.get("reason", True)
        elif kind == "error":
            yield from self._close()
            self._open = self._response(at, place)
            self._open.error = coerce.first(event, "codex_error_info") or "error"
            self._open.tags["error_text"] = event.get("message")
            yield from self._close()
        elif kind == "stream_error":
            self._add(Turn([], is_retry=True))

    def _usage(self, event: dict[str, Json]) -> dict[str, Json] | None:
        """Of the newest response; None: the event repeats what is known (rate limits), or tells
        nothing."""
        info = coerce.mapping(event.get("info"))
        totals, last = info.get("total_token_usage"), info.get("last_token_usage")
        if isinstance(totals, dict):
            if totals == self._totals:
                return None
            known, self._totals = self._totals, totals
            if not isinstance(last, dict):
                last = {name: _less(name, totals, known) for name in _COUNTS}
        if not isinstance(last, dict):
            return None
        return last if any(last.get(name) for name in _COUNTS[:2]) else None

    def _response(self, at: Json, place: Any) -> _Response:
        self._number += 1
        session = self._parent or self._session.get("id")
        asked = before(self._turns, gap=self._gap)
        return _Response(place, at, self._number, asked, self._model, session)

    def _add(self, turn: Turn) -> None:
        self._turns.append(turn)
        self._num_bytes += turn.num_bytes
        if self._num_bytes > MAX_HELD_BYTES:
            self._turns, self._num_bytes, self._gap = [], 0, True

    def _close(self) -> Iterator[tuple[Record, Any]]:
        response, self._open = self._open, None
        if response is not None:
            shown = response.usage or response.message
            yield or_dead(shown, _call, response, self._session), response.place


reader = CodexReader


def _less(name: str, totals: dict[str, Json], known: dict[str, Json]) -> int:
    now, then = (coerce.integer(name, counts.get(name)) or 0 for counts in (totals, known))
    # a session that went on elsewhere counts from the beginning
    return now - then if now >= then else now


def _messages(item: dict[str, Json]) -> list[dict[str, Json]]:
    """Of an item of the Responses API; of what is no part of a conversation none."""
    kind, role = item.get("type"), item.get("role")
    if kind == "message" or (kind is None and isinstance(role, str)):
        named = role if isinstance(role, str) else "user"
        return [said for said in message_of(named, item.get("content")) if isinstance(said, dict)]
    if isinstance(kind, str) and kind.endswith("_call_output"):
        return [_result(item)]
    if kind == "local_shell_call":
        called = tool_call(item.get("call_id"), "local_shell", dump(item.get("action")))
        return [{"role": "assistant", "content": None, "tool_calls": [called]}]
    if kind in _OUTPUTS:
        return [said for said in message_of("assistant", [item]) if isinstance(said, dict)]
    return []


def _result(item: dict[str, Json]) -> dict[str, Json]:
    """What a tool gave back, and whether it was an error."""
    output = nested(item.get("output"))
    failed = False
    if isinstance(output, dict):
        code = coerce.first(output.get("metadata"), "exit_code")
        failed = output.get("success") is False or code not in (None, 0)
        output = coerce.first(output, "content", "output") or output
    text = plain_text(output)
    text = text if isinstance(text, str) else dump(text)
    message = {"role": "tool", "tool_call_id": item.get("call_id"), "content": text}
    return {**message, "is_error": True} if failed or _FAILED.match(text) else message


def _call(response: _Response, session: dict[str, Json]) -> Call:
    usage = response.usage or {}
    counts = {name: coerce.integer(name, usage.get(name)) for name in _COUNTS}
    # reasoning is a part of the output there, whatever a total says
    reported = Reported(
        input=counts["input_tokens"], output=counts["output_tokens"],
        cached=counts["cached_input_tokens"], reasoning=counts["reasoning_output_tokens"],
    )  # fmt: skip
    tokens = {**reported.canonical(), "total_tokens": counts["total_tokens"]}
    message = response.message
    spoke = message is not None and says_something(message)
    ended = ("tool_calls" if message.get("tool_calls") else "stop") if message and usage else None
    own = coerce.text("session id", session.get("id"))
    tags: dict[str, Json] = {**response.asked.tags, **response.tags}
    for name in ("cli_version", "originator", "cwd", "forked_from_id", "source"):
        if session.get(name) not in (None, ""):
            tags[name] = session[name]
    made_by = coerce.text("session id", response.session)
    if response.error is None and not usage and not spoke:
        raise UnreadableError("a response that says nothing")
    return finish(Call(
        request_id=None if made_by is None else f"{made_by}:{response.number}",
        started_at=coerce.moment("timestamp", response.at),
        provider=coerce.text("model_provider", session.get("model_provider")) or "openai",
        model=coerce.text("model", response.model), session_id=own, operation="chat",
        messages=response.asked.messages, retries=response.asked.retries, tags=tags,
    ), Answer(
        message if spoke else None, finish_reason=ended if spoke else None, tokens=tokens,
        recorded=spoke,
    ), error=response.error)  # fmt: skip
