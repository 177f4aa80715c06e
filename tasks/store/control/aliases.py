"""Which release is champion and which was before it, in the store. Owns the SQL; what may move them
is decided in tasks/releases/promotion.py."""

from __future__ import annotations

from collections.abc import Iterable

from expectations.contracts import ALIASES
from tasks.model.alias import Alias, AliasName
from tasks.model.release import Release
from tasks.settings import Settings
from tasks.store.db.connection import Store
from tasks.store.evals.releases import read_release
from tasks.store.opening import open_store, store_exists

Aliases = dict[AliasName, Alias]


def read_aliases(store: Store) -> Aliases:
    """None of them before the first promotion."""
    rows = store.rows("SELECT alias, release, release_digest, run_id, since FROM aliases")
    return {alias: Alias(alias, *rest) for alias, *rest in rows}


def aliases_at(settings: Settings) -> Aliases:
    """Of the store, where there is one; one that an earlier build wrote is read as it is. Raises
    StoreError where it cannot be read."""
    if not store_exists(settings):
        return {}
    with open_store(settings, read_only=True, any_schema=True) as store:
        is_there = store.scalar(
            "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'aliases' "
            "AND database_name = current_database()"
        )
        return read_aliases(store) if is_there else {}


def point(store: Store, aliases: Iterable[Alias]) -> None:
    """Call it inside the transaction that appends to the audit."""
    rows = [
        {
            "alias": alias.alias,
            "release": alias.release,
            "release_digest": alias.digest,
            "run_id": alias.run_id,
            "since": alias.since,
        }
        for alias in aliases
    ]
    store.insert(ALIASES, rows, existing="replace")


def promoted_releases(store: Store) -> dict[AliasName, Release]:
    """What the aliases point at, as it was judged."""
    found = {name: read_release(store, alias.digest) for name, alias in read_aliases(store).items()}
    return {name: release for name, release in found.items() if release is not None}
