"""The reports of a state folder over HTTP, for loopback: `python -m flows.report_site FOLDER PORT`.

Pages are files without scripts from elsewhere; nothing is listed, nothing is written, and a request
that names another host than this machine gets nothing (another site's page cannot read them).
"""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

_HOSTS = ["127.0.0.1", "localhost"]


def make_site(folder: Path) -> Starlette:
    return Starlette(
        routes=[Mount("/", StaticFiles(directory=folder, html=True))],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=_HOSTS)],
    )


if __name__ == "__main__":
    uvicorn.run(
        make_site(Path(sys.argv[1])), host="127.0.0.1", port=int(sys.argv[2]), log_level="error"
    )
