"""The hand-written samples of suites as the settings declare them."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.curate.evalset import Draft
from tasks.curate.modes import mode_of
from tasks.curate.suites import all_or_error, suite_lines
from tasks.errors import UsageError
from tasks.settings import Settings


def declared_lines(settings: Settings, name: str) -> Iterator[Draft | UsageError]:
    """Every line of a suite as a sample, or as what is wrong with it; of one without a file
    none."""
    suite = settings.suites[name]
    if suite.samples:
        path = settings.path(suite.samples)
        yield from suite_lines(name, suite.task or name, path, mode_of(suite))


def read_declared(settings: Settings, name: str) -> tuple[Draft, ...]:
    """The samples of a suite in order. Raises UsageError that names the first wrong line."""
    return all_or_error(declared_lines(settings, name))
