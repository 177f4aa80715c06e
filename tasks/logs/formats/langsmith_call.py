"""One LangSmith run of type llm → a call.

Inputs and outputs are LangChain's ("messages" in lists of lists, "generations") or, of its wrappers
around clients, the bodies of the API with the counts in `usage_metadata`. Counts and model stand in
the outputs, the message, LangChain's `llm_output`, or on the run. Cached tokens are part of the
input there; whether reasoning is part of the output the total decides.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tasks.logs.formats.exchange import an_object, decode
from tasks.logs.formats.payloads import of_langchain, read_input, read_output
from tasks.logs.formats.traces import Row, error_class, first_told
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import NOT_RECORDED, Answer, finish
from tasks.logs.shapes.providers import named
from tasks.logs.shapes.records import Call, Json, UnreadableError

#: names of the metadata, of the run or of the runs around it, for what a call has
_METADATA = {
    "session_id": ("session_id", "thread_id", "conversation_id"),
    "user": ("user_id", "ls_user_id", "user"),
    "release": ("release", "revision_id", "service_version"),
    "prompt_version": ("prompt_version", "lc_hub_commit_hash"),
}
_PROMPT = ("prompt_name", "lc_hub_repo")
_PARAMS = {"ls_temperature": "temperature", "ls_max_tokens": "max_tokens", "ls_stop": "stop"}
_NOT_PARAMS = frozenset({
    "messages", "model", "model_name", "model_id", "input", "prompt", "prompts", "contents",
    "system", "instructions", "usage_metadata", "_type",
})  # fmt: skip
#: of the metadata what is taken up elsewhere, or tells of the tracer
_NOT_TAGS = frozenset({
    *(name for names in _METADATA.values() for name in names), *_PROMPT, *_PARAMS, "lc_hub_owner",
    "ls_provider", "ls_model_name", "ls_model_type", "ls_invocation_params", "usage_metadata",
    "ls_run_depth", "ls_method",
})  # fmt: skip
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens", "prompt_token_details",
           "completion_token_details")  # fmt: skip


def from_run(row: Row, around: list[Row]) -> Call:
    if "run_type" not in row:
        raise UnreadableError("a patch of a run that was posted in no batch here")
    metadata = _metadata(row)
    outer = [_metadata(each) for each in around]
    inputs, outputs = decode(row.get("inputs")), decode(row.get("outputs"))
    said = _said(outputs)
    answer = _answer(outputs, said)
    started = coerce.moment("start_time", row.get("start_time") or _began(row))
    ended = coerce.moment("end_time", row.get("end_time"))
    first = _first_token(row)
    invoked = _invocation(row, metadata, inputs)
    counts = _counts(row, metadata, said)
    asked = coerce.first(metadata, "ls_model_name") or coerce.first(invoked, "model", "model_name")
    texts = first_told([metadata, *outer], _METADATA)
    error = coerce.text("error", row.get("error"))
    cost = coerce.first(row, "total_cost")
    call = Call(
        **texts,
        request_id=coerce.text("id", row.get("id")),
        started_at=started,
        provider=named(coerce.text("ls_provider", metadata.get("ls_provider"))),
        model=answer.model or coerce.text("model", asked),
        prompt_name=_prompt_name([metadata, *outer]),
        operation="text_completion" if "prompts" in coerce.mapping(inputs) else "chat",
        messages=read_input(inputs),
        params=_params(metadata, invoked),
        **usage.tokens(counts),
        ttft_s=(first - started).total_seconds() if first and started else None,
        latency_s=(ended - started).total_seconds() if ended and started
        else coerce.number("latency_seconds", row.get("latency_seconds")),
        cost_usd=coerce.number(
            "total_cost", coerce.first(counts, "total_cost") if cost is None else cost
        ),
        tags=_tags(row, metadata, error),
    )  # fmt: skip
    open_still = row.get("status") == "pending" or (ended is None and answer is NOT_RECORDED)
    return finish(call, answer, error=error and error_class(error),
                  otherwise=None if open_still else "ok")  # fmt: skip


def _began(row: Row) -> str | None:
    """As its place in the trace tells: the moment and the id of each run around it, then its own.

    YYYYmmddTHHMMSSffffffZ, which ISO 8601 has with a point before the fraction.
    """
    place = row.get("dotted_order")
    told = place.rpartition(".")[2].partition("Z")[0] if isinstance(place, str) else ""
    return f"{told[:15]}.{told[15:]}Z" if len(told) == 21 else None


def _metadata(row: Row) -> dict[str, Json]:
    """Of the run, which a newer API has beside `extra`."""
    inner = coerce.first(decode(row.get("extra")), "metadata")
    return {**an_object(row.get("metadata")), **an_object(inner)}


def _said(outputs: Json) -> list[dict[str, Json]]:
    """Whatever in the outputs may tell of model and counts, the best first."""
    outputs = coerce.mapping(outputs)
    generation: Json = outputs.get("generations")
    while isinstance(generation, list) and generation:
        generation = generation[0]
    generation = coerce.mapping(generation)
    message = coerce.first(generation, "message")
    if message is None:
        message = coerce.first(outputs, "output", "message")
    message = of_langchain(coerce.mapping(message))
    about = coerce.mapping(message.get("response_metadata"))
    info = coerce.mapping(generation.get("generation_info"))
    llm_output = coerce.mapping(outputs.get("llm_output"))
    return [outputs, message, about, info, llm_output]


def _answer(outputs: Json, said: list[dict[str, Json]]) -> Answer:
    """The counts are read apart: they may stand anywhere."""
    if isinstance(outputs, dict):
        outputs = {key: item for key, item in outputs.items() if key != "usage_metadata"}
        outputs["choices"] = [_choice(each) for each in coerce.sequence(outputs.get("choices"))]
        if not outputs["choices"]:
            del outputs["choices"]
    if not outputs:
        return NOT_RECORDED
    answer = read_output(outputs)
    model = next(
        (
            found
            for each in said
            if isinstance(found := coerce.first(each, "model", "model_name"), str)
        ),
        None,
    )
    reason = next(
        (
            found
            for each in said
            if isinstance(
                found := coerce.first(each, "finish_reason", "stop_reason", "done_reason"), str
            )
        ),
        None,
    )
    own = next(
        (found for each in (said[0], said[2], said[1]) if isinstance(found := each.get("id"), str)),
        None,
    )
    return replace(
        answer,
        model=answer.model or model,
        finish_reason=answer.finish_reason or reason,
        response_id=answer.response_id or own,
        tokens=None,
    )  # fmt: skip


def _choice(choice: Json) -> Json:
    """The JavaScript wrapper of streams keeps the last chunk as the reason."""
    reason = coerce.first(choice, "finish_reason")
    if isinstance(choice, dict) and isinstance(reason, dict):
        return {**choice, "finish_reason": reason.get("finish_reason")}
    return choice


def _counts(
    row: Row, metadata: dict[str, Json], said: list[dict[str, Json]]
) -> dict[str, Json] | None:
    """Where they are told best; a run without any has zeros."""
    for each in said:
        for name in ("usage_metadata", "token_usage", "tokenUsage", "estimatedTokenUsage", "usage"):
            counts = each.get(name)
            if isinstance(counts, dict) and any(counts.values()):
                return counts
    if isinstance(metadata.get("usage_metadata"), dict):
        return coerce.mapping(metadata["usage_metadata"])
    counts = {name: decode(row.get(name)) for name in _COUNTS}
    nothing = (None, 0, "0", "")
    return counts if any(counts[name] not in nothing for name in _COUNTS[:3]) else None


def _first_token(row: Row) -> Any:
    told = coerce.moment("first_token_time", row.get("first_token_time"))
    if told is not None:
        return told
    for event in coerce.sequence(decode(row.get("events"))):
        if coerce.first(event, "name") == "new_token":
            return coerce.moment("event", event.get("time"))
    return None


def _invocation(row: Row, metadata: dict[str, Json], inputs: Json) -> dict[str, Json]:
    """What was asked for beside the messages, wherever the tracer keeps it."""
    extra = an_object(row.get("extra"))
    body = inputs if "model" in coerce.mapping(inputs) else None  # of a wrapper around a client
    found: dict[str, Json] = {}
    for holder in (metadata.get("ls_invocation_params"), extra.get("invocation_params"), body):
        found.update((k, v) for k, v in coerce.mapping(holder).items() if v is not None)
    return found


def _params(metadata: dict[str, Json], invoked: dict[str, Json]) -> dict[str, Json] | None:
    given = {ours: metadata[name] for name, ours in _PARAMS.items()
             if metadata.get(name) is not None}  # fmt: skip
    given.update((key, item) for key, item in invoked.items() if key not in _NOT_PARAMS)
    return given or None


def _prompt_name(metadata: list[dict[str, Json]]) -> str | None:
    """A prompt of the hub is owner/name; the owner of one's own prompts is -."""
    for each in metadata:
        name = coerce.text("prompt_name", coerce.first(each, *_PROMPT))
        if name is not None:
            owner = each.get("lc_hub_owner")
            plain = each.get("prompt_name") is not None or owner in (None, "", "-")
            return name if plain else f"{owner}/{name}"
    return None


def _tags(row: Row, metadata: dict[str, Json], error: str | None) -> dict[str, Json]:
    tags = {key: item for key, item in metadata.items() if key not in _NOT_TAGS}
    about = {
        "span_name": row.get("name"),
        "trace_id": row.get("trace_id"),
        "parent_span_id": row.get("parent_run_id"),
        "project": row.get("session_name"),
        "run_tags": decode(row.get("tags")),
        "error": error,
    }
    tags.update({key: item for key, item in about.items() if item not in (None, "", [])})
    return tags
