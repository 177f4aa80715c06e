"""A turn on a store that machines share comes to the verdict of one machine, to the bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.flows.application import Application, make_application
from tests.flows.test_resume import comparable, with_faults
from tests.markdown import Page, commands
from tests.mlflow_home import home_with_mlflow
from tests.services import Services, put_key, tried_out

_RUN = ("run", "--inline", "--json")


def machines(folder: Path, services: Services, *names: str) -> list[dict[str, str]]:
    """The environment of each: a state folder of its own, and the store that they share."""
    made = []
    for name in names:
        home = folder / name
        home_with_mlflow(home)
        put_key(home)
        made.append({**services.environment(), "FLYWHEEL_HOME": str(home)})
    return made


def verdict_bytes(result: dict[str, Any]) -> bytes:
    return json.dumps(comparable(result), sort_keys=True).encode()


@pytest.mark.slow
def test_killed_on_one_machine_it_goes_on_on_another_to_the_verdict_of_one_alone(
    tmp_path: Path, tiny_model: Path
):
    application = with_faults(make_application(tmp_path / "application", tiny_model))
    home_with_mlflow(application.home)
    put_key(application.home)
    alone = application.here(*_RUN)
    services = replace(tried_out(tmp_path), lease_s=2.0)
    a, b = machines(tmp_path, services, "a", "b")
    killed = killed_at(application, "evaluate", "before", a)
    assert killed.returncode == -9, killed.stderr
    busy = application.here(*_RUN, **b)
    if busy.code == 4:  # the lease has not ended yet
        assert "held by process" in busy.err
        time.sleep(services.lease_s + 0.5)
        finished = application.here(*_RUN, **b)
    else:
        finished = busy
    assert finished.code == alone.code, finished.err
    assert verdict_bytes(finished.json) == verdict_bytes(alone.json)
    assert finished.json["resumed_after"] == "plan"
    # and what one machine decided any other tells
    told = application.here("verdict", "--json", **a)
    assert told.json["run_id"] == finished.json["run_id"]
    assert told.json["suites"] == alone.json["suites"]
    for command in ("receipt", "show"):
        assert application.here(command, **a).code == 0
    doctor = application.here("doctor", "--json", **a)
    found = {one["subject"]: one for one in doctor.json["findings"]}
    assert found["database"]["ok"] is True
    assert "version" in found["database"]["detail"]
    assert "parts" in found["objects"]["detail"]


def killed_at(
    application: Application, stage: str, moment: str, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.flows.killed", stage, moment, *_RUN],
        cwd=application.folder, env=application.environment(**environment),
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


def test_the_commands_of_the_page_take_a_store_there_and_back(
    application: Application, tmp_path: Path
):
    page = Page(REPOSITORY / "docs" / "scale.md", "docs/scale.md")
    typed = [
        command.split()[1:]
        for block in page.blocks()
        if block.kind == "shell"
        for command in commands(block.text)
        if command.startswith("flywheel ")
    ]
    assert len(typed) == 2
    assert application.here("ingest").code == 0
    query = ("sql", "SELECT request_id, sources FROM landing ORDER BY 1", "--json")
    before = application.here(*query).json
    assert len(before["rows"]) == 24
    services = tried_out(tmp_path).environment()
    for command in typed:
        done = application.here(*command, **services)
        assert done.code == 0, done.err
    assert application.here(*query, **services).json == before
    again = {"FLYWHEEL_HOME": str(application.folder / "one-machine-again")}
    assert application.here(*query, **again).json == before
    # and what is a working copy is not taken for a store
    alone = application.here(*query)
    assert alone.code == 4
    assert "a copy of one that machines share" in alone.err


def test_without_its_services_one_clear_line_is_told(application: Application, tmp_path: Path):
    services = Services(f"sqlite:///{tmp_path}/no/such/folder", f"file://{tmp_path}/objects", 1.0)
    asked = application.here("status", **services.environment())
    assert asked.code == 4
    assert asked.err.count("\n") == 1
    assert "the database of the store refuses: unable to open database file" in asked.err
    one = application.here("status", FLYWHEEL_STORE__DATABASE="sqlite:///x")
    assert one.code == 2
    assert "are set together" in one.err
    assert os.environ.get("FLYWHEEL_STORE__DATABASE") is None
