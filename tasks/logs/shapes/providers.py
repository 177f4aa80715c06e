"""Which provider answered, in OpenTelemetry's well-known names: decided here only.

The host of the address tells it; where none is given, the model's family, for the APIs of OpenAI
that many speak; else it is the provider of the API. Gateways have words of their own for the same
providers. Source: OpenTelemetry's registry, gen_ai.provider.name.
"""

from __future__ import annotations

import re
from functools import lru_cache

#: a host, or how it ends → provider; any other host stands for itself
_HOSTS = {
    "api.openai.com": "openai",
    ".openai.azure.com": "azure.ai.openai", ".cognitiveservices.azure.com": "azure.ai.openai",
    ".services.ai.azure.com": "azure.ai.inference",
    ".inference.ai.azure.com": "azure.ai.inference",
    "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
    "-aiplatform.googleapis.com": "gcp.vertex_ai",
    "api.cohere.com": "cohere", "api.cohere.ai": "cohere", "api.deepseek.com": "deepseek",
    "api.groq.com": "groq", ".mistral.ai": "mistral_ai", "api.x.ai": "x_ai",
    "api.perplexity.ai": "perplexity", "api.moonshot.ai": "moonshot_ai",
    "api.moonshot.cn": "moonshot_ai", ".ml.cloud.ibm.com": "ibm.watsonx.ai",
}  # fmt: skip
_BEDROCK = re.compile(r"bedrock-runtime(-fips)?\.[a-z0-9-]+\.(amazonaws\.com|api\.aws)")
#: its own API is spoken by whoever runs it, wherever that is
_LOCAL = "ollama"
#: how the name of a model that its maker serves begins
_FAMILIES = {
    "claude": "anthropic", "gemini": "gcp.gemini", "grok": "x_ai", "sonar": "perplexity",
    "deepseek": "deepseek", "kimi": "moonshot_ai", "moonshot": "moonshot_ai",
    "command": "cohere", "c4ai": "cohere",
    "mistral": "mistral_ai", "open-mistral": "mistral_ai", "open-mixtral": "mistral_ai",
    "magistral": "mistral_ai", "ministral": "mistral_ai", "codestral": "mistral_ai",
    "devstral": "mistral_ai", "pixtral": "mistral_ai", "voxtral": "mistral_ai",
}  # fmt: skip
#: a gateway's word, of its letters and digits → provider
_WORDS = {
    "openai": "openai", "textcompletionopenai": "openai",
    "anthropic": "anthropic",
    "bedrock": "aws.bedrock", "awsbedrock": "aws.bedrock", "amazonbedrock": "aws.bedrock",
    "bedrockconverse": "aws.bedrock", "aws": "aws.bedrock",
    "azure": "azure.ai.openai", "azureopenai": "azure.ai.openai",
    "azureaiopenai": "azure.ai.openai", "azuretext": "azure.ai.openai",
    "azaiopenai": "azure.ai.openai", "azaiinference": "azure.ai.inference",
    "azureai": "azure.ai.inference", "azureaiinference": "azure.ai.inference",
    "azurefoundry": "azure.ai.inference", "azureaifoundry": "azure.ai.inference",
    "cohere": "cohere", "coherechat": "cohere", "deepseek": "deepseek", "groq": "groq",
    "gemini": "gcp.gemini", "google": "gcp.gemini", "googleai": "gcp.gemini",
    "googleaistudio": "gcp.gemini",
    "gcpgemini": "gcp.gemini", "googlegenai": "gcp.gemini", "googlegenerativeai": "gcp.gemini",
    "googlegla": "gcp.gemini", "googlegemini": "gcp.gemini",
    "vertex": "gcp.vertex_ai", "vertexai": "gcp.vertex_ai", "googlevertex": "gcp.vertex_ai",
    "googlevertexai": "gcp.vertex_ai", "gcpvertexai": "gcp.vertex_ai",
    "vertexaibeta": "gcp.vertex_ai", "gcpvertexagent": "gcp.vertex_ai",
    "vertexanthropic": "gcp.vertex_ai", "googlevertexanthropic": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai", "ibmwatsonx": "ibm.watsonx.ai", "watsonxtext": "ibm.watsonx.ai",
    "ibmwatsonxai": "ibm.watsonx.ai", "watsonxai": "ibm.watsonx.ai",
    "mistral": "mistral_ai", "mistralai": "mistral_ai",
    "moonshot": "moonshot_ai", "moonshotai": "moonshot_ai",
    "perplexity": "perplexity", "perplexityai": "perplexity",
    "xai": "x_ai", "grok": "x_ai",
}  # fmt: skip
#: which of a provider's APIs it was, behind its name (Vercel AI SDK)
_WAY = re.compile(r"\.(chat|completions?|responses|messages|(text-)?embeddings?)$")


def provider_of(host: str | None, default: str, model: str | None = None) -> str:
    """`default`: the provider of the API that was spoken."""
    if host is not None and default != _LOCAL:
        if _BEDROCK.fullmatch(host):
            return "aws.bedrock"
        return _HOSTS.get(host) or next(
            (_HOSTS[end] for end in _HOSTS if end[0] in ".-" and host.endswith(end)), host
        )
    # a path or a tag in the name is that of open weights, which anybody may serve
    if default != "openai" or model is None or "/" in model or ":" in model:
        return default
    return _of_family(model) or default


@lru_cache(maxsize=1024)
def _of_family(model: str) -> str | None:
    family = (name for start, name in _FAMILIES.items() if model.lower().startswith(start))
    return next(family, None)


@lru_cache(maxsize=1024)
def named(word: str | None) -> str | None:
    """The well-known name for what a gateway calls a provider; a word that has none stays."""
    if not word:
        return word
    own = _WAY.sub("", word)
    return _WORDS.get(re.sub(r"[^a-z0-9]", "", own.lower()), own)
