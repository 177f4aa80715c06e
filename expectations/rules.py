"""Rules and sets of them: a check with an id, a severity and its reason.

A rule is declared once; the Great Expectations suite and the SQL that finds the bad rows are both
derived from it.

Must not know: which stage judges. Great Expectations is imported only inside `to_gx`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from expectations.checks import Check, Expectation, JudgedTable, quoted, sql_literal
from expectations.contracts import TableContract

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.expectations.expectation import Expectation as GxExpectation

#: critical: the row is held back in quarantine; warning: it is counted and goes on; batch: more
#: than `max_ratio` of the rows violating it stops the run
Severity = Literal["critical", "warning", "batch"]


@dataclass(frozen=True, slots=True)
class When:
    """The rule speaks only of rows where `column` equals `value`, or where it does not."""

    column: str
    value: str
    equal: bool = True


@dataclass(frozen=True, slots=True)
class Rule:
    """One expectation.

    `id` is short and stable: people filter by it. `meaning` is one sentence a stranger
    understands; `reason` says why the rule stands at all and why at this severity. `max_ratio` is
    for severity batch: the share of the rows it speaks of (for a SQL rule, of all) that may violate
    it. `origin` is the file that declares it, where that is not this code.
    """

    id: str
    severity: Severity
    check: Check
    meaning: str
    reason: str
    when: tuple[When, ...] = ()
    max_ratio: float = 0.0
    origin: str = ""

    def __post_init__(self) -> None:
        if self.max_ratio and self.severity != "batch":
            raise ValueError(f"rule {self.id}: only a batch rule has a share that may violate it")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns to look at when a row violates it."""
        return self.check.columns

    def violation_sql(self, batch: JudgedTable) -> str:
        """A predicate over `batch.table`, true exactly for the rows that violate the rule."""
        terms = [
            f"{quoted(w.column)} {'=' if w.equal else '<>'} {sql_literal(w.value)}"
            for w in self.when
        ]
        return " AND ".join([*terms, f"({self.check.violation_sql(batch)})"])

    def to_gx(self, batch: JudgedTable) -> GxExpectation:
        """The Great Expectations expectation; imports that library (seconds on first use)."""
        import great_expectations.expectations as gxe

        from expectations import gx_kinds

        wanted = self.check.expectation(batch)
        condition = self._row_condition()
        if wanted is None:  # the condition is part of the predicate then
            shown = {"column": self.columns[0], "predicate": self.violation_sql(batch)}
            wanted, condition = Expectation("ExpectFewRowsToViolate", shown), {}
        kind = getattr(gxe, wanted.kind, None) or getattr(gx_kinds, wanted.kind)
        expectation: GxExpectation = kind(
            **wanted.arguments,
            **condition,
            mostly=round(1 - self.max_ratio, 12),
            severity="critical" if self.severity == "batch" else self.severity,
            description=f"{self.id} ({self.severity}): {self.meaning}",
            meta={"rule": self.id},
        )
        return expectation

    def _row_condition(self) -> dict[str, Any]:
        if not self.when:
            return {}
        from great_expectations.expectations.row_conditions import Column

        first, *others = [
            Column(w.column) == w.value if w.equal else Column(w.column) != w.value
            for w in self.when
        ]
        for other in others:
            first = first & other
        return {"row_condition": first}

    def declaration(self) -> dict[str, Any]:
        """Everything that decides what the rule finds, as JSON values (texts left out)."""
        share = {"max_ratio": self.max_ratio} if self.severity == "batch" else {}
        return share | {
            "id": self.id,
            "severity": self.severity,
            "kind": type(self.check).__name__,
            "check": asdict(self.check),  # type: ignore[call-overload]
            "when": [asdict(condition) for condition in self.when],
        }


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules over one table, in order: the first that a row fails names its quarantine."""

    name: str
    table: TableContract
    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        ids = [rule.id for rule in self.rules]
        doubled = sorted({name for name in ids if ids.count(name) > 1})
        if doubled:
            raise ValueError(f"rule set {self.name} has two rules named {', '.join(doubled)}")
        for rule in self.rules:
            for column in (*rule.columns, *(condition.column for condition in rule.when)):
                self.table.column(column)  # a KeyError names the columns there are

    @property
    def version(self) -> str:
        """Digest over what the rules find; the clock and the wording do not change it."""
        text = json.dumps([r.declaration() for r in self.rules], sort_keys=True, default=str)
        return hashlib.sha256(f"{self.table.name}{text}".encode()).hexdigest()

    def rule(self, rule_id: str) -> Rule:
        for rule in self.rules:
            if rule.id == rule_id:
                return rule
        raise KeyError(f"rule set {self.name} has no rule {rule_id!r}")

    def of(self, severity: Severity) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.rules if rule.severity == severity)

    def own_sql(self, batch: JudgedTable) -> dict[str, str]:
        """What rules declared elsewhere look for, by their place: they may not be sound."""
        return {
            f"{rule.origin}, rule {rule.id}": rule.violation_sql(batch)
            for rule in self.rules
            if rule.origin
        }

    def extended(self, rules: Iterable[Rule]) -> RuleSet:
        """The set with further rules after its own."""
        return RuleSet(self.name, self.table, (*self.rules, *rules))

    def to_gx(self, batch: JudgedTable) -> ExpectationSuite:
        """The Great Expectations suite; imports that library."""
        from great_expectations import ExpectationSuite

        return ExpectationSuite(
            name=self.name,
            expectations=[rule.to_gx(batch) for rule in self.rules],
            meta={"suite_version": self.version},
        )
