"""`flywheel doctor`: what is installed, which device there is, whether each store answers.

Every check says what it found in one line; a failed one says what to do. Reading only: nothing is
created, migrated or downloaded.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

import engine
from flows.commands.check import problems_of
from flows.terminal import console, print_json, print_pairs
from tasks.errors import FlywheelError, StoreError, UsageError
from tasks.on_ray.place import Place
from tasks.releases.resolve import engines_run, find_local_model
from tasks.releases.source import HostedSource
from tasks.settings import Settings, find_config, read_settings
from tasks.store.control import ledger
from tasks.store.evals.history import count_calls
from tasks.store.opening import open_store, store_exists, truth_of

_PACKAGES = ("prefect", "duckdb", "pandas", "torch", "great-expectations", "mlflow", "transformers")
_LOW_DISK_BYTES = 2 * 2**30
#: for services that may be away
_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's page. `ok` None: nothing there yet, which is fine."""

    subject: str
    ok: bool | None
    detail: str


def examine(*, config: str | None, as_json: bool) -> int:
    problems = problems_of(config)
    wrong = [Finding(problem.key, False, problem.message) for problem in problems]
    looked_at = _findings(config)
    answers = all(finding.ok is not False for finding in looked_at)
    findings, healthy = [*looked_at, *wrong], answers and not problems
    if as_json:
        print_json({"healthy": healthy, "findings": [asdict(f) for f in findings]})
    else:
        marks = {True: "ok", False: "NOT OK", None: "–"}
        lines = [(f"{marks[finding.ok]:>6}  {finding.subject}", finding.detail)
                 for finding in findings]  # fmt: skip
        print_pairs(console(), lines)
    return 0 if healthy else StoreError.exit_code if not answers else UsageError.exit_code


def _findings(config: str | None) -> list[Finding]:
    """What there is; what is wrong with the settings is not told here."""
    findings = [_python(), *(_package(name) for name in _PACKAGES), *_device()]
    try:
        path = find_config(config)
        settings = read_settings(config)
    except UsageError:
        return findings
    where = str(path) if path else "none found, defaults are used · next: flywheel init"
    findings.append(Finding("settings", True if path else None, where))
    checks: tuple[tuple[str, Callable[[Settings], tuple[bool | None, str]]], ...] = (
        ("state folder", _home),
        ("store", _store),
        ("mlflow", _mlflow),
        ("prefect", _prefect),
    )
    if settings.store.is_shared:
        checks = (*checks[:1], ("database", _database), ("objects", _objects), *checks[1:])
    for subject, look in checks:
        try:
            findings.append(Finding(subject, *look(settings)))
        except FlywheelError as error:
            findings.append(Finding(subject, False, error.line()))
    findings += _actors(settings)
    for name, release in settings.releases.items():
        with suppress(UsageError):
            if release.api:
                findings.append(
                    Finding(f"release {name}", *HostedSource.declared(name, release).probe())
                )
                continue
            path = find_local_model(name, release, settings)
            hub = f"{release.model}: a hub id, fetched when it is first used"
            findings.append(Finding(f"release {name}", True if path else None, str(path or hub)))
    return findings


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


def _actors(settings: Settings) -> list[Finding]:
    """Where engines answer on Ray, or logs are read; nothing where it is all done here."""
    places = {place.on: place for place in (settings.rows_run, engines_run(settings))}
    return [finding for place in places.values() if not place.is_here for finding in _of_ray(place)]


def _of_ray(place: Place) -> list[Finding]:
    """The actors that this machine has room for, or every node of the cluster."""
    try:
        ours = f"torch {version('torch')}, ray {version('ray')}"
    except PackageNotFoundError:
        missing = "not installed · next: pip install 'llm-flywheel[ray]'"
        return [Finding("ray", False, missing)]
    if not place.address:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        each = min(place.cores, cores or 1)
        room = f"{cores} processors, {each} an actor without a GPU"
        return [Finding("ray", True, f"{ours}, on this machine: {room}")]
    from tasks.on_ray.driver import nodes_of

    try:
        nodes = nodes_of(place)
    except FlywheelError as error:
        return [Finding("ray", False, f"{place.address}: {error.line()}")]
    here = f"engine {engine.__version__}, {ours}"
    found = [Finding("ray", bool(nodes), f"{place.address}: {len(nodes)} nodes; here {here}")]
    for node in nodes:
        has = f"{node.num_cores} processors, {node.num_gpus} GPUs"
        says = node.says if node.is_alive else "is gone"
        is_like_ours = node.is_alive and node.says == here
        why = "" if is_like_ours or not node.is_alive else " · differs from this machine"
        found.append(
            Finding(f"  {node.name}", is_like_ours, f"{has}, {says or 'does not answer'}{why}")
        )
    return found


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
    if settings.store.is_shared:
        truth_of(settings, _PATIENCE_S).state()  # raises sooner where it is away
    if not store_exists(settings):
        return None, "empty, made by the first run"
    with open_store(settings, read_only=True) as store:
        calls, runs = count_calls(store), ledger.count_runs(store)
    return True, f"{calls:,} calls, {runs:,} runs in {settings.store_path.name}"


def _database(settings: Settings) -> tuple[bool | None, str]:
    """Of a store that machines share: what it is at, and who works on it."""
    from tasks.store.shared.leases import holders

    truth = truth_of(settings, _PATIENCE_S)
    found = truth.state()
    if found is None:
        return None, f"{truth.database.shown}, made by the first run"
    held = [f"{holder.name!r} held by {holder.told}" for holder in holders(truth.database)]
    told = ", ".join((truth.database.shown, f"version {found[0].version}", *held))
    return True, told


def _objects(settings: Settings) -> tuple[bool | None, str]:
    truth = truth_of(settings, _PATIENCE_S)
    truth.objects.answers()
    if truth.state() is None:
        return True, truth.objects.shown
    count, size = truth.size()
    return True, f"{truth.objects.shown}, {count:,} parts, {size / 2**20:,.1f} MiB"


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
