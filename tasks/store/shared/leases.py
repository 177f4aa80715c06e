"""Who may work on what of a store that machines share: one holder of a name at a time.

A lease is a row with a holder, a moment at which it ends by the database's own clock, and a token,
one more with every holder. A thread renews it while it is held. A holder that fell silent loses it
when it ends; what it wants to commit later is refused for its token, however late it wakes up. One
that was killed loses it at once to a process of the same state folder, which could not have got as
far while the other lived: it holds the lock on a file there first.
"""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import sqlalchemy as sa

from tasks.errors import StoreBusyError, StoreError, StoreFencedError
from tasks.processes import this_process
from tasks.store.shared.database import LEASES, Database

_POLL_S = 0.2
_RENEWALS = 3


@dataclass(frozen=True, slots=True)
class Lease:
    name: str
    holder_id: str
    token: int


@dataclass(frozen=True, slots=True)
class Holder:
    """Of a row that is held: for people, and how long it holds by itself, seconds."""

    name: str
    told: str
    home_id: str
    left_s: float


@contextmanager
def held(
    database: Database, name: str, *, home_id: str, lease_s: float, wait_s: float, busy: str,
    is_left_when_stopped: bool = False,
) -> Iterator[Lease]:  # fmt: skip
    """Hold `name` for the length of the block, and give it back; `is_left_when_stopped`: but where
    the block is stopped from outside, which is no Exception, leave it to end by itself.

    Raises StoreBusyError that says `busy` and who holds it, after so many seconds.
    """
    lease = _acquired(database, name, home_id, lease_s, wait_s, busy)
    ended = threading.Event()
    renewing = threading.Thread(
        target=_renew, args=(database, lease, lease_s, ended), name=f"lease {name}", daemon=True
    )
    database.held.append(lease)
    renewing.start()
    is_given_back = True
    try:
        yield lease
    except Exception:
        raise
    except BaseException:
        is_given_back = not is_left_when_stopped
        raise
    finally:
        ended.set()
        database.held.remove(lease)
        if is_given_back:
            with suppress(StoreError):  # away: it ends by itself
                database.run(lambda connection: _let_go(connection, lease), patience_s=0.0)


def refuse_lost(connection: sa.Connection, database: Database, lease_s: float) -> None:
    """Lock and renew, in the transaction of a commit, all that this process holds. Raises
    StoreFencedError where something of it went to another."""
    for lease in sorted(database.held, key=lambda held: str(held.name)):
        renewed = connection.execute(
            LEASES.update().where(*_is(lease)).values(expires_at=database.now + lease_s)
        )
        if renewed.rowcount == 1:
            continue
        holder = connection.scalar(sa.select(LEASES.c.holder).where(LEASES.c.name == lease.name))
        raise StoreFencedError(
            f"the lease {lease.name!r} of this process ended, and another took it over: "
            "nothing of this step was kept",
            received=f"held now by {holder or 'nobody'}",
            next="run the same command again: it goes on after the last whole step",
        )


def holders(database: Database) -> list[Holder]:
    """What is held now."""

    def read(connection: sa.Connection) -> list[Holder]:
        left = (LEASES.c.expires_at - database.now).label("left")
        found = connection.execute(
            sa.select(LEASES.c.name, LEASES.c.holder, LEASES.c.home_id, left)
            .where(LEASES.c.holder_id != "", LEASES.c.expires_at > database.now)
            .order_by(LEASES.c.name)
        )
        return [Holder(*row) for row in found]

    return database.run(read)


def ended(database: Database, prefix: str) -> list[str]:
    """Names of leases that ran out, and were not given back."""
    ran_out = sa.select(LEASES.c.name).where(
        LEASES.c.name.startswith(prefix, autoescape=True),
        LEASES.c.holder_id != "",
        LEASES.c.expires_at <= database.now,
    )
    return database.run(lambda connection: list(connection.scalars(ran_out)))


def forget(database: Database, name: str) -> None:
    """A lease that ran out, and that nobody will ask for again."""
    delete = LEASES.delete().where(LEASES.c.name == name, LEASES.c.expires_at <= database.now)
    database.run(lambda connection: connection.execute(delete))


def _acquired(
    database: Database, name: str, home_id: str, lease_s: float, wait_s: float, busy: str
) -> Lease:
    holder_id = secrets.token_hex(8)
    deadline = time.monotonic() + wait_s

    def take(connection: sa.Connection) -> Lease | str:
        connection.execute(
            sa.text(
                f"INSERT INTO {LEASES.name} (name, holder, holder_id, home_id, token, expires_at) "
                "VALUES (:name, '', '', '', 0, 0) ON CONFLICT (name) DO NOTHING"
            ),
            {"name": name},
        )
        row = connection.execute(
            sa.select(LEASES, (LEASES.c.expires_at - database.now).label("left"))
            .where(LEASES.c.name == name)
            .with_for_update()
        ).one()
        if row.holder_id == holder_id:
            return Lease(name, holder_id, row.token)
        is_ours = row.home_id == home_id and row.holder.endswith(f" on {socket.gethostname()}")
        if row.holder_id and row.left > 0 and not is_ours:
            return f"held by {row.holder}, for {row.left:.0f} s unless it renews it"
        connection.execute(
            LEASES.update()
            .where(LEASES.c.name == name)
            .values(
                holder=this_process(),
                holder_id=holder_id,
                home_id=home_id,
                token=row.token + 1,
                expires_at=database.now + lease_s,
            )
        )
        return Lease(name, holder_id, row.token + 1)

    while True:
        taken = database.run(take)
        if isinstance(taken, Lease):
            return taken
        if time.monotonic() >= deadline:
            raise StoreBusyError(
                busy,
                received=taken,
                next="wait for it to finish, or stop it, then run the same command again",
            )
        time.sleep(_POLL_S)


def _renew(database: Database, lease: Lease, lease_s: float, ended: threading.Event) -> None:
    pause_s = lease_s / _RENEWALS

    def renew(connection: sa.Connection) -> int:
        values = {"expires_at": database.now + lease_s}
        return connection.execute(LEASES.update().where(*_is(lease)).values(values)).rowcount

    while not ended.wait(pause_s):
        try:
            if database.run(renew, patience_s=0.0) == 0:
                return  # who commits is told
            pause_s = lease_s / _RENEWALS
        except StoreError:
            pause_s = min(1.0, lease_s / 10)


def _let_go(connection: sa.Connection, lease: Lease) -> None:
    if ":" in lease.name:  # of one thing that is done once: nobody asks for it again
        connection.execute(LEASES.delete().where(*_is(lease)))
        return
    connection.execute(
        LEASES.update().where(*_is(lease)).values(holder="", holder_id="", expires_at=0)
    )


def _is(lease: Lease) -> tuple[sa.ColumnElement[bool], ...]:
    return LEASES.c.name == lease.name, LEASES.c.holder_id == lease.holder_id
