"""Imported items as suite files: a file a scorer, and the `[suites.NAME]` to paste for each.

A line is written only if the reader of suites can read it; what it cannot ask is named.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.curate.modes import GENERATE, Mode
from tasks.curate.suites import asked_of, drafts_of
from tasks.errors import UsageError
from tasks.settings.suite_files import ENDING
from tasks.suites.imported import Imported, Item, LeftOut, ScorerValue, scorer_key, scorer_name
from tasks.whole_files import write_whole

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class SuiteFile:
    """A file to write. `num_open`: lines without a target."""

    name: str
    path: Path
    scorer: ScorerValue
    is_judged: bool
    lines: tuple[Mapping[str, Any], ...]
    mode: Mode = GENERATE
    also: tuple[ScorerValue, ...] = ()

    @property
    def num_open(self) -> int:
        return sum(line.get("target") is None for line in self.lines)

    @property
    def text(self) -> str:
        return "".join(f"{dumped(line)}\n" for line in self.lines)


def files_of(found: Imported, out: Path) -> tuple[list[SuiteFile], LeftOut]:
    """The most frequent scorer has the file that was named, the others one beside it each. Raises
    UsageError where nothing can be asked."""
    left_out = LeftOut({what: list(places) for what, places in found.left_out.places.items()})
    groups: dict[object, list[Item]] = {}
    for item in found.items:
        also = tuple(map(scorer_key, item.also))
        key = (scorer_key(item.scorer), item.is_judged, item.mode, also)
        groups.setdefault(key, []).append(item)
    files: list[SuiteFile] = []
    names: set[str] = set()
    for items in sorted(groups.values(), key=len, reverse=True):
        lines = tuple(_askable(items, left_out))
        if not lines:
            continue
        ending = "judged" if items[0].is_judged else scorer_name(items[0].scorer)
        stem = out.stem if not files else f"{out.stem}-{_PLAIN_NAME.sub('-', ending)}"
        while stem in names:
            stem += "-2"
        names.add(stem)
        files.append(SuiteFile(stem, out.with_name(f"{stem}{out.suffix or '.jsonl'}"),
                               items[0].scorer, items[0].is_judged, lines, items[0].mode,
                               items[0].also))  # fmt: skip
    if not files:
        told = "; ".join(left_out.sentences())
        raise UsageError("nothing of it can be asked", received=told[:300] or found.source)
    return files, left_out


def _askable(items: Sequence[Item], left_out: LeftOut) -> Iterator[Mapping[str, Any]]:
    seen: dict[str, Any] = {}
    for item in items:
        line = {key: value for key, value in item.line.items() if value is not None}
        target = line.get("target")
        is_open = target is None or (isinstance(target, str) and not target.strip())
        try:
            line = json.loads(dumped(line))
            closed = {**line, "target": "-"} if is_open else line
            draft = drafts_of(closed, "", "", item.where, item.mode)[0]
        except UsageError as error:
            left_out.add(error.what, item.where)
            continue
        except ValueError:
            left_out.add("a value is no number that JSON has", item.where)
            continue
        asked = asked_of(draft)
        if asked in seen:
            same = seen[asked] == line.get("target")
            told = (
                "asked before, with the same target"
                if same
                else "asked before, with another target"
            )
            left_out.add(told, item.where)
            continue
        seen[asked] = line.get("target")
        if is_open:
            left_out.add("has no target: fill it in", item.where)
            line = {**line, "target": None}
        yield line


def dumped(line: Mapping[str, Any]) -> str:
    """One line of JSON. Raises ValueError for NaN."""
    return json.dumps(line, ensure_ascii=False, allow_nan=False, default=str)


def write_new(path: Path, text: str, *, force: bool) -> None:
    """There whole or not at all. Raises UsageError where a file is there, unless forced."""
    if path.suffix == ENDING:
        raise UsageError("a suite is written as JSON lines", received=str(path),
                         allowed="*.jsonl")  # fmt: skip
    if path.exists() and not force:
        raise UsageError("the file is there already", received=str(path),
                         next="name another one by --out, or replace it by --force")  # fmt: skip
    write_text(path, text)


def write_text(path: Path, text: str) -> None:
    """There whole, or as it was. Raises UsageError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode(errors="backslashreplace"))
    except OSError as error:
        raise UsageError(
            f"the file cannot be written: {error.strerror}", received=str(path)
        ) from None


def suite_toml(
    name: str,
    samples: str,
    scorer: ScorerValue,
    *,
    purpose: str,
    task: str = "",
    is_judged: bool = False,
    mode: Mode = GENERATE,
    also: Sequence[ScorerValue] = (),
) -> str:
    """A `[suites.NAME]` to paste."""
    lines = [f"[suites.{toml_key(name)}]", f"samples = {toml(samples)}"]
    if task and task != name:
        lines.append(f"task = {toml(task)}")
    if mode.name != GENERATE.name:
        lines.append(f"mode = {toml(mode.name)}")
    if mode.is_raw:
        lines.append('template = "raw"')
    if is_judged:
        lines.append(
            'scorer = { judge = "NAME" }  # declare [judges.NAME]; its rubric: see targets'
        )
    elif scorer:
        lines.append(f"scorer = {toml(scorer)}")
    else:
        lines.append('# scorer = "exact_match"  # how answers are judged: docs/scorers.md')
    if also:
        lines.append(f"also = [{', '.join(map(toml, also))}]")
    lines += [
        f'role = "{"guard" if scorer else "report"}"  # primary may win, guard must not lose, '
        "report only informs",
        "# margin = 0.05  # loss that is accepted, instead of [gate] margin",
        'owner = ""',
        f"purpose = {toml(purpose)}",
        "# review_by = 2027-06-01",
    ]
    return "\n".join(lines) + "\n"


def toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{toml_key(str(k))} = {toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=True).replace("\x7f", "\\u007f")
    return str(value)


def toml_key(name: str) -> str:
    """As it stands in the name of a table."""
    return name if _BARE.fullmatch(name) else toml(name)
