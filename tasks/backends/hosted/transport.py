"""The HTTP client under the clients of OpenAI and Anthropic: no redirects, which would take the key
along, and no status 200 that is not the stream that was asked for.
"""

from __future__ import annotations

import json
from typing import Any

import httpx2

from tasks.backends.hosted.trouble import TroubleError, broken, not_a_stream
from tasks.settings import RequestSettings

_MAX_BODY_BYTES = 16 * 2**20


class WholeAnswerError(TroubleError):
    """The server does not stream: the answer came as one JSON body, which not everyone reads."""

    def __init__(self, value: dict[str, Any]) -> None:
        self.value = value
        super().__init__(broken("the answer came whole where a stream was asked for").trouble)


def http_client(requests: RequestSettings) -> httpx2.AsyncClient:
    """Raises out of a request what `_stream_only` finds."""
    return httpx2.AsyncClient(
        follow_redirects=False,
        timeout=requests.timeout_s,
        limits=httpx2.Limits(
            max_connections=requests.max_concurrency,
            max_keepalive_connections=requests.max_concurrency,
        ),
        event_hooks={"response": [_stream_only]},
    )


async def _stream_only(response: httpx2.Response) -> None:
    content_type = response.headers.get("content-type", "").lower()
    if response.status_code != 200 or "text/event-stream" in content_type:
        return
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > _MAX_BODY_BYTES:
            raise broken("an answer without an end came")
    try:
        value = json.loads(bytes(body))
    except (ValueError, RecursionError):
        value = None
    if (
        isinstance(value, dict)
        and not value.get("error")
        and ({"choices", "output", "content"} & value.keys())
    ):
        raise WholeAnswerError(value)
    raise not_a_stream(content_type, bytes(body))
