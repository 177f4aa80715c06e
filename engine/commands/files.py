"""Which files a command reads and writes, and with which model: light to import."""

from __future__ import annotations

from dataclasses import dataclass

from engine.options import EngineOptions

__all__ = ["Files"]


@dataclass(frozen=True, slots=True)
class Files:
    """source, target: paths, or - for standard input and output. as_json: tell how the run went."""

    model: str
    engine: EngineOptions
    replicas: int
    source: str
    target: str
    as_json: bool
