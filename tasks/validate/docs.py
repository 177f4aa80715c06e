"""Data Docs: the page a person opens to see what validation found.

It is made of what Great Expectations says of each rule and of the wording of the rules; no value of
a call is on it. It loads nothing and runs nothing, and jinja2 escapes every text.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from expectations.rules import Rule, RuleSet
from tasks.errors import StoreError
from tasks.report.escaping import page_templates
from tasks.rules.outcomes import Failures, Judged, RuleOutcome

INDEX = "index.html"
_MAX_HISTORY = 30
_SUBJECTS = {"calls": "calls", "batch": "the batch as a whole", "feedback": "feedback"}
_EFFECTS = (
    ("critical", "missed, rows held back"),
    ("batch", "missed, the run may stop"),
    ("warning", "missed with a warning only"),
)


@dataclass(frozen=True, slots=True)
class Summary:
    """What fails among the calls and the feedback, and the batch rules broken by either or by the
    profile, with what was found."""

    run_id: str
    judged_at: datetime
    calls: Failures
    stopped: bool
    broken: Mapping[str, str] = field(default_factory=dict)
    feedback: Failures = field(default_factory=Failures)


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that something was found for; `rows` and `share` as they are shown."""

    rule: Rule
    rows: str
    share: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """All rules on one table, by the column they look at first."""

    subject: str
    overview: str
    columns: tuple[tuple[str, tuple[tuple[Rule, RuleOutcome], ...]], ...]


def render(judged: Sequence[Judged], summary: Summary, earlier: tuple[str, ...] = ()) -> str:
    """The whole page as HTML. The first of `judged` is that of the calls."""
    template = page_templates("tasks.validate").get_template("data_docs.html.j2")
    page: str = template.render(
        rule_set=judged[0].rule_set,
        summary=summary,
        num_rules=sum(len(part.rule_set.rules) for part in judged),
        findings=list(_findings([part.rule_set for part in judged], summary)),
        sections=[_section(part) for part in judged if part.rule_set.rules],
        earlier=earlier,
    )
    return page


def _findings(rule_sets: Sequence[RuleSet], summary: Summary) -> Iterator[Finding]:
    rules = {rule.id: rule for rule_set in rule_sets for rule in rule_set.rules}
    for rule_id, figures in summary.broken.items():
        yield Finding(rules[rule_id], figures)
    calls, signals = summary.calls, summary.feedback
    for counts, rows_in in (
        (calls.by_reason, calls.rows_in),
        (signals.by_reason, signals.rows_in),
        (calls.warnings, calls.rows_in),
        (signals.warnings, signals.rows_in),
    ):
        for rule_id, rows in counts.items():
            yield Finding(rules[rule_id], f"{rows:,}", f"{rows / max(rows_in, 1):.1%}")


def _section(judged: Judged) -> Section:
    rule_set, outcomes = judged.rule_set, judged.outcomes
    missed: Counter[str] = Counter(
        rule_set.rule(o.rule_id).severity for o in outcomes if not o.success
    )
    parts = [f"{len(outcomes) - missed.total()} of {len(outcomes)} are met"]
    parts += [f"{missed[severity]} {effect}" for severity, effect in _EFFECTS if missed[severity]]
    by_column: dict[str, list[tuple[Rule, RuleOutcome]]] = {}
    for outcome in outcomes:
        rule = rule_set.rule(outcome.rule_id)
        by_column.setdefault(rule.columns[0], []).append((rule, outcome))
    columns = tuple((name, tuple(pairs)) for name, pairs in sorted(by_column.items()))
    return Section(_SUBJECTS[rule_set.name], "; ".join(parts) + ".", columns)


def write_docs(folder: Path, judged: Sequence[Judged], summary: Summary) -> Path:
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
            # whole or not at all: a reader never sees half a page
            part = folder / f"{target}.part"
            part.write_text(page, encoding="utf-8")
            os.replace(part, folder / target)
        for old in earlier[_MAX_HISTORY:]:
            (folder / old).unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"the Data Docs cannot be written: {error.strerror}",
            received=str(folder),
            next="free the folder, or set [validate] data_docs = false",
        ) from None
    return folder / INDEX
