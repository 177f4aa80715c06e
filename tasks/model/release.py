"""A release: the unit that ships, as it was resolved and is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Release:
    """`prompts` is task → messages; `engine` holds what may change an answer's bits.

    The digest fixes what it is, of whatever name: model content, prompts, sampling and engine.
    """

    name: str
    digest: str
    model: str
    model_digest: str
    prompt_digest: str
    prompts: Mapping[str, Any]
    sampling: Mapping[str, Any]
    engine: Mapping[str, Any]
