"""`flywheel deploy`: register the deployments of prefect.yaml.

A process worker starts the flow in a folder, which must be absolute, so it is filled in here
rather than written into prefect.yaml.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

import flows
from flows.prefect_server import QUIET, wait_for_given
from tasks.errors import StoreError, UsageError
from tasks.settings import find_config

POOL = "flywheel"


def register(pool: str, *, config: str | None) -> int:
    deploy(pool, config=config)
    print(
        f"deployed nightly, hourly, noise-weekly and morning to pool {pool} · "
        f"next: prefect worker start --pool {pool}"
    )
    return 0


def deploy(pool: str, *, config: str | None, command: str | None = None) -> None:
    """All deployments of prefect.yaml, with the server of PREFECT_API_URL. Raises UsageError or
    StoreError. `command`: what a process of a flow run is started with; it then is in the process
    group of its worker, else in one of its own."""
    settings_file = find_config(config)
    if settings_file is None:
        raise UsageError("no flywheel.toml to deploy", next="flywheel init")
    recipe = _recipe(settings_file.parent)
    if "PREFECT_API_URL" not in os.environ:
        raise UsageError(
            "no Prefect server to deploy to",
            received="PREFECT_API_URL is not set",
            next="prefect server start, then set PREFECT_API_URL=http://127.0.0.1:4200/api",
        )
    wait_for_given(os.environ["PREFECT_API_URL"])
    environment = {
        **os.environ,
        **QUIET,
        "FLYWHEEL_DEPLOY_FOLDER": str(settings_file.parent),
        "FLYWHEEL_DEPLOY_CONFIG": str(settings_file),
        "FLYWHEEL_DEPLOY_POOL": pool,
    }
    _prefect(environment, "work-pool", "create", pool, "--type", "process", "--overwrite")
    with _started_by(recipe, command) as file:
        _prefect(environment, "deploy", "--all", "--prefect-file", str(file))


@contextmanager
def _started_by(recipe: Path, command: str | None) -> Iterator[Path]:
    """The recipe with the command in every deployment that names none of its own."""
    if command is None:
        yield recipe
        return
    told = yaml.safe_load(recipe.read_text())
    for deployment in told.get("deployments") or ():
        pool = deployment.setdefault("work_pool", {})
        pool.setdefault("job_variables", {}).setdefault("command", command)
    with tempfile.TemporaryDirectory(prefix="flywheel-") as folder:
        file = Path(folder) / "prefect.yaml"
        file.write_text(yaml.safe_dump(told, sort_keys=False))
        yield file


def _recipe(beside: Path) -> Path:
    """prefect.yaml of the application if it has one, else the one that came with this package."""
    package = Path(flows.__file__).parent
    for folder in (beside, *beside.parents, package, package.parent):
        if (folder / "prefect.yaml").is_file():
            return folder / "prefect.yaml"
    raise UsageError(
        "prefect.yaml was not found", received=str(beside), allowed="beside flywheel.toml or above"
    )


def _prefect(environment: dict[str, str], *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
        raise StoreError(
            f"prefect {arguments[0]} failed: {said[-1]}",
            received=f"exit {done.returncode}",
            next=f"prefect {' '.join(arguments)}, which tells all of it",
        )
