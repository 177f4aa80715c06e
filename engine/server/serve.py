"""A server process from its start to its end: port, model, signals, exit code.

The port is taken before the model is loaded, so that a taken one is told at once. On SIGTERM or
SIGINT no new connection is accepted, running requests get a time to finish, and the exit code is 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from engine.errors import EngineError
from engine.server.options import API_KEY_VARIABLE, ServeOptions

__all__ = ["serve"]


def serve(options: ServeOptions) -> None:
    """Until a signal ends it. Raises EngineError for the model, OSError for the port."""
    listening = _bind(options.host, options.port)
    from engine.scheduling.core import (
        EngineCore,  # torch takes seconds, and the port is to be known first
    )
    from engine.server.app import make_app
    from engine.server.guard import Access, Guard

    with contextlib.closing(listening):
        name = options.name or Path(options.model).stem
        core = EngineCore(options.model, options.engine)
        if core.codec is None:
            raise EngineError(f"{options.model}: has no tokenizer, and a server needs one.")
        api_key = options.api_key or os.environ.get(API_KEY_VARIABLE, "")
        access = Access.of(options.host, options.allow_host, options.allow_origin, api_key)
        config = uvicorn.Config(
            Guard(make_app(core, name, options.limits), access),
            timeout_graceful_shutdown=options.grace_s,
            log_level="warning",
            access_log=False,
            server_header=False,
        )
        host, port = listening.getsockname()[:2]
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        print(f"Serving {name} at http://{address}/v1", file=sys.stderr, flush=True)
        if not (api_key or ipaddress.ip_address(host).is_loopback):
            print("Everyone who reaches this address can use it.", file=sys.stderr, flush=True)
        asyncio.run(_Server(config).serve([listening]))


class _Server(uvicorn.Server):
    """uvicorn raises the signal anew when it is done, which would make the exit code that of a
    killed process.
    """

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, self.handle_exit, each, None)
        yield


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()  # a bound port that nobody listens on can be bound twice
    except OSError as error:
        raise OSError(
            f"Port {port} of {host} cannot be taken: {error.strerror}. Give another --port "
            "(0: any that is free) or end who holds it."
        ) from None
    return listening
