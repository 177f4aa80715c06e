"""The store of the settings, opened: the one place that knows where it is.

It is a file in the state folder, or shared by several machines ([store]). Who has a path and no
settings (a receipt beside its store, a data set in MLflow) opens the file itself, with
`Store.open`. What only a shared store needs is imported with the first one.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from tasks.errors import StoreError
from tasks.store.db.connection import Store
from tasks.store.folder import MARKER

if TYPE_CHECKING:
    from tasks.settings import Settings
    from tasks.store.held.raw_key import RawKey
    from tasks.store.shared.truth import Truth

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
    path = settings.store_path
    if settings.store.is_shared:
        from tasks.store.shared.store import opened_to_read, opened_to_write

        if read_only:
            return opened_to_read(truth_of(settings), path, raw_key=raw_key, any_schema=any_schema)
        return opened_to_write(
            truth_of(settings), path, lock_timeout_s=lock_timeout_s, raw_key=raw_key
        )
    refuse_working_copy(settings)
    return Store.open(
        path,
        read_only=read_only,
        lock_timeout_s=lock_timeout_s,
        raw_key=raw_key,
        any_schema=any_schema,
    )


def store_exists(settings: Settings) -> bool:
    """Whether anything was ever put into it."""
    if settings.store.is_shared:
        return truth_of(settings).state() is not None
    return settings.store_path.exists()


def truth_of(settings: Settings, patience_s: float | None = None) -> Truth:
    """The services of a shared store, tried for so long where they do not answer (None: as long as
    a lease lasts). Raises UsageError where their addresses are none, or a library is missing."""
    from tasks.store.shared.database import connected
    from tasks.store.shared.objects import objects_at
    from tasks.store.shared.truth import Truth

    store = settings.store
    patience_s = store.lease_s if patience_s is None else patience_s
    return Truth(
        connected(store.database, patience_s),
        objects_at(store.objects, patience_s),
        store.lease_s,
    )


def refuse_working_copy(settings: Settings) -> None:
    """Raises StoreError where the settings name no services, and the file is a copy of what is
    there: what was written to it would be in no store."""
    if settings.store_path.with_name(MARKER).exists():
        raise StoreError(
            "the store in this state folder is a copy of one that machines share",
            received=str(settings.store_path),
            next="set [store] again, or flywheel store copy shared FOLDER while it is set, and "
            "make that folder the state folder",
        )
