"""The model APIs whose bodies are known, in the order in which a body is tried."""

from tasks.logs.formats.anthropic_bodies import ANTHROPIC
from tasks.logs.formats.bedrock_bodies import CONVERSE
from tasks.logs.formats.gemini_bodies import GEMINI
from tasks.logs.formats.openai_bodies import CHAT, EMBEDDINGS
from tasks.logs.formats.responses_bodies import RESPONSES

#: chat comes last, because its questions look like those of others
APIS = (ANTHROPIC, CONVERSE, GEMINI, RESPONSES, EMBEDDINGS, CHAT)

__all__ = ["ANTHROPIC", "APIS", "CHAT", "CONVERSE", "EMBEDDINGS", "GEMINI", "RESPONSES"]
