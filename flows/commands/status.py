"""`flywheel status`: where things stand, over all runs: the last verdict, every suite, the data."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from flows.terminal import Table, console, print_json, print_pairs, print_table
from tasks.errors import UsageError
from tasks.model.alias import Alias
from tasks.model.history import History, PastRun
from tasks.record.pages import index_of, pages_of, runs_with_page
from tasks.releases.promotion import CHAMPION
from tasks.releases.retirement import Due, due
from tasks.report import index, wording
from tasks.run import utc_now
from tasks.settings import Settings, read_settings
from tasks.store.control.aliases import Aliases, read_aliases
from tasks.store.control.history import read_history
from tasks.store.opening import open_store, store_exists

_SUITES = ("suite", "verdict", "difference in points", "all looks", "looks", "samples", "runs",
           "trend")  # fmt: skip
_RUNS = ("started", "challenger", "champion", "verdict", "samples", "new calls", "held back",
         "unreadable", "seconds")  # fmt: skip


def show_status(num_runs: int, *, config: str | None, as_json: bool) -> int:
    """Raises UsageError where nothing has run yet."""
    settings = read_settings(config)
    if not store_exists(settings):
        raise UsageError(
            "nothing has run yet", received=str(settings.home_path), next="flywheel run"
        )
    with open_store(settings, read_only=True) as store:
        history, aliases = read_history(store, num_runs), read_aliases(store)
    if as_json:
        print_json(_to_object(history, aliases, settings))
    else:
        _print(history, aliases, settings, utc_now())
    return 0


def _print(history: History, aliases: Aliases, settings: Settings, now: datetime) -> None:
    out = console()
    print_pairs(out, _facts(history, aliases, settings, now))
    if lines := index.suite_lines(history):
        rows = [
            (
                line.name,
                wording.label(line.result.verdict),
                wording.with_interval(line.result.difference, line.result.interval, signed=True),
                "–" if line.result.standing is None
                else wording.interval(line.result.standing.interval, signed=True),
                f"{line.num_looks:,}",
                f"{line.result.num_samples:,}",
                f"{line.num_runs:,}",
                line.spark,
            )
            for line in lines
        ]  # fmt: skip
        print_table(out, Table(_SUITES, rows, texts=("suite", "verdict", "trend")))
    runs = [_row(run) for run in reversed(history.runs)]
    print_table(out, Table(_RUNS, runs, texts=("started", "challenger", "champion", "verdict")))


def _facts(
    history: History, aliases: Aliases, settings: Settings, now: datetime
) -> list[tuple[str, str]]:
    last = history.last
    facts = [("runs", f"{history.num_runs:,}, the newest {len(history.runs):,} below")]
    if last is None or last.decided_at is None:
        facts.append(("last verdict", "none among them"))
    else:
        compared = f"{last.challenger} against {last.champion}"
        told = f"{compared}, {wording.conclusion(str(last.verdict))}"
        facts.append(("last verdict", f"{told}, {wording.since(last.decided_at, now)}"))
        facts += [("because", reason) for reason in last.reasons[:2]]
    if history.runs and history.runs[-1].error:
        is_decided = history.runs[-1].verdict is not None
        what = "not in MLflow" if is_decided else "last run failed"
        facts.append((what, history.runs[-1].error + ": flywheel record" * is_decided))
    if aliases:
        facts += [(name, _pointed_at(alias, now)) for name, alias in sorted(aliases.items())]
    promoted = aliases.get(CHAMPION)
    champion = settings.champion if promoted is None else promoted.release
    if ending := due(settings, champion, now.date()):
        facts.append(("ends", f"{ending.sentence}{_how_far(history, ending)}"))
    if history.sets:
        made = history.sets[0]
        facts.append(
            (
                "eval set",
                f"{made.num_samples:,} samples, {made.digest[:12]}, made "
                f"{wording.since(made.created_at, now)}, decided {made.num_decisions:,} "
                f"run{'' if made.num_decisions == 1 else 's'}",
            )
        )
    if index_of(settings).exists():
        facts.append(("all reports", index_of(settings).as_uri()))
    return facts


def _pointed_at(alias: Alias, now: datetime) -> str:
    by = "" if alias.run_id is None else f" on run {alias.run_id}"
    return f"{alias.release} ({alias.digest[:12]}), since {wording.since(alias.since, now)}{by}"


def _how_far(history: History, ending: Due) -> str:
    """What is known of the release that takes its place."""
    if not ending.successor:
        return ""
    judged = [run for run in history.decided if run.challenger == ending.successor]
    return f", last: {wording.label(str(judged[-1].verdict))}" if judged else ", not yet here"


def _row(run: PastRun) -> tuple[str, ...]:
    taken = run.intake
    return (
        f"{run.started_at:%Y-%m-%d %H:%M}",
        run.challenger or wording.NOTHING,
        run.champion or wording.NOTHING,
        index.outcome_of(run),
        wording.NOTHING if run.num_samples is None else f"{run.num_samples:,}",
        wording.NOTHING if taken is None else f"{taken.num_new:,}",
        wording.NOTHING if taken is None else wording.percent(taken.held_share),
        wording.NOTHING if taken is None else wording.percent(taken.dead_share),
        wording.NOTHING if run.seconds is None else f"{run.seconds:,.0f}",
    )


def _to_object(history: History, aliases: Aliases, settings: Settings) -> dict[str, Any]:
    with_page = runs_with_page(settings)
    return {
        "num_runs": history.num_runs,
        "aliases": {name: asdict(alias) for name, alias in aliases.items()},
        "last_verdict": None if history.last is None else history.last.run_id,
        "runs": [
            {
                **asdict(run),
                "pair": list(run.pair),
                "suites": [suite.to_json() for suite in run.suites],
                "seconds": run.seconds,
                "page": str(pages_of(settings, run.run_id) / "report.html")
                if run.run_id in with_page
                else None,
            }
            for run in history.runs
        ],
        "eval_sets": [asdict(one) for one in history.sets],
    }
