"""What a signal must stop besides Python: queries that threads of DuckDB are at work on.

DuckDB's client raises what a signal's handler raised only when its threads have come to the end of
what they are at, which may be the whole query. So the handler interrupts them first.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol
from weakref import WeakSet


class Interruptible(Protocol):
    def interrupt(self) -> None: ...


_CONNECTIONS: WeakSet[Interruptible] = WeakSet()


def let_signals_stop(connection: Interruptible) -> None:
    """From now on, as long as it is there."""
    _CONNECTIONS.add(connection)


def interrupt_queries() -> None:
    """For a handler of signals, before it raises. One that is at nothing takes no notice."""
    for connection in list(_CONNECTIONS):
        with suppress(Exception):  # that it is closed
            connection.interrupt()
