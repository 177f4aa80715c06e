"""Text to token ids and back, and chat messages to a prompt.

Owns everything that knows text. The tokenizer is Hugging Face's: read from the model folder, or
built from a GGUF's metadata by gguf_tokenizer.py. Chat templates come with the model and are
hostile input: chat_templates.py renders them under limits, and chat.py checks chats before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from engine.errors import (
    EngineError,
    InvalidRequestError,
    ModelLoadError,
    RequestTooLongError,
)
from engine.loading.chat import Chat, checked_messages, checked_variables
from engine.loading.chat_templates import render
from engine.loading.gguf_tokenizer import gguf_tokenizer

__all__ = ["Context", "TextCodec", "load_tokenizer"]

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")
#: what may make one token of any number of characters
SWALLOWERS = ("Strip", "Removed", "Whitespace", "BertPreTokenizer")
#: characters that a normaliser may make one of
COMPOSED = 4


@dataclass(frozen=True)
class Context:
    """A text that continuations follow, without the blanks at its end. with_special False: its own
    special tokens stand in it, as a template wrote them."""

    codec: TextCodec
    text: str
    blanks: str
    with_special: bool

    @cached_property
    def token_ids(self) -> list[int]:
        """An empty text becomes the model's start token, as in lm-evaluation-harness."""
        if not self.text:
            return [self.codec.prefix_id]
        return self.codec.encode(self.text, with_special=self.with_special)


class TextCodec:
    """A tokenizer behind the four things the engine asks of it. `tokenizer` is the Hugging Face
    object.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def encode(
        self, text: str, *, with_special: bool = True, max_tokens: int | None = None
    ) -> list[int]:
        """max_tokens: a text that surely has more is refused unread (RequestTooLongError), because
        reading it takes seconds; one that has a few more comes back whole.
        """
        if max_tokens is not None and len(text) > max_tokens * self.token_characters:
            raise RequestTooLongError(
                f"The text has {len(text)} characters; the model's context is {max_tokens} tokens "
                f"of at most {self.token_characters:.0f} characters."
            )
        try:
            # verbose, it would warn of texts beyond its own limit; intake checks lengths
            encoded = self.tokenizer(text, add_special_tokens=with_special, verbose=False)
        except (TypeError, UnicodeError):
            if any("\ud800" <= char <= "\udfff" for char in text):
                raise InvalidRequestError("The text holds half a surrogate pair.") from None
            raise
        return list(encoded["input_ids"])

    @cached_property
    def token_characters(self) -> float:
        """Of one token, at most; infinite where the tokenizer may make one of any number."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        model: Any = getattr(backend, "model", None)
        if backend is None or type(model).__name__ != "BPE":
            return math.inf
        if model.fuse_unk and not model.byte_fallback:
            return math.inf
        swallowing = f"{backend.normalizer!r} {backend.pre_tokenizer!r}"
        if any(word in swallowing for word in SWALLOWERS) or any(
            token.lstrip or token.rstrip for token in self.tokenizer.added_tokens_decoder.values()
        ):
            return math.inf
        longest = max(map(len, self.tokenizer.get_vocab()))
        return longest * (1 if backend.normalizer is None else COMPOSED)

    def encode_chat(self, chat: Chat, max_tokens: int | None = None) -> list[int]:
        """Token ids up to where the assistant's answer begins or goes on. Raises
        InvalidRequestError."""
        return self.encode(self.chat_text(chat), with_special=False, max_tokens=max_tokens)

    def chat_text(self, chat: Chat) -> str:
        """As the model's template writes it. Raises InvalidRequestError."""
        messages = checked_messages(chat.messages)
        tools = chat.offered
        variables = {**self.tokenizer.special_tokens_map, **checked_variables(chat.variables)}
        return render(self.chat_template(tools), messages, variables, chat.continues, tools)

    def chat_template(self, tools: Sequence[Mapping[str, Any]] = ()) -> str:
        """The model's, or that for tools where it has several. Raises InvalidRequestError."""
        if not getattr(self.tokenizer, "chat_template", None):
            raise InvalidRequestError(
                "The model has no chat template: give the prompt as text or as token ids."
            )
        try:
            return str(self.tokenizer.get_chat_template(tools=tools or None))
        except ValueError as error:
            raise InvalidRequestError(str(error)) from None

    def mark_id(self, mark: str) -> int | None:
        """Of a text that was added to the vocabulary as one token, such as <tool_call>."""
        added = getattr(self.tokenizer, "added_tokens_decoder", {})
        return next((token_id for token_id, token in added.items() if str(token) == mark), None)

    def context(self, text: str, *, with_special: bool = True) -> Context:
        stripped = text.rstrip()
        return Context(self, stripped, text[len(stripped) :], with_special)

    def encode_after(
        self, context: Context, continuation: str, max_tokens: int | None = None
    ) -> tuple[list[int], list[int]]:
        """Token ids of a context and of what follows it, split where the joint text's tokens split.

        Blanks at the end of the context belong to the continuation, because that is how tokenizers
        attach them (as in lm-evaluation-harness). Where a token of the joint text straddles the
        border, the two are encoded apart, so that neither loses a character.
        """
        continuation = context.blanks + continuation
        if not context.text:
            tokens = self.encode(continuation, with_special=False, max_tokens=max_tokens)
            return context.token_ids, tokens
        whole = self.encode(
            context.text + continuation, with_special=context.with_special, max_tokens=max_tokens
        )
        head = context.token_ids
        if whole[: len(head)] == head and len(whole) > len(head):
            return head, whole[len(head) :]
        return head, self.encode(continuation, with_special=False)

    def decode(self, token_ids: Sequence[int]) -> str:
        return str(
            self.tokenizer.decode(
                list(token_ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )

    @property
    def prefix_id(self) -> int:
        """The token that stands for an empty context: the start token, else the end token."""
        ids = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id)
        prefix = next((token for token in ids if isinstance(token, int)), None)
        if prefix is None:
            raise InvalidRequestError(
                "The context is empty and the tokenizer has no start token to stand for it."
            )
        return prefix


def load_tokenizer(path: Path, metadata: dict[str, Any]) -> TextCodec | None:
    """The tokenizer of a model folder (None if the folder has none) or of a GGUF's metadata."""
    try:
        if metadata:
            return TextCodec(gguf_tokenizer(metadata))
        if not any((path / name).is_file() for name in TOKENIZER_FILES):
            return None
        from transformers import AutoTokenizer

        return TextCodec(
            AutoTokenizer.from_pretrained(str(path), trust_remote_code=False, local_files_only=True)
        )
    except EngineError:
        raise
    except Exception as error:
        # tokenizer files are outside input; transformers raises whatever its parsers raise
        raise ModelLoadError(
            f"{path}: the tokenizer cannot be read: {type(error).__name__}: {error}"
        ) from error
