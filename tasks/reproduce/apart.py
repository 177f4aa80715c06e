"""A state folder of its own for a re-execution: nothing that is recorded is written over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tasks.errors import StoreError, UsageError
from tasks.settings import Settings
from tasks.work_folders import work_folder

_PREFIX = ".reproducing-"


class SettingsApart(Settings):
    """Settings as they were written down, with a state folder that no variable moves. Their files
    are not read anew: the keys of suites in files are among the values."""

    @property
    def home_path(self) -> Path:
        return Path(self.home)


def settings_apart(values: Mapping[str, Any], today: Settings, home: Path) -> SettingsApart:
    """What may run code is for today's settings to say; paths are from their folder on. Raises
    UsageError for settings that this build does not know any more."""
    validation = {**values.get("validate", {}), "data_docs": False}
    allowed = bool(values.get("allow_code_execution")) and today.allow_code_execution
    # a build that did not have the setting read the whole history
    curate = {"max_calls": 0, **values.get("curate", {})}
    changed = {
        "validate": validation,
        "curate": curate,
        "allow_code_execution": allowed,
        "home": str(home),
    }
    try:
        return SettingsApart.model_validate({**values, **changed, "base": today.base})
    except ValidationError as error:
        (first, *_) = error.errors(include_url=False, include_input=False)
        raise UsageError(
            "the settings that the run was bound to are none of this build",
            received=f"{'.'.join(map(str, first['loc']))}: {first['msg']}",
            next="install the build that the receipt names, and reproduce with that",
        ) from None


@contextmanager
def folder_apart(home: Path) -> Iterator[Path]:
    """Gone when the block ends; those of killed processes go too. Raises StoreError."""
    with ExitStack() as stack:
        try:
            apart = stack.enter_context(work_folder(home, _PREFIX))
        except OSError as error:
            raise StoreError(
                f"there is no room to execute a run again: {error.strerror}", received=str(home)
            ) from None
        yield apart
