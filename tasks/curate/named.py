"""Samples of pins and suite lines that say from which call they were written: `request_id` of a
pin, `id` of a suite line as `flywheel suite new --from-logs` writes it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.curate.evalset import Draft
from tasks.curate.items import suite_item
from tasks.curate.modes import mode_of
from tasks.curate.pins import read_pins
from tasks.curate.suite_items import toml_items
from tasks.curate.suites import WHAT, drafts_of
from tasks.errors import UsageError
from tasks.json_lines import read_lines
from tasks.settings import Settings
from tasks.settings.suite_files import ENDING


def samples_written_from(settings: Settings, request_ids: Collection[str]) -> set[str]:
    """Their ids, as they stand in an eval set. Raises UsageError that names a wrong line."""
    found = {pin.draft.sample_id for pin in read_pins(settings) if pin.request_id in request_ids}
    for name, suite in settings.suites.items():
        if not suite.samples:
            continue
        for where, record in _records(settings.path(suite.samples)):
            if record.get("id") in request_ids:
                drafts = drafts_of(record, name, suite.task or name, where, mode_of(suite))
                found |= {_in_set(draft).sample_id for draft in drafts}
    return found


def _in_set(draft: Draft) -> Draft:
    item = suite_item(draft).draft
    assert item is not None, "a suite line is a sample"
    return item


def _records(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if path.suffix != ENDING:
        yield from read_lines(path, WHAT)
        return
    for item in toml_items(path):
        if isinstance(item, UsageError):
            raise item
        number, record = item
        yield f"{path}:{number}", record
