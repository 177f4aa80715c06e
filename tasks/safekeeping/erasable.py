"""What of a state folder is of a person, or of one call: found, and counted.

Calls by id and user, and later calls of their conversations that repeat what was said in them;
what was said of those calls, held rows, letters; samples made of them, and what stood on those.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tasks.logs.files.log_file import STDIN_PREFIX, spool_folder
from tasks.model.logged_call import MAX_CONVERSATION_CALLS
from tasks.safekeeping.searching import MIN_TEXT_CHARS, Search
from tasks.store import Store
from tasks.store.control import erasures
from tasks.store.evals import erasing as evals
from tasks.store.held import erasing as held
from tasks.store.held.erasing import FoundLetter, HeldRow
from tasks.store.intake import erasing as intake
from tasks.store.intake.erasing import FoundCall, FoundSignal, Report

_STDIN = "stdin:"
#: members of a message that hold a word of a list, or an id
_NO_TEXTS = frozenset({"role", "type", "id", "tool_call_id", "name"})


@dataclass(frozen=True, slots=True)
class Found:
    """`request_ids`: of calls, and of held rows and reports that are of nobody else's call.
    `num_repeating`: of the calls, those that only repeat another. `sets`: eval set → samples of
    it that go. `sealed`: held rows of which nobody knows whose they are. `since`: when the first
    of the calls came in."""

    request_ids: frozenset[str]
    calls: tuple[FoundCall, ...]
    num_repeating: int
    reports: tuple[Report, ...]
    signals: tuple[FoundSignal, ...]
    held: tuple[HeldRow, ...]
    letters: tuple[FoundLetter, ...]
    samples: tuple[str, ...]
    answers: evals.Answers
    sets: Mapping[str, int]
    runs: tuple[str, ...]
    sealed: int
    since: datetime | None

    @property
    def anything(self) -> bool:
        return bool(self.calls or self.signals or self.held or self.letters or self.samples)

    @property
    def counts(self) -> dict[str, int]:
        """Rows by kind."""
        return {
            "calls": len(self.calls),
            "repeating_calls": self.num_repeating,
            "merged_reports": len(self.reports),
            "feedback": len(self.signals),
            "held_rows": len(self.held),
            "dead_letters": len(self.letters),
            "samples": len(self.samples),
            "completions": self.answers.completions,
            "scores": self.answers.scores,
            "judgements": self.answers.judgements,
        }

    @property
    def log_lines(self) -> list[str]:
        """FILE:LINE of logs that held it, which are not ours to change; without what was piped
        in."""
        places = {place for call in self.calls for place in call.places}
        places |= {signal.place for signal in self.signals}
        places |= {place for row in self.held for place in row.places}
        places |= {letter.place for letter in self.letters}
        return sorted(place for place in places if not place.startswith(_STDIN))


def find(
    store: Store,
    request_ids: Collection[str],
    users: Collection[str],
    safe_id: Callable[[str], str],
    written_from: Callable[[Collection[str]], Collection[str]],
) -> tuple[Found, Search]:
    """All there is, and what tells the same in files."""
    calls = intake.find_calls(store, request_ids, users)
    repeating = _repeating(store, calls)
    calls += repeating
    ids = {*request_ids, *(call.request_id for call in calls)}
    ids |= _ids_of_held(store, ids, users)
    reports = intake.find_reports(store, ids)
    ids |= {report.request_id for report in reports}
    signals = intake.find_signals(store, ids, users)
    rows = held.find_rows(store, ids, users)
    letters = held.find_letters(store, Search(ids, users, safe_id=safe_id).holds)
    corrected = [
        (signal.request_id, signal.corrected) for signal in signals if signal.corrected is not None
    ]
    samples = evals.find_samples(store, ids, written_from(ids), corrected)
    sets = evals.sets_with(store, samples)
    runs = erasures.runs_on(store, sets)
    since = min((call.ingested_at for call in calls), default=None)
    answers = evals.count_answers(store, samples, runs, since)
    found = Found(
        request_ids=frozenset(ids),
        calls=tuple(calls),
        num_repeating=len(repeating),
        reports=tuple(reports),
        signals=tuple(signals),
        held=tuple(rows),
        letters=tuple(letters),
        samples=tuple(samples),
        answers=answers,
        sets=sets,
        runs=tuple(runs),
        sealed=held.num_sealed(store),
        since=since,
    )
    said = [text for call in calls for text in _said(call) if len(text) >= MIN_TEXT_CHARS]
    said += (
        text
        for signal in signals
        for text in (signal.comment, signal.corrected)
        if text is not None and len(text) >= MIN_TEXT_CHARS
    )
    return found, Search(ids, users, said, safe_id)


def piped_logs(home: Path) -> list[Path]:
    """Copies of standard input that nobody has read yet."""
    return sorted(spool_folder(home).glob(f"{STDIN_PREFIX}*"))


def _ids_of_held(store: Store, ids: Collection[str], users: Collection[str]) -> set[str]:
    """Of held calls of these users: those that no call of somebody else has, too."""
    rows = held.find_rows(store, (), users)
    found = {row.request_id for row in rows if row.feedback_id is None and row.request_id}
    others = {call.request_id for call in intake.find_calls(store, found, ())}
    return {request_id for request_id in found if request_id in ids or request_id not in others}


def _repeating(store: Store, calls: Sequence[FoundCall]) -> list[FoundCall]:
    """Other calls of the same conversations whose history has what these asked or answered."""
    own: dict[str, set[str]] = {}
    for call in calls:
        if call.session_id is not None:
            said = own.setdefault(call.session_id, set())
            said |= {text for text in _said(call) if len(text) >= MIN_TEXT_CHARS}
    known = {(call.request_id, call.content_digest) for call in calls}
    return [
        call
        for call in intake.calls_of_sessions(store, own, MAX_CONVERSATION_CALLS)
        if (call.request_id, call.content_digest) not in known
        and not own[call.session_id or ""].isdisjoint(_texts(_parsed(call.messages)))
    ]


def _said(call: FoundCall) -> Iterator[str]:
    """What the call adds to its conversation: all behind the last answer before it, and its own
    answer. System messages are of the application."""
    messages = _parsed(call.messages)
    added: list[Any] = []
    for message in messages if isinstance(messages, list) else [messages]:
        role = message.get("role") if isinstance(message, dict) else None
        if role == "assistant":
            added = []
        elif role != "system":
            added.append(message)
    yield from _texts(added)
    yield from _texts(_parsed(call.response))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name not in _NO_TEXTS:
                yield from _texts(item)


def _parsed(text: str | None) -> Any:
    try:
        return json.loads(text or "null")
    except (ValueError, RecursionError):
        return text
