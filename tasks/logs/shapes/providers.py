"""Names of providers as libraries write them → OpenTelemetry's well-known ones.

Source: gen_ai.provider.name of the GenAI conventions, today's values and those before 1.37.
"""

from __future__ import annotations

#: in small letters, without spaces, dots, dashes and underscores
_WELL_KNOWN = {
    "openai": "openai", "anthropic": "anthropic", "groq": "groq", "cohere": "cohere",
    "deepseek": "deepseek", "perplexity": "perplexity",
    "aws": "aws.bedrock", "bedrock": "aws.bedrock", "awsbedrock": "aws.bedrock",
    "amazonbedrock": "aws.bedrock",
    "azure": "azure.ai.openai", "azureopenai": "azure.ai.openai", "azaiopenai": "azure.ai.openai",
    "azureaiopenai": "azure.ai.openai",
    "azaiinference": "azure.ai.inference", "azureaiinference": "azure.ai.inference",
    "azureai": "azure.ai.inference",
    "google": "gcp.gemini", "gemini": "gcp.gemini", "gcpgemini": "gcp.gemini",
    "googlegemini": "gcp.gemini", "googlegla": "gcp.gemini", "googlegenai": "gcp.gemini",
    "googlegenerativeai": "gcp.gemini", "gcpgenai": "gcp.gen_ai",
    "vertexai": "gcp.vertex_ai", "vertex": "gcp.vertex_ai", "gcpvertexai": "gcp.vertex_ai",
    "googlevertex": "gcp.vertex_ai", "googlevertexai": "gcp.vertex_ai",
    "gcpvertexagent": "gcp.vertex_ai",
    "mistral": "mistral_ai", "mistralai": "mistral_ai",
    "xai": "x_ai", "grok": "x_ai", "moonshot": "moonshot_ai", "moonshotai": "moonshot_ai",
    "watsonx": "ibm.watsonx.ai", "ibmwatsonxai": "ibm.watsonx.ai", "watsonxai": "ibm.watsonx.ai",
}  # fmt: skip
_NOT_LETTERS = str.maketrans("", "", " ._-")


def provider_name(name: str) -> str:
    """One that is not well known stays as it is."""
    if name == "openai":
        return name
    return _WELL_KNOWN.get(name.lower().translate(_NOT_LETTERS), name)
