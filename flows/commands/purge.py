"""`flywheel purge`: raw bytes and calls that were kept long enough leave the state folder, now."""

from __future__ import annotations

from flows.terminal import console, print_json, print_pairs
from flows.turn import hold
from tasks.errors import UsageError
from tasks.run import raw_key, utc_now
from tasks.safekeeping.purge import Purged, purge
from tasks.settings import Settings, read_settings


def purge_now(
    older_than: float | None, *, everything: bool, dry_run: bool, config: str | None, as_json: bool
) -> int:
    settings = read_settings(config)
    days = _days(settings, older_than, everything=everything)
    with hold(settings):
        done = purge(
            settings,
            raw_key(settings),
            utc_now(),
            raw_days=days,
            kept_days=0.0,
            always_compact=True,
            dry_run=dry_run,
        )
    if as_json:
        print_json({"older_than_days": days, "dry_run": dry_run, **done.to_dict()})
    else:
        print_pairs(console(), _told(done, days, settings, dry_run=dry_run))
    return 0


def _days(settings: Settings, older_than: float | None, *, everything: bool) -> float | None:
    if everything and older_than is not None:
        raise UsageError("both --all and --older-than were said", allowed="one of them")
    if everything:
        return 0.0
    retention = settings.retention
    if older_than is None and not (retention.raw_days or retention.calls_days):
        raise UsageError(
            "nothing says how old is old enough",
            received="raw_days = 0 and calls_days = 0 in [retention]",
            next="flywheel purge --older-than DAYS, or --all",
        )
    return (retention.raw_days or None) if older_than is None else older_than


def _told(
    done: Purged, days: float | None, settings: Settings, *, dry_run: bool
) -> list[tuple[str, str]]:
    would, leave = ("would lose", "would go") if dry_run else ("lost", "went")
    told = [
        ("older than", _age(days)),
        ("dead letters", f"{done.dead_letters:,} {would} their raw bytes"),
        ("quarantined rows", f"{done.quarantined:,} {would} their raw bytes"),
        ("calls", _calls(done.calls, settings.retention.calls_days, leave)),
        ("piped-in logs", f"{done.piped_logs:,} not read in that time"),
        ("copies of the store", ", ".join(done.copies) or "none"),
    ]
    if not dry_run:
        size = f"{done.bytes_before:,} bytes before, {done.bytes_after:,} after compaction"
        told.append(("store", size))
    if done.other_keys:
        told.append(("sealed", f"{done.other_keys:,} rows under a key that is not here"))
    told.append(("not looked at", "backups and log files elsewhere, which hold what they held"))
    return told


def _age(days: float | None) -> str:
    if days is None:
        return "never ([retention] raw_days = 0)"
    return f"{days:g} days" if days else "now: whatever its age"


def _calls(num: int, days: float, leave: str) -> str:
    if not days:
        return "kept for ever ([retention] calls_days = 0)"
    return f"{num:,} {leave}: in the store for more than {days:g} days, and no sample made of them"
