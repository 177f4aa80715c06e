"""What the local backend says of given texts, against transformers by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import SamplingParams
from tasks.backends.base import Ask, Reply, replies_of
from tasks.backends.local import LocalBackend
from tasks.model.likelihoods import from_text

GREEDY = SamplingParams(max_tokens=3)


@pytest.fixture(scope="module")
def backend(tiny_model: Path) -> Iterator[LocalBackend]:
    made = LocalBackend(tiny_model, "cpu", "float32", batch_invariant=True)
    yield made
    made.close()


def _answer(backend: LocalBackend, asks: list[Ask]) -> list[Reply]:
    return replies_of(backend, asks, None)  # type: ignore[arg-type]


def _ask(text: str, choices: tuple[str, ...] = (), *, is_raw: bool = False) -> Ask:
    return Ask(({"role": "user", "content": text},), GREEDY, choices=choices, is_raw=is_raw)


@pytest.mark.parametrize("is_raw", [True, False])
def test_log_likelihoods_are_those_of_transformers(
    backend: LocalBackend, tiny_model: Path, is_raw: bool
):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    question, choices = "What is north of Rome?", (" Oslo", " Milan", " M", " Ö")
    (reply,) = _answer(backend, [_ask(question, choices, is_raw=is_raw)])
    context = question
    if not is_raw:
        messages = [{"role": "user", "content": question}]
        context = tokenizer.apply_chat_template(messages, tokenize=False,
                                                add_generation_prompt=True)  # fmt: skip
    assert reply.text is not None
    weighed = from_text(reply.text)
    assert [one.text for one in weighed] == list(choices)
    for one in weighed:
        # blanks at the end of a context are the continuation's, as in lm-evaluation-harness
        head = tokenizer(context.rstrip(), add_special_tokens=False)["input_ids"]
        whole = tokenizer(context + one.text, add_special_tokens=False)["input_ids"]
        assert whole[: len(head)] == head
        with torch.no_grad():
            logprobs = model(torch.tensor([whole])).logits[0].float().log_softmax(-1)
        expected = sum(
            float(logprobs[place - 1, whole[place]]) for place in range(len(head), len(whole))
        )
        assert one.logprob == pytest.approx(expected, abs=1e-3)
        assert one.num_tokens == len(whole) - len(head)
    assert reply.input_tokens == len(head) + sum(one.num_tokens for one in weighed)
    assert (reply.output_tokens, reply.finish_reason) == (0, "weighed")


def test_weighed_and_written_answers_come_back_in_the_order_asked(backend: LocalBackend):
    asks = [_ask("one"), _ask("two", ("a", "b")), _ask("three", is_raw=True), _ask("four", ("c",))]
    told: list[int] = []
    backend.answer(asks, lambda place, _: told.append(place), None)  # type: ignore[arg-type]
    assert sorted(told) == [0, 1, 2, 3]  # each once
    together = _answer(backend, asks)
    alone = [_answer(backend, [ask])[0] for ask in asks]
    assert [reply.text for reply in together] == [reply.text for reply in alone]
    assert [reply.finish_reason == "weighed" for reply in together] == [False, True, False, True]


def test_what_differs_in_its_seed_alone_is_weighed_once_and_told_to_each(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
):
    first = _ask("two", ("a", "b"))
    again = replace(first, sampling=SamplingParams(max_tokens=3, seed=9))
    weigh, asked = backend._open.score_choices, []

    def noting(items: Any, on_done: Any) -> Any:
        asked.append(len(items))
        return weigh(items, on_done)

    monkeypatch.setattr(backend._open, "score_choices", noting)
    one, two = _answer(backend, [first, again])
    assert (one.text, asked) == (two.text, [1])


def test_messages_without_a_template_are_their_texts(backend: LocalBackend):
    two = Ask(({"role": "user", "content": "a"}, {"role": "user", "content": "b"}), GREEDY,
              choices=("c",), is_raw=True)  # fmt: skip
    both, one = _answer(backend, [two, _ask("a\n\nb", ("c",), is_raw=True)])
    assert both.text == one.text


def test_a_choice_that_does_not_fit_fails_its_sample_alone(backend: LocalBackend):
    failed, fine = _answer(backend, [_ask("a", ("b", "long " * 400)), _ask("a", ("b", "c"))])
    assert failed.text is None
    assert failed.failure is not None
    assert (failed.failure.fault, failed.failure.is_transient) == ("release", False)
    assert "context" in failed.failure.message
    assert fine.failure is None
