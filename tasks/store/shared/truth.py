"""What is shared, as one value: the database, the object storage, and what they are at.

A commit is one transaction of the database: it renews the leases or is refused, moves the version
on, writes control rows and says of which parts every table consists. Parts are put before, and
those that no table consists of any more are deleted after.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from expectations.contracts import SHARED_TABLES, TableContract
from tasks.errors import StoreError, StoreFencedError
from tasks.store.db.schema import MIGRATIONS, refuse_newer
from tasks.store.shared import controls
from tasks.store.shared.controls import ControlChange, Row
from tasks.store.shared.database import COMMITS, LITTER, NUMBER, PARTS, STORE, TABLES, Database
from tasks.store.shared.leases import refuse_lost
from tasks.store.shared.objects import Objects
from tasks.store.shared.working_copy import State

#: control rows of one version, at most
_ROWS_A_VERSION = 1 << 32


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of a table as a Parquet file. `digest`: sha256 of the file."""

    key: str
    num_rows: int
    size_bytes: int
    digest: str


@dataclass(frozen=True, slots=True)
class Content:
    """What a working copy has to hold. `controls`: rows of those that changed since its version."""

    state: State
    schema: int
    contracts: Mapping[str, TableContract]
    controls: Mapping[str, Sequence[Row]]
    parts: Mapping[str, Sequence[Part]]


@dataclass(frozen=True, slots=True)
class Commit:
    """`rewritten`: all rows of control tables whose columns may be others than before; `recorded`:
    what all tables are like from now on."""

    controls: Sequence[ControlChange] = ()
    rewritten: Mapping[TableContract, Sequence[Row]] | None = None
    recorded: Sequence[TableContract] = ()
    parts: Mapping[str, Sequence[Part | str]] | None = None


@dataclass(frozen=True, slots=True)
class Truth:
    database: Database
    objects: Objects
    lease_s: float

    def state(self) -> tuple[State, int] | None:
        """And the schema of its rows; None: there is no store yet. Raises StoreError on one that is
        newer than this code."""
        if not self.database.is_made and self.database.layout() == 0:
            return None

        def read(connection: sa.Connection) -> tuple[State, int] | None:
            row = connection.execute(sa.select(STORE, NUMBER)).first()
            if row is None:
                return None
            self.database.accept(row.layout)
            return State(row.store_id, row.version, row.commit_id), row.schema

        found = self.database.run(read)
        if found is not None:
            refuse_newer(found[1])
        return found

    def create(self) -> None:
        """Empty, where there is none."""
        if self.state() is not None and self.database.is_newest:
            return
        self.database.prepare()

        def make(connection: sa.Connection) -> None:
            connection.execute(
                sa.text(
                    f"INSERT INTO {STORE.name} "
                    "(id, store_id, schema, version, commit_id, pseudonym_key_id) "
                    "VALUES (1, :store_id, :schema, 0, '', '') ON CONFLICT (id) DO NOTHING"
                ),
                {"store_id": secrets.token_hex(8), "schema": len(MIGRATIONS)},
            )
            is_made = connection.scalar(sa.select(sa.func.count()).select_from(TABLES))
            if is_made:
                return
            connection.execute(COMMITS.insert().values(version=0, commit_id=""))
            for contract in SHARED_TABLES:
                connection.execute(
                    TABLES.insert().values(
                        name=contract.name,
                        contract=controls.contract_to_json(contract),
                        changed_at=0,
                    )
                )
                if contract.is_control:
                    controls.table_of(contract).create(connection, checkfirst=True)

        self.database.run(make)

    def content(self, since: State | None) -> Content:
        """`since`: of the working copy; None, or one that is not of this store's past: all of it.
        Call it where there is a store."""

        def read(connection: sa.Connection) -> Content:
            row = connection.execute(sa.select(STORE)).one()
            state = State(row.store_id, row.version, row.commit_id)
            version = -1
            if since is not None and since.store_id == state.store_id:
                of_version = sa.select(COMMITS.c.commit_id).where(
                    COMMITS.c.version == since.version
                )
                if connection.scalar(of_version) == since.commit_id:
                    version = since.version
            contracts, changed = {}, {}
            for name, contract, changed_at in connection.execute(sa.select(TABLES)):
                contracts[name] = controls.contract_from_json(name, contract)
                if contracts[name].is_control and changed_at > version:
                    changed[name] = contracts[name]
            found = {name: controls.read(connection, table) for name, table in changed.items()}
            parts: dict[str, list[Part]] = {
                name: [] for name, contract in contracts.items() if not contract.is_control
            }
            for part in connection.execute(
                sa.select(PARTS).order_by(PARTS.c.table_name, PARTS.c.ordinal)
            ):
                parts[part.table_name].append(
                    Part(part.part_key, part.num_rows, part.size_bytes, part.digest)
                )
            return Content(state, row.schema, contracts, found, parts)

        return self.database.run(read, is_snapshot=True)

    def put(self, table: str, file: Path, num_rows: int, token: int) -> Part:
        """Upload a part. It is litter until a commit says that a table consists of it."""
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        key = f"{table}/{digest[:32]}-{secrets.token_hex(4)}.parquet"
        values = {"part_key": key, "token": token}
        self.database.run(lambda connection: self._note_litter(connection, values))
        self.objects.put(file, key)
        return Part(key, num_rows, file.stat().st_size, digest)

    @staticmethod
    def _note_litter(connection: sa.Connection, values: Mapping[str, object]) -> None:
        connection.execute(LITTER.delete().where(LITTER.c.part_key == values["part_key"]))
        connection.execute(LITTER.insert().values(values))

    def commit(self, before: State, after: State, commit: Commit, token: int) -> None:
        """All or nothing. Raises StoreFencedError where the store or one of the leases went to
        another, StoreUnreachableError where it is not known whether it was committed: it is then
        told by the next one who opens the store."""

        def write(connection: sa.Connection) -> None:
            row = connection.execute(sa.select(STORE).with_for_update()).one()
            if row.commit_id == after.commit_id:
                return  # the answer to the first try was lost
            refuse_lost(connection, self.database, self.lease_s)
            if (row.version, row.commit_id) != (before.version, before.commit_id):
                raise StoreFencedError(
                    "another machine wrote to the store meanwhile: nothing of this step was kept",
                    received=f"version {row.version}, not {before.version}",
                    next="run the same command again: it goes on after the last whole step",
                )
            connection.execute(
                STORE.update().values(
                    version=after.version, commit_id=after.commit_id, schema=len(MIGRATIONS)
                )
            )
            connection.execute(
                COMMITS.insert().values(version=after.version, commit_id=after.commit_id)
            )
            first = after.version * _ROWS_A_VERSION
            for change in commit.controls:
                controls.write(connection, change, first)
                self._changed(connection, change.contract, after.version)
            for contract, rows in (commit.rewritten or {}).items():
                controls.rewrite(connection, contract, rows, first)
            for contract in commit.recorded:
                self._changed(connection, contract, after.version)
            for name, parts in (commit.parts or {}).items():
                self._write_parts(connection, name, parts, token)

        self.database.run(write)

    @staticmethod
    def _changed(connection: sa.Connection, contract: TableContract, version: int) -> None:
        values = {"contract": controls.contract_to_json(contract), "changed_at": version}
        of_table = TABLES.c.name == contract.name
        if connection.execute(TABLES.update().where(of_table).values(values)).rowcount == 0:
            connection.execute(TABLES.insert().values(name=contract.name, **values))

    @staticmethod
    def _write_parts(
        connection: sa.Connection, table: str, parts: Sequence[Part | str], token: int
    ) -> None:
        """`parts`: those that stay are told by their keys."""
        of_table = PARTS.c.table_name == table
        known = {row.part_key: row for row in connection.execute(sa.select(PARTS).where(of_table))}
        rows = []
        for ordinal, part in enumerate(parts):
            if isinstance(part, str):
                old = known.pop(part)
                part = Part(part, old.num_rows, old.size_bytes, old.digest)
            rows.append(
                {
                    "table_name": table,
                    "ordinal": ordinal,
                    "part_key": part.key,
                    "num_rows": part.num_rows,
                    "size_bytes": part.size_bytes,
                    "digest": part.digest,
                }
            )
        connection.execute(PARTS.delete().where(of_table))
        if rows:
            connection.execute(PARTS.insert(), rows)
            keys = [row["part_key"] for row in rows]
            connection.execute(LITTER.delete().where(LITTER.c.part_key.in_(keys)))
        if known:
            connection.execute(
                LITTER.insert(), [{"part_key": key, "token": token} for key in known]
            )

    def sweep(self) -> None:
        """Delete what no table consists of, as far as that succeeds now. Call it with the lease and
        between commits."""

        def read(connection: sa.Connection) -> list[str]:
            refuse_lost(connection, self.database, self.lease_s)
            return list(connection.scalars(sa.select(LITTER.c.part_key)))

        keys = self.database.run(read, patience_s=0.0)
        gone = self.objects.remove(keys)
        if gone:
            delete = LITTER.delete().where(LITTER.c.part_key.in_(gone))
            self.database.run(lambda connection: connection.execute(delete), patience_s=0.0)

    def agree_on_key(self, key_id: str) -> None:
        """Which key makes the pseudonyms: that of the first machine. Raises StoreError on another:
        one user would be two, and who is forgotten would come in again."""

        def agree(connection: sa.Connection) -> str:
            known = connection.scalar(sa.select(STORE.c.pseudonym_key_id))
            if not known:
                connection.execute(STORE.update().values(pseudonym_key_id=key_id))
            return known or key_id

        if self.database.run(agree) != key_id:
            raise StoreError(
                "the key of the pseudonyms in this state folder is not that of the shared store",
                next="put pseudonym.key of a machine that works on it into this state folder "
                "(mode 600), in place of the one that is there",
            )

    def size(self) -> tuple[int, int]:
        """Parts, and their bytes."""

        def read(connection: sa.Connection) -> tuple[int, int]:
            count, size = sa.func.count(), sa.func.coalesce(sa.func.sum(PARTS.c.size_bytes), 0)
            row = connection.execute(sa.select(count, size).select_from(PARTS)).one()
            return int(row[0]), int(row[1])

        return self.database.run(read)


def next_state(state: State) -> State:
    return State(state.store_id, state.version + 1, secrets.token_hex(8))
