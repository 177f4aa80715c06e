"""Every model family against transformers, the independent reference: float32, random weights."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from engine import LLM, SamplingParams
from tests.engine.conftest import CACHE_BYTES, VOCAB_SIZE, MakeModel

ROPE_LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
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
    "qwen2": {"kind": "Qwen2"},
    "qwen3": {"kind": "Qwen3", "head_dim": 16},
}


def random_prompts(count: int, longest: int) -> list[list[int]]:
    rng = random.Random(0)
    return [
        [rng.randrange(VOCAB_SIZE) for _ in range(rng.randint(1, longest))] for _ in range(count)
    ]


def reference_logprobs(folder: Path, sequences: list[list[int]]) -> list[Any]:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        return [
            torch.log_softmax(model(torch.tensor([ids])).logits[0].float(), -1) for ids in sequences
        ]


@pytest.mark.parametrize("name", CASES)
def test_greedy_tokens_and_logprobs_are_those_of_transformers(name: str, make_model: MakeModel):
    folder = make_model(**CASES[name])
    assert (name == "sharded") == (folder / "model.safetensors.index.json").exists()
    llm = LLM(folder, device="cpu", dtype="float32", kv_cache_bytes=8 * CACHE_BYTES)
    prompts = random_prompts(6, 90)
    completions = llm.generate(prompts, SamplingParams(max_tokens=12, logprobs=1))
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
