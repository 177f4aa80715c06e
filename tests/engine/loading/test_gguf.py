"""GGUF files: written here with random weights, read back against the folder they were made of."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch

from engine import LLM, SamplingParams
from engine.errors import ModelLoadError
from engine.loading.model_files import load_model_files
from engine.models.weights import own_weights
from tests.engine.conftest import GPT2, MakeModel
from tests.engine.loading.gguf_files import write_gguf

HEADS, HIDDEN, INNER = 4, 64, 128
PROMPTS = [[5, 6, 7], list(range(40)), [99]]


@pytest.fixture(scope="module")
def folder(make_model: MakeModel) -> Path:
    return make_model(hidden_size=HIDDEN, intermediate_size=INNER)


@pytest.fixture(scope="module")
def with_tokenizer(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "model.gguf"
    return write_gguf(path, folder, gguf.GGMLQuantizationType.F32, tokenizer=True)


def load(path: Path) -> LLM:
    return LLM(path, device="cpu", dtype="float32", kv_cache_bytes=1 << 20)


def test_float_weights_answer_as_the_folder_does(folder: Path, with_tokenizer: Path):
    params = SamplingParams(max_tokens=8, logprobs=1)
    from_gguf, from_folder = load(with_tokenizer), load(folder)
    from_gguf._engine.end_ids = frozenset()
    assert from_gguf.generate(PROMPTS, params) != []
    for a, b in zip(
        from_gguf.generate(PROMPTS, params), from_folder.generate(PROMPTS, params), strict=True
    ):
        assert a.token_ids == b.token_ids
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-5)


@pytest.mark.parametrize(
    ("kind", "tolerance"), [("F16", 1e-2), ("BF16", 0.1), ("Q8_0", 0.1), ("Q4_1", 3.0)]
)
def test_quantised_weights_are_near(
    kind: str, tolerance: float, folder: Path, tmp_path: Path, with_tokenizer: Path
):
    path = write_gguf(tmp_path / "m.gguf", folder, gguf.GGMLQuantizationType[kind], tokenizer=True)
    exact, near = (load_model_files(p).read_weights() for p in (with_tokenizer, path))
    assert set(exact) == set(near)
    largest = max(float((exact[name] - near[name]).abs().max()) for name in exact)
    assert 0 < largest < tolerance * 0.2 / 3 * 2


def test_tokenizer_is_built_from_the_metadata(with_tokenizer: Path):
    llm = load(with_tokenizer)
    assert llm.tokenizer("ab<|im_end|>").input_ids == [1, 159, 2]
    assert llm.tokenizer.decode([159, 2], skip_special_tokens=True) == "ab"
    assert llm._engine.end_ids == {2}
    chat, text, bad = llm.generate(
        [[{"role": "user", "content": "ab"}], "ab", [{"role": "user", "content": "bad"}]]
    )
    assert (chat.num_prompt_tokens, text.num_prompt_tokens) == (1, 2)
    assert "chat template refuses these messages: no" in (bad.error or "")


def test_score_splits_where_the_joint_text_does(with_tokenizer: Path):
    codec = load(with_tokenizer)._intake.text
    b = codec.tokenizer("b").input_ids[1]
    a = codec.tokenizer("a").input_ids[1]
    assert codec.encode_after(codec.context("x "), "a")[1] == codec.tokenizer(" a").input_ids[1:]
    # "ab" would be one token: kept apart
    assert codec.encode_after(codec.context("a"), "b") == ([1, a], [b])
    assert codec.encode_after(codec.context(""), "ab") == ([1], [159])


def test_tensor_without_a_place_is_named(folder: Path, tmp_path: Path):
    extra = {"blk.0.mystery.weight": np.ones(4, dtype=np.float32)}
    kind = gguf.GGMLQuantizationType.F32
    path = write_gguf(tmp_path / "m.gguf", folder, kind, extra=extra)
    with pytest.raises(ModelLoadError, match=r"unexpected tensor 'blk.0.mystery.weight'"):
        load(path)


def test_file_without_tokenizer_is_refused(folder: Path, tmp_path: Path):
    path = write_gguf(tmp_path / "m.gguf", folder, gguf.GGMLQuantizationType.F32)
    with pytest.raises(ModelLoadError, match=r"tokenizer.ggml.tokens is missing"):
        load(path)


def test_other_architecture_is_named(tmp_path: Path):
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "mamba")
    writer.add_tensor("a", np.ones(4, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelLoadError, match="architecture 'mamba' is not supported"):
        load(tmp_path / "m.gguf")


def header(num_values: int, body: bytes, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, 0, num_values) + body + b"\0" * 32


KEY = struct.pack("<Q", 1) + b"k"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"GGUF", "4 bytes are too few"),
        (b"PK\3\4" + b"x" * 40, "this is not a GGUF file"),
        (header(0, b"", version=1), "GGUF version 1 is not supported"),
        (header(1, struct.pack("<Q", 2**60)), "It is cut off or damaged"),
        (header(1, KEY + struct.pack("<I", 77)), "a value of unknown type 77"),
        (header(1, KEY + struct.pack("<IIQ", 9, 9, 1)), "array of unsupported type 9"),
        (header(1, KEY + struct.pack("<IIQ", 9, 8, 2**50)), "the file is smaller"),
        (header(1, KEY + struct.pack("<IIQ", 9, 4, 2**61)), "It is cut off or damaged"),
    ],
)
def test_damaged_header_is_refused(content: bytes, message: str, tmp_path: Path):
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelLoadError, match=message):
        load(path)


def test_cut_off_file_names_the_tensor(with_tokenizer: Path, tmp_path: Path):
    path = tmp_path / "m.gguf"
    path.write_bytes(with_tokenizer.read_bytes()[:-5000])
    with pytest.raises(ModelLoadError, match=r"but tensor .* reaches to byte"):
        load(path)


@pytest.fixture
def entry_patch(with_tokenizer: Path, tmp_path: Path) -> Callable[[int, int], Path]:
    """Overwrites 4 bytes of the first tensor's description (dimensions at 0, type at 20)."""

    def patch(offset: int, value: int) -> Path:
        content = bytearray(with_tokenizer.read_bytes())
        name = b"token_embd.weight"
        start = content.index(name) + len(name) + offset
        content[start : start + 4] = struct.pack("<I", value)
        path = tmp_path / "patched.gguf"
        path.write_bytes(content)
        return path

    return patch


def test_strange_tensor_descriptions_are_refused(entry_patch: Callable[[int, int], Path]):
    with pytest.raises(ModelLoadError, match="has 9 dimensions"):
        load(entry_patch(0, 9))
    with pytest.raises(ModelLoadError, match="unknown quantisation type 999"):
        load(entry_patch(20, 999))
    with pytest.raises(ModelLoadError, match="not whole blocks of Q4_K"):
        load(entry_patch(20, 12))


def test_rope_factors_divide_the_frequencies(make_model: MakeModel, tmp_path: Path):
    """Eight equal factors are what a linear scaling by that factor is."""
    linear = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}
    scaled = make_model(hidden_size=HIDDEN, intermediate_size=INNER, rope_parameters=linear)
    path = write_gguf(
        tmp_path / "m.gguf",
        scaled,
        gguf.GGMLQuantizationType.F32,
        tokenizer=True,
        extra={"rope_freqs.weight": np.full(HIDDEN // HEADS // 2, 4, dtype=np.float32)},
    )
    from_gguf = load(path)
    from_gguf._engine.end_ids = frozenset()
    params = SamplingParams(max_tokens=8)
    answers = [llm.generate(PROMPTS, params) for llm in (from_gguf, load(scaled))]
    assert [c.token_ids for c in answers[0]] == [c.token_ids for c in answers[1]]


FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "biased qwen2": ("qwen2", {"kind": "Qwen2"}),
    "qwen3": ("qwen3", {"kind": "Qwen3", "head_dim": 16}),
    "gemma2": (
        "gemma2",
        {
            "kind": "Gemma2",
            "head_dim": 16,
            "query_pre_attn_scalar": 16,
            "sliding_window": 24,
            "tie_word_embeddings": True,
        },
    ),
    "gemma3": (
        "gemma3",
        {
            "kind": "Gemma3",
            "config_class": "Gemma3TextConfig",
            "num_hidden_layers": 7,
            "head_dim": 16,
            "query_pre_attn_scalar": 16,
            "sliding_window": 24,
            "hidden_size": 32,
            "tie_word_embeddings": True,
        },
    ),
    "gpt2": ("gpt2", GPT2),
    "qwen3 moe": (
        "qwen3moe",
        {
            "kind": "Qwen3Moe",
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 40,
            "norm_topk_prob": True,
            "head_dim": 16,
        },
    ),
    "mixtral": ("llama", {"kind": "Mixtral", "num_local_experts": 4, "head_dim": 12}),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_families_are_read_as_their_folders_are(name: str, make_model: MakeModel, tmp_path: Path):
    """Same configuration, same weights; what they compute is compared with transformers."""
    architecture, settings = FAMILIES[name]
    folder = make_model(**settings)
    path = write_gguf(tmp_path / "m.gguf", folder, architecture=architecture)
    read, expected = load_model_files(path), load_model_files(folder)
    assert read.config.rms_norm_eps == pytest.approx(expected.config.rms_norm_eps)
    assert replace(read.config, rms_norm_eps=0) == replace(expected.config, rms_norm_eps=0)
    weights, wanted = (own_weights(f.config, f.read_weights()) for f in (read, expected))
    assert set(weights) == set(wanted)
    for key, weight in wanted.items():
        torch.testing.assert_close(weights[key], weight, rtol=0, atol=1e-7)
