"""`flywheel audit debt`: what nobody uses, owns or renews.

Only reads, and asks nothing outside this machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from datetime import datetime

from flows.terminal import Table, console, print_json, print_table
from tasks.curate.pins import read_pins
from tasks.debt.defaults import default_settings
from tasks.debt.findings import (
    SIGNALS,
    DeclaredRule,
    Expiry,
    JudgedRows,
    expired_pins,
    judged_rows,
    owners_missing,
    silent_own_rules,
    silent_rules,
    stale_set,
    stale_suites,
    unevaluated_releases,
    unused_suites,
)
from tasks.debt.inputs import DeclaredInput, dead_inputs, undeclared_inputs
from tasks.debt.prompts import unused_prompts
from tasks.errors import UsageError
from tasks.logs.files.log_file import UnreadableLogError
from tasks.logs.files.sources import find_files
from tasks.model.debt import Finding
from tasks.model.urls import is_url, without_password
from tasks.rules.in_force import calls_rules, feedback_rules, samples_rules
from tasks.run import utc_now
from tasks.settings import Settings, find_config, parse_settings, read_settings
from tasks.settings.toml import read_toml
from tasks.store import Store
from tasks.store.control import debt as used
from tasks.store.opening import open_store, store_exists

_COLUMNS = ("what", "which", "evidence", "what to do")


def show_debt(*, days: int, max_age: int, strict: bool, config: str | None, as_json: bool) -> int:
    settings, now = read_settings(config), utc_now()
    opened: AbstractContextManager[Store | None] = (
        open_store(settings, read_only=True) if store_exists(settings) else nullcontext()
    )
    with opened as store:
        rows = _judged_rows(store)
        silent = silent_rules(_rules(settings), rows)
        findings = [
            *_of_store(store, settings, now, days, max_age),
            *silent_own_rules(silent),
            *owners_missing(settings),
            *unused_prompts(settings),
            *_expired(settings, now),
            *_defaults(config),
        ]
    ours = sorted(rule.rule_id for rule, _ in silent if not rule.file)
    num_judged = sum(rows.seen.values())
    if as_json:
        print_json(
            {
                "days": days,
                "max_age": max_age,
                "counts": dict(Counter(one.kind for one in findings)),
                "findings": [asdict(one) for one in findings],
                "silent_built_in_rules": ours,
                "num_judged": num_judged,
            }
        )
    else:
        _show(findings, ours, num_judged)
    return int(strict and bool(findings))


def _show(findings: list[Finding], ours: list[str], num_judged: int) -> None:
    if findings:
        rows = [
            (one.kind.replace("_", " "), one.subject, one.evidence, one.next) for one in findings
        ]
        print_table(console(), Table(_COLUMNS, rows, texts=_COLUMNS))
    print(
        f"{len(findings):,} found" if findings else "nothing is unused, stale or without an owner"
    )
    if ours:
        print(
            f"{len(ours):,} built-in rules found nothing in {num_judged:,} judged rows, which is "
            "as it should be: --json names them"
        )


def _judged_rows(store: Store | None) -> JudgedRows:
    if store is None:
        return JudgedRows({}, {})
    return judged_rows(
        used.judging_receipts(store), used.also_failed(store), used.judged_samples(store)
    )


def _of_store(
    store: Store | None, settings: Settings, now: datetime, days: int, max_age: int
) -> Iterator[Finding]:
    """What is declared beside what was used; where there is no store nothing was."""
    yield from unused_suites(
        settings.suites, {} if store is None else used.last_judged(store), now, days
    )
    if store is not None:
        newest = used.newest_samples(store)
        yield from stale_suites(settings.suites, newest, now, max_age)
        yield from stale_set(used.newest_set(store), now, max_age)
    else:
        yield from stale_suites(settings.suites, {}, now, max_age)
    evaluated = {} if store is None else used.evaluated_releases(store)
    yield from unevaluated_releases(settings, evaluated)
    declared = [_declared_input(settings, pattern) for pattern in settings.logs]
    read = [] if store is None else used.read_files(store)
    yield from dead_inputs(declared, read, now, days)
    yield from undeclared_inputs(declared, read)


def _declared_input(settings: Settings, pattern: str) -> DeclaredInput:
    """The files of a folder or pattern of this machine; of an address none is asked for."""
    if is_url(pattern):
        shown = without_password(pattern)
        return DeclaredInput(shown, shown, None)
    path = str(settings.path(pattern))
    try:
        files = tuple(file.source for file in find_files([path], settings.home_path).files)
    except UnreadableLogError as error:
        files = (error.received,)
    except UsageError:
        files = ()
    return DeclaredInput(pattern, path, files)


def _rules(settings: Settings) -> list[DeclaredRule]:
    """Those that judge row by row. One on a batch as a whole stops the run that it finds something
    in, which then has no receipt."""
    declared = []
    for rule_set in (calls_rules(settings), feedback_rules(settings), samples_rules(settings)):
        judged_by = SIGNALS if rule_set.name == SIGNALS else rule_set.version
        declared += [
            DeclaredRule(rule.id, rule.origin, judged_by)
            for rule in rule_set.rules
            if rule.severity != "batch"
        ]
    return declared


def _expired(settings: Settings, now: datetime) -> Iterator[Finding]:
    pins = [
        Expiry(pin.request_id, pin.owner, pin.expires, pin.where)
        for pin in read_pins(settings)
        if pin.expires is not None
    ]
    yield from expired_pins(pins, now.date())


def _defaults(config: str | None) -> Iterator[Finding]:
    """Of the file alone: what the environment says may well be the default."""
    path = find_config(config)
    if path is None:
        return
    text = path.read_text(encoding="utf-8")
    values = read_toml(text)
    settings = parse_settings(values, base=str(path.parent), name=path.name)
    yield from default_settings(settings, values, text, path.name)
