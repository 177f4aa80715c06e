"""`flywheel release add`: a [releases.NAME] at the end of flywheel.toml, and all else as it was."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from flows.commands.suite_files import samples_path
from flows.naming import refuse_name
from flows.terminal import print_json
from tasks.errors import ConfigurationError, UsageError
from tasks.model.run import RunRequest
from tasks.model.visible import one_line
from tasks.preflight import find_problems
from tasks.settings import CONFIG_NAME, Settings, find_config, parse_settings, read_settings
from tasks.settings.toml import read_toml
from tasks.suites.writing import toml, toml_key


def add_release(
    name: str,
    values: Mapping[str, str],
    sampling: Mapping[str, int | float | None],
    *,
    config: str | None,
    as_json: bool,
) -> int:
    """`values` that are empty and `sampling` that is None are left out."""
    path = find_config(config)
    if path is None:
        raise UsageError(f"there is no {CONFIG_NAME} yet", next="flywheel init")
    settings = read_settings(config)
    if name in settings.releases:
        raise UsageError(
            "a release of this name is declared already",
            received=name,
            next=f"another name: what is new is a release of its own; or change it in {path.name}",
        )
    refuse_name("a release", name)
    table = _table(name, _as_named(settings, values), sampling)
    _append(path, table, name)
    if as_json:
        print_json({"release": name, "path": str(path), "toml": table})
    else:
        print(table, end="")
        print(one_line(f"written to {path} · next: flywheel run --challenger {name}"))
    return 0


def _as_named(settings: Settings, values: Mapping[str, str]) -> dict[str, str]:
    """Files that are there, by their paths from flywheel.toml."""
    paths = {
        key: samples_path(settings, Path(value))
        for key, value in values.items()
        if key in ("model", "prompt") and value and Path(value).exists()
    }
    return {**values, **paths}


def _table(name: str, values: Mapping[str, str], sampling: Mapping[str, int | float | None]) -> str:
    own = [f"{key} = {toml(value)}" for key, value in values.items() if value]
    drawn = [f"{key} = {value}" for key, value in sampling.items() if value is not None]
    heading = f"releases.{toml_key(name)}"
    lines = [f"[{heading}]", *own, *([f"[{heading}.sampling]", *drawn] if drawn else [])]
    return "\n".join(lines) + "\n"


def _append(path: Path, table: str, name: str) -> None:
    """Read as settings before the file is replaced: there whole and right, or as it was."""
    target = path.resolve()
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        before = target.read_bytes()
        newline = b"\r\n" if b"\r\n" in before else b"\n"
        gap = newline if before.endswith(b"\n") or not before else newline * 2
        whole = before + gap + table.encode().replace(b"\n", newline)
        _refuse_unusable(_read(path, whole), name)
        try:
            draft.write_bytes(whole)
            shutil.copymode(target, draft)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(
            f"{path.name} cannot be written: {error.strerror}", received=str(path)
        ) from None


def _read(path: Path, whole: bytes) -> Settings:
    try:
        values = read_toml(whole.decode("utf-8"))
    except ValueError as error:
        raise UsageError(
            f"{path.name} takes no table at its end: {error}",
            received=str(path),
            next="write the release by hand: flywheel init --print shows how",
        ) from None
    return parse_settings(values, base=str(path.parent), name=path.name, environ=os.environ)


def _refuse_unusable(settings: Settings, name: str) -> None:
    """Raises ConfigurationError with what `flywheel check` would tell of this release."""
    found = find_problems(settings, RunRequest(stages=("evaluate",)), every_release=True)
    own = tuple(problem for problem in found if problem.key.startswith(f"releases.{name}."))
    if own:
        raise ConfigurationError(own)
