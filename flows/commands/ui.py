"""`flywheel ui`: the MLflow server on loopback, over our stores, until it is stopped."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

from flows.processes import Server, end_server, remembered, start_server
from tasks.errors import StoreError
from tasks.settings import Settings, read_settings
from tasks.store.folder import private
from tasks.tracking.environment import tracking_location

#: what `flywheel ui` was started with last, running or not
RECORD = "ui.json"
DEFAULT_PORT = 5000


def serve(port: int, *, config: str | None) -> int:
    settings = read_settings(config)
    with bound_port(port, "flywheel ui --port"):
        pass  # the server binds it itself
    from tasks.tracking.server import server_command

    argv, environment = server_command(settings, port)
    url = f"http://127.0.0.1:{port}"
    print(f"MLflow on {url} · stop with Ctrl-C", flush=True)
    settings.home_path.mkdir(mode=0o700, parents=True, exist_ok=True)
    with private(settings.home_path):
        process = start_server(argv, environment)
    try:
        Server.of(process.pid, url).remember(settings.home_path / RECORD)
        return process.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        end_server(process)


def mlflow_page(settings: Settings, path: str, config_option: str) -> list[tuple[str, str]]:
    """How to open a page of MLflow: its address where a server answers for our runs, else the
    command that starts one and the address to open then."""
    if elsewhere := server_elsewhere(settings):
        return [("MLflow", elsewhere + path)]
    if url := served(settings):
        return [("MLflow", url + path)]
    server = remembered(settings.home_path / RECORD)
    url = server.url if server is not None else f"http://127.0.0.1:{DEFAULT_PORT}"
    port = url.rpartition(":")[2]
    option = "" if port == str(DEFAULT_PORT) else f" --port {port}"
    return [("MLflow", f"flywheel ui{option}{config_option}"), ("  then", url + path)]


def served(settings: Settings) -> str:
    """The address at which `flywheel ui` serves this state folder now; empty where it does not."""
    server = remembered(settings.home_path / RECORD)
    return server.url if server is not None and server.is_running() else ""


def server_elsewhere(settings: Settings) -> str | None:
    """The address of the MLflow server that keeps our runs, as a browser of anybody may open it;
    None where we keep them."""
    location = tracking_location(settings)
    if not location.is_http:
        return None
    parts = urlsplit(location.uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


@contextmanager
def bound_port(port: int, command: str) -> Iterator[socket.socket]:
    """A socket of loopback at the port, 0 for any that is free. Raises StoreError where it is taken
    or forbidden; `command` then names the next."""
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(("127.0.0.1", port))
        except OSError as error:
            raise StoreError(
                f"port {port} cannot be used: {error.strerror}",
                received=str(port),
                next=f"{command} {port + 1}",
            ) from None
        yield bound
