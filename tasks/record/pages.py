"""The folder of a run's pages, the index beside it, and how they come there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tasks.errors import StoreError
from tasks.settings import Settings
from tasks.whole_files import write_whole

REPORT = "report.html"


def pages_of(settings: Settings, run_id: str) -> Path:
    return settings.home_path / "reports" / run_id


def index_of(settings: Settings) -> Path:
    """The page of all runs."""
    return settings.home_path / "reports" / "index.html"


def runs_with_page(settings: Settings) -> set[str]:
    """The runs whose report is there."""
    return {page.parent.name for page in index_of(settings).parent.glob(f"*/{REPORT}")}


def write_pages(folder: Path, contents: Mapping[str, bytes]) -> None:
    """File name → content, each whole or not at all. Raises StoreError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            write_whole(folder / name, content)
    except OSError as error:
        raise StoreError(
            f"the report cannot be written: {error.strerror or error}", received=str(folder)
        ) from None
