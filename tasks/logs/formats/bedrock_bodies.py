"""Bodies of AWS Bedrock: Converse, its stream, and the text models that have shapes of their own.

What InvokeModel sends to Anthropic and OpenAI models is in those vendors' shapes (apis.py).
Images and videos are not kept; that they came makes the call complete. Source: the Bedrock Runtime
API reference (Converse, ConverseStream) and the inference parameters of Titan, Llama, Mistral,
Cohere, AI21, Nova, Stability and TwelveLabs.
"""

from __future__ import annotations

from tasks.logs.formats.exchange import Api, decode
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import Answer
from tasks.logs.shapes.messages import message_list
from tasks.logs.shapes.parts import answer_of, conversation
from tasks.logs.shapes.records import Json

_EVENTS = ("messageStart", "contentBlockStart", "contentBlockDelta", "messageStop", "metadata")
_NOT_PARAMS = frozenset({
    "messages", "system", "inputText", "inputPrompt", "prompt", "message", "anthropic_version",
    "schemaVersion", "texts",
})  # fmt: skip
_VECTORS = ("embedding", "embeddings", "embeddingsByType")
_IMAGES = ("images", "artifacts", "invocationArn")
_ASKED = ("prompt", "inputText", "inputPrompt", "message", "inputs", "texts")
#: where image models have the text: {"taskType", "textToImageParams": {"text"}}
_TASKS = ("textToImageParams", "singleEmbeddingParams", "text_prompts")


def _is_converse(value: Json) -> bool:
    if isinstance(value, list):
        signs = (*_EVENTS[:-1], "contentBlockIndex")
        return any(isinstance(item, dict) and any(k in item for k in signs) for item in value)
    output = coerce.first(value, "output")
    return isinstance(output, dict) and "message" in output


def _read_messages(request: dict[str, Json]) -> Json:
    asked = request.get("messages")
    if not isinstance(asked, list) and any(name in request for name in _ASKED):
        return _read_prompt(request)
    return conversation(request.get("system"), asked)


def _read_converse(value: Json) -> Answer:
    whole = _from_events(value) if isinstance(value, list) else value
    if not isinstance(whole, dict):
        return Answer(body=value)
    output = whole.get("output")
    inner = coerce.first(output, "message")
    blocks = coerce.first(inner, "content")
    tags = {name: whole[name] for name in ("metrics", "trace") if whole.get(name) is not None}
    return Answer(
        message=answer_of(blocks) if isinstance(blocks, list) else None,
        finish_reason=coerce.text("stopReason", whole.get("stopReason")),
        tokens=usage.tokens(whole.get("usage"), cache_apart=True),
        error=whole.get("error"),
        body=whole,
        tags=tags,
        latency_s=coerce.seconds(
            "latencyMs", coerce.first(whole.get("metrics"), "latencyMs"), 1000.0
        ),
    )


def _from_events(events: list[Json]) -> dict[str, Json]:
    """ConverseStream: each event has its kind as the one key, or is what stands under it."""
    blocks: dict[int, dict[str, Json]] = {}
    whole: dict[str, Json] = {}
    for event in events:
        known = _kind(event) if isinstance(event, dict) else None
        named = event if known is None or known in event else {known: event}
        for kind, body in named.items() if isinstance(named, dict) else ():
            if not isinstance(body, dict):
                continue
            if kind in ("contentBlockStart", "contentBlockDelta"):
                block = blocks.setdefault(coerce.index(body, "contentBlockIndex"), {})
                piece = body.get("start" if kind == "contentBlockStart" else "delta")
                _add(block, coerce.mapping(piece))
            elif kind == "messageStop":
                whole["stopReason"] = body.get("stopReason")
            elif kind == "metadata":
                whole.update(body)
            elif kind.endswith("Exception"):
                whole["error"] = {"type": kind, **body}
    content = [_closed(blocks[index]) for index in sorted(blocks)]
    return {**whole, "output": {"message": {"content": content}}}


def _kind(event: dict[str, Json]) -> str | None:
    """Logs hold the events also bare: what they are shows in their keys."""
    for kind in _EVENTS:
        if kind in event:
            return kind
    if "contentBlockIndex" in event and ("delta" in event or "start" in event):
        return "contentBlockDelta" if "delta" in event else "contentBlockStart"
    if "stopReason" in event and "output" not in event:
        return "messageStop"
    return "metadata" if "usage" in event and "output" not in event and len(event) <= 3 else None


def _add(block: dict[str, Json], piece: dict[str, Json]) -> None:
    for key, value in piece.items():
        before = block.get(key)
        if isinstance(value, str) and isinstance(before, str | None):
            block[key] = (before or "") + value
        elif isinstance(value, dict) and isinstance(before, dict | None):
            inner: dict[str, Json] = coerce.mapping(before)
            block[key] = inner
            _add(inner, value)
        else:
            block[key] = value


def _closed(block: dict[str, Json]) -> dict[str, Json]:
    """The stream gives tool arguments as JSON text and reasoning without its inner object."""
    call, thought = block.get("toolUse"), block.get("reasoningContent")
    if isinstance(call, dict):
        return {**block, "toolUse": {**call, "input": decode(call.get("input"))}}
    if isinstance(thought, dict) and "text" in thought:
        return {**block, "reasoningContent": {"reasoningText": thought}}
    return block


CONVERSE = Api(
    "aws.bedrock", ("/converse", "/converse-stream"), "chat", _is_converse,
    lambda request: "messages" in request
    and ("inferenceConfig" in request or "toolConfig" in request),
    _read_messages, _read_converse, _NOT_PARAMS,
)  # fmt: skip


def _is_text(value: Json) -> bool:
    items = value if isinstance(value, list) else [value]
    return bool(items) and all(isinstance(item, dict) and _piece(item) for item in items)


def _piece(value: dict[str, Json]) -> dict[str, Json] | None:
    """Where the text, the reason and the counts are: in the body or in its first result."""
    for key in ("results", "outputs", "generations", "completions"):
        inner = value.get(key)
        if isinstance(inner, list) and inner and isinstance(inner[0], dict):
            ai21 = inner[0].get("data")
            return {**value, **inner[0], **(ai21 if isinstance(ai21, dict) else {})}
    known = ("generation", "outputText", "completion", *_VECTORS, *_IMAGES)
    named = any(name in value for name in known)
    cohere = "text" in value and ("finish_reason" in value or "is_finished" in value)
    pegasus = isinstance(value.get("message"), str) and "finishReason" in value
    return value if named or cohere or pegasus else None


def _read_text(value: Json) -> Answer:
    """Titan, Llama, Mistral, Cohere, AI21, the old Claude; a stream's texts are put together."""
    items = value if isinstance(value, list) else [value]
    objects = [item for item in items if isinstance(item, dict)]
    pieces = [piece for piece in map(_piece, objects) if piece is not None]
    if not pieces:
        return Answer(body=value)
    if any(name in pieces[0] for name in _VECTORS):
        return Answer(tokens=usage.tokens(pieces[0]), complete=True, operation="embeddings")
    if any(name in pieces[0] for name in _IMAGES):
        error = pieces[0].get("error")
        return Answer(error=error, complete=True, operation="image_generation")
    keys = ("outputText", "generation", "completion", "text", "message")
    texts = [coerce.text("text", coerce.first(piece, *keys)) for piece in pieces]
    merged = {key: item for piece in pieces for key, item in piece.items() if item is not None}
    reasons = ("completionReason", "stop_reason", "stopReason", "finish_reason", "finishReason")
    reason = coerce.first(merged, *reasons)
    if isinstance(reason, dict):  # AI21
        reason = reason.get("reason")
    return Answer(
        message={"role": "assistant", "content": "".join(text or "" for text in texts)},
        finish_reason=coerce.text("stop_reason", reason),
        tokens=usage.tokens(merged),
        body=value,
    )


def _read_prompt(request: dict[str, Json]) -> Json:
    asked = coerce.first(request, *_ASKED)
    if asked is None:
        task = coerce.first(request, *_TASKS)
        task = task[0] if isinstance(task, list) and task else task
        asked = coerce.first(task, "text")
    if isinstance(asked, dict):
        asked = asked.get("text", asked.get("value"))
    return None if asked is None else message_list("prompt", asked)


TEXT_MODEL = Api(
    "aws.bedrock", (), "text_completion", _is_text,
    lambda request: any(name in request for name in (*_ASKED, *_TASKS)), _read_prompt, _read_text,
    _NOT_PARAMS,
)  # fmt: skip
