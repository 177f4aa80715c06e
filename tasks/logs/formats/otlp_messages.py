"""The messages of an OTLP span, wherever the instrumentation put them.

In order of preference: gen_ai.input.messages / gen_ai.output.messages (parts, as JSON text or
structured), gen_ai.prompt.N.* / gen_ai.completion.N.* (OpenLLMetry, before 2024 llm.prompts.N),
request and response as the library had them (Vercel AI SDK, Logfire, Google's ADK, OpenLIT,
Langfuse), events of the span or of its `events` attribute (gen_ai.user.message, gen_ai.choice,
gen_ai.content.prompt, gen_ai.content.completion).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tasks.logs.formats.exchange import decode
from tasks.logs.formats.otlp_values import Attributes, take, take_indexed
from tasks.logs.formats.payloads import read_input, read_output
from tasks.logs.shapes import coerce
from tasks.logs.shapes.answers import NOT_RECORDED, Answer, says_something
from tasks.logs.shapes.json_text import nested
from tasks.logs.shapes.messages import from_parts, join_text, message_list, tool_call
from tasks.logs.shapes.parts import answer_of, to_part
from tasks.logs.shapes.records import Json

ROLE_EVENTS = {
    f"gen_ai.{role}.message": role for role in ("system", "user", "assistant", "tool", "developer")
}
#: events that are taken up elsewhere or here; all others are kept in the tags
KNOWN_EVENTS = frozenset({
    "gen_ai.choice", "gen_ai.content.prompt", "gen_ai.content.completion",
    "gen_ai.evaluation.result", "gen_ai.client.inference.operation.details", *ROLE_EVENTS,
})  # fmt: skip
_SYSTEM, _OLD_SYSTEM = "gen_ai.system_instructions", "gen_ai.system.instructions"
#: of spans that we make out of other records
RAW_REQUEST, RAW_RESPONSE = "flywheel.request", "flywheel.response"
#: attributes with a request or messages of any API, and with a response or message
_REQUESTS = (
    RAW_REQUEST, "ai.prompt.messages", "request_data", "gcp.vertex.agent.llm_request",
    "gen_ai.content.prompt", "langfuse.observation.input", "gen_ai.prompt",
)  # fmt: skip
_RESPONSES = (
    RAW_RESPONSE, "response_data", "gcp.vertex.agent.llm_response", "gen_ai.content.completion",
    "langfuse.observation.output", "gen_ai.completion",
)  # fmt: skip
_NOT_PARAMS = frozenset({
    "messages", "model", "input", "prompt", "contents", "system", "instructions", "config",
    "system_instruction", "live_connect_config",
})  # fmt: skip
#: what a block of a message has, of which some write a list as JSON text
_BLOCK_KEYS = ("text", "type", "toolUse", "toolResult", "reasoningContent")


def take_request(attrs: Attributes) -> Json:
    """What the library was asked, whole, where the span has that; taken out of `attrs`."""
    if "gen_ai.input.messages" in attrs:
        return None
    return decode(_take_first(attrs, _REQUESTS))


def params_of(request: Json) -> dict[str, Json]:
    """What a whole request says beside its messages."""
    if not isinstance(request, dict):
        return {}
    whole = {**request, **coerce.mapping(request.get("config"))}
    return {key: item for key, item in whole.items() if key not in _NOT_PARAMS and item is not None}


def take_input(
    attrs: Attributes, events: Sequence[tuple[str, Attributes]], request: Json
) -> list[Json] | None:
    """Takes the input messages out of `attrs`, where they are not in the events or `request`."""
    for name, about in events:
        if name == "gen_ai.client.inference.operation.details":
            # as a span event it describes this very call
            for key, value in about.items():
                attrs.setdefault(key, value)
    messages = _input(attrs, events, request)
    if _SYSTEM not in attrs and _OLD_SYSTEM not in attrs:
        return messages
    system = nested(take(attrs, _SYSTEM, _OLD_SYSTEM))
    if isinstance(system, list):
        system = join_text(system)
    if system is not None:
        messages = [{"role": "system", "content": system}, *(messages or [])]
    return messages


def take_answer(attrs: Attributes, events: Sequence[tuple[str, Attributes]]) -> Answer:
    """Takes the output out of `attrs`.

    A choice of an event without a content hides it, as tracers do unless told otherwise.
    """
    choices = _output(attrs)
    response = decode(_take_first(attrs, _RESPONSES)) if choices is None else None
    if response is not None:
        return _of_response(response)
    recorded = choices is not None
    if choices is None:
        choices = _output_of_events(events)
        recorded = any(says_something(choice) for choice in choices)
    first = choices[0] if choices else None
    reason = first.pop("finish_reason", None) if first else None
    return Answer(
        message=first,
        finish_reason=reason if isinstance(reason, str) else None,
        other_choices=choices[1:],
        recorded=recorded,
    )


def own_events(attrs: Attributes) -> list[tuple[str, Attributes]]:
    """Logfire and Pydantic AI keep the message events in an attribute, as JSON text."""
    if "events" not in attrs:
        return []
    items = nested(attrs["events"])
    if not isinstance(items, list) or not all(
        isinstance(item, dict) and isinstance(item.get("event.name"), str) for item in items
    ):
        return []
    del attrs["events"]
    return [(item["event.name"], item) for item in items]


def _input(
    attrs: Attributes, events: Sequence[tuple[str, Attributes]], request: Json
) -> list[Json] | None:
    value = nested(attrs.pop("gen_ai.input.messages", None))
    if value is not None:
        return message_list("gen_ai.input.messages", value)
    indexed = take_indexed(attrs, "gen_ai.prompt") or take_indexed(attrs, "llm.prompts")
    if indexed:
        return [_openllmetry(message) for message in indexed]
    if request is not None:
        return read_input(request)
    return _input_of_events(events) or None


def _input_of_events(events: Sequence[tuple[str, Attributes]]) -> list[Json]:
    messages: list[Json] = []
    for name, about in events:
        if name in ROLE_EVENTS:
            messages.extend(from_parts({"role": ROLE_EVENTS[name], **_event_message(about)}))
        elif name == "gen_ai.content.prompt":
            prompt = nested(about.get("gen_ai.prompt"))
            if prompt is not None:
                messages.extend(message_list("gen_ai.prompt", prompt))
    return messages


def _output(attrs: Attributes) -> list[Json] | None:
    value = nested(attrs.pop("gen_ai.output.messages", None))
    if value is not None:
        return _choices(value)
    indexed = take_indexed(attrs, "gen_ai.completion") or take_indexed(attrs, "llm.completions")
    if indexed:
        return [{"role": "assistant", **_openllmetry(message)} for message in indexed]
    # the AI SDK has the text and the tool calls of the answer apart
    text = _take_first(attrs, ("ai.response.text", "ai.response.object"))
    calls = nested(attrs.pop("ai.response.toolCalls", None))
    blocks = [{"type": "text", "text": text}] if text else []
    vercel = answer_of([*blocks, *coerce.sequence(calls)])
    return None if vercel is None else [vercel]


def _of_response(response: Json) -> Answer:
    if isinstance(response, dict):
        streamed = response.get("combined_chunk_content")  # Logfire
        if isinstance(streamed, str):
            response = streamed
        elif response.keys() <= {"usage"}:  # Logfire, of embeddings
            return NOT_RECORDED
    return replace(read_output(response), recorded=True)


def _take_first(attrs: Attributes, names: tuple[str, ...]) -> Json:
    """Others stay, because they may say something else."""
    for name in names:
        if attrs.get(name) is not None:
            return attrs.pop(name)
    return None


def _output_of_events(events: Sequence[tuple[str, Attributes]]) -> list[Json]:
    choices: list[Json] = []
    for name, about in events:
        if name == "gen_ai.choice":
            choices.append(_choice_event(about))
        elif name == "gen_ai.content.completion":
            completion = nested(about.get("gen_ai.completion"))
            choices.extend([] if completion is None else _choices(completion))
    return choices


def _choices(value: Json) -> list[Json]:
    """Every message is one choice; a finish_reason stays with it until the call takes it."""
    items = value if isinstance(value, list) else [value]
    choices: list[Json] = []
    for item in items:
        if isinstance(item, str):
            choices.append({"role": "assistant", "content": item})
        elif isinstance(item, dict):
            message: dict[str, Json] = next(iter(from_parts(item)), {})
            choices.append({"role": "assistant", **message})
            if "finish_reason" in item:
                choices[-1]["finish_reason"] = item["finish_reason"]
        else:
            choices.append({"role": "assistant", "content": item})
    return choices


def _choice_event(about: Attributes) -> Json:
    inner = nested(about.get("message"))
    if isinstance(inner, list):
        inner = answer_of(inner)
    message = inner if isinstance(inner, dict) else _event_message(about)
    choice: dict[str, Json] = {"role": "assistant", **next(iter(from_parts(message)), {})}
    if about.get("finish_reason"):
        choice["finish_reason"] = about["finish_reason"]
    return choice


def _event_message(about: Attributes) -> dict[str, Json]:
    """The attributes of a message event, bare or with the gen_ai.event.content of some SDKs."""
    whole = nested(about.get("gen_ai.event.content"))
    if isinstance(whole, dict):
        inner = whole.get("message")
        return inner if isinstance(inner, dict) else whole
    message: dict[str, Json] = {
        key: about[key] for key in ("role", "content", "id", "name") if key in about
    }
    if "id" in message:
        message["tool_call_id"] = message.pop("id")
    blocks = nested(message.get("content"))
    if isinstance(blocks, list) and blocks and all(_is_block(block) for block in blocks):
        message["parts"] = [to_part(block) for block in blocks]
        del message["content"]
    calls = nested(about.get("tool_calls"))
    return {**message, "tool_calls": calls} if calls else message


def _is_block(value: Json) -> bool:
    return isinstance(value, dict) and any(key in value for key in _BLOCK_KEYS)


def _openllmetry(message: dict[str, Json]) -> Json:
    """role, content, finish_reason, and tool_calls.N.{id,name,arguments}."""
    rest = dict(message)
    calls = take_indexed(rest, "tool_calls")
    folded: dict[str, Json] = {}
    for key, value in rest.items():
        folded[key] = nested(value) if key == "content" else value
    if isinstance(folded.get("content"), list):
        folded["content"] = join_text(folded["content"])
    elif not isinstance(folded.get("content"), str | None):
        folded["content"] = rest["content"]  # an answer that is a JSON object stays text
    if calls:
        folded["tool_calls"] = [
            tool_call(call.get("id"), call.get("name"), call.get("arguments")) for call in calls
        ]
    return folded
