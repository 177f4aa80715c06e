"""A process that writes to a shared store and kills itself at one exact step."""

from __future__ import annotations

import os
import signal
from typing import Any

import sqlalchemy as sa

from tasks.settings import Settings
from tasks.store.opening import open_store, truth_of
from tasks.store.shared.objects import Objects
from tasks.store.shared.store import SharedStore
from tests.tasks.store.shared.rows import change


def written_and_killed(settings: Settings, name: str, moment: int) -> None:
    """One transaction, killed before its n-th step: a statement to the database, its commit, an
    object put or deleted, and what DuckDB does between."""
    left = moment

    def step() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def stepping(original: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            step()
            result = original(*arguments, **named)
            step()
            return result

        return call

    with open_store(settings) as store:
        engine = truth_of(settings).database.engine
        sa.event.listen(engine, "before_cursor_execute", lambda *_: step())
        sa.event.listen(engine, "commit", lambda _: step())
        Objects.put = stepping(Objects.put)  # type: ignore[method-assign]
        Objects.remove = stepping(Objects.remove)  # type: ignore[method-assign]
        SharedStore.before_commit = stepping(SharedStore.before_commit)  # type: ignore[method-assign]
        change(store, name)
        step()
        os._exit(0)


def changed(settings: Settings, name: str) -> None:
    with open_store(settings) as store:
        change(store, name)
