"""SQL predicates that users write: one expression over the row, and nothing else.

DuckDB's own parser reads the text, and only what is known to be harmless is let through: columns of
the table, constants, operators, CASE, casts, lambdas (parameters of one letter), and functions that
DuckDB itself marks as giving the same for the same arguments. So no other table, file, setting,
clock or random number can be reached, and the predicate says the same of a row wherever it is
asked.

Must not know: rules, severities, files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from expectations.contracts import TableContract
from tasks.store.db.user_sql import (
    RefusedSqlError,
    consistent_functions,
    syntax_tree,
    type_of,
)

_CLASSES = {"COMPARISON", "COLUMN_REF", "CONSTANT", "FUNCTION", "CONJUNCTION", "BETWEEN", "CASE",
            "CAST", "TYPE", "OPERATOR", "LAMBDA"}  # fmt: skip
_PARSERS = ("json_serialize", "json_deserialize", "version")


class RefusedPredicateError(ValueError):
    """The text is not a predicate over one row; says why."""


def check_predicate(text: str, table: TableContract) -> str:
    """The predicate, ready to stand in parentheses in a query over `table`.

    Raises RefusedPredicateError where it is no single boolean expression over the table's columns.
    """
    nodes = list(_nodes(_parse(text)))
    names = {name.lower() for name in table.column_names} | _lambda_parameters(nodes)
    for node in nodes:
        _refuse_node(node, names)
    # a comment may end the text, but not swallow the parenthesis behind it
    predicate = f"{text.strip()}\n" if "--" in text else text.strip()
    try:
        kind = type_of(predicate, table)
    except RefusedSqlError as error:
        raise RefusedPredicateError(str(error)) from None
    if kind != "BOOLEAN":
        raise RefusedPredicateError(f"it is {kind}, not true or false")
    return predicate


def _parse(text: str) -> Any:
    try:
        statements = syntax_tree(text)
    except RefusedSqlError as error:
        raise RefusedPredicateError(f"it cannot be read: {error}") from None
    if len(statements) != 1 or statements[0]["type"] != "SELECT_NODE":
        raise RefusedPredicateError("it is more than one expression")
    select = statements[0]
    if (
        len(select["select_list"]) != 1
        or select["from_table"]["type"] != "BASE_TABLE"
        or select["modifiers"]
        or select["cte_map"]["map"]
        or any(select.get(part) for part in ("where_clause", "having", "qualify", "sample"))
        or select.get("group_expressions")
    ):
        raise RefusedPredicateError("it is more than one expression")
    return select["select_list"][0]


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object of the tree that is an expression, without recursion: depth is the user's."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if "class" in node:
                yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _lambda_parameters(nodes: list[dict[str, Any]]) -> set[str]:
    """Single letters only: `current_date` as the left side of an arrow must not become a name."""
    left_sides = [node["lhs"] for node in nodes if node["class"] == "LAMBDA"]
    parts = [part for side in left_sides for part in _nodes(side)]
    names = {name.lower() for part in parts for name in part.get("column_names", ())}
    return {name for name in names if len(name) == 1}


def _refuse_node(node: dict[str, Any], names: set[str]) -> None:
    kind = node["class"]
    if kind not in _CLASSES:
        raise RefusedPredicateError(f"{kind.lower()} is not allowed in a predicate over one row")
    if kind == "COLUMN_REF":
        column = ".".join(node["column_names"])
        if column.lower() not in names:  # `current_date` and `rowid` look like columns too
            raise RefusedPredicateError(f"{column} is no column of the table")
    if kind == "FUNCTION":
        name = node["function_name"].lower()
        if name not in consistent_functions() or name.startswith(_PARSERS):
            raise RefusedPredicateError(
                f"function {node['function_name']} is not allowed: only functions of one row that "
                "give the same for the same arguments"
            )
