"""SQL predicates that users write: one expression over the row, and nothing else.

DuckDB's own parser reads the text, and only what is known to be harmless is let through: columns of
the table, constants, operators, CASE, casts, lambdas (parameters of one letter), and functions that
DuckDB itself marks as giving the same for the same arguments. So no other table, file, setting,
clock or random number can be reached, and the predicate says the same of a row wherever it is
asked.

Must not know: rules, severities, files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import duckdb

from expectations.contracts import TableContract

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
    _refuse_unless_boolean(predicate, table)
    return predicate


def _parse(text: str) -> Any:
    with duckdb.connect() as parser:
        row = parser.execute("SELECT json_serialize_sql(?)", [f"SELECT {text}\nFROM t"]).fetchone()
    assert row is not None
    read = json.loads(row[0])
    if read["error"]:
        raise RefusedPredicateError(f"it cannot be read: {read['error_message']}")
    statements = [statement["node"] for statement in read["statements"]]
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
    found = [_nodes(node["lhs"]) for node in nodes if node["class"] == "LAMBDA"]
    names = {n.lower() for part in found for node in part for n in node.get("column_names", ())}
    return {name for name in names if len(name) == 1}


def _refuse_node(node: dict[str, Any], names: set[str]) -> None:
    kind = node["class"]
    if kind not in _CLASSES:
        raise RefusedPredicateError(f"{kind.lower()} is not allowed in a predicate over one row")
    if kind == "COLUMN_REF":
        column = ".".join(node["column_names"])
        if column.lower() not in names:  # `current_date` and `rowid` look like columns too
            raise RefusedPredicateError(f"{column} is no column of the table")
    if kind == "FUNCTION" and node["function_name"].lower() not in _pure_functions():
        raise RefusedPredicateError(
            f"function {node['function_name']} is not allowed: only functions of one row that give "
            "the same for the same arguments"
        )


@cache
def _pure_functions() -> frozenset[str]:
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() "
            "WHERE function_type = 'scalar' AND stability = 'CONSISTENT'"
        ).fetchall()
    return frozenset(name for (name,) in rows if not name.startswith(_PARSERS))


def _refuse_unless_boolean(predicate: str, table: TableContract) -> None:
    columns = ", ".join(f'"{c.name}" {c.sql_type}' for c in table.columns)
    with duckdb.connect(config={"enable_external_access": "false"}) as empty:
        empty.execute(f"CREATE TABLE rows_judged ({columns})")
        try:
            found = empty.execute(f"DESCRIBE SELECT ({predicate}) FROM rows_judged").fetchone()
        except duckdb.Error as error:
            raise RefusedPredicateError(str(error).splitlines()[0]) from None
    if found is None or found[1] != "BOOLEAN":
        raise RefusedPredicateError(f"it is {found and found[1]}, not true or false")
