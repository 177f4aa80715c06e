"""Sentence embeddings by a BERT encoder: a text as a vector of length 1, whose product with another
says how alike they are in meaning.

Reads folders as sentence-transformers writes them: config.json, tokenizer.json, safetensors, and
which tokens are pooled. One text at a time, without padding, so a vector depends on its text alone.
float32 on the CPU. Has no KV cache and no scheduler: nothing is generated. Never changes an answer.
Sources: Devlin et al., "BERT" (2019); Reimers & Gurevych, "Sentence-BERT" (2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from engine.errors import ModelLoadError, UnsupportedModelError
from engine.loading.huggingface import folder_weights, read_json

__all__ = ["Embedding", "Encoder"]

_ACTIVATIONS = {"gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}
_POOLINGS = ("pooling_mode_mean_tokens", "pooling_mode_cls_token")


@dataclass(frozen=True, slots=True)
class Embedding:
    """`vector`: [hidden_size] float32, of length 1. `is_whole`: the text was read to its end."""

    vector: Tensor
    is_whole: bool


class Encoder:
    """Raises ModelLoadError on a folder that is not whole, UnsupportedModelError on one that is no
    BERT encoder or pools in another way."""

    def __init__(self, folder: Path) -> None:
        config = _config(folder)
        self._num_layers = _whole(config, "num_hidden_layers", folder)
        self._num_heads = _whole(config, "num_attention_heads", folder)
        self._size = _whole(config, "hidden_size", folder)
        self._epsilon = float(config.get("layer_norm_eps", 1e-12))
        self._approximate = _ACTIVATIONS[config.get("hidden_act", "gelu")]
        self._is_mean = _pooling(folder) == _POOLINGS[0]
        self._weights = _weights(folder)
        self._check(config, folder)
        self._tokenizer = _tokenizer(folder, _max_tokens(folder, config))

    @torch.inference_mode()
    def embed(self, text: str) -> Embedding:
        """Of a text of any length; what lies beyond the encoder's limit is not read."""
        encoded = self._tokenizer.encode(text.encode("utf-8", "replace").decode())
        ids = torch.tensor(encoded.ids)
        weights, x = self._weights, "embeddings."
        hidden = (
            weights[f"{x}word_embeddings.weight"][ids]
            + weights[f"{x}position_embeddings.weight"][: len(ids)]
            + weights[f"{x}token_type_embeddings.weight"][0]
        )
        hidden = self._norm(hidden, f"{x}LayerNorm")
        for number in range(self._num_layers):
            hidden = self._layer(hidden, f"encoder.layer.{number}.")
        pooled = hidden.mean(dim=0) if self._is_mean else hidden[0]
        return Embedding(functional.normalize(pooled, dim=0), not encoded.overflowing)

    def _layer(self, hidden: Tensor, x: str) -> Tensor:
        """[num_tokens, hidden_size] → the same; normalised after each half."""
        heads = [
            self._linear(hidden, f"{x}attention.self.{name}")
            .view(len(hidden), self._num_heads, -1)
            .transpose(0, 1)
            for name in ("query", "key", "value")
        ]
        query, key, value = heads
        mixed = functional.scaled_dot_product_attention(query, key, value)
        mixed = mixed.transpose(0, 1).flatten(1)
        mixed = self._linear(mixed, f"{x}attention.output.dense")
        hidden = self._norm(mixed + hidden, f"{x}attention.output.LayerNorm")
        inner = self._linear(hidden, f"{x}intermediate.dense")
        inner = functional.gelu(inner, approximate=self._approximate)
        return self._norm(self._linear(inner, f"{x}output.dense") + hidden, f"{x}output.LayerNorm")

    def _linear(self, hidden: Tensor, name: str) -> Tensor:
        weights = self._weights
        return functional.linear(hidden, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def _norm(self, hidden: Tensor, name: str) -> Tensor:
        weights = self._weights
        return functional.layer_norm(
            hidden, (self._size,), weights[f"{name}.weight"], weights[f"{name}.bias"], self._epsilon
        )

    def _check(self, config: dict[str, Any], folder: Path) -> None:
        """Every weight is there, in its shape."""
        size, inner = self._size, _whole(config, "intermediate_size", folder)
        shapes: dict[str, tuple[int, ...]] = {
            "embeddings.word_embeddings.weight": (_whole(config, "vocab_size", folder), size),
            "embeddings.position_embeddings.weight": (_positions(config, folder), size),
            "embeddings.token_type_embeddings.weight": (
                int(config.get("type_vocab_size", 2)),
                size,
            ),
        }
        norms = ["embeddings.LayerNorm"]
        linears: dict[str, tuple[int, ...]] = {}
        for number in range(self._num_layers):
            x = f"encoder.layer.{number}."
            norms += [f"{x}attention.output.LayerNorm", f"{x}output.LayerNorm"]
            linears |= {
                f"{x}attention.self.{name}": (size, size) for name in ("query", "key", "value")
            }
            linears |= {
                f"{x}attention.output.dense": (size, size),
                f"{x}intermediate.dense": (inner, size),
                f"{x}output.dense": (size, inner),
            }
        for name in norms:
            shapes |= {f"{name}.weight": (size,), f"{name}.bias": (size,)}
        for name, shape in linears.items():
            shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
        for name, shape in shapes.items():
            found = tuple(self._weights[name].shape) if name in self._weights else None
            if found != shape:
                raise ModelLoadError(
                    f"{folder}: the weight {name} must have the shape {shape}, it has {found}."
                )
        if self._num_heads < 1 or size % self._num_heads:
            raise ModelLoadError(
                f"{folder}: {size} features cannot be shared by {self._num_heads} heads."
            )


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise ModelLoadError(f"{folder}: not a model folder: there is no config.json.")
    config = read_json(path)
    for key, allowed, default in (
        ("model_type", ("bert",), ""),
        ("hidden_act", tuple(_ACTIVATIONS), "gelu"),
        ("position_embedding_type", ("absolute",), "absolute"),
    ):
        value = config.get(key, default)
        if value not in allowed:
            raise UnsupportedModelError(
                f"{path}: {key} is {value!r}; an encoder has one of: {', '.join(allowed)}."
            )
    return config


def _whole(config: dict[str, Any], key: str, folder: Path) -> int:
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1 << 24:
        raise ModelLoadError(
            f"{folder}: {key} of config.json is {value!r}, not a number of things."
        )
    return value


def _positions(config: dict[str, Any], folder: Path) -> int:
    return _whole(config, "max_position_embeddings", folder)


def _pooling(folder: Path) -> str:
    """How tokens become one vector: their mean, where the folder says nothing."""
    if (folder / "modules.json").is_file():
        text = (folder / "modules.json").read_text(encoding="utf-8")
        if "Dense" in text:
            raise UnsupportedModelError(f"{folder}: it has a layer after pooling (modules.json).")
    path = folder / "1_Pooling" / "config.json"
    if not path.is_file():
        return _POOLINGS[0]
    chosen = [
        key for key, on in read_json(path).items() if key.startswith("pooling_mode") and on is True
    ]
    if len(chosen) != 1 or chosen[0] not in _POOLINGS:
        raise UnsupportedModelError(
            f"{path}: pools by {', '.join(chosen) or 'nothing'}; known are {', '.join(_POOLINGS)}."
        )
    return chosen[0]


def _weights(folder: Path) -> dict[str, Tensor]:
    return {
        name.removeprefix("bert."): tensor.float()
        for name, tensor in folder_weights(folder).items()
        if tensor.is_floating_point()
    }


def _max_tokens(folder: Path, config: dict[str, Any]) -> int:
    path = folder / "sentence_bert_config.json"
    most = _positions(config, folder)
    if not path.is_file():
        return most
    declared = read_json(path).get("max_seq_length")
    return min(most, declared) if isinstance(declared, int) and declared > 2 else most


def _tokenizer(folder: Path, max_tokens: int) -> Any:
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library's own, of no class
        raise ModelLoadError(f"{path}: not readable as a tokenizer: {error}") from None
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer
