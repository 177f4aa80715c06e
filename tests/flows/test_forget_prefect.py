"""`flywheel forget` and what Prefect was told: in the state folder, and on the server of a user."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from flows.prefect_server import OwnServer
from tests.flows.application import Application, make_application
from tests.mlflow_home import home_with_mlflow

GONE = "call-3"
#: a night names the call of a pin that has expired, so Prefect keeps it
_PIN = {
    "suite": "route", "request_id": GONE, "messages": [{"role": "user", "content": "of the pin"}],
    "target": "fax", "why": "lost", "expires": "2026-11-02", "pinned_at": "2026-11-01",
}  # fmt: skip


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Application:
    made = make_application(tmp_path_factory.mktemp("prefect"), tiny_model, samples=4)
    home_with_mlflow(made.home)
    (made.folder / "pins.jsonl").write_text(json.dumps(_PIN) + "\n")
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API of a Prefect server of the user's."""
    own = OwnServer(tmp_path_factory.mktemp("server"))
    try:
        own.wait_until_healthy()
        yield own.url
    finally:
        own.stop()


def _post(api: str, path: str, **body: object) -> list[dict[str, object]]:
    answer = httpx.post(f"{api}/{path}", json=body, timeout=30)
    answer.raise_for_status()
    return list(answer.json())


def _flow_run(api: str, flow: str, message: str, parameters: dict[str, object]) -> str:
    """One that has ended, with what may stand in it."""
    made = httpx.post(f"{api}/flows/", json={"name": flow}, timeout=30).json()
    state = {"type": "COMPLETED", "name": "Completed", "message": message}
    run = {"flow_id": made["id"], "state": state, "parameters": parameters}
    return str(httpx.post(f"{api}/flow_runs/", json=run, timeout=30).json()["id"])


@pytest.mark.slow
def test_what_prefect_was_told_of_a_call_leaves_with_it(application: Application, server: str):
    elsewhere = {"PREFECT_API_URL": server}
    for environment in (elsewhere, {}):
        done = application.call("run", "--json", **environment)
        assert done.code in (0, 1), done.err
    ours = [
        _flow_run(server, "nightly", f"failed: {GONE}", {}),
        _flow_run(server, "hourly", "done", {"logs": [f"of {GONE}.jsonl", GONE]}),
    ]
    others = [_flow_run(server, "nightly", "failed", {}), _flow_run(server, "theirs", GONE, {})]
    database = application.home / "prefect" / "prefect.db"
    assert GONE in _artifacts_in(database)
    assert GONE in json.dumps(_post(server, "artifacts/filter"))
    assert GONE in json.dumps(_post(server, "artifacts/latest/filter"))

    refused = application.here(
        "forget", "--request", GONE, PREFECT_API_URL="http://127.0.0.1:1/api"
    )
    assert (refused.code, "the Prefect server does not answer" in refused.err) == (4, True)
    told = application.here("forget", "--request", GONE, "--json", **elsewhere)
    assert told.code == 0, told.err
    # a summary in both places, where the one of the folder is kept by its key, too; two flow runs
    assert told.json["counts"]["history"] >= 4
    left = _artifacts_in(database)
    assert GONE not in left
    assert "(erased)" in left
    assert "rows in" in left, "what it says of others is there"
    for file in sorted((application.home / "prefect").rglob("*")):
        assert not file.is_file() or GONE.encode() not in file.read_bytes(), file
    for kind in ("artifacts/filter", "artifacts/latest/filter"):
        assert GONE not in json.dumps(_post(server, kind))
    runs = {str(run["id"]) for run in _post(server, "flow_runs/filter")}
    assert runs.isdisjoint(ours)
    assert runs >= set(others)
    assert len(runs) == len(others) + 1, "and the turn itself"


def _artifacts_in(database: Path) -> str:
    with closing(sqlite3.connect(database)) as prefect:
        rows = prefect.execute("SELECT data FROM artifact ORDER BY created").fetchall()
    assert rows
    return "\n".join(json.dumps(json.loads(data)) for (data,) in rows)
