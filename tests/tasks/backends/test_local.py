from __future__ import annotations

from typing import Any

from engine import Chat, Completion, SamplingParams
from tasks.backends.base import Ask
from tasks.backends.local import LocalBackend


class _Engine:
    """Remembers what it is given."""

    def generate(self, prompts: list[Any], params: list[Any], told: Any) -> list[Completion]:
        self.prompts = prompts
        return [Completion("x", (1,), (), "stop", 1, 0) for _ in prompts]


def test_the_engine_is_told_all_that_the_call_told_its_model() -> None:
    engine: Any = _Engine()
    backend = object.__new__(LocalBackend)
    backend._llm = engine
    messages = ({"role": "user", "content": "q"}, {"role": "assistant", "content": "It is"})
    tool = {"type": "function", "function": {"name": "find"}}
    asks = [
        Ask(messages, SamplingParams(), (tool,), {"enable_thinking": False}, True),
        Ask(messages[:1], SamplingParams()),
    ]
    meter: Any = None
    replies = backend.answer(asks, lambda _, __: None, meter)
    assert [reply.text for reply in replies] == ["x", "x"]
    assert engine.prompts == [
        Chat(list(messages), (tool,), {"enable_thinking": False}, True),
        Chat([messages[0]]),
    ]
