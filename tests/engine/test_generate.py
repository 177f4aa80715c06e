"""What a caller of LLM sees: texts, chats, stops, seeds, progress, and faults that stay with their
request.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import LLM, Completion, EngineError, SamplingParams
from engine.errors import InvalidRequestError
from engine.scheduling import core
from tests.engine.conftest import VOCAB_SIZE

FEW = SamplingParams(max_tokens=6)


def test_text_token_ids_and_chat_give_the_same_answer(chatty: LLM):
    messages = [{"role": "user", "content": "Hi"}]
    text = chatty.tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True
    )
    ids = chatty.tokenizer(text)["input_ids"]
    parts = [{"role": "user", "content": [{"type": "text", "text": "H"}, {"text": "i"}]}]
    answers = chatty.generate([text, ids, messages, parts], FEW)
    assert {a.token_ids for a in answers} == {answers[0].token_ids}
    assert {a.num_prompt_tokens for a in answers} == {len(ids)}
    assert answers[0].text == chatty.tokenizer.decode(
        answers[0].token_ids, skip_special_tokens=True
    )


def test_results_come_in_the_order_given_with_params_of_their_own(plain: LLM):
    params = [SamplingParams(max_tokens=n) for n in (5, 1, 3)]
    completions = plain.generate([[3], [4], [5]], params)
    assert [len(c.token_ids) for c in completions] == [5, 1, 3]
    assert {c.finish_reason for c in completions} == {"length"}


def test_stop_string_ends_the_text_and_is_not_part_of_it(chatty: LLM):
    prompt = "tell me"
    whole = chatty.generate([prompt], SamplingParams(max_tokens=30))[0]
    text = chatty.tokenizer.decode(whole.token_ids, skip_special_tokens=True)
    stop = next(text[i : i + 2] for i in range(4, 20) if text[i : i + 2].isascii())
    stopped = chatty.generate([prompt], SamplingParams(max_tokens=30, stop=(stop, "\0never")))[0]
    assert stopped.finish_reason == "stop"
    assert stopped.text == text[: text.index(stop)]
    assert len(stopped.token_ids) < len(whole.token_ids)
    assert stopped.token_ids == whole.token_ids[: len(stopped.token_ids)]


def test_end_token_stops(plain: LLM, monkeypatch: pytest.MonkeyPatch):
    tokens = plain.generate([[9]], FEW)[0].token_ids
    end = tokens[3]
    monkeypatch.setattr(plain._engine, "end_ids", frozenset({end}))
    completion = plain.generate([[9]], FEW)[0]
    assert completion.finish_reason == "stop"
    assert completion.token_ids == tokens[: tokens.index(end) + 1]


def test_same_seed_same_tokens_whatever_else_runs(plain: LLM):
    def params(seed: int) -> SamplingParams:
        return SamplingParams(max_tokens=20, temperature=1.2, top_p=0.9, seed=seed)

    alone = plain.generate([[1, 2, 3]], params(7))[0]
    crowd = plain.generate([[4], [1, 2, 3], [1, 2, 3]], [params(1), params(7), params(8)])
    assert crowd[1].token_ids == alone.token_ids
    assert crowd[2].token_ids != alone.token_ids


def test_answer_stops_at_the_end_of_the_context(plain: LLM):
    completion = plain.generate([[1] * 508], SamplingParams(max_tokens=50))[0]
    assert (len(completion.token_ids), completion.finish_reason) == (4, "length")


def test_progress_is_told_as_requests_finish(plain: LLM):
    seen: list[tuple[int, int]] = []
    plain.generate([[1], [], [2]], FEW, progress=lambda done, total: seen.append((done, total)))
    assert seen[0] == (1, 3)
    assert seen[-1] == (3, 3)
    assert seen == sorted(seen)


class _Watched(list[Any]):
    """Counts how many of its items were read, and how many answers there were when each was."""

    def __init__(self, items: list[Any], done: list[Any]) -> None:
        super().__init__(items)
        self.done = done
        self.num_done_at: list[int] = []

    def __iter__(self) -> Iterator[Any]:
        for item in super().__iter__():
            self.num_done_at.append(len(self.done))
            yield item


def test_answers_are_told_as_they_come_while_later_prompts_are_not_yet_encoded(
    plain: LLM, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(core, "MAX_OPEN", 2)
    done: list[tuple[int, Completion]] = []
    prompts = _Watched([[1], [2], [], [3], [4]], done)
    params = [SamplingParams(max_tokens=n) for n in (9, 2, 3, 2, 2)]
    answers = plain.generate(prompts, params, on_done=lambda *told: done.append(told))
    # who is short makes room for the next while the first goes on
    assert [place for place, _ in done] == [1, 2, 3, 4, 0]
    assert prompts.num_done_at == [0, 0, 1, 2, 3]
    assert dict(done) == dict(enumerate(answers))
    assert answers[0] == plain.generate([[1]], params[0])[0]


def test_all_answers_of_a_prompt_are_told_together(plain: LLM):
    told: dict[int, Completion] = {}
    drawn = SamplingParams(max_tokens=4, temperature=1.0, seed=3, n=3)
    answers = plain.generate([[1], [2]], [drawn, FEW], on_done=told.__setitem__)
    assert told == dict(enumerate(answers))
    assert len(told[0].alternatives) == 2


def test_what_is_told_an_answer_may_end_the_call(plain: LLM):
    def stop(place: int, _: Completion) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        plain.generate([[1], [2], [3]], FEW, on_done=stop)
    assert not plain._engine.has_work  # type: ignore[union-attr]
    assert plain.generate([[1]], FEW)[0].error is None


def test_faulty_prompts_get_their_reason_and_the_others_finish(chatty: LLM):
    prompts = [
        [],
        [1, VOCAB_SIZE * 10],
        "x" * 5000,
        [{"role": "wizard", "content": "x"}],
        [{"role": "user", "content": 5}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}],
        3,
        "fine",
    ]
    reasons = [
        "prompt is empty",
        f"token id {VOCAB_SIZE * 10}",
        "5000 tokens; the model's context is 1024",
        "role 'wizard'. Allowed: system",
        "content of type int",
        "only text parts",
        "must be a text",
    ]
    completions = chatty.generate(prompts, FEW)  # type: ignore[arg-type]
    for completion, reason in zip(completions, reasons, strict=False):
        assert reason in (completion.error or "")
        assert completion.finish_reason == "error"
        assert completion.text == ""
    assert completions[-1].error is None


def test_faulty_pairs_are_unscored_not_zero(chatty: LLM):
    pairs = [
        ([], [1]),
        ([1], []),
        ("a", [1]),
        ([1], [10**6]),
        ([1] * 900, [1] * 200),
        "ab",
        ("a", "b"),
    ]
    reasons = [
        "context is empty",
        "continuation is empty",
        "both be texts",
        "token id",
        "1100 tokens",
    ]
    scores = chatty.score(pairs)  # type: ignore[arg-type]
    for score, reason in zip(scores, [*reasons, "must be a pair"], strict=False):
        assert reason in (score.error or "")
        assert math.isnan(score.logprob)
        assert not score.is_greedy
    assert scores[-1].error is None
    assert math.isfinite(scores[-1].logprob)


def test_prompt_larger_than_the_cache_fails_alone(plain_folder: Path):
    block_bytes = 2 * 2 * 2 * 12 * 4 * 32
    llm = LLM(plain_folder, device="cpu", dtype="float32", kv_cache_bytes=3 * block_bytes)
    too_long, fine, grows = llm.generate(
        [[1] * 120, [2] * 20, [3] * 60], [FEW, FEW, SamplingParams(max_tokens=100)]
    )
    assert "needs 120 tokens of KV cache, but the whole cache holds 96" in (too_long.error or "")
    assert fine.error is None
    assert "needs 97 tokens" in (grows.error or "")
    assert len(grows.token_ids) == 37


def test_nan_logits_are_named_and_do_not_spread(plain_folder: Path):
    llm = LLM(plain_folder, device="cpu", dtype="float32", kv_cache_bytes=1 << 20)
    expected = llm.generate([[7, 8]], FEW)[0]
    saved = llm._engine.model.embedding[9].clone()
    llm._engine.model.embedding[9] = float("nan")
    bad, good = llm.generate([[1, 9] * 20, [7, 8]], FEW)
    assert "NaN" in (bad.error or "")
    assert good.token_ids == expected.token_ids
    score = llm.score([([1, 9], [4])])[0]
    assert "NaN" in (score.error or "")
    llm._engine.model.embedding[9] = saved
    again = llm.generate([[1, 9] * 20], FEW)[0]
    assert again.error is None
    assert again.num_cached_tokens == 0


def test_step_that_breaks_takes_one_request_with_it(plain: LLM, monkeypatch: pytest.MonkeyPatch):
    forward = plain._engine.model.forward

    def breaks(*args: Any) -> torch.Tensor:
        if 1 in args[0].token_ids:
            raise RuntimeError("out of memory\nmore lines")
        return forward(*args)

    expected = plain.generate([[5, 6]], FEW)[0].token_ids
    monkeypatch.setattr(plain._engine.model, "forward", breaks)
    completions = plain.generate([[1, 2], [5, 6]], FEW)
    assert "RuntimeError: out of memory" in (completions[0].error or "")
    assert "more lines" not in (completions[0].error or "")
    assert completions[1].token_ids == expected


def test_interrupt_leaves_an_engine_that_works(plain: LLM):
    expected = plain.generate([[5] * 40], FEW)[0].token_ids

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        plain.generate([[5] * 40, [6] * 50], [FEW, SamplingParams(max_tokens=50)], interrupt)
    completion = plain.generate([[5] * 40], FEW)[0]
    assert (completion.token_ids, completion.num_cached_tokens) == (expected, 0)


def test_model_without_tokenizer_takes_token_ids_only(plain: LLM):
    assert "no tokenizer" in (plain.generate(["text"], FEW)[0].error or "")
    assert "Stop strings" in (plain.generate([[1]], SamplingParams(stop="a"))[0].error or "")  # type: ignore[arg-type]
    assert plain.generate([[1]], FEW)[0].text == ""
    with pytest.raises(EngineError, match="no tokenizer"):
        _ = plain.tokenizer


@pytest.mark.parametrize(
    ("prompts", "params", "message"),
    [
        ("one text", None, "prompts is a str"),
        ([[1], [2]], [SamplingParams()], "2 prompts but 1 SamplingParams"),
        ([[1]], [{"max_tokens": 3}], "must be one SamplingParams"),
    ],
)
def test_wrong_call_is_refused_as_a_whole(
    plain: LLM, prompts: object, params: object, message: str
):
    with pytest.raises(InvalidRequestError, match=message):
        plain.generate(prompts, params)  # type: ignore[arg-type]


def test_score_refuses_what_is_no_list(plain: LLM):
    with pytest.raises(InvalidRequestError, match="pairs is a str"):
        plain.score("abc")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"temperature": -1}, "temperature is -1"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_p": 0}, "top_p is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"stop": ("",)}, "stop is"),
        ({"logprobs": 21}, "logprobs is 21, but it must be a whole number from 0 .none. to 20"),
        ({"top_k": -1}, "top_k is -1"),
        ({"min_p": 1.5}, "min_p is 1.5"),
        ({"repetition_penalty": 0}, "repetition_penalty is 0"),
        ({"stop_token_ids": ("a",)}, "stop_token_ids is"),
        ({"min_tokens": 65}, "min_tokens is 65, but it must be a whole number from 0 to max_tok"),
        ({"n": 0}, "n is 0"),
        ({"json_schema": 3}, "json_schema is 3"),
    ],
)
def test_sampling_parameters_say_what_is_allowed(changes: dict[str, object], message: str):
    with pytest.raises(InvalidRequestError, match=message):
        SamplingParams(**changes)  # type: ignore[arg-type]


def test_stop_may_be_a_text_or_a_list():
    assert SamplingParams(stop="a").stop == ("a",)  # type: ignore[arg-type]
    assert SamplingParams(stop=["a", "b"]).stop == ("a", "b")  # type: ignore[arg-type]


def test_stats_count_what_was_done(plain_folder: Path):
    llm = LLM(plain_folder, device="cpu", dtype="float32", kv_cache_bytes=1 << 20)
    llm.generate([[1, 2], []], SamplingParams(max_tokens=3))
    stats = llm.stats()
    assert (stats.num_requests, stats.num_failed, stats.num_output_tokens) == (2, 1, 3)
    assert (stats.device, stats.dtype, stats.num_steps, stats.num_run_tokens) == (
        "cpu",
        "float32",
        3,
        4,
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "int3"}, "dtype 'int3' is not supported. Allowed: 'auto', 'float32'"),
        ({"device": "abacus"}, "'abacus' is not known"),
        ({"device": "meta"}, "'meta' is not supported"),
        ({"device": "cuda:99"}, "'cuda:99' is not there"),
        ({"max_batch_tokens": 0}, "max_batch_tokens is 0"),
        ({"kv_cache_bytes": 5}, "kv_cache_bytes is 5, but one block of 32 tokens needs"),
    ],
)
def test_engine_options_say_what_is_allowed(
    plain_folder: Path, options: dict[str, object], message: str
):
    with pytest.raises(EngineError, match=message):
        LLM(plain_folder, **options)  # type: ignore[arg-type]


def test_bfloat16_runs_and_is_batch_invariant(plain_folder: Path):
    llm = LLM(plain_folder, device="cpu", dtype="bfloat16", kv_cache_bytes=1 << 20)
    params = SamplingParams(max_tokens=5, logprobs=1)
    together = llm.generate([[1, 2, 3], [4] * 40, [5]], params)
    llm._engine.reset()
    assert llm.generate([[4] * 40], params)[0] == together[1]
    assert llm.stats().dtype == "bfloat16"
