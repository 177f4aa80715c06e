"""language: the answer is written in the target's language, as py3langid tells."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pydantic import Field, field_validator

from tasks.scoring.base import Score, right, shown, unscored, wrong
from tasks.settings.section import Section


class LanguageParameters(Section):
    languages: tuple[str, ...] = Field(
        (), strict=False, description="the only ones an answer may be in; none: all that are known"
    )

    @field_validator("languages")
    @classmethod
    def _are_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value:
            _identifier(value)
        return value


def language(text: str, target: str, parameters: LanguageParameters) -> Score:
    identifier, known = _identifier(parameters.languages)
    wanted = {line.strip().lower() for line in target.splitlines() if line.strip()}
    if not wanted or not wanted <= known:
        return unscored(f"the target {shown(target)} is no language code that is known")
    if not any(char.isalpha() for char in text):
        return wrong(text.strip(), f"{shown(text)} has no letters")
    answer, _ = identifier.classify(text)
    note = f"{shown(text)} is written in {answer}"
    if answer in wanted:
        return right(answer, note)
    return wrong(answer, f"{note}, not in {' or '.join(sorted(wanted))}")


@lru_cache
def _identifier(languages: tuple[str, ...]) -> tuple[Any, frozenset[str]]:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    known = frozenset(map(str, identifier.labels))
    if unknown := sorted(set(languages) - known):
        raise ValueError(f"no language code that is known: {', '.join(unknown)}")
    if languages:
        identifier.set_languages(list(languages))
        known = frozenset(languages)
    return identifier, known
