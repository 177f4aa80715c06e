"""The store of the settings, opened: the one place that knows where it is.

Who has a path and no settings (a receipt beside its store, a data set in MLflow) opens the file
itself, with `Store.open`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from tasks.store.db.connection import Store

if TYPE_CHECKING:
    from tasks.settings import Settings
    from tasks.store.held.raw_key import RawKey

LOCK_TIMEOUT_S = 5.0


def open_store(
    settings: Settings,
    *,
    read_only: bool = False,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
    raw_key: RawKey | None = None,
    any_schema: bool = False,
) -> AbstractContextManager[Store]:
    """The store, open for the length of the `with` block; raises as `Store.open` does."""
    return Store.open(
        settings.store_path,
        read_only=read_only,
        lock_timeout_s=lock_timeout_s,
        raw_key=raw_key,
        any_schema=any_schema,
    )


def store_exists(settings: Settings) -> bool:
    """Whether anything was ever put into it."""
    return settings.store_path.exists()
