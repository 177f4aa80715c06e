"""Turns of several machines, what they came to, and what is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.flows.application import Application, make_application
from tests.flows.test_resume import with_faults
from tests.mlflow_home import home_with_mlflow
from tests.services import Services, put_key

RUN = ("run", "--inline", "--json")
WAIT_S = 300.0


@dataclass(frozen=True, slots=True)
class Alone:
    """What a turn came to that nothing befell, on one machine."""

    code: int
    json: dict[str, Any]
    counts: list[int]


def prepared(folder: Path, model: Path) -> Application:
    application = with_faults(make_application(folder, model))
    home_with_mlflow(application.home)
    put_key(application.home)
    return application


def verdicts_of(application: Application, environment: dict[str, str]) -> list[list[Any]]:
    query = "SELECT run_id, role, verdict FROM verdicts ORDER BY ALL"
    rows: list[list[Any]] = application.here("sql", query, "--json", **environment).json["rows"]
    return rows


def counts(application: Application, environment: dict[str, str]) -> list[int]:
    tables = ("requests", "feedback", "dead_letters", "quarantine", "samples", "completions",
              "scores", "landing")  # fmt: skip
    query = "SELECT " + ", ".join(f"(SELECT count(*) FROM {name})" for name in tables)
    rows: list[list[int]] = application.here("sql", query, "--json", **environment).json["rows"]
    return rows[0]


def in_the_database(services: Services, query: str) -> list[tuple[Any, ...]]:
    """What is in the shared database itself, asked beside flywheel."""
    import psycopg

    address = services.database.replace("+psycopg", "")
    with psycopg.connect(address) as connection:
        return connection.execute(query).fetchall()


def wait_until(is_so: Callable[[], Any], what: str | Callable[[], str]) -> Any:
    """What it is when it is so."""
    deadline = time.monotonic() + WAIT_S
    while not (found := is_so()):
        assert time.monotonic() < deadline, what if isinstance(what, str) else what()
        time.sleep(0.5)
    return found
