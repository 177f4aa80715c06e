"""A suite in one file: the keys of a [suites.NAME] section, and its items.

    owner = "support"
    scorer = { name = "numeric", tolerance = 0.01 }

    [[items]]
    input = "2 + 2 = ?"
    target = 4

flywheel.toml names it, and its keys are read as if they stood there. What they may be is for the
section to say, and what an item may be for tasks/curate; this module owns where each stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tasks.errors import Problem, UsageError
from tasks.settings.toml import read_toml
from tasks.settings.toml_lines import KeyPath, key_lines, line_of

ENDING = ".toml"
ITEMS = "items"


@dataclass(frozen=True)
class SuiteFile:
    """`name`: as flywheel.toml names it. `keys`: those of the section."""

    name: str
    text: str
    keys: Mapping[str, Any]
    items: Any = None

    def where(self, *path: str | int) -> str:
        """FILE:LINE of a key, or of what holds it."""
        return f"{self.name}:{self.line(*path)}"

    def line(self, *path: str | int) -> int:
        return line_of(self._lines, path)

    @cached_property
    def _lines(self) -> dict[KeyPath, int]:
        return key_lines(self.text)


def read_suite_file(base: Path, name: str) -> SuiteFile:
    """`name`: its path, relative to the folder `base`. Raises UsageError."""
    try:
        text = (base / Path(name).expanduser()).read_text(encoding="utf-8-sig")
        values = read_toml(text)
    except ValueError as error:
        raise UsageError(
            f"a suite file is not valid TOML: {error}", received=name, next="fix that line"
        ) from None
    except (OSError, RuntimeError) as error:  # no home folder of this name
        raise UsageError(
            f"a suite file cannot be read: {getattr(error, 'strerror', None) or error}",
            received=name,
            allowed="a TOML file with the keys of [suites.NAME] and [[items]]; JSON lines are "
            "named by `samples`",
        ) from None
    return SuiteFile(name, text, {k: v for k, v in values.items() if k != ITEMS}, values.get(ITEMS))


def with_suite_files(
    values: Mapping[str, Any], said: Mapping[str, Any], base: Path
) -> tuple[dict[str, Any], dict[str, SuiteFile], list[Problem]]:
    """The values of flywheel.toml with the keys of every suite's file in its section, the files,
    and what is wrong with those that cannot be taken, whose suites are left out. `said`: what the
    environment says, which may name another file."""
    suites = dict(_table(values, "suites"))
    files: dict[str, SuiteFile] = {}
    problems: list[Problem] = []
    for suite in {**suites, **_table(said, "suites")}:
        section = _table(suites, suite)
        path = {**section, **_table(_table(said, "suites"), suite)}.get("file")
        if not isinstance(path, str) or not path.endswith(ENDING):
            continue  # the section says what is wrong with it
        try:
            file = read_suite_file(base, path)
        except UsageError as error:
            wrong = [Problem(f"suites.{suite}.file", error)]
        else:
            wrong = list(_not_both(suite, section, file))
            files[suite] = file
            of_items = {} if file.items is None else {"samples": path}
            suites[suite] = {**section, **file.keys, **of_items, "file": path}
        if wrong:
            problems += wrong
            suites.pop(suite, None)
    return ({**values, "suites": suites} if files or problems else dict(values)), files, problems


def _table(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """What has another type is for the section to refuse."""
    value = values.get(key)
    return value if isinstance(value, dict) else {}


def _not_both(suite: str, section: Mapping[str, Any], file: SuiteFile) -> Iterator[Problem]:
    if "file" in file.keys:
        error = UsageError(
            "a suite file names no other file", received=f"file in {file.where('file')}"
        )
        yield Problem(f"suites.{suite}.file", error)
    items = {"samples": ITEMS} if file.items is not None else {}
    for key in section:
        there = key if key in file.keys else items.get(key)
        if key != "file" and there is not None:
            yield _twice(suite, key, "flywheel.toml", file.where(there), there)
    if items and "samples" in file.keys:
        yield _twice(suite, "samples", file.where("samples"), file.where(ITEMS), ITEMS)


def _twice(suite: str, key: str, one: str, other: str, there: str) -> Problem:
    what = (
        f"suites.{suite}.{key} is given twice"
        if key == there
        else f"the items of suite {suite!r} are given twice"
    )
    received = f"{key} in {one}, {there} in {other}"
    error = UsageError(what, received=received, next="remove one of the two")
    return Problem(f"suites.{suite}.{key}", error)
