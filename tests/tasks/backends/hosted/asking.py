"""What the tests of APIs share: a release that one answers for, and an account of its requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tasks.backends.base import Ask, BudgetSpentError, Reply, Usage, replies_of
from tasks.backends.hosted.backend import HostedBackend
from tasks.releases.source import HostedSource
from tasks.settings import ReleaseSettings, SamplingSettings
from tests.fake_api import FakeApi

KEY = "sk-planted-key-0123456789"
VARIABLE = "TEST_API_KEY"


@dataclass
class Account:
    """A meter that admits `most` requests and remembers what became of each."""

    most: int = 10_000
    sent: list[int] = field(default_factory=list)
    arrived: list[tuple[int, Reply, Usage | None]] = field(default_factory=list)
    failed_ones: list[bool] = field(default_factory=list)

    def begin(self, place: int, worst: Usage) -> int | None:
        if len(self.sent) >= self.most:
            raise BudgetSpentError("the budget is spent")
        self.sent.append(place)
        return len(self.sent)

    def failed(self, attempt: int, *, may_be_billed: bool) -> None:
        self.failed_ones.append(may_be_billed)


class Meter:
    """The same as the backend sees it."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def begin(self, place: int, worst: Usage) -> int | None:
        return self._account.begin(place, worst)

    def failed(self, attempt: int, *, may_be_billed: bool) -> None:
        self._account.failed(attempt, may_be_billed=may_be_billed)

    def arrived(self, attempt: int, place: int, reply: Reply, usage: Usage | None) -> None:
        self._account.arrived.append((place, reply, usage))


def ask(text: str = "question", **sampling: Any) -> Ask:
    params = SamplingSettings(**{"max_tokens": 50, **sampling}).params(7)
    system = {"role": "system", "content": "Be brief."}
    return Ask((system, {"role": "user", "content": text}), params)


def declared(server: FakeApi, **changes: Any) -> ReleaseSettings:
    values = {
        "api": "openai", "model": "big-1", "base_url": server.url, "api_key_env": VARIABLE,
        **changes,
    }  # fmt: skip
    if values["api"] != "openai":
        values["base_url"] = values["base_url"].removesuffix("/v1")
    return ReleaseSettings.model_validate(values)


@contextmanager
def loaded(server: FakeApi, **changes: Any) -> Iterator[HostedBackend]:
    requests = {"max_concurrency": 4, "timeout_s": 5.0, "max_retries": 3}
    requests |= changes.pop("requests", {})
    source = HostedSource.declared("r", declared(server, requests=requests, **changes))
    backend = source.load()
    assert isinstance(backend, HostedBackend)
    try:
        yield backend
    finally:
        backend.close()


def answers(
    server: FakeApi, asks: Sequence[Ask], account: Account | None = None, **changes: Any
) -> list[Reply]:
    with loaded(server, **changes) as backend:
        return replies_of(backend, asks, Meter(account or Account()))
