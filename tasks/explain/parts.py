"""The parts of two releases, and the releases made of both.

A part is what flywheel.toml declares of a release under a name of its own. It makes a difference
where the champion with that part of the challenger is another release, by digest: two prompt files
of the same content are one prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from tasks.releases.resolve import ResolvedRelease
from tasks.settings import ReleaseSettings

#: part → its keys: another model may be asked elsewhere
PARTS = {
    "model": ("model", "api", "endpoint", "base_url", "api_key_env", "body", "omit", "requests"),
    "prompt": ("prompt",),
    "sampling": ("sampling",),
    "engine": ("engine",),
}  # fmt: skip

#: a name for people, and what is declared → the release
Resolve = Callable[[str, ReleaseSettings], ResolvedRelease]


@dataclass(frozen=True, slots=True)
class Grid:
    """`parts` that differ; `cells`: every release made of them, the champion first and the
    challenger last, in the order of shapley.py: bit i of a cell says whether part i is the
    challenger's."""

    parts: tuple[str, ...]
    cells: tuple[ResolvedRelease, ...]

    @property
    def between(self) -> tuple[ResolvedRelease, ...]:
        """The cells that are neither of the two releases."""
        return self.cells[1:-1]

    def names(self, cell: int) -> tuple[str, ...]:
        return tuple(part for i, part in enumerate(self.parts) if cell >> i & 1)


def grid(
    champion: tuple[str, ReleaseSettings], challenger: tuple[str, ReleaseSettings], resolve: Resolve
) -> Grid:
    """Raises UsageError where a combination cannot be: a model that does not take the other
    release's quantisation, say, is found out when it is loaded."""
    (name, old), (other, new) = champion, challenger
    keys = _keys(old, new)

    def mixed(parts: Sequence[str]) -> ResolvedRelease:
        of_new = {key: getattr(new, key) for part in parts for key in keys[part]}
        named = f"{name} with {' and '.join(parts)} of {other}" if parts else name
        return resolve(named, old.model_copy(update=of_new))

    first = mixed(())
    parts = tuple(part for part in keys if mixed([part]).digest != first.digest)
    made = Grid(parts, ())
    last = resolve(other, new)
    between = (mixed(made.names(cell)) for cell in range(1, 2 ** len(parts) - 1))
    return Grid(parts, (first, *between, last))


def _keys(old: ReleaseSettings, new: ReleaseSettings) -> Mapping[str, tuple[str, ...]]:
    """PARTS; of a model here and one behind an API the engine goes with the model, for the other
    has none."""
    if bool(old.api) == bool(new.api):
        return PARTS
    return {**PARTS, "model": PARTS["model"] + PARTS["engine"], "engine": ()}


def change(part: str, old: ReleaseSettings, new: ReleaseSettings) -> tuple[str, str]:
    """What was declared of a part and what is, as people read it: of a section only the keys that
    differ."""
    before, after = getattr(old, part), getattr(new, part)
    if part == "model" and (old.api or new.api):
        return _asked(old), _asked(new)
    if not isinstance(before, BaseModel):
        return before or "as logged", after or "as logged"
    keys = [key for key in type(before).model_fields if getattr(before, key) != getattr(after, key)]
    told = [
        ", ".join(f"{key} {_shown(getattr(of, key))}" for key in keys) for of in (before, after)
    ]
    return told[0], told[1]


def _asked(release: ReleaseSettings) -> str:
    if not release.api:
        return release.model
    return (
        f"{release.model} ({' '.join((release.api, release.endpoint, release.base_url)).strip()})"
    )


def _shown(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 40 else text[:39] + "…"
