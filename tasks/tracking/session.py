"""A session with MLflow: one client, one experiment, errors told as ours.

The clients are bound to one address. Parts of MLflow (the model registry) look up a process-wide
address all the same, and would make a mlflow.db in the working folder: so it is set for the length
of the session and put back. What an absent server raises becomes a transient StoreError, all else
a plain one.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from tasks.errors import StoreError, StoreUnreachableError
from tasks.exhausted import exhausted
from tasks.settings import Settings
from tasks.store.folder import KEPT
from tasks.tracking.database import configure_models, damaged_database, prepare_database
from tasks.tracking.environment import TrackingLocation, prepare_environment, tracking_location

_MAX_REASON_CHARS = 200
#: what SQLite says of a file that is not what was written
_DAMAGED = ("database disk image is malformed", "file is not a database")
#: on experiments: which kinds of pages MLflow shows first
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "genai_development"}


@dataclass(frozen=True, slots=True)
class Session:
    """An open door: `client` is a MlflowClient, `tracing` a TracingClient."""

    client: Any
    tracing: Any
    experiment_id: str
    experiment: str
    location: TrackingLocation


@contextmanager
def open_session(settings: Settings) -> Iterator[Session]:
    """Raises StoreError (transient where a server does not answer) from anything inside, too."""
    location = tracking_location(settings)
    prepare_environment()
    with explained(location), _process_wide(location.uri), _own_temporary(settings.home_path):
        from mlflow import MlflowClient
        from mlflow.tracing.client import TracingClient

        if not location.is_http:
            configure_models()
            # it raises what it logs, and people read the one line that becomes of it
            logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
            if location.database is not None:
                prepare_database(location.database, settings.home_path / KEPT)
        client = MlflowClient(tracking_uri=location.uri, registry_uri=location.uri)
        experiment_id = _experiment_id(client, settings.mlflow.experiment, location)
        tracing = TracingClient(tracking_uri=location.uri)
        yield Session(client, tracing, experiment_id, settings.mlflow.experiment, location)


@contextmanager
def _process_wide(uri: str) -> Iterator[None]:
    import mlflow

    names = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
    before = {name: os.environ.get(name) for name in names}
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    try:
        yield
    finally:
        mlflow.set_registry_uri(before["MLFLOW_REGISTRY_URI"])
        mlflow.set_tracking_uri(before["MLFLOW_TRACKING_URI"])
        # they are mirrored in the environment, which the first call does not clear
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _own_temporary(home: Path) -> Iterator[None]:
    """What MLflow writes down before it sends it lies in the state folder: there are texts in it,
    and what a killed run leaves is cleared by the next, which no folder of the machine's is."""
    folder = home / "recording"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def explained(location: TrackingLocation) -> Iterator[None]:
    """MLflow's and its database's exceptions as StoreError with one clear line."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, MlflowException, OSError) as error:
        of_the_machine = exhausted(error)
        raise of_the_machine or _explanation(location, error) from error


def _explanation(location: TrackingLocation, error: Exception) -> StoreError:
    from requests.exceptions import RequestException
    from sqlalchemy.exc import OperationalError

    if isinstance(error, OperationalError):
        return _unreachable(location, str(error.orig))
    if isinstance(error, RequestException) or _is_transient(error):
        return _unreachable(location, str(error))
    if isinstance(error, OSError):
        return _refused(location, f"{error.strerror or error} ({error.filename or 'artifacts'})")
    return _refused(location, str(error))


def _is_transient(error: Exception) -> bool:
    code = getattr(error, "error_code", "")
    if code in ("TEMPORARILY_UNAVAILABLE", "RESOURCE_EXHAUSTED", "REQUEST_LIMIT_EXCEEDED"):
        return True
    text = str(error)
    marks = ("Max retries exceeded", "ConnectionError", "Connection refused", "timed out",
             "Connection aborted", "OperationalError")  # fmt: skip
    if any(mark in text for mark in marks):
        return True
    with suppress(AttributeError, TypeError, ValueError):
        return int(error.get_http_status_code()) in (429, 502, 503, 504)  # type: ignore[attr-defined]
    return False


def _unreachable(location: TrackingLocation, text: str) -> StoreUnreachableError:
    return StoreUnreachableError(
        "MLflow's store does not answer",
        received=f"{without_password(location.uri)}: {_first_line(text)}",
        next="start it, or correct mlflow.tracking_uri in flywheel.toml, then run the same command "
        "again: it goes on where it stopped",
    )


def _refused(location: TrackingLocation, text: str) -> StoreError:
    said = next((mark for mark in _DAMAGED if mark in text), None)
    if said is not None and location.database is not None:
        return damaged_database(location.database, said)
    return StoreError(
        f"MLflow refused: {_first_line(text)}",
        received=without_password(location.uri),
        next="flywheel doctor",
    )


def _first_line(text: str) -> str:
    with suppress(ValueError, KeyError, TypeError):
        text = json.loads(text)["message"]
    line = (text.strip().splitlines() or ["no reason given"])[0]
    return line if len(line) <= _MAX_REASON_CHARS else f"{line[:_MAX_REASON_CHARS]}…"


def without_password(uri: str) -> str:
    """The address as it may be shown."""
    parts = urlsplit(uri)
    if parts.password is None and parts.username is None:
        return uri
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"…@{host}"))


def _experiment_id(client: Any, name: str, location: TrackingLocation) -> str:
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        created: str = client.create_experiment(
            name, artifact_location=location.artifact_uri, tags=_EXPERIMENT_TAGS
        )
        return created
    if experiment.lifecycle_stage != "active":
        raise StoreError(
            "the MLflow experiment is deleted",
            received=name,
            next="restore it in MLflow, or name another one in [mlflow] experiment",
        )
    found: str = experiment.experiment_id
    return found
