"""The model APIs whose bodies are known, and which one an exchange speaks."""

from __future__ import annotations

import re

from tasks.logs.formats import exchange as exchanges
from tasks.logs.formats.anthropic_bodies import ANTHROPIC
from tasks.logs.formats.bedrock_bodies import CONVERSE, TEXT_MODEL
from tasks.logs.formats.cohere_bodies import COHERE
from tasks.logs.formats.exchange import Api, Exchange
from tasks.logs.formats.gemini_bodies import GEMINI
from tasks.logs.formats.interactions_bodies import INTERACTIONS
from tasks.logs.formats.ollama_bodies import OLLAMA, OLLAMA_EMBEDDINGS, OLLAMA_GENERATE
from tasks.logs.formats.openai_bodies import CHAT, EMBEDDINGS
from tasks.logs.formats.responses_bodies import RESPONSES
from tasks.logs.formats.server_bodies import LLAMA_CPP, SGLANG, TGI
from tasks.logs.formats.watsonx_bodies import WATSONX
from tasks.logs.shapes import coerce

#: in the order in which an answer is tried: those of servers that few people run come last
APIS = (
    ANTHROPIC, CONVERSE, GEMINI, INTERACTIONS, COHERE, RESPONSES, EMBEDDINGS, CHAT, OLLAMA,
    OLLAMA_GENERATE, OLLAMA_EMBEDDINGS, WATSONX, TGI, SGLANG, LLAMA_CPP,
)  # fmt: skip

#: InvokeModel takes what the vendor of the model takes, or one of Bedrock's own shapes
_INVOKES = re.compile(r"/model/[^/]+/invoke(-with-response-stream)?")
#: what an answer calls itself → its API
_BY_OBJECT = {"chat.completion": CHAT, "text_completion": CHAT, "response": RESPONSES}

__all__ = [
    "ANTHROPIC",
    "APIS",
    "CHAT",
    "COHERE",
    "CONVERSE",
    "EMBEDDINGS",
    "GEMINI",
    "INTERACTIONS",
    "LLAMA_CPP",
    "OLLAMA",
    "OLLAMA_EMBEDDINGS",
    "OLLAMA_GENERATE",
    "RESPONSES",
    "SGLANG",
    "TEXT_MODEL",
    "TGI",
    "WATSONX",
    "api_of",
]  # fmt: skip


def api_of(exchange: Exchange, apis: tuple[Api, ...] = APIS) -> Api | None:
    """By the address or the answer, else, where no address contradicts, by the question."""
    path = exchanges.path_of(exchange.uri)
    if path is not None:
        known = next((api for api in apis if path.endswith(api.paths)), None)
        if known is not None:
            return known
        if _INVOKES.search(path):
            return _invoked(exchange)
    # nearly every answer of nearly every log says what it is
    said = exchange.response.get("object") if isinstance(exchange.response, dict) else None
    answered = _BY_OBJECT.get(said) if isinstance(said, str) else None
    if answered is None or answered not in apis:
        answered = next((api for api in apis if api.is_answer(exchange.response)), None)
    if answered is not None or path is not None or not isinstance(exchange.request, dict):
        return answered
    # chat comes last, its questions look like those of others; no other API calls a model model_id
    by_question = sorted(apis, key=lambda api: (api is not WATSONX, api is CHAT))
    return next((api for api in by_question if api.is_question(exchange.request)), None)


def _invoked(exchange: Exchange) -> Api:
    asked, known = coerce.mapping(exchange.request), (*APIS, TEXT_MODEL)
    answered = next((api for api in known if api.is_answer(exchange.response)), None)
    return answered or next((api for api in known if api.is_question(asked)), TEXT_MODEL)
