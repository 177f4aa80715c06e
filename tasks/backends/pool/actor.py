"""What an actor of Ray does: hold the engine, answer shards, write down what it said.

It loads the model when it is first asked, so also after it died and was started again, maybe on
another node: each time it makes sure that its engine and its model are those it was made for, since
answers are kept under their digest.
"""

from __future__ import annotations

import os
import platform
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from engine import EngineError, model_digest
from engine.identity import EngineIdentity, engine_identity
from engine.loading.digest import digest_of
from tasks.backends.base import Ask, Backend, Reply, Usage, replies_of
from tasks.backends.pool.cutting import shard_name
from tasks.backends.pool.messages import Given, Hello, Model
from tasks.backends.pool.spool import write_shard

_ANSWERING = Path(__file__).parents[1]


@cache
def answering_digest() -> str:
    """Of our own files that make a reply of what the engine says."""
    files = (_ANSWERING / name for name in ("base.py", "local.py", "weighing.py"))
    return digest_of(_ANSWERING, sorted(files))


class EngineActor:
    """Made on a node of the cluster by host.py. `answering`: digest of our files where it was."""

    def __init__(self, model: Model, answering: str) -> None:
        self._model = model
        self._answering = answering
        self._backend: Backend | None = None
        self._hello = Hello(platform.node(), os.getpid(), "", 0.0)

    def hello(self) -> Hello:
        if self._backend is None and not self._hello.wrong:
            started = time.monotonic()
            told = self._load()
            self._hello = replace(self._hello, **told, load_s=time.monotonic() - started)
        return self._hello

    def answer(self, places: tuple[int, ...], asks: tuple[Ask, ...], spool: Path) -> Given:
        self.hello()
        assert self._backend is not None, "it is asked once it has said that nothing is wrong"
        replies = replies_of(self._backend, asks, _NothingIsPaid())
        is_written = write_shard(spool, shard_name(asks), places, replies)
        return Given(places, tuple(replies), is_written)

    def _load(self) -> dict[str, Any]:
        """The fields of Hello that it changes."""
        from tasks.releases.source import share_processors

        share_processors()
        model, expected = self._model, self._model.identity
        try:
            here = engine_identity(
                expected.device_class,
                expected.dtype,
                model.batch_invariant,
                expected.quantization,
            )
            device = here.gpu or f"{here.device_class} {here.processor.splitlines()[0]}"
            if wrong := differences(expected, here):
                return {"device": device, "wrong": "; ".join(wrong)}
            if self._answering != answering_digest():
                return {"device": device, "wrong": "another build of this program is installed"}
            if model.digest and model.digest != model_digest(model.path):
                return {"device": device, "wrong": f"another model lies at {model.path}"}
            from tasks.backends.local import LocalBackend

            self._backend = LocalBackend(
                model.path,
                expected.device_class,
                expected.dtype,
                model.batch_invariant,
                expected.quantization,
            )
        except (EngineError, OSError) as error:
            return {"wrong": f"{type(error).__name__}: {error}", "is_model": True}
        return {"device": device}


def differences(expected: EngineIdentity, here: EngineIdentity) -> list[str]:
    """What of an engine would give other answers, in words."""
    wanted, found = expected.as_dict(), here.as_dict()
    wanted["device"], found["device"] = expected.device_class, here.device_class
    versions = wanted.pop("versions"), found.pop("versions")
    names = sorted(versions[0].keys() | versions[1].keys())
    pairs = [(name, *(v.get(name, "none") for v in versions)) for name in names]
    pairs += [(name, wanted[name], found[name]) for name in wanted]
    return [
        f"{name} is {_short(there)} there and {_short(asked)} here"
        for name, asked, there in pairs
        if asked != there
    ]


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return f"{text[:60]}…" if len(text) > 60 else text or "nothing"


class _NothingIsPaid:
    """The meter of an engine, which asks for none."""

    def begin(self, place: int, worst: Usage) -> int | None:
        raise AssertionError("an engine's answers cost nothing")

    def arrived(self, attempt: int, place: int, reply: Reply, usage: Usage | None) -> None:
        raise AssertionError("an engine's answers cost nothing")

    def failed(self, attempt: int, *, may_be_billed: bool) -> None:
        raise AssertionError("an engine's answers cost nothing")

    def spool(self) -> Path:
        raise AssertionError("an actor writes where it is told")
