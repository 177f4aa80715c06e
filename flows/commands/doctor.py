"""`flywheel doctor`: what is installed, which device there is, whether each store answers.

Every check says what it found in one line; a failed one says what to do. Reading only: nothing is
created, migrated or downloaded.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

from tasks.errors import FlywheelError
from tasks.settings import Settings, find_config, read_settings
from tasks.store import Store
from tasks.store.control import ledger
from tasks.store.evals.logged_calls import count_calls

_PACKAGES = ("prefect", "duckdb", "pandas", "torch", "great-expectations", "mlflow", "transformers")
_LOW_DISK_BYTES = 2 * 2**30


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's page. `ok` None: nothing there yet, which is fine."""

    subject: str
    ok: bool | None
    detail: str


def examine(*, config: str | None, as_json: bool) -> int:
    findings = list(_findings(config))
    healthy = all(finding.ok is not False for finding in findings)
    if as_json:
        print(json.dumps({"healthy": healthy, "findings": [asdict(f) for f in findings]}))
    else:
        marks = {True: "ok", False: "NOT OK", None: "–"}
        width = max(len(finding.subject) for finding in findings)
        for finding in findings:
            print(f"{marks[finding.ok]:>6}  {finding.subject:<{width}}  {finding.detail}")
    return 0 if healthy else 4


def _findings(config: str | None) -> list[Finding]:
    found = [_python(), *(_package(name) for name in _PACKAGES), *_device()]
    try:
        path = find_config(config)
        settings = read_settings(config)
    except FlywheelError as error:
        return [*found, Finding("settings", False, error.line())]
    where = str(path) if path else "none found, defaults are used · next: flywheel init"
    found.append(Finding("settings", True if path else None, where))
    checks: tuple[tuple[str, Callable[[Settings], tuple[bool | None, str]]], ...] = (
        ("state folder", _home),
        ("store", _store),
        ("mlflow", _mlflow),
        ("prefect", _prefect),
    )
    for subject, check in checks:
        found.append(_checked(subject, lambda check=check: check(settings)))  # type: ignore[misc]
    for name, release in settings.releases.items():
        found.append(_checked(f"release {name}", lambda r=release: _model(settings, r.model)))  # type: ignore[misc]
    return found


def _checked(subject: str, check: Callable[[], tuple[bool | None, str]]) -> Finding:
    try:
        ok, detail = check()
    except FlywheelError as error:
        ok, detail = False, error.line()
    return Finding(subject, ok, detail)


def _python() -> Finding:
    ok = sys.version_info >= (3, 11)
    return Finding("python", ok, f"{platform.python_version()} on {platform.system()}")


def _package(name: str) -> Finding:
    try:
        return Finding(name, True, version(name))
    except PackageNotFoundError:
        return Finding(name, False, "not installed · next: make setup")


def _device() -> list[Finding]:
    """The device, and whether the engine has kernels of its own there; without it is slower."""
    try:
        import torch
    except ImportError:
        return [Finding("device", False, "torch is not installed · next: make setup")]
    from engine.kernels import cpu, gpu

    if torch.cuda.is_available():
        names = {torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())}
        device = f"{torch.cuda.device_count()} × {', '.join(sorted(names))}"
        reason = gpu.why_not()
    else:
        capability = torch.backends.cpu.get_cpu_capability()
        device = f"cpu, {torch.get_num_threads()} threads, {capability}"
        reason = cpu.why_not()
    kernels = f"torch's, which are slower: {reason}" if reason else "our own"
    return [Finding("device", True, device), Finding("kernels", None if reason else True, kernels)]


def _home(settings: Settings) -> tuple[bool | None, str]:
    home = settings.home_path
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    text = f"{home}, {free / 2**30:.1f} GiB free"
    if not os.access(existing, os.W_OK):
        return False, f"{text}, not writable · next: set FLYWHEEL_HOME"
    if free < _LOW_DISK_BYTES:
        return False, f"{text}, less than 2 GiB · next: make room"
    return True if home.exists() else None, text + (
        "" if home.exists() else ", made by the first run"
    )


def _store(settings: Settings) -> tuple[bool | None, str]:
    if not settings.store_path.exists():
        return None, "empty, made by the first run"
    with Store.open(settings.store_path, read_only=True) as store:
        calls, runs = count_calls(store), ledger.count_runs(store)
    return True, f"{calls:,} calls, {runs:,} runs in {settings.store_path.name}"


def _mlflow(settings: Settings) -> tuple[bool | None, str]:
    uri = settings.mlflow.tracking_uri
    if uri.startswith(("http://", "https://")):
        return _answers(uri.rstrip("/") + "/health", uri)
    path = settings.home_path / "mlflow.db"
    if uri:
        return None, f"{uri.split('://')[0]} store, checked when it is used"
    return (True, path.name) if path.exists() else (None, "empty, made by the first run")


def _prefect(settings: Settings) -> tuple[bool | None, str]:
    uri = os.environ.get("PREFECT_API_URL")
    if not uri:
        return None, "PREFECT_API_URL is not set: `flywheel run` starts a server of its own"
    return _answers(uri.rstrip("/") + "/health", uri)


def _answers(url: str, shown: str) -> tuple[bool, str]:
    import urllib.request

    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
            return answer.status == 200, shown
    except (OSError, ValueError) as error:
        return False, f"{shown} does not answer: {error}"


def _model(settings: Settings, reference: str) -> tuple[bool | None, str]:
    if reference.startswith("package:"):
        from importlib.util import find_spec

        installed = find_spec(reference.removeprefix("package:")) is not None
        return installed, reference + ("" if installed else " is not installed")
    path = settings.path(reference)
    if path.exists():
        return True, str(path)
    if reference.count("/") == 1 and not reference.startswith((".", "/", "~")):
        return None, f"{reference}: a hub id, fetched when it is first used"
    return False, f"{path} does not exist · next: correct releases.NAME.model"
