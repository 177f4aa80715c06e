"""Items of a suite in one TOML file, as lines of a suite; what a line may be is for suites.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, time
from pathlib import Path
from typing import Any

from tasks.errors import UsageError
from tasks.json_lines import bad_line
from tasks.settings.suite_files import ITEMS, read_suite_file


def toml_items(path: Path) -> Iterator[tuple[int, Mapping[str, Any]] | UsageError]:
    """The line that each begins at, and what it says, or what is wrong with it; of a file without
    items none. Raises UsageError where the file as a whole cannot be read."""
    file = read_suite_file(Path(), str(path))
    items = [] if file.items is None else file.items
    if not isinstance(items, list):
        yield bad_line("items of a suite are no list", file.where(ITEMS), "", "[[items]] for each")
        return
    for place, item in enumerate(items):
        where = file.where(ITEMS, place)
        if not isinstance(item, Mapping):
            yield bad_line("an item is no table", where, repr(item)[:80], "[[items]] for each")
        elif (moment := _moment(item)) is not None:
            yield bad_line(
                "a date or time in a suite line is no text", where, moment.isoformat(),
                "the same in quotation marks",
            )  # fmt: skip
        else:
            yield file.line(ITEMS, place), item


def _moment(value: Any) -> date | time | None:
    """The first one anywhere in it: what TOML has and JSON has not."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, date | time):
            return value
        if isinstance(value, Mapping | list):
            waiting += value.values() if isinstance(value, Mapping) else value
    return None
