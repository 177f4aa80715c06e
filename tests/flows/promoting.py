"""An application with releases of an API, so that nothing is loaded, and runs decided by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tasks.model.answer import challenger_role
from tasks.model.run import RunRequest
from tasks.releases.memory import Memory
from tasks.releases.resolve import resolve_release
from tasks.settings import read_settings
from tasks.store import Store
from tasks.store.control import ledger, verdicts
from tasks.store.evals.releases import save_release
from tests.flows.application import Application

#: before any command of a test, and in the past
T0 = datetime(2026, 11, 1, 8)  # noqa: DTZ001 - as the store keeps it
NAMES = ("now", "next", "other")
_SETTINGS = """# ours
champion = "now"
challenger = "next"
"""
_RELEASE = """
[releases.{name}]   # a comment
api = "openai"
model = "gpt"
base_url = "http://127.0.0.1:1/v1"
prompt = "{name}.md"
"""


def write_application(folder: Path, *, more: str = "", begins: str = _SETTINGS) -> Application:
    folder.mkdir(parents=True, exist_ok=True)
    releases = "".join(_RELEASE.format(name=name) for name in NAMES)
    (folder / "flywheel.toml").write_text(begins + releases + more)
    for name in NAMES:
        (folder / f"{name}.md").write_text(f"You sort tickets for {name} people.")
    return Application(folder)


def decide(
    application: Application,
    said: Mapping[str, str] | str = "better",
    *,
    champion: str = "now",
    hours: float = 0,
) -> str:
    """A run that came to these verdicts, by challenger; its id."""
    settings = read_settings(str(application.folder / "flywheel.toml"), {})
    told = {"next": said} if isinstance(said, str) else dict(said)
    memory = Memory(application.home / "memory.json")
    at = T0 + timedelta(hours=hours)
    releases = {
        name: resolve_release(name, settings, memory).record() for name in (champion, *told)
    }
    run_id = ledger.new_run_id(at)
    request = RunRequest(champion=champion, challengers=tuple(told))
    roles = {"champion": releases[champion].digest} | {
        challenger_role(place): releases[name].digest for place, name in enumerate(told)
    }
    with Store.open(settings.store_path) as store, store.transaction():
        for release in releases.values():
            save_release(store, release, at)
        ledger.begin_run(store, run_id, request.to_json(), run_id, at)
        ledger.set_run_keys(store, run_id, ledger.RunKeys("an eval set", roles))
        for place, verdict in enumerate(told.values()):
            verdicts.write_verdict(
                store, run_id, challenger_role(place), verdict=verdict, reasons=["so it is"],
                suites=(), slices=(), guardrails=(), now=at, is_leading=place == 0,
            )  # fmt: skip
        ledger.finish_run(store, run_id, "completed", at)
    return run_id


def rows(application: Application, sql: str) -> list[list[Any]]:
    """By DuckDB itself."""
    import duckdb

    path = str(application.home / "flywheel.duckdb")
    with duckdb.connect(path, read_only=True) as connection:
        return [list(row) for row in connection.execute(sql).fetchall()]


def change(application: Application, sql: str) -> None:
    """Behind our back."""
    import duckdb

    with duckdb.connect(str(application.home / "flywheel.duckdb")) as connection:
        connection.execute(sql)
