"""What the engine can refuse, as one tree.

    EngineError
    ├── ModelLoadError        the model cannot be read: not a model, missing shard, missing or
    unexpected key, …
    │   └── UnsupportedModelError   it can be read, but nothing here knows its architecture or one
        of its settings
    └── InvalidRequestError   the call itself is wrong (types, sampling parameters); nothing was run
        └── RequestTooLongError     one request cannot fit; it is reported on that request, the
        others finish

A fault of one request (too long, id out of range, NaN logits) is never raised by `generate` or
`score`: it is the `error` of that request's `Completion` or `Score`, and every other request
finishes.
"""

from __future__ import annotations

__all__ = [
    "EngineError",
    "InvalidRequestError",
    "ModelLoadError",
    "RequestTooLongError",
    "UnsupportedModelError",
    "shorten",
]


class EngineError(Exception):
    """Root of every error the engine raises on purpose: what happened, what was received, what is
    allowed.
    """


class ModelLoadError(EngineError):
    """The model cannot be read."""


class UnsupportedModelError(ModelLoadError):
    """The model can be read, but it needs something the engine does not have."""


class InvalidRequestError(EngineError):
    """The call is wrong as a whole; nothing was run."""


class RequestTooLongError(InvalidRequestError):
    """One request cannot fit into the model's context or into the KV cache."""


def shorten(names: list[str], limit: int = 5) -> str:
    """Names for an error message: the first few, and how many more there are."""
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
