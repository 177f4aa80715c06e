"""The champion as configuration of others: environment variables, vLLM, LiteLLM. Pure.

Sources: vLLM's server arguments (`vllm serve --config FILE`, docs of 0.30) and LiteLLM's proxy
(`litellm --config FILE`, model_list). Secrets stand in it as names of variables alone. What such a
file cannot carry, the prompts before all, is told in comments at its head: whoever asks sends it.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from tasks.errors import UsageError
from tasks.model.release import Release
from tasks.model.visible import one_line
from tasks.settings import ReleaseSettings

#: by which name a gateway's clients ask for it
MODEL_NAME = "champion"
#: where LiteLLM finds a server of a model of this machine, such as vLLM
SERVER_VARIABLE = "CHAMPION_BASE_URL"
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")
#: ours → a key of a model's generation_config.json that vLLM reads
_GENERATION = {
    "max_tokens": "max_new_tokens", "temperature": "temperature", "top_p": "top_p",
    "top_k": "top_k", "min_p": "min_p", "repetition_penalty": "repetition_penalty",
}  # fmt: skip
_OF_OPENAI = ("max_tokens", "temperature", "top_p", "stop")
_PREFIXES = {
    ("openai", "chat"): "openai/",
    ("openai", "completions"): "text-completion-openai/",
    ("openai", "responses"): "openai/responses/",
    ("anthropic", "chat"): "anthropic/",
    ("gemini", "chat"): "gemini/",
}


@dataclass(frozen=True, slots=True)
class Champion:
    """`declared`: by flywheel.toml; `release`: what it was resolved to; `model`: where a model of
    this machine lies, else its name at the hub or the API."""

    name: str
    declared: ReleaseSettings
    release: Release
    model: str

    @property
    def sampling(self) -> dict[str, Any]:
        """What is set, or sent whether it is set or not."""
        values = dict(self.release.sampling)
        values.pop("as_logged", None)
        if not values.get("stop", True):
            del values["stop"]
        return {key: value for key, value in values.items() if key not in self.declared.omit}


def as_environment(champion: Champion) -> str:
    """For a shell (`set -a; . FILE`)."""
    declared = champion.declared
    values: dict[str, str] = {
        "RELEASE": champion.name,
        "DIGEST": champion.release.digest,
        "MODEL": champion.model,
        "API": declared.api,
        "ENDPOINT": declared.endpoint if declared.api else "",
        "BASE_URL": declared.base_url,
        "API_KEY_ENV": declared.api_key_env,
        "BODY": _json(declared.body) if declared.body else "",
    }
    for key, value in champion.sampling.items():
        values[key.upper()] = value if isinstance(value, str) else _json(value)
    if any(messages is not None for messages in champion.release.prompts.values()):
        values["PROMPTS"] = _json(champion.release.prompts)
    lines = [f"CHAMPION_{key}={_quoted(value)}" for key, value in values.items() if value]
    return with_head(champion, "a shell: set -a; . FILE", (), "\n".join(lines) + "\n")


def as_vllm(champion: Champion) -> str:
    """For `vllm serve --config FILE`, which asks for a name that ends in .yaml. Raises UsageError
    where an API answers for the champion."""
    if champion.declared.api:
        raise UsageError(
            f"the champion {champion.name!r} is answered by an API, and vLLM serves models",
            received=champion.declared.api,
            allowed="env, litellm",
        )
    sampling, engine = champion.sampling, champion.release.engine
    generation = {_GENERATION[key]: value for key, value in sampling.items() if key in _GENERATION}
    values = {
        "model": champion.model,
        "served-model-name": MODEL_NAME,
        "dtype": engine.get("dtype", "auto"),
        "generation-config": "vllm",  # not the model's own defaults
        "override-generation-config": json.dumps(generation),
    }
    left_out = [*left_out_prompts(champion), *left_out_keys(sampling.keys() - _GENERATION.keys())]
    if quantization := engine.get("quantization"):
        left_out.append(f"{quantization} weights, which are this engine's own")
    if champion.model.endswith(".gguf"):
        left_out.append("the tokenizer: of a GGUF, vLLM takes --tokenizer of the model behind it")
    return with_head(champion, "vllm serve --config FILE.yaml", left_out, as_yaml(values))


def as_litellm(champion: Champion) -> str:
    """For `litellm --config FILE`."""
    declared, sampling = champion.declared, champion.sampling
    params: dict[str, Any] = {}
    if declared.api:
        prefix = _PREFIXES[declared.api, declared.endpoint]
        params["model"] = prefix + champion.model
        if declared.base_url:
            params["api_base"] = declared.base_url
        if declared.api_key_env:
            params["api_key"] = f"os.environ/{declared.api_key_env}"
    else:
        params["model"] = f"hosted_vllm/{MODEL_NAME}"
        params["api_base"] = f"os.environ/{SERVER_VARIABLE}"
    params |= {key: sampling[key] for key in _OF_OPENAI if key in sampling}
    if schema := sampling.get("json_schema"):
        told = {"name": "answer", "schema": json.loads(schema), "strict": True}
        params["response_format"] = {"type": "json_schema", "json_schema": told}
    rest = {k: v for k, v in sampling.items() if k not in (*_OF_OPENAI, "json_schema")}
    if declared.api in ("", "openai"):
        if extra := {**rest, **declared.body}:
            params["extra_body"] = extra
    else:
        params |= {**rest, **declared.body}
    info: dict[str, Any] = {"id": champion.release.digest, "release": champion.name}
    if declared.price.currency == "USD" and (declared.price.input or declared.price.output):
        info["input_cost_per_token"] = declared.price.input / 1e6
        info["output_cost_per_token"] = declared.price.output / 1e6
    value = {
        "model_list": [
            {"model_name": MODEL_NAME, "litellm_params": params, "model_info": info}
        ]
    }  # fmt: skip
    return with_head(champion, "litellm --config FILE", left_out_prompts(champion), as_yaml(value))


def with_head(champion: Champion, used_by: str, left_out: Sequence[str], text: str) -> str:
    """Names may hold anything, and a comment ends with its line."""
    head = [
        f"champion {champion.name}, digest {champion.release.digest}",
        f"for {used_by}",
        *(f"not in here: {what}" for what in left_out),
    ]
    return "".join(f"# {one_line(line)}\n" for line in head) + text


def left_out_prompts(champion: Champion) -> list[str]:
    """Whoever asks the model sends them."""
    tasks = [task for task, messages in sorted(champion.release.prompts.items()) if messages]
    if not tasks:
        return []
    return [f"the prompts of {', '.join(tasks)}, which whoever asks sends: "
            f"flywheel release show {champion.release.digest[:12]}"]  # fmt: skip


def left_out_keys(keys: Iterable[str]) -> list[str]:
    named = ", ".join(sorted(keys))
    return [f"{named}, which whoever asks sends"] if named else []


def as_yaml(*documents: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump_all(
        map(dict, documents), sort_keys=False, allow_unicode=False, width=1_000
    )
    return text


def _json(value: Any) -> str:
    """In ASCII and without an apostrophe, so that it stands between two as it is."""
    return json.dumps(value, ensure_ascii=True).replace("'", "\\u0027")


def _quoted(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else shlex.quote(value)
