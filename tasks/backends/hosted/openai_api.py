"""Chat, Completions and Responses, through OpenAI's own client, which other servers' users use too.

Its retries are off: ours are the same for every API, and each attempt is counted before it is sent.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, cast

from openai import AsyncOpenAI

from tasks.backends.base import Ask, Usage
from tasks.backends.hosted.plain import text_of, untranslated, with_ids
from tasks.backends.hosted.providers import Piece
from tasks.backends.hosted.transport import WholeAnswerError, http_client
from tasks.backends.hosted.trouble import TroubleError, of_body, withheld
from tasks.model.canonical import canonical_json
from tasks.settings import RequestSettings

_EMPTY = "the answer holds no choice"
_FILTERED = "the API's content filter withheld the answer"


class OpenAIProvider:
    def __init__(
        self, endpoint: str, base_url: str, key: str, model: str, requests: RequestSettings
    ) -> None:
        self._model = model
        self._ask = {
            "chat": self._chat, "completions": self._completions, "responses": self._responses,
        }[endpoint]  # fmt: skip
        self._client = AsyncOpenAI(
            # without one it would take that of OPENAI_API_KEY
            api_key=key or "none",
            base_url=base_url,
            max_retries=0,
            timeout=requests.timeout_s,
            http_client=http_client(requests),
        )

    def stream(self, ask: Ask, parameters: Mapping[str, Any]) -> AsyncIterator[Piece]:
        return self._ask(ask, parameters)

    async def close(self) -> None:
        await self._client.close()

    async def _chat(self, ask: Ask, parameters: Mapping[str, Any]) -> AsyncIterator[Piece]:
        if ask.continues and not parameters.get("continue_final_message"):
            raise untranslated("a message to go on with")
        # as they are: the library would look at every member of a long history against its types
        messages = {"messages": with_ids(ask.messages)}
        async for piece in self._choices(self._client.chat.completions.create(
            model=self._model,
            messages=[],
            stream=True,
            extra_body={**messages, **parameters},
        )):  # fmt: skip
            yield piece

    async def _completions(self, ask: Ask, parameters: Mapping[str, Any]) -> AsyncIterator[Piece]:
        """There are no roles here: the prompt is the contents, an empty line between them."""
        if ask.tools or any(message.get("tool_calls") for message in ask.messages):
            raise untranslated("what is said of tools")
        if ask.answer_format is not None:
            raise untranslated("the form of an answer")
        async for piece in self._choices(self._client.completions.create(
            model=self._model,
            prompt="\n\n".join(map(text_of, ask.messages)),
            stream=True,
            extra_body=dict(parameters),
        )):  # fmt: skip
            yield piece

    async def _choices(self, request: Any) -> AsyncIterator[Piece]:
        num_choices = 0
        try:
            async with await request as chunks:
                async for chunk in chunks:
                    for choice in chunk.choices or ():
                        num_choices += 1
                        yield _of_choice(choice, getattr(choice, "delta", None))
                    yield Piece(**_facts(chunk))
        except WholeAnswerError as answer:
            from openai.types import Completion
            from openai.types.chat import ChatCompletion

            is_chat = any("message" in one for one in answer.value.get("choices") or ())
            whole = (ChatCompletion if is_chat else Completion).construct(**answer.value)
            for one in whole.choices or ():
                num_choices += 1
                yield _of_choice(one, getattr(one, "message", None))
            yield Piece(**_facts(whole))
        if not num_choices:
            raise withheld(_EMPTY)

    async def _responses(self, ask: Ask, parameters: Mapping[str, Any]) -> AsyncIterator[Piece]:
        if ask.continues:
            raise untranslated("a message to go on with")
        async with await self._client.responses.create(
            model=self._model,
            input=cast(Any, _items(ask.messages)),
            store=False,
            stream=True,
            extra_body=dict(parameters),
        ) as events:
            async for event in events:
                if event.type in ("response.output_text.delta", "response.refusal.delta"):
                    yield Piece(text=event.delta)
                elif event.type == "response.output_item.done":
                    if event.item.type == "function_call":
                        said = event.output_index, event.item.name, event.item.arguments
                        yield Piece(calls=(said,))
                elif event.type == "error":
                    raise TroubleError(of_body(event.model_dump(), 200))
                elif event.type in (
                    "response.completed", "response.incomplete", "response.failed",
                ):  # fmt: skip
                    yield _of_response(event.response)


def _items(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Messages as items of a response's input: calls of tools and their answers stand by
    themselves."""
    items: list[dict[str, Any]] = []
    for message in with_ids(messages):
        calls = message.get("tool_calls") or ()
        if message["role"] == "tool":
            items.append({
                "type": "function_call_output", "call_id": message["tool_call_id"],
                "output": text_of(message),
            })  # fmt: skip
        elif message.get("content") or not calls:
            items.append({"role": message["role"], "content": message.get("content")})
        for call in calls:
            arguments = call["function"].get("arguments")
            if not isinstance(arguments, str):
                arguments = canonical_json(arguments or {})
            items.append({
                "type": "function_call", "call_id": call["id"],
                "name": call["function"]["name"], "arguments": arguments,
            })  # fmt: skip
    return items


def _of_choice(choice: Any, told: Any) -> Piece:
    """Of a choice, whole or not; a refusal in words is what the release says."""
    if choice.finish_reason == "content_filter":
        raise withheld(_FILTERED)
    text = choice.text if told is None and hasattr(choice, "text") else None
    calls: list[tuple[int, str, str]] = []
    if told is not None:
        text = told.content or getattr(told, "refusal", None)
        for place, call in enumerate(getattr(told, "tool_calls", None) or ()):
            function = call.function
            index = getattr(call, "index", None)
            calls.append((place if index is None else index, function.name or "",
                          function.arguments or ""))  # fmt: skip
    return Piece(text=text or "", calls=tuple(calls), finish_reason=choice.finish_reason)


def _facts(chunk: Any) -> dict[str, Any]:
    build = getattr(chunk, "system_fingerprint", None)
    names = [name for name in (getattr(chunk, "model", None), build) if name]
    facts: dict[str, Any] = {"served_by": " ".join(names) or None}
    usage = getattr(chunk, "usage", None)
    if usage is not None:
        details = getattr(usage, "prompt_tokens_details", None)
        facts["usage"] = Usage(int(usage.prompt_tokens), int(usage.completion_tokens or 0))
        facts["cached_tokens"] = getattr(details, "cached_tokens", None)
    return facts


def _of_response(response: Any) -> Piece:
    if response.status == "failed":
        error = response.error
        raise TroubleError(of_body(error.model_dump() if error else {}, 200))
    reason = getattr(response.incomplete_details, "reason", None)
    if reason == "content_filter":
        raise withheld(_FILTERED)
    if response.status == "completed" and not response.output:
        raise withheld(_EMPTY)
    usage = response.usage
    return Piece(
        finish_reason="length" if reason else "stop",
        usage=None if usage is None else Usage(usage.input_tokens, usage.output_tokens),
        cached_tokens=None if usage is None else usage.input_tokens_details.cached_tokens,
        served_by=response.model,
    )
