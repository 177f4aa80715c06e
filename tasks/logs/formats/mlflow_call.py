"""One span of MLflow → a call, or something else.

Every attribute is JSON text (in OTLP a value), and what it holds may be JSON text again. Spans of
type LLM and CHAT_MODEL are calls. Source: mlflow.entities and mlflow.tracing.constant.
"""

from __future__ import annotations

from collections.abc import Iterable

from tasks.logs.formats import otlp_call, spans
from tasks.logs.formats.otlp_values import Attributes
from tasks.logs.formats.payloads import read_input, read_output
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import finish
from tasks.logs.shapes.json_text import nested, parse
from tasks.logs.shapes.providers import named
from tasks.logs.shapes.records import Call, Json, Other, Record, UnreadableError

TYPE = "mlflow.spanType"
#: of the trace: what its metadata and tags say, and JSON text of the prompts that it used
SESSION, USER, PROMPTS = "mlflow.trace.session", "mlflow.trace.user", "mlflow.linkedPrompts"
_CALLS = ("LLM", "CHAT_MODEL", '"LLM"', '"CHAT_MODEL"')
_MAX_DEPTH = 100
_NOT_PARAMS = frozenset({"messages", "input", "prompt", "model", "contents", "system"})
_NOT_TAGS = ("mlflow.", "model", "temperature", "max_tokens", "session.id", "user.id")


def is_call(attrs: Attributes) -> bool:
    return attrs.get(TYPE) in _CALLS


def from_span(span: dict[str, Json], attrs: Attributes, about: Attributes) -> Iterable[Record]:
    """`about`: what the trace says, else the resource."""
    yield _call(span, attrs, about) if is_call(attrs) else Other()


def value_of(text: Json) -> Json:
    """JSON text, twice where there is text inside the text; what is no JSON stays."""
    try:
        return nested(parse(text.encode(), _MAX_DEPTH)) if isinstance(text, str) else text
    except UnreadableError:
        return text


def _call(span: dict[str, Json], attrs: Attributes, about: Attributes) -> Call:
    given = {key: value_of(text) for key, text in attrs.items()}
    inputs = coerce.mapping(given.get("mlflow.spanInputs"))
    tags = spans.tags_of(span)
    started, latency = spans.read_times(span, tags)
    events = spans.read_events(span.get("events"))
    error = otlp_call.error_of({}, events, span.get("status"), tags)
    answer = read_output(given.get("mlflow.spanOutputs"))
    model = given.get("mlflow.llm.model") or answer.model or given.get("model")
    provider = coerce.text("provider", given.get("mlflow.llm.provider"))
    params = {key: item for key, item in inputs.items() if key not in _NOT_PARAMS}
    if given.get("mlflow.chat.tools") is not None:
        params["tools"] = given["mlflow.chat.tools"]
    prompts = given.get(PROMPTS) or value_of(about.get(PROMPTS))
    prompt = next(iter(coerce.sequence(prompts)), None)
    tags.update((key, item) for key, item in given.items() if not key.startswith(_NOT_TAGS))
    call = Call(
        request_id=spans.span_id(span),
        started_at=started,
        latency_s=latency,
        provider=named(provider),
        model=coerce.text("model", model or inputs.get("model")),
        prompt_name=coerce.text("prompt", coerce.first(prompt, "name")),
        prompt_version=coerce.text("version", coerce.first(prompt, "version")),
        session_id=coerce.text("session", about.get(SESSION) or given.get("session.id")),
        user=coerce.text("user", about.get(USER) or given.get("user.id")),
        operation="chat",
        messages=read_input(given.get("mlflow.spanInputs")),
        params=params or None,
        **usage.tokens(given.get("mlflow.chat.tokenUsage")),
        cost_usd=coerce.number("cost", coerce.first(given.get("mlflow.llm.cost"), "total_cost")),
        tags={**otlp_call.resource_tags(about),
              **{key: item for key, item in tags.items() if item is not None}},
    )  # fmt: skip
    return finish(call, answer, error=error)
