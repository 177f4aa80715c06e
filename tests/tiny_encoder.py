"""A BERT sentence encoder of random weights, written as sentence-transformers writes one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WORDS = ("the", "parcel", "came", "never", "oslo", "is", "open", "not", "late", "##ly", "a", "b")
#: of a text, those around it with them
MAX_TOKENS = 12


def write_tiny_encoder(folder: Path, *, pooling: str = "mean_tokens", seed: int = 0) -> Path:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
    vocabulary = {word: number for number, word in enumerate((*special, *WORDS))}
    config = {
        "model_type": "bert", "architectures": ["BertModel"], "vocab_size": len(vocabulary),
        "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_act": "gelu",
        "intermediate_size": 40, "max_position_embeddings": 16, "type_vocab_size": 2,
        "layer_norm_eps": 1e-12, "pad_token_id": 0,
    }  # fmt: skip
    write(folder / "config.json", config)
    _write_weights(folder / "model.safetensors", len(vocabulary), seed)
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_padding(length=16)  # as some folders have it
    tokenizer.save(str(folder / "tokenizer.json"))
    write(folder / "sentence_bert_config.json", {"max_seq_length": MAX_TOKENS})
    (folder / "1_Pooling").mkdir(exist_ok=True)
    write(folder / "1_Pooling" / "config.json", {
        "word_embedding_dimension": 24,
        **{f"pooling_mode_{name}": name == pooling
           for name in ("cls_token", "mean_tokens", "max_tokens")},
    })  # fmt: skip
    return folder


def _write_weights(path: Path, num_words: int, seed: int) -> None:
    """So scattered that texts are not all alike."""
    import torch
    from safetensors.torch import save_file

    random = torch.Generator().manual_seed(seed)
    weights = {}

    def draw(name: str, *shape: int, std: float, mean: float = 0.0) -> None:
        weights[name] = mean + std * torch.randn(shape, generator=random)

    for name, size, std in (
        ("word", num_words, 2.0),
        ("position", 16, 0.1),
        ("token_type", 2, 0.1),
    ):
        draw(f"embeddings.{name}_embeddings.weight", size, 24, std=std)
    norms = ["embeddings.LayerNorm"]
    for layer in ("encoder.layer.0.", "encoder.layer.1."):
        for name, rows, columns in (
            ("attention.self.query", 24, 24), ("attention.self.key", 24, 24),
            ("attention.self.value", 24, 24), ("attention.output.dense", 24, 24),
            ("intermediate.dense", 40, 24), ("output.dense", 24, 40),
        ):  # fmt: skip
            draw(f"{layer}{name}.weight", rows, columns, std=0.4)
            draw(f"{layer}{name}.bias", rows, std=0.05)
        norms += [f"{layer}attention.output.LayerNorm", f"{layer}output.LayerNorm"]
    for name in norms:
        draw(f"{name}.weight", 24, std=0.05, mean=1.0)
        draw(f"{name}.bias", 24, std=0.05)
    save_file(weights, path, {"format": "pt"})


def write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")
