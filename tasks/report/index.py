"""The index of all reports: what was decided last, how suites and data go, every run with a link.

One file beside the folders of the runs' pages, with nothing from outside and no script.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import get_args

from tasks.model.audit import AuditRow
from tasks.model.history import History, PastRun, UsedBy, same_pair_at_end
from tasks.model.profile import Usage
from tasks.model.verdict import SuiteResult
from tasks.report import trends, wording
from tasks.report.page import template

#: of a page that is opened every morning, and written after every run: more than a year of nights
MAX_RUNS = 400
MAX_SETS = 50


@dataclass(frozen=True, slots=True)
class SuiteLine:
    """Where a suite stands: `looks` of them at the last pair of releases; `spark`: the differences
    of its runs, the newest last."""

    name: str
    last: PastRun
    result: SuiteResult
    num_looks: int
    num_runs: int
    spark: str


_BLOCKS = "▁▂▃▄▅▆▇█"
_MAX_SPARK = 16


def suite_lines(history: History) -> tuple[SuiteLine, ...]:
    """Every suite that was judged, those of the last decision first."""
    lines = []
    for name in history.suites:
        looks = history.looks(name)
        run, result = looks[-1]
        differences = [result.difference for _, result in looks[-_MAX_SPARK:]]
        lines.append(
            SuiteLine(
                name,
                run,
                result,
                same_pair_at_end(looks),
                history.num_judged[name],
                spark(differences),
            )
        )
    return tuple(lines)


def spark(values: list[float | None]) -> str:
    """A block a value between the least and the greatest, which a blank stands for where it is not
    known; nothing of a single one."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return ""
    low, span = min(known), max(known) - min(known)
    return "".join(
        " " if value is None else _BLOCKS[round(7 * (value - low) / span) if span else 3]
        for value in values
    )


@dataclass(frozen=True, slots=True)
class UsageLine:
    """What requests of one kind cost and took in the newest run that tells it."""

    who: str
    run: PastRun
    usage: Usage


def usage_lines(history: History) -> tuple[UsageLine, ...]:
    """Champion, challenger, logs."""
    lines = []
    for by in get_args(UsedBy):
        run = next((run for run in reversed(history.runs) if by in run.usage), None)
        if run is not None:
            names = {"champion": run.champion, "challenger": run.challenger}
            who = f"{names[by]}, {by}" if by in names else "calls in the logs"
            lines.append(UsageLine(who, run, run.usage[by]))
    return tuple(lines)


def outcome_of(run: PastRun) -> str:
    """The verdict; of a run without one, how it stands."""
    return wording.label(run.verdict or run.state)


def render(history: History, with_page: Collection[str], moves: Sequence[AuditRow] = ()) -> str:
    """The page. `with_page`: the runs whose own page lies in a folder of its id beside this one.
    `moves`: rows of the audit that moved the champion, the newest last."""
    from markupsafe import Markup

    suites, data = trends.draw_suites(history), trends.draw_data(history)
    usage = trends.draw_usage(history)
    return str(
        template("index").render(
            history=history,
            lines=suite_lines(history),
            runs=tuple(reversed(history.runs)),
            with_page=frozenset(with_page),
            moves=tuple(reversed(moves)),
            sets=history.sets[:MAX_SETS],
            suites_plot=Markup(suites) if suites else None,  # noqa: S704 - as of a report's plot
            data_plot=Markup(data) if data else None,  # noqa: S704
            used=usage_lines(history),
            usage_plot=Markup(usage) if usage else None,  # noqa: S704
            max_drawn=trends.MAX_RUNS,
            outcome_of=outcome_of,
        )
    )
