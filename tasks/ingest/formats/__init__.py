"""One module a log format. Each is pure and has the same four names:

NAME, VERSION, `matches(value) -> bool` (is this JSON value one of ours?) and
`records(value) -> Iterator[Record]`, which raises UnreadableError where the
whole value is no record.
To add a format: write the module, put it in FORMATS before any that would also match.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, cast

from tasks.ingest.formats import (
    anthropic,
    bedrock,
    canonical,
    data_flywheel,
    envoy,
    kong,
    langfuse,
    litellm,
    mlflow_traces,
    openai_batch,
    openai_chat,
    openai_responses,
    openinference,
    otlp,
    tensorzero,
)
from tasks.ingest.records import Json, Record


class Format(Protocol):
    @property
    def NAME(self) -> str: ...  # noqa: N802 - a module constant
    @property
    def VERSION(self) -> str: ...  # noqa: N802

    def matches(self, value: Json) -> bool: ...
    def records(self, value: Json) -> Iterator[Record]: ...


#: in the order they are asked; ours comes last, because it takes records with extra keys
FORMATS: tuple[Format, ...] = cast(
    tuple[Format, ...],
    (
        openinference, mlflow_traces, otlp, langfuse, litellm, bedrock, envoy, kong, tensorzero,
        openai_batch, data_flywheel, anthropic, openai_responses, openai_chat, canonical,
    ),
)  # fmt: skip
NAMES = tuple(each.NAME for each in FORMATS)
#: format and parser version of a file that none of them recognises
UNKNOWN = "unknown"
UNKNOWN_VERSION = ",".join(each.VERSION for each in FORMATS)


def by_name(name: str) -> Format | None:
    return next((each for each in FORMATS if name == each.NAME), None)


def recognise(value: Json) -> Format | None:
    """The first format that takes the value; of a list, any of its first items decides.

    `value` may be a list of the values of several lines, each of which may be a list again.
    """
    items: list[Json] = []
    for item in value[:50] if isinstance(value, list) else [value]:
        items.extend(item[:20] if isinstance(item, list) else [item])
    for each in FORMATS:
        if any(each.matches(item) for item in items):
            return each
    return None
