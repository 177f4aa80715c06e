"""From a model reference (folder, GGUF file) to what the engine needs of it.

One function, `load_model_files`; the formats are in huggingface.py and gguf.py. Nothing pickled is
ever read and no code of a model is ever run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from engine.errors import ModelLoadError
from engine.loading.gguf import gguf_config, gguf_weights, read_gguf
from engine.loading.huggingface import folder_config, folder_weights, read_json
from engine.models.config import ModelConfig

__all__ = ["ModelFiles", "load_model_files"]


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """path to the folder or GGUF file; metadata is the GGUF's, empty for a folder; end_ids as the
    files name them. Weights are only read when read_weights is called.
    """

    path: Path
    config: ModelConfig
    read_weights: Callable[[], dict[str, Tensor]] = field(repr=False)
    metadata: dict[str, Any] = field(repr=False)
    end_ids: frozenset[int]


def load_model_files(path: Path) -> ModelFiles:
    if path.is_dir():
        config = folder_config(path)
        ids = _folder_end_ids(path)
        return ModelFiles(path, config, partial(folder_weights, path), {}, ids)
    if path.suffix.lower() in (".bin", ".pt", ".pth", ".ckpt"):
        raise ModelLoadError(
            f"{path}: pickled weights can run code when they are read. Use safetensors or GGUF."
        )
    file = read_gguf(path)
    config = gguf_config(file)
    end_ids = [
        file.metadata.get(f"tokenizer.ggml.{key}")
        for key in ("eos_token_id", "eot_token_id", "eom_token_id")
    ]
    ids = frozenset(i for i in end_ids if isinstance(i, int))
    return ModelFiles(path, config, partial(gguf_weights, file, config), file.metadata, ids)


def _folder_end_ids(folder: Path) -> frozenset[int]:
    """generation_config.json decides where it says something; config.json otherwise."""
    for name in ("generation_config.json", "config.json"):
        if (folder / name).is_file():
            value = read_json(folder / name).get("eos_token_id")
            ids = value if isinstance(value, list) else [value]
            found = frozenset(i for i in ids if isinstance(i, int))
            if found:
                return found
    return frozenset()
