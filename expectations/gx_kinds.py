"""An expectation of our own for Great Expectations: no row for which a SQL predicate is true.

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


class ExpectNoRowToViolate(ColumnMapExpectation):  # type: ignore[misc]
    """No row for which the SQL predicate is true."""

    predicate: str

    map_metric = _METRIC
    success_keys = ("predicate", "mostly")
