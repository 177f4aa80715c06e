"""The real model, SmolLM2-135M-Instruct in Q4_1, against transformers on the same dequantised
float32 weights.
"""

from __future__ import annotations

import gzip
import json
import math
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import LLM, SamplingParams
from tasks.backends.base import Ask
from tasks.backends.weighing import weighed_reply
from tasks.curate.modes import Mode
from tasks.curate.suites import parse_suite
from tasks.model.likelihoods import from_text
from tasks.scoring.instrument import instrument

QUESTIONS = [
    "What is the capital of France?",
    "Name three colours.",
    "Write one sentence about rain.",
    "What is 7 plus 5?",
    "Translate 'good morning' into Spanish.",
    "Is the sun a star?",
    "Give me a synonym of happy.",
    "Who wrote Hamlet?",
    "List two fruits.",
    "How many days has a week?",
]
TEXTS = [
    "The quick brown fox",
    "Once upon a time",
    "def add(a, b):\n    return",
    "1, 2, 3, 4,",
    "Dear Sir or Madam, " * 12,
    "In 1969",
    "The opposite of hot is",
    "import numpy as",
    "Water boils at",
    "To be or not to be, that is",
]


def independent_weights(path: Path) -> dict[str, torch.Tensor]:
    """The file read with gguf's own reader and names turned here, apart from the engine's
    loader.
    """
    from gguf import GGUFReader, dequantize

    parts = {
        "attn_norm": "input_layernorm",
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_norm": "post_attention_layernorm",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    }
    weights = {}
    for tensor in GGUFReader(str(path)).tensors:
        values = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy()).float()
        if tensor.name.startswith("blk."):
            _, layer, part, _ = tensor.name.split(".")
            heads = {"attn_q": 9, "attn_k": 3}.get(part)
            if heads:
                split = values.reshape(heads, values.shape[0] // heads // 2, 2, -1)
                values = split.transpose(1, 2).reshape(values.shape)
            weights[f"model.layers.{layer}.{parts[part]}.weight"] = values
        else:
            names = {"token_embd.weight": "embed_tokens", "output_norm.weight": "norm"}
            weights[f"model.{names[tensor.name]}.weight"] = values
    return weights


@pytest.fixture(scope="module")
def reference_folder(smollm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=8192,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 100000.0},
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    weights = independent_weights(smollm_path)
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    model.load_state_dict(weights, assign=True)
    model.tie_weights()
    folder = tmp_path_factory.mktemp("smollm")
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def reference(reference_folder: Path) -> Any:
    from transformers import LlamaForCausalLM

    return LlamaForCausalLM.from_pretrained(reference_folder, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def smollm(smollm_path: Path) -> LLM:
    return LLM(smollm_path, device="cpu", dtype="float32", kv_cache_bytes=256 << 20)


@pytest.mark.slow
def test_greedy_tokens_and_logprobs_are_those_of_transformers(smollm: LLM, reference: Any):
    """One pass of the reference over prompt and answer shows both: each token is its first
    choice.
    """
    prompts: list[Any] = [*TEXTS, *([{"role": "user", "content": q}] for q in QUESTIONS)]
    completions = smollm.generate(prompts, SamplingParams(max_tokens=24, logprobs=1))
    largest = 0.0
    for prompt, completion in zip(prompts, completions, strict=True):
        text = (
            prompt
            if isinstance(prompt, str)
            else smollm.tokenizer.apply_chat_template(
                prompt, tokenize=False, add_generation_prompt=True
            )
        )
        ids = smollm.tokenizer(text)["input_ids"]
        assert completion.num_prompt_tokens == len(ids)
        with torch.inference_mode():
            logits = reference(torch.tensor([[*ids, *completion.token_ids]])).logits[0]
        rows = torch.log_softmax(logits[len(ids) - 1 : -1], -1)
        assert rows.argmax(-1).tolist() == list(completion.token_ids)
        assert len(completion.token_ids) == 24 or completion.finish_reason == "stop"
        wanted = rows.max(-1).values
        largest = max(largest, float((wanted - torch.tensor(completion.logprobs)).abs().max()))
    assert largest < 1e-3, f"largest difference {largest:.2e}"


def test_scores_are_those_of_transformers(smollm: LLM, reference: Any):
    context = "Question: What is the capital of France?\nAnswer:"
    choices = [" Paris", " London", " the city of Berlin", " 42"]
    head = smollm.tokenizer(context)["input_ids"]
    for choice, score in zip(choices, smollm.score([(context, c) for c in choices]), strict=True):
        ids = smollm.tokenizer(context + choice)["input_ids"]
        with torch.inference_mode():
            rows = torch.log_softmax(reference(torch.tensor([ids])).logits[0], -1)
        wanted = [rows[i - 1, ids[i]].item() for i in range(len(head), len(ids))]
        assert score.token_logprobs == pytest.approx(wanted, abs=1e-3)


def test_known_answer(smollm: LLM):
    chat = [[{"role": "user", "content": "What is the capital of France?"}]]
    completion = smollm.generate(chat, SamplingParams(max_tokens=20))[0]
    assert completion.text == "The capital of France is Paris."
    assert completion.finish_reason == "stop"


def _suite_lines(folder: Path) -> list[tuple[Mode, dict[str, Any]]]:
    """As lm-evaluation-harness asks hellaswag and BBH; and an answer of GSM8K, whole."""

    def rows(name: str, number: int) -> list[dict[str, Any]]:
        with gzip.open(folder / "datasets" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            return [json.loads(line) for line in islice(lines, number)]

    choose = Mode("choose", is_raw=True)
    asked = [
        (choose, {"input": row["ctx"], "choices": [f" {text}" for text in row["endings"]],
                  "target": row["label"]})
        for row in rows("hellaswag_val", 2)
    ]  # fmt: skip
    asked += [
        (choose, {"input": f"Q: {row['input']}\nA:", "choices": [" Yes", " No"],
                  "target": row["target"]})
        for row in rows("bbh_navigate", 1)
    ]  # fmt: skip
    asked += [
        (Mode("perplexity", is_raw=True),
         {"input": f"Question: {row['question']}\nAnswer:", "target": f" {row['answer']}"})
        for row in rows("gsm8k_test", 1)
    ]  # fmt: skip
    return asked


@pytest.mark.realdata
def test_suites_of_real_tasks_weigh_their_choices_as_transformers_do(
    smollm: LLM, reference: Any, shared: Path
):
    asks, targets = [], []
    for mode, line in _suite_lines(shared):
        (draft,) = parse_suite("s", "s", json.dumps(line).encode(), "s.jsonl", mode)
        (message,), served = draft.conversation.messages, draft.conversation.served
        asks.append(Ask((message,), SamplingParams(), choices=served.choices, is_raw=served.is_raw))
        targets.append(draft.target)
    scored = smollm.score_choices([(ask.messages[0]["content"], ask.choices) for ask in asks])
    replies = [
        weighed_reply(ask.choices, scores, lambda score: pytest.fail(str(score.error)))
        for ask, scores in zip(asks, scored, strict=True)
    ]
    for ask, reply, target in zip(asks, replies, targets, strict=True):
        prompt, sums = ask.messages[0]["content"], []
        head = smollm.tokenizer(prompt)["input_ids"]
        said = from_text(reply.text or "")
        for weighed in said:
            ids = smollm.tokenizer(prompt + weighed.text)["input_ids"]
            with torch.inference_mode():
                rows = torch.log_softmax(reference(torch.tensor([ids])).logits[0], -1)
            sums.append(sum(rows[i - 1, ids[i]].item() for i in range(len(head), len(ids))))
        gap = max(abs(one.logprob - wanted) for one, wanted in zip(said, sums, strict=True))
        if len(sums) > 1:
            assert gap < 1e-3
            best = ask.choices[sums.index(max(sums))]
            score = instrument("multiple_choice").score(reply.text or "", target)
            assert (score.answer, score.value) == (best, float(best == target))
        else:
            assert gap < 1e-4 * said[0].num_tokens  # a sum of many tokens, each a little off
            score = instrument("likelihood").score(reply.text or "", target)
            by_byte = math.exp(sums[0] / len(target.encode()))
            assert score.value == pytest.approx(by_byte, rel=1e-4)
