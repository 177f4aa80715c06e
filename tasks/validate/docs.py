"""Data Docs: the page a person opens to see what validation found.

The body is Great Expectations' own rendering of its result, cleaned of everything that would load
from elsewhere, under a summary of ours and a style of our own. It holds counts and the wording of
the rules; no value of a call is on it.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path

from great_expectations.core import ExpectationSuiteValidationResult
from great_expectations.render.renderer import ValidationResultsPageRenderer
from great_expectations.render.view import DefaultJinjaPageView

from expectations.rules import Suite
from tasks.errors import StoreError
from tasks.validate.page_cleaner import clean
from tasks.validate.page_style import STYLE
from tasks.validate.summary import Summary

INDEX = "index.html"
_MAX_HISTORY = 30
_SUBJECTS = {"calls": "calls", "batch": "the batch as a whole", "feedback": "feedback"}


_SECTION = '<div class="ge-section'

Judged = Sequence[tuple[Suite, ExpectationSuiteValidationResult]]


def render(judged: Judged, summary: Summary, earlier: tuple[str, ...] = ()) -> str:
    """The whole page as HTML; loads nothing, runs nothing. The first suite is that of the calls."""
    suite = judged[0][0]
    details = "".join(_details(each, result) for each, result in judged if each.rules)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # should anything slip through the cleaning, the browser still loads and runs nothing
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>Data Docs · {escape(suite.name)} · {escape(summary.run_id)}</title>"
        f"<style>{STYLE}</style></head><body><main>"
        f"{_head(judged, summary)}{_reasons(judged, summary)}"
        f"{details}{_history(earlier)}</main></body></html>\n"
    )


def _details(suite: Suite, result: ExpectationSuiteValidationResult) -> str:
    html = clean(DefaultJinjaPageView().render(ValidationResultsPageRenderer().render(result)))
    return (
        f"<h2>Every expectation on {_SUBJECTS[suite.name]}, by column</h2>"
        f'<p class="lead">{_overview(suite, result)} Rendered by Great Expectations from its own '
        "result: an expectation is missed as soon as one row misses it, or more than its share of "
        "a batch.</p>"
        f'<div class="gx">{_told_apart(html)}</div>'
    )


def _overview(suite: Suite, result: ExpectationSuiteValidationResult) -> str:
    """In place of GX's own, which calls a suite failed where one rule warns."""
    missed: Counter[str] = Counter(
        suite.rule(entry.expectation_config.meta["rule"]).severity
        for entry in result.results
        if not entry.success
    )
    effects = (
        ("critical", "missed, rows held back"),
        ("batch", "missed, the run may stop"),
        ("warning", "missed with a warning only"),
    )
    parts = [f"{len(result.results) - missed.total()} of {len(result.results)} are met"]
    parts += [f"{missed[severity]} {effect}" for severity, effect in effects if missed[severity]]
    return "; ".join(parts) + "."


def _told_apart(html: str) -> str:
    """GX's sections without its overview; a missed warning does not look like a failure."""
    before, _, *sections = html.split(_SECTION)
    rows = _SECTION.join([before, *sections]).split("<tr>")
    return "<tr>".join(_row(row) for row in rows)


def _row(html: str) -> str:
    severity = re.search(r"<span>\s*\w+ \((critical|warning|batch)\): ", html)
    marked = re.sub(r' id="[^"]*"', "", html)  # each suite numbers its own from 1
    marked = marked.replace("NaN% not null", "no row to judge")
    if severity is None or severity[1] != "warning":
        return marked
    return marked.replace("fa-times text-danger", "fa-times warned").replace(
        '<strong class="text-danger">', '<strong class="warned">'
    )


def _head(judged: Judged, summary: Summary) -> str:
    suite = judged[0][0]
    passed = summary.rows_in - summary.quarantined
    state = "batch stopped: nothing was moved" if summary.stopped else "batch accepted"
    cards = (
        ("calls judged", summary.rows_in, ""),
        ("passed", passed, "good"),
        (
            "failed, to quarantine" if not summary.stopped else "failed, kept in landing",
            summary.quarantined,
            "bad" if summary.quarantined else "",
        ),
        ("expectations", sum(len(each.rules) for each, _ in judged), ""),
    )
    figures = "".join(
        f'<div class="card {kind}"><b>{value:,}</b><span>{escape(name)}</span></div>'
        for name, value, kind in cards
    )
    return (
        "<h1>Data quality of the calls</h1>"
        f'<p class="lead">Run <code>{escape(summary.run_id)}</code>'
        f" · {summary.judged_at:%Y-%m-%d %H:%M} UTC"
        f" · suite <code>{escape(suite.name)}</code> version <code>{suite.version[:12]}</code>"
        f" · <strong>{state}</strong></p>"
        f'<div class="cards">{figures}</div>'
    )


def _reasons(judged: Judged, summary: Summary) -> str:
    rules = {rule.id: rule for suite, _ in judged for rule in suite.rules}
    found = [(name, "batch", seen, "") for name, seen in summary.broken.items()]
    signals = summary.feedback
    for counts, severity, rows_in in (
        (summary.by_reason, "critical", summary.rows_in),
        (signals.by_reason, "critical", signals.rows_in),
        (summary.warnings, "warning", summary.rows_in),
        (signals.warnings, "warning", signals.rows_in),
    ):
        found += [
            (name, severity, f"{rows:,}", f"{rows / max(rows_in, 1):.1%}")
            for name, rows in counts.items()
        ]
    if not found:
        return "<h2>What was found</h2><p>Every call meets every expectation.</p>"
    lines = "".join(
        f"<tr><td><code>{escape(name)}</code></td>"
        f'<td><span class="tag {severity}">{severity}</span></td>'
        f'<td class="number">{escape(rows)}</td><td class="number">{share}</td>'
        f"<td>{escape(rules[name].meaning)}<br><small>{escape(rules[name].reason)}</small></td></tr>"
        for name, severity, rows, share in found
    )
    return (
        '<h2>What was found</h2><p class="lead">A call that fails critical expectations is held '
        "back under the first of them; a warning is counted and the call goes on; a broken batch "
        "expectation stops the run.</p>"
        "<table><thead><tr><th>expectation</th><th>severity</th><th>calls</th><th>share</th>"
        f"<th>meaning, and why it matters</th></tr></thead><tbody>{lines}</tbody></table>"
    )


def _history(earlier: tuple[str, ...]) -> str:
    if not earlier:
        return ""
    links = "".join(f'<li><a href="{escape(n)}">{escape(n[:-5])}</a></li>' for n in earlier)
    return f"<h2>Earlier runs</h2><ul>{links}</ul>"


def write_docs(folder: Path, judged: Judged, summary: Summary) -> Path:
    """Write the page of this run and make it the index; older pages than the last 30 go.

    Raises StoreError where the folder cannot be written.
    """
    name = f"{summary.run_id}.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = sorted((path.name for path in folder.glob("*.html")), reverse=True)
        earlier = [other for other in known if other not in (INDEX, name)]
        page = render(judged, summary, tuple(earlier[:_MAX_HISTORY]))
        for target in (name, INDEX):
            _replace(folder / target, page)
        for old in earlier[_MAX_HISTORY:]:
            (folder / old).unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"the Data Docs cannot be written: {error.strerror}",
            received=str(folder),
            next="free the folder, or set [validate] data_docs = false",
        ) from None
    return folder / INDEX


def _replace(path: Path, text: str) -> None:
    """Whole or not at all: a reader never sees half a page."""
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
