"""Who answers for a release: the engine on this machine, or an API. Decided once, when a release is
resolved; whoever needs to know asks the source and never which kind it is.

Runs no model and calls nothing; `load` imports what does.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from engine.identity import EngineIdentity
from tasks.backends.base import Backend
from tasks.backends.hosted.probe import probe
from tasks.backends.hosted.wire import WIRES, Wire
from tasks.backends.pool.place import EnginesPlace
from tasks.errors import UsageError
from tasks.model.canonical import canonical_json
from tasks.model.noise import Condition
from tasks.releases.memory import Memory
from tasks.settings import ReleaseSettings, RequestSettings


class Source(Protocol):
    """What a release's answers come from."""

    @property
    def model_digest(self) -> str:
        """Of the model's content; of an API, which shows none, of the name it is known by."""
        ...

    @property
    def key(self) -> tuple[Any, ...]:
        """Sources with the same key are loaded once and asked together."""
        ...

    @property
    def is_deterministic(self) -> bool:
        """Whether the same seed gives the same answer."""
        ...

    @property
    def weighs(self) -> bool:
        """Whether it tells the log-likelihood of a text that is given, and takes a prompt as plain
        text."""
        ...

    def value(self) -> dict[str, Any]:
        """All of it that may change an answer, as JSON; nothing of this machine's folders, no
        key."""
        ...

    def files(self, memory: Memory) -> dict[str, str]:
        """File of the model → sha256 of its content; none where it cannot be seen."""
        ...

    def conditions(self) -> Iterator[Condition]:
        """What should not matter to an answer and can be another one here, or why it cannot."""
        ...

    def here(self) -> Source:
        """The same, where its answers are computed in this process."""
        ...

    def load(self) -> Backend:
        """Raises EngineError or OSError where a model cannot be used, UsageError where an API
        cannot be asked."""
        ...


@dataclass(frozen=True, slots=True)
class EngineSource:
    """A model of this machine."""

    path: Path
    model_digest: str
    batch_invariant: bool
    identity: EngineIdentity
    #: changes no answer
    place: EnginesPlace = field(default=EnginesPlace(), compare=False)

    is_deterministic = True
    weighs = True

    @property
    def key(self) -> tuple[Any, ...]:
        return self.model_digest, self.identity.device, self.identity.digest

    def value(self) -> dict[str, Any]:
        return engine_value(self.identity)

    def files(self, memory: Memory) -> dict[str, str]:
        return memory.model_files(self.path)

    def conditions(self) -> Iterator[Condition]:
        identity = self.identity
        yield Condition("batch", "another batch and order", is_promised=identity.batch_invariant)
        if identity.device_class == "cpu":
            promised = identity.num_threads is None
            yield Condition("processor", "another number of threads", is_promised=promised)
        else:
            why = f"another processor was not tried: {identity.gpu} is part of the release"
            yield Condition("processor", "another processor", not_measured=why)

    def here(self) -> EngineSource:
        return replace(self, place=EnginesPlace())

    def load(self) -> Backend:
        share_processors()
        if not self.place.is_here:
            return self._load_there()
        from tasks.backends.local import LocalBackend  # loads torch

        identity = self.identity
        return LocalBackend(
            self.path,
            identity.device,
            identity.dtype,
            self.batch_invariant,
            identity.quantization,
        )

    def _load_there(self) -> Backend:
        from tasks.backends.pool.backend import PoolBackend
        from tasks.backends.pool.messages import Model

        if not self.identity.batch_invariant:
            raise UsageError(
                "with this engine an answer depends on what is asked beside it, so many actors "
                "would not say what one process says",
                received=f'evaluate.on = "{self.place.on}"',
                allowed="engines that keep their bits in any batch (docs/engine.md)",
                next='set evaluate.on = "here", or engine.batch_invariant and a dtype that has it',
            )
        digest = self.model_digest if self.place.address else ""
        model = Model(self.path, self.batch_invariant, self.identity, digest)
        return PoolBackend(self.place, model)


@dataclass(frozen=True, slots=True)
class HostedSource:
    """A model behind an API. `name`: the release, for messages."""

    name: str = field(compare=False)
    wire: Wire
    base_url: str
    model: str
    api_key_env: str
    body: Mapping[str, Any]
    omit: tuple[str, ...]
    requests: RequestSettings

    is_deterministic = False
    weighs = False

    @classmethod
    def declared(cls, name: str, declared: ReleaseSettings) -> HostedSource:
        """Raises UsageError where it can be known without a call that it cannot be asked: a key or
        a package that is missing, a sampling parameter that the API does not have."""
        wire = WIRES[declared.api, declared.endpoint]
        wire.require(name, declared.sampling)
        source = cls(
            name=name,
            wire=wire,
            base_url=declared.base_url or wire.base_url,
            model=declared.model,
            api_key_env=declared.api_key_env,
            body=declared.body,
            omit=declared.omit,
            requests=declared.requests,
        )
        if not declared.api_key_env and not declared.base_url:
            raise UsageError(
                f"release {name!r} names no variable with a key, and {wire.base_url} asks for one",
                next=f"set releases.{name}.api_key_env, the name of an environment variable",
            )
        source.api_key()
        return source

    def api_key(self) -> str:
        """From the environment, now; empty where none is named. Raises UsageError without it."""
        if not self.api_key_env:
            return ""
        key = os.environ.get(self.api_key_env, "").strip()
        if not key or not key.isascii() or not key.isprintable():
            state = "holds characters that no key has" if key else "is not set"
            raise UsageError(
                f"the environment variable {self.api_key_env} of release {self.name!r} {state}",
                next=f"export {self.api_key_env}=…, or correct releases.{self.name}.api_key_env",
            )
        return key

    @property
    def model_digest(self) -> str:
        of = {"api": self.wire.api, "base_url": self.base_url, "model": self.model}
        return hashlib.sha256(canonical_json(of).encode()).hexdigest()

    @property
    def key(self) -> tuple[Any, ...]:
        return canonical_json(self.value()), self.api_key_env, self.requests

    def value(self) -> dict[str, Any]:
        return {
            "api": self.wire.api,
            "endpoint": self.wire.endpoint,
            "base_url": self.base_url,
            "model": self.model,
            "body": dict(self.body),
            "omit": sorted(set(self.omit)),
            "is_deterministic": False,
        }

    def files(self, memory: Memory) -> dict[str, str]:
        return {}

    def conditions(self) -> Iterator[Condition]:
        why = "how the API computes is not known, so of another batch or processor nothing is told"
        yield Condition("batch", "another batch and order", not_measured=why)

    def here(self) -> HostedSource:
        return self

    def probe(self) -> tuple[bool | None, str]:
        """Whether it answers, at no cost; None: that is all that is known."""
        return probe(self.wire.api, self.base_url, self.api_key(), self.model)

    def load(self) -> Backend:
        from tasks.backends.hosted.backend import Endpoint, HostedBackend
        from tasks.backends.hosted.opening import open_provider

        key = self.api_key()
        provider = open_provider(
            self.wire.api, self.wire.endpoint, self.base_url, key, self.model, self.requests
        )
        endpoint = Endpoint(
            self.name, self.wire, self.base_url, self.model, self.api_key_env,
            dict(self.body), self.omit,
        )  # fmt: skip
        return HostedBackend(endpoint, provider, key, self.requests)


def cannot_weigh(release: str, suite: str) -> UsageError:
    return UsageError(
        f"release {release!r} answers through an API, which tells no log-likelihood of a given "
        "text and takes no prompt without its template",
        received=f"suites.{suite}.mode or suites.{suite}.template",
        allowed="releases of the local engine for this suite",
        next=f"compare local models, or leave the suite {suite!r} out",
    )


def engine_value(identity: EngineIdentity) -> dict[str, Any]:
    """What is recorded of the engine: of two like devices, which one it was changes nothing."""
    return identity.as_dict() | {"device": identity.device_class}


def share_processors() -> None:
    """Let torch's waiting threads sleep instead of spin; call it before torch is imported.

    Measured on 2 cores: as quick on an idle machine, and beside one busy process 115 s instead of
    more than 280 s, because a spinning thread keeps the one it waits for from running.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
