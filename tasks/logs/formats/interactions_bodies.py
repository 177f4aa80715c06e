"""Bodies of Google's Interactions API: what a model or an agent did, as steps or as outputs.

The steps of the model after the user's last input are one answer; an older schema has them as
`outputs`. Thoughts are counted beside the output there; here they are part of it. Source: the
Gemini API reference, Interactions, and its guide to breaking changes.
"""

from __future__ import annotations

from tasks.logs.formats.exchange import Api, decode
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import Answer
from tasks.logs.shapes.messages import message_list
from tasks.logs.shapes.parts import answer_of, message_of
from tasks.logs.shapes.records import Json

#: a tuple, because a hostile status may be no key of a set
_STATES = (
    "in_progress", "requires_action", "completed", "failed", "cancelled", "incomplete",
    "budget_exceeded", "queued", "idle", "requires_continuation",
)  # fmt: skip
_READ = frozenset({
    "id", "status", "model", "agent", "created", "updated", "steps", "outputs", "usage", "object",
    "input", "system_instruction", "errors", "error", "output_text", "role",
})  # fmt: skip
_NOT_PARAMS = frozenset({"input", "system_instruction", "model", "agent", "labels"})
_STARTS = ("interaction.created", "interaction.start", "interaction.status_update")
_ENDS = ("interaction.completed", "interaction.complete", "interaction.cancelled")
#: kinds of a delta → the key of the piece it adds to
_PIECES = {
    "text": ("text", "text"), "thought_summary": ("content", "summary"),
    "arguments_delta": ("arguments", "_json"), "thought_signature": ("signature", "signature"),
}  # fmt: skip


def is_answer(value: Json) -> bool:
    if isinstance(value, list):
        return any(coerce.first(event, "event_type") in (*_STARTS, *_ENDS) for event in value)
    if not isinstance(value, dict) or value.get("status") not in _STATES:
        return False
    if value.get("object") not in (None, "interaction"):
        return False
    did = isinstance(value.get("steps", value.get("outputs")), list)
    return did and ("model" in value or "agent" in value)


def is_question(request: dict[str, Json]) -> bool:
    if "input" not in request or "messages" in request:
        return False
    return any(key in request for key in ("system_instruction", "generation_config", "agent",
                                          "previous_interaction_id"))  # fmt: skip


def read_messages(request: dict[str, Json]) -> Json:
    messages: list[Json] = []
    if request.get("system_instruction") is not None:
        messages.extend(message_of("system", request["system_instruction"]))
    asked = request.get("input")
    if isinstance(asked, dict):
        asked = [asked]
    if isinstance(asked, list):
        messages.extend(_turns(asked))
    elif asked is not None:
        messages.extend(message_list("input", asked))
    return messages or None


def _turns(items: list[Json]) -> list[Json]:
    """Steps, turns with a role, or bare contents: these are the user's."""
    messages: list[Json] = []
    contents: list[Json] = []
    for item in items:
        kind, role = coerce.first(item, "type"), coerce.first(item, "role")
        inner = coerce.first(item, "content")
        if kind == "user_input" or isinstance(role, str):
            known = "assistant" if role == "model" else role or "user"
            messages.extend(message_of(known, inner))
        elif kind == "model_output":
            messages.extend(message_of("assistant", inner))
        elif kind == "function_result":
            messages.extend(message_of("tool", [item]))
        elif isinstance(kind, str) and (kind == "thought" or kind.endswith("_call")):
            messages.extend(message_of("assistant", [item]))
        else:
            contents.append(item)
    return [*messages, *message_of("user", contents)] if contents else messages


def read_answer(value: Json) -> Answer:
    if isinstance(value, list):
        value = _from_events(value)
    if not isinstance(value, dict):
        return Answer(body=value)
    message = answer_of(_blocks(value))
    status = value.get("status")
    errors = coerce.sequence(value.get("errors"))
    error = value.get("error") or (errors[0] if errors else None)
    if status in ("failed", "cancelled", "budget_exceeded"):
        error = error or {"code": status}
    return Answer(
        message=message,
        response_id=coerce.text("id", value.get("id")),
        model=coerce.text("model", coerce.first(value, "model", "agent")),
        created=value.get("created"),
        finish_reason=_finish_reason(status, message),
        tokens=usage.tokens(value.get("usage")),
        error=error,
        body=value,
        tags={key: item for key, item in value.items() if key not in _READ and item is not None},
    )


def _blocks(value: dict[str, Json]) -> list[Json]:
    blocks: list[Json] = []
    for step in coerce.sequence(value.get("steps", value.get("outputs"))):
        kind = coerce.first(step, "type")
        if kind == "user_input":  # of an interaction that was asked for again
            blocks.clear()
        elif kind == "model_output":
            inner = coerce.first(step, "content")
            blocks.extend(inner if isinstance(inner, list) else [inner])
        else:
            blocks.append(step)
    return blocks


def _finish_reason(status: Json, message: dict[str, Json] | None) -> str | None:
    if status == "incomplete":
        return "length"
    if message is None or status not in ("completed", "requires_action"):
        return None
    return "tool_calls" if message.get("tool_calls") else "stop"


def _from_events(events: list[Json]) -> Json:
    """Steps come as a start, deltas and a stop; the last event holds the interaction without."""
    whole: dict[str, Json] = {}
    steps: dict[int, dict[str, Json]] = {}
    for event in events:
        kind = coerce.first(event, "event_type")
        if kind in (*_STARTS, *_ENDS):
            whole.update(coerce.mapping(event.get("interaction")))
            whole["status"] = event.get("status") or whole.get("status")
        elif kind in ("step.start", "content.start"):
            steps[coerce.index(event)] = dict(
                coerce.mapping(coerce.first(event, "step", "content"))
            )
        elif kind in ("step.delta", "content.delta"):
            _add(steps.setdefault(coerce.index(event), {}), coerce.mapping(event.get("delta")))
        elif kind == "error":
            whole["error"] = event.get("error") or {"code": "error"}
    if steps and not whole.get("steps") and not whole.get("outputs"):
        whole["steps"] = [_closed(steps[index]) for index in sorted(steps)]
    return whole


def _add(step: dict[str, Json], delta: dict[str, Json]) -> None:
    kind = delta.get("type")
    source, target = _PIECES.get(kind if isinstance(kind, str) else "", (None, None))
    if source is None or target is None:
        _put(step, {key: item for key, item in delta.items() if item is not None})
        return
    said = delta.get(source)
    if isinstance(said, dict):  # a text content
        said = said.get("text")
    if isinstance(said, str):
        before = step.get(target)
        step[target] = (before if isinstance(before, str) else "") + said
    elif said is not None:
        step[target] = said


def _put(step: dict[str, Json], piece: dict[str, Json]) -> None:
    """What comes whole: pointers into sources, an image within an answer, what a tool gave."""
    if isinstance(piece.get("annotations"), list):
        step["annotations"] = [*coerce.sequence(step.get("annotations")), *piece["annotations"]]
    elif step.get("type") == "model_output":
        step["content"] = [*coerce.sequence(step.get("content")), piece]
    else:
        step.update(piece)


def _closed(step: dict[str, Json]) -> dict[str, Json]:
    arguments = step.pop("_json", None)
    if arguments is not None:
        return {**step, "arguments": decode(arguments)}
    if step.get("type") == "model_output" and "text" in step:
        cited = {"annotations": step["annotations"]} if "annotations" in step else {}
        said = {"type": "text", "text": step["text"], **cited}
        return {**step, "content": [said, *coerce.sequence(step.get("content"))]}
    if "type" not in step and "text" in step:
        return {**step, "type": "text"}
    return step


INTERACTIONS = Api(
    "gcp.gemini", ("/interactions",), "chat", is_answer, is_question, read_messages, read_answer,
    _NOT_PARAMS,
)  # fmt: skip
