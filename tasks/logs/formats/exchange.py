"""One HTTP exchange with a model API: out of its wrapping, and which API it speaks.

A body comes bare, under "body" or "parsed_body", as JSON text, under "string" (VCR), as a list of
stream chunks, or as the text of an event stream. What a body means is the Api's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tasks.logs.formats.aws_events import events_of
from tasks.logs.shapes import coerce
from tasks.logs.shapes.answers import Answer
from tasks.logs.shapes.json_text import nested
from tasks.logs.shapes.providers import provider_of as provider_of
from tasks.logs.shapes.records import Json

_BODIES = ("parsed_body", "body")
_WRAPPINGS = frozenset({*_BODIES, "headers"})
#: what has one of these is a body itself
_BARE = frozenset({"choices", "messages", "object", "contents", "candidates"})
#: keys of a line that may hold the body of either
REQUEST = ("request", "request_body", "requestBody", "request_json")
RESPONSE = ("response", "response_body", "responseBody", "response_json")
_OUTCOMES = frozenset({*RESPONSE, "error"})
#: of a body: what only a request has, and what never stands in one
_ASKED = ("messages", "contents", "prompt", "input")
_ANSWERED = (*RESPONSE, "choices", "candidates", "output", "completion", "usage", "error", "object")
_STREAM = re.compile(r"\s*(?:data|event|id|retry)?:")
#: addresses of a model API that run no model
_THREADS = re.compile(r"/v1/threads(/|$)")
_HELPERS = (
    "/count_tokens",
    "/count-tokens",
    "/input_tokens",
    "/models",
    "/tokenize",
    "/detokenize",
    "/health",
    ":countTokens",
)


@dataclass(frozen=True, slots=True, eq=False)  # there is one of each
class Api:
    """How the bodies of one API are known and read.

    `paths`: how its address ends, with the host where the rest is that of others too. `is_answer`
    and `is_question` look at a body's shape. `params_under`: key of the request that holds the
    sampling parameters, where they have one.
    """

    provider: str
    paths: tuple[str, ...]
    operation: str
    is_answer: Callable[[Json], bool]
    is_question: Callable[[dict[str, Json]], bool]
    read_messages: Callable[[dict[str, Json]], Json]
    read_answer: Callable[[Json], Answer]
    not_params: frozenset[str]
    params_under: str = ""

    def params(self, request: dict[str, Json]) -> dict[str, Json] | None:
        inner = request.get(self.params_under)
        params = {k: v for k, v in request.items() if k not in self.not_params}
        if isinstance(inner, dict) and inner:
            params.pop(self.params_under, None)
            params.update(inner)
        return params or None


@dataclass(frozen=True, slots=True)
class Exchange:
    """The bodies of request and response, with whatever the line says around them.

    `status`: the HTTP status that came with the response. `recorded` False: the log would not hold
    a response if there was one.
    """

    request: Json
    response: Json
    around: dict[str, Json] = field(default_factory=dict)
    uri: Json = None
    status: Json = None
    recorded: bool = True


def runs_no_model(uri: Json) -> bool:
    path = path_of(uri)
    return path is not None and (path.endswith(_HELPERS) or _THREADS.search(path) is not None)


def is_pair(value: dict[str, Json]) -> bool:
    """Whether it has a request, as an object or as its text, and what came of it."""
    request = coerce.first(value, *REQUEST)
    is_body = isinstance(request, dict) or (isinstance(request, str) and "{" in request)
    return is_body and not _OUTCOMES.isdisjoint(value)


def is_question_alone(value: Json) -> bool:
    """The body of a request, without anything that came of it."""
    if not isinstance(value, dict) or "model" not in value:
        return False
    is_asked = any(isinstance(value.get(key), list | str) for key in _ASKED)
    return is_asked and not any(key in value for key in _ANSWERED)


def pair_of(value: dict[str, Json]) -> Exchange:
    """{"request": …, "response": …}; the address may stand on the line or the request."""
    request, response = coerce.first(value, *REQUEST), coerce.first(value, *RESPONSE)
    uri = coerce.first(request, "uri", "url") or value.get("url")
    return Exchange(unwrap(request), unwrap(response), value, uri, status_of(response))


def _is_wrapped(value: Json) -> bool:
    is_open = not isinstance(value, dict) or _WRAPPINGS.isdisjoint(value)
    return not is_open and _BARE.isdisjoint(value)


def unwrap(value: Json) -> Json:
    """The body inside whatever a log or a cassette wraps it in."""
    if _is_wrapped(value):
        return decode(next((value[key] for key in _BODIES if key in value), None))
    return value if isinstance(value, dict) else decode(value)


def status_of(value: Json) -> Json:
    """Of what wraps a body: a number, under `code` (VCR, go-vcr), or the text "200 OK"."""
    if not _is_wrapped(value):
        return None
    status = value.get("status_code", value.get("status"))
    if isinstance(status, dict):
        status = status.get("code")
    if isinstance(status, str) and status[:3].isdecimal() and status[3:4] == " ":
        status = status[:3]
    return status if isinstance(status, int | str) else None


def decode(value: Json) -> Json:
    """A body out of VCR's wrapping, JSON text parsed, the text of a stream as its chunks."""
    if isinstance(value, dict) and value and set(value) <= {"string", "encoding", "base64_string"}:
        value = value.get("string")
    value = nested(value)
    if isinstance(value, list) and value and all(_is_of_stream(line) for line in value):
        value = "\n".join(value)
    if isinstance(value, str) and _STREAM.match(value) and "data:" in value:
        return _event_stream(value)
    if isinstance(value, str) and value.startswith("AAA"):
        return events_of(value) or value
    if isinstance(value, str) and value.startswith("{") and "}\n{" in value:
        return _json_lines(value)
    return value


def _json_lines(text: str) -> Json:
    chunks = [nested(line) for line in text.splitlines() if line.strip()]
    return chunks if all(isinstance(chunk, dict) for chunk in chunks) else text


def _is_of_stream(line: Json) -> bool:
    return isinstance(line, str) and _STREAM.match(line) is not None


def an_object(value: Json) -> dict[str, Json]:
    """An object as itself, as JSON text, or as the pairs of a Parquet map; else an empty one."""
    value = decode(value)
    if isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in value
    ):
        return dict(value)
    return coerce.mapping(value)


def _event_stream(text: str) -> Json:
    chunks: list[Json] = []
    for line in text.splitlines():
        content = line.removeprefix("data:").strip()
        if line.startswith("data:") and content not in ("", "[DONE]"):
            chunks.append(nested(content))
            if isinstance(chunks[-1], str):
                return text
    return chunks or text


def path_of(uri: Json) -> str | None:
    return re.split(r"[?#]", uri, maxsplit=1)[0].rstrip("/") if isinstance(uri, str) else None


def host_of(uri: Json) -> str | None:
    if not isinstance(uri, str):
        return None
    try:
        return urlsplit(uri).hostname
    except ValueError:
        return None
