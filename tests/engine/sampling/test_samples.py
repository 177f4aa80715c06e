"""Several completions of one prompt, token stops, minimum length, penalty, top logprobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine import LLM, Completion, SamplingParams

WARM = SamplingParams(max_tokens=12, temperature=1.1, top_p=0.95, seed=11, logprobs=1)


def with_n(n: int, **changes: Any) -> SamplingParams:
    values = {name: getattr(WARM, name) for name in SamplingParams.__slots__}
    return SamplingParams(**values | {"n": n} | changes)


def answer(completion: Completion) -> tuple[object, ...]:
    return completion.token_ids, completion.logprobs, completion.top_logprobs, completion.error


def fresh(folder: Path, **options: Any) -> LLM:
    return LLM(folder, device="cpu", dtype="float32", **{"kv_cache_bytes": 4 << 20} | options)


def test_first_of_n_is_the_only_one_of_one(plain: LLM):
    prompt = [5, 9, 2] * 13
    one = plain.generate([prompt], WARM)[0]
    many = plain.generate([prompt], with_n(6))[0]
    assert one.alternatives == ()
    assert answer(many) == answer(one)
    assert len(many.alternatives) == 5
    assert len({c.token_ids for c in (many, *many.alternatives)}) == 6


def test_samples_have_the_bits_they_have_alone(plain_folder: Path):
    """Whatever runs beside them, with room or without (preempted), in any order."""
    prompts = [[(7 * i + j) % 160 for j in range(20 + 17 * i)] for i in range(4)]
    alone = []
    for prompt in prompts:
        completion = fresh(plain_folder).generate([prompt], with_n(5))[0]
        alone.append([answer(c) for c in (completion, *completion.alternatives)])
    block_bytes = 2 * 2 * 2 * 12 * 4 * 32
    for options in ({}, {"max_batch_tokens": 7}, {"kv_cache_bytes": 6 * block_bytes}):
        llm = fresh(plain_folder, **options)
        together = llm.generate(prompts[::-1], with_n(5))[::-1]
        assert [[answer(c) for c in (t, *t.alternatives)] for t in together] == alone


def test_prompt_of_n_samples_is_computed_once(plain_folder: Path):
    llm = fresh(plain_folder)
    llm.generate([[3] * 45], with_n(8, max_tokens=1))
    assert llm.stats().num_run_tokens == 45 + 7
    assert llm.stats().num_requests == 8


def test_greedy_samples_are_computed_once_and_counted(plain_folder: Path):
    llm, seen = fresh(plain_folder), []
    completion = llm.generate(
        [[3] * 5], SamplingParams(max_tokens=4, n=3), lambda done, total: seen.append((done, total))
    )[0]
    assert [c.token_ids for c in completion.alternatives] == [completion.token_ids] * 2
    assert llm.stats().num_run_tokens == 8
    assert seen == [(3, 3)]


def test_faulty_prompt_fails_once_for_all_its_samples(plain: LLM):
    completion = plain.generate([[]], with_n(3))[0]
    assert [c.error for c in (completion, *completion.alternatives)] == [completion.error] * 3


def test_stop_token_ends_the_answer_and_is_not_in_the_text(chatty: LLM):
    whole = chatty.generate(["tell me"], SamplingParams(max_tokens=20))[0]
    stop = next(t for t in whole.token_ids[3:] if t not in whole.token_ids[:3])
    stopped = chatty.generate(
        ["tell me"],
        SamplingParams(max_tokens=20, stop_token_ids=[stop]),  # type: ignore[arg-type]
    )[0]
    assert stopped.finish_reason == "stop"
    assert stopped.token_ids == whole.token_ids[: whole.token_ids.index(stop) + 1]
    assert stopped.text == chatty.tokenizer.decode(stopped.token_ids[:-1], skip_special_tokens=True)


def test_no_end_token_is_drawn_before_min_tokens(plain: LLM, monkeypatch: pytest.MonkeyPatch):
    free = plain.generate([[9]], SamplingParams(max_tokens=9))[0].token_ids
    monkeypatch.setattr(plain._engine, "end_ids", frozenset({free[2], 10**6}))
    params = [SamplingParams(max_tokens=9, min_tokens=n, stop_token_ids=(free[0],)) for n in (0, 6)]
    early, late = plain.generate([[9], [9]], params)
    assert early.token_ids == free[:1]
    assert len(late.token_ids) >= 7 or late.finish_reason == "length"
    assert not {free[0], free[2]} & set(late.token_ids[:6])


def test_no_text_stops_before_min_tokens(chatty: LLM):
    text = chatty.generate(["tell me"], SamplingParams(max_tokens=30))[0].text
    stop = next(char for char in text if char.isascii())
    for min_tokens in (0, 20):
        params = SamplingParams(max_tokens=30, stop=(stop,), min_tokens=min_tokens)
        completion = chatty.generate(["tell me"], params)[0]
        assert len(completion.token_ids) > min_tokens
        assert completion.text == text[: len(completion.text)]
        assert (stop in completion.text) == bool(min_tokens)


def test_repetition_penalty_is_that_of_transformers(plain_folder: Path, plain: LLM):
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(plain_folder, dtype=torch.float32).eval()
    prompts = [[(5 * i + j) % 160 for j in range(4 + i)] for i in range(6)]
    params = SamplingParams(max_tokens=12, repetition_penalty=1.7)
    for prompt, completion in zip(prompts, plain.generate(prompts, params), strict=True):
        ids = torch.tensor([prompt])
        wanted = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False,
            repetition_penalty=1.7, pad_token_id=0,
        )  # fmt: skip
        assert list(completion.token_ids) == wanted[0, len(prompt) :].tolist()


def test_top_logprobs_are_those_of_the_model(plain_folder: Path, plain: LLM):
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(plain_folder, dtype=torch.float32).eval()
    prompt = [3, 1, 4, 1, 5]
    params = SamplingParams(max_tokens=6, temperature=1.0, top_k=3, seed=2, logprobs=4)
    completion = plain.generate([prompt], params)[0]
    with torch.inference_mode():
        logits = model(torch.tensor([[*prompt, *completion.token_ids]])).logits[0]
    rows = torch.log_softmax(logits[len(prompt) - 1 : -1], -1)
    assert len(completion.top_logprobs) == len(completion.logprobs) == 6
    for row, token, logprob, top in zip(
        rows, completion.token_ids, completion.logprobs, completion.top_logprobs, strict=True
    ):
        assert logprob == pytest.approx(row[token].item(), abs=1e-4)
        assert [pair[0] for pair in top] == row.topk(4).indices.tolist()
        assert [pair[1] for pair in top] == pytest.approx(row.topk(4).values.tolist(), abs=1e-4)
        assert token in [pair[0] for pair in top[:3]]


def test_top_logprobs_of_equals_are_the_smaller_ids():
    from engine.execution.readout import _top

    row = torch.full((1, 500), -6.0)
    row[0, [3, 400]] = -1.0
    found = [((3, -1.0), (400, -1.0), (0, -6.0), (1, -6.0), (2, -6.0))]
    assert _top(row, torch.zeros(1), [5]) == found
    assert _top(row.repeat(2, 1), torch.zeros(2), [0, 1]) == [(), ((3, -1.0),)]


def test_stop_token_that_does_not_exist_is_refused(plain: LLM):
    completion = plain.generate([[1]], SamplingParams(stop_token_ids=(160,)))[0]
    assert "token id 160; ids from 0 to 159" in (completion.error or "")
