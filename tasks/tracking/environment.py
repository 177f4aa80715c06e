"""Where MLflow keeps things, and the process environment it must find before it is imported.

Knows no MLflow call. Relative SQLite paths follow each process's working directory, so every path
here is absolute.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import UsageError
from tasks.settings import Settings

#: `=1` is not enough for MLflow to keep quiet
_ALWAYS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    # standard output belongs to --json
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
#: a server that does not answer is told after seconds, not after the default seven retries
_UNLESS_SET = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
_SQLITE = "sqlite:///"


@dataclass(frozen=True, slots=True)
class TrackingLocation:
    """`database` is set for SQLite only; `artifact_uri` None: the server decides."""

    uri: str
    database: Path | None
    artifact_uri: str | None

    @property
    def is_http(self) -> bool:
        return self.uri.startswith(("http://", "https://"))


def tracking_location(settings: Settings) -> TrackingLocation:
    """From the settings. Raises UsageError on a kind of store MLflow 3 no longer writes to."""
    uri = settings.mlflow.tracking_uri.strip()
    artifacts = (settings.home_path / "mlflow-artifacts").as_uri()
    if not uri or uri.startswith(_SQLITE):
        database = settings.path(uri.removeprefix(_SQLITE)) if uri else None
        database = database or settings.home_path / "mlflow.db"
        return TrackingLocation(f"{_SQLITE}{database}", database, artifacts)
    if uri.startswith(("http://", "https://")):
        return TrackingLocation(uri.rstrip("/"), None, None)
    if uri.startswith(("postgresql", "mysql", "mssql")):
        return TrackingLocation(uri, None, artifacts)
    raise UsageError(
        "mlflow.tracking_uri is of a kind that cannot be used",
        received=uri.partition("://")[0] or uri,
        allowed="empty, sqlite:///FILE, postgresql://…, http://…, https://…",
        next="correct mlflow.tracking_uri in flywheel.toml",
    )


def prepare_environment(environ: MutableMapping[str, str] | None = None) -> None:
    """Call before the first import of MLflow: nothing may call home, nothing may hang."""
    target = os.environ if environ is None else environ
    target.update(_ALWAYS)
    for name, value in _UNLESS_SET.items():
        target.setdefault(name, value)
