"""What an ingest met besides calls, and how much of the history was read, in words, for terminal,
Markdown and page alike. Pure: of the notes of receipts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from os.path import commonprefix
from typing import Any

from tasks.model.reading import KINDS
from tasks.model.receipt import Receipt

_MAX_KEYS = 8
_UNREAD_SQL = "flywheel sql \"select source, error from dead_letters where format = 'unknown'\""


def unread(receipt: Receipt) -> tuple[str, ...]:
    """First how many files no format recognised and the way out, then each file with its reason."""
    told = receipt.notes.get("unrecognised")
    if not told:
        return ()
    new = "" if told["num_new"] == told["num"] else f" ({told['num_new']:,} of them new)"
    files = f"{told['num']:,} of {receipt.notes.get('files', 0):,} files{new}"
    names = _short(each["file"] for each in told["files"])
    more = told["num"] - len(told["files"])
    return (
        f"{files}, which no format recognises; {told['next']} reads one as what you say it is",
        *(f"{names[each['file']]}: {each['reason']}" for each in told["files"]),
        *([f"and {more:,} more: {_UNREAD_SQL}"] if more else ()),
    )


def read_in_part(reading: Mapping[str, Any] | None) -> str:
    """Of `Reading.to_json`: how many calls were read, kind by kind; empty where all were."""
    if not reading:
        return ""
    parts = []
    for kind in KINDS:
        groups = [group for group in reading["groups"] if group["kind"] == kind]
        if groups:
            read, there = (
                sum(group[name] for group in groups) for name in ("num_read", "num_calls")
            )
            low, high = (f(group["chance"] for group in groups) for f in (min, max))
            chance = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
            parts.append(f"{kind} {read:,} of {there:,} (chance {chance})")
    return (
        f"{reading['num_read']:,} of {reading['num_calls']:,} calls of the history were read, each "
        f"stands for 1 / its chance: {', '.join(parts)}; [curate] max_calls"
    )


def without_calls(receipt: Receipt) -> str:
    """Files that were read and hold no call; empty where there are none."""
    told = receipt.notes.get("without_calls")
    if not told:
        return ""
    names = _short(told["files"])
    named = [f"{names[path]} ({name})" for path, name in list(told["files"].items())[:3]]
    more = f" and {told['num'] - len(named):,} more" if told["num"] > len(named) else ""
    return f"{', '.join(named)}{more}: read, and no call in it"


def unread_keys(receipt: Receipt) -> tuple[str, ...]:
    """Of each file the keys that mean nothing to us, the most frequent first."""
    by_file: dict[str, dict[str, int]] = receipt.notes.get("unread_keys", {})
    names = _short(by_file)
    more = receipt.notes.get("num_files_with_unread_keys", len(by_file)) - len(by_file)
    return (
        *(_keys_of(names[path], keys) for path, keys in by_file.items()),
        *([f"and of {more:,} more files"] if more else ()),
    )


def sessions(receipt: Receipt) -> str:
    """Conversations and tools of the new calls; empty where they tell of none."""
    told: dict[str, Any] = receipt.notes.get("sessions", {})
    return "; ".join(_of_sessions(told)) if told else ""


def _of_sessions(told: dict[str, Any]) -> Iterator[str]:
    if told["num_sessions"]:
        yield (
            f"{_number(told['num_sessions'], 'session')} with {told['median_calls']:,g} calls in "
            f"the median and {told['max_calls']:,} at most"
        )
    if told["num_tool_calls"] or told["num_tool_results"]:
        failed = f", of which {told['num_tool_errors']:,} say that they failed"
        yield (
            f"{_number(told['num_tool_calls'], 'tool call')} and "
            f"{_number(told['num_tool_results'], 'tool result')}"
            f"{failed if told['num_tool_results'] else ''}"
        )


def _keys_of(name: str, keys: dict[str, int]) -> str:
    ordered = sorted(keys.items(), key=lambda item: (-item[1], item[0]))
    named = ", ".join(f"{key} ({number:,})" for key, number in ordered[:_MAX_KEYS])
    more = f" and {len(ordered) - _MAX_KEYS} more" if len(ordered) > _MAX_KEYS else ""
    return f"{name}: keys not understood: {named}{more}; they are kept as tags"


def _number(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _short(paths: Iterable[str]) -> dict[str, str]:
    """Paths and addresses without the folder that all of them are in."""
    listed = list(paths)
    common = commonprefix(listed).rpartition("/")[0]  # noqa: RUF071 - cut at a slash
    return {path: path[len(common) + 1 :] if common else path for path in listed}
