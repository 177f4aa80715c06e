"""The markdown summary shown on the MLflow run (at most 8,000 characters; more is cut silently).

Text from settings and logs is escaped for markdown tables and HTML.
"""

from __future__ import annotations

import re

from tasks.model import turn as facts
from tasks.report import flips, funnel, wording

MAX_CHARS = 8_000
_MAX_REASON_CHARS = 400
_MAX_REASONS = 12


def note(turn: facts.Turn, *, compare_url_path: str, experiment_id: str) -> str:
    """Verdict, suites, funnel, links. Rows that do not fit are left out with their count."""
    headline, consequence = wording.headline(turn)
    reasons = [f"- {_text(_bounded(reason))}" for reason in turn.reasons[:_MAX_REASONS]]
    if len(turn.reasons) > _MAX_REASONS:
        reasons.append(f"- … and {len(turn.reasons) - _MAX_REASONS} more, in the report")
    changes, steps = flips.choose(turn.pairs, 0), funnel.steps(turn)
    head = [
        f"## {_text(wording.label(turn.verdict))}: {_text(headline)}", "", f"**{consequence}**", "",
        *reasons, "",
        f"[Compare row by row](#{compare_url_path.removeprefix('/#')}) "
        f"· report.html, verdict.json and differences.png are under Artifacts "
        f"· [all runs](#/experiments/{experiment_id}/runs)", "",
    ]  # fmt: skip
    tail = [
        "", f"{changes.num_flips} of {changes.num_pairs} answers changed their score: "
        f"{changes.num_losses} down, {changes.num_gains} up, {changes.num_one_sided} scored on one "
        f"side only; {changes.num_reworded} more changed their wording only.", "",
        "| stage | in | out | quarantined | duplicates | dead letters | seconds |",
        "|---|--:|--:|--:|--:|--:|--:|",
        *(f"| {s.stage} | {s.rows_in} | {s.rows_out} | {s.quarantined} | {s.duplicates} "
          f"| {s.dead_letters} | {s.seconds:.1f} |" for s in steps), "",
        *(f"{s.stage}: {s.outside_window} of {s.rows_in} outside the window asked for.\n"
          for s in steps if s.outside_window),
        f"Eval set `{turn.eval_set.digest[:36]}`, {turn.eval_set.num_samples} samples.",
    ]  # fmt: skip
    return _fitted(head, _suite_rows(turn), tail)


def _suite_rows(turn: facts.Turn) -> list[str]:
    rows = [
        "| suite | role | champion | challenger | difference, points (CI) | margin | smallest "
        "visible effect | n | verdict |",
        "|---|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    for suite in turn.suites:
        rows.append(
            f"| {_text(suite.suite)} | {_text(suite.role)} | {wording.percent(suite.champion)} "
            f"| {wording.percent(suite.challenger)} | {wording.points(suite.difference)} "
            f"({wording.interval(suite.ci_low, suite.ci_high, signed=True)}) "
            f"| {wording.percent(suite.margin)} | {wording.percent(suite.min_detectable_effect)} "
            f"| {suite.num_samples} | {_text(wording.label(suite.verdict))} |"
        )
    return rows


def _fitted(head: list[str], suites: list[str], tail: list[str]) -> str:
    """Suites are left out from the end, with their count, until all fits."""
    for kept in range(len(suites), 1, -1):
        left_out = len(suites) - kept
        more = [f"| … {left_out} more suites in the report | | | | | | | | |"] if left_out else []
        text = "\n".join([*head, *suites[:kept], *more, *tail])
        if len(text) <= MAX_CHARS:
            return text
    return "\n".join([*head, *tail])[:MAX_CHARS]


def _bounded(reason: str) -> str:
    text, left_out = wording.shortened(reason, _MAX_REASON_CHARS)
    return f"{text} … [shortened by {left_out} characters]" if left_out else text


def _text(text: str) -> str:
    """Plain text in markdown: no HTML, no table cell, no emphasis, no link, one line."""
    line = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~!])", r"\\\1", line)
