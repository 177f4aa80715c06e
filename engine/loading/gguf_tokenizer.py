"""The tokenizer that a GGUF's metadata describes.

transformers builds it, but for how a text is split before its pieces are merged: a GGUF only names
that, every tokenizer of llama.cpp's list splits in its own way, and a wrong way gives valid tokens
and worthless answers. So a name that neither transformers nor the lists here know is refused, as
llama.cpp does. Source: llama.cpp, src/llama-vocab.cpp.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import ModelLoadError, UnsupportedModelError

__all__ = ["gguf_tokenizer"]

#: as GPT-2 does, but every digit by itself
DIGIT_SPLITTERS = (
    *("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"),
)
#: as GPT-2 does
GPT2_SPLITTERS = (
    *("gpt-2", "phi-2", "olmo", "mpt", "jais", "trillion", "gigachat", "mellum", "exaone4"),
)


def gguf_tokenizer(metadata: dict[str, Any]) -> Any:
    """A fast Hugging Face tokenizer. Raises ModelLoadError, and whatever transformers raises."""
    if "tokenizer.ggml.tokens" not in metadata:
        raise ModelLoadError("The GGUF file holds no tokenizer (tokenizer.ggml.tokens is missing).")
    from transformers import PreTrainedTokenizerFast
    from transformers.integrations.gguf import GGUF_TOKENIZER_MAPPING, convert_gguf_tokenizer

    description = {
        name: metadata[f"tokenizer.{key}"]
        for key, name in GGUF_TOKENIZER_MAPPING["tokenizer"].items()
        if f"tokenizer.{key}" in metadata
    }
    splitter = _splitter(description, str(metadata["general.architecture"]))
    backend, _ = convert_gguf_tokenizer(str(metadata["general.architecture"]), description)
    if splitter in DIGIT_SPLITTERS:
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


def _splitter(description: Mapping[str, Any], architecture: str) -> str | None:
    """Its name, where the kind of tokenizer has one. Raises UnsupportedModelError."""
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    if description.get("tokenizer_type") != "gpt2":  # SentencePiece does not split beforehand
        return None
    name = description.get("pre_tokenizer_type")
    if name is None and architecture == "gpt2":  # files older than the key
        return "gpt-2"
    known = {*GPT2_SPLITTERS, *DIGIT_SPLITTERS, *GGUF_PRE_TOKENIZER_SPLITS}
    if name not in known:
        raise UnsupportedModelError(
            f"The GGUF file's pre-tokenizer (tokenizer.ggml.pre) is {name!r:.80}, and nothing here "
            f"knows how it splits a text. Known: {', '.join(sorted(known))}."
        )
    return str(name)
