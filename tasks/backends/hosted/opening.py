"""Which client library asks which API; imports no other one."""

from __future__ import annotations

from tasks.backends.hosted.providers import Provider
from tasks.settings import RequestSettings


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
