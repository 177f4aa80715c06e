"""Session files of Claude Code (~/.claude/projects/*/*.jsonl): a call is an assistant's message.

While an answer streams it is written a line a content block, under one message id: the last line
counts, and the blocks are one answer. The conversation before a call follows from `parentUuid`.
Answers that Claude Code itself makes up are no calls, but for those that tell of an API error.
Source: the files as versions 0.2 to 2.1 write them, and public tools that read them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tasks.logs.formats.anthropic_bodies import read_answer
from tasks.logs.formats.sessions import MAX_HELD_BYTES, Before, Turn, before, tool_results
from tasks.logs.shapes import coerce
from tasks.logs.shapes.answers import NOT_RECORDED, finish
from tasks.logs.shapes.dead import or_dead
from tasks.logs.shapes.json_text import dump
from tasks.logs.shapes.records import Call, Json, Other, Record, UnreadableError

NAME = "claude_code"
VERSION = "claude_code@1"

#: tuples, because a hostile "type" may be no key of a set
_KINDS = ("user", "assistant", "system", "progress", "attachment")
_BOOKS = (
    "summary", "file-history-snapshot", "queue-operation", "custom-title", "ai-title",
    "agent-name", "last-prompt", "permission-mode", "tag", "pr-link", "mode",
)  # fmt: skip
_SYNTHETIC = "<synthetic>"
_STATUS = re.compile(r"\bAPI Error:? \(?(\d{3})\b")
_KEPT = ("requestId", "uuid", "parentUuid", "isSidechain", "agentId", "version", "gitBranch", "cwd")
#: answers that stream at the same time, of the agent and those it has started
_MAX_OPEN = 16


def matches(value: Json) -> bool:
    if not isinstance(value, dict):
        return False
    kind, message = value.get("type"), value.get("message")
    if kind == "summary":
        return "leafUuid" in value
    if not isinstance(value.get("sessionId"), str):
        return kind == "file-history-snapshot" and "messageId" in value
    if isinstance(message, dict) and "role" in message:
        signs = ("parentUuid", "requestId", "isSidechain", "userType", "version", "costUSD")
        return any(sign in value for sign in signs)
    return kind in _BOOKS or (kind in _KINDS and "uuid" in value and "parentUuid" in value)


def records(value: Json) -> Iterator[Record]:
    """Of one line by itself: a call without what came before it."""
    line = coerce.an_object(value)
    yield _call(_Answer(None, [line])) if _is_answer(line) else Other()


@dataclass(slots=True)
class _Answer:
    """The lines of one message of the assistant, and what came before the first of them."""

    place: Any
    lines: list[dict[str, Json]] = field(default_factory=list)
    asked: Before = field(default_factory=lambda: Before(None, {}))


class ClaudeCodeReader:
    """Of one file, which has to be read from its start: its turns are told once."""

    def __init__(self) -> None:
        self._first: Any | None = None
        self._turns: dict[str, tuple[str | None, Turn]] = {}
        self._results: dict[str, dict[str, Json]] = {}
        self._num_bytes = 0
        self._open: dict[str, _Answer] = {}

    def feed(self, value: Json, place: Any) -> Iterator[tuple[Record, Any]]:
        line = coerce.an_object(value)
        # further kinds of lines may come with any version
        if not matches(line) and not isinstance(line.get("sessionId"), str):
            raise UnreadableError("no line of a session of Claude Code")
        self._first = place if self._first is None else self._first
        if not _is_answer(line):
            self._keep(line, _turn_of(line))
            yield Other(), place
            return
        key = _key(line)
        if key is None:
            yield or_dead(line, _call, self._answer(line, place)), place
            return
        if key not in self._open:
            self._open[key] = self._answer(line, place)
        else:
            self._open[key].lines.append(line)
            yield Other(), place
        self._keep(line, _turn_of(line, key))
        if len(self._open) > _MAX_OPEN:
            yield self._close(next(iter(self._open)))

    def end(self) -> Iterator[tuple[Record, Any]]:
        for key in list(self._open):
            yield self._close(key)

    @property
    def oldest(self) -> Any | None:
        """A file that has grown is read from its start: calls need the turns before them."""
        return self._first

    def _close(self, key: str) -> tuple[Record, Any]:
        answer = self._open.pop(key)
        return or_dead(answer.lines, _call, answer), answer.place

    def _answer(self, line: dict[str, Json], place: Any) -> _Answer:
        turns: list[Turn] = []
        parent, gap, seen = line.get("parentUuid"), False, set()
        while isinstance(parent, str) and not gap:
            known = self._turns.get(parent)
            gap = known is None or parent in seen
            if known is not None and not gap:
                seen.add(parent)
                parent, turn = known
                turns.append(turn)
        return _Answer(place, [line], before(turns[::-1], self._results, gap=gap))

    def _keep(self, line: dict[str, Json], turn: Turn) -> None:
        uuid, parent = line.get("uuid"), line.get("parentUuid")
        if not isinstance(uuid, str):
            return
        for message in turn.messages:
            if message.get("role") == "tool" and isinstance(message.get("tool_call_id"), str):
                self._results[message["tool_call_id"]] = message
        self._turns[uuid] = parent if isinstance(parent, str) else None, turn
        self._num_bytes += turn.num_bytes + len(uuid)
        while self._num_bytes > MAX_HELD_BYTES and len(self._turns) > 1:
            gone = next(iter(self._turns))
            _, oldest = self._turns.pop(gone)
            self._num_bytes -= oldest.num_bytes + len(gone)
            for message in oldest.messages:
                self._results.pop(str(message.get("tool_call_id")), None)


reader = ClaudeCodeReader


def _is_answer(line: dict[str, Json]) -> bool:
    """Of the model, or an error of the API in its place."""
    message = line.get("message")
    if not isinstance(message, dict) or message.get("role", "assistant") != "assistant":
        return False
    if line.get("type", "assistant") != "assistant":
        return False
    return message.get("model") != _SYNTHETIC or line.get("isApiErrorMessage") is True


def _key(line: dict[str, Json]) -> str | None:
    own = line["message"].get("id")
    return own if isinstance(own, str) and own else None


def _turn_of(line: dict[str, Json], key: str | None = None) -> Turn:
    retry = line.get("type") == "system" and line.get("subtype") == "api_error"
    message = line.get("message")
    role = coerce.first(message, "role")
    if not isinstance(message, dict) or role not in ("user", "assistant"):
        return Turn([], is_retry=retry)
    if line.get("isApiErrorMessage") is True:  # it was never sent
        return Turn([])
    return Turn(tool_results(role, message.get("content")), key)


def _call(answer: _Answer) -> Call:
    first, last = answer.lines[0], answer.lines[-1]
    asked = answer.asked
    message = _together([line["message"] for line in answer.lines])
    tags: dict[str, Json] = {
        name: last[name] for name in _KEPT if last.get(name) not in (None, "", False)
    }
    tags.update(asked.tags)
    error: Json = None
    status: Json = None
    said = read_answer({**message, "type": "message"})
    if last.get("isApiErrorMessage") is True:
        text = coerce.first(said.message, "content")
        found = _STATUS.search(text) if isinstance(text, str) else None
        status = last.get("apiErrorStatus") or (found[1] if found else None)
        error = last.get("error") or "api_error"
        tags["error_text"] = text
        said = NOT_RECORDED
    elif said.message is None:
        said.recorded = False
    model = coerce.text("model", message.get("model"))
    own = coerce.text("id", message.get("id"))
    return finish(Call(
        request_id=own or coerce.text("requestId", last.get("requestId")),
        started_at=coerce.moment("timestamp", first.get("timestamp")),
        provider=_provider(own or ""),
        model=None if model == _SYNTHETIC else model,
        session_id=coerce.text("sessionId", last.get("sessionId")),
        operation="chat", messages=asked.messages, retries=asked.retries,
        cost_usd=coerce.number("costUSD", last.get("costUSD")),
        latency_s=coerce.seconds("durationMs", last.get("durationMs"), 1000.0),
        http_status=coerce.small_integer("apiErrorStatus", status),
        tags=tags,
    ), said, error=error)  # fmt: skip


def _provider(message_id: str) -> str:
    if message_id.startswith("msg_bdrk"):
        return "aws.bedrock"
    return "gcp.vertex_ai" if message_id.startswith("msg_vrtx") else "anthropic"


def _together(messages: list[dict[str, Json]]) -> dict[str, Json]:
    """The last of them, with the content blocks of all, each once."""
    whole: dict[str, Json] = {}
    blocks: dict[str, Json] = {}
    for message in messages:
        whole.update({key: item for key, item in message.items() if item is not None})
        content = message.get("content")
        given = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for block in coerce.sequence(given):
            blocks.setdefault(dump(block), block)
    # what it was read from is the line, not the API
    kept = ("id", "role", "model", "stop_reason", "usage")
    known = {key: whole[key] for key in kept if key in whole}
    return {**known, "content": list(blocks.values())} if blocks else known
