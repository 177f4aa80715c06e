"""Formats of exchanges with the APIs of further vendors; what they read is in pairs.py."""

from __future__ import annotations

from tasks.logs.formats.apis import (
    COHERE,
    INTERACTIONS,
    OLLAMA,
    OLLAMA_EMBEDDINGS,
    OLLAMA_GENERATE,
    WATSONX,
)
from tasks.logs.formats.pairs import Pairs

#: Cohere's chat API, v1 and v2
cohere = Pairs("cohere", "cohere@2", (COHERE,))
#: Google's Interactions API
interactions = Pairs("interactions", "interactions@2", (INTERACTIONS,))
#: Ollama's own API
ollama = Pairs("ollama", "ollama@1", (OLLAMA, OLLAMA_GENERATE, OLLAMA_EMBEDDINGS))
#: watsonx.ai's text generation
watsonx = Pairs("watsonx", "watsonx@1", (WATSONX,))
