"""`flywheel show`: the questions of a run with both answers, for a person, a spreadsheet, a script
or a browser. Only reads, so a run may be at work meanwhile."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.commands.decided import last_decided, role_of
from flows.outlets import page_target
from flows.samples import print_sample
from flows.terminal import console, print_json
from tasks.errors import UsageError
from tasks.model.answer import OUTCOMES, JudgedSample
from tasks.model.turn import Turn
from tasks.model.visible import one_line, visible
from tasks.record.pages import write_pages
from tasks.report.intake import read_in_part
from tasks.report.page import render_answers
from tasks.report.rows import csv_text, to_object, to_rows
from tasks.report.selection import Selection, select
from tasks.report.wording import OUTCOME_NAMES
from tasks.settings import read_settings

_MAX_ON_TERMINAL = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What of the run is asked for, and how it is to be shown; `limit` None: nobody said."""

    selection: Selection
    limit: int | None
    challenger: str
    as_csv: bool
    as_jsonl: bool
    as_json: bool
    html: str

    @property
    def limit_here(self) -> int | None:
        is_for_people = not (self.as_csv or self.as_jsonl or self.as_json or self.html)
        return self.limit or (_MAX_ON_TERMINAL if is_for_people else None)


def show_answers(run_id: str, shown: Shown, *, config: str | None) -> int:
    target = _target(shown)
    settings = read_settings(config)
    run, turn = last_decided(
        settings, run_id, undecided="the run has no verdict, so it has no answers that were judged"
    )
    role = role_of(run, turn, shown.challenger, next="flywheel show")
    turn = turn.pair(role)
    selected = select(turn, shown.selection)
    chosen = selected[: shown.limit_here]
    if shown.as_csv:
        print_csv(turn, chosen)
    elif shown.as_jsonl:
        for item in chosen:
            print_json(to_object(turn, item))
    elif shown.as_json:
        print_json(_to_object(turn, shown, selected, chosen))
    if target is not None:
        write_pages(
            target.parent, {target.name: render_answers(turn, chosen, len(selected)).encode()}
        )
        print(f"{len(chosen):,} of {len(selected):,} samples: {target.as_uri()}")
    elif not (shown.as_csv or shown.as_jsonl or shown.as_json):
        _print(turn, shown, selected, chosen)
    return 0


def _target(shown: Shown) -> Path | None:
    """The file of the page. Raises UsageError before anything is read."""
    asked = [
        name
        for name, is_asked in (
            ("--csv", shown.as_csv), ("--jsonl", shown.as_jsonl), ("--json", shown.as_json),
            ("--html", bool(shown.html)),
        )
        if is_asked
    ]  # fmt: skip
    if len(asked) > 1:
        raise UsageError("only one way to show them at a time", received=" ".join(asked))
    return page_target(shown.html, "--html")


def print_csv(turn: Turn, chosen: Sequence[JudgedSample]) -> None:
    """A row a sample and repeat, of a turn of one challenger."""
    _write(csv_text([row for item in chosen for row in to_rows(turn, item)]))


def _write(text: str) -> None:
    """To standard output as UTF-8, line ends as they are; to a terminal as it is shown there."""
    sys.stdout.flush()
    if sys.stdout.isatty():
        print(visible(text.replace("\r\n", "\n")), end="")
        return
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()


def _to_object(
    turn: Turn, shown: Shown, selected: Sequence[JudgedSample], chosen: Sequence[JudgedSample]
) -> dict[str, Any]:
    asked = shown.selection
    return {
        "run_id": turn.run_id,
        "verdict": turn.verdict.verdict,
        "champion": turn.releases["champion"].name,
        "challenger": turn.releases["challenger"].name,
        "suite": asked.suite or None,
        "slices": list(asked.slices),
        "num_samples": len(turn.judged),
        "reading": turn.reading,
        "num_selected": len(selected),
        "num_shown": len(chosen),
        "outcomes": _counts(selected),
        "samples": [to_object(turn, item) for item in chosen],
    }


def _counts(judged: Sequence[JudgedSample]) -> dict[str, int]:
    counts = Counter(item.outcome for item in judged)
    return {
        **{outcome: counts[outcome] for outcome in OUTCOMES},
        "reworded": sum(item.is_reworded for item in judged),
    }


def _print(
    turn: Turn, shown: Shown, selected: Sequence[JudgedSample], chosen: Sequence[JudgedSample]
) -> None:
    names = [turn.releases[role].name for role in ("challenger", "champion")]
    print(one_line(f"{turn.run_id}: {names[0]} against {names[1]}"))
    if sampled := read_in_part(turn.reading):
        print(one_line(sampled))
    print(one_line(", ".join(_told(selected)) or "no such sample"))
    screen = console()
    for place, item in enumerate(chosen, 1):
        screen.print()
        print_sample(screen, item, f"{place} of {len(selected):,}")
    if len(selected) > len(chosen):
        left_out = len(selected) - len(chosen)
        print(f"\n{left_out:,} more: --limit {len(selected)}, --html FILE, --csv or --jsonl")


def _told(judged: Sequence[JudgedSample]) -> Iterator[str]:
    for name, number in _counts(judged).items():
        if number:
            yield f"{number:,} {OUTCOME_NAMES[name]}"
