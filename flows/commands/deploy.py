"""`flywheel deploy`: register the deployments of prefect.yaml.

A process worker starts the flow in a folder, which must be absolute, so it is filled in here
rather than written into prefect.yaml. A worker of another kind, such as that of Kubernetes, starts
it where its image has it, so its deployments have no folder, but job variables.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

import flows
from flows.prefect_server import QUIET, wait_for_given
from tasks.errors import StoreError, UsageError, did_you_mean
from tasks.settings import find_config

POOL = "flywheel"
PROCESS = "process"
_OF_TEMPLATES = "kubernetes"


@dataclass(frozen=True, slots=True)
class Changes:
    """What becomes of the deployments of prefect.yaml on their way to the server.

    command: what a process of a flow run is started with; it then is in the process group of its
    worker, else in one of its own
    variables: deployment, or empty for all → job variable → value
    """

    command: str = ""
    timezone: str = ""
    has_folder: bool = True
    variables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Pool:
    """A work pool as it is or is to be. variables: the JSON Schema of its job variables."""

    kind: str
    variables: Mapping[str, Any]


def register(
    pool: str,
    *,
    config: str | None,
    job_template: str | None = None,
    job_variables: Sequence[str] = (),
    timezone: str = "",
) -> int:
    """Raises UsageError or StoreError."""
    if timezone:
        _check_zone(timezone)
    settings_file, environment = _server(pool, config)
    found = _existing(environment, pool)
    if job_template is not None:
        found = _templated(environment, pool, Path(job_template), found)
    elif found is None or found.kind == PROCESS:
        _make(environment, pool)
        found = _existing(environment, pool)
    assert found is not None, "it was made"
    variables = _read_variables(job_variables, found)
    changes = Changes(timezone=timezone, has_folder=found.kind == PROCESS, variables=variables)
    _register_all(environment, settings_file, changes)
    print(
        f"deployed nightly, hourly, noise-weekly and morning to pool {pool} · "
        f"next: prefect worker start --pool {pool}"
    )
    return 0


def deploy(pool: str, *, config: str | None, command: str) -> None:
    """The same to a pool of processes. Raises UsageError or StoreError."""
    settings_file, environment = _server(pool, config)
    _make(environment, pool)
    _register_all(environment, settings_file, Changes(command=command))


def _server(pool: str, config: str | None) -> tuple[Path, dict[str, str]]:
    """The settings file, and the environment of Prefect's commands; the server answers."""
    settings_file = find_config(config)
    if settings_file is None:
        raise UsageError("no flywheel.toml to deploy", next="flywheel init")
    _recipe(settings_file.parent)
    if "PREFECT_API_URL" not in os.environ:
        raise UsageError(
            "no Prefect server to deploy to",
            received="PREFECT_API_URL is not set",
            next="prefect server start, then set PREFECT_API_URL=http://127.0.0.1:4200/api",
        )
    wait_for_given(os.environ["PREFECT_API_URL"])
    return settings_file, {
        **os.environ,
        **QUIET,
        "FLYWHEEL_DEPLOY_FOLDER": str(settings_file.parent),
        "FLYWHEEL_DEPLOY_CONFIG": str(settings_file),
        "FLYWHEEL_DEPLOY_POOL": pool,
    }


def _make(environment: dict[str, str], pool: str) -> None:
    _prefect(environment, "work-pool", "create", pool, "--type", PROCESS, "--overwrite")


def _existing(environment: dict[str, str], pool: str) -> _Pool | None:
    done = _run(environment, "work-pool", "inspect", pool, "--output", "json")
    if done.returncode == 0:
        told = json.loads(done.stdout)
        return _Pool(told["type"], told["base_job_template"].get("variables") or {})
    if "not found" in done.stdout + done.stderr:
        return None
    raise _failed(done, "work-pool", "inspect", pool)


def _templated(environment: dict[str, str], pool: str, file: Path, found: _Pool | None) -> _Pool:
    """The pool with the job template of a file."""
    if found is not None and found.kind != _OF_TEMPLATES:
        raise UsageError(
            f"pool {pool} runs flow runs another way",
            received=f"--job-template for a pool of type {found.kind}",
            next=f"another --pool, or prefect work-pool delete {pool}",
        )
    template = _read_template(file)
    with tempfile.TemporaryDirectory(prefix="flywheel-") as folder:
        copy = Path(folder) / "template.json"
        copy.write_text(json.dumps(template))
        _prefect(
            environment, "work-pool", "create", pool, "--type", _OF_TEMPLATES,
            "--base-job-template", str(copy), "--overwrite",
        )  # fmt: skip
    return _Pool(_OF_TEMPLATES, template["variables"])


def _read_template(file: Path) -> dict[str, Any]:
    try:
        template = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UsageError("the job template cannot be read", received=reason) from None
    if not isinstance(template, dict) or {"job_configuration", "variables"} - template.keys():
        raise UsageError(
            "the file is no base job template",
            received=str(file),
            allowed="YAML or JSON with job_configuration and variables",
        )
    return template


def _read_variables(given: Sequence[str], pool: _Pool) -> dict[str, dict[str, Any]]:
    """Of `[DEPLOYMENT.]NAME=VALUE`. Names are those that the pool's template has."""
    read: dict[str, dict[str, Any]] = {}
    known = pool.variables.get("properties") or {}
    for text in given:
        left, is_given, value = text.partition("=")
        deployment, _, name = left.rpartition(".")
        if not is_given:
            raise UsageError("no job variable", received=text, allowed="[DEPLOYMENT.]NAME=VALUE")
        if name not in known:
            raise UsageError(
                f"the pool has no job variable {name!r}{did_you_mean(name, known)}",
                received=text,
                allowed=", ".join(sorted(known)),
            )
        read.setdefault(deployment, {})[name] = _of_type(value, known[name].get("type"), text)
    return read


def _of_type(value: str, kind: str | None, text: str) -> str | int:
    if kind != "integer":
        return value
    try:
        return int(value)
    except ValueError:
        raise UsageError("not a whole number", received=text) from None


def _check_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(
            "no such time zone", received=name, allowed="an IANA name, as Europe/Berlin"
        ) from None


def _register_all(environment: dict[str, str], settings_file: Path, changes: Changes) -> None:
    with _changed(_recipe(settings_file.parent), changes) as file:
        _prefect(environment, "deploy", "--all", "--prefect-file", str(file))


@contextmanager
def _changed(recipe: Path, changes: Changes) -> Iterator[Path]:
    """A copy of the recipe with them. What it says of a deployment by itself stays: its command,
    and its time zone where that is not UTC."""
    if changes == Changes():
        yield recipe
        return
    told = yaml.safe_load(recipe.read_text())
    deployments = told.get("deployments") or ()
    names = {deployment.get("name") for deployment in deployments}
    if unknown := changes.variables.keys() - names - {""}:
        raise UsageError(
            "no such deployment",
            received=min(unknown),
            allowed=", ".join(sorted(filter(None, names))),
        )
    told["deployments"] = [_with(changes, deployment) for deployment in deployments]
    with tempfile.TemporaryDirectory(prefix="flywheel-") as folder:
        file = Path(folder) / "prefect.yaml"
        file.write_text(yaml.safe_dump(told, sort_keys=False))
        yield file


def _with(changes: Changes, deployment: dict[str, Any]) -> dict[str, Any]:
    """Another object: what an anchor of YAML stands for is one object in many deployments."""
    pool = deployment.get("work_pool") or {}
    variables = dict(pool.get("job_variables") or {})
    if changes.command:
        variables.setdefault("command", changes.command)
    if not changes.has_folder:
        variables.pop("working_dir", None)
    for of in ("", deployment.get("name", "")):
        variables |= changes.variables.get(of, {})
    changed = {**deployment, "work_pool": {**pool, "job_variables": variables}}
    if changes.timezone and "schedules" in deployment:
        changed["schedules"] = [
            {**schedule, "timezone": changes.timezone}
            if schedule.get("timezone", "UTC") == "UTC"
            else schedule
            for schedule in deployment["schedules"]
        ]
    return changed


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
    done = _run(environment, *arguments)
    if done.returncode != 0:
        raise _failed(done, *arguments)


def _run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def _failed(done: subprocess.CompletedProcess[str], *arguments: str) -> StoreError:
    said = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
    return StoreError(
        f"prefect {arguments[0]} failed: {said[-1]}",
        received=f"exit {done.returncode}",
        next=f"prefect {' '.join(arguments)}, which tells all of it",
    )
