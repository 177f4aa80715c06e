from __future__ import annotations

import pytest

from tasks.logs.shapes.providers import named


@pytest.mark.parametrize(("word", "provider"), [
    ("openai.responses", "openai"), ("openai.chat", "openai"), ("azure.chat", "azure.ai.openai"),
    ("azure-openai.chat", "azure.ai.openai"), ("anthropic.messages", "anthropic"),
    ("google.vertex.chat", "gcp.vertex_ai"), ("google.generative-ai", "gcp.gemini"),
    ("vertex.anthropic.messages", "gcp.vertex_ai"), ("amazon-bedrock", "aws.bedrock"),
    ("mistral.chat", "mistral_ai"), ("openai.embedding", "openai"), ("fireworks.chat", "fireworks"),
    ("azure.ai.openai", "azure.ai.openai"), ("aws.bedrock", "aws.bedrock"),
    ("aws.sagemaker", "aws.sagemaker"), ("api.example.org", "api.example.org"), (None, None),
])  # fmt: skip
def test_the_words_of_gateways_and_sdks(word: str | None, provider: str | None):
    assert named(word) == provider
