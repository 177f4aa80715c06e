"""Bodies of the Gemini API and of Vertex AI: generateContent, whole or streamed, and embedContent.

Names come in camelCase (HTTP) and in snake_case (the Python SDK's dumps). Thoughts are counted
beside the candidates there; here they are part of the output. A prompt or an answer that a safety
filter held back is a verdict of a guardrail. Source: the Gemini API reference, generateContent
and embedContent.
"""

from __future__ import annotations

from tasks.logs.formats.exchange import Api
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import Answer, verdict
from tasks.logs.shapes.parts import answer_of, message_of
from tasks.logs.shapes.records import Json

_BLOCKED = frozenset({
    "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "LANGUAGE", "MODEL_ARMOR",
})  # fmt: skip
#: of the enum that protobuf has as a number, as far as Gemini's and Vertex AI's are the same
_REASONS = {1: "STOP", 2: "MAX_TOKENS", 3: "SAFETY", 4: "RECITATION", 5: "OTHER"}
_ROLES = {"model": "assistant", "function": "tool"}
_NOT_PARAMS = frozenset({
    "contents", "content", "systemInstruction", "system_instruction", "model", "labels",
})  # fmt: skip
_READ = frozenset({
    "candidates", "usageMetadata", "usage_metadata", "modelVersion", "model_version",
    "responseId", "response_id", "createTime", "create_time", "error",
})  # fmt: skip


def is_answer(value: Json) -> bool:
    items = value if isinstance(value, list) else [value]
    return bool(items) and all(
        isinstance(item, dict)
        and (
            _are_answers(item)
            or "promptFeedback" in item
            or "prompt_feedback" in item
            or _is_vectors(item)
        )
        for item in items
    )


def _is_vectors(value: dict[str, Json]) -> bool:
    if "predictions" in value:  # Vertex AI
        each = coerce.sequence(value["predictions"])
        return bool(each) and all(isinstance(item, dict) and _is_vectors(item) for item in each)
    said = coerce.first(value, "embedding", "embeddings")
    first = said[0] if isinstance(said, list) and said else said
    return isinstance(first, dict) and isinstance(first.get("values"), list)


def _are_answers(value: dict[str, Json]) -> bool:
    """Candidates of an election have no content."""
    candidates = value.get("candidates")
    if not isinstance(candidates, list):
        return False
    if not candidates:
        return "usageMetadata" in value or "usage_metadata" in value
    return any(
        isinstance(each, dict)
        and (
            isinstance(each.get("content"), dict)
            or "finishReason" in each
            or "finish_reason" in each
        )
        for each in candidates
    )


def read_messages(request: dict[str, Json]) -> Json:
    """The SDK allows texts and parts where the API has contents with a role."""
    messages: list[Json] = []
    system = coerce.first(request, "systemInstruction", "system_instruction")
    if system is None:
        config = request.get("config")  # where the SDK keeps it
        system = coerce.first(config, "systemInstruction", "system_instruction")
    if system is not None:
        messages.extend(message_of("system", _parts(system)))
    contents = coerce.first(request, "contents", "content")
    for content in contents if isinstance(contents, list) else [contents]:
        if content is None:
            continue
        role = coerce.first(content, "role")
        known = _ROLES.get(role, role) if isinstance(role, str) else "user"
        messages.extend(message_of(known, _parts(content)))
    return messages or None


def read_answer(value: Json) -> Answer:
    whole = _from_chunks(value if isinstance(value, list) else [value])
    if not isinstance(whole, dict):
        return Answer(body=value)
    if _is_vectors(whole):
        counts = usage.tokens(coerce.first(whole, "usageMetadata", "usage_metadata"))
        return Answer(tokens=counts or _counted(whole), complete=True, operation="embeddings")
    offered = coerce.sequence(whole.get("candidates"))
    choices = [item for item in offered if isinstance(item, dict)]
    messages = [_message(item) for item in choices]
    candidate = choices[0] if choices else {}
    ended = coerce.first(candidate, "finishReason", "finish_reason")
    if isinstance(ended, int):
        ended = _REASONS.get(ended, ended)
    said = coerce.text("finishReason", ended)
    reason = said.rpartition(".")[2].upper() if said is not None else None  # the SDK's enum
    verdicts = _verdicts(whole, candidate, reason)
    return Answer(
        message=messages[0] if messages else None,
        response_id=coerce.text("responseId", coerce.first(whole, "responseId", "response_id")),
        model=coerce.text("modelVersion", coerce.first(whole, "modelVersion", "model_version")),
        created=coerce.first(whole, "createTime", "create_time"),
        finish_reason=reason,
        tokens=usage.tokens(coerce.first(whole, "usageMetadata", "usage_metadata")),
        other_choices=[item for item in messages[1:] if item is not None],
        error=whole.get("error"),
        body=whole,
        tags={key: item for key, item in whole.items() if key not in _READ and item is not None},
        verdicts=verdicts,
    )


def _counted(whole: dict[str, Json]) -> dict[str, int | None]:
    """Vertex AI counts the tokens of each text."""
    told = []
    for item in coerce.sequence(whole.get("predictions")):
        of_text = coerce.first(coerce.first(item, "embeddings"), "statistics")
        told.append(usage.known("token_count", coerce.first(of_text, "token_count")))
    known = [count for count in told if count is not None]
    return {"input_tokens": sum(known)} if known else {}


def _message(candidate: dict[str, Json]) -> dict[str, Json] | None:
    parts = _parts(candidate.get("content"))
    return answer_of(parts) if isinstance(parts, list) else None


def _verdicts(
    whole: dict[str, Json], candidate: dict[str, Json], reason: str | None
) -> list[dict[str, Json]]:
    feedback = coerce.first(whole, "promptFeedback", "prompt_feedback")
    stopped = coerce.text("blockReason", coerce.first(feedback, "blockReason", "block_reason"))
    if stopped is not None:
        ratings = coerce.first(feedback, "safetyRatings", "safety_ratings")
        return [verdict("gemini", True, stage="input", reason=stopped, ratings=ratings)]
    if reason in _BLOCKED:
        ratings = coerce.first(candidate, "safetyRatings", "safety_ratings")
        return [verdict("gemini", True, stage="output", reason=reason, ratings=ratings)]
    return []


def _from_chunks(chunks: list[Json]) -> Json:
    """Each chunk is a response with the next pieces; the last one has the reason and the counts.

    Texts that follow one another are one text, as the SDK has it.
    """
    whole: dict[str, Json] = {}
    pieces: dict[int, dict[str, Json]] = {}
    for chunk in chunks:
        if not isinstance(chunk, dict):
            return None
        whole.update({key: item for key, item in chunk.items() if item is not None})
        for candidate in coerce.sequence(chunk.get("candidates")):
            if isinstance(candidate, dict):
                _add(pieces.setdefault(coerce.index(candidate), {}), candidate)
    if pieces:
        whole["candidates"] = [pieces[index] for index in sorted(pieces)]
    return whole


def _add(piece: dict[str, Json], candidate: dict[str, Json]) -> None:
    before = piece.get("content")
    parts: list[Json] = before["parts"] if before is not None else []
    for part in _parts(candidate.get("content")) or ():
        last = parts[-1] if parts else {}
        if _is_text(part) and _is_text(last) and part.get("thought") == last.get("thought"):
            parts[-1] = {**last, "text": last["text"] + part["text"]}
        else:
            parts.append(part)
    piece.update({key: item for key, item in candidate.items() if item is not None})
    piece["content"] = {"parts": parts}


def _is_text(part: Json) -> bool:
    return isinstance(part, dict) and isinstance(part.get("text"), str)


def _parts(content: Json) -> Json:
    """The parts of a content; a text or a bare part is the only one."""
    if isinstance(content, dict):
        parts = content.get("parts")
        if parts is None and any(key not in ("parts", "role") for key in content):
            return [content]
        return parts if isinstance(parts, list) else None
    return content if isinstance(content, list) or content is None else [content]


GEMINI = Api(
    "gcp.gemini",
    (":generateContent", ":streamGenerateContent", ":embedContent", ":batchEmbedContents"), "chat",
    is_answer,
    lambda request: isinstance(request.get("contents"), list | str),
    read_messages, read_answer, _NOT_PARAMS,
)  # fmt: skip
