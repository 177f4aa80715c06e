"""Statements of SQL stand in the store, and nowhere else; rules (expectations/) hold predicates."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
_ELSEWHERE = {
    "tasks/rules/duckdb_dialect.py",  # what SQLAlchemy asks to describe tables
    "tasks/tracking/database.py",  # MLflow's own SQLite file
    "tasks/safekeeping/prefect_history.py",  # and Prefect's
    "tasks/report/commands.py",  # a query shown to people, for `flywheel sql`
}
_STATEMENT = re.compile(
    r"\s*(select\s.*\sfrom\s|insert\s+(or\s+\w+\s+)?into\s|update\s+\S+\s+set\s|delete\s+from\s|"
    r"with\s+\w+\s+as\s*\(|create\s+(or\s+replace\s+)?(temp\s+)?(table|view)\s|drop\s+table\s|"
    r"set\s+\w+\s*=)",
    re.IGNORECASE | re.DOTALL,
)


def statements(source: str) -> Iterator[str]:
    """Texts that are a statement of SQL, those put together from parts too."""
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        text = ""
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "x" for part in node.values]
            text = "".join(map(str, parts))
        elif isinstance(node, ast.Constant):
            text = str(node.value)
        if _STATEMENT.match(text):
            yield text
        elif not isinstance(node, ast.JoinedStr):
            waiting += ast.iter_child_nodes(node)


def test_no_module_outside_the_store_holds_sql() -> None:
    offenders = [
        f"{path.relative_to(ROOT)}: {text[:60]}"
        for package in ("flows", "tasks", "engine")
        for path in sorted((ROOT / package).rglob("*.py"))
        if not path.is_relative_to(ROOT / "tasks" / "store")
        and path.relative_to(ROOT).as_posix() not in _ELSEWHERE
        for text in statements(path.read_text(encoding="utf-8"))
    ]
    assert offenders == []


def test_statements_are_seen_in_the_store_itself() -> None:
    paths = sorted((ROOT / "tasks" / "store").rglob("*.py"))
    seen = [text for path in paths for text in statements(path.read_text(encoding="utf-8"))]
    assert len(seen) > 40
    assert list(statements('f"UPDATE {table} SET x = 1"')) == ["UPDATE x SET x = 1"]
