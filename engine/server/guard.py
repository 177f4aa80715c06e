"""Who may ask at all, before a body is read: the door in front of every route.

A server on loopback is within reach of every web page that the machine's browser shows. Such a page
can send a form or a text without asking first, and can point a name of its own at 127.0.0.1. So a
body must be declared as JSON (which a browser asks leave for), the Host must be one this server was
told of, and an Origin must be its own or an allowed one. A key, if one is set, is compared in
constant time. Sources: Fetch standard (CORS-safelisted requests), RFC 9112 section 6.3.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.server.protocol import ApiError

__all__ = ["Access", "Guard"]

LOOPBACK = ("localhost", "127.0.0.1", "::1")
WITHOUT_KEY = ("/health",)


@dataclass(frozen=True, slots=True)
class Access:
    """hosts  names under which the server may be addressed, beside those of loopback
    any_address  it listens on all addresses: then every Host that is an address and no name is its
    own (a name can be pointed here by a stranger, an address cannot)
    """

    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    api_key: str = ""
    any_address: bool = False

    @classmethod
    def of(cls, bound: str, hosts: Iterable[str], origins: Iterable[str], api_key: str) -> Access:
        known = frozenset(host.lower() for host in (*LOOPBACK, bound, *hosts))
        return cls(known, frozenset(origins), api_key, bound in ("0.0.0.0", "::", ""))  # noqa: S104

    def knows_host(self, host: str) -> bool:
        if host in self.hosts:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return self.any_address or address.is_loopback


class Guard:
    """ASGI middleware. Refuses with the API's own error objects, and closes the connection."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app = app
        self.access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            refusal = self._refusal(scope["method"], scope["path"], Headers(scope=scope))
            if refusal is not None:
                # the body stays unread, so nothing behind it can be taken for another request
                headers = {**(refusal.headers or {}), "Connection": "close"}
                await JSONResponse(refusal.body, refusal.status, headers)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _refusal(self, method: str, path: str, headers: Headers) -> ApiError | None:
        if "content-length" in headers and "transfer-encoding" in headers:
            return ApiError(
                "Content-Length and Transfer-Encoding in one request: only one can be true."
            )
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self.access.knows_host(_name(hosts[0])):
            return ApiError(
                f"This server does not answer to Host {', '.join(hosts)[:80]!r}. Use the address "
                "it printed, or start it with --allow-host NAME.",
                403,
                code="host_not_allowed",
            )
        for origin in headers.getlist("origin"):
            if urlsplit(origin).netloc != hosts[0] and origin not in self.access.origins:
                return ApiError(
                    f"Web pages of {origin[:80]!r} may not use this server. It takes them when it "
                    "is started with --allow-origin ORIGIN.",
                    403,
                    code="origin_not_allowed",
                )
        if self.access.api_key and path not in WITHOUT_KEY and not self._has_key(headers):
            return ApiError(
                "The API key is missing or wrong: send it as 'Authorization: Bearer KEY'.",
                401,
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if method == "POST" and media_type != "application/json":
            return ApiError(
                f"Content-Type is {media_type[:80]!r}, but it must be application/json.", 415
            )
        return None

    def _has_key(self, headers: Headers) -> bool:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        sent = key.strip().encode("latin-1")  # the bytes, as which headers are decoded
        is_equal = hmac.compare_digest(sent, self.access.api_key.encode())
        return is_equal and scheme.lower() == "bearer"


def _name(host: str) -> str:
    """Of a Host header, without port and brackets."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""
