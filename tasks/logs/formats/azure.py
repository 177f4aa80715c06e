"""Azure: logs of API Management's AI gateway, and request logs of Azure OpenAI.

GatewayLlmLogs has several rows a call, joined on CorrelationId: counts on one, messages in pieces
of 32 KB over others, by SequenceNumber. The row of GatewayLogs with the same id tells status and
time; with bodies it is a call of its own. RequestResponse has no texts and no tokens. The same
rows come as columns of Log Analytics (tables of their own, or AzureDiagnostics with names like
modelName_s), and as {"records": […]} with `properties` from storage and event hubs. Source: the
Azure Monitor reference of these tables, and Azure's guides to their categories.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from tasks.logs.formats import azure_rows as rows
from tasks.logs.formats.azure_call import Correlated, request_of
from tasks.logs.shapes import coerce
from tasks.logs.shapes.dead import dead
from tasks.logs.shapes.records import Json, Other, Place, Record, UnreadableError

NAME = "azure"
VERSION = "azure@1"

#: calls whose rows may still come
_MAX_OPEN = 1_000

P = TypeVar("P")


def matches(value: Json) -> bool:
    if not isinstance(value, dict):
        return False
    return any(rows.category_of(row) is not None for row in rows.rows_of(value))


def records(value: Json) -> Iterator[Record]:
    """Of one value alone; the rows of a call stand in several (see reader)."""
    alone: Reader[None] = Reader()
    for record, _ in (*alone.feed(value, None), *alone.end()):
        yield record


def reader() -> Reader[Place]:
    return Reader()


class Reader(Generic[P]):
    """Rows of one file. A call is handed on at the end, or once 1,000 others began after it."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[Correlated, P]] = {}

    def feed(self, value: Json, place: P) -> Iterator[tuple[Record, P]]:
        value = coerce.an_object(value)
        found = [(rows.category_of(row), row) for row in rows.rows_of(value)]
        if all(category is None for category, _ in found):
            raise UnreadableError("a log of Azure that is neither of its AI gateway nor of a model")
        for category, row in found:
            try:
                if category in (rows.LLM, rows.GATEWAY):
                    yield from self._joined(category, row, place)
                else:
                    yield request_of(row) if category == rows.REQUEST else Other(), place
            except UnreadableError as error:
                yield dead(row, error), place

    def _joined(self, category: str, row: dict[str, Json], place: P) -> Iterator[tuple[Record, P]]:
        name = coerce.text("CorrelationId", row.get("correlationid"))
        if name is None:
            raise UnreadableError("no CorrelationId in it: its call is not known")
        call, _ = self._open.setdefault(name, (Correlated(name), place))
        call.add(category, row)
        if len(self._open) > _MAX_OPEN:
            oldest, start = self._open.pop(next(iter(self._open)))
            yield oldest.record(), start

    def end(self) -> Iterator[tuple[Record, P]]:
        for call, began in self._open.values():
            yield call.record(), began
        self._open.clear()

    @property
    def oldest(self) -> P | None:
        """Where the first of the open ones began."""
        return next((began for _, began in self._open.values()), None)
