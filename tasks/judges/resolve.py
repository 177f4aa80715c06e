"""Judges: from their names in flywheel.toml to what is really there, and a digest of it.

The digest is over all that may change what a judge says: model, sampling and engine or API (the
digest of a release without a prompt), rubric, kind, scale, and the versions of prompt and parser. A
judge with another digest is another instrument.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import UsageError, did_you_mean
from tasks.judges.asked import PARSER_VERSION, PROMPT_VERSION, schema
from tasks.model.canonical import canonical_json
from tasks.releases.memory import Memory
from tasks.releases.resolve import ResolvedRelease, resolve_declared
from tasks.scoring.judged import metric_of
from tasks.settings import CONFIG_NAME, JudgeKind, JudgeSettings, ReleaseSettings, Settings

_FILES = (".md", ".txt")
_MAX_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Member:
    """One model with one rubric; a judge has one of them, a panel several."""

    release: ResolvedRelease
    kind: JudgeKind
    rubric: str
    scale: tuple[int, int]

    def value(self) -> dict[str, object]:
        return {
            "release": self.release.digest,
            "kind": self.kind,
            "rubric": self.rubric,
            "scale": list(self.scale) if self.kind != "pairwise" else None,
            "prompt": PROMPT_VERSION,
            "parser": PARSER_VERSION,
        }


@dataclass(frozen=True, slots=True)
class Judge:
    """Ready to be asked; `settings` say when it may decide."""

    name: str
    members: tuple[Member, ...]
    settings: JudgeSettings

    @property
    def kind(self) -> JudgeKind:
        return self.settings.kind

    @property
    def digest(self) -> str:
        value = {
            "members": [member.value() for member in self.members],
            "combine": self.settings.combine if len(self.members) > 1 else None,
        }
        return hashlib.sha256(canonical_json(value).encode()).hexdigest()

    @property
    def version(self) -> str:
        """What its scores are kept under."""
        return f"{metric_of(self.name)}@{self.digest[:12]}"


def resolve_judge(name: str, settings: Settings, memory: Memory) -> Judge:
    """Raises UsageError naming what is wrong with it."""
    declared = declared_judge(name, settings)
    members = tuple(
        _member(one, declared_judge(one, settings), settings, memory)
        for one in declared.panel or (name,)
    )
    return Judge(name, members, declared)


def declared_judge(name: str, settings: Settings) -> JudgeSettings:
    """Raises UsageError where it is not declared, or its panel is not one of judges of its kind."""
    if name not in settings.judges:
        raise UsageError(
            f"judge {name!r} is not in {CONFIG_NAME}" + did_you_mean(name, settings.judges),
            received=name,
            allowed=", ".join(sorted(settings.judges)) or "no judge is declared yet",
            next=f"add [judges.{name or 'NAME'}] to {CONFIG_NAME}",
        )
    declared = settings.judges[name]
    for one in declared.panel:
        member = settings.judges.get(one)
        if member is None or member.panel or member.kind != declared.kind:
            kind = declared.kind
            why = "is not declared" if member is None else f"is a panel, or not {kind}"
            raise UsageError(
                f"judge {one!r} of the panel {name!r} {why}",
                received=f"judges.{name}.panel",
                allowed=f"judges of kind {kind} that are no panel",
                next=f"correct judges.{name}.panel in {CONFIG_NAME}",
            )
    return declared


def judge_release(name: str, declared: JudgeSettings, settings: Settings) -> ReleaseSettings:
    """The release of a judge as it is asked: without a prompt, with the judge's own limits."""
    release = settings.release(declared.release)
    own: dict[str, object] = {"max_tokens": declared.max_tokens, "json_schema": ""}
    if declared.structured:
        own["json_schema"] = schema(declared.kind, declared.scale, is_bounded=not release.api)
    sampling = release.sampling.model_copy(update=own)
    return release.model_copy(update={"prompt": "", "sampling": sampling})


def rubric_of(name: str, declared: JudgeSettings, settings: Settings) -> str:
    """Its text, from the file where it names one. Raises UsageError where that cannot be read."""
    rubric = declared.rubric.strip()
    if "\n" in rubric or not rubric.endswith(_FILES) or " " in Path(rubric).name:
        return rubric
    path = settings.path(rubric)
    try:
        text = path.read_bytes()[: _MAX_BYTES + 1].decode("utf-8").strip()
        why = "it is empty" if not text else "it is too long" if len(text) > _MAX_BYTES else ""
    except (OSError, UnicodeDecodeError) as error:
        text, why = "", getattr(error, "strerror", None) or "it is not UTF-8 text"
    if why:
        raise UsageError(
            f"the rubric of judge {name!r} cannot be used: {why}",
            received=str(path),
            allowed="a text, or a file ending in .md or .txt",
            next=f"correct judges.{name}.rubric in {CONFIG_NAME}",
        )
    return text


def _member(name: str, declared: JudgeSettings, settings: Settings, memory: Memory) -> Member:
    release = judge_release(name, declared, settings)
    return Member(
        release=resolve_declared(f"judge {name}", release, settings, memory),
        kind=declared.kind,
        rubric=rubric_of(name, declared, settings),
        scale=declared.scale,
    )
