"""Text to token ids and back, and chat messages to a prompt.

Owns everything that knows text. The tokenizer is Hugging Face's: read from the model folder, or
built by transformers from a GGUF's metadata. Chat templates come with the model and are hostile
input: transformers renders them in Jinja's immutable sandbox, and messages are checked here before.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from engine.errors import EngineError, InvalidRequestError, ModelLoadError

__all__ = ["ROLES", "Message", "TextCodec", "load_tokenizer"]

Message: TypeAlias = dict[str, Any]

ROLES = ("system", "developer", "user", "assistant", "tool")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")
DIGIT_SPLITTERS = ("smollm", "starcoder", "refact", "command-r")


class TextCodec:
    """A tokenizer behind the four things the engine asks of it. `tokenizer` is the Hugging Face
    object.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def encode(self, text: str, *, with_special: bool = True) -> list[int]:
        # verbose, it would warn of texts beyond its own limit; intake checks lengths
        encoded = self.tokenizer(text, add_special_tokens=with_special, verbose=False)
        return list(encoded["input_ids"])

    def encode_chat(self, messages: Sequence[Message]) -> list[int]:
        """Token ids up to where the assistant's answer begins. Raises InvalidRequestError."""
        checked = [_checked(i, message) for i, message in enumerate(messages)]
        if not getattr(self.tokenizer, "chat_template", None):
            raise InvalidRequestError(
                "The model has no chat template: give the prompt as text or as token ids."
            )
        try:
            text = self.tokenizer.apply_chat_template(
                checked, tokenize=False, add_generation_prompt=True
            )
        except Exception as error:
            # a template is a program of the model's author and may raise anything
            raise InvalidRequestError(
                f"The model's chat template refuses these messages: {error}"
            ) from error
        return self.encode(str(text), with_special=False)

    def encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Token ids of a context and of what follows it, split where the joint text's tokens split.

        Blanks at the end of the context belong to the continuation, because that is how tokenizers
        attach them; an empty context becomes the model's start token (both as in
        lm-evaluation-harness). Where a token of the joint text straddles the border, the two are
        encoded apart, so that neither loses a character.
        """
        stripped = context.rstrip()
        continuation = context[len(stripped) :] + continuation
        if not stripped:
            return [self.prefix_id], self.encode(continuation, with_special=False)
        head, whole = self.encode(stripped), self.encode(stripped + continuation)
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


def _checked(index: int, message: Message) -> dict[str, Any]:
    """A message with a known role and its content as one text."""
    if not isinstance(message, dict):
        raise InvalidRequestError(
            f"Chat message {index} is a {type(message).__name__}, but it must be a dict."
        )
    role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        raise InvalidRequestError(
            f"Chat message {index} has role {role!r}. Allowed: {', '.join(ROLES)}."
        )
    if isinstance(content, list):
        parts = [
            p.get("text") if isinstance(p, dict) and p.get("type", "text") == "text" else None
            for p in content
        ]
        if not all(isinstance(part, str) for part in parts):
            raise InvalidRequestError(
                f"Chat message {index} has content that is not text; only text parts are supported."
            )
        content = "".join(str(part) for part in parts)
    if not isinstance(content, str):
        raise InvalidRequestError(
            f"Chat message {index} has content of type {type(content).__name__}; it must be text."
        )
    return {**message, "content": content}


def load_tokenizer(path: Path, metadata: dict[str, Any]) -> TextCodec | None:
    """The tokenizer of a model folder (None if the folder has none) or of a GGUF's metadata."""
    try:
        if metadata:
            return TextCodec(_from_gguf(metadata))
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


def _from_gguf(metadata: dict[str, Any]) -> Any:
    if "tokenizer.ggml.tokens" not in metadata:
        raise ModelLoadError("The GGUF file holds no tokenizer (tokenizer.ggml.tokens is missing).")
    from transformers import PreTrainedTokenizerFast
    from transformers.integrations.gguf import GGUF_TOKENIZER_MAPPING, convert_gguf_tokenizer

    description = {
        name: metadata[f"tokenizer.{key}"]
        for key, name in GGUF_TOKENIZER_MAPPING["tokenizer"].items()
        if f"tokenizer.{key}" in metadata
    }
    backend, _ = convert_gguf_tokenizer(str(metadata["general.architecture"]), description)
    if description.get("pre_tokenizer_type") in DIGIT_SPLITTERS:
        from tokenizers import pre_tokenizers

        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
    tokens = description["tokens"]
    keys = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
    settings: dict[str, Any] = {
        name: tokens[token_id]
        for name, key in keys.items()
        if isinstance(token_id := metadata.get(f"tokenizer.ggml.{key}_token_id"), int)
        and 0 <= token_id < len(tokens)
    }
    is_llama = description.get("tokenizer_type") == "llama"
    if metadata.get("tokenizer.ggml.add_bos_token", is_llama) and "bos_token" in settings:
        settings["add_bos_token"] = True
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, chat_template=metadata.get("tokenizer.chat_template"), **settings
    )
