"""From a model's name to its local path, through the Hugging Face hub's own client if it is not
local already.

Only weights in safetensors, configuration and tokenizer files are asked for: never pickles, never
code. Imports no torch.
"""

from __future__ import annotations

import re
from pathlib import Path

from engine.errors import ModelFetchError, ModelLoadError

__all__ = ["resolve_model"]

HUB_PATTERNS = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model", "merges.txt", "vocab.txt"]

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


def resolve_model(model: str) -> Path:
    """The local path of a model. A name that is no path but looks like owner/name is fetched from
    the Hugging Face hub.
    """
    path = Path(model).expanduser()
    if path.exists():
        return path
    repository, _, revision = model.partition("@")
    if not HUB_ID.fullmatch(repository):
        raise ModelLoadError(
            f"Model {model!r} does not exist. Give a model folder (config.json and "
            "*.safetensors), a .gguf file, "
            "or a hub id such as 'owner/name'."
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(repository, revision=revision or None, allow_patterns=HUB_PATTERNS)
        )
    except Exception as error:
        # the hub client raises its own, its transport's and the operating system's errors
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelFetchError(
            f"Model {model!r} is no local path, and it could not be fetched from the hub: {reason} "
            "Download it where there is a network and give the folder."
        ) from error
