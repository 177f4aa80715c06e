"""What is handed to gateways and servers, read back by YAML and by a shell."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from typing import Any

import pytest
import yaml

from tasks.errors import UsageError
from tasks.model.release import Release
from tasks.releases.exported import Champion, as_environment, as_litellm, as_vllm
from tasks.releases.gateways import as_envoy, as_kong
from tasks.settings import ReleaseSettings
from tests.tasks.releases.made import hosted, local

HOSTILE = "new\n- rm -rf 'x' \u202e # $(id)"


def of_api(**declared: Any) -> Champion:
    values = {"api": "openai", "model": "gpt", "base_url": "https://a.example/v1",
              "api_key_env": "GATE_KEY", **declared}  # fmt: skip
    return Champion("new", ReleaseSettings.model_validate(values), hosted("new"), values["model"])


def of_engine(release: Release | None = None, **declared: Any) -> Champion:
    settings = ReleaseSettings.model_validate({"model": "m.gguf", **declared})
    return Champion("new", settings, release or local("new"), "/models/m")


def sourced(text: str, *names: str) -> list[str]:
    """What a shell makes of it."""
    script = text + "".join(f'printf "%s\\0" "${name}"\n' for name in names)
    done = subprocess.run(["sh", "-eu", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.split("\0")[:-1]


def test_a_shell_reads_what_the_release_is():
    champion = of_engine(local("new", prompt="Say 'yes', \"no\" or $HOME\n\\n é"))
    names = ("RELEASE", "DIGEST", "MODEL", "MAX_TOKENS", "TEMPERATURE", "PROMPTS")
    told = sourced(as_environment(champion), *(f"CHAMPION_{name}" for name in names))
    assert told[:5] == ["new", champion.release.digest, "/models/m", "8", "0.0"]
    assert json.loads(told[5]) == champion.release.prompts
    hostile = replace(champion, name=HOSTILE)
    assert sourced(as_environment(hostile), "CHAMPION_RELEASE") == [HOSTILE]
    api = of_api(body={"effort": "it's low"}, omit=["temperature"])
    text = as_environment(api)
    assert "CHAMPION_TEMPERATURE" not in text
    key, body = sourced(text, "CHAMPION_API_KEY_ENV", "CHAMPION_BODY")
    assert (key, json.loads(body)) == ("GATE_KEY", {"effort": "it's low"})


def test_vllm_is_given_the_model_and_how_it_draws():
    release = local("new", dtype="bfloat16", quantization="int8")
    sampling = {**release.sampling, "temperature": 0.7, "top_k": 5, "stop": ["."]}
    text = as_vllm(replace(of_engine(replace(release, sampling=sampling)), name=HOSTILE))
    values = yaml.safe_load(text)
    assert {key: value for key, value in values.items() if "override" not in key} == {
        "model": "/models/m", "served-model-name": "champion", "dtype": "bfloat16",
        "generation-config": "vllm",
    }  # fmt: skip
    assert json.loads(values["override-generation-config"]) == {
        "max_new_tokens": 8, "temperature": 0.7, "top_p": 1.0, "top_k": 5,
    }  # fmt: skip
    for told in ("the prompts of default", "stop, which whoever asks sends", "int8 weights"):
        assert f"# not in here: {told}" in text
    with pytest.raises(UsageError, match="answered by an API"):
        as_vllm(of_api())


def test_litellm_is_given_who_answers_and_a_name_of_the_key():
    price = {"input": 1.25, "output": 10.0}
    (entry,) = yaml.safe_load(as_litellm(of_api(price=price, body={"effort": "low"})))["model_list"]
    assert entry == {
        "model_name": "champion",
        "litellm_params": {
            "model": "openai/gpt", "api_base": "https://a.example/v1",
            "api_key": "os.environ/GATE_KEY", "max_tokens": 8, "temperature": 0.5,
            "extra_body": {"effort": "low"},
        },
        "model_info": {
            "id": hosted("new").digest, "release": "new", "input_cost_per_token": 1.25e-6,
            "output_cost_per_token": 1e-5,
        },
    }  # fmt: skip
    for declared, model in (
        ({"endpoint": "completions"}, "text-completion-openai/gpt"),
        ({"endpoint": "responses"}, "openai/responses/gpt"),
        ({"api": "anthropic", "base_url": ""}, "anthropic/gpt"),
        ({"api": "gemini", "base_url": ""}, "gemini/gpt"),
    ):
        (entry,) = yaml.safe_load(as_litellm(of_api(**declared)))["model_list"]
        assert entry["litellm_params"]["model"] == model


def test_litellm_asks_a_server_for_a_model_of_this_machine():
    release = local("new")
    schema = {"type": "object"}
    sampling = {**release.sampling, "top_k": 5, "stop": ["."], "json_schema": json.dumps(schema)}
    text = as_litellm(replace(of_engine(replace(release, sampling=sampling)), name=HOSTILE))
    (entry,) = yaml.safe_load(text)["model_list"]
    assert entry["litellm_params"] == {
        "model": "hosted_vllm/champion", "api_base": "os.environ/CHAMPION_BASE_URL",
        "max_tokens": 8, "temperature": 0.0, "top_p": 1.0, "stop": ["."],
        "response_format": {"type": "json_schema", "json_schema": {
            "name": "answer", "schema": schema, "strict": True}},
        "extra_body": {"top_k": 5},
    }  # fmt: skip
    assert entry["model_info"]["release"] == HOSTILE
    assert all(line.startswith("# ") for line in text.splitlines()[:3])


def test_envoy_is_given_a_route_a_backend_and_the_name_of_a_secret():
    text = as_envoy(replace(of_api(body={"effort": "low"}), name=HOSTILE))
    documents = {one["kind"]: one["spec"] for one in yaml.safe_load_all(text)}
    route, service = documents["AIGatewayRoute"], documents["AIServiceBackend"]
    assert route["rules"][0]["backendRefs"] == [{"name": "champion", "modelNameOverride": "gpt"}]
    assert service["schema"] == {"name": "OpenAI", "prefix": "/v1"}
    assert {one["path"]: json.loads(one["value"]) for one in service["bodyMutation"]["set"]} == {
        "max_tokens": 8, "temperature": 0.5, "effort": "low",
    }  # fmt: skip
    assert documents["Backend"]["endpoints"] == [{"fqdn": {"hostname": "a.example", "port": 443}}]
    assert documents["BackendTLSPolicy"]["validation"]["hostname"] == "a.example"
    policy = documents["BackendSecurityPolicy"]
    assert policy["type"] == "APIKey"
    assert policy["apiKey"]["secretRef"]["name"] == "champion-api-key"
    assert '--from-literal=apiKey="$GATE_KEY"' in text
    plain = of_api(base_url="http://10.0.0.7:8000/v1", api_key_env="")
    kinds = {one["kind"]: one["spec"] for one in yaml.safe_load_all(as_envoy(plain))}
    assert kinds["Backend"]["endpoints"] == [{"ip": {"address": "10.0.0.7", "port": 8000}}]
    assert "BackendTLSPolicy" not in kinds
    assert "BackendSecurityPolicy" not in kinds
    claude = as_envoy(of_api(api="anthropic", base_url=""))
    kinds = {one["kind"]: one["spec"] for one in yaml.safe_load_all(claude)}
    assert kinds["AIServiceBackend"]["schema"] == {"name": "Anthropic", "prefix": "/v1"}
    assert kinds["BackendSecurityPolicy"]["type"] == "AnthropicAPIKey"
    gemini = as_envoy(of_api(api="gemini", base_url="", body={"labels": {}}))
    kinds = {one["kind"]: one["spec"] for one in yaml.safe_load_all(gemini)}
    assert kinds["AIServiceBackend"]["schema"]["prefix"] == "/v1beta/openai"
    assert "# not in here: labels" in gemini


def test_kong_is_given_a_plugin_and_the_name_of_a_variable():
    def config(**declared: Any) -> dict[str, Any]:
        (service,) = yaml.safe_load(as_kong(of_api(**declared)))["services"]
        (plugin,) = service["plugins"]
        assert plugin["name"] == "ai-proxy"
        return dict(plugin["config"])

    assert config() == {
        "route_type": "llm/v1/chat",
        "auth": {"header_name": "Authorization",
                 "header_value": 'Bearer ${{ env "DECK_GATE_KEY" }}'},
        "model": {"provider": "openai", "name": "gpt", "options": {
            "max_tokens": 8, "temperature": 0.5,
            "upstream_url": "https://a.example/v1/chat/completions"}},
    }  # fmt: skip
    claude = config(api="anthropic", base_url="")
    assert claude["auth"]["header_name"] == "x-api-key"
    assert claude["model"]["options"]["anthropic_version"] == "2023-06-01"
    assert config(api="gemini", base_url="")["auth"] == {
        "param_name": "key", "param_value": '${{ env "DECK_GATE_KEY" }}', "param_location": "query",
    }  # fmt: skip
    assert config(api_key_env="")["auth"]["header_value"] == "Bearer none"
    text = as_kong(of_api(body={"effort": "low"}))
    assert "# not in here: effort, which whoever asks sends" in text
    assert 'export DECK_GATE_KEY="$GATE_KEY"' in text


@pytest.mark.parametrize("export", [as_envoy, as_kong])
def test_a_gateway_is_given_nothing_that_no_api_answers(export: Any):
    for champion in (of_engine(), of_api(endpoint="responses")):
        with pytest.raises(UsageError, match="that an API answers for by chat"):
            export(champion)
