"""Exchanges with a model API as logs keep them: pairs, answers alone, recorded HTTP cassettes.

A pair is {"request": body, "response": body, …}, each body bare or under "body". An answer may
stand alone (stored completions carry their "messages"). A cassette is VCR's {"interactions": […]}.
A line that speaks another API than the format's own is read as that one. Bodies may be JSON text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tasks.logs.formats import exchange as exchanges
from tasks.logs.formats.apis import (
    ANTHROPIC,
    APIS,
    CHAT,
    CONVERSE,
    EMBEDDINGS,
    GEMINI,
    RESPONSES,
    TEXT_MODEL,
    api_of,
)  # fmt: skip
from tasks.logs.formats.exchange import Api, Exchange
from tasks.logs.formats.exchange_call import call_of
from tasks.logs.formats.stream_pieces import piece_of
from tasks.logs.formats.streaming import Joining
from tasks.logs.shapes import coerce
from tasks.logs.shapes.dead import dead, or_dead
from tasks.logs.shapes.feedback import feedback_alone, is_feedback_record, read_feedback
from tasks.logs.shapes.records import Dead, Json, Other, Record, UnreadableError


@dataclass(frozen=True, slots=True)
class Pairs:
    """A format of exchanges that speak one of `apis`, the first of them where nothing tells.

    `addressed`: APIs whose bodies alone may be anybody's.
    """

    NAME: str
    VERSION: str
    apis: tuple[Api, ...]
    addressed: tuple[Api, ...] = ()

    def matches(self, value: Json) -> bool:
        """One of our APIs rather than another."""
        if not isinstance(value, dict):
            return False
        if isinstance(value.get("interactions"), list):
            recorded = filter(_is_exchange, value["interactions"])
            return any(self._speaks(exchanges.pair_of(item)) for item in recorded)
        if any(api.is_answer(value) for api in self.apis):
            return True
        piece = piece_of(value)
        if piece is not None and piece.is_sign and piece.api in self.apis:
            return True
        if not exchanges.is_pair(value):
            return False
        return api_of(exchanges.pair_of(value)) in (*self.apis, *self.addressed)

    def hosts(self, value: Json) -> bool:
        """A piece of a stream, which need not say of which API."""
        return piece_of(value) is not None

    def _speaks(self, exchange: Exchange) -> bool:
        path = exchanges.path_of(exchange.uri) or ""
        ends = [f"{end}/" for api in self.apis for end in api.paths]
        if exchanges.runs_no_model(path):
            return any(end in path for end in ends)
        return api_of(exchange) in (*self.apis, *self.addressed)

    def reader(self) -> Joining:
        """Of a file in which streams may stand a chunk a line."""
        return Joining(self.records)

    def records(self, value: Json) -> Iterator[Record]:
        """Each exchange by the API it speaks."""
        value = coerce.an_object(value)
        if isinstance(value.get("interactions"), list):
            yield from map(_of_cassette, value["interactions"])
        elif is_feedback_record(value):
            yield feedback_alone(value)
        elif exchanges.is_pair(value):
            yield from self._call(exchanges.pair_of(value), value.get("feedback"))
        elif any(api.is_answer(value) for api in APIS):
            request = {key: value[key] for key in ("messages", "metadata") if value.get(key)}
            yield from self._call(Exchange(request, value), value.get("feedback"))
        else:
            raise UnreadableError("neither a request with its response nor a completion")

    def _call(self, exchange: Exchange, said: Json) -> list[Record]:
        feedback = () if said is None else or_dead(said, read_feedback, said)
        found: list[Record] = []
        if _is_at_work(exchange):
            found.append(Other())
        else:
            known = () if isinstance(feedback, Dead) else feedback
            found.append(call_of(exchange, api_of(exchange) or self.apis[0], known))
        if isinstance(feedback, Dead):
            found.append(feedback)
        return found


def _is_exchange(item: Json) -> bool:
    return isinstance(item, dict) and isinstance(item.get("request"), dict)


def _of_cassette(item: Json) -> Record:
    if not isinstance(item, dict):
        return dead(item, "an exchange of the cassette that is no object")
    exchange = exchanges.pair_of(item if _is_exchange(item) else {})
    api = api_of(exchange)
    if api is None or exchanges.runs_no_model(exchange.uri) or _is_at_work(exchange):
        return Other()
    host = exchanges.host_of(exchange.uri)
    around = {"provider": exchanges.provider_of(host, api.provider), "server.address": host,
              **_of_headers(item)}  # fmt: skip
    return or_dead(item, call_of, replace(exchange, around=around), api)


def _of_headers(item: dict[str, Json]) -> dict[str, Json]:
    """What Bedrock tells beside a body that has no counts."""
    headers = coerce.mapping(coerce.first(item.get("response"), "headers"))
    said = {
        name.lower().removeprefix("x-amzn-bedrock-"): value[0] if isinstance(value, list) else value
        for name, value in headers.items()
        if name.lower().startswith("x-amzn-bedrock-") and value
    }
    if not said:
        return {}
    counts = {"input_tokens": said.get("input-token-count"),
              "output_tokens": said.get("output-token-count")}  # fmt: skip
    return {"usage": counts, "latency_ms": said.get("invocation-latency")}


def _is_at_work(exchange: Exchange) -> bool:
    """A response in the background is an answer only once it is done."""
    value = exchange.response
    status = coerce.first(value, "status")
    return status in ("queued", "in_progress") and value.get("object") == "response"


#: OpenAI chat completions and their like
openai_chat = Pairs("openai_chat", "openai_chat@5", (CHAT, EMBEDDINGS))
openai_responses = Pairs("openai_responses", "openai_responses@6", (RESPONSES,))
#: the Messages API
anthropic = Pairs("anthropic", "anthropic@5", (ANTHROPIC,))
#: the Gemini API and Vertex AI
gemini = Pairs("gemini", "gemini@4", (GEMINI,))
#: Bedrock's Converse API; part of the format of its invocation logs
converse = Pairs("bedrock", "bedrock@6", (CONVERSE,), (TEXT_MODEL,))
