"""From what a caller gives to Requests: types checked, text encoded, lengths and ids proved to fit
the model.

A fault of one prompt becomes the `error` of its Request; a call that is wrong as a whole raises
InvalidRequestError.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from typing import Any

from engine.errors import InvalidRequestError, RequestTooLongError, failure_of
from engine.loading.chat import Chat
from engine.loading.tokenizer import Context, TextCodec
from engine.requests.guide import guide_of
from engine.requests.request import Prompt, Request, SamplingParams, Text
from engine.requests.scoring import rolling_windows
from engine.sampling.grammar import Grammars, GrammarState, Guide
from engine.sampling.params import MAX_LOGPROBS, is_logprobs

__all__ = ["Intake", "check_top_logprobs", "sampling_params_for"]


class Intake:
    """Makes requests for a model with this tokenizer (None: token ids only), vocabulary and
    context.
    """

    def __init__(self, codec: TextCodec | None, vocab_size: int, max_position: int) -> None:
        self.codec = codec
        self.vocab_size = vocab_size
        self.max_position = max_position
        self._grammars: Grammars | None = None

    @property
    def text(self) -> TextCodec:
        if self.codec is None:
            raise InvalidRequestError(
                "The model folder has no tokenizer: give token ids instead of text."
            )
        return self.codec

    def generate_request(
        self, prompt: Prompt, params: SamplingParams, end_ids: Collection[int] = ()
    ) -> Request:
        """end_ids: the model's own end tokens."""
        request = Request([], 0, 0, params, num_top=params.logprobs)
        try:
            if params.stop and self.codec is None:
                raise InvalidRequestError(
                    "Stop strings need a tokenizer, and this model folder has none."
                )
            self._check_ids(params.stop_token_ids, "list of stop_token_ids")
            request.end_ids = frozenset(
                token for token in (*end_ids, *params.stop_token_ids) if token < self.vocab_size
            )
            request.token_ids = self._prompt_ids(prompt)
            request.num_prompt = len(request.token_ids)
            schema = params.json_schema
            assert schema is None or isinstance(schema, str), "SamplingParams keeps its text"
            request.guide = guide_of(prompt, schema, self.codec, request.token_ids)
            if request.guide is not None:
                request.grammar = self.grammar(request.guide, end_ids)
            self._check_tokens(request.token_ids, "prompt")
            if request.num_prompt >= self.max_position:
                raise RequestTooLongError(
                    f"The prompt has {request.num_prompt} tokens; the model's context is "
                    f"{self.max_position}, and at least one is needed for the answer."
                )
            request.max_length = min(request.num_prompt + params.max_tokens, self.max_position)
        except BaseException as error:
            request.fail(failure_of(error))
        return request

    def grammar(self, guide: Guide, end_ids: Collection[int]) -> GrammarState:
        """The state before the first token. Compilers are made when first needed: they take an
        extra.
        """
        if self._grammars is None:
            self._grammars = Grammars(self.text.tokenizer, self.vocab_size, end_ids)
        return self._grammars.start(guide)

    def choice_requests(self, context: Text | Chat, continuations: Sequence[Text]) -> list[Request]:
        """As score_request for each, but that the context is written and encoded once."""
        opened: Text | Chat | Context = context
        if isinstance(context, (str, Chat)):
            with contextlib.suppress(Exception):  # then each says why
                opened = self._opened(context)
        return [self.score_request((opened, continuation)) for continuation in continuations]

    def score_request(self, pair: tuple[Text | Chat | Context, Text], num_top: int = 0) -> Request:
        request = Request([], 0, 0, targets=(), num_top=num_top)
        try:
            context, continuation = self._pair_ids(pair)
            self._check_tokens(context, "context")
            self._check_tokens(continuation, "continuation")
            # The last token's own logits are not needed, so it is not run.
            request.token_ids = [*context, *continuation[:-1]]
            request.num_prompt = request.max_length = len(request.token_ids)
            request.targets = tuple(continuation)
            request.choices = request.targets[-1:]
            request.first_target = len(context) - 1
            if request.num_tokens > self.max_position:
                raise RequestTooLongError(
                    f"Context and continuation have {request.num_tokens + 1} tokens; the "
                    f"model's context is {self.max_position}."
                )
        except BaseException as error:
            request.fail(failure_of(error))
        return request

    def rolling_requests(self, text: Text) -> list[Request]:
        """The windows of a text; one failed request where it cannot be scored."""
        try:
            token_ids = (
                self.text.encode(text, with_special=False)
                if isinstance(text, str)
                else _token_ids(text, "text")
            )
            self._check_tokens(token_ids, "text")
            windows = rolling_windows(token_ids, self.text.prefix_id, self.max_position)
            return [self.score_request(window) for window in windows]
        except BaseException as error:
            request = Request([], 0, 0, targets=())
            request.fail(failure_of(error))
            return [request]

    def _prompt_ids(self, prompt: Prompt) -> list[int]:
        if isinstance(prompt, str):
            return self.text.encode(prompt, max_tokens=self.max_position)
        if isinstance(prompt, Chat):
            return self.text.encode_chat(prompt, self.max_position)
        if (
            isinstance(prompt, Sequence)
            and prompt
            and all(isinstance(item, dict) for item in prompt)
        ):
            messages = [item for item in prompt if isinstance(item, dict)]
            return self.text.encode_chat(Chat(messages), self.max_position)
        return _token_ids(prompt, "prompt")

    def _opened(self, context: str | Chat) -> Context:
        if isinstance(context, Chat):
            return self.text.context(self.text.chat_text(context), with_special=False)
        return self.text.context(context)

    def _pair_ids(self, pair: tuple[Text | Chat | Context, Text]) -> tuple[list[int], list[int]]:
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise InvalidRequestError("A request to score must be a pair (context, continuation).")
        context, continuation = pair
        if isinstance(context, (str, Chat, Context)) and isinstance(continuation, str):
            opened = context if isinstance(context, Context) else self._opened(context)
            return self.text.encode_after(opened, continuation, self.max_position + 1)
        if isinstance(context, (str, Chat, Context)) or isinstance(continuation, str):
            raise InvalidRequestError(
                "Context and continuation must both be texts or both be token ids."
            )
        return _token_ids(context, "context"), _token_ids(continuation, "continuation")

    def _check_tokens(self, token_ids: list[int], what: str) -> None:
        if not token_ids:
            raise InvalidRequestError(f"The {what} is empty: it needs at least one token.")
        self._check_ids(token_ids, what)

    def _check_ids(self, token_ids: Sequence[int], what: str) -> None:
        if token_ids and (min(token_ids) < 0 or max(token_ids) >= self.vocab_size):
            wrong = next(token for token in token_ids if not 0 <= token < self.vocab_size)
            raise InvalidRequestError(
                f"The {what} holds token id {wrong}; ids from 0 to {self.vocab_size - 1} are "
                "possible."
            )


def check_top_logprobs(value: int) -> int:
    if not is_logprobs(value):
        raise InvalidRequestError(
            f"top_logprobs is {value!r}, but it must be a whole number from 0 to {MAX_LOGPROBS}."
        )
    return value


def sampling_params_for(
    params: SamplingParams | Sequence[SamplingParams] | None, count: int
) -> list[SamplingParams]:
    if params is None or isinstance(params, SamplingParams):
        return [params or SamplingParams()] * count
    if not isinstance(params, Sequence) or not all(isinstance(p, SamplingParams) for p in params):
        raise InvalidRequestError(
            "params must be one SamplingParams, or a list with one for every prompt."
        )
    if len(params) != count:
        raise InvalidRequestError(
            f"There are {count} prompts but {len(params)} SamplingParams; give one, or one "
            "a prompt."
        )
    return list(params)


def _token_ids(value: Any, what: str) -> list[int]:
    if isinstance(value, (list, tuple)) and set(map(type, value)) <= {int}:
        return list(value)
    raise InvalidRequestError(
        f"The {what} must be a text, a list of token ids or a list of chat messages."
    )
