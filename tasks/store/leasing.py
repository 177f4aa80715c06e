"""What only one may do at a time, across the machines that share a store.

Beside a lock on a file in the state folder, which keeps the processes of one machine apart and is
all there is where the store is not shared.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tasks.settings import Settings
from tasks.store.opening import truth_of


@contextmanager
def leased(
    settings: Settings, name: str, *, busy: str, wait_s: float = 0.0,
    is_left_when_stopped: bool = False,
) -> Iterator[None]:  # fmt: skip
    """Hold the lease of this name; whoever loses it has every later commit of this process refused.

    Raises StoreBusyError that says `busy` and names the holder, after so many seconds.
    """
    if not settings.store.is_shared:
        yield
        return
    from tasks.store.shared.leases import held
    from tasks.store.shared.store import home_id

    truth = truth_of(settings)
    truth.create()
    with held(
        truth.database, name, home_id=home_id(settings.store_path), lease_s=truth.lease_s,
        wait_s=wait_s, busy=busy, is_left_when_stopped=is_left_when_stopped,
    ):  # fmt: skip
        yield


def is_leased_elsewhere(settings: Settings, name: str) -> bool:
    """Whether another state folder holds it now; of this one its lock on a file tells."""
    if not settings.store.is_shared:
        return False
    from tasks.store.shared.leases import holders
    from tasks.store.shared.store import home_id

    ours = home_id(settings.store_path)
    return any(
        holder.name == name and holder.home_id != ours
        for holder in holders(truth_of(settings).database)
    )


def ended_leases(settings: Settings, prefix: str) -> list[str]:
    """Names of those that nobody gave back: their holders fell silent, on whatever machine."""
    if not settings.store.is_shared or truth_of(settings).state() is None:
        return []
    from tasks.store.shared.leases import ended

    return ended(truth_of(settings).database, prefix)


def forget_lease(settings: Settings, name: str) -> None:
    """One that ended."""
    if settings.store.is_shared:
        from tasks.store.shared.leases import forget

        forget(truth_of(settings).database, name)
