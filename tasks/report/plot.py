"""The forest plot: paired difference with its interval, for each suite and each of its slices; the
curve of the evidence, look by look; and the parts that a difference was split into.

Drawn with matplotlib's object interface (no pyplot, no window, Agg), imported late. Labels come
from logs: they are drawn as plain text (no mathtext), without control characters, shortened.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from tasks.model.comparison import Interval
from tasks.model.explanation import Explanation, Part
from tasks.model.turn import Turn
from tasks.model.verdict import SuiteResult
from tasks.model.visible import one_line
from tasks.report.wording import points, share

Row = TypeVar("Row")

MAX_ROWS = 40
_MAX_LABEL_CHARS = 36
_MAX_CURVES = 9
#: stand-ins that become CSS variables when the plot is put into the page
INK, FAINT, LOSS, GAIN, UNSURE, MARGIN = (
    "#1f2430", "#b9c0cc", "#c0392f", "#22804a", "#566074", "#b7791f",
)  # fmt: skip
_VARIABLES = {
    INK: "var(--ink)", FAINT: "var(--line)", LOSS: "var(--bad)", GAIN: "var(--good)",
    UNSURE: "var(--dim)", MARGIN: "var(--warn)",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of the plot; `suite` rows stand for the whole suite."""

    label: str
    is_suite: bool
    num_samples: int
    difference: float
    interval: Interval | None
    margin: float


@dataclass(frozen=True, slots=True)
class Plot:
    """`inline` and `curves` follow the page's colours; the others stand alone on white. `curves` is
    empty where no suite was looked at twice."""

    inline: str
    curves: str
    svg: bytes
    png: bytes
    num_left_out: int


def bars(turn: Turn) -> tuple[tuple[Bar, ...], int]:
    """Rows of the plot, and how many slices are left out (no difference, or too many)."""
    rows: list[Bar] = []
    suites, slices = turn.verdict.suites, turn.verdict.slices
    for suite in suites:
        rule = suite.rule
        if suite.difference is not None:
            rows.append(Bar(plain(rule.name), True, suite.num_samples, suite.difference,
                            suite.interval, rule.margin))  # fmt: skip
        for part in sorted(slices, key=lambda part: (part.slice, part.value)):
            if part.suite == rule.name and part.difference is not None:
                rows.append(Bar(plain(f"{part.slice} = {part.value}"), False, part.num_samples,
                                part.difference, part.interval,
                                part.margin or rule.margin))  # fmt: skip
    return tuple(rows[:MAX_ROWS]), len(suites) + len(slices) - min(len(rows), MAX_ROWS)


def plain(text: str) -> str:
    """One printable line, at most as long as the plot has room for."""
    line = re.sub("[\ufffe\uffff]+", " ", one_line(text)).strip()  # XML has no such characters
    return line if len(line) <= _MAX_LABEL_CHARS else line[: _MAX_LABEL_CHARS - 1] + "…"


def draw(turn: Turn) -> Plot | None:
    """None where no difference could be computed."""
    rows, left_out = bars(turn)
    if not rows:
        return None
    with drawing(turn.run_id):
        figure = _rows_figure(rows, _draw_row)
        curves = _curves(
            [
                suite
                for suite in turn.verdict.suites
                if suite.standing is not None and len(suite.standing.looks) > 1
            ]
        )
        svg, png = io.BytesIO(), io.BytesIO()
        figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None})
        figure.savefig(png, format="png", dpi=130, facecolor="white")
    shown = inline(svg.getvalue().decode(), "paired differences")
    return Plot(shown, curves, svg.getvalue(), png.getvalue(), left_out)


def draw_split(explanation: Explanation) -> str:
    """The parts as bars with their intervals, in the page's colours."""
    rows = explanation.parts
    with drawing(explanation.run_id):
        figure = _rows_figure(rows, _draw_part)
        svg = io.BytesIO()
        figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None})
    return inline(svg.getvalue().decode(), "parts of the difference")


def _draw_part(axes: Any, place: int, part: Part) -> None:
    value, ends = 100 * part.amount.value, part.amount.interval
    colour = UNSURE
    if ends is not None:
        colour = LOSS if ends.high < 0 else GAIN if ends.low > 0 else UNSURE
        axes.plot([100 * ends.low, 100 * ends.high], [place] * 2, color=INK, linewidth=1.4,
                  solid_capstyle="butt", zorder=3)  # fmt: skip
    axes.barh([place], [value], height=0.56, color=colour, alpha=0.55, linewidth=0, zorder=2)
    told = "" if part.share is None else f"  ({share(part.share)})"
    common = {"color": INK, "va": "center", "clip_on": False,
              "transform": axes.get_yaxis_transform()}  # fmt: skip
    axes.text(-0.025, place, plain(part.name), ha="right", fontweight="bold", **common)
    axes.text(1.025, place, f"{points(part.amount.value)}{told}", ha="left", **common)


@contextmanager
def drawing(salt: str) -> Iterator[None]:
    """Settings of matplotlib by which the same values give the same file."""
    import matplotlib

    settings = {"svg.fonttype": "none", "svg.hashsalt": salt, "font.size": 10,
                "font.family": "sans-serif", "text.parse_math": False}  # fmt: skip
    with warnings.catch_warnings(), matplotlib.rc_context(settings):
        # a label in a script the font lacks is drawn by the reader's browser
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        yield


def _rows_figure(rows: Sequence[Row], draw_row: Callable[[Any, int, Row], None]) -> Any:
    """A row below the other, over percentage points."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height = 1.1 + 0.32 * len(rows)
    figure = Figure(figsize=(9.6, height))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.34, 0.62 / height, 0.50, 1 - 0.86 / height))
    places = range(len(rows))[::-1]
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1)
    for place, row in zip(places, rows, strict=True):
        draw_row(axes, place, row)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -6), max(high, 6))
    axes.set_yticks([])
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.tick_params(axis="x", colors=INK, length=3)
    axes.set_xlabel("challenger − champion, percentage points", color=INK, fontsize=9.5)
    axes.grid(axis="x", color=FAINT, linewidth=0.5, alpha=0.6)
    axes.set_axisbelow(True)
    return figure


def _draw_row(axes: Any, place: int, row: Bar) -> None:
    colour = UNSURE
    if row.interval is not None:
        low, high = row.interval.low, row.interval.high
        colour = LOSS if high < 0 else GAIN if low > 0 else UNSURE
        axes.plot([100 * low, 100 * high], [place, place], color=colour,
                  linewidth=2.6 if row.is_suite else 1.5, solid_capstyle="round")  # fmt: skip
    axes.plot([100 * row.difference], [place], marker="D" if row.is_suite else "o", color=colour,
              markersize=7 if row.is_suite else 5, zorder=3)  # fmt: skip
    axes.plot([-100 * row.margin] * 2, [place - 0.5, place + 0.5], color=MARGIN,
              linewidth=1.3, linestyle=(0, (3, 2)), zorder=2)  # fmt: skip
    weight = "bold" if row.is_suite else "normal"
    common = {"color": INK, "va": "center", "fontweight": weight, "clip_on": False}
    axes.text(-0.025 if row.is_suite else -0.045, place, row.label, ha="right",
              transform=axes.get_yaxis_transform(), **common)  # fmt: skip
    axes.text(1.025, place, f"{points(row.difference)}  (n={row.num_samples})", ha="left",
              transform=axes.get_yaxis_transform(), **common)  # fmt: skip


def _curves(suites: Sequence[SuiteResult]) -> str:
    """A panel for each suite: the interval that holds at all looks, over the samples looked at."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = suites[:_MAX_CURVES]
    if not shown:
        return ""
    height = 2.3 * math.ceil(len(shown) / 3)
    figure = Figure(figsize=(9.6, height), layout="constrained")
    FigureCanvasAgg(figure)
    for place, suite in enumerate(shown):
        standing = suite.standing
        assert standing is not None
        axes = figure.add_subplot(math.ceil(len(shown) / 3), 3, place + 1)
        samples = [look.num_samples for look in standing.looks]
        low, high = ([100 * getattr(look.interval, end) for look in standing.looks]
                     for end in ("low", "high"))  # fmt: skip
        middle = [100 * (look.difference or 0.0) for look in standing.looks]
        axes.fill_between(samples, low, high, color=UNSURE, alpha=0.18, linewidth=0)
        axes.plot(samples, middle, color=INK, linewidth=1.4, marker="o", markersize=3)
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.axhline(-100 * suite.rule.margin, color=MARGIN, linewidth=1.2, linestyle=(0, (3, 2)))
        least = min(-200 * suite.rule.margin, *middle) - 1
        axes.set_ylim(max(min(low), 3 * least), min(max(high), -3 * least))
        axes.set_title(plain(suite.rule.name), color=INK, fontsize=9.5)
        axes.tick_params(colors=INK, length=3, labelsize=8)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        for side in ("bottom", "left"):
            axes.spines[side].set_color(FAINT)
    svg = io.BytesIO()
    figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None})
    return inline(svg.getvalue().decode(), "evidence look by look")


def inline(svg: str, label: str) -> str:
    """The <svg> element alone, without size, with the page's colours, and without ids that nothing
    in it names: a page may have several."""
    element = svg[svg.index("<svg") :]
    named = set(re.findall(r'(?:url\(|href=")#([\w.-]+)', element))
    element = re.sub(r' id="([^"]*)"', lambda one: one[0] if one[1] in named else "", element)
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r"<!--.*?-->", "", element, flags=re.DOTALL)
    element = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", element, count=1)
    element = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", element, count=1)
    for colour, variable in _VARIABLES.items():
        element = element.replace(colour, variable)
    return element.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
