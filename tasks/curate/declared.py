"""The hand-written samples of suites as the settings declare them.

A command looks over every suite before it begins, and curate reads the same files a moment later:
what was looked over is taken then, once, if the file is still the one that was read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from tasks.collecting import without_collecting
from tasks.curate.evalset import Draft
from tasks.curate.modes import mode_of
from tasks.curate.suites import all_or_error, suite_lines
from tasks.errors import UsageError
from tasks.settings import Settings

#: (suite, and all that its lines are made by) → the lines
_looked_over: dict[tuple[object, ...], list[Draft | UsageError]] = {}


def declared_lines(settings: Settings, name: str) -> Iterator[Draft | UsageError]:
    """Every line of a suite as a sample, or as what is wrong with it; of one without a file
    none."""
    suite = settings.suites[name]
    if suite.samples:
        path = settings.path(suite.samples)
        yield from suite_lines(name, suite.task or name, path, mode_of(suite))


@without_collecting()
def look_over(settings: Settings, name: str) -> list[Draft | UsageError]:
    """The same, kept for whoever reads the suite next."""
    lines = list(declared_lines(settings, name))
    with suppress(OSError):
        _looked_over[_signature(settings, name)] = lines
    return lines


def read_declared(settings: Settings, name: str) -> tuple[Draft, ...]:
    """The samples of a suite in order. Raises UsageError that names the first wrong line."""
    lines = None
    with suppress(OSError):
        lines = _looked_over.pop(_signature(settings, name), None)
    return all_or_error(declared_lines(settings, name) if lines is None else lines)


def _signature(settings: Settings, name: str) -> tuple[object, ...]:
    """Raises OSError where there is no file."""
    suite = settings.suites[name]
    path = settings.path(suite.samples)
    stat = path.stat()
    state = stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino
    return (name, suite.task, mode_of(suite), path, *state)
