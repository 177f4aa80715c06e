from __future__ import annotations

from typing import Any

from engine import Chat, Completion, SamplingParams
from tasks.backends.base import Ask, replies_of
from tasks.backends.local import LocalBackend


class _Engine:
    """Remembers what it is given."""

    def generate(self, prompts: list[Any], params: list[Any], on_done: Any) -> None:
        self.prompts, self.params = prompts, params
        for place in range(len(prompts)):
            on_done(place, Completion("x", (1,), (), "stop", 1, 0))

    def score_choices(self, items: list[Any], on_done: Any) -> None:
        assert not items


def test_the_engine_is_told_all_that_the_call_told_its_model() -> None:
    engine: Any = _Engine()
    backend = object.__new__(LocalBackend)
    backend._llm = engine
    messages = ({"role": "user", "content": "q"}, {"role": "assistant", "content": "It is"})
    tool = {"type": "function", "function": {"name": "find"}}
    asks = [
        Ask(messages, SamplingParams(), (tool,), {"enable_thinking": False}, True),
        Ask(messages[:1], SamplingParams()),
        Ask(messages[:1], SamplingParams(min_tokens=3), (tool,), tool_choice="required"),
        Ask(messages[:1], SamplingParams(), (tool,), is_single=True),
        Ask(messages[:1], SamplingParams(min_tokens=3), answer_format={"type": "json_object"}),
    ]
    meter: Any = None
    replies = replies_of(backend, asks, meter)
    assert [reply.text for reply in replies] == ["x"] * 5
    assert engine.prompts == [
        Chat(list(messages), (tool,), {"enable_thinking": False}, True),
        Chat([messages[0]]),
        Chat([messages[0]], (tool,), tool_choice="required"),
        Chat([messages[0]], (tool,), parallel=False),
        Chat([messages[0]]),
    ]
    # the answer's form says itself when it may end
    assert engine.params[2:] == [
        SamplingParams(),
        SamplingParams(),
        SamplingParams(json_schema='{"type": "object"}'),
    ]
