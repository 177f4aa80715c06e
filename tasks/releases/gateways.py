"""The champion as configuration of gateways: Envoy AI Gateway and Kong. Pure.

Sources: the custom resources of Envoy AI Gateway (aigateway.envoyproxy.io/v1beta1) and the schema
of Kong's plugin ai-proxy, in the form that decK reads. Both speak to an API, so a model of this
machine is not theirs before something serves it and a release names that server.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from tasks.backends.hosted.wire import WIRES
from tasks.errors import UsageError
from tasks.releases.exported import (
    MODEL_NAME,
    Champion,
    as_yaml,
    left_out_keys,
    left_out_prompts,
    with_head,
)
from tasks.settings import ReleaseSettings

_GROUP = "aigateway.envoyproxy.io"
#: api → how Envoy AI Gateway calls what it speaks, and the path before its endpoints
_SCHEMAS = {
    "openai": ("OpenAI", ""),
    "anthropic": ("Anthropic", "/v1"),
    "gemini": ("OpenAI", "/v1beta/openai"),
}
_KONG_OPTIONS = ("max_tokens", "temperature", "top_p", "top_k")
_ANTHROPIC_VERSION = "2023-06-01"


def as_envoy(champion: Champion) -> str:
    """For `kubectl apply -f FILE`. Sampling takes the place of what a request says."""
    declared = _hosted(champion, "envoy")
    parts = urlsplit(_base_url(champion))
    port = parts.port or (443 if parts.scheme == "https" else 80)
    schema, prefix = _SCHEMAS[declared.api]
    named = {"name": MODEL_NAME, "namespace": "default"}
    backend = {"name": MODEL_NAME, "kind": "Backend", "group": "gateway.envoyproxy.io"}
    sampling = champion.sampling
    # what speaks to Gemini speaks OpenAI's API to it
    names = WIRES["anthropic" if declared.api == "anthropic" else "openai", "chat"].names
    body = {} if declared.api == "gemini" else declared.body
    fields = {names[key]: value for key, value in sampling.items() if key in names} | body
    documents = [
        _resource("AIGatewayRoute", named, {
            "parentRefs": [{
                "name": MODEL_NAME, "kind": "Gateway", "group": "gateway.networking.k8s.io",
            }],
            "rules": [{
                "matches": [{"headers": [
                    {"type": "Exact", "name": "x-ai-eg-model", "value": MODEL_NAME},
                ]}],
                "backendRefs": [{"name": MODEL_NAME, "modelNameOverride": champion.model}],
            }],
        }),
        _resource("AIServiceBackend", named, {
            "schema": {"name": schema, "prefix": parts.path + prefix},
            "backendRef": backend,
            "bodyMutation": {"set": [
                {"path": key, "value": json.dumps(value)} for key, value in fields.items()
            ]},
        }),
        {"apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "Backend", "metadata": named,
         "spec": {"endpoints": [_endpoint(parts.hostname or "", port)]}},
    ]  # fmt: skip
    if parts.scheme == "https":
        target = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": MODEL_NAME}
        documents.append(
            {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "BackendTLSPolicy",
             "metadata": named,
             "spec": {"targetRefs": [target], "validation": {
                 "wellKnownCACertificates": "System", "hostname": parts.hostname}}}
        )  # fmt: skip
    left_out = [
        *left_out_prompts(champion),
        *left_out_keys((sampling.keys() - names.keys()) | (declared.body.keys() - body.keys())),
    ]
    if variable := declared.api_key_env:
        is_claude = declared.api == "anthropic"
        key, kind = ("anthropicAPIKey", "AnthropicAPIKey") if is_claude else ("apiKey", "APIKey")
        documents.append(
            _resource("BackendSecurityPolicy", named, {
                "targetRefs": [{"group": _GROUP, "kind": "AIServiceBackend", "name": MODEL_NAME}],
                "type": kind,
                key: {"secretRef": {"name": f"{MODEL_NAME}-api-key", "namespace": "default"}},
            })
        )  # fmt: skip
        left_out.append(
            f"the key: kubectl create secret generic {MODEL_NAME}-api-key "
            f'--from-literal=apiKey="${variable}"'
        )
    left_out.append(f"the Gateway, which has the name {MODEL_NAME} here")
    return with_head(champion, "kubectl apply -f FILE", left_out, as_yaml(*documents))


def as_kong(champion: Champion) -> str:
    """For `deck gateway sync FILE`, which reads keys from variables that begin with DECK_."""
    declared, sampling = _hosted(champion, "kong"), champion.sampling
    options = {key: sampling[key] for key in _KONG_OPTIONS if key in sampling}
    if declared.api == "anthropic":
        options["anthropic_version"] = _ANTHROPIC_VERSION
    if declared.base_url:
        path = {"openai": "/chat/completions", "anthropic": "/v1/messages"}.get(declared.api, "")
        options["upstream_url"] = declared.base_url + path
    config: dict[str, Any] = {"route_type": "llm/v1/chat"}
    variable = f"DECK_{declared.api_key_env}"
    key = f'${{{{ env "{variable}" }}}}' if declared.api_key_env else "none"
    config["auth"] = _auth(declared.api, key)  # the plugin wants one, whoever is asked
    config["model"] = {"provider": declared.api, "name": champion.model, "options": options}
    value = {
        "_format_version": "3.0",
        "services": [{
            "name": MODEL_NAME,
            "url": "http://localhost:32000",  # Kong wants one, and the plugin answers before it
            "routes": [{"name": MODEL_NAME, "paths": [f"/{MODEL_NAME}"]}],
            "plugins": [{"name": "ai-proxy", "config": config}],
        }],
    }  # fmt: skip
    left_out = [
        *left_out_prompts(champion),
        *left_out_keys({*sampling, *declared.body} - {*_KONG_OPTIONS}),
    ]
    if declared.api_key_env:
        left_out.append(f'the key: export {variable}="${declared.api_key_env}"')
    return with_head(champion, "deck gateway sync FILE", left_out, as_yaml(value))


def _hosted(champion: Champion, name: str) -> ReleaseSettings:
    """What is declared. Raises UsageError where no API answers, or not by chat."""
    declared = champion.declared
    if declared.api and declared.endpoint == "chat":
        return declared
    raise UsageError(
        f"--format {name} is for a champion that an API answers for by chat",
        received=f"{champion.name!r}, {declared.endpoint if declared.api else 'a local model'}",
        allowed="env, litellm" if declared.api else "env, vllm, litellm",
        next=""
        if declared.api
        else "serve it, and declare that server as a release: api, base_url",
    )


def _base_url(champion: Champion) -> str:
    declared = champion.declared
    return declared.base_url or WIRES[declared.api, declared.endpoint].base_url


def _endpoint(host: str, port: int) -> dict[str, Any]:
    try:
        return {"ip": {"address": str(ip_address(host)), "port": port}}
    except ValueError:
        return {"fqdn": {"hostname": host, "port": port}}


def _auth(api: str, value: str) -> Mapping[str, str]:
    if api == "anthropic":
        return {"header_name": "x-api-key", "header_value": value}
    if api == "gemini":
        return {"param_name": "key", "param_value": value, "param_location": "query"}
    return {"header_name": "Authorization", "header_value": f"Bearer {value}"}


def _resource(kind: str, named: Mapping[str, str], spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": f"{_GROUP}/v1beta1", "kind": kind, "metadata": named, "spec": spec}
