"""The page of `flywheel review --web`: one person, on this machine, by a token.

It works without scripts; the one it has presses the buttons by keys. Whoever lacks the token (which
the first address sets as a cookie) sees nothing, and another site's page can send nothing: the
host must be loopback, and what is said carries the token too.
"""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from markupsafe import Markup

from tasks.report.escaping import page_templates
from tasks.report.wording import message_text
from tasks.review.session import Session, choices

COOKIE = "flywheel_review"
_MAX_BODY = 64 * 1024
_MAX_WHY = 2_000


def make_app(session: Session, token: str, port: int, file: str) -> FastAPI:
    """`file`: where the labels go, as the page tells it."""
    page = _Page(session, token, port, file)
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    # plain functions that wait for nothing: one at a time, in the thread of the event loop
    app.add_api_route("/", page.show, methods=["GET"], response_model=None)
    app.add_api_route("/said", page.said, methods=["POST"], response_model=None)
    return app


class _Page:
    def __init__(self, session: Session, token: str, port: int, file: str) -> None:
        self._session, self._token, self._file = session, token, file
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._problem = ""

    async def show(self, request: Request) -> Response:
        if request.headers.get("host") in self._hosts and self._is(
            request.query_params.get("token", "")
        ):
            entered = RedirectResponse("/", status_code=303)
            entered.set_cookie(COOKIE, self._token, httponly=True, samesite="strict")
            return entered
        return self._page() if self._may(request) else _refused()

    async def said(self, request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _MAX_BODY:
                return PlainTextResponse("too much was sent", status_code=413)
        fields = {k: v[0] for k, v in parse_qs(body.decode("utf-8", "replace")).items()}
        if not (self._may(request) and self._is(fields.get("token", ""))):
            return _refused()
        # a page that was sent twice, or stands open from before, says nothing of another question
        if fields.get("number") == self._number():
            self._take(fields.get("choice", ""), fields.get("why", "")[:_MAX_WHY].strip())
        return RedirectResponse("/", status_code=303)

    def _take(self, chosen: str, why: str) -> None:
        self._problem = ""
        if chosen == "back":
            self._session.back()
        elif self._session.current is None:
            return
        elif chosen == "skip":
            self._session.skip()
        else:
            values = {c.key: c.values for c in choices(self._session.current)}.get(chosen)
            if values is None:
                return
            try:
                self._session.say(values, why)
            except OSError as error:
                self._problem = f"It could not be kept: {error.strerror}. Nothing was said yet."

    def _page(self) -> Response:
        question = self._session.current
        nonce = secrets.token_urlsafe(16)
        text = _TEMPLATES.get_template("review.html.j2").render(
            question=question,
            asked="" if question is None else message_text(question.sample.messages),
            choices=() if question is None else choices(question),
            num_pairs=self._session.num_pairs,
            num_said=self._session.num_said,
            by=self._session.by,
            number=self._number(),
            token=self._token,
            problem=self._problem,
            file=self._file,
            nonce=nonce,
            style=_STYLE,
        )
        policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; "
        policy += "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        headers = {
            "Content-Security-Policy": policy, "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
        }  # fmt: skip
        return HTMLResponse(text, headers=headers)

    def _number(self) -> str:
        return str(self._session.number)

    def _may(self, request: Request) -> bool:
        return request.headers.get("host") in self._hosts and self._is(
            request.cookies.get(COOKIE, "")
        )

    def _is(self, token: str) -> bool:
        return secrets.compare_digest(token.encode(), self._token.encode())


def _refused() -> Response:
    return PlainTextResponse(
        "Open the address that flywheel review printed, with its token.", status_code=403
    )


_TEMPLATES: Any = page_templates("tasks.review")
_STYLE = Markup(page_templates("tasks.report").get_template("style.css.j2").render())  # noqa: S704
