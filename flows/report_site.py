"""The reports of a state folder over HTTP, for loopback: `python -m flows.report_site FOLDER PORT
[CONFIG]`.

Pages are files without scripts from elsewhere; nothing is listed, nothing is written, and a request
that names another host than this machine gets nothing (another site's page cannot read them).

With CONFIG, where `[promotion] mlflow_secret_env` names a secret, MLflow may post here that an
alias was moved. That is a nudge: what it was moved to is asked of MLflow, by a command, so a
delivery that comes twice does nothing twice.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from tasks.settings import read_settings
from tasks.tracking.webhook import alias_set, is_signed

HOOK = "/hooks/mlflow"
_HOSTS = ["127.0.0.1", "localhost"]
_MAX_BYTES = 64 * 1024


def make_site(folder: Path, secret: str = "", heed: Callable[[], None] | None = None) -> Starlette:
    """`heed`: what is done, after the answer, when the alias `champion` was set in MLflow."""

    async def hear(request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MAX_BYTES:
                return Response("too long", 413)
        if not is_signed(secret, request.headers, body, time.time()):
            return Response("not signed with the secret, or too long ago", 401)
        told = alias_set(body)
        if told is None or told.alias != "champion" or heed is None:
            return Response(status_code=204)
        return Response("looking at it", 202, background=BackgroundTask(heed))

    hooks = [Route(HOOK, hear, methods=["POST"])] if secret and heed is not None else []
    return Starlette(
        routes=[*hooks, Mount("/", StaticFiles(directory=folder, html=True))],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=_HOSTS)],
    )


def _site_of(folder: Path, config: str) -> Starlette:
    variable = read_settings(config).promotion.mlflow_secret_env
    argv = [sys.executable, "-m", "flows", "promote", "--from-mlflow", "--config", config]
    return make_site(folder, os.environ.get(variable, ""), lambda: print(_said(argv), flush=True))


def _said(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()


if __name__ == "__main__":
    place, port, *config = sys.argv[1:]
    site = _site_of(Path(place), config[0]) if config else make_site(Path(place))
    uvicorn.run(site, host="127.0.0.1", port=int(port), log_level="error")
