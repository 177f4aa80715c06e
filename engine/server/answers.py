"""From an Ask to the engine's requests, and from what they gave to the answer's JSON.

Owns the OpenAI API's answer objects, whole and in pieces. A choice is one completion of one prompt:
a generate request, a score request for the prompt's own log-probabilities (echo), or both. Knows
nothing of sockets or of the engine thread.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Sequence
from functools import cached_property
from typing import Any

from engine.errors import CapacityError
from engine.reading import reasoning, tool_calls
from engine.reading.reasoning import Thought, begins_inside
from engine.reading.tool_calls import Said
from engine.requests.intake import Intake
from engine.requests.request import Request, TopLogprobs
from engine.server.loop import Update
from engine.server.protocol import ApiError, Ask
from engine.server.text import TextStream, TokenTexts

__all__ = ["Answer", "Choice", "make_choices"]


class Choice:
    """What is known so far of one completion."""

    def __init__(self, index: int, ask: Ask, prompt_ids: Sequence[int], intake: Intake) -> None:
        self.index = index
        self.ask = ask
        self.prompt_ids = tuple(prompt_ids)
        self.generate: Request | None = None
        self.score: Request | None = None
        self.prompt_logprobs: tuple[float, ...] = ()
        self.prompt_tops: tuple[TopLogprobs, ...] = ()
        self.token_ids: list[int] = []
        self.logprobs: list[float] = []
        self.tops: list[TopLogprobs] = []
        self.text = ""
        self._num_shown = self._num_thought = 0  # characters given in a stream
        self._is_inside = ask.is_chat and begins_inside(intake.text.decode(prompt_ids[-8:]))
        self.finish_reason: str | None = "length" if ask.max_tokens == 0 else None
        self._stream = TextStream(intake.text, ask.params.stop, ask.params.min_tokens)

    @property
    def requests(self) -> list[Request]:
        return [request for request in (self.score, self.generate) if request is not None]

    def take(self, update: Update) -> str:
        """The text that this adds. Raises ApiError if the request failed."""
        if update.failure is not None:
            raise ApiError.of(update.failure)
        if update.request is self.score:
            self.prompt_logprobs, self.prompt_tops = update.logprobs, update.top_logprobs
            return ""
        self.token_ids += update.token_ids
        self.logprobs += update.logprobs
        self.tops += update.top_logprobs
        is_end = bool(update.token_ids) and update.token_ids[-1] in update.request.end_ids
        text = self._stream.push(update.token_ids[: len(update.token_ids) - is_end])
        if update.finish_reason is not None:
            self.finish_reason = update.finish_reason
            text += self._stream.finish()
        self.text += text
        return text

    @cached_property
    def said(self) -> Said:
        """The answer's text and the calls of tools in it. Only of a choice that has ended."""
        assert self.finish_reason is not None, "what comes may still be a call"
        text = self.thought.answer
        return tool_calls.read(text, self.ask.tools) if self.ask.tools else Said(text)

    @property
    def thought(self) -> Thought:
        """What a chat's answer begins with, apart from it; as far as it is certain."""
        if not self.ask.is_chat:
            return Thought(None, self.text)
        look = reasoning.certain if self.finish_reason is None else reasoning.read
        return look(self.text, inside=self._is_inside)

    @property
    def why_ended(self) -> str | None:
        """Who asks for one function by its name is told "stop", as by OpenAI."""
        is_call = self.finish_reason == "stop" and self.said.calls and not self.ask.is_named
        return "tool_calls" if is_call else self.finish_reason

    def unshown(self) -> Said:
        """For a stream: text that is certain and was not given before; at the end the rest of it,
        and the calls of tools."""
        if self.finish_reason is not None:
            said = self.said
        else:
            text = self.thought.answer
            said = Said(text[: tool_calls.num_certain(text)] if self.ask.tools else text)
        start, self._num_shown = self._num_shown, len(said.text)
        return Said(said.text[start:], said.calls)

    def unshown_thought(self) -> str:
        """The same of the reasoning."""
        told = self.thought.reasoning or ""
        start, self._num_thought = self._num_thought, len(told)
        return told[start:]


def make_choices(
    ask: Ask, intake: Intake, end_ids: Collection[int], capacity_tokens: int
) -> list[Choice]:
    """All choices of all prompts, with their requests. Raises ApiError for a prompt that cannot be
    run; then nothing of the Ask is.
    """
    choices: list[Choice] = []
    for prompt in ask.prompts:
        first = intake.generate_request(prompt, ask.params, end_ids)
        if first.failure is None and first.num_prompt >= capacity_tokens:
            too_large = (
                f"The prompt has {first.num_prompt} tokens; the KV cache holds {capacity_tokens}, "
                "and at least one is needed for the answer."
            )
            first.fail(CapacityError(too_large))
        if first.failure is not None:
            raise ApiError.of(first.failure, "messages" if ask.is_chat else "prompt")
        prompt_ids = list(first.token_ids)
        first.max_length = min(first.max_length, capacity_tokens)
        for sample in range(ask.num_choices):
            choice = Choice(len(choices), ask, prompt_ids, intake)
            if ask.max_tokens > 0:
                choice.generate = first.another_sample(sample) if sample else first
            if ask.echo and ask.num_top is not None and len(prompt_ids) > 1:
                pair = (prompt_ids[:1], prompt_ids[1:])
                choice.score = intake.score_request(pair)
            for request in choice.requests:
                request.num_top = ask.num_top or 0
            choices.append(choice)
    return choices


class Answer:
    """The JSON objects of one exchange."""

    def __init__(
        self, ask: Ask, choices: Sequence[Choice], model: str, intake: Intake, tokens: TokenTexts
    ) -> None:
        self.ask = ask
        self.choices = choices
        self._tokens = tokens
        self._codec = intake.text
        kind = "chat.completion" if ask.is_chat else "text_completion"
        self._head = {
            "id": f"{'chatcmpl' if ask.is_chat else 'cmpl'}-{uuid.uuid4().hex}",
            "object": f"{kind}.chunk" if ask.is_chat and ask.stream else kind,
            "created": int(time.time()),
            "model": model,
        }

    def whole(self) -> dict[str, Any]:
        return {
            **self._head,
            "choices": [self._whole_choice(choice) for choice in self.choices],
            "usage": self.usage(),
        }

    def first_pieces(self) -> list[dict[str, Any]]:
        """Before anything was generated: the role of a chat, the prompt of an echo."""
        if self.ask.is_chat:
            delta = {"role": "assistant", "content": "", "refusal": None}
            return [self._piece(c, {"delta": delta}) for c in self.choices]
        if self.ask.echo:
            return [self._piece(c, {"text": self._echo(c)}) for c in self.choices]
        return []

    def pieces(self, choice: Choice, text: str, num_new: int) -> list[dict[str, Any]]:
        """What an update with this text and so many tokens adds to a stream."""
        pieces = []
        logprobs = self._logprobs(choice, len(choice.token_ids) - num_new)
        is_end = choice.finish_reason is not None
        if self.ask.is_chat:
            if thought := choice.unshown_thought():
                pieces.append(self._piece(choice, {"delta": {"reasoning_content": thought}}))
            said = choice.unshown()
            if said.text or logprobs is not None:
                pieces.append(self._piece(choice, {"delta": {"content": said.text}}, logprobs))
            if said.calls:
                calls = [{"index": place, **call} for place, call in enumerate(said.calls)]
                pieces.append(self._piece(choice, {"delta": {"tool_calls": calls}}))
            if is_end:
                pieces.append(self._piece(choice, {"delta": {}}, None, choice.why_ended))
        elif text or logprobs is not None or is_end:
            pieces.append(self._piece(choice, {"text": text}, logprobs, choice.finish_reason))
        return pieces

    def last_pieces(self) -> list[dict[str, Any]]:
        if not self.ask.include_usage:
            return []
        return [{**self._head, "choices": [], "usage": self.usage()}]

    def usage(self) -> dict[str, Any]:
        """Prompts are counted once, whatever n is."""
        firsts = self.choices[:: self.ask.num_choices]
        num_prompt = sum(len(choice.prompt_ids) for choice in firsts)
        num_output = sum(len(choice.token_ids) for choice in self.choices)
        cached = sum(max(0, c.requests[0].num_cached) for c in firsts if c.requests)
        return {
            "prompt_tokens": num_prompt,
            "completion_tokens": num_output,
            "total_tokens": num_prompt + num_output,
            "prompt_tokens_details": {"cached_tokens": cached},
        }

    def _piece(
        self,
        choice: Choice,
        content: dict[str, Any],
        logprobs: dict[str, Any] | None = None,
        finish_reason: str | None = None,
    ) -> dict[str, Any]:
        rest = {"logprobs": logprobs, "finish_reason": finish_reason}
        piece = {**self._head, "choices": [{"index": choice.index, **content, **rest}]}
        return piece | ({"usage": None} if self.ask.include_usage else {})

    def _whole_choice(self, choice: Choice) -> dict[str, Any]:
        content: dict[str, Any]
        if self.ask.is_chat:
            said = choice.said
            message: dict[str, Any] = {"role": "assistant", "content": said.text, "refusal": None}
            if choice.thought.reasoning is not None:
                message["reasoning_content"] = choice.thought.reasoning
            if said.calls:
                message |= {"content": said.text or None, "tool_calls": list(said.calls)}
            content = {"message": message}
        else:
            content = {"text": (self._echo(choice) if self.ask.echo else "") + choice.text}
        rest = {"logprobs": self._logprobs(choice, 0), "finish_reason": choice.why_ended}
        return {"index": choice.index, **content, **rest}

    def _echo(self, choice: Choice) -> str:
        prompt = self.ask.prompts[choice.index // self.ask.num_choices]
        if isinstance(prompt, str):
            return prompt
        return self._codec.decode(choice.prompt_ids)

    def _logprobs(self, choice: Choice, start: int) -> dict[str, Any] | None:
        """Of the generated tokens from `start` on; of the prompt too where it is echoed."""
        if self.ask.num_top is None:
            return None
        ids, values = choice.token_ids[start:], choice.logprobs[start:]
        tops = choice.tops[start:] or [()] * len(ids)
        if self.ask.is_chat:
            content = [
                self._named(token_id, value)
                | {"top_logprobs": [self._named(token, logprob) for token, logprob in top]}
                for token_id, value, top in zip(ids, values, tops, strict=True)
            ]
            return {"content": content, "refusal": None}
        if not self.ask.echo:
            offset = sum(map(self._tokens.num_characters, choice.token_ids[:start]))
            return self._legacy(ids, values, tops, offset)
        prompt_tops = choice.prompt_tops or ((),) * len(choice.prompt_logprobs)
        return self._legacy(
            [*choice.prompt_ids, *ids],
            [None, *choice.prompt_logprobs, *values],
            [None, *prompt_tops, *tops],
            0,
        )

    def _named(self, token_id: int, value: float) -> dict[str, Any]:
        raw = list(self._tokens.raw(token_id))
        return {"token": self._tokens.name(token_id), "logprob": value, "bytes": raw}

    def _legacy(
        self,
        ids: Sequence[int],
        values: Sequence[float | None],
        tops: Sequence[TopLogprobs | None],
        offset: int,
    ) -> dict[str, Any]:
        """/v1/completions: parallel lists. The first token of a text has no log-probability. The
        token itself is among the top ones in any case.
        """
        offsets: list[int] = []
        top_dicts: list[dict[str, float] | None] = []
        for token_id, value, top in zip(ids, values, tops, strict=True):
            offsets.append(offset)
            offset += self._tokens.num_characters(token_id)
            if top is None or value is None:
                top_dicts.append(None)
                continue
            named: dict[str, float] = {}
            for token, logprob in (*top, (token_id, value)):
                named.setdefault(self._tokens.name(token), logprob)
            top_dicts.append(named)
        return {
            "tokens": [self._tokens.name(token_id) for token_id in ids],
            "token_logprobs": list(values),
            "top_logprobs": top_dicts if self.ask.num_top else None,
            "text_offset": offsets,
        }
