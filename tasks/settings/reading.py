"""From the file and the environment to settings, or one clear line that says what is wrong."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tasks.errors import ConfigurationError, Problem, UsageError, did_you_mean
from tasks.settings.hosted import HOLDS_SECRET
from tasks.settings.mapping_files import with_mapping_files
from tasks.settings.sections import CONFIG_NAME, Settings
from tasks.settings.suite_files import ITEMS, SuiteFile, with_suite_files
from tasks.settings.toml import read_toml

_NOTHING: Mapping[str, str] = MappingProxyType({})
_PREFIX = "FLYWHEEL_"
#: variables with our prefix that are not settings
_NOT_SETTINGS = {
    "FLYWHEEL_HOME",
    "FLYWHEEL_CONFIG",
    "FLYWHEEL_DEPLOY_FOLDER",
    "FLYWHEEL_DEPLOY_CONFIG",
    "FLYWHEEL_DEPLOY_POOL",
    "FLYWHEEL_RAW_KEY",
    "FLYWHEEL_REPORTS",
    "FLYWHEEL_USER",
}


def find_config(explicit: str | None = None) -> Path | None:
    """The file to read: --config, FLYWHEEL_CONFIG, else the nearest flywheel.toml upwards."""
    named = explicit or os.environ.get("FLYWHEEL_CONFIG")
    if named:
        path = Path(named).expanduser().resolve()
        if not path.is_file():
            raise UsageError(
                "the settings file does not exist", received=str(named), next="flywheel init"
            )
        return path
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / CONFIG_NAME).is_file():
            return folder / CONFIG_NAME
    return None


def read_settings(
    explicit: str | None = None, environ: Mapping[str, str] | None = None
) -> Settings:
    """Read and check the settings. Raises UsageError with one clear line."""
    path = find_config(explicit)
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = read_toml(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UsageError(
                f"{path.name} is not valid TOML: {error}", received=str(path), next="fix that line"
            ) from None
        except OSError as error:
            raise UsageError(
                f"{path.name} cannot be read: {error.strerror}", received=str(path)
            ) from None
    return parse_settings(
        values,
        base=str(path.parent if path is not None else Path.cwd()),
        name=path.name if path else CONFIG_NAME,
        environ=os.environ if environ is None else environ,
    )


def parse_settings(
    values: Mapping[str, Any],
    *,
    base: str,
    name: str = CONFIG_NAME,
    environ: Mapping[str, str] = _NOTHING,
) -> Settings:
    """Of the values of the file, those of the suite files that it names, and, over both, those of
    the environment. Raises UsageError."""
    said: dict[str, Any] = {}
    _apply_environment(said, environ)
    whole, files, problems = with_suite_files(values, said, Path(base))
    _apply_environment(whole, environ)
    whole = with_mapping_files(whole, Path(base))
    if "base" in whole:
        raise UsageError(f"unknown key 'base' in {name}")
    try:
        settings = Settings.model_validate({**whole, "base": base})
    except ValidationError as error:
        # an unknown key is often the cause of a missing one, so it is told first
        items = sorted(
            error.errors(include_url=False), key=lambda item: item["type"] != "extra_forbidden"
        )
        problems += (_problem(item, name, _file_of(item, whole, files)) for item in items)
        raise ConfigurationError(tuple(problems)) from None
    if problems:
        raise ConfigurationError(tuple(problems))
    return settings


def _file_of(
    item: ErrorDetails, values: Mapping[str, Any], files: Mapping[str, SuiteFile]
) -> SuiteFile | None:
    """The suite file that the wrong value stands in, rather than in flywheel.toml or a variable."""
    section, suite, key, *_ = (*item["loc"], "", "", "")
    file = files.get(str(suite)) if section == "suites" else None
    if file is None or not key:
        return file
    return file if values["suites"][suite].get(key) is file.keys.get(key, file) else None


# pydantic-settings does not replace this: it passes over a variable that names no key, and the
# prefix over a section with an alias
def _apply_environment(values: dict[str, Any], environ: Mapping[str, str]) -> None:
    for variable, text in sorted(environ.items()):
        if not variable.startswith(_PREFIX) or variable in _NOT_SETTINGS:
            continue
        keys = [key.lower() for key in variable.removeprefix(_PREFIX).split("__")]
        target = values
        for key in keys[:-1]:
            target = target.setdefault(key, {})
            if not isinstance(target, dict):
                raise UsageError(f"{variable} reaches into {key}, which is not a section")
        target[keys[-1]] = _environment_value(text)


def _environment_value(text: str) -> Any:
    """TOML where it is TOML (numbers, booleans, lists, quoted text), else the text itself."""
    if re.fullmatch(r"(true|false|[-+]?[0-9][0-9_.eE+-]*|\[.*\]|\".*\"|'.*')", text, re.DOTALL):
        try:
            return read_toml(f"value = {text}")["value"]
        except ValueError:
            return text
    return text


def _known_keys(location: tuple[str | int, ...]) -> tuple[str, ...]:
    """The keys allowed in the section at `location`."""
    declared: Any = Settings
    for part in location:
        if get_origin(declared) is dict:  # the NAME in releases.NAME
            declared = get_args(declared)[1]
        elif issubclass(declared, BaseModel):
            fields = declared.model_fields.items()
            declared = {field.alias or name: field.annotation for name, field in fields}[str(part)]
    if not isinstance(declared, type) or not issubclass(declared, BaseModel):
        return ()
    fields = declared.model_fields.items()
    return tuple(field.alias or name for name, field in fields if name != "base")


def _problem(item: ErrorDetails, name: str, file: SuiteFile | None) -> Problem:
    """`file`: the suite file that it stands in, whose keys are told by themselves and by line."""
    key = where = ".".join(str(part) for part in item["loc"])
    of_file = item["loc"][2:]
    if file is not None:
        name = file.where(*of_file) if of_file else file.name
        where = ".".join(str(part) for part in of_file) or where
    if item["type"] == "extra_forbidden":
        allowed = _known_keys(item["loc"][:-1])
        if file is not None and len(of_file) == 1:
            allowed = (*(key for key in allowed if key != "file"), ITEMS)
        error = UsageError(
            f"unknown key {where!r} in {name}" + did_you_mean(str(item["loc"][-1]), allowed),
            received=where,
            allowed=", ".join(allowed),
            next="flywheel init --print shows every key with its meaning",
        )
    else:
        received = item.get("input")
        shown = {"missing": "nothing", HOLDS_SECRET: ""}.get(item["type"], repr(received)[:120])
        error = UsageError(
            f"{where or 'settings'} in {name}: {item['msg'].lower()}",
            received=shown,
            next="flywheel init --print shows every key with its meaning",
        )
    return Problem(key or name, error)
