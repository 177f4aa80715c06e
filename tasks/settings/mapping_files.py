"""Mappings of tables that stand in files of their own: `[ingest.mappings] NAME = "file.toml"`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.errors import UsageError
from tasks.settings.toml import read_toml


def with_mapping_files(values: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """The values of flywheel.toml with every mapping that is a path replaced by what the file
    holds. Raises UsageError."""
    ingest = values.get("ingest")
    mappings = ingest.get("mappings") if isinstance(ingest, dict) else None
    if not isinstance(mappings, dict) or not any(isinstance(v, str) for v in mappings.values()):
        return dict(values)
    read = {
        name: _read(name, said, base) if isinstance(said, str) else said
        for name, said in mappings.items()
    }
    return {**values, "ingest": {**values["ingest"], "mappings": read}}


def _read(name: str, said: str, base: Path) -> dict[str, Any]:
    path = (base / Path(said).expanduser()).resolve()
    try:
        return read_toml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"the mapping {name} cannot be read: {getattr(error, 'strerror', None) or error}",
            received=said,
            allowed='a TOML file with a table [columns]: field = "column"',
            next=f"check ingest.mappings.{name}",
        ) from None
