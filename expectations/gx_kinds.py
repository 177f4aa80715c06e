"""An expectation of our own for Great Expectations: few rows, or none, make a SQL predicate true.

GX's `UnexpectedRowsExpectation` does the same with two queries of its own a rule; as a map metric
it is counted in the one query that GX makes of all others. Importing this module takes seconds:
only `Rule.to_gx` does.

Source: https://docs.greatexpectations.io/docs/core/customize_expectations/
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metrics import ColumnMapMetricProvider
from great_expectations.expectations.metrics.map_metric_provider import column_condition_partial

_METRIC = "column_values.flywheel_predicate"


class _RowsViolatePredicate(ColumnMapMetricProvider):  # type: ignore[misc]
    """Found by GX through its class. `predicate` is true for an unexpected row."""

    condition_metric_name = _METRIC
    condition_value_keys = ("predicate",)
    filter_column_isnull = False

    @column_condition_partial(engine=SqlAlchemyExecutionEngine)  # type: ignore[untyped-decorator]
    def _holds(cls, column: Any, predicate: str, **_: Any) -> Any:  # noqa: N805
        return sa.not_(sa.literal_column(f"({predicate})", sa.Boolean))


class ExpectFewRowsToViolate(ColumnMapExpectation):  # type: ignore[misc]
    """At most 1 - `mostly` of all rows make the SQL predicate true."""

    predicate: str

    map_metric = _METRIC
    success_keys = ("predicate", "mostly")

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> Any:
        """GX leaves rows out where the column is NULL, but a predicate speaks of those too."""
        every_row = metrics | {"column_values.nonnull.unexpected_count": 0}
        return super()._validate(every_row, runtime_configuration, execution_engine)
