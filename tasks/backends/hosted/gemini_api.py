"""generateContent, through Google's own client, with one attempt a request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from google import genai
from google.genai import types

from tasks.backends.base import Ask, Usage
from tasks.backends.hosted.plain import Answered, Block, plain, untranslated
from tasks.backends.hosted.providers import Piece
from tasks.backends.hosted.transport import http_client
from tasks.backends.hosted.trouble import Trouble, TroubleError, withheld
from tasks.model.canonical import canonical_json
from tasks.model.visible import one_line
from tasks.settings import RequestSettings

#: as the others call it; every other reason is that of an answer withheld
_REASONS = {"STOP": "stop", "MAX_TOKENS": "length"}
_ROLES = {"user": "user", "assistant": "model"}


class GeminiProvider:
    def __init__(self, base_url: str, key: str, model: str, requests: RequestSettings) -> None:
        self._model = model
        self._http = http_client(requests)
        self._client = genai.Client(
            vertexai=False,
            # without one it would take that of GOOGLE_API_KEY
            api_key=key or "none",
            http_options=types.HttpOptions(
                base_url=base_url,
                timeout=int(requests.timeout_s * 1000),
                retry_options=types.HttpRetryOptions(attempts=1),
                httpx_async_client=self._http,
            ),
        )

    async def stream(self, ask: Ask, parameters: Mapping[str, Any]) -> AsyncIterator[Piece]:
        if ask.continues:
            raise untranslated("a message to go on with")
        asked = plain(ask.messages)
        names = {
            known: name
            for name, field in types.GenerateContentConfig.model_fields.items()
            for known in (name, field.alias)
        }
        config: dict[str, Any] = {names[k]: v for k, v in parameters.items() if k in names}
        if asked.system:
            config["system_instruction"] = asked.system
        if more := {k: v for k, v in parameters.items() if k not in names}:
            config["http_options"] = types.HttpOptions(extra_body=more)
        contents = [
            types.Content(role=_ROLES[role], parts=[_part(block) for block in blocks])
            for role, blocks in asked.turns
        ]
        try:
            understood = types.GenerateContentConfig(**config)
        except ValueError as error:
            text = f"the client library does not take the parameters: {one_line(str(error))[:200]}"
            raise TroubleError(Trouble("parameters", text, "refused")) from None
        num_candidates = num_calls = 0
        async for chunk in await self._client.aio.models.generate_content_stream(
            model=self._model,
            contents=list(contents),
            config=understood,
        ):
            feedback = chunk.prompt_feedback
            if feedback is not None and feedback.block_reason is not None:
                raise withheld(f"the API refuses the prompt ({feedback.block_reason.name})")
            for candidate in chunk.candidates or ():
                num_candidates += 1
                piece = _of_candidate(candidate, num_calls)
                num_calls += len(piece.calls)
                yield piece
            yield _facts(chunk)
        if not num_candidates:
            raise withheld("the answer holds no choice")

    async def close(self) -> None:
        await self._http.aclose()


def _part(block: Block) -> types.Part:
    if isinstance(block, str):
        return types.Part(text=block)
    if isinstance(block, Answered):
        told = types.FunctionResponse(name=block.name, response={"result": block.text})
        return types.Part(function_response=told)
    called = types.FunctionCall(name=block.name, args=dict(block.arguments))
    return types.Part(function_call=called)


def _of_candidate(candidate: types.Candidate, num_calls: int) -> Piece:
    """`num_calls`: of tools that came before; each comes whole."""
    content = candidate.content
    parts = (content.parts if content else None) or ()
    text = "".join(part.text or "" for part in parts if not part.thought)
    called = [part.function_call for part in parts if part.function_call is not None]
    calls = tuple(
        (number, call.name or "", canonical_json(call.args or {}))
        for number, call in enumerate(called, num_calls)
    )
    reason = candidate.finish_reason
    if reason is not None and reason.name not in _REASONS:
        raise withheld(f"the API withheld the answer ({reason.name})")
    return Piece(text=text, calls=calls, finish_reason=reason and _REASONS[reason.name])


def _facts(chunk: types.GenerateContentResponse) -> Piece:
    told = chunk.usage_metadata
    if told is None or told.prompt_token_count is None:
        return Piece(served_by=chunk.model_version)
    written = (told.candidates_token_count or 0) + (told.thoughts_token_count or 0)
    return Piece(
        usage=Usage(told.prompt_token_count, written),
        cached_tokens=told.cached_content_token_count,
        served_by=chunk.model_version,
    )
