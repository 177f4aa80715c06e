"""`flywheel explain`: where the difference between the two releases of a run comes from."""

from __future__ import annotations

import time
from pathlib import Path

from flows.commands.decided import read_decided, role_of
from flows.progress import shown
from flows.run_named import no_such_run
from flows.terminal import Table, console, print_json, print_pairs, print_table, say
from flows.turn import hold
from tasks.answering.journal import recover
from tasks.explain.task import explain
from tasks.model.explanation import Amount, Explanation
from tasks.model.turn import Turn
from tasks.record.pages import pages_of, write_pages
from tasks.report.page import render_explanation
from tasks.report.wording import interval, percent, points, share
from tasks.run import Progress, Run, utc_now
from tasks.settings import Settings, read_settings
from tasks.store.opening import open_store, store_exists


def explain_run(
    run_id: str,
    *,
    challenger: str,
    suite: str,
    num_samples: int,
    config: str | None,
    as_json: bool,
) -> int:
    settings = read_settings(config)
    started = time.monotonic()
    if not store_exists(settings):
        raise no_such_run(run_id)
    with hold(settings), shown() as progress:
        recover(settings, utc_now())
        run, turn = _read(settings, run_id, progress)
        role = role_of(run, turn, challenger, next="flywheel explain")
        names = {"champion": run.request.champion, "challenger": run.request.releases[role]}
        turn, is_leading = turn.pair(role), role == turn.leading
        found = explain(run, turn, names, suite, num_samples)
    folder = pages_of(settings, run.run_id)
    page = "explain.html" if is_leading else f"explain-{role}.html"
    write_pages(folder, {page: render_explanation(found).encode()})
    seconds = round(time.monotonic() - started, 1)
    if as_json:
        told = {"verdict": turn.verdict.verdict, **found.to_json()}
        print_json({**told, "seconds": seconds, "page": str(folder / page)})
    else:
        _show(found, seconds, folder / page)
    return 0


def _read(settings: Settings, run_id: str, progress: Progress) -> tuple[Run, Turn]:
    with open_store(settings) as store:
        return read_decided(
            store,
            settings,
            run_id,
            undecided="the run has no verdict, so there is no difference to explain",
            next="flywheel run, or flywheel gate for one that evaluated",
            progress=progress,
        )


def _show(found: Explanation, seconds: float, page: Path) -> None:
    screen = console()
    screen.print()
    if found.parts:
        print_table(screen, _part_table(found))
    for sentence in found.sentences:
        say(screen, f"  · {sentence}")
    screen.print()
    if found.cells:
        print_table(screen, _cell_table(found))
    print_pairs(screen, [*_facts(found, seconds), ("page", page.as_uri())])
    screen.print()


def _part_table(found: Explanation) -> Table:
    columns = ("part", found.champion, found.challenger, "points", "share")
    rows = [
        (
            part.name,
            part.before,
            part.after,
            _with_interval(part.amount),
            share(part.share),
        )
        for part in found.parts
    ]
    return Table(columns, rows, texts=columns[:3])


def _cell_table(found: Explanation) -> Table:
    columns = ("parts of the challenger", "score", "against the champion")
    first = found.cells[0]
    rows = [
        (
            " and ".join(cell.parts) or "none",
            percent(cell.score),
            points(cell.score - first.score),
        )
        for cell in found.cells
    ]
    return Table(columns, rows, texts=columns[:1])


def _facts(found: Explanation, seconds: float) -> list[tuple[str, str]]:
    used = found.used
    facts: list[tuple[str, str]] = [
        ("run", f"{found.run_id}, {found.challenger} against {found.champion}"),
        ("suites", ", ".join(found.suites)),
        ("difference", f"{_with_interval(found.difference)} points, of all samples of the run"),
    ]
    if found.cells:
        facts += [
            ("estimate", f"{_with_interval(found.estimate)} points, of the samples asked again"),
            (
                "samples",
                f"{used.num_counted:,}: {used.num_flips_drawn:,} of {used.num_flips:,} whose score "
                f"changed, {used.num_others_drawn:,} of {used.num_others:,} others",
            ),
        ]
    if used.num_lost or used.num_unknown:
        left_out = f"{used.num_unknown:,} of the run, {used.num_lost:,} of those asked again"
        facts.append(("left out", f"{left_out}: an answer that nobody knows, by judge or harness"))
    if found.cells:
        computed = f"{found.num_computed:,} computed, {found.num_cached:,} from cache"
        facts.append(("completions", f"{computed}; those of the two releases are the run's"))
    return [*facts, ("seconds", f"{seconds:.1f}")]


def _with_interval(amount: Amount) -> str:
    ends = "" if amount.interval is None else f" [{interval(amount.interval, signed=True)}]"
    return f"{points(amount.value)}{ends}"
