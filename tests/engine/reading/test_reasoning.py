"""What models think, read out of what they say, whole and in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.reading.reasoning import Thought, answer_in, begins_inside, certain, read
from engine.requests.request import Request
from engine.sampling.params import SamplingParams
from engine.server.answers import Answer, Choice
from engine.server.loop import Update
from engine.server.protocol import Ask
from tasks.scoring.instrument import instrument

QWEN = "<think>\nIt is 4.\n</think>\n\nFour."
R1 = "It is 4.\n</think>\n\nFour."


def test_both_families_are_read():
    assert read(QWEN) == read(R1, inside=True) == Thought("It is 4.", "Four.")
    assert read("<think>\n\n</think>\n\nFour.") == Thought("", "Four.")
    assert read("<think>\nIt is") == Thought("It is", "")
    assert begins_inside("…<|Assistant|><think>\n")
    assert not begins_inside("<think>\n\n</think>\n\n")


@pytest.mark.parametrize("text", ["Four.", "", "Four <think>x</think>", "<thin", "I </think> so"])
def test_what_does_not_begin_with_it_has_none(text: str):
    assert read(text) == Thought(None, text)


def test_scorers_judge_the_answer_alone():
    assert [answer_in(text) for text in (QWEN, R1, "Four.", "<think>It is 4")] == [
        "Four.", "Four.", "Four.", "",
    ]  # fmt: skip
    exact = instrument("exact")
    assert [exact.score(text, "Four.").value for text in (QWEN, R1, "<think>Four.")] == [1, 1, 0]


PIECES = st.lists(
    st.sampled_from(["<", "<th", "<think>", "</think>", "</", "think>", "a", " ", "\n", "é"]),
    max_size=12,
)


@given(PIECES, st.booleans())
def test_what_is_certain_stays_and_comes_to_the_whole(pieces: list[str], inside: bool):
    text = ""
    shown = Thought(None, "")
    whole = read("".join(pieces), inside=inside)
    for piece in pieces:
        text += piece
        now = certain(text, inside=inside)
        assert (now.reasoning or "").startswith(shown.reasoning or "")
        assert now.answer.startswith(shown.answer)
        assert (whole.reasoning or "").startswith(now.reasoning or "")
        assert whole.answer.startswith(now.answer)
        shown = now


class _Codec:
    """A token is a character."""

    tokenizer = None

    def decode(self, token_ids: Sequence[int]) -> str:
        return "".join(map(chr, token_ids))


def _answer(text: str, prompt: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The whole answer's message, and the deltas of its stream."""
    ask = Ask(
        is_chat=True, model="m", prompts=("p",), params=SamplingParams(), max_tokens=99,
        num_choices=1, num_top=None, echo=False, stream=True, include_usage=False,
    )  # fmt: skip
    intake: Any = SimpleNamespace(text=_Codec())
    choice = Choice(0, ask, [ord(char) for char in prompt], intake)
    choice.generate = request = Request([1], 1, 99)
    request.num_cached = 0
    tokens: Any = None
    answer = Answer(ask, [choice], "m", intake, tokens)
    pieces = []
    for place, char in enumerate(text, 1):
        reason: Any = "stop" if place == len(text) else None
        told = choice.take(Update(request, (ord(char),), (), (), reason, None, 0.0))
        pieces += answer.pieces(choice, told, 1)
    deltas = [piece["choices"][0]["delta"] for piece in pieces]
    return answer.whole()["choices"][0]["message"], deltas


@pytest.mark.parametrize(("text", "prompt"), [(QWEN, "user"), (R1, "user<think>\n")])
def test_the_server_tells_it_apart_from_the_content(text: str, prompt: str):
    message, deltas = _answer(text, prompt)
    assert (message["reasoning_content"], message["content"]) == ("It is 4.", "Four.")
    thought = "".join(delta.get("reasoning_content", "") for delta in deltas)
    said = "".join(delta.get("content", "") for delta in deltas)
    assert (thought, said) == ("It is 4.", "Four.")
    plain, _ = _answer("Four.", "user")
    assert "reasoning_content" not in plain
