"""One name for a model's content: the same files give the same digest wherever they lie.

Covers what decides the answers: weights, configuration, tokenizer, chat template. Streams, and
imports neither torch nor a tokenizer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from engine.errors import ModelLoadError

__all__ = ["digest_of", "model_digest"]

PATTERNS = (
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "tokenizer*.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.*",
)


def model_digest(path: str | Path) -> str:
    """SHA-256, 64 hexadecimal digits, of a model folder's files (names and content) or of a GGUF
    file's content.
    """
    root = Path(path).expanduser()
    if root.is_file():
        return _file_digest(root)
    if not root.is_dir():
        raise ModelLoadError(
            f"Model {str(path)!r} does not exist: there is nothing to take a digest of."
        )
    files = sorted({file for pattern in PATTERNS for file in root.glob(pattern) if file.is_file()})
    if not any(file.suffix == ".safetensors" for file in files):
        raise ModelLoadError(
            f"{root}: holds no *.safetensors: this is not a model folder that can be used."
        )
    return digest_of(root, files)


def digest_of(root: Path, files: Iterable[Path]) -> str:
    """SHA-256 over their names below root, and their content, in the order given."""
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.relative_to(root).as_posix()}\0{_file_digest(file)}\n".encode())
    return total.hexdigest()


def _file_digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
