"""One API as a stream of pieces: what the adapter of each client library comes to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tasks.backends.base import Usage
from tasks.settings import RequestSettings


@dataclass(frozen=True, slots=True)
class Piece:
    """What one event of an answer adds. `usage` is of the whole answer, as far as it is told."""

    text: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None
    cached_tokens: int | None = None
    served_by: str | None = None


class Provider(Protocol):
    """A client library; each of its requests goes out once, it retries nothing."""

    def stream(
        self, messages: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any]
    ) -> AsyncIterator[Piece]:
        """One request. Raises TroubleError, or what the client library raises."""
        ...

    async def close(self) -> None: ...


def open_provider(
    api: str, endpoint: str, base_url: str, key: str, model: str, requests: RequestSettings
) -> Provider:
    """Imports the client library of this API alone."""
    if api == "openai":
        from tasks.backends.hosted.openai_api import OpenAIProvider

        return OpenAIProvider(endpoint, base_url, key, model, requests)
    if api == "anthropic":
        from tasks.backends.hosted.anthropic_api import AnthropicProvider

        return AnthropicProvider(base_url, key, model, requests)
    from tasks.backends.hosted.gemini_api import GeminiProvider

    return GeminiProvider(base_url, key, model, requests)
