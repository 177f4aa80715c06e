"""The command that serves MLflow's pages over our own stores, on loopback."""

from __future__ import annotations

import os
import sys

from tasks.errors import UsageError
from tasks.settings import Settings
from tasks.store.folder import KEPT
from tasks.tracking.environment import prepare_environment, tracking_location
from tasks.tracking.session import without_password

#: the job executor costs 1.4 GB and 3 s, and nothing of ours uses it
_SERVER_ENVIRONMENT = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def server_command(
    settings: Settings, port: int, *, host: str = "127.0.0.1"
) -> tuple[list[str], dict[str, str]]:
    """argv and whole environment of the server; makes the database where there is none yet.

    Raises UsageError where a server elsewhere keeps the runs, StoreError on a database that the
    installed MLflow cannot read.
    """
    location = tracking_location(settings)
    if location.is_http:
        raise UsageError(
            "the runs are kept by an MLflow server that is running already",
            received=without_password(location.uri),
            next="open that address in a browser",
        )
    prepare_environment()
    if location.database is not None:
        from tasks.tracking.database import prepare_database

        prepare_database(location.database, settings.home_path / KEPT)
    argv = [
        sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port),
        "--workers", "1", "--backend-store-uri", location.uri,
        "--artifacts-destination", str(location.artifact_uri),
    ]  # fmt: skip
    return argv, {**os.environ, **_SERVER_ENVIRONMENT}
