"""Fields of OpenAI's API, and of the servers that extend it, which mean nothing here: whatever they
hold, or as long as they hold what is done anyway. Every other value would change the answer, and is
refused by name. Sources: the request schemas of OpenAI, vLLM, llama.cpp's server and SGLang.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["means_nothing"]

IGNORED = {
    *("user", "metadata", "store", "service_tier", "safety_identifier", "request_id"),
    *("prompt_cache_key", "prompt_cache_retention"),
    *("cache_prompt", "cache_salt"),  # what is cached changes no answer
}
NEUTRAL: dict[str, tuple[Any, ...]] = {
    # OpenAI
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({}, []),
    "suffix": ("",),
    "echo": (False,),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "response_format": ({"type": "text"},),
    # of stream_options
    "include_obfuscation": (False,),
    "continuous_usage_stats": (False,),
    # vLLM and SGLang
    "ignore_eos": (False,),
    "skip_special_tokens": (True,),
    "spaces_between_special_tokens": (True,),
    "include_stop_str_in_output": (False,),
    "no_stop_trim": (False,),
    "detokenize": (True,),
    "length_penalty": (1,),
    "use_beam_search": (False,),
    "early_stopping": (False,),
    "bad_words": ([],),
    "logits_processors": ([],),
    "truncate_prompt_tokens": (-1,),
    "priority": (0,),
    "return_token_ids": (False,),
    "return_tokens_as_token_ids": (False,),
    "documents": ([],),
    # llama.cpp
    "typical_p": (1,),
    "repeat_penalty": (1,),
    "mirostat": (0,),
    "dry_multiplier": (0,),
    "xtc_probability": (0,),
    "dynatemp_range": (0,),
    "n_keep": (0,),
    "n_probs": (0,),
    "id_slot": (-1,),
    "grammar": ("",),
    "timings_per_token": (False,),
    "post_sampling_probs": (False,),
    "return_tokens": (False,),
}


def means_nothing(name: str, body: Mapping[str, Any], is_chat: bool) -> bool:
    """Whether the answer would be the same without this field of the body."""
    value = body[name]
    if name in IGNORED or value is None or value in NEUTRAL.get(name, ()):
        return True
    if name == "best_of":  # of so many answers the n best: all of them
        return bool(value == (body.get("n") or 1))
    if name == "add_special_tokens":  # a chat's are those that its template writes
        return value is not is_chat
    # offered, and none may be called
    return name == "functions" and body.get("function_call") == "none"
