"""Releases as they are kept, of a local engine and of an API."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from tasks.model.release import Release


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def local(name: str, *, prompt: str = "Sort.", model: str = "m", **engine: Any) -> Release:
    prompts = {"default": [{"role": "system", "content": prompt}]}
    own = {"dtype": "float32", "quantization": None, "versions": {"torch": "2.13.0"}, **engine}
    sampling = {"max_tokens": 8, "temperature": 0.0, "top_p": 1.0, "stop": []}
    parts = (_digest(model), _digest(prompts))
    return Release(name, _digest(*parts, sampling, own), f"{model}.gguf", *parts, prompts,
                   sampling, own)  # fmt: skip


def hosted(name: str, *, model: str = "gpt", **source: Any) -> Release:
    own = {"api": "openai", "endpoint": "chat", "base_url": "https://a.example/v1", "model": model,
           "body": {}, "omit": [], "is_deterministic": False, **source}  # fmt: skip
    parts = (_digest(own["api"], own["base_url"], model), _digest("as logged"))
    return Release(name, _digest(*parts, own), model, *parts, {"default": None},
                   {"max_tokens": 8, "temperature": 0.5}, own)  # fmt: skip
