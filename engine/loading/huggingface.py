"""A Hugging Face model folder as a configuration and weights. Safetensors only: pickled weights can
run code when they are read.

Knows the folder's files; nothing of layers. Weights keep the file's dtype until the model puts them
on its device.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from engine.errors import ModelLoadError, shorten
from engine.models.config import ModelConfig

__all__ = ["folder_config", "folder_weights", "read_json"]

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
MAX_SHARDS = 10_000
MAX_TENSORS = 1 << 17  # of all files
MAX_JSON_BYTES = 64 * 1024 * 1024
BUFFERS = ("rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias")  # the model computes them


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of bounded size."""
    if path.stat().st_size > MAX_JSON_BYTES:
        raise ModelLoadError(
            f"{path}: {path.stat().st_size} bytes; at most {MAX_JSON_BYTES} are read."
        )
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelLoadError(f"{path}: not readable as JSON: {error}") from None
    if not isinstance(value, dict):
        raise ModelLoadError(
            f"{path}: holds a {type(value).__name__}, but it must be a JSON object."
        )
    return value


def folder_config(folder: Path) -> ModelConfig:
    path = folder / "config.json"
    if not path.is_file():
        raise ModelLoadError(
            f"{folder}: not a model folder: there is no config.json. Expected config.json, "
            "tokenizer.json and *.safetensors; "
            "or name a .gguf file."
        )
    return ModelConfig.from_dict(read_json(path), str(path))


def folder_weights(folder: Path) -> dict[str, Tensor]:
    """All weights of the folder's safetensors files, buffers that the model computes itself left
    out.
    """
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    weights: dict[str, Tensor] = {}
    num_tensors = 0
    for path, promised in _files(folder):
        try:
            with safe_open(path, framework="pt") as file:
                num_tensors += len(file.keys())
            if num_tensors > MAX_TENSORS:
                raise ModelLoadError(
                    f"{path}: {num_tensors} tensors; at most {MAX_TENSORS} are read."
                )
            found = load_file(path)
        except (SafetensorError, OSError, ValueError) as error:
            raise ModelLoadError(
                f"{path}: not readable as safetensors: {error}. It may be cut off; fetch it again."
            ) from None
        absent = sorted(promised - set(found))
        if absent:
            raise ModelLoadError(
                f"{path}: the index promises weights that this shard lacks: {shorten(absent)}."
            )
        weights |= found
    return {name: tensor for name, tensor in weights.items() if not name.endswith(BUFFERS)}


def _files(folder: Path) -> list[tuple[Path, set[str]]]:
    """Each file to read, with the weights that the index says are in it."""
    if (folder / INDEX).is_file():
        weight_map = read_json(folder / INDEX).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise ModelLoadError(f"{folder / INDEX}: has no weight_map.")
        promised: dict[str, set[str]] = {}
        for key, value in weight_map.items():
            promised.setdefault(str(value), set()).add(key)
        names = sorted(promised)
        if len(names) > MAX_SHARDS:
            raise ModelLoadError(
                f"{folder / INDEX}: names {len(names)} files; at most {MAX_SHARDS} are read."
            )
        foreign = [name for name in names if Path(name).name != name]
        if foreign:
            raise ModelLoadError(
                f"{folder / INDEX}: names files outside the folder: {shorten(foreign)}."
            )
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise ModelLoadError(
                f"{folder}: {len(missing)} of {len(names)} shards are missing: {shorten(missing)}."
            )
        return [(folder / name, promised[name]) for name in names]
    if (folder / SINGLE).is_file():
        return [(folder / SINGLE, set())]
    pickled = sorted(
        path.name
        for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt")
        for path in folder.glob(pattern)
    )
    if pickled:
        raise ModelLoadError(
            f"{folder}: holds only pickled weights ({shorten(pickled)}), which can run "
            "code when they are read. "
            "Convert them to safetensors first."
        )
    raise ModelLoadError(f"{folder}: there is neither {SINGLE} nor {INDEX}.")
