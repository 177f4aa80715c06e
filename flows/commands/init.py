"""`flywheel init`: a flywheel.toml with every key, its meaning and its default."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tasks.errors import UsageError
from tasks.settings import (
    CONFIG_NAME,
    BudgetSettings,
    EngineSettings,
    GuardrailSettings,
    JudgeSettings,
    PriceSettings,
    ReleaseSettings,
    RequestSettings,
    SamplingSettings,
    Settings,
    SuiteSettings,
)

_HEAD = """\
# flywheel.toml: everything a turn of the flywheel is told. Commented keys show their default.
# Any key can be set from outside: FLYWHEEL_GATE__MARGIN=0.02 sets [gate] margin.
# Paths are relative to this file.
"""
SCHEMA_NAME = "flywheel.schema.json"
_MARKDOWN_HEAD = """\
# Settings

One file, `flywheel.toml`: the nearest one upwards from the working folder, or `--config FILE`, or
`FLYWHEEL_CONFIG`. `flywheel init` writes it with every key. An unknown key is an error that names
the nearest known one. Paths are relative to the file. Any key can be set from outside, for
deployments: `FLYWHEEL_GATE__MARGIN=0.02` sets `margin` in `[gate]`. `FLYWHEEL_HOME` moves the state
folder."""
#: keys that are written to be changed
_EXAMPLE = {
    "model": '"path/to/model"', "logs": '["logs/*.jsonl"]', "champion": '"current"',
    "challenger": '"next"', "measure": '"output_tokens"',
}  # fmt: skip
#: what to show for keys without a default of their own
_WHERE_UNSET = {"margin": "0.05", "review_by": "2027-01-01"}


def config_text() -> str:
    """The file, generated from the declarations in tasks.settings, so it cannot go stale."""
    lines = [_HEAD, *_keys(Settings)]
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            lines += ["", f"[{field.alias or name}]", *_keys(field.annotation)]
        if name == "evaluate":
            lines += ["[evaluate.budget]", *_keys(BudgetSettings)]
    lines += [
        "",
        "# A release is what ships: model, prompt, sampling and engine. Name as many as you like.",
    ]
    for name in ("current", "next"):
        lines += ["", f"[releases.{name}]", *_keys(ReleaseSettings)]
        lines += [f"[releases.{name}.sampling]", *_keys(SamplingSettings)]
        lines += [f"[releases.{name}.engine]", *_keys(EngineSettings)]
        lines += [f"[releases.{name}.requests]", *_keys(RequestSettings)]
        lines += [f"[releases.{name}.price]", *_keys(PriceSettings)]
    lines += ["", "# A suite is one kind of task with its samples, scorer, margin and owner.", ""]
    lines += ["# [suites.NAME]", *_keys(SuiteSettings)]
    lines += [
        "",
        "# A guardrail is what the challenger may not use much more of, such as tokens or cost.",
        "",
        "# [guardrails.NAME]",
        *(f"# {line}" if line.startswith("measure") else line for line in _keys(GuardrailSettings)),
        "",
        '# A judge is a model that scores answers: scorer = { judge = "NAME" } of a suite.',
        "",
        "# [judges.NAME]",
        *_keys(JudgeSettings),
    ]
    return "\n".join(lines) + "\n"


def _keys(model: type[BaseModel]) -> list[str]:
    lines: list[str] = []
    for name, field in _plain_fields(model):
        default = field.get_default(call_default_factory=True)
        value = _WHERE_UNSET[name] if default is None else _toml(default)
        shown = f"{name} = {_EXAMPLE[name]}" if name in _EXAMPLE else f"# {name} = {value}"
        lines += [f"# {field.description}", shown]
    return lines


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def settings_markdown() -> str:
    """docs/settings.md; regenerate it with `python -m flows.commands.init > docs/settings.md`."""
    sections: list[tuple[str, type[BaseModel]]] = [("top level", Settings)]
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            sections.append((f"[{field.alias or name}]", field.annotation))
        if name == "evaluate":
            sections.append(("[evaluate.budget]", BudgetSettings))
    sections += [
        ("[releases.NAME]", ReleaseSettings),
        ("[releases.NAME.sampling]", SamplingSettings),
        ("[releases.NAME.engine]", EngineSettings),
        ("[releases.NAME.requests]", RequestSettings),
        ("[releases.NAME.price]", PriceSettings),
        ("[suites.NAME]", SuiteSettings),
        ("[guardrails.NAME]", GuardrailSettings),
        ("[judges.NAME]", JudgeSettings),
    ]
    lines = [_MARKDOWN_HEAD]
    for title, model in sections:
        lines += ["", f"## {title}", "", "| key | default | meaning |", "| --- | --- | --- |"]
        for name, field in _plain_fields(model):
            required = field.is_required()
            default = field.get_default(call_default_factory=True)
            shown = "required" if required else "–" if default is None else f"`{_toml(default)}`"
            lines.append(f"| `{name}` | {shown} | {field.description} |")
    return "\n".join(lines) + "\n"


def _plain_fields(model: type[BaseModel]) -> list[tuple[str, FieldInfo]]:
    """Fields that hold a value rather than a section, as they are written in the file."""
    return [
        (name, field)
        for name, field in model.model_fields.items()
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel))
        and not field.exclude
        and not (model is Settings and name in ("releases", "suites", "guardrails", "judges"))
    ]


def settings_schema() -> dict[str, Any]:
    """The JSON Schema of flywheel.toml, from the same declarations: what an editor checks by."""
    schema = Settings.model_json_schema(by_alias=True)
    del schema["properties"]["base"]  # the reader sets it
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": CONFIG_NAME,
    }


def write_config(*, show: bool, force: bool, schema: bool = False) -> int:
    name = SCHEMA_NAME if schema else CONFIG_NAME
    text = json.dumps(settings_schema(), indent=1) + "\n" if schema else config_text()
    if show:
        print(text, end="")
        return 0
    path = Path.cwd() / name
    if path.exists() and not force:
        raise UsageError(
            f"{name} exists already",
            received=str(path),
            next=f"flywheel init {'--schema ' if schema else ''}--print, or --force",
        )
    path.write_text(text, encoding="utf-8")
    then = "name your models in [releases.NAME], then flywheel doctor"
    if schema:
        then = f"`#:schema ./{SCHEMA_NAME}` as the first line of {CONFIG_NAME}"
    print(f"wrote {path.name} · next: {then}")
    return 0


if __name__ == "__main__":
    print(settings_markdown(), end="")
