"""The routes: bodies in, answers out, whole or as server-sent events.

Owns the way of one HTTP request: size, refusal, queue, answer, disconnect. Field names are
protocol.py's, answer objects answers.py's, the engine's thread is loop.py's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from engine.requests.intake import Intake
from engine.scheduling.core import EngineCore
from engine.server.answers import Answer, Choice, make_choices
from engine.server.loop import EngineThread, Exchange, Update
from engine.server.metrics import Metrics
from engine.server.options import Limits
from engine.server.protocol import ApiError, Ask, read_chat, read_completions
from engine.server.text import TokenTexts

__all__ = ["make_app"]

logger = logging.getLogger(__name__)
T = TypeVar("T")
RETRY_AFTER_S = 1
SMALL_BODY_BYTES = 64 * 1024
OUR_BUG = ApiError("The server failed; its log says why.", 500)


class _DisconnectedError(Exception):
    """The client has gone; there is nobody to answer."""


def make_app(core: EngineCore, name: str, limits: Limits) -> FastAPI:
    """The app for one model under one name. The engine thread lives as long as the app."""
    server = _Server(core, name, limits)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        server.engine.start()
        yield
        await server.engine.stop()

    # no pages of its own: the usual ones load scripts from elsewhere
    app = FastAPI(lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    app.add_exception_handler(ApiError, _tell_error)
    app.add_exception_handler(HTTPException, _tell_http_error)
    app.add_exception_handler(Exception, _tell_our_bug)

    @app.post("/v1/completions")
    async def completions(request: Request) -> Response:
        return await server.answer(request, "completions", read_completions)

    @app.post("/v1/chat/completions")
    async def chat_completions(request: Request) -> Response:
        return await server.answer(request, "chat_completions", read_chat)

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [server.model_card]}

    @app.get("/v1/models/{model:path}")
    async def model(model: str) -> dict[str, Any]:
        server.check_model(model)
        return server.model_card

    @app.get("/health")
    async def health() -> JSONResponse:
        is_alive = server.engine.is_alive
        return JSONResponse({"status": "ok" if is_alive else "dead"}, 200 if is_alive else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(server.metrics.text(), media_type="text/plain; version=0.0.4")

    return app


class _Server:
    def __init__(self, core: EngineCore, name: str, limits: Limits) -> None:
        self.name = name
        self.limits = limits
        self.engine = EngineThread(core)
        self.metrics = Metrics(core, lambda: self.engine.num_open)
        self.model_card = {
            "id": name,
            "object": "model",
            "created": int(time.time()),
            "owned_by": "llm-flywheel",
            "max_model_len": core.config.max_position,
        }
        self._intake = Intake(core.codec, core.config.vocab_size, core.config.max_position)
        self._end_ids = core.end_ids
        self._capacity = core.blocks.num_blocks * core.blocks.block_size
        self._tokens = TokenTexts(core.codec)
        self._num_choices = 0
        # Texts are encoded beside the event loop, and what may take long (a large body, a schema
        # to compile) in a line of its own, so that nobody small stands behind it.
        self._encoder, self._slow_encoder = (
            ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
            for name in ("encode", "encode-slow")
        )

    def check_model(self, model: str | None) -> None:
        if model is not None and model != self.name:
            message = f"The model {model!r} does not exist here. There is: {self.name!r}."
            raise ApiError(message, 404, "model", "model_not_found")

    async def answer(self, request: Request, route: str, read: Callable[[bytes], Ask]) -> Response:
        try:
            body = await _body(request, self.limits.max_body_bytes)
            ask = read(body)
            self.check_model(ask.model)
            with contextlib.ExitStack() as leaving:
                leaving.enter_context(self._place(len(ask.prompts) * ask.num_choices))
                is_slow = len(body) > SMALL_BODY_BYTES or ask.is_guided
                choices = await asyncio.get_running_loop().run_in_executor(
                    self._slow_encoder if is_slow else self._encoder,
                    make_choices, ask, self._intake, self._end_ids, self._capacity,
                )  # fmt: skip
                exchange = self.engine.submit([r for choice in choices for r in choice.requests])
                leaving.callback(self.engine.cancel, exchange)
                answer = Answer(ask, choices, self.name, self._intake, self._tokens)
                if ask.stream:
                    return _EventStream(self._events(answer, exchange, route), leaving.pop_all())
                told = await _unless_gone(request, self._whole(answer, exchange))
        except ApiError as error:
            status = "full" if error.status == 429 else "refused"
            self.metrics.count(route, status if error.status < 500 else "failed")
            raise
        except _DisconnectedError:
            self.metrics.count(route, "cancelled")
            return Response(status_code=499)  # nobody reads it
        except Exception:
            self.metrics.count(route, "failed")
            raise
        self.metrics.count(route, "ok")
        return JSONResponse(told)

    @contextlib.contextmanager
    def _place(self, num_choices: int) -> Iterator[None]:
        """Room for so many choices. Raises ApiError if there is none."""
        limit = self.limits.max_requests
        if num_choices > limit:
            raise ApiError(
                f"The request asks for {num_choices} completions at once; at most {limit} are "
                "possible here. Send several requests."
            )
        if self._num_choices + num_choices > limit:
            raise ApiError(
                f"The queue is full: of at most {limit} completions {self._num_choices} are "
                f"running or waiting. Try again in {RETRY_AFTER_S} s.",
                status=429,
                code="queue_full",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        self._num_choices += num_choices
        try:
            yield
        finally:
            self._num_choices -= num_choices

    async def _updates(
        self, answer: Answer, exchange: Exchange
    ) -> AsyncGenerator[tuple[Choice, Update, str]]:
        """Every update with its choice and the text it adds. Left early, in whatever way, it takes
        the requests out of the engine.
        """
        choice_of = {request: c for c in answer.choices for request in c.requests}
        try:
            async for update in exchange:
                self.metrics.take(update, exchange)
                choice = choice_of[update.request]
                yield choice, update, choice.take(update)
        finally:
            self.engine.cancel(exchange)

    async def _whole(self, answer: Answer, exchange: Exchange) -> dict[str, Any]:
        async with contextlib.aclosing(self._updates(answer, exchange)) as updates:
            async for _ in updates:
                pass
        return answer.whole()

    async def _events(self, answer: Answer, exchange: Exchange, route: str) -> AsyncIterator[str]:
        status = "cancelled"
        events: list[str] = []
        try:
            async with contextlib.aclosing(self._updates(answer, exchange)) as updates:
                events = [_event(piece) for piece in answer.first_pieces()]
                async for choice, update, text in updates:
                    pieces = answer.pieces(choice, text, len(update.token_ids))
                    events += [_event(piece) for piece in pieces]
                    if events and exchange.updates.empty():  # all choices of a step go together
                        yield "".join(events)
                        events.clear()
            events = [_event(piece) for piece in answer.last_pieces()]
            status = "ok"
            yield "".join([*events, "data: [DONE]\n\n"])
        except ApiError as error:
            status = "failed"
            yield "".join([*events, _event(error.body)])
        except Exception:  # the status is sent already: told in the stream, as ApiErrors are
            logger.exception("a stream failed")
            status = "failed"
            yield "".join([*events, _event(OUR_BUG.body)])
        finally:
            self.metrics.count(route, status)


class _EventStream(StreamingResponse):
    """Server-sent events. `leaving` is closed in any case, even if the client has gone before the
    first event was made.
    """

    def __init__(self, events: AsyncIterator[str], leaving: contextlib.ExitStack) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._leaving = leaving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._leaving:
            await super().__call__(scope, receive, send)


def _event(piece: dict[str, Any]) -> str:
    return f"data: {json.dumps(piece, ensure_ascii=False, allow_nan=False)}\n\n"


async def _body(request: Request, max_bytes: int) -> bytes:
    """The whole body. Raises ApiError as soon as it is known to be too large."""
    too_large = ApiError(f"The body is larger than the {max_bytes} bytes that are read here.", 413)
    if int(request.headers.get("content-length") or 0) > max_bytes:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise too_large
    return bytes(body)


async def _unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of the work. Raises _DisconnectedError, with the work cancelled, if the client
    goes away before.
    """
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(request.receive())  # after the body only a disconnect comes
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise _DisconnectedError
    finally:
        for task in (working, watching):
            task.cancel()
            with contextlib.suppress(BaseException):
                await task


async def _tell_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    return JSONResponse(error.body, error.status, dict(error.headers or {}))


async def _tell_http_error(request: Request, error: Exception) -> JSONResponse:
    """Unknown paths and methods, in the API's own shape."""
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path}: {error.detail}"
    return await _tell_error(request, ApiError(message, error.status_code, headers=error.headers))


async def _tell_our_bug(request: Request, _: Exception) -> JSONResponse:
    """The log has the details."""
    return await _tell_error(request, OUR_BUG)
