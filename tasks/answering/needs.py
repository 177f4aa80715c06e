"""Which completions are wanted, which of them are missing, and in which order they are computed.

The `seed` of a completion's key is one of `Run.seeds`, the same for champion and challenger, so a
completion is a function of (release, sample, seed) whatever run asked for it.

Pure: values in, values out. Knows no SQL, no engine and no clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.backends.base import Ask
from tasks.backends.hosted.wire import is_installed
from tasks.errors import UsageError
from tasks.model.answer import CompletionKey
from tasks.model.sample import Sample
from tasks.releases.prompts import DEFAULT, messages_for
from tasks.releases.resolve import ResolvedRelease
from tasks.releases.source import cannot_weigh

#: a call of a tool is not asked for
_FREE = (None, "none")
_SEED_BITS = 63  # a positive BIGINT, and within what the engine takes


def sample_seed(seed: int, sample_id: str) -> int:
    """The engine's own seed, 0 ≤ seed < 2^63: the first 63 bits of sha256("SEED:SAMPLE_ID")."""
    digest = hashlib.sha256(f"{seed}:{sample_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - _SEED_BITS)


@dataclass(frozen=True, slots=True)
class Need:
    """One completion that is wanted: by which release, for which sample, under which seed."""

    release: ResolvedRelease
    sample: Sample
    seed: int

    @property
    def key(self) -> CompletionKey:
        return CompletionKey(self.release.digest, self.sample.sample_id, self.seed)

    def ask(self) -> Ask:
        sample, served = self.sample, self.sample.served
        messages = messages_for(
            self.release.prompts, sample.task, sample.system, list(map(dict, sample.messages))
        )
        seed = sample_seed(self.seed, sample.sample_id)
        sampling = self.release.sampling.params(seed, served.sampling)
        # a schema of the release takes the place of the call's
        answer_format = None if sampling.json_schema else served.answer_format
        return Ask(
            tuple(messages),
            sampling,
            served.tools,
            served.template,
            served.continues,
            served.choices,
            served.is_raw,
            served.tool_choice,
            answer_format,
            served.is_single,
        )


def distinct(releases: Sequence[ResolvedRelease]) -> list[ResolvedRelease]:
    """Releases by digest, in order: a release against itself is computed once."""
    return list({release.digest: release for release in releases}.values())


def needs(
    releases: Sequence[ResolvedRelease],
    samples: Sequence[Sample],
    seeds: range,
    *,
    in_turn: bool = False,
) -> list[Need]:
    """Every completion wanted. Neighbours share a prompt, or the samples come `in_turn`, as given;
    all releases of a sample stand side by side, so that any slice of the list is a batch of all."""
    for release in releases:
        _check_prompts(release, samples)
        _check_weighed(release, samples)
        _check_guided(release, samples)
    ordered = sorted(samples, key=lambda s: ("", "") if in_turn else (s.task or "", s.suite))
    return [
        Need(release, sample, seed) for sample in ordered for seed in seeds for release in releases
    ]


def by_source(missing: Sequence[Need]) -> list[list[Need]]:
    """Each source comes once."""
    groups: dict[tuple[Any, ...], list[Need]] = {}
    for need in missing:
        groups.setdefault(need.release.source.key, []).append(need)
    return list(groups.values())


def chunks(group: Sequence[Need], chunk_size: int) -> list[list[Need]]:
    """At most `chunk_size` each. A chunk that is at least half full ends with its task: answers of
    one task are about equally long, so that no short batch waits for a few long answers."""
    cut: list[list[Need]] = [[]]
    for need in group:
        last = cut[-1]
        is_new_task = bool(last) and last[-1].sample.task != need.sample.task
        if len(last) >= chunk_size or (is_new_task and 2 * len(last) >= chunk_size):
            cut.append([])
        cut[-1].append(need)
    return cut


def missing(wanted: Sequence[Need], known: Collection[CompletionKey]) -> list[Need]:
    return [need for need in wanted if need.key not in known]


def _check_prompts(release: ResolvedRelease, samples: Sequence[Sample]) -> None:
    uncovered = sorted(
        {s.task or "(no name)" for s in samples if not release.prompts.covers(s.task)}
    )
    if uncovered:
        shown = ", ".join(uncovered[:5]) + (
            f" and {len(uncovered) - 5} more" if uncovered[5:] else ""
        )
        raise UsageError(
            f"release {release.name!r} has no prompt for the task {shown}",
            received=release.prompts.source,
            allowed="tasks with a prompt: " + ", ".join(sorted(release.prompts.by_task)),
            next=f"add a file of that name, {DEFAULT}.md, or {DEFAULT}.toml with as_logged = true",
        )


def _check_guided(release: ResolvedRelease, samples: Sequence[Sample]) -> None:
    """The engine keeps an answer to its form by a library."""
    if not release.source.weighs or is_installed("llguidance"):
        return
    forced = [
        sample for sample in samples
        if (sample.served.answer_format or sample.served.tool_choice not in _FREE)
        and not sample.served.choices
    ]  # fmt: skip
    if forced:
        raise UsageError(
            f"{len(forced)} samples ask for JSON or for a call of a tool, and the engine keeps "
            f"release {release.name!r} to that by llguidance, which is not installed",
            received=f"suite {forced[0].suite!r}",
            next="pip install 'llm-flywheel[structured]'",
        )


def _check_weighed(release: ResolvedRelease, samples: Sequence[Sample]) -> None:
    if release.source.weighs:
        return
    for sample in samples:
        if sample.served.choices or sample.served.is_raw:
            raise cannot_weigh(release.name, sample.suite)
