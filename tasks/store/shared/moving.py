"""A whole store from one machine's file to services that machines share, and back: every row of
every table, in its order."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb

from expectations.checks import quoted
from expectations.contracts import SHARED_TABLES
from tasks.errors import UsageError
from tasks.settings import Settings
from tasks.store.control.pseudonym_key import KEY_FILE, key_id_of, pseudonym_key
from tasks.store.db.connection import Store, refuse_missing, using
from tasks.store.db.copying import CONFIG, UNFINISHED
from tasks.store.folder import KEPT, MARKER
from tasks.store.opening import LOCK_TIMEOUT_S, open_store, store_exists, truth_of
from tasks.store.shared import pulling
from tasks.store.shared.leases import held
from tasks.store.shared.store import BUSY, LEASE, home_id, publish_all
from tasks.store.shared.working_copy import forget_memory

STORE = "flywheel.duckdb"
Digests = dict[str, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Moved:
    """`num_rows`: of every table. `is_new`: the target was empty; else it held the same already.
    `kept`: where the file went that was in the place of the working copy."""

    num_rows: dict[str, int]
    is_new: bool
    kept: Path | None = None


def to_shared(folder: Path, settings: Settings) -> Moved:
    """From a state folder. Raises UsageError where other rows are shared already."""
    source = folder / STORE
    refuse_missing(source)
    _refuse_copy(folder)
    truth = truth_of(settings)
    truth.create()
    found = truth.state()
    assert found is not None, "it was made"
    with Store.open(source, read_only=True) as store:
        told = digests(store.connection)
        is_new = found[0].version == 0
        if not is_new and digests_of(settings) != told:
            raise _not_empty(truth.database.shown)
        if is_new:
            truth.agree_on_key(key_id_of(pseudonym_key(folder)))
            path = settings.store_path
            with held(
                truth.database, LEASE, home_id=home_id(path), lease_s=truth.lease_s,
                wait_s=LOCK_TIMEOUT_S, busy=BUSY,
            ) as lease:  # fmt: skip
                publish_all(
                    store.connection, path.parent, truth, found[0], lease.token, remembers=False
                )
    _take_key(folder, settings.home_path)
    return Moved(_rows(told), is_new, _out_of_the_way(source, settings))


def from_shared(settings: Settings, folder: Path) -> Moved:
    """Into a state folder. Raises UsageError where other rows are in it already."""
    target = folder / STORE
    _refuse_copy(folder)
    if target.exists():
        told = digests_of(settings)
        with Store.open(target, read_only=True) as store:
            if digests(store.connection) != told:
                raise _not_empty(str(target))
        return Moved(_rows(told), is_new=False)
    if not store_exists(settings):
        raise UsageError("there is no shared store yet", next="flywheel ingest, or flywheel run")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = target.with_name(f"{UNFINISHED}{STORE}")
    try:
        connection = duckdb.connect(str(draft), config=dict(CONFIG))
        with using(connection, draft):
            pulling.pull(connection, truth_of(settings), folder)
            forget_memory(connection)
            told = digests(connection)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    _take_key(settings.home_path, folder)
    return Moved(_rows(told), is_new=True)


def digests_of(settings: Settings) -> Digests:
    with open_store(settings, read_only=True) as store:
        return digests(store.connection)


def digests(connection: duckdb.DuckDBPyConnection) -> Digests:
    """Of every table the number of its rows and what they hash to, whatever their order."""
    return {
        contract.name: connection.execute(
            f"SELECT count(*), bit_xor(h), sum(h) FROM (SELECT hash({columns}) AS h "
            f"FROM {quoted(contract.name)})"
        ).fetchall()[0]
        for contract in SHARED_TABLES
        for columns in [", ".join(map(quoted, contract.column_names))]
    }


def _rows(told: Digests) -> dict[str, int]:
    return {name: int(str(digest[0])) for name, digest in told.items()}


def _refuse_copy(folder: Path) -> None:
    if (folder / MARKER).exists():
        raise UsageError(
            "the state folder holds a working copy of a shared store, and no store of its own",
            received=str(folder),
            next="name another folder",
        )


def _not_empty(where: str) -> UsageError:
    return UsageError(
        "what shall take the store in holds other rows already",
        received=where,
        allowed="nothing, or the same rows",
        next="name an empty one",
    )


def _take_key(source: Path, target: Path) -> None:
    """Of the pseudonyms, without which the rows say less."""
    key = target / KEY_FILE
    if (source / KEY_FILE).exists() and not key.exists():
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copy2(source / KEY_FILE, key)


def _out_of_the_way(source: Path, settings: Settings) -> Path | None:
    """The file lies where the working copy has to be: it is kept beside it."""
    if source.resolve() != settings.store_path.resolve():
        return None
    kept = source.parent / KEPT / f"{source.stem}-before-sharing-{time.strftime('%Y%m%dT%H%M%S')}"
    kept.parent.mkdir(mode=0o700, exist_ok=True)
    return source.rename(kept.with_suffix(".duckdb"))
