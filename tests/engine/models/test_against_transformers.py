"""Every model family against transformers, the independent reference: random weights."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from engine import LLM, SamplingParams
from tests.engine.conftest import CACHE_BYTES, GPT2, VOCAB_SIZE, MakeModel

ROPE_LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
GEMMA = {
    "head_dim": 20,
    "sliding_window": 24,
    "query_pre_attn_scalar": 30,
    "num_hidden_layers": 3,
    "hidden_activation": "gelu_pytorch_tanh",
}
GEMMA3 = GEMMA | {
    "kind": "Gemma3",
    "config_class": "Gemma3TextConfig",
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
}
CASES: dict[str, dict[str, Any]] = {
    "grouped queries": {},
    "one head each": {"num_key_value_heads": 4},
    "one shared head": {"num_key_value_heads": 1},
    "tied": {"tie_word_embeddings": True},
    "biases": {"attention_bias": True, "mlp_bias": True},
    "head size of its own": {"head_dim": 16},
    "llama3 rope": {"rope_parameters": ROPE_LLAMA3},
    "linear rope": {
        "rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}
    },
    "sharded": {"shard": "40KB"},
    "mistral": {"kind": "Mistral", "sliding_window": None},
    "window": {"kind": "Mistral", "sliding_window": 24},
    "window of a block": {"kind": "Mistral", "sliding_window": 32, "head_dim": 20},
    "window of one": {"kind": "Mistral", "sliding_window": 1},
    "qwen2": {"kind": "Qwen2"},
    "qwen2, window above a layer": {
        "kind": "Qwen2",
        "use_sliding_window": True,
        "sliding_window": 20,
        "max_window_layers": 1,
    },
    "qwen3": {"kind": "Qwen3", "head_dim": 16},
    "qwen3, window by layer types": {
        "kind": "Qwen3",
        "use_sliding_window": True,
        "sliding_window": 20,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "gemma2": GEMMA | {"kind": "Gemma2"},
    "gemma2, tied, no caps": GEMMA
    | {
        "kind": "Gemma2",
        "tie_word_embeddings": True,
        "attn_logit_softcapping": None,
        "final_logit_softcapping": None,
    },
    "gemma3": GEMMA3,
    "gemma3, linear rope": GEMMA3
    | {
        "tie_word_embeddings": True,
        "rope_parameters": {
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
        },
    },
    "gpt2": GPT2,
    "gpt2, untied, odd heads": GPT2
    | {"hidden_size": 42, "num_attention_heads": 2, "n_inner": 50, "tie_word_embeddings": False},
    "qwen3 moe": {
        "kind": "Qwen3Moe",
        "num_experts": 8,
        "num_experts_per_tok": 3,
        "moe_intermediate_size": 40,
        "norm_topk_prob": True,
    },
    "qwen3 moe, shares not normalised": {
        "kind": "Qwen3Moe",
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 64,
        "norm_topk_prob": False,
    },
    "mixtral": {"kind": "Mixtral", "num_local_experts": 4, "sliding_window": 24},
}


def random_prompts(count: int, longest: int) -> list[list[int]]:
    rng = random.Random(0)
    return [
        [rng.randrange(VOCAB_SIZE) for _ in range(rng.randint(1, longest))] for _ in range(count)
    ]


def reference_logprobs(
    folder: Path, sequences: list[list[int]], dtype: str = "float32"
) -> list[Any]:
    """One batch, filled up on the right, where causal attention does not look."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
    longest = max(map(len, sequences))
    ids = torch.tensor([sequence + [0] * (longest - len(sequence)) for sequence in sequences])
    with torch.inference_mode():
        rows = torch.log_softmax(model(ids).logits.float(), -1)
    return [row[: len(sequence)] for row, sequence in zip(rows, sequences, strict=True)]


@pytest.mark.parametrize("name", CASES)
def test_greedy_tokens_and_logprobs_are_those_of_transformers(name: str, make_model: MakeModel):
    folder = make_model(**CASES[name])
    assert (name == "sharded") == (folder / "model.safetensors.index.json").exists()
    llm = LLM(folder, device="cpu", dtype="float32", kv_cache_bytes=16 * CACHE_BYTES)
    prompts = random_prompts(200, 60)
    completions = llm.generate(prompts, SamplingParams(max_tokens=4, logprobs=1))
    sequences = [[*p, *c.token_ids] for p, c in zip(prompts, completions, strict=True)]
    largest = 0.0
    for prompt, completion, expected in zip(
        prompts, completions, reference_logprobs(folder, sequences), strict=True
    ):
        assert completion.error is None
        rows = expected[len(prompt) - 1 : -1]
        assert rows.argmax(-1).tolist() == list(completion.token_ids)
        chosen = rows.gather(1, rows.argmax(-1)[:, None])[:, 0]
        differences = [
            abs(a - b) for a, b in zip(chosen.tolist(), completion.logprobs, strict=True)
        ]
        largest = max(largest, *differences)
    assert largest < 1e-3, f"largest difference {largest:.2e}"


NEAR = ("grouped queries", "window", "qwen3", "gemma2", "gemma3", "gpt2", "qwen3 moe", "mixtral")


@pytest.mark.parametrize("name", NEAR)
def test_bfloat16_logprobs_are_near_those_of_transformers(name: str, make_model: MakeModel):
    folder = make_model(**CASES[name] | {"initializer_range": 0.05})
    llm = LLM(folder, device="cpu", dtype="bfloat16", kv_cache_bytes=16 * CACHE_BYTES)
    sequences = [ids for ids in random_prompts(40, 60) if len(ids) > 1]
    differences = []
    expected = reference_logprobs(folder, sequences, "bfloat16")
    scores = llm.score([(ids[:1], ids[1:]) for ids in sequences])
    for ids, score, rows in zip(sequences, scores, expected, strict=True):
        wanted = [rows[i, token].item() for i, token in enumerate(ids[1:])]
        differences += [abs(a - b) for a, b in zip(wanted, score.token_logprobs, strict=True)]
    mean = sum(differences) / len(differences)
    assert 0 < mean <= 0.02, f"mean difference {mean:.4f}"


def test_text_part_of_a_gemma3_with_images(tmp_path: Path, make_model: MakeModel):
    """Same weights under the names and in the configuration of the larger model."""
    import torch
    import transformers

    text = transformers.Gemma3TextConfig(
        **(GEMMA3 | {"vocab_size": VOCAB_SIZE, "hidden_size": 48, "intermediate_size": 96})
    )
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    vision |= {"num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    torch.manual_seed(0)
    model = transformers.Gemma3ForConditionalGeneration(
        transformers.Gemma3Config(text_config=text.to_dict(), vision_config=vision)
    ).eval()
    model.save_pretrained(tmp_path)
    llm = LLM(tmp_path, device="cpu", dtype="float32", kv_cache_bytes=CACHE_BYTES)
    ids = list(range(5, 60))
    with torch.inference_mode():
        rows = torch.log_softmax(model(torch.tensor([ids])).logits[0].float(), -1)
    wanted = [rows[i, token].item() for i, token in enumerate(ids[1:])]
    assert llm.score([(ids[:1], ids[1:])])[0].token_logprobs == pytest.approx(wanted, abs=1e-3)


def test_scores_are_those_of_transformers(plain: LLM, plain_folder: Path):
    context, *rest = random_prompts(9, 70)
    pairs = [(context, continuation) for continuation in rest]
    expected = reference_logprobs(plain_folder, [context + c for c in rest])
    for (_, continuation), score, rows in zip(pairs, plain.score(pairs), expected, strict=True):
        wanted = [rows[len(context) - 1 + i, token].item() for i, token in enumerate(continuation)]
        assert score.error is None
        assert score.token_logprobs == pytest.approx(wanted, abs=1e-3)
        assert score.logprob == pytest.approx(sum(wanted), abs=1e-2)
        assert score.num_tokens == len(continuation)


def test_greedy_continuation_is_recognised(plain: LLM):
    prompt = [5, 6, 7]
    greedy = plain.generate([prompt], SamplingParams(max_tokens=5))[0].token_ids
    other = (*greedy[:4], (greedy[4] + 1) % VOCAB_SIZE)
    assert [s.is_greedy for s in plain.score([(prompt, greedy), (prompt, other)])] == [True, False]
