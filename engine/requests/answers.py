"""From finished generate requests to Completions: their text, where it ends, and their samples.

Knows text through the codec only; knows nothing of how tokens were computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.errors import failure_of
from engine.loading.tokenizer import TextCodec
from engine.requests.request import Completion, FinishReason, Request

__all__ = ["completion", "finish_reason", "samples"]


def samples(request: Request) -> list[Request]:
    """One request for each completion that is computed. Greedy ones are all equal: one will do."""
    count = request.params.n
    if request.finish_reason is not None or request.params.is_greedy:
        request.num_answers = count
        return [request]
    return [request, *(request.another_sample(i) for i in range(1, count))]


def completion(requests: Sequence[Request], codec: TextCodec | None) -> Completion:
    """The completion of sample 0; the others are its alternatives."""
    first, *others = (_completion(request, codec) for request in requests)
    missing = requests[0].params.n - len(requests)
    return replace(first, alternatives=(*others, *[first] * missing))


def finish_reason(request: Request, codec: TextCodec | None) -> FinishReason | None:
    """Does the token that came last end the answer?"""
    if request.token_ids[-1] in request.end_ids:
        return "stop"
    if request.grammar is not None and request.grammar.is_complete:
        return "stop"
    if request.params.stop and codec is not None and _ends_in_stop(codec, request):
        return "stop"
    return "length" if request.num_tokens >= request.max_length else None


def _completion(request: Request, codec: TextCodec | None) -> Completion:
    output, text = request.output_ids, ""
    try:
        text = _text(codec, request) if codec is not None and output else ""
    except BaseException as error:
        request.fail(failure_of(error))
    return Completion(
        text=text,
        token_ids=tuple(output),
        logprobs=tuple(request.logprobs),
        finish_reason=request.finish_reason or "error",
        num_prompt_tokens=request.num_prompt,
        num_cached_tokens=max(0, request.num_cached),
        error=request.error,
        top_logprobs=tuple(request.top_logprobs),
        fault=request.fault,
    )


def _text(codec: TextCodec, request: Request) -> str:
    output, params = request.output_ids, request.params
    if output[-1] in request.end_ids:
        output = output[:-1]
    text = codec.decode(output)
    first = len(codec.decode(output[: params.min_tokens])) if params.min_tokens else 0
    ends = [place for stop in params.stop if (place := text.find(stop, first)) >= 0]
    return text[: min(ends)] if ends else text


def _ends_in_stop(codec: TextCodec, request: Request) -> bool:
    """Is a stop string in the text of the last tokens? A character is at most four tokens, so
    looking that far back is enough. The first min_tokens tokens do not count.
    """
    output = request.output_ids
    longest = max(len(stop) for stop in request.params.stop)
    tail = codec.decode(output[max(request.params.min_tokens, len(output) - 4 * longest - 8) :])
    return any(stop in tail for stop in request.params.stop)
