"""A logged call as it can be asked again: its conversation, and what people said of the answer.

Owns reading the JSON of `requests` and what the feedback on one call comes to. Hostile content is
text like any other: what is not a conversation cannot be replayed, and is counted by the caller.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tasks.model.canonical import well_formed
from tasks.model.parameters import read_served
from tasks.model.served import AS_ASKED, Served
from tasks.model.tool_calls import recorded_in

#: with more calls a session id may name an application, and no conversation
MAX_CONVERSATION_CALLS = 100
#: operations of a trace that are not one question to a model
_NOT_QUESTIONS = frozenset(
    {"embeddings", "execute_tool", "create_agent", "invoke_agent", "retrieval"}
)
_TEXT_PARTS = frozenset({"text", "input_text", "output_text"})
_KEPT_KEYS = ("name", "tool_calls", "tool_call_id")


@dataclass(frozen=True, slots=True)
class Signal:
    """One row of feedback."""

    feedback_id: str
    kind: str
    value: float | None = None
    corrected: str | None = None
    given_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the feedback on one call comes to. `thumbs` is the last one given; `audited` the right
    answer as somebody wrote it who was asked, whatever the answer was: no opinion on that."""

    corrected: str | None = None
    thumbs: float | None = None
    incident: bool = False
    audited: str | None = None

    @property
    def is_failure(self) -> bool:
        return self.corrected is not None or self.incident or self.is_disliked

    @property
    def is_written(self) -> bool:
        """Whether somebody wrote down the right answer."""
        return self.corrected is not None or self.audited is not None

    @property
    def is_disliked(self) -> bool:
        return self.thumbs is not None and self.thumbs < 0

    @property
    def is_liked(self) -> bool:
        return self.thumbs is not None and self.thumbs > 0 and not self.incident


NO_OPINION = Opinion()


@dataclass(frozen=True, slots=True)
class Conversation:
    """What to ask again: system text (None: there was none), the messages after it, and what the
    model was told beside them."""

    system: str | None
    messages: tuple[Mapping[str, Any], ...]
    served: Served = AS_ASKED


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """A call that can be asked again. `response` is the text answered, None where there is none;
    `recorded` the same with the calls of tools in it. `step`: its place in its session, from 1 on,
    where sessions are replayed. `of_data_set`: nobody asked it of production. `stands_for`: calls
    of the history, itself among them: 1 / its chance to be read (reading.py)."""

    request_id: str
    conversation: Conversation
    response: str | None = None
    started_at: datetime | None = None
    task: str | None = None
    session_id: str | None = None
    model: str | None = None
    is_error: bool = False
    opinion: Opinion = NO_OPINION
    recorded: str | None = None
    step: int | None = None
    of_data_set: bool = False
    stands_for: float = 1.0

    @property
    def is_failure(self) -> bool:
        return self.is_error or self.opinion.is_failure


def opinion_of(signals: Iterable[Signal]) -> Opinion:
    """The last word counts: later feedback replaces earlier feedback of its kind."""
    corrected, thumbs, incident, audited = None, None, False, None
    for signal in sorted(signals, key=_when):
        if signal.corrected is not None and signal.corrected.strip():
            if signal.kind == "audit":
                audited = signal.corrected
            else:
                corrected = signal.corrected
        if signal.kind == "thumbs" and signal.value is not None:
            thumbs = signal.value
        incident = incident or signal.kind == "incident"
    return Opinion(corrected, thumbs, incident, audited)


def _when(signal: Signal) -> tuple[str, str]:
    return signal.given_at.isoformat() if signal.given_at else "", signal.feedback_id


def is_question(operation: str | None) -> bool:
    return operation not in _NOT_QUESTIONS


def read_conversation(
    messages: str | None, params: str | None = None, model: str | None = None
) -> Conversation | None:
    """The conversation in a JSON text, with what its parameters (JSON text) say; None where there
    is nothing a text model could be asked."""
    value = _parsed(messages)
    if not isinstance(value, list) or not value:
        return None
    return conversation_from(value, read_served(params, value[-1], model))


def conversation_from(value: Iterable[Any], served: Served = AS_ASKED) -> Conversation | None:
    """None when a message is no object, has no role, holds other than text, or none is left."""
    leading: list[str] = []
    messages: list[Mapping[str, Any]] = []
    for said in value:
        message = _message(said)
        if message is None:
            return None
        if not messages and message["role"] in ("system", "developer"):
            leading.append(message["content"])
        else:
            messages.append(message)
    if not any(message["content"].strip() for message in messages):
        return None
    return Conversation("\n\n".join(leading) or None, tuple(messages), served)


def read_response(response: str | None) -> str | None:
    """The text of an answer; None for an empty one, tool calls alone, or other than text."""
    value = _parsed(response)
    if isinstance(value, Mapping):
        value = value.get("content")
    text = _text(value)
    return text if text is not None and text.strip() else None


def read_recorded(response: str | None) -> str | None:
    """Text and calls of tools of an answer; None where there is neither."""
    value = _parsed(response)
    return recorded_in(value) if isinstance(value, Mapping) else read_response(response)


def _parsed(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _message(value: Any) -> dict[str, Any] | None:
    if not isinstance(value, Mapping) or not isinstance(value.get("role"), str):
        return None
    content = _text(value.get("content"))
    if content is None:
        if value.get("content") is not None:
            return None  # an image or a sound: a text model cannot be asked this
        content = ""
    kept = {key: value[key] for key in _KEPT_KEYS if value.get(key) is not None}
    return {"role": value["role"], "content": content, **kept}


def _text(content: Any) -> str | None:
    """A content as one text: a string, or a list of text parts; None for anything else."""
    if isinstance(content, str):
        return well_formed(content)
    if not isinstance(content, list) or not content:
        return None
    texts = []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping) and part.get("type", "text") in _TEXT_PARTS:
            text = part.get("text", part.get("content"))
            if not isinstance(text, str):
                return None
            texts.append(text)
        else:
            return None
    return well_formed("\n".join(texts))
