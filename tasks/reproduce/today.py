"""What the links of a recorded run are today: files, rules, models, engine, settings.

Nothing that was remembered is believed: every digest is taken anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import engine
from tasks.errors import UsageError
from tasks.model.answer import Role
from tasks.model.release import Release
from tasks.model.urls import is_url
from tasks.receipts.checking import differs_from
from tasks.receipts.commitment import files_of, policy_of, rules_of
from tasks.receipts.envelope import RefusedError
from tasks.receipts.files import read_own, receipt_path
from tasks.receipts.materials import DECIDING, installed_versions
from tasks.receipts.statement import receipt
from tasks.releases.memory import MEMORY_FILE, Memory
from tasks.releases.prompts import AS_LOGGED, load_prompts
from tasks.releases.resolve import find_model, resolve_engine
from tasks.releases.source import EngineSource
from tasks.reproduce.links import Chain, Link, engine_links, held, held_each, in_order, model_links
from tasks.reproduce.recorded import Recorded
from tasks.scoring import policy
from tasks.settings import ReleaseSettings, Settings

_CHUNK_BYTES = 1 << 20
#: of a release as it is declared, what decides an answer besides model and prompt
_DECLARED = ("sampling", "engine", "body", "omit", "endpoint", "base_url")


@dataclass(frozen=True, slots=True)
class Today:
    """The chain, and who can answer for the releases of this machine: role → its source. `settings`
    are today's."""

    chain: Chain
    sources: Mapping[Role, EngineSource]


@dataclass(frozen=True, slots=True)
class Content:
    """What the store holds of an eval set, by content: the set's digest, and each sample's id where
    it is not the one that it is kept under."""

    set_digest: str
    other_ids: Mapping[str, str]


def look(recorded: Recorded, today: Settings, content: Content, apart: Path, device: str) -> Today:
    """Every link. `content`: of what is stored; `apart`: a folder for what is found out; `device`:
    asked for instead of the release's own. Raises UsageError for a device that is none."""
    memory = Memory(apart / MEMORY_FILE)
    links = [
        *_logs(recorded),
        *_rules(recorded, today),
        *_set(recorded, today, content),
        *_materials(recorded),
        *_seeds(recorded, today),
        *_policy(recorded, today),
        *_record(recorded, today),
    ]
    sources: dict[Role, EngineSource] = {}
    for role, release in recorded.facts.releases.items():
        declared = recorded.declared(role, today)
        of = recorded.facts.name(role)
        links += _prompts(of, release, declared, today)
        links += _declared(of, declared, today)
        if recorded.is_hosted[role]:
            links += [Link(name, of, "unknown") for name in ("weights", "tokenizer")]
            continue
        found, more = _source(of, recorded, release, declared, today, memory, device)
        links += more
        if found is not None:
            sources[role] = found
    if not recorded.is_evidence_kept:
        links.append(Link("evidence", "as it was before this look", "gone"))
    return Today(in_order(links), sources)


def _logs(recorded: Recorded) -> Iterator[Link]:
    sizes = {(one.path, one.digest): one.size_bytes for one in recorded.readings}
    for file in recorded.facts.logs:
        if is_url(file.path) or not Path(file.path).is_absolute():
            yield Link("log", file.path, "unknown")
            continue
        now = digest_of_beginning(Path(file.path), sizes[file.path, file.digest])
        yield held("log", file.path, file.digest, now)


def digest_of_beginning(path: Path, size_bytes: int) -> str | None:
    """Of so many bytes: a log that has grown since is the same as far as it was read. None where it
    is not there."""
    digest, left = hashlib.sha256(), size_bytes
    try:
        with path.open("rb") as file:
            while left and (data := file.read(min(left, _CHUNK_BYTES))):
                digest.update(data)
                left -= len(data)
    except OSError:
        return None
    return digest.hexdigest()


def _rules(recorded: Recorded, today: Settings) -> Iterator[Link]:
    bound = recorded.bound
    if bound is None:
        yield Link("rule", "", "unknown")
        return
    try:
        now = rules_of(today)
    except UsageError as error:
        yield Link("rule", "", "differs", "rules that can be read", error.what)
        return
    yield from held_each("rule", bound.rules, now)


def _set(recorded: Recorded, today: Settings, content: Content) -> Iterator[Link]:
    bound, eval_set = recorded.bound, recorded.facts.eval_set
    yield held("set", "", eval_set.digest, content.set_digest)
    if bound is not None:
        yield from held_each("set", bound.files, files_of(today))
    for sample_id, now in content.other_ids.items():
        yield held("sample", sample_id[:16], sample_id, now)
    num_gone = eval_set.num_samples - len(recorded.samples)
    if num_gone:
        yield Link("sample", f"{num_gone:,} of {eval_set.num_samples:,}", "gone")


def _prompts(
    of: str, release: Release, declared: ReleaseSettings | None, today: Settings
) -> Iterator[Link]:
    """Of the file that the run's release named; what is not declared any more is as recorded."""
    if declared is None:
        yield Link("prompt", of, "unknown")
        return
    prompts = AS_LOGGED
    if declared.prompt:
        try:
            prompts = load_prompts(today.path(declared.prompt), of)
        except UsageError as error:
            is_there = today.path(declared.prompt).exists()
            yield Link(
                "prompt", of, "differs" if is_there else "gone", release.prompt_digest, error.what
            )
            return
    if prompts.digest == release.prompt_digest:
        yield Link("prompt", of, "same")
    else:
        yield from held_each("prompt", release.prompts, prompts.to_value(), f"{of}: ")


def _declared(of: str, then: ReleaseSettings | None, today: Settings) -> Iterator[Link]:
    """What flywheel.toml says of the release now, where it still names it."""
    now = today.releases.get(of)
    if then is None or now is None:
        return
    was, is_now = (
        _flat(one.model_dump(mode="json", include=set(_DECLARED))) for one in (then, now)
    )
    yield from held_each("engine", was, is_now, f"releases.{of}.")


def _flat(value: Mapping[str, Any]) -> dict[str, Any]:
    """One level deep: sampling.temperature."""
    flat: dict[str, Any] = {}
    for key, part in value.items():
        if isinstance(part, Mapping):
            flat |= {f"{key}.{name}": item for name, item in part.items()}
        else:
            flat[key] = part
    return flat


def _source(
    of: str,
    recorded: Recorded,
    release: Release,
    declared: ReleaseSettings | None,
    today: Settings,
    memory: Memory,
    device: str,
) -> tuple[EngineSource | None, list[Link]]:
    """Where the release named its model then, or where it does today: what has the digest that was
    recorded counts first."""
    places = [one for one in (declared, today.releases.get(of)) if one is not None and not one.api]
    found: list[tuple[ReleaseSettings, Path, str]] = []
    for place in places:
        try:
            path = find_model(of, place, today)
            found.append((place, path, memory.model_digest(path)))
        except (UsageError, engine.EngineError, OSError):
            continue
    if not found:
        return None, [Link(name, of, "gone", release.model) for name in ("weights", "tokenizer")]
    fits = [one for one in found if one[2] == release.model_digest]
    place, path, digest = (fits or found)[0]
    files = recorded.model_files[release.model_digest], memory.model_files(path)
    links = list(model_links(of, release.model_digest, digest, files))
    wanted = place.engine.model_copy(update={"device": device} if device else {})
    if not device and place.engine.device == "auto":
        # what auto came to then; another is asked for with --on
        wanted = wanted.model_copy(update={"device": release.engine.get("device", "auto")})
    try:
        identity = resolve_engine(wanted, memory)
    except engine.EngineError as error:
        if device:
            raise UsageError(
                f"the device cannot be used: {error}", received=device, allowed="cpu, cuda, cuda:N"
            ) from None
        was = str(release.engine.get("device"))
        return None, [*links, Link("processor", of, "gone", was, str(error))]
    source = EngineSource(path, digest, place.engine.batch_invariant, identity)
    links += engine_links(of, release.engine, source.value(), is_moved=bool(device))
    return source, links


def _materials(recorded: Recorded) -> Iterator[Link]:
    """The packages that decide, of the run that answered and of the one that decided. Another
    commit of ours is told by what it changes."""
    both = [one for one in (recorded.bound, recorded.facts.commitment) if one is not None]
    if not both:
        yield Link("package", "", "unknown")
    names = ("python", *DECIDING)
    now = installed_versions()
    for used in (used for one in both for used in one.materials):
        was = used["packages"]
        yield from held_each(
            "package",
            {name: was[name] for name in names if name in was},
            {name: now[name] for name in names if name in was},
        )


def _seeds(recorded: Recorded, today: Settings) -> Iterator[Link]:
    """As the receipt has it, as the store has it, and as the same command would ask today: what was
    said on the command line then would be said again."""
    facts, bound = recorded.facts, recorded.bound
    signed = _signed(recorded, today)
    if isinstance(signed, Mapping):
        then = signed["predicate"]["materials"]["seeds"]
        yield held("seed", "of the receipt and the store", then, list(facts.seeds))
    if bound is None:
        yield Link("seed", "", "unknown")
        return
    was = bound.settings["evaluate"]
    if facts.request.seed == was["seed"]:
        yield held("seed", "evaluate.seed", was["seed"], today.evaluate.seed)
    yield held("seed", "evaluate.repeats", was["repeats"], today.evaluate.repeats)


def _policy(recorded: Recorded, today: Settings) -> Iterator[Link]:
    bound = recorded.facts.commitment
    if bound is None:
        yield Link("policy", "", "unknown")
        return
    if policy.digest(bound.policy) != bound.policy_digest:
        yield Link("policy", "in the store", "differs", bound.policy_digest[:16],
                   policy.digest(bound.policy)[:16])  # fmt: skip
    try:
        now = policy_of(today, recorded.facts.request)
    except UsageError as error:
        yield Link("policy", "", "differs", "as it was fixed", error.what)
        return
    yield from held_each("policy", bound.policy, now)


def _record(recorded: Recorded, today: Settings) -> Iterator[Link]:
    """Whether the store is what its signed receipt says."""
    signed = _signed(recorded, today)
    if signed is None:
        yield Link("record", "", "unknown")
    elif isinstance(signed, RefusedError):
        yield Link("record", "receipt", "differs", "as it was signed", str(signed))
    else:
        difference = differs_from(receipt(recorded.facts), signed, is_signed=True)
        if difference is None:
            yield Link("record", "", "same")
        else:
            path, stored, said = difference.path, difference.then, difference.now
            yield Link("record", path, "differs", said, stored)


def _signed(recorded: Recorded, today: Settings) -> Any:
    """The receipt, why it is none, or None where there is no file."""
    try:
        return read_own(receipt_path(today.home_path, recorded.run_id))
    except OSError:
        return None
    except RefusedError as error:
        return error
