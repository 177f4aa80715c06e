"""moto's S3 as one that keeps what it was given: killed and started again, it has all of it.

    python -m tests.lasting_s3 PORT FOLDER

moto has it in memory. So each request that changes something is a file before it is answered, and
is put to moto again before anybody can connect. Uploads of several parts are not among them.
"""

from __future__ import annotations

import io
import json
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
from werkzeug.test import run_wsgi_app

_CHANGES = ("DELETE", "POST", "PUT")


class Lasting:
    """A WSGI application in front of moto's."""

    def __init__(self, folder: Path) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self._folder = folder
        self._taking_number = threading.Lock()
        files = sorted(folder.glob("*.request"))
        self._number = len(files)
        for file in files:
            head, _, body = file.read_bytes().partition(b"\n")
            _, status, _ = run_wsgi_app(self._app, _environ(json.loads(head), body))
            assert not status.startswith("5"), f"{file.name}: {status}"

    def __call__(self, environ: dict[str, Any], respond: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in _CHANGES:
            body = _body(environ)
            said = {name: value for name, value in environ.items() if isinstance(value, str)}
            said.pop("HTTP_TRANSFER_ENCODING", None)
            said["CONTENT_LENGTH"] = str(len(body))
            self._keep(json.dumps(said).encode() + b"\n" + body)
            environ |= _environ(said, body)
            environ.pop("HTTP_TRANSFER_ENCODING", None)
        return self._app(environ, respond)

    def _keep(self, request: bytes) -> None:
        with self._taking_number:
            self._number += 1
            file = self._folder / f"{self._number:08}.request"
            draft = file.with_suffix(".draft")
            draft.write_bytes(request)
            draft.replace(file)


def _body(environ: dict[str, Any]) -> bytes:
    given = environ["wsgi.input"]
    if environ.get("wsgi.input_terminated"):
        return bytes(given.read())
    return bytes(given.read(int(environ.get("CONTENT_LENGTH") or 0)))


def _environ(said: dict[str, str], body: bytes) -> dict[str, Any]:
    return {
        **said,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


if __name__ == "__main__":
    run_simple("127.0.0.1", int(sys.argv[1]), Lasting(Path(sys.argv[2])), threaded=True)
