"""Pinned calls: calls of production that every release from now on must get right.

Owns the file they are kept in, beside flywheel.toml for people to read, change and review: a line a
call, as in a suite file, with whose it is and until when it holds.

    {"suite": "route", "messages": [{"role": "user", "content": "…"}], "target": "billing",
     "request_id": "…", "why": "lost a customer", "owner": "support", "expires": "2027-03-01",
     "pinned_at": "2026-11-30"}

A pin blocks and is not counted: somebody chose it for what went wrong, so in an estimate it would
tilt what the others say of production.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from tasks.curate.evalset import Draft
from tasks.curate.lines import line_of_call
from tasks.curate.modes import mode_of
from tasks.curate.suites import KEYS as SUITE_KEYS
from tasks.curate.suites import drafts_of
from tasks.errors import UsageError, did_you_mean
from tasks.json_lines import append_line, bad_line, read_lines, refuse_unknown, text_of
from tasks.model.logged_call import LoggedCall
from tasks.model.sample import PINNED
from tasks.settings import Settings

WHAT = "a pin"
_OWN = ("suite", "request_id", "why", "owner", "expires", "pinned_at")


@dataclass(frozen=True, slots=True)
class Pin:
    """`where`: file and line. `expires`: the last day it holds; None: for ever."""

    draft: Draft
    request_id: str
    why: str
    owner: str
    expires: date | None
    where: str

    def holds_on(self, day: date) -> bool:
        return self.expires is None or day <= self.expires


def pins_path(settings: Settings) -> Path:
    return settings.path(settings.curate.pins)


def read_pins(settings: Settings) -> tuple[Pin, ...]:
    """All of them, those that have expired too. Raises UsageError that names a wrong line."""
    pins: list[Pin] = []
    places: dict[tuple[str, str], str] = {}
    for where, record in read_lines(pins_path(settings), WHAT):
        pin = _pin(record, where, settings)
        if pin.draft.sample_id in {other.draft.sample_id for other in pins}:
            first = places[pin.draft.suite, pin.request_id]
            raise bad_line("a call is pinned twice", where, first, "each call once a suite")
        places[pin.draft.suite, pin.request_id] = where
        pins.append(pin)
    return tuple(pins)


def add_pin(
    settings: Settings,
    call: LoggedCall,
    *,
    suite: str,
    target: str,
    why: str,
    owner: str,
    expires: date | None,
    today: date,
) -> Pin:
    """Pin a call, of which the texts are masked already. Raises UsageError where it is pinned."""
    path = pins_path(settings)
    record = {
        "suite": suite,
        **line_of_call(call),
        "target": target,
        "request_id": call.request_id,
        "why": why,
        **({"owner": owner} if owner else {}),
        **({"expires": expires.isoformat()} if expires else {}),
        "pinned_at": today.isoformat(),
    }
    pin = _pin(record, str(path), settings)
    for other in read_pins(settings):
        if (other.draft.suite, other.request_id) == (suite, call.request_id):
            raise UsageError(
                "the call is pinned already",
                received=f"{call.request_id} in {other.where}",
                next="change or remove that line",
            )
    append_line(path, record)
    return pin


def _pin(record: Mapping[str, Any], where: str, settings: Settings) -> Pin:
    refuse_unknown(record, (*SUITE_KEYS, *_OWN), where, WHAT)
    suite = text_of(record, "suite", where, WHAT)
    if suite not in settings.suites:
        hint = did_you_mean(suite or "", settings.suites)
        raise bad_line(
            f"a pin is of no suite that is declared{hint}",
            where,
            suite or "no suite",
            ", ".join(settings.suites) or "none: declare [suites.NAME]",
        )
    if not settings.suites[suite].takes_calls:
        how = f"suites.{suite} has mode or template of its own"
        raise bad_line("a pin is an answered chat, and this suite has none", where, how, "another")
    if "session" in record:
        raise bad_line("a pin is one call, no session", where, "session", "a suite line")
    declared = settings.suites[suite]
    (draft,) = drafts_of(record, suite, declared.task or suite, where, mode_of(declared))
    return Pin(
        draft=replace(
            draft,
            origin=PINNED,
            must_pass=True,
            is_counted=False,
            slices={**draft.slices, "origin": PINNED, "task": draft.task or ""},
        ),
        request_id=text_of(record, "request_id", where, WHAT) or "",
        why=text_of(record, "why", where, WHAT) or "",
        owner=text_of(record, "owner", where, WHAT) or "",
        expires=_day(record, where),
        where=where,
    )


def _day(record: Mapping[str, Any], where: str) -> date | None:
    text = text_of(record, "expires", where, WHAT)
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise bad_line("the day a pin expires is none", where, repr(text), "2027-03-01") from None
