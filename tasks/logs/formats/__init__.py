"""One module a log format, or one table entry in pairs.py. Each is pure and has four names:

NAME, VERSION, `matches(value) -> bool` (is this JSON value one of ours?) and
`records(value) -> Iterator[Record]`, which raises UnreadableError where the
whole value is no record. To add a format: write the module, put it in FORMATS before any
that would also match.

Text logs (TEXT_FORMATS) have `matches_lines` and `reader()` instead: a reader is fed line by line.

Where a call stands in several values (the chunks of a stream, the lines of an agent's session) the
format has `reader()` beside `records`: an `Assembling` format, whose reader is fed the values of a
file in order, each with the place it stands at, and yields every record with the place where it
began. Where the rows of a file are the spans of a vendor's traces, traces.py has all of that: the
module says what a row is and how one is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol, cast, runtime_checkable

from tasks.logs.formats import (
    azure,
    bedrock,
    braintrust,
    canonical,
    claude_code,
    cloudflare,
    codex,
    conversations,
    data_flywheel,
    datadog,
    elastic,
    envoy,
    gemini_batch,
    helicone,
    inspect_events,
    jaeger,
    kong,
    langfuse,
    langsmith,
    litellm,
    llama_cpp,
    llama_cpp_json,
    logfire,
    mlflow_traces,
    new_relic,
    openai_agents,
    openai_batch,
    openinference,
    openrouter,
    opik,
    otel_spans,
    otel_traces,
    otlp,
    phoenix,
    portkey,
    posthog,
    sentry,
    sglang,
    sglang_json,
    table,
    tensorzero,
    tgi,
    tgi_json,
    vertex,
    vllm,
    weave,
    zipkin,
)
from tasks.logs.formats.pairs import anthropic, gemini, openai_chat, openai_responses
from tasks.logs.formats.table import Mapped
from tasks.logs.formats.vendors import cohere, interactions, ollama, watsonx
from tasks.logs.shapes.records import Json, Place, Record
from tasks.model.table_mapping import TABLE, TableMapping


class _Named(Protocol):
    @property
    def NAME(self) -> str: ...  # noqa: N802 - a module constant
    @property
    def VERSION(self) -> str: ...  # noqa: N802


@runtime_checkable
class Format(_Named, Protocol):
    def matches(self, value: Json) -> bool: ...
    def records(self, value: Json) -> Iterator[Record]: ...


class ValueReader(Protocol):
    """Of one file. `end` yields what is still open; `oldest` is where that began, or None."""

    def feed(self, value: Json, place: Place) -> Iterator[tuple[Record, Place]]: ...
    def end(self) -> Iterator[tuple[Record, Place]]: ...
    @property
    def oldest(self) -> Place | None: ...


@runtime_checkable
class Assembling(Format, Protocol):
    def reader(self) -> ValueReader: ...


@runtime_checkable
class Hosting(Format, Protocol):
    """A format in whose files there are values that by themselves may be anybody's."""

    def hosts(self, value: Json) -> bool:
        """Whether a value is read in a file of this format."""
        ...


class Batched(Format, Protocol):
    """A format whose output files may leave out what was asked, which then stands in input lines
    of the same id: `ID` is its key in both."""

    ID: str

    def is_input(self, value: Json) -> bool: ...
    def lacks_question(self, value: Json) -> bool: ...
    def joined(self, value: Json, requests: Mapping[str, Json]) -> Iterator[Record]:
        """The records of a value of the output, with its question from `requests`, input lines by
        their ids."""
        ...


class TextReader(Protocol):
    def feed(self, line: str) -> Iterator[Record]: ...
    def end(self) -> Iterator[Record]: ...


class TextFormat(_Named, Protocol):
    def matches_lines(self, lines: Sequence[str]) -> bool: ...
    def reader(self, latest: datetime | None = None) -> TextReader:
        """Of one file. `latest`: no line of it is later; for times without a year."""
        ...


#: in the order they are asked; ours comes last, because it takes records with extra keys
FORMATS: tuple[Format, ...] = cast(
    tuple[Format, ...],
    (
        elastic, phoenix, openinference, mlflow_traces, otel_spans, otlp, jaeger, zipkin, logfire,
        otel_traces, sentry, new_relic, datadog, openai_agents, langfuse, langsmith,
        braintrust, weave, helicone, posthog, opik,
        litellm, bedrock, envoy, kong, tensorzero, vertex, gemini_batch, azure, cloudflare,
        openrouter, portkey, openai_batch, data_flywheel, sglang_json, tgi_json, llama_cpp_json,
        ollama, watsonx, claude_code, codex, inspect_events, anthropic, gemini, interactions,
        cohere, openai_responses, openai_chat, conversations, *table.shipped(), canonical,
    ),
)  # fmt: skip
TEXT_FORMATS: tuple[TextFormat, ...] = cast(tuple[TextFormat, ...], (vllm, sglang, tgi, llama_cpp))
AnyFormat = Format | TextFormat
_ALL: tuple[AnyFormat, ...] = (*FORMATS, *TEXT_FORMATS)
NAMES = (*(format.NAME for format in _ALL), TABLE)
#: format of a file that none of them recognises
UNKNOWN = "unknown"


def unknown_version(tables: Sequence[TableMapping]) -> str:
    """Parser version of such a file: another one once there are other parsers or mappings."""
    known = [*(format.VERSION for format in _ALL), *(mapping.digest for mapping in tables)]
    return hashlib.sha256(repr(known).encode()).hexdigest()[:16]


def version_of(format: AnyFormat | None, tables: Sequence[TableMapping]) -> str:
    """The parser version of what this format reads; None: of a file that none recognises."""
    return unknown_version(tables) if format is None else format.VERSION


def by_name(name: str, tables: Sequence[TableMapping] = ()) -> AnyFormat | None:
    """`tables`: the user's own mappings, which go before ours."""
    own = next((mapping for mapping in tables if mapping.name == name), None)
    if own is not None:
        return Mapped(own)
    return next((format for format in _ALL if name == format.NAME), None)


def table_of(header: Sequence[str], tables: Sequence[TableMapping]) -> Mapped | None:
    """Whose columns these are, of the user's own mappings."""
    return next((own for own in map(Mapped, tables) if own.fits(header)), None)


def recognise(value: Json) -> Format | None:
    """The first format that takes the value; of a list, any of its first items decides.

    `value` may be a list of the values of several lines, each of which may be a list again.
    """
    items: list[Json] = []
    for item in value[:50] if isinstance(value, list) else [value]:
        items.extend(item[:20] if isinstance(item, list) else [item])
    for format in FORMATS:
        if any(format.matches(item) for item in items):
            return format
    return None


def recognise_text(lines: Sequence[str]) -> TextFormat | None:
    return next((format for format in TEXT_FORMATS if format.matches_lines(lines)), None)
