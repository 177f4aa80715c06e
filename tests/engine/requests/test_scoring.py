"""Scores that share work: the bits they have alone, hardly a token twice, texts of any length."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import LLM, Chat
from engine.errors import InvalidRequestError
from engine.requests.request import Score
from engine.requests.scoring import join, rolling_windows
from tests.engine.conftest import VOCAB_SIZE

Pair = tuple[list[int], list[int]]


def fresh(folder: Path, **options: int) -> LLM:
    return LLM(folder, device="cpu", dtype="float32", **{"kv_cache_bytes": 4 << 20} | options)


def random_ids(source: random.Random, count: int) -> list[int]:
    return [source.randrange(VOCAB_SIZE) for _ in range(count)]


def choices(num_contexts: int, shortest: int, longest: int, seed: int = 0) -> list[Pair]:
    """Contexts with four continuations each, as multiple choice has them."""
    source = random.Random(seed)
    pairs: list[Pair] = []
    for _ in range(num_contexts):
        context = random_ids(source, source.randint(shortest, longest))
        pairs += [(context, random_ids(source, source.randint(2, 9))) for _ in range(4)]
    return pairs


def fewest_tokens(pairs: list[Pair]) -> int:
    """Nodes of the tree of all that must be run: nothing is computed twice."""
    nodes: set[tuple[int, ...]] = set()
    for context, continuation in pairs:
        ids = (*context, *continuation[:-1])
        nodes.update(ids[:end] for end in range(1, len(ids) + 1))
    return len(nodes)


@pytest.mark.parametrize("max_batch_tokens", [512, 96])
def test_contexts_are_run_about_once(plain_folder: Path, max_batch_tokens: int):
    llm = fresh(plain_folder, kv_cache_bytes=16 << 20, max_batch_tokens=max_batch_tokens)
    pairs = choices(50, 100, 400)
    scores = llm.score(pairs)
    assert all(score.error is None for score in scores)
    assert llm.stats().num_run_tokens <= 1.05 * fewest_tokens(pairs)


def test_shuffled_continuations_still_share_their_context(plain_folder: Path):
    llm = fresh(plain_folder, kv_cache_bytes=16 << 20)
    pairs = choices(20, 20, 60)
    random.Random(1).shuffle(pairs)
    llm.score(pairs)
    assert llm.stats().num_run_tokens <= 1.1 * fewest_tokens(pairs)


def test_one_token_continuations_of_a_context_cost_one_row(plain_folder: Path):
    llm = fresh(plain_folder)
    context = list(range(40))
    seen: list[tuple[int, int]] = []
    pairs = [(context, [choice]) for choice in (5, 6, 7, 5)]
    scores = llm.score(pairs, lambda done, total: seen.append((done, total)))
    assert llm.stats().num_run_tokens == 40
    assert llm.stats().num_requests == 4
    assert seen == [(4, 4)]
    for pair, score in zip(pairs, scores, strict=True):
        assert fresh(plain_folder).score([pair]) == [score]


token = st.integers(0, 2)
ids = st.lists(token, min_size=1, max_size=5)


@given(st.lists(st.tuples(ids, ids), min_size=1, max_size=14), st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_scores_that_share_rows_have_the_bits_they_have_alone(
    plain: LLM, pairs: list[Pair], top_logprobs: int
):
    """A small alphabet, so that many run the same tokens and split them in other places."""
    longer = [([1, 2] * 17 + context, continuation) for context, continuation in pairs]
    together = plain.score(longer, top_logprobs=top_logprobs)
    for pair, score in zip(longer, together, strict=True):
        plain._engine.reset()
        assert plain.score([pair], top_logprobs=top_logprobs) == [score]


def test_choices_of_a_context_are_scored_as_pairs_are(plain: LLM):
    contexts, endings = ([1, 2, 3], [4, 5], [1, 2, 3]), ([7], [8], [6, 9])
    told: dict[int, list[Score]] = {}
    chosen = plain.score_choices([(context, endings) for context in contexts], told.__setitem__)
    assert chosen == [[plain.score([(c, e)])[0] for e in endings] for c in contexts]
    assert told == dict(enumerate(chosen))
    with pytest.raises(InvalidRequestError, match="no continuation"):
        plain.score_choices([([1], [])])


@pytest.mark.parametrize(
    "context",
    ["a text", "a text  ", "", Chat([{"role": "user", "content": "Hi"}])],
)
def test_a_context_written_once_says_what_it_says_for_each(
    chatty: LLM, context: str | Chat, monkeypatch: pytest.MonkeyPatch
):
    endings = [" one", "two", " " * 3 + "x", "long " * 4000]
    pairs = chatty.score([(context, ending) for ending in endings])
    written: list[str] = []
    codec = chatty._intake.text
    encode = codec.encode

    def noted(text: str, **more: Any) -> list[int]:
        written.append(text)
        return encode(text, **more)

    monkeypatch.setattr(codec, "encode", noted)
    (chosen,) = chatty.score_choices([(context, endings)])
    assert [str(score) for score in chosen] == [str(score) for score in pairs]  # nan is not nan
    head = codec.chat_text(context) if isinstance(context, Chat) else context
    assert written.count(head.rstrip()) == (1 if head.strip() else 0)


def test_a_context_that_cannot_be_written_fails_each_choice(chatty: LLM):
    bad = Chat([{"role": "wizard", "content": "x"}])
    ((one, two), (fine,)) = chatty.score_choices([(bad, ["a", "b"]), ("c", ["d"])])
    assert one.error == two.error is not None
    assert "wizard" in (one.error or "")
    assert fine.error is None


def test_fault_of_a_pair_stays_with_it(plain: LLM):
    fine, bad, also_fine = plain.score([([1, 2], [3]), ([1, 2], [VOCAB_SIZE]), ([1, 2], [4])])
    assert fine.error is also_fine.error is None
    assert math.isnan(bad.logprob)
    assert fine.logprob != also_fine.logprob


def test_top_logprobs_and_scores_are_those_of_transformers(plain_folder: Path, plain: LLM):
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(plain_folder, dtype=torch.float32).eval()
    context, continuation = [9, 8, 7], [1, 2, 3]
    score = plain.score([(context, continuation)], top_logprobs=5)[0]
    with torch.inference_mode():
        logits = model(torch.tensor([context + continuation])).logits[0, 2:-1]
    rows = torch.log_softmax(logits, -1)
    assert score.token_logprobs == pytest.approx(
        [rows[i, t].item() for i, t in enumerate(continuation)], abs=1e-4
    )
    for row, top in zip(rows, score.top_logprobs, strict=True):
        assert [pair[0] for pair in top] == row.topk(5).indices.tolist()
        assert [pair[1] for pair in top] == pytest.approx(row.topk(5).values.tolist(), abs=1e-4)
    assert plain.score([(context, continuation)])[0].top_logprobs == ()


def test_top_logprobs_are_bounded(plain: LLM):
    from engine.errors import InvalidRequestError

    with pytest.raises(InvalidRequestError, match="top_logprobs is 21, but it must be"):
        plain.score([([1], [2])], top_logprobs=21)


def test_no_matrix_of_all_tokens_by_vocabulary(plain_folder: Path, monkeypatch: pytest.MonkeyPatch):
    llm = fresh(plain_folder)
    make_logits, shapes = llm._engine.model.logits, []

    def watched(hidden: torch.Tensor) -> torch.Tensor:
        logits = make_logits(hidden)
        shapes.append(tuple(logits.shape))
        return logits

    monkeypatch.setattr(llm._engine.model, "logits", watched)
    score = llm.score([([1], list(range(150)) * 3)])[0]
    assert score.num_tokens == 450
    assert max(rows for rows, _ in shapes) <= 128
    shapes.clear()
    llm.score([(list(range(150)) * 3, [1, 2])])
    assert sum(rows for rows, _ in shapes) <= 32, "only the rows that are needed"


WINDOWS = {  # text, context length → (context, continuation), worked out by hand
    (3, 10): [([99], [0, 1, 2])],
    (4, 4): [([99], [0, 1, 2, 3])],
    (5, 4): [([99], [0, 1, 2, 3]), ([0, 1, 2, 3], [4])],
    (8, 4): [([99], [0, 1, 2, 3]), ([3], [4, 5, 6, 7])],
    (10, 4): [([99], [0, 1, 2, 3]), ([3], [4, 5, 6, 7]), ([5, 6, 7], [8, 9])],
    (3, 1): [([99], [0]), ([0], [1]), ([1], [2])],
}


@pytest.mark.parametrize(("num_tokens", "limit"), WINDOWS)
def test_windows_are_those_of_the_harness(num_tokens: int, limit: int):
    windows = list(rolling_windows(range(num_tokens), 99, limit))
    assert windows == WINDOWS[num_tokens, limit]


@given(st.integers(1, 60), st.integers(1, 20))
def test_windows_score_every_token_once_and_fit(num_tokens: int, limit: int):
    windows = list(rolling_windows(range(num_tokens), -1, limit))
    assert [t for _, continuation in windows for t in continuation] == list(range(num_tokens))
    for context, continuation in windows:
        assert 1 <= len(context) <= limit
        assert len(context) + len(continuation) - 1 <= limit
        assert [*context, *continuation][1:] == list(range(continuation[0] - len(context) + 1,
                                                           continuation[-1] + 1))  # fmt: skip
    assert len(windows) == -(-num_tokens // limit)


def test_rolling_score_is_the_sum_of_its_windows(chatty: LLM):
    text = "".join(chr(97 + (i * i) % 26) for i in range(2500))
    long, short = chatty.score_rolling([text, "one line"])
    ids = chatty.tokenizer(text)["input_ids"]
    start, limit = chatty.tokenizer.bos_token_id, chatty._engine.model.config.max_position
    pairs = [([start], ids[:1024]), ([ids[1023]], ids[1024:2048]), (ids[1475:2048], ids[2048:])]
    assert limit == 1024
    parts = chatty.score(pairs)
    assert long.token_logprobs == sum((part.token_logprobs for part in parts), ())
    assert long.num_tokens == len(ids) == 2500
    assert long.logprob == pytest.approx(sum(part.logprob for part in parts))
    assert short == chatty.score([("", "one line")])[0]


def test_rolling_faults_are_unscored_not_zero(chatty: LLM, plain: LLM):
    empty, fine, bad = chatty.score_rolling(["", "fine", [1, 10**6]])
    assert "text is empty" in (empty.error or "")
    assert math.isnan(empty.logprob)
    assert "token id 1000000" in (bad.error or "")
    assert fine.error is None
    assert "no tokenizer" in (plain.score_rolling([[1, 2]])[0].error or "")


def test_text_with_one_bad_window_is_unscored():
    good = Score(-3.0, (-1.0, -2.0), 2, True)
    bad = Score(float("nan"), (), 1, False, "NaN at 7")
    joined = join([good, bad, good])
    assert (joined.error, joined.num_tokens, joined.is_greedy) == ("NaN at 7", 5, False)
    assert math.isnan(joined.logprob)
    assert join([good, good]) == Score(-6.0, (-1.0, -2.0) * 2, 4, True)
