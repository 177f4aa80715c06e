"""What people said of answers: from a file of labels, or from feedback on logged calls.

    {"input": "text", "answer": "text", "label": 4}    on its scale, or true/false
    {"messages": […], "answer": "text", "target": "text", "label": true}
    {"input": "text", "answer_a": "text", "answer_b": "text", "label": "a"}    or b, tie

`by`, `at`, `why`, `id` and `comment` are for people and are not read. The same answer labelled by
several people counts once, with the mean of what they said.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import UsageError, did_you_mean
from tasks.json_lines import numbered
from tasks.judges.asked import Item, conversation
from tasks.model.canonical import well_formed
from tasks.model.logged_call import LoggedCall, conversation_from
from tasks.settings import JudgeKind

_OF_ONE, _OF_PAIR = ("answer", "target"), ("answer_a", "answer_b")
_KEYS = ("input", "messages", "label", "by", "at", "why", "id", "comment")
_PAIR_LABELS = {"a": 0.0, "tie": 0.5, "b": 1.0}


@dataclass(frozen=True, slots=True)
class Label:
    """`value` in 0 to 1, of a pair for its second answer."""

    item: Item
    value: float


def read_labels(
    path: Path, judge: str, kind: JudgeKind, scale: tuple[int, int]
) -> tuple[Label, ...]:
    """Raises UsageError that names the first wrong line."""
    labels = []
    for line in label_lines(path, judge, kind, scale):
        if isinstance(line, UsageError):
            raise line
        labels.append(line)
    return merged(labels)


def label_lines(
    path: Path, judge: str, kind: JudgeKind, scale: tuple[int, int]
) -> Iterator[Label | UsageError]:
    """Every line of a file as a label, or as what is wrong with it."""
    try:
        data = path.read_bytes()
    except OSError as error:
        yield UsageError(
            f"the labels of judge {judge!r} cannot be read: {error.strerror}",
            received=str(path),
            allowed="a file of JSON lines",
            next=f"correct judges.{judge}.labels in flywheel.toml",
        )
        return
    is_empty = True
    for number, line in numbered(data):
        is_empty = False
        try:
            yield _label(line, kind, scale)
        except ValueError as error:
            yield UsageError(
                f"a label of judge {judge!r} cannot be used: {error}",
                received=f"{path}:{number}",
                allowed=_allowed(kind, scale),
                next="fix that line",
            )
    if is_empty:
        yield UsageError(
            f"the file with the labels of judge {judge!r} is empty",
            received=str(path),
            allowed=_allowed(kind, scale),
            next=f"add labels, or remove judges.{judge}.labels",
        )


def labels_of_calls(calls: Iterable[LoggedCall], task: str | None = None) -> tuple[Label, ...]:
    """Thumbs and corrections on logged answers, newest first: a correction or a thumb down says
    that the answer is wrong. `task`: of that prompt alone. An audit is no opinion on the answer."""
    found = [
        (call, 0.0 if call.opinion.is_failure else 1.0)
        for call in calls
        if call.response is not None
        and not call.is_error
        and (task is None or call.task == task)
        and (call.opinion.is_failure or call.opinion.is_liked)
    ]
    found.sort(key=lambda one: (str(one[0].started_at or ""), one[0].request_id), reverse=True)
    return merged(
        Label(Item(_asked(call.conversation.system, call.conversation.messages), (text,)), value)
        for call, value in found
        if (text := call.response) is not None
    )


def merged(labels: Iterable[Label]) -> tuple[Label, ...]:
    """Every item once, in the order of its first label, with the mean of its labels."""
    values: dict[Item, list[float]] = {}
    for label in labels:
        values.setdefault(label.item, []).append(label.value)
    return tuple(Label(item, sum(said) / len(said)) for item, said in values.items())


def _asked(system: str | None, messages: Sequence[Mapping[str, Any]]) -> str:
    return conversation([*([{"role": "system", "content": system}] if system else []), *messages])


def _label(line: bytes, kind: JudgeKind, scale: tuple[int, int]) -> Label:
    try:
        record = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON: {error}") from None
    if not isinstance(record, dict):
        raise ValueError("it is not an object")
    own = _OF_PAIR if kind == "pairwise" else _OF_ONE
    known = (*_KEYS, *own)
    for key in record:
        if key not in known:
            raise ValueError(f"unknown key {key!r}{did_you_mean(key, known)}")
    names = _OF_PAIR if kind == "pairwise" else _OF_ONE[:1]
    answers = tuple(_text(record, name) for name in names)
    target = _text(record, "target") if kind == "reference" else ""
    return Label(Item(_question(record), answers, target), _value(record, kind, scale))


def _question(record: Mapping[str, Any]) -> str:
    if ("input" in record) == ("messages" in record):
        raise ValueError("it has `input` or `messages`, one of both")
    if "input" in record:
        return _text(record, "input")
    listed = record["messages"]
    asked = conversation_from(listed) if isinstance(listed, list) else None
    if asked is None:
        raise ValueError("`messages` is no conversation")
    return _asked(asked.system, asked.messages)


def _text(record: Mapping[str, Any], key: str) -> str:
    value = record.get(key)
    if not isinstance(value, str):
        raise ValueError(f"`{key}` is {'missing' if value is None else 'not a text'}")
    return well_formed(value)


def _value(record: Mapping[str, Any], kind: JudgeKind, scale: tuple[int, int]) -> float:
    label = record.get("label")
    if kind == "pairwise":
        if not isinstance(label, str) or label.lower() not in _PAIR_LABELS:
            raise ValueError(f"`label` is {label!r}"[:120])
        return _PAIR_LABELS[label.lower()]
    low, high = scale
    if isinstance(label, bool):
        return float(label)
    if not isinstance(label, int | float) or not low <= label <= high:
        raise ValueError(f"`label` is {label!r}"[:120])
    return (label - low) / (high - low)


def _allowed(kind: JudgeKind, scale: tuple[int, int]) -> str:
    if kind == "pairwise":
        return (
            'JSON lines {"input": "…", "answer_a": "…", "answer_b": "…", "label": "a"}, or b, tie'
        )
    more = ', "target": "…"' if kind == "reference" else ""
    what = f"true, false or {scale[0]} to {scale[1]}"
    return f'JSON lines {{"input": "…", "answer": "…"{more}, "label": …}}, label: {what}'
