"""Messages, through Anthropic's own client, with its retries off."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, cast

from anthropic import AsyncAnthropic

from tasks.backends.base import Ask, Usage
from tasks.backends.hosted.plain import Answered, Block, plain
from tasks.backends.hosted.providers import Piece
from tasks.backends.hosted.transport import http_client
from tasks.backends.hosted.trouble import withheld
from tasks.settings import RequestSettings

#: as the others call it; what is not here stays as it is
_REASONS = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length",
            "tool_use": "tool_calls"}  # fmt: skip


class AnthropicProvider:
    def __init__(self, base_url: str, key: str, model: str, requests: RequestSettings) -> None:
        self._model = model
        self._client = AsyncAnthropic(
            # without one it would look for others in the environment and the home folder
            api_key=key or "none",
            base_url=base_url,
            max_retries=0,
            timeout=requests.timeout_s,
            http_client=http_client(requests),
        )

    async def stream(self, ask: Ask, parameters: Mapping[str, Any]) -> AsyncIterator[Piece]:
        asked = plain(ask.messages)
        body = dict(parameters) | ({"system": asked.system} if asked.system else {})
        read = cached = num_blocks = 0
        async with await self._client.messages.create(
            model=self._model,
            max_tokens=parameters.get("max_tokens", 1),
            messages=[
                {"role": cast(Any, role), "content": _content(blocks)}
                for role, blocks in asked.turns
            ],
            stream=True,
            extra_body=body,
        ) as events:
            async for event in events:
                if event.type == "message_start":
                    usage = event.message.usage
                    cached = usage.cache_read_input_tokens or 0
                    read = usage.input_tokens + cached
                    read += usage.cache_creation_input_tokens or 0
                    yield Piece(served_by=event.message.model)
                elif event.type == "content_block_start":
                    num_blocks += 1
                    if event.content_block.type == "tool_use":
                        yield Piece(calls=((event.index, event.content_block.name, ""),))
                elif event.type == "content_block_delta" and event.delta.type == "text_delta":
                    yield Piece(text=event.delta.text)
                elif event.type == "content_block_delta" and event.delta.type == "input_json_delta":
                    yield Piece(calls=((event.index, "", event.delta.partial_json),))
                elif event.type == "message_delta" and event.delta.stop_reason:
                    reason = event.delta.stop_reason
                    if reason == "refusal":
                        raise withheld("the API withheld the answer (refusal)")
                    if not num_blocks:
                        raise withheld("the answer holds no choice")
                    yield Piece(
                        finish_reason=_REASONS.get(reason, reason),
                        usage=Usage(read, event.usage.output_tokens),
                        cached_tokens=cached,
                    )

    async def close(self) -> None:
        await self._client.close()


def _content(blocks: Sequence[Block]) -> Any:
    """One text as a text, more as blocks."""
    if len(blocks) == 1 and isinstance(blocks[0], str):
        return blocks[0]
    return [_block(block) for block in blocks if block]


def _block(block: Block) -> dict[str, Any]:
    if isinstance(block, str):
        return {"type": "text", "text": block}
    if isinstance(block, Answered):
        return {"type": "tool_result", "tool_use_id": block.call_id, "content": block.text}
    return {
        "type": "tool_use", "id": block.call_id, "name": block.name,
        "input": dict(block.arguments),
    }  # fmt: skip
