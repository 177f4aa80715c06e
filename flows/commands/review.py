"""`flywheel review`: people say which answers of a run are right, and what that comes to."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from flows.commands.decided import last_decided, role_of
from flows.said import who
from flows.terminal import Table, console, print_json, print_table
from tasks.errors import StoreError, UsageError
from tasks.model.answer import Role
from tasks.model.turn import Turn
from tasks.model.visible import one_line, visible
from tasks.report.selection import Selection, select
from tasks.report.wording import interval, message_text, percent, points
from tasks.review.estimate import FEWEST_PAIRS, ByPeople, between_people, by_people
from tasks.review.labels import Labels, keep_new, read_labels
from tasks.review.queue import Pair, queue
from tasks.review.session import Question, Session, choices
from tasks.review.sheet import judge_labels, read_sheet, rows, text_of
from tasks.settings import Settings, read_settings
from tasks.statistics.agreement import Agreement

if TYPE_CHECKING:
    from rich.console import Console

_WHY = "w"
_KEYS = (("w", "say why first"), ("s", "skip"), ("u", "back"), ("q", "stop"))
_SUITES = (
    "suite", "samples", "answers differ", "looked at", "by the scorer", "by people",
    "scorer and people",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What of which run is to be looked at, by whom, and how."""

    run_id: str
    suite: str
    challenger: str
    by: str
    web: bool
    port: int
    status: bool
    export: str
    bring: str
    for_judge: str
    mlflow: bool = False
    num_first: int = 0


def review(asked: Asked, *, config: str | None, as_json: bool) -> int:
    ways = [w for w, is_it in (("--web", asked.web), ("--status", asked.status),
            ("--export", asked.export), ("--import", asked.bring),
            ("--for-judge", asked.for_judge), ("--mlflow", asked.mlflow)) if is_it]  # fmt: skip
    if len(ways) > 1:
        raise UsageError("only one way to review at a time", received=" ".join(ways))
    settings = read_settings(config)
    folder = settings.path(settings.review.folder)
    turn, role = _turn(settings, asked)
    gating = {part.rule.name for part in turn.verdict.suites if part.rule.is_gating}
    pairs = queue(select(turn, Selection(suite=asked.suite)), gating)
    if asked.mlflow:
        from flows.commands.review_mlflow import review_in_mlflow

        return review_in_mlflow(
            settings, turn, role, pairs, folder, asked.num_first, as_json=as_json
        )
    if asked.status or (as_json and not asked.bring):
        return _status(turn, read_labels(folder), settings.gate.alpha, as_json=as_json)
    if asked.for_judge:
        found = list(judge_labels(pairs, read_labels(folder)))
        _write(Path(asked.for_judge), "".join(json.dumps(one) + "\n" for one in found))
        print(one_line(f"{len(found):,} labels in {asked.for_judge}: [judges.NAME] labels = FILE"))
        return 0
    by = who(asked.by)
    if asked.export:
        return _export(Path(asked.export), pairs, read_labels(folder), by)
    if asked.bring:
        return _bring(Path(asked.bring), pairs, folder, by, as_json=as_json)
    session = Session(folder, by, pairs)
    if asked.web:
        return _serve(session, asked.port, folder)
    return _ask(session, folder)


def _turn(settings: Settings, asked: Asked) -> tuple[Turn, Role]:
    """Of one challenger, and the role that it played."""
    run, turn = last_decided(
        settings, asked.run_id, undecided="the run has no verdict, so it has no answers to look at"
    )
    role = role_of(run, turn, asked.challenger, next="flywheel review")
    return turn.pair(role), role


def _ask(session: Session, folder: Path) -> int:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "answers are looked at on a terminal",
            received="input or output that is none",
            next="--web for a page, --export FILE.csv for a spreadsheet",
        )
    import click

    screen = console()
    why = ""
    while (question := session.current) is not None:
        _show(screen, question, session)
        values = {choice.key: choice.values for choice in choices(question)}
        pressed = click.getchar().lower()
        if pressed in ("\x03", "\x04", "q"):
            break
        if pressed == _WHY:
            why = click.prompt("why", default="", show_default=False).strip()
            pressed = click.getchar().lower()
        if pressed in values:
            session.say(values[pressed], why)
            why = ""
        elif pressed == "s":
            session.skip()
        elif pressed == "u":
            session.back()
    print(one_line(f"{session.num_said:,} said by {session.by}, kept in {folder}"))
    print("what it comes to: flywheel review --status")
    return 0


def _show(screen: Console, question: Question, session: Session) -> None:
    from rich.table import Table as Grid
    from rich.text import Text

    heading = f"{question.place} of {session.num_pairs} · {question.sample.suite}"
    screen.print()
    screen.print(Text(one_line(heading), style="bold"))
    grid = Grid.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("question", Text(visible(message_text(question.sample.messages))))
    grid.add_row("reference", Text(visible(question.sample.target)))
    names = ("answer",) if len(question.texts) == 1 else ("first", "second")
    for name, text in zip(names, question.texts, strict=True):
        grid.add_row(name, Text(visible(text) if text else "(empty)", style="cyan"))
    screen.print(grid)
    keys = [(choice.key, choice.words) for choice in choices(question)]
    screen.print(Text(" · ".join(f"{key} {words}" for key, words in (*keys, *_KEYS)), style="dim"))


def _serve(session: Session, port: int, folder: Path) -> int:
    import asyncio
    import secrets

    import uvicorn

    from flows.commands.ui import bound_port
    from flows.review_page import make_app

    with bound_port(port, "flywheel review --web --port") as listening:
        listening.listen()  # who opens the address at once waits for the server, and is not refused
        token = secrets.token_urlsafe(16)
        port = listening.getsockname()[1]
        app = make_app(session, token, port, str(folder / f"{session.by}.jsonl"))
        # what is read and said there is nobody else's
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off")
        )
        print(f"http://127.0.0.1:{port}/?token={token}")
        print("for this machine alone · stop with Ctrl-C", flush=True)
        with suppress(KeyboardInterrupt):
            asyncio.run(server.serve(sockets=[listening]))
    print(one_line(f"{session.num_said:,} said by {session.by}, kept in {folder}"))
    return 0


def _export(path: Path, pairs: Sequence[Pair], labels: Labels, by: str) -> int:
    found = list(rows(pairs, labels, by))
    _write(path, text_of(path, found))
    print(one_line(f"{len(found):,} answers of {len(pairs):,} pairs in {path}"))
    print(one_line(f"fill in value (1, 0, between, or ?) · then: flywheel review --import {path}"))
    return 0


def _write(path: Path, text: str) -> None:
    """Somebody may have worked on a file that is there, so it is left alone."""
    if path.exists():
        raise UsageError("the file is there already", received=str(path), next="another name")
    try:
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise StoreError(
            f"the file cannot be written: {error.strerror}", received=str(path)
        ) from None


def _bring(path: Path, pairs: Sequence[Pair], folder: Path, by: str, *, as_json: bool) -> int:
    held = read_labels(folder)
    of_run = {(row["sample_id"], row["answer"]) for row in rows(pairs, {}, by)}
    labels = read_sheet(path, by, datetime.now(UTC))
    fresh = keep_new(folder, labels, held)
    strange = sum((label.sample_id, label.answer) not in of_run for label in labels)
    counts = {"labels": len(labels), "new": len(fresh), "of_other_runs": strange}
    if as_json:
        print_json(counts)
    else:
        print(one_line(f"{len(labels):,} labels by {by}: {len(fresh):,} new, the rest known"))
        if strange:
            print(f"{strange:,} of them are of answers that this run does not have")
    return 0


def _status(turn: Turn, labels: Labels, alpha: float, *, as_json: bool) -> int:
    found, people = by_people(turn.judged, labels, alpha), between_people(labels)
    if as_json:
        print_json(
            {
                "run_id": turn.run_id,
                "alpha": alpha,
                "suites": [asdict(suite) for suite in found.values()],
                "reviewers": [
                    {"names": list(names), **asdict(part)} for names, part in people.items()
                ],
            }
        )
        return 0
    names = [turn.releases[role].name for role in ("challenger", "champion")]
    print(one_line(f"{turn.run_id}: {names[0]} against {names[1]}, {1 - alpha:.0%} intervals"))
    table = [_row(suite, _by_scorer(turn, suite.suite)) for suite in found.values()]
    print_table(console(), Table(_SUITES, table, ("suite", "by people", "scorer and people")))
    for (one, other), part in people.items():
        print(one_line(f"{one} and {other}: {_agreed(part)}"))
    for suite in found.values():
        if suite.num_untold:
            print(
                f"{suite.suite}: of {suite.num_untold:,} pairs nobody could tell; for those the "
                "scorer is believed"
            )
    if any(suite.difference is None and suite.num_pairs for suite in found.values()):
        print(f"a difference by people needs {FEWEST_PAIRS} pairs of a suite: flywheel review")
    return 0


def _by_scorer(turn: Turn, suite: str) -> str:
    for part in turn.verdict.suites:
        if part.rule.name == suite and part.comparison is not None:
            return points(part.comparison.difference)
    return "–"


def _row(suite: ByPeople, by_scorer: str) -> tuple[str, ...]:
    by = "–"
    if suite.difference is not None and suite.interval is not None:
        by = f"{points(suite.difference)} {interval(suite.interval, signed=True)}"
    return (
        suite.suite, f"{suite.num_samples:,}", f"{suite.num_pairs:,}", f"{suite.num_labelled:,}",
        by_scorer, by, _agreed(suite.scorer),
    )  # fmt: skip


def _agreed(part: Agreement) -> str:
    if part.accuracy is None:
        return "–"
    kappa = "" if part.kappa is None else f", kappa {part.kappa:.2f}"
    return f"agree on {percent(part.accuracy)} of {part.num_items:,}{kappa}"
