"""A release: the unit that ships, as it was resolved and is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.model.canonical import canonical_json

_CHOSEN = ("dtype", "quantization")
#: in `engine`, where somebody else's answers
_PROMISE = "is_deterministic"


@dataclass(frozen=True, slots=True)
class Release:
    """`prompts` is task → messages; `engine` holds what may change an answer's bits, or which API
    was asked for it.

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

    @property
    def is_sampled(self) -> bool:
        """Whether another seed may give another answer: an API does not promise the same one."""
        as_logged = self.sampling.get("as_logged") and "temperature" not in self.sampling
        is_drawn = as_logged or self.sampling.get("temperature")
        return bool(is_drawn) or not self.engine.get(_PROMISE, True)

    @property
    def recipe(self) -> str:
        """What of it somebody chose: two of one recipe differ by machine or build alone."""
        is_hosted = _PROMISE in self.engine
        chosen = self.engine if is_hosted else [self.engine.get(name) for name in _CHOSEN]
        return canonical_json([self.model_digest, self.prompt_digest, self.sampling, chosen])
