"""What attributes of the GenAI conventions, and of those who go their own way, mean for a call.

Today's names, those before 1.37 (gen_ai.system, prompt_tokens), OpenLLMetry's, old
(llm.usage.prompt_tokens) and new, Logfire's, Langfuse's and those of the Vercel AI SDK. The first
name of a field that is there counts.
"""

from __future__ import annotations

from collections.abc import Callable

from tasks.logs.formats.otlp_values import by_name
from tasks.logs.shapes import coerce
from tasks.logs.shapes.records import Json

CALL_OPERATIONS = frozenset({
    "chat", "completion", "text_completion", "generate_content", "embeddings", "embedding",
    "responses",
})  # fmt: skip
#: spans of the Vercel AI SDK that asked for embeddings, inside those that repeat them
EMBEDS = ("ai.embed.doEmbed", "ai.embedMany.doEmbed")
FIRST_CHUNK_MS = "ai.response.msToFirstChunk"
#: of OpenLLMetry → ours
OPERATIONS = {"embedding": "embeddings", "completion": "text_completion"}
OTHER_OPERATIONS = frozenset({
    "execute_tool", "tool", "invoke_agent", "create_agent", "agent", "invoke_workflow", "workflow",
    "retrieval", "task", "prompt", "chain", "rerank",
})  # fmt: skip
_MODELS = {
    "model": ("gen_ai.response.model", "llm.response.model"),
    "request_model": ("gen_ai.request.model", "llm.request.model"),
}
#: any of them names a model
MODELS = tuple(name for names in _MODELS.values() for name in names)
SIGNS_OF_A_CALL = (
    "gen_ai.system", "gen_ai.provider.name", "gen_ai.input.messages", "gen_ai.output.messages",
    "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.prompt_tokens",
    "gen_ai.usage.completion_tokens", "gen_ai.prompt.0.content", "gen_ai.completion.0.content",
    "llm.usage.total_tokens", "llm.usage.prompt_tokens", "llm.prompts.0.content", "llm.vendor",
)  # fmt: skip
_SETTINGS = "traceloop.association.properties"
#: of the call itself, else of a span around it
SESSION = (
    "gen_ai.conversation.id", "session.id", "gen_ai.session.id", f"{_SETTINGS}.session_id",
    f"{_SETTINGS}.conversation_id", f"{_SETTINGS}.thread_id", f"{_SETTINGS}.chat_id",
    "langfuse.session.id", "ai.telemetry.metadata.sessionId",
)  # fmt: skip
USER = (
    "enduser.id", "user.id", "enduser.pseudo.id", f"{_SETTINGS}.user_id", "llm.user",
    "gen_ai.user", "langfuse.user.id", "ai.telemetry.metadata.userId",
)  # fmt: skip
_PARAMS = {
    "temperature": ("gen_ai.request.temperature", "llm.temperature"),
    "top_p": ("gen_ai.request.top_p", "llm.top_p"),
    "top_k": ("gen_ai.request.top_k", "llm.top_k"),
    "seed": ("gen_ai.request.seed", "gen_ai.openai.request.seed"),
    "max_tokens": ("gen_ai.request.max_tokens", "llm.request.max_tokens"),
    "stop": ("gen_ai.request.stop_sequences", "llm.chat.stop_sequences"),
    "n": ("gen_ai.request.choice.count",),
    "frequency_penalty": ("gen_ai.request.frequency_penalty", "llm.frequency_penalty"),
    "presence_penalty": ("gen_ai.request.presence_penalty", "llm.presence_penalty"),
    "stream": ("gen_ai.request.stream", "gen_ai.is_streaming", "llm.is_streaming"),
    "encoding_formats": ("gen_ai.request.encoding_formats",),
}
_COUNTS = {
    "input": (
        "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens",
        "ai.usage.promptTokens", "ai.usage.inputTokens",
    ),
    "output": (
        "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens",
        "llm.usage.completion_tokens", "ai.usage.completionTokens", "ai.usage.outputTokens",
    ),
    "total": ("gen_ai.usage.total_tokens", "llm.usage.total_tokens", "ai.usage.totalTokens"),
    "cached": (
        "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.cached_tokens", "gen_ai.usage.details.cache_read_tokens",
        "gen_ai.usage.details.cached_tokens", "gen_ai.usage.details.cache_read_input_tokens",
        "ai.usage.cachedInputTokens",
    ),
    "cache_written": (
        "gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.details.cache_write_tokens",
        "gen_ai.usage.details.cache_creation_input_tokens",
    ),
    "reasoning": (
        "gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.details.reasoning_tokens", "ai.usage.reasoningTokens",
    ),
}  # fmt: skip
_TEXTS = {
    "provider": (
        "gen_ai.provider.name", "gen_ai.system", "gen_ai.request.provider", "llm.vendor",
        "ai.model.provider",
    ),
    "release": ("flywheel.release", "langfuse.release"),
    "prompt_name": (
        "flywheel.prompt.name", "gen_ai.prompt.name", "traceloop.prompt.key",
        "langfuse.observation.prompt.name",
    ),
    "prompt_version": (
        "flywheel.prompt.version", "gen_ai.prompt.version", "traceloop.prompt.version",
        "langfuse.observation.prompt.version",
    ),
    "session_id": SESSION,
    "user": USER,
    "operation": ("gen_ai.operation.name", "llm.request.type"),
}  # fmt: skip
_NUMBERS = {
    "ttft_s": ("gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token"),
    "cost_usd": ("gen_ai.usage.cost", "gen_ai.usage.total_cost", "operation.cost"),
}
_HTTP_STATUS = {"http_status": ("http.response.status_code", "http.status_code")}
READERS: dict[str, Callable[[str, Json], Json]] = {
    **dict.fromkeys((*_TEXTS, *_MODELS), coerce.text),
    **dict.fromkeys(_NUMBERS, coerce.number),
    **dict.fromkeys(_HTTP_STATUS, coerce.small_integer),
}
COUNTS = frozenset(_COUNTS)
PARAMS = frozenset(_PARAMS)
#: attribute → (field, all its attributes), of fields that READERS reads, counts and parameters
FIELDS = by_name({**_TEXTS, **_MODELS, **_NUMBERS, **_HTTP_STATUS, **_COUNTS, **_PARAMS})
