"""The markdown summary shown on the MLflow run (at most 8,000 characters; more is cut silently).

Text from settings and logs is escaped for markdown tables and HTML.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tasks.model.answer import ROLES
from tasks.model.turn import Turn
from tasks.model.verdict import deciding_suite
from tasks.model.visible import one_line
from tasks.report import flips, intake, wording
from tasks.report.standings import ReleaseRow, suites_of

MAX_CHARS = 8_000
_MAX_REASON_CHARS = 400
_MAX_REASONS = 12


def note(
    turn: Turn,
    *,
    compare_url_path: str,
    report_url_path: str,
    runs_url_path: str,
    num_rows: int,
    standings: Sequence[ReleaseRow] = (),
) -> str:
    """Verdict, suites, funnel, links, of a turn of one challenger; `standings`: all releases, where
    there were several. Rows that do not fit are left out with their count."""
    headline, consequence = wording.headline(turn)
    reasons = [f"- {_text(_bounded(reason))}" for reason in turn.verdict.reasons[:_MAX_REASONS]]
    if len(turn.verdict.reasons) > _MAX_REASONS:
        reasons.append(f"- … and {len(turn.verdict.reasons) - _MAX_REASONS} more, in the report")
    changes = flips.choose(turn.judged, 0)
    head = [
        f"**{wording.heading(turn.verdict.verdict)}: {_text(headline)}. {consequence}** "
        f"{_text(_numbers(turn))}", "",
        f"[Report](#{report_url_path.removeprefix('/#')}) "
        f"· [all answers side by side](#{compare_url_path.removeprefix('/#')}) "
        f"· [all verdicts](#{runs_url_path.removeprefix('/#')})", "",
        *([turn.erased, ""] if turn.erased else ()),
        *reasons, "",
    ]  # fmt: skip
    if standings:
        suites = [_text(name) for name in suites_of(turn.ranking)]
        head += [
            f"| release | verdict | rank |{''.join(f' {name} |' for name in suites)}",
            f"|---|---|--:|{'--:|' * len(suites)}",
        ]
        for row in standings:
            means = "".join(f" {wording.percent(mean)} |" for mean in row.means)
            verdict = wording.label(row.verdict) or "champion"
            head.append(f"| {_text(row.name)} | {verdict} | {row.rank} |{means}")
        head.append("")
    total = len(turn.judged)
    if num_rows != total:
        head += [f"The comparison holds {num_rows} of {total} samples, drawn by their digests "
                 "whatever their outcome: its means are estimates of those below.", ""]  # fmt: skip
    if any(item.sample.weight != 1 for item in turn.judged):
        head += ["Samples of production count by the calls they stand for (`flywheel.weight` of a "
                 "trace); the comparison's own means take all rows as equal.", ""]  # fmt: skip
    tail = [
        "", f"{changes.num_flips} of {changes.num_samples} answers changed their score: "
        f"{changes.num_losses} down, {changes.num_gains} up, {changes.num_one_sided} scored on one "
        f"side only; {changes.num_reworded} more changed their wording only; on "
        f"{changes.num_both_failed} both failed.", "",
        "| stage | in | out | quarantined | duplicates | dead letters | seconds |",
        "|---|--:|--:|--:|--:|--:|--:|",
        *(f"| {s.stage} | {s.rows_in} | {s.rows_out} | {s.quarantined} | {s.duplicates} "
          f"| {s.dead_letters} | {s.seconds:.1f} |" for s in turn.receipts), "",
        *(f"{s.stage}: {s.outside_window} of {s.rows_in} outside the window asked for.\n"
          for s in turn.receipts if s.outside_window),
        *(f"Not read: {_text(text)}.\n" for s in turn.receipts for text in intake.unread(s)[:1]),
        f"Eval set `{turn.eval_set.digest[:36]}`, {turn.eval_set.num_samples} samples. "
        f"Run `{turn.run_id}`; verdict.json and its receipt are under Artifacts.",
    ]  # fmt: skip
    return _fitted(head, _suite_rows(turn), [*_guardrail_rows(turn), *tail])


def _numbers(turn: Turn) -> str:
    """Those of the suite that decided."""
    suite = deciding_suite(turn.verdict.verdict, turn.verdict.suites)
    if suite is None or suite.difference is None:
        return ""
    interval = wording.interval(suite.interval, signed=True)
    difference = f"{wording.points(suite.difference)} points ({interval})"
    margin = wording.margin(suite.rule.margin)
    return f"Suite {suite.rule.name}: {difference} at a margin of {margin}."


def _suite_rows(turn: Turn) -> list[str]:
    rows = [
        "| suite | role | champion | challenger | difference, points (CI) | margin | equal release "
        "passes | n | verdict |",
        "|---|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    for suite in turn.verdict.suites:
        rule, power = suite.rule, suite.power
        means = (wording.percent(suite.releases[role].mean) for role in ROLES)
        rows.append(
            f"| {_text(rule.name)} | {_text(rule.role)} | {' | '.join(means)} "
            f"| {wording.points(suite.difference)} "
            f"({wording.interval(suite.interval, signed=True)}) | {wording.percent(rule.margin)} "
            f"| {wording.percent(power.pass_probability if power else None)} "
            f"| {suite.num_samples} | {_text(wording.label(suite.verdict))} |"
        )
    return rows


def _guardrail_rows(turn: Turn) -> list[str]:
    if not turn.verdict.guardrails:
        return []
    rows = [
        "",
        "| guardrail | champion | challenger | more (CI) | allowed | n | verdict |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    for part in turn.verdict.guardrails:
        rule = part.rule
        rows.append(
            f"| {_text(rule.name)} | {_text(wording.measured(part.champion, rule))} "
            f"| {_text(wording.measured(part.challenger, rule))} "
            f"| {wording.relative(part.ratio)} ({wording.relative_interval(part.interval)}) "
            f"| {100 * rule.margin:g}% | {part.num_samples} "
            f"| {_text(wording.label(part.verdict))} |"
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
    line = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~!])", r"\\\1", line)
