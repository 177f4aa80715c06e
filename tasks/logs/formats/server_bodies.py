"""Bodies of the own APIs of servers that people run: TGI, SGLang, llama.cpp.

One prompt as text, and the text it got. Sources: the OpenAPI description of text-generation-
inference, SGLang's native API, the README of llama.cpp's server.
"""

from __future__ import annotations

from tasks.logs.formats.exchange import Api
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import Answer
from tasks.logs.shapes.records import Json

_PROMPTS = frozenset({"inputs", "text", "prompt", "input_ids", "model"})


def _read_prompt(request: dict[str, Json]) -> Json:
    asked = coerce.first(request, "inputs", "text", "prompt")
    if isinstance(asked, list) and len(asked) == 1:
        asked = asked[0]
    return None if asked is None else [{"role": "user", "content": asked}]


def _said(text: Json) -> dict[str, Json] | None:
    return {"role": "assistant", "content": text} if isinstance(text, str) else None


def _is_tgi(value: Json) -> bool:
    first = value[0] if isinstance(value, list) and value else value
    if not isinstance(first, dict):
        return False
    token = isinstance(first.get("token"), dict) and "generated_text" in first
    return token or isinstance(first.get("generated_text"), str)


def _read_tgi(value: Json) -> Answer:
    """Of a stream the last object holds the text; tokens that count the prompt are told only when
    asked for."""
    pieces = value if isinstance(value, list) else [value]
    ended = [piece for piece in pieces if isinstance(coerce.first(piece, "generated_text"), str)]
    last = ended[-1] if ended else coerce.mapping(pieces[-1] if pieces else None)
    details = coerce.mapping(last.get("details"))
    text = last.get("generated_text")
    if not ended:  # cut off: what came until then
        tokens = [coerce.mapping(coerce.first(piece, "token")) for piece in pieces]
        text = "".join(
            token["text"] for token in tokens
            if isinstance(token.get("text"), str) and token.get("special") is not True
        ) or None  # fmt: skip
    prefill = coerce.sequence(details.get("prefill"))
    asked = coerce.integer("input_length", details.get("input_length"))
    return Answer(
        message=_said(text),
        finish_reason=coerce.text("finish_reason", details.get("finish_reason")),
        tokens={
            "input_tokens": len(prefill) if asked is None and prefill else asked,
            "output_tokens": coerce.integer("generated_tokens", details.get("generated_tokens")),
        },
        other_choices=[
            message
            for other in coerce.sequence(details.get("best_of_sequences"))
            if (message := _said(coerce.first(other, "generated_text"))) is not None
        ],
        error=coerce.first(last, "error", "error_type"),
        body=value,
        tags={"seed": details["seed"]} if details.get("seed") is not None else None,
    )


def is_sglang(value: Json) -> bool:
    first = value[0] if isinstance(value, list) and value else value
    if not isinstance(first, dict) or not isinstance(first.get("meta_info"), dict):
        return False
    return any(key in first for key in ("text", "output_ids", "embedding"))


_OF_META = frozenset({
    "id", "finish_reason", "prompt_tokens", "completion_tokens", "cached_tokens",
    "reasoning_tokens", "e2e_latency", "ttft", "total_tokens",
})  # fmt: skip
#: parts of it are as long as the answer
_NOT_KEPT = ("output_token_logprobs", "input_token_logprobs", "output_ids", "token_ids",
             "output_top_logprobs", "input_top_logprobs", "hidden_states", "output_token_ids",
             "input_token_ids_logprobs", "output_token_ids_logprobs")  # fmt: skip


def read_sglang(value: Json) -> Answer:
    """Of a stream the last object: each holds the text so far. Of a batch the first."""
    if isinstance(value, list):
        ids = {str(coerce.first(coerce.first(item, "meta_info"), "id")) for item in value}
        value = value[-1 if len(ids) == 1 else 0] if value else None
    body = coerce.mapping(value)
    meta = coerce.mapping(body.get("meta_info"))
    reason = meta.get("finish_reason")
    kind = coerce.text("finish_reason", reason.get("type") if isinstance(reason, dict) else reason)
    aborted = kind == "abort"
    rest = {
        key: item
        for key, item in meta.items()
        if key not in _OF_META and item is not None and not key.startswith(_NOT_KEPT)
    }
    return Answer(
        message=_said(body.get("text")),
        response_id=coerce.text("id", meta.get("id")),
        finish_reason=None if aborted else kind,
        tokens=usage.tokens(meta),
        error=({"type": "abort", **reason} if isinstance(reason, dict) else "abort")
        if aborted else None,
        body=body,
        tags=rest,
        complete="embedding" in body,
        # its log leaves texts out, or cuts them
        recorded=aborted or isinstance(body.get("text"), str) or "embedding" in body,
        ttft_s=coerce.number("ttft", meta.get("ttft")),
        latency_s=coerce.number("e2e_latency", meta.get("e2e_latency")),
    )  # fmt: skip


def _is_llama_cpp(value: Json) -> bool:
    first = value[-1] if isinstance(value, list) and value else value
    if not isinstance(first, dict) or not isinstance(first.get("content"), str):
        return False
    return "tokens_predicted" in first or ("generation_settings" in first and "stop" in first)


def _read_llama_cpp(value: Json) -> Answer:
    pieces = value if isinstance(value, list) else [value]
    last = coerce.mapping(pieces[-1] if pieces else None)
    texts = [coerce.first(piece, "content") for piece in pieces]
    timings = coerce.mapping(last.get("timings"))
    prompt_ms, answer_ms = (
        coerce.seconds(name, timings.get(name), 1000.0) for name in ("prompt_ms", "predicted_ms")
    )
    whole = None not in (prompt_ms, answer_ms)
    kind = coerce.text("stop_type", last.get("stop_type"))
    if kind in (None, "none"):
        signs = {"stopped_limit": "length", "stopped_eos": "stop", "stopped_word": "stop"}
        kind = next((word for sign, word in signs.items() if last.get(sign) is True), None)
    cached = coerce.integer("tokens_cached", last.get("tokens_cached"))
    return Answer(
        message=_said("".join(text for text in texts if isinstance(text, str))) if texts else None,
        model=coerce.text("model", last.get("model")),
        finish_reason={"limit": "length", "word": "stop"}.get(kind or "", kind),
        tokens={
            "input_tokens": coerce.integer("tokens_evaluated", last.get("tokens_evaluated")),
            "output_tokens": coerce.integer("tokens_predicted", last.get("tokens_predicted")),
        },
        error=last.get("error"),
        body=last,
        # of what is in the slot's cache after the call, not of what was found there
        tags=None if cached is None else {"tokens_cached": cached},
        ttft_s=prompt_ms,
        latency_s=(prompt_ms or 0.0) + (answer_ms or 0.0) if whole else None,
    )


TGI = Api(
    "tgi", ("/generate_stream",), "text_completion", _is_tgi,
    lambda request: "inputs" in request and "input" not in request,
    _read_prompt, _read_tgi, _PROMPTS, "parameters",
)  # fmt: skip
SGLANG = Api(
    "sglang", (), "text_completion", is_sglang,
    lambda request: isinstance(request.get("sampling_params"), dict)
    and ("text" in request or "input_ids" in request),
    _read_prompt, read_sglang, _PROMPTS, "sampling_params",
)  # fmt: skip
LLAMA_CPP = Api(
    "llama.cpp", ("/completion", "/infill"), "text_completion", _is_llama_cpp,
    lambda request: "prompt" in request and "n_predict" in request,
    _read_prompt, _read_llama_cpp, _PROMPTS,
)  # fmt: skip
