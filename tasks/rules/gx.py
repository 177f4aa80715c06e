"""Great Expectations over the store: rules in, one plain value a rule out.

Importing this module takes seconds, so only the stage imports it, and only when there is a row to
judge. The context is ephemeral (no files), progress bars and analytics are off, and results hold
counts only: no value of a row ever leaves DuckDB on this way.

Must not know: quarantine, receipts, settings.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from typing import Any, Literal

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # before the import below: it reads this once

import great_expectations as gx
from great_expectations.core import ExpectationSuiteValidationResult
from great_expectations.datasource.fluent import SQLDatasource

from expectations.checks import JudgedTable
from expectations.rules import RuleSet
from tasks.rules.duckdb_dialect import lend
from tasks.rules.outcomes import RuleOutcome
from tasks.store import Store

#: counts only; a result must not carry what a user wrote
_RESULT_FORMAT = {
    "result_format": "BASIC",
    "partial_unexpected_count": 0,
    "exclude_unexpected_values": True,
}


# its notes on temporary folders are not for those who read our progress; the second logger sets a
# level of its own
for _name in ("great_expectations", "great_expectations.data_context.types.base"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class FlywheelDuckDBDatasource(SQLDatasource):  # type: ignore[misc]
    """GX finds a datasource by its class: declared in a module, before any context is made."""

    type: Literal["flywheel_duck_db"] = "flywheel_duck_db"


def judge(store: Store, rule_set: RuleSet, batch: JudgedTable) -> tuple[RuleOutcome, ...]:
    """Validate the committed rows of `batch.table` against the rules.

    A rule GX cannot judge is reported with its exception, never as a pass.
    """
    return outcomes_of(validated(store, rule_set, batch), rule_set)


def validated(
    store: Store, rule_set: RuleSet, batch: JudgedTable
) -> ExpectationSuiteValidationResult:
    """GX's own result."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    with lend(store.connection) as url:
        source = context.data_sources.add_flywheel_duck_db("store", connection_string=url)
        asset = source.add_table_asset(batch.table, table_name=batch.table)
        gx_batch = asset.add_batch_definition_whole_table("all").get_batch()
        result = gx_batch.validate(rule_set.to_gx(batch), result_format=dict(_RESULT_FORMAT))
        context.data_sources.delete("store")
    return result


def outcomes_of(
    result: ExpectationSuiteValidationResult, rule_set: RuleSet
) -> tuple[RuleOutcome, ...]:
    """GX's result as plain values, one a rule. Raises KeyError when a rule was not judged."""
    entries = {entry.expectation_config.meta["rule"]: entry for entry in result.results}
    return tuple(_outcome(rule.id, entries[rule.id]) for rule in rule_set.rules)


def _outcome(rule_id: str, entry: Any) -> RuleOutcome:
    exception = _exception(entry.exception_info)
    result: Mapping[str, Any] = entry.result or {}
    # kinds of GX's own count unexpected values, the SQL kind observes a number of rows
    count = result.get("unexpected_count", result.get("observed_value"))
    if count is None and exception is None and not entry.success:
        exception = "it failed without counting"
    # without a row to look at (none meets the row condition) GX passes and gives no count
    num_rows = int(result.get("element_count") or 0)
    return RuleOutcome(rule_id, bool(entry.success), int(count or 0), exception, num_rows)


def _exception(info: Mapping[str, Any] | None) -> str | None:
    """The class of the first exception; GX nests them by metric, or not.

    Its message stays behind: DuckDB quotes values of the row it stumbled over.
    """
    if not info:
        return None
    entries = [info, *(value for value in info.values() if isinstance(value, Mapping))]
    for entry in entries:
        if entry.get("raised_exception"):
            named = re.search(r"\b\w+(?:Error|Exception)\b", str(entry.get("exception_message")))
            return named.group(0) if named else "an exception"
    return None
