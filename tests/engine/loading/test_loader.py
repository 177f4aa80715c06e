"""Model folders: what is read, and what is refused with which words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine import LLM, model_digest
from engine.errors import ModelLoadError, UnsupportedModelError, shorten
from engine.loading.hub import resolve_model
from tests.engine.conftest import GPT2, MakeModel

Change = Callable[[Path], None]


def edit_config(**changes: Any) -> Change:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def edit_weights(edit: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    def change(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        edit(weights)
        save_file(weights, folder / "model.safetensors")

    return change


def only_pickles(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def cut_off(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:500])


FAULTS: dict[str, tuple[Change, str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), "not a model folder: there is no config"),
    "config is no JSON": (lambda f: _write(f / "config.json", "{"), "not readable as JSON"),
    "config is a list": (lambda f: _write(f / "config.json", "[]"), "must be a JSON object"),
    "architecture": (
        edit_config(architectures=["BertForMaskedLM"]),
        "BertForMaskedLM is not supported. Supported: GPT2LMHeadModel, Gemma2ForCausalLM",
    ),
    "no architecture": (edit_config(architectures=None), "model_type 'llama' is not supported"),
    "activation": (edit_config(hidden_act="gelu"), "hidden_act 'gelu' is not supported"),
    "partial rotary": (edit_config(partial_rotary_factor=0.5), "partial_rotary_factor 0.5"),
    "quantised": (edit_config(quantization_config={"bits": 4}), "quantised safetensors"),
    "rope": (
        edit_config(rope_parameters={"rope_type": "yarn", "factor": 2}),
        "RoPE scaling 'yarn' is not supported",
    ),
    "vocabulary": (edit_config(vocab_size="many"), "vocab_size is 'many'"),
    "heads": (edit_config(num_key_value_heads=3), "4 is not a multiple of num_key_value_heads 3"),
    "missing key": (
        edit_weights(lambda w: w.pop("model.layers.1.mlp.up_proj.weight")),
        "missing weights: model.layers.1.mlp.up_proj.weight",
    ),
    "unexpected key": (
        edit_weights(lambda w: w.update({"model.extra.weight": torch.ones(2)})),
        "unexpected weights: model.extra.weight",
    ),
    "wrong shape": (
        edit_weights(lambda w: w.update({"model.norm.weight": torch.ones(5)})),
        r"model.norm.weight is \(5,\) instead of \(48,\)",
    ),
    "pickles": (only_pickles, r"only pickled weights \(pytorch_model.bin\)"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "neither model.safetensors nor"),
    "cut off": (cut_off, "not readable as safetensors"),
    "tokenizer": (lambda f: _write(f / "tokenizer.json", "{}"), "the tokenizer cannot be read"),
}


def _write(path: Path, text: str) -> None:
    path.write_text(text)


@pytest.mark.parametrize("name", FAULTS)
def test_fault_of_a_folder_is_named(name: str, plain_folder: Path, tmp_path: Path):
    change, message = FAULTS[name]
    folder = tmp_path / "model"
    shutil.copytree(plain_folder, folder)
    change(folder)
    with pytest.raises(ModelLoadError, match=message):
        LLM(folder, device="cpu")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda f, shards: shards[0].unlink(), "of .* shards are missing: model-00001"),
        (
            lambda f, shards: save_file({"other": torch.ones(1)}, shards[0]),
            "the index promises weights that this shard lacks",
        ),
        (
            lambda f, shards: _write(
                f / "model.safetensors.index.json", '{"weight_map": {"a": "../../secret"}}'
            ),
            "names files outside the folder: ../../secret",
        ),
        (lambda f, shards: _write(f / "model.safetensors.index.json", "{}"), "has no weight_map"),
    ],
)
def test_fault_of_a_sharded_folder_is_named(
    make_model: MakeModel, edit: Callable[[Path, list[Path]], None], message: str
):
    folder = make_model(shard="40KB")
    edit(folder, sorted(folder.glob("model-*.safetensors")))
    with pytest.raises(ModelLoadError, match=message):
        LLM(folder, device="cpu")


EXPERTS = {"kind": "Qwen3Moe", "num_experts": 4, "moe_intermediate_size": 32}
GEMMA3 = {"kind": "Gemma3", "config_class": "Gemma3TextConfig", "sliding_window": 24}
FAMILY_FAULTS: dict[str, tuple[dict[str, Any], Change, str]] = {
    "bidirectional": (
        GEMMA3,
        edit_config(use_bidirectional_attention=True),
        "use_bidirectional_attention True is not supported. Supported: False",
    ),
    "layer types": (
        GEMMA3,
        edit_config(layer_types=["chunked_attention", "full_attention"]),
        "2 entries for 2 layers, unknown: chunked_attention. Supported: full_attention",
    ),
    "too few layer types": (GEMMA3, edit_config(layer_types=["full_attention"]), "has 1 entries"),
    "window": (GEMMA3, edit_config(sliding_window="wide"), "sliding_window is 'wide'"),
    "local rope": (
        GEMMA3,
        edit_config(
            rope_parameters={
                "full_attention": {"rope_type": "default", "rope_theta": 1e6},
                "sliding_attention": {"rope_type": "linear", "factor": 2},
            }
        ),
        "RoPE scaling 'linear' of the layers with a window is not supported",
    ),
    "other gelu": (
        GEMMA3,
        edit_config(hidden_activation="gelu"),
        "hidden_act 'gelu' is not supported. Supported: 'gelu_pytorch_tanh'",
    ),
    "gemma norm": (
        GEMMA3,
        edit_weights(lambda w: w.pop("model.layers.0.pre_feedforward_layernorm.weight")),
        "missing weights: model.layers.0.pre_feedforward_layernorm.weight",
    ),
    "relu": (GPT2, edit_config(activation_function="relu"), "'gelu_new', 'gelu_pytorch_tanh'"),
    "layer scale": (
        GPT2,
        edit_config(scale_attn_by_inverse_layer_idx=True),
        "scale_attn_by_inverse_layer_idx True is not supported",
    ),
    "gpt2 position": (
        GPT2,
        edit_weights(lambda w: w.pop("transformer.wpe.weight")),
        "missing weights: transformer.wpe.weight",
    ),
    "gpt2 shape": (
        GPT2,
        edit_weights(lambda w: w.update({"transformer.h.0.attn.c_attn.weight": torch.ones(2, 3)})),
        r"transformer.h.0.attn.c_attn.weight is \(2, 3\) instead of \(48, 144\)",
    ),
    "gpt2 vocabulary": (
        GPT2,
        edit_config(vocab_size=161),
        r"transformer.wte.weight is \(160, 48\) instead of \(161, 48\)",
    ),
    "no number of experts": (EXPERTS, edit_config(num_experts=0), "num_experts is 0"),
    "some layers without experts": (
        EXPERTS,
        edit_config(mlp_only_layers=[1]),
        r"mlp_only_layers \[1\] is not supported",
    ),
    "missing expert": (
        EXPERTS,
        edit_weights(lambda w: w.pop("model.layers.1.mlp.experts.3.down_proj.weight")),
        "missing weights: model.layers.1.mlp.experts.3.down_proj.weight",
    ),
    "expert too many": (
        EXPERTS,
        edit_weights(
            lambda w: w.update({"model.layers.1.mlp.experts.4.up_proj.weight": torch.ones(1)})
        ),
        "unexpected weights: model.layers.1.mlp.experts.4.up_proj.weight",
    ),
    "mixtral router": (
        {"kind": "Mixtral", "num_local_experts": 4},
        edit_weights(lambda w: w.pop("model.layers.0.block_sparse_moe.gate.weight")),
        "missing weights: model.layers.0.block_sparse_moe.gate.weight",
    ),
}


@pytest.mark.parametrize("name", FAMILY_FAULTS)
def test_fault_of_a_family_is_named(name: str, make_model: MakeModel):
    settings, change, message = FAMILY_FAULTS[name]
    folder = make_model(**settings)
    change(folder)
    with pytest.raises(ModelLoadError, match=message):
        LLM(folder, device="cpu")


def test_gpt2_names_without_their_prefix_and_buffers_are_understood(make_model: MakeModel):
    """As in the first checkpoint of all."""

    def strip(weights: dict[str, torch.Tensor]) -> None:
        for name in list(weights):
            weights[name.removeprefix("transformer.")] = weights.pop(name)
        weights["h.0.attn.bias"] = torch.ones(1, 1, 512, 512)

    folder = make_model(**GPT2)
    expected = LLM(folder, device="cpu", kv_cache_bytes=1 << 20).score([([1], [2, 3])])
    edit_weights(strip)(folder)
    assert LLM(folder, device="cpu", kv_cache_bytes=1 << 20).score([([1], [2, 3])]) == expected


def test_end_token_is_read_from_the_generation_config(plain_folder: Path, tmp_path: Path):
    folder = tmp_path / "model"
    shutil.copytree(plain_folder, folder)
    (folder / "generation_config.json").write_text('{"eos_token_id": [3, 4]}')
    assert LLM(folder, device="cpu", kv_cache_bytes=1 << 20)._engine.end_ids == {3, 4}


def test_pickled_file_is_refused(tmp_path: Path):
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(b"x")
    with pytest.raises(ModelLoadError, match="pickled weights can run code"):
        LLM(path, device="cpu")


def test_model_that_is_nowhere_is_refused():
    with pytest.raises(ModelLoadError, match=r"does not exist. Give a model folder"):
        LLM("./no/such/folder")


def test_hub_id_without_network_says_so(monkeypatch: pytest.MonkeyPatch):
    import huggingface_hub

    def offline(*args: object, **kwargs: Any) -> str:
        assert not any("bin" in pattern or ".py" in pattern for pattern in kwargs["allow_patterns"])
        raise OSError("no network\nlong story")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(ModelLoadError, match="could not be fetched from the hub: no network Down"):
        resolve_model("owner/some-model")


def test_unsupported_is_a_load_error_and_names_are_shortened():
    assert issubclass(UnsupportedModelError, ModelLoadError)
    assert shorten(["a", "b", "c"], limit=2) == "a, b and 1 more"


def test_digest_follows_the_content_and_not_the_place(plain_folder: Path, tmp_path: Path):
    copy = tmp_path / "copy"
    shutil.copytree(plain_folder, copy)
    (copy / "README.md").write_text("not part of the model")
    assert model_digest(copy) == model_digest(plain_folder)
    edit_config(rope_theta=5)(copy)
    assert model_digest(copy) != model_digest(plain_folder)
    assert len(model_digest(copy)) == 64


def test_digest_of_a_file_is_its_sha256(tmp_path: Path):
    path = tmp_path / "m.gguf"
    path.write_bytes(b"abc")
    assert model_digest(path).startswith("ba7816bf")
    with pytest.raises(ModelLoadError, match="does not exist"):
        model_digest(tmp_path / "absent")
    with pytest.raises(ModelLoadError, match="holds no"):
        model_digest(tmp_path)
