"""`flywheel pin`: a call of production that every release from now on must get right."""

from __future__ import annotations

from datetime import UTC, datetime

from flows.said import last_day
from flows.terminal import Table, console, print_json, print_table
from tasks.curate.pins import Pin, add_pin, pins_path, read_pins
from tasks.curate.task import read_suites, target_resolver
from tasks.errors import UsageError
from tasks.model.logged_call import LoggedCall
from tasks.model.visible import one_line
from tasks.privacy.masking import Redactor
from tasks.settings import Settings, read_settings
from tasks.store import Store
from tasks.store.control.pseudonym_key import pseudonym_key
from tasks.store.evals.logged_calls import find_questions
from tasks.store.opening import open_store

_COLUMNS = ("call", "suite", "why", "owner", "expires")
_MAX_LISTED = 3
_MAX_FOUND = 1000


def pin(
    request_id: str,
    *,
    why: str,
    owner: str,
    expires: str,
    suite: str,
    target: str,
    config: str | None,
    as_json: bool,
) -> int:
    """Of no call: list the pins."""
    settings = read_settings(config)
    if not request_id:
        return _list(settings, as_json)
    if not why.strip():
        raise UsageError("a pin needs a reason, for whoever meets it later", next="--why 'TEXT'")
    today = datetime.now(UTC).date()
    day = last_day(expires, today, "pin") if expires else None
    with open_store(settings, read_only=True) as store:
        call = _call(store, request_id)
    resolver = target_resolver(settings, read_suites(settings), use_logged=False)
    found = resolver.suite_of(call)
    suite = suite or found or ""
    if suite not in settings.suites:
        raise UsageError(
            "it is not known which suite asks such a call",
            received=f"task {call.task!r}" + (f", --suite {suite}" if suite else ""),
            allowed=", ".join(settings.suites) or "none: declare [suites.NAME]",
            next="--suite NAME",
        )
    known = resolver.resolve(call)
    text = masked(settings, target) if target else "" if known is None else known.text
    if not text:
        raise UsageError(
            "nobody has said what the right answer to the call is",
            received=request_id,
            next="--target 'TEXT'",
        )
    added = add_pin(
        settings,
        call,
        suite=suite,
        target=text,
        why=masked(settings, why),
        owner=owner or settings.suites[suite].owner,
        expires=day,
        today=today,
    )
    path = pins_path(settings)
    if as_json:
        print_json({**_to_object(added), "file": str(path)})
    else:
        print(one_line(f"pinned in suite {suite}: a release that fails {request_id} is blocked"))
        until = f" · holds until {day}" if day else ""
        print(one_line(f"{path}{until} · next: flywheel run"))
    return 0


def _call(store: Store, request_id: str) -> LoggedCall:
    """The call of this id, or the only one whose id begins so."""
    found = find_questions(store, request_id, _MAX_FOUND)
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(call.request_id for call in found[:_MAX_LISTED])
        number = f"{len(found):,}{' or more' if len(found) == _MAX_FOUND else ''}"
        raise UsageError(
            f"{number} calls have an id that begins so", received=request_id, allowed=shown
        )
    raise UsageError(
        "no call of the store that can be asked again has this id",
        received=request_id,
        next='flywheel sql "SELECT request_id, messages FROM requests" shows them',
    )


def masked(settings: Settings, text: str) -> str:
    """As the texts of the call are: the file is made to be handed on."""
    section = settings.redact
    key = pseudonym_key(settings.home_path)
    return Redactor(section.kinds, key, section.person_model).text(text)


def _list(settings: Settings, as_json: bool) -> int:
    pins = read_pins(settings)
    today = datetime.now(UTC).date()
    if as_json:
        print_json({"pins": [{**_to_object(p), "holds": p.holds_on(today)} for p in pins]})
        return 0
    if not pins:
        print("no call is pinned · next: flywheel pin REQUEST_ID --why 'TEXT'")
        return 0
    rows = [
        (p.request_id, p.draft.suite, p.why, p.owner,
         "" if p.expires is None else f"{p.expires}{'' if p.holds_on(today) else ' (expired)'}")
        for p in pins
    ]  # fmt: skip
    print_table(console(), Table(_COLUMNS, rows, texts=_COLUMNS))
    return 0


def _to_object(pin: Pin) -> dict[str, object]:
    return {
        "request_id": pin.request_id,
        "suite": pin.draft.suite,
        "target": pin.draft.target,
        "why": pin.why,
        "owner": pin.owner,
        "expires": None if pin.expires is None else pin.expires.isoformat(),
        "where": pin.where,
    }
