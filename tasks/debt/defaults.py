"""Settings that say what would be so without them: a reader takes them for a decision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from tasks.model.debt import Finding
from tasks.settings import SamplingSettings, Settings, SuiteSettings, ValidateSettings
from tasks.settings.toml_lines import key_lines, line_of


@dataclass(frozen=True, slots=True)
class WrittenKey:
    path: tuple[str, ...]
    value: Any


def written_defaults(settings: Settings, values: Mapping[str, Any]) -> Iterator[WrittenKey]:
    """Keys of the file, as its text has them, whose value is the default. `settings`: of the file
    alone, without the environment."""
    yield from _of_section(settings, values, ())


def default_settings(
    settings: Settings, values: Mapping[str, Any], text: str, name: str
) -> Iterator[Finding]:
    """`text`: of the file `name`, for the lines."""
    lines = key_lines(text)
    for key in written_defaults(settings, values):
        yield Finding(
            "default_setting",
            ".".join(key.path),
            f"{name}:{line_of(lines, key.path)} says the default",
            line_of(lines, key.path),
            "take the line out, or say beside it why it has to be so",
        )


def _of_section(
    section: BaseModel, values: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[WrittenKey]:
    if isinstance(section, SamplingSettings) and section.as_logged:
        return  # what is set here holds against what the call set
    fields = {field.alias or name: name for name, field in type(section).model_fields.items()}
    for key, value in values.items():
        name = fields[key]
        current, field = getattr(section, name), type(section).model_fields[name]
        if isinstance(current, BaseModel):
            yield from _of_section(current, value, (*path, key))
        elif isinstance(current, dict) and any(isinstance(v, BaseModel) for v in current.values()):
            for one, below in value.items():
                yield from _of_section(current[one], below, (*path, key, one))
        elif not (field.is_required() or _means_more(section, key)) and (
            current == field.get_default(call_default_factory=True)
        ):
            yield WrittenKey((*path, key), current)


def _means_more(section: BaseModel, key: str) -> bool:
    """Keys that say something by being there: a folder of rules that is named has to exist, and
    the scorer of a suite has another default in another mode."""
    if isinstance(section, ValidateSettings):
        return key == "rules"
    return isinstance(section, SuiteSettings) and key == "scorer" and section.mode != "generate"
