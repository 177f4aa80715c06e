"""How people name the fields of a call in records of their own → ours.

Only names that mean one thing: `latency` and `duration` have no unit, so they are none. camelCase
is read as snake_case.
"""

from __future__ import annotations

import re
from functools import lru_cache

from expectations.contracts import CALL_FIELDS

#: sampling and the like, where they stand beside the messages
PARAMS = frozenset({
    "temperature", "top_p", "top_k", "min_p", "max_tokens", "max_output_tokens",
    "max_completion_tokens", "max_new_tokens", "seed", "stop", "frequency_penalty",
    "presence_penalty", "repetition_penalty", "logprobs", "logit_bias", "n", "stream", "tools",
    "tool_choice", "response_format", "reasoning_effort",
})  # fmt: skip
#: what structured loggers add to a record: nothing of the call
OF_LOGGERS = frozenset({
    "level", "levelname", "severity", "logger", "logger_name", "hostname", "host", "pid", "process",
    "thread", "thread_name", "filename", "lineno", "func_name", "service", "env",
})  # fmt: skip
_NAMES = {
    "request_id": ("id", "call_id", "completion_id", "response_id", "generation_id", "uuid", "_id"),
    "started_at": ("timestamp", "time", "ts", "@timestamp", "created_at", "created", "start_time",
                   "started", "date", "datetime", "requested_at", "request_time", "logged_at"),
    "ended_at": ("end_time", "ended", "completed_at", "finished_at", "response_at"),
    "provider": ("vendor", "llm_provider", "model_provider"),
    "model": ("model_name", "model_id", "llm", "llm_model", "engine", "deployment"),
    "release": ("service_version", "app_version"),
    "prompt_name": ("prompt_id", "prompt_template", "template_name", "workload_id"),
    "prompt_version": ("template_version",),
    "session_id": ("session", "conversation_id", "thread_id", "chat_id"),
    "user": ("user_id", "end_user", "end_user_id", "username"),
    "messages": ("prompt", "input", "inputs", "question", "query", "user_message", "prompt_text",
                 "request_messages", "input_messages", "conversation"),
    "response": ("completion", "output", "outputs", "answer", "reply", "generation",
                 "generated_text", "response_text", "completion_text", "output_text",
                 "assistant_message", "assistant_response", "model_response", "llm_response",
                 "output_messages"),
    "system": ("system_prompt", "system_message", "instructions"),
    "finish_reason": ("stop_reason",),
    "params": ("parameters", "model_parameters", "sampling_params", "generation_config"),
    "input_tokens": ("prompt_tokens", "tokens_in", "tokens_input", "tokens_prompt", "in_tokens",
                     "num_input_tokens", "num_prompt_tokens", "input_token_count",
                     "prompt_token_count"),
    "output_tokens": ("completion_tokens", "tokens_out", "tokens_output", "tokens_completion",
                      "out_tokens", "num_output_tokens", "num_completion_tokens",
                      "output_token_count", "completion_token_count"),
    "total_tokens": ("tokens_total", "token_count", "num_tokens", "total_token_count"),
    "cached_tokens": ("tokens_cached", "cached_input_tokens"),
    "reasoning_tokens": ("tokens_reasoning",),
    "usage": ("token_usage", "tokens", "usage_metadata"),
    "latency_ms": ("duration_ms", "elapsed_ms", "response_time_ms", "latency_millis",
                   "total_time_ms", "response_ms"),
    "latency_s": ("latency_seconds", "duration_s", "duration_seconds", "elapsed_s",
                  "elapsed_seconds", "latency_sec", "response_time_s"),
    "ttft_ms": ("time_to_first_token_ms", "first_token_ms"),
    "ttft_s": ("time_to_first_token", "time_to_first_token_s"),
    "cost_usd": ("cost", "total_cost", "price", "price_usd", "total_cost_usd", "cost_dollars"),
    "http_status": ("status_code", "http_status_code", "response_status"),
    "error": ("error_message", "exception"),
    "error_type": ("error_code", "error_class"),
    "retries": ("retry_count", "num_retries"),
}  # fmt: skip
_FIELD_OF = {name: field for field, names in _NAMES.items() for name in (field, *names)}
_FIELD_OF |= {name: name for name in (*CALL_FIELDS, *PARAMS, "user")}
_CAMEL = re.compile(r"(?<=[a-z0-9])([A-Z])")


@lru_cache(8192)
def field_of(key: str) -> str | None:
    """The field that a key of a record means; None: it means nothing to us."""
    if len(key) > 100:
        return None
    known = _FIELD_OF.get(key)
    if known is None:
        known = _FIELD_OF.get(_CAMEL.sub(r"_\1", key).lower().replace("-", "_").replace(" ", "_"))
    return known
