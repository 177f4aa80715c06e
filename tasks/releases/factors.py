"""What two releases have in common, factor by factor: model, prompt, sampling, engine. Pure.

As `flywheel explain` has it: of a release that an API answers for, the API, its address and what is
sent to it are its model, and it has no engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.model.canonical import canonical_json
from tasks.model.release import Release

MODEL, PROMPT, SAMPLING, ENGINE = FACTORS = ("model", "prompt", "sampling", "engine")
_NOTHING = "–"
#: of an API, in what its source tells of itself
_API = "api"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing of a factor that differs, as people read it."""

    what: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Factor:
    """`changes`: what of it differs; none: it is the same in both."""

    name: str
    changes: tuple[Change, ...]

    @property
    def is_same(self) -> bool:
        return not self.changes


def factors(old: Release, new: Release) -> tuple[Factor, ...]:
    """All four, in order."""
    is_other_model = old.model_digest != new.model_digest
    models = [_who_answers(release, is_other_model=is_other_model) for release in (old, new)]
    tasks = [_by_task(release) for release in (old, new)]
    is_hosted = _API in old.engine or _API in new.engine
    return (
        Factor(MODEL, tuple(_changes(*models))),
        Factor(PROMPT, tuple(_changes(*tasks)) if old.prompt_digest != new.prompt_digest else ()),
        Factor(SAMPLING, tuple(_changes(old.sampling, new.sampling))),
        Factor(ENGINE, () if is_hosted else tuple(_changes(old.engine, new.engine))),
    )


def changed(old: Release, new: Release) -> list[str]:
    """Names of the factors that differ."""
    return [factor.name for factor in factors(old, new) if not factor.is_same]


def sentence(found: Sequence[Factor]) -> str:
    differing = [factor.name for factor in found if not factor.is_same]
    if not differing:
        return "they are the same release"
    number = "one factor" if len(differing) == 1 else f"{len(differing)} factors"
    return f"they differ in {number}: {', '.join(differing)}"


def is_same(one: Release, other: Release) -> bool:
    """Whether nobody chose anything else: answered by another machine or build, it is the release
    that it was."""
    return one.digest == other.digest or one.recipe == other.recipe


def _who_answers(release: Release, *, is_other_model: bool) -> dict[str, Any]:
    """By its content, with the reference for people; two references to one content are one."""
    reference = f"{release.model} ({release.model_digest[:12]})" if is_other_model else ""
    return {**(release.engine if _API in release.engine else {}), "model": reference}


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """Keys of mappings inside are told as `versions.torch`."""
    for key in dict.fromkeys((*old, *new)):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            for change in _changes(before, after):
                yield Change(f"{key}.{change.what}", change.old, change.new)
        else:
            yield Change(key, _shown(before), _shown(after))


def _by_task(release: Release) -> dict[str, str]:
    """Enough to tell whether they differ: the texts are for `flywheel prompt diff`."""
    return {
        task: "as logged" if prompt is None else canonical_json(prompt)
        for task, prompt in release.prompts.items()
    }


def _shown(value: Any) -> str:
    if value is None:
        return _NOTHING
    return value if isinstance(value, str) else canonical_json(value)
