"""Asking an API: so many requests at a time, again where it may help, and no more once it cannot.

One policy for every API. A request is one loop of attempts, each counted before it is sent; the
waits are the endpoint's Retry-After, which holds for all requests under way, or else exponential
with full jitter (Brooker, "Exponential backoff and jitter", AWS 2015). The client libraries bring
retries of their own, which neither count nor know of cut streams: they are off.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from tasks.backends.base import (
    Ask,
    BackendFacts,
    BudgetSpentError,
    Meter,
    OnReply,
    Pace,
    Reply,
    Usage,
)
from tasks.backends.calls import kept_text
from tasks.backends.hosted.providers import Provider
from tasks.backends.hosted.trouble import Trouble, broken, of_error
from tasks.backends.hosted.wire import Wire
from tasks.errors import UsageError
from tasks.model.canonical import canonical_json, well_formed
from tasks.model.failure import Failure
from tasks.model.tool_calls import with_calls
from tasks.settings import RequestSettings

_FIRST_WAIT_S = 0.5
_IN_A_CHUNK = 16  # rounds of all requests under way: so long is little waited for the last one
#: asks in a row that came to nothing, after which no more are tried
_OUTAGE = 10
#: refused requests, none answered before, after which the settings are to blame
_ALL_REFUSED = 3
_MAX_TEXT_CHARS = 2**22
_MAX_NAME_CHARS = 200
#: a shorter one may be a word of an answer
_MIN_KEY_CHARS = 8
#: what a chat template may add to a message
_TOKENS_A_MESSAGE = 16


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What is asked, and what it is called to people."""

    release: str
    wire: Wire
    base_url: str
    model: str
    api_key_env: str
    body: dict[str, Any]
    omit: tuple[str, ...]


class HostedBackend:
    """One endpoint. Raises UsageError where it takes no request at all: a key, a model or an
    address that is wrong; by then every answer under way has come in."""

    def __init__(
        self, endpoint: Endpoint, provider: Provider, key: str, requests: RequestSettings
    ) -> None:
        self._endpoint = endpoint
        self._provider = provider
        self._key = key
        self._requests = requests
        self._runner = asyncio.Runner()
        self._chance = random.Random()  # noqa: S311 - of waits
        self._not_before = 0.0
        self._settled = asyncio.Event()
        self._given_up: Failure | None = None
        self._wrong: UsageError | None = None
        self._num_answered = self._num_in_vain = self._num_refused = 0
        self._run_s = 0.0

    def answer(self, asks: Sequence[Ask], on_reply: OnReply, meter: Meter) -> None:
        started = time.monotonic()
        try:
            self._runner.run(self._answer_all(asks, on_reply, meter))
        except BaseException:
            self._leave()
            raise
        finally:
            self._run_s += time.monotonic() - started

    def pace(self, chunk_size: int, *, is_looked_at: bool) -> Pace:
        # the journal has each reply at once; the store, in between, would hold up those on the way
        size = max(chunk_size, _IN_A_CHUNK * self._requests.max_concurrency)
        return Pace(size, size)

    def facts(self) -> BackendFacts:
        return BackendFacts(self._endpoint.base_url, "", 0.0, self._run_s)

    def close(self) -> None:
        try:
            self._runner.run(self._provider.close())
        finally:
            self._runner.close()

    def _leave(self) -> None:
        """A signal's exception leaves tasks behind that would go on with the loop's next work."""
        loop = self._runner.get_loop()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))

    async def _answer_all(self, asks: Sequence[Ask], on_reply: OnReply, meter: Meter) -> None:
        places = iter(range(len(asks)))

        async def work() -> None:
            for place in places:
                on_reply(place, await self._answer_one(place, asks[place], meter))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._requests.max_concurrency, len(asks))):
                    group.create_task(work())
        except BaseExceptionGroup as several:  # of what is to be told, one is enough
            raise several.exceptions[0] from None
        if self._wrong is not None:
            raise self._wrong

    async def _answer_one(self, place: int, ask: Ask, meter: Meter) -> Reply:
        end = self._endpoint
        trouble = Trouble("unreachable", "")
        for num_tries in range(1, self._requests.max_retries + 2):
            attempt = await self._allowed(place, ask, meter)
            if isinstance(attempt, Failure):
                return _lost(attempt)
            try:
                parameters = end.wire.parameters(ask, end.base_url, end.body, end.omit)
                reply, usage = await self._ask(ask, parameters)
            except Exception as error:
                trouble = self._without_key(of_error(error, datetime.now(UTC)))
            except BaseException:  # interrupted: nobody knows what becomes of it
                meter.failed(attempt, may_be_billed=True)
                raise
            else:
                self._num_answered += 1
                self._num_in_vain = 0
                self._settle(meter.arrived, attempt, place, reply, usage)
                return reply
            if not trouble.is_transient:
                self._num_in_vain = 0
                reply = _lost(_failure(trouble))
                used = None if trouble.may_be_billed else Usage(0, 0)
                self._settle(meter.arrived, attempt, place, reply, used)
                return reply
            meter.failed(attempt, may_be_billed=trouble.may_be_billed)
            self._settled.set()
            self._look(trouble)
            if trouble.course != "retry" or num_tries > self._requests.max_retries:
                break
            if not await self._wait(trouble, num_tries):
                break
        return self._in_vain(trouble)

    def _settle(self, tell: Any, *arguments: Any) -> None:
        tell(*arguments)
        self._settled.set()

    async def _allowed(self, place: int, ask: Ask, meter: Meter) -> int | Failure:
        """The number of an attempt that may go out now, or why none may."""
        worst = _worst(ask)
        while True:
            if (pause := self._not_before - time.monotonic()) > 0:
                await asyncio.sleep(pause)
                continue
            if self._given_up is not None:
                return self._given_up
            self._settled.clear()
            try:
                attempt = meter.begin(place, worst)
            except BudgetSpentError as spent:
                self._given_up = Failure("budget", str(spent), "harness", True)
                return self._given_up
            if attempt is not None:
                return attempt
            await self._settled.wait()

    async def _ask(self, ask: Ask, parameters: dict[str, Any]) -> tuple[Reply, Usage | None]:
        started = time.monotonic()
        texts: list[str] = []
        calls: dict[int, list[str]] = {}
        num_chars = 0
        ttft = finish = usage = cached = served_by = None
        async with asyncio.timeout(self._requests.timeout_s):
            async for piece in self._provider.stream(ask, parameters):
                if piece.text or piece.calls:
                    ttft = ttft or time.monotonic() - started
                    texts.append(piece.text)
                    for place, name, arguments in piece.calls:
                        call = calls.setdefault(place, ["", ""])
                        call[0] += name
                        call[1] += arguments
                    num_chars += len(piece.text) + sum(len(said) for *_, said in piece.calls)
                    if num_chars > _MAX_TEXT_CHARS:
                        raise broken("an answer without an end came")
                finish = piece.finish_reason or finish
                usage = piece.usage or usage
                cached = piece.cached_tokens if piece.cached_tokens is not None else cached
                served_by = piece.served_by or served_by
        if finish is None:
            raise broken("the stream ended before the answer did")
        latency = time.monotonic() - started
        reply = Reply(
            text=self._clean(
                with_calls(kept_text(ask, "".join(texts)), [(n, a) for n, a in calls.values()])
            ),
            finish_reason=self._clean(str(finish))[:_MAX_NAME_CHARS],
            input_tokens=usage and usage.input_tokens,
            cached_tokens=cached,
            output_tokens=usage and usage.output_tokens,
            ttft_s=ttft,
            latency_s=latency,
            served_by=served_by and self._clean(served_by)[:_MAX_NAME_CHARS],
        )
        return reply, usage

    async def _wait(self, trouble: Trouble, num_tries: int) -> bool:
        """Wait before another try; False where the endpoint asks for longer than is waited."""
        longest = self._requests.max_wait_s
        if trouble.retry_after_s is None:
            await asyncio.sleep(
                self._chance.uniform(0, min(longest, _FIRST_WAIT_S * 2 ** min(num_tries, 20)))
            )
            return True
        if trouble.retry_after_s > longest:
            return False
        self._not_before = max(self._not_before, time.monotonic() + trouble.retry_after_s)
        await asyncio.sleep(trouble.retry_after_s + self._chance.uniform(0, _FIRST_WAIT_S))
        return True

    def _look(self, trouble: Trouble) -> None:
        """Whether this trouble is that of every request."""
        end = self._endpoint
        if trouble.course == "refused":
            self._num_refused += 1
        all_refused = not self._num_answered and self._num_refused >= _ALL_REFUSED
        if self._wrong is not None or not (trouble.course == "stop" or all_refused):
            return
        key = f"the key in {end.api_key_env}" if end.api_key_env else "api_key_env (none is named)"
        release = f"releases.{end.release}"
        what_next = {
            "key": f"correct {key}",
            "forbidden": f"correct {key}, or what it may use",
            "no_money": f"pay, or name another key than {key}",
            "not_there": f"correct {release}.model or {release}.base_url",
        }.get(trouble.kind, f"correct {release}.sampling, .body or .omit")
        self._wrong = UsageError(
            f"the API of release {end.release!r} takes no request: {trouble.message}",
            received=f"{end.model} at {end.base_url}",
            next=f"{what_next}; what was answered is kept",
        )
        self._given_up = Failure(trouble.kind, trouble.message, "harness", True)

    def _in_vain(self, trouble: Trouble) -> Reply:
        self._num_in_vain += 1
        if self._given_up is None and self._num_in_vain >= _OUTAGE and trouble.course == "retry":
            text = f"not asked: the API failed {_OUTAGE} times in a row, last: {trouble.message}"
            self._given_up = Failure("outage", text, "harness", True)
        return _lost(_failure(trouble))

    def _clean(self, text: str) -> str:
        text = well_formed(text)
        return text.replace(self._key, "[api key]") if len(self._key) >= _MIN_KEY_CHARS else text

    def _without_key(self, trouble: Trouble) -> Trouble:
        return replace(trouble, message=self._clean(trouble.message))


def _worst(ask: Ask) -> Usage:
    """What a request can come to at most: no tokenizer makes more tokens than there are bytes."""
    texts = [str(message.get("content") or "") for message in ask.messages]
    told = [message["tool_calls"] for message in ask.messages if message.get("tool_calls")]
    texts += map(canonical_json, [*told, *ask.tools])
    sizes = (len(text.encode("utf-8", "replace")) + _TOKENS_A_MESSAGE for text in texts)
    return Usage(sum(sizes) + _TOKENS_A_MESSAGE, ask.sampling.max_tokens)


def _failure(trouble: Trouble) -> Failure:
    return Failure(trouble.kind, trouble.message, trouble.fault, trouble.is_transient)


def _lost(failure: Failure) -> Reply:
    return Reply(None, "error", None, None, None, failure)
