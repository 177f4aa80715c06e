"""The trends of an index: every suite run by run, and what became of the data. Drawn as plot.py
draws, for a page that has its colours."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

from tasks.model.history import History, PastRun, UsedBy, same_pair_at_end
from tasks.model.profile import Usage
from tasks.model.verdict import SuiteResult
from tasks.report.plot import FAINT, GAIN, INK, LOSS, MARGIN, UNSURE, drawing, inline, plain

#: what can still be told apart in a panel
MAX_RUNS = 120
MAX_SUITES = 9
_PER_ROW = 3
_TONES = {"better": GAIN, "no_worse": GAIN, "worse": LOSS, "blocked": LOSS}

#: told apart by mark and line too, not by colour alone
_USED_BY: dict[UsedBy, tuple[str, str, str]] = {
    "champion": (INK, "o", "-"),
    "challenger": (GAIN, "s", "--"),
    "logs": (UNSURE, "^", ":"),
}

Looks = Sequence[tuple[PastRun, SuiteResult]]
_Panel = tuple[str, Callable[[Any], None], Sequence[PastRun]]


def draw_suites(history: History) -> str:
    """A panel for each suite: difference and interval of every run, in the colour of its verdict;
    shaded, what all looks at the last pair of releases together come to. Empty where nothing was
    decided."""
    found = [(name, history.looks(name)[-MAX_RUNS:]) for name in history.suites]
    shown = [(name, looks) for name, looks in found if any(_is_known(look) for look in looks)]
    return _panels(
        [
            (name, partial(_draw_looks, looks=looks), [run for run, _ in looks])
            for name, looks in shown
        ],
        "difference of every run, suite by suite",
    )


def draw_data(history: History) -> str:
    """Calls that came in, and the shares that were held back or could not be read. Empty where no
    run took in anything."""
    taken = [run for run in history.runs if run.intake is not None and run.intake.num_read]
    taken = taken[-MAX_RUNS:]
    if not taken:
        return ""
    intakes = [run.intake for run in taken if run.intake is not None]
    panels = [
        ("new calls", partial(_draw_bars, values=[one.num_new for one in intakes]), taken),
        ("held back, %", partial(_draw_shares, values=[one.held_share for one in intakes]), taken),
        (
            "not readable, %",
            partial(_draw_shares, values=[one.dead_share for one in intakes]),
            taken,
        ),
    ]
    return _panels(panels, "data that came in, run by run")


def draw_usage(history: History) -> str:
    """What 1,000 requests cost, a panel a currency, and how long one takes: of champion, challenger
    and the calls in the logs. Empty where nothing tells either."""
    runs = [run for run in history.runs if run.usage][-MAX_RUNS:]
    currencies = sorted({used.currency for run in runs for used in run.usage.values()} - {""})
    measures: list[tuple[str, Callable[[Usage], float | None]]] = [
        (f"cost of 1,000 requests, {currency}", partial(_cost_in, currency=currency))
        for currency in currencies
    ]
    if any(used.latency_p50_s is not None for run in runs for used in run.usage.values()):
        measures += [
            ("latency, median, seconds", attrgetter("latency_p50_s")),
            ("latency, 95th percentile, seconds", attrgetter("latency_p95_s")),
        ]
    return _panels(
        [(title, partial(_draw_usage, runs=runs, value=value), runs) for title, value in measures],
        "cost and latency, run by run",
    )


def _cost_in(used: Usage, currency: str) -> float | None:
    return used.cost_per_1000 if used.currency == currency else None


def _is_known(look: tuple[PastRun, SuiteResult]) -> bool:
    return look[1].difference is not None


def _panels(panels: Sequence[_Panel], label: str) -> str:
    """Side by side, each over its runs, of which the first and the last are dated."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = panels[:MAX_SUITES]
    if not panels:
        return ""
    with drawing(label):
        num_rows = math.ceil(len(panels) / _PER_ROW)
        figure = Figure(figsize=(9.6, 2.3 * num_rows), layout="constrained")
        FigureCanvasAgg(figure)
        for place, (title, draw, runs) in enumerate(panels):
            axes = figure.add_subplot(num_rows, _PER_ROW, place + 1)
            draw(axes)
            axes.set_title(plain(title), color=INK, fontsize=9.5)
            axes.tick_params(colors=INK, length=3, labelsize=8)
            ends = sorted({0, len(runs) - 1})
            axes.set_xticks(ends, [f"{runs[end].started_at:%Y-%m-%d}" for end in ends])
            for side in ("top", "right"):
                axes.spines[side].set_visible(False)
            for side in ("bottom", "left"):
                axes.spines[side].set_color(FAINT)
        svg = io.BytesIO()
        figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None})
    return inline(svg.getvalue().decode(), label)


def _draw_looks(axes: Any, looks: Looks) -> None:
    ends: list[float] = []
    by_tone: dict[str, list[tuple[int, SuiteResult]]] = {}
    for place, (_, result) in enumerate(looks):
        if result.difference is not None:
            by_tone.setdefault(_TONES.get(result.verdict, UNSURE), []).append((place, result))
    for colour, marks in by_tone.items():  # a line for each mark would take ten times as long
        places = [place for place, _ in marks]
        values = [100 * result.difference for _, result in marks if result.difference is not None]
        bars = [(place, 100 * result.interval.low, 100 * result.interval.high)
                for place, result in marks if result.interval is not None]  # fmt: skip
        if bars:
            axes.vlines(*zip(*bars, strict=True), color=colour, linewidth=1.6, alpha=0.6)
        axes.plot(places, values, marker="o", markersize=4, color=colour, linestyle="none")
        ends += [*values, *(end for _, *both in bars for end in both)]
    _draw_sequence(axes, looks)
    axes.axhline(0, color=INK, linewidth=0.8)
    margins = [-100 * result.rule.margin for _, result in looks]
    axes.step(range(len(looks)), margins, where="mid", color=MARGIN, linewidth=1.2,
              linestyle=(0, (3, 2)))  # fmt: skip
    axes.set_xlim(-0.7, max(len(looks), 5) - 0.3)
    lowest, highest = min([*ends, *margins]) - 1, max([*ends, 0.0]) + 1
    axes.set_ylim(lowest, highest)


def _draw_sequence(axes: Any, looks: Looks) -> None:
    """The confidence sequence of the last pair, over the runs that looked at it."""
    count = same_pair_at_end(looks)
    known = [
        (len(looks) - count + place, result.standing.interval)
        for place, (_, result) in enumerate(looks[-count:])
        if result.standing is not None and result.standing.interval.low
        <= result.standing.interval.high
    ]  # fmt: skip
    if len(known) > 1:
        places = [place for place, _ in known]
        low, high = ([100 * getattr(ends, end) for _, ends in known] for end in ("low", "high"))
        axes.fill_between(places, low, high, color=UNSURE, alpha=0.18, linewidth=0)


def _draw_usage(axes: Any, runs: Sequence[PastRun], value: Callable[[Usage], float | None]) -> None:
    highest = 0.0
    for by, (colour, marker, line) in _USED_BY.items():
        told = [(place, value(run.usage[by])) for place, run in enumerate(runs) if by in run.usage]
        known = [(place, one) for place, one in told if one is not None]
        if known:
            places, values = zip(*known, strict=True)
            axes.plot(places, values, color=colour, marker=marker, linestyle=line, label=by,
                      linewidth=1.4, markersize=3.5)  # fmt: skip
            highest = max(highest, *values)
    if highest:
        axes.legend(fontsize=7.5, frameon=False, labelcolor=INK)
    axes.set_ylim(0, 1.3 * highest or 1)
    axes.set_xlim(-0.7, max(len(runs), 5) - 0.3)


def _draw_bars(axes: Any, values: Sequence[float]) -> None:
    edges = [place - 0.5 for place in range(len(values) + 1)]
    axes.stairs(values, edges, fill=True, color=UNSURE, alpha=0.7)  # a bar each is slow to draw
    axes.set_xlim(-0.7, max(len(values), 5) - 0.3)


def _draw_shares(axes: Any, values: Sequence[float | None]) -> None:
    known = [(place, 100 * value) for place, value in enumerate(values) if value is not None]
    axes.plot([place for place, _ in known], [value for _, value in known], color=LOSS,
              linewidth=1.4, marker="o", markersize=3)  # fmt: skip
    axes.set_ylim(0, max([1.0, *(1.15 * value for _, value in known)]))
    axes.set_xlim(-0.7, max(len(values), 5) - 0.3)
