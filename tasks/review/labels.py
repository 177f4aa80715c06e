"""Labels: what a person says of an answer, kept in a file a person beside flywheel.toml.

    {"sample_id": "…", "answer": "…", "value": 1.0, "by": "ada", "at": "2026-11-30T10:00:00Z",
     "why": "names the right queue"}

`answer` is the digest of the answer's text, so a label holds for whatever release gives that answer
to that question. `value` is 1 where it is right, 0 where it is wrong, between where it is partly
right, and null where the person cannot tell. Of what a person says twice the last holds. Files may
be merged, edited and handed on; a wrong line is named.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tasks.errors import UsageError
from tasks.json_lines import append_line, bad_line, read_lines, refuse_unknown, text_of

WHAT = "a label"
KEYS = ("sample_id", "answer", "value", "by", "at", "why")
_NAME = re.compile(r"[\w@. -]{1,80}")


@dataclass(frozen=True, slots=True)
class Label:
    """`value` None: the person cannot tell. `at`: ISO 8601, UTC."""

    sample_id: str
    answer: str
    value: float | None
    by: str
    at: str
    why: str = ""


#: (sample id, digest of the answer) → reviewer → label
Labels = Mapping[tuple[str, str], Mapping[str, Label]]


def answer_digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def label_of(record: Mapping[str, Any], where: str) -> Label:
    """Raises UsageError that names `where` it stands."""
    refuse_unknown(record, KEYS, where, WHAT)
    told: dict[str, str] = {}
    for key in ("sample_id", "answer", "by", "at"):
        text = text_of(record, key, where, WHAT)
        if text is None:
            raise bad_line(f"a label has no {key}", where, ", ".join(record), ", ".join(KEYS))
        told[key] = text
    check_name(told["by"], where)
    try:
        datetime.fromisoformat(told["at"])
    except ValueError:
        raise bad_line(
            "the time of a label is none", where, told["at"], "2026-11-30T10:00:00Z"
        ) from None
    value = record.get("value")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise bad_line("the value of a label is no number", where, repr(value)[:40], "0 to 1, null")
    if value is not None and not 0 <= value <= 1:
        raise bad_line("the value of a label is not 0 to 1", where, repr(value), "0 to 1, null")
    why = record.get("why") or ""
    if not isinstance(why, str):
        raise bad_line("why of a label is not a text", where, repr(why)[:40], "a text")
    return Label(**told, value=None if value is None else float(value), why=why)


def check_name(name: str, where: str = "") -> str:
    """The name of a person. Raises UsageError for what could not be the name of a file."""
    if not _NAME.fullmatch(name) or name.strip(". ") != name:
        raise UsageError(
            "the name of a person cannot be used",
            received=f"{name[:80]!r}{f' in {where}' if where else ''}",
            allowed="letters, digits, blanks and . _ @ -, at most 80",
        )
    return name


def read_labels(folder: Path) -> Labels:
    """All files of the folder. Raises UsageError that names a wrong line."""
    found: list[Label] = []
    for path in sorted(folder.glob("*.jsonl")):
        found += [label_of(record, where) for where, record in read_lines(path, WHAT)]
    return latest(found)


def latest(labels: Iterable[Label]) -> Labels:
    """By time; of two at the same time, the one that stands later."""
    held: dict[tuple[str, str], dict[str, Label]] = {}
    for label in sorted(labels, key=_at):
        held.setdefault((label.sample_id, label.answer), {})[label.by] = label
    return held


def add_label(folder: Path, label: Label) -> None:
    """Raises OSError where it cannot be kept."""
    append_line(folder / f"{check_name(label.by)}.jsonl", asdict(label))


def keep_new(folder: Path, found: Iterable[Label], held: Labels) -> list[Label]:
    """Keep the last word of each person, where it is another one than is held and not older; what
    was kept. Raises OSError."""
    fresh = []
    for key, people in latest(found).items():
        for by, label in people.items():
            before = held.get(key, {}).get(by)
            if before is None or (
                (before.value, before.why) != (label.value, label.why) and _at(label) > _at(before)
            ):
                fresh.append(label)
                add_label(folder, label)
    return fresh


def _at(label: Label) -> float:
    return datetime.fromisoformat(label.at).timestamp()


def value_of(labels: Labels, sample_id: str, text: str | None) -> float | None:
    """The mean of what those say who can tell; None where nobody does."""
    if text is None:
        return None
    said = labels.get((sample_id, answer_digest(text)), {}).values()
    values = [label.value for label in said if label.value is not None]
    return sum(values) / len(values) if values else None
