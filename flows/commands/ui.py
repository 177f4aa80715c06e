"""`flywheel ui`: the MLflow server on loopback, over our stores, until interrupted."""

from __future__ import annotations

import socket
import subprocess

from tasks.errors import StoreError
from tasks.settings import read_settings


def serve(port: int, *, config: str | None) -> int:
    settings = read_settings(config)
    _refuse_taken_port(port)
    from tasks.tracking.server import server_command

    argv, environment = server_command(settings, port)
    print(f"MLflow on http://127.0.0.1:{port} · stop with Ctrl-C", flush=True)
    process = subprocess.Popen(argv, env=environment)
    try:
        return process.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        process.terminate()
        process.wait(10)


def _refuse_taken_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise StoreError(
                f"port {port} cannot be used: {error.strerror}",
                received=str(port),
                next=f"flywheel ui --port {port + 1}",
            ) from None
