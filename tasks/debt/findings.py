"""What nobody uses, owns or renews, as far as store and settings tell.

The list of 'Hidden Technical Debt in Machine Learning Systems' (Sculley et al., 2015). Pure: values
in, findings out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from tasks.model.debt import Finding
from tasks.model.receipt import Receipt
from tasks.settings import Settings, SuiteSettings

#: in the place of a version: all feedback that was judged
SIGNALS = "feedback"


def unused_suites(
    suites: Iterable[str], last_judged: Mapping[str, datetime], now: datetime, days: int
) -> Iterator[Finding]:
    for name in suites:
        at = last_judged.get(name)
        if at is None or (now - at).days >= days:
            yield Finding(
                "unused_suite",
                name,
                "no run has judged it" if at is None else f"last judged on {at:%Y-%m-%d}",
                None if at is None else f"{at:%Y-%m-%d}",
                f"have a run judge it, or take [suites.{name}] out",
            )


def stale_suites(
    suites: Mapping[str, SuiteSettings],
    newest_samples: Mapping[str, datetime],
    now: datetime,
    max_age: int,
) -> Iterator[Finding]:
    """Of one whose owner has set a day of review that day counts, of others the newest sample."""
    for name, suite in suites.items():
        newest = newest_samples.get(name)
        if suite.review_by is not None:
            if suite.review_by <= now.date():
                yield Finding(
                    "stale_suite",
                    name,
                    f"was to be reviewed by {suite.review_by}",
                    suite.review_by.isoformat(),
                    f"{suite.owner or 'somebody'} looks at it and sets another review_by",
                )
        elif newest is not None and (now - newest).days >= max_age:
            yield Finding(
                "stale_suite",
                name,
                f"its newest sample is of {newest:%Y-%m-%d}",
                f"{newest:%Y-%m-%d}",
                "flywheel suite coverage tells what production asks by now; or set review_by",
            )


def stale_set(
    newest: tuple[str, datetime] | None, now: datetime, max_age: int
) -> Iterator[Finding]:
    if newest is not None and (now - newest[1]).days >= max_age:
        digest, made_at = newest
        yield Finding(
            "stale_set",
            digest,
            f"the eval set in use was made on {made_at:%Y-%m-%d}",
            f"{made_at:%Y-%m-%d}",
            "flywheel run with newer logs",
        )


def owners_missing(settings: Settings) -> Iterator[Finding]:
    declared = [("suites", name, suite.owner) for name, suite in settings.suites.items()]
    declared += [("guardrails", name, part.owner) for name, part in settings.guardrails.items()]
    for section, name, owner in declared:
        if not owner.strip():
            yield Finding(
                "no_owner",
                f"{section}.{name}",
                "nobody answers for it",
                None,
                f'owner = "NAME" under [{section}.{name}]',
            )


@dataclass(frozen=True, slots=True)
class JudgedRows:
    """`fired`: rule → rows it found, over all runs. `seen`: version of a set of rules → rows that
    were judged by it; of feedback no run tells the version."""

    fired: Mapping[str, int]
    seen: Mapping[str, int]


def judged_rows(
    receipts: Iterable[Receipt], also_failed: Mapping[str, int], samples: Mapping[str, int]
) -> JudgedRows:
    """`also_failed`: rule → rows that are counted under another rule; `samples`: version of the
    rules on samples → samples."""
    fired, seen = Counter(also_failed), Counter(samples)
    for receipt in receipts:
        signals = receipt.notes.get("feedback") or {}
        for counts in (receipt.notes, signals):
            fired.update(counts.get("by_reason") or {})
            fired.update(counts.get("warnings") or {})
        if receipt.stage == "validate":
            seen[str(receipt.notes.get("suite_version"))] += receipt.rows_in
            seen[SIGNALS] += int(signals.get("rows_in") or 0)
    return JudgedRows(fired, seen)


@dataclass(frozen=True, slots=True)
class DeclaredRule:
    """A rule in force. `file` is empty for one of ours; `judged_by`: what `JudgedRows.seen` calls
    the rows that it was asked about."""

    rule_id: str
    file: str
    judged_by: str


def silent_rules(rules: Sequence[DeclaredRule], rows: JudgedRows) -> list[tuple[DeclaredRule, int]]:
    """Rules that found nothing in any run, with how many rows they saw; what was asked about no
    row has said nothing yet."""
    return [
        (rule, seen)
        for rule in rules
        if not rows.fired.get(rule.rule_id) and (seen := rows.seen.get(rule.judged_by, 0))
    ]


def silent_own_rules(silent: Iterable[tuple[DeclaredRule, int]]) -> Iterator[Finding]:
    """Ours stay whatever they find, and cannot be taken out."""
    for rule, seen in silent:
        if rule.file:
            yield Finding(
                "silent_rule",
                f"{rule.file}: {rule.rule_id}",
                f"found nothing in {seen:,} rows",
                seen,
                "see with a bad row that it can find one; else sharpen it or take it out",
            )


def unevaluated_releases(settings: Settings, evaluated: Iterable[str]) -> Iterator[Finding]:
    """Those that judge are asked by the suites they judge."""
    used = {*evaluated, *(judge.release for judge in settings.judges.values())}
    for name in settings.releases:
        if name not in used:
            yield Finding(
                "unevaluated_release",
                name,
                "no run has evaluated it",
                None,
                f"flywheel run --challenger {name}, or take [releases.{name}] out",
            )


@dataclass(frozen=True, slots=True)
class Expiry:
    """A pin that has a last day."""

    request_id: str
    owner: str
    expires: date
    where: str


def expired_pins(pins: Iterable[Expiry], today: date) -> Iterator[Finding]:
    for pin in pins:
        if pin.expires < today:
            yield Finding(
                "expired_pin",
                pin.request_id,
                f"holds no more since {pin.expires} ({pin.where})",
                pin.expires.isoformat(),
                f"{pin.owner or 'somebody'} renews it or removes the line",
            )
