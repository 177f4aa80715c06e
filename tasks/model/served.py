"""What a call told its model beside the messages: tools and whether one has to be called, the form
of the answer, template arguments, how to draw, and whether it goes on with the last message.
Of a suite also: that nothing is drawn, but texts are weighed, and that no template is used.

The one form of it, whichever API was called: tools and `tool_choice` as of OpenAI's Chat API, the
form of the answer as answer_format.py says, sampling by the names of vLLM. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Served:
    """`template`: arguments of the chat template, such as {"enable_thinking": False}. `continues`:
    the answer goes on with the last message, which is the assistant's. `sampling`: only what the
    call set. `choices`: the texts of which the log-likelihood is asked for, instead of an answer.
    `is_raw`: the messages are one text, without the model's chat template. `tool_choice` None: the
    model decides. `is_single`: a tool is called once at most.
    `answer_format` None: any text."""

    tools: tuple[Mapping[str, Any], ...] = ()
    template: Mapping[str, Any] = field(default_factory=dict)
    continues: bool = False
    sampling: Mapping[str, Any] = field(default_factory=dict)
    choices: tuple[str, ...] = ()
    is_raw: bool = False
    tool_choice: str | Mapping[str, Any] | None = None
    answer_format: Mapping[str, Any] | None = None
    is_single: bool = False

    def to_value(self) -> dict[str, Any]:
        """As JSON; what is not there is no key, so that nothing is an empty object."""
        if self is AS_ASKED:
            return {}
        parts = {
            "tools": list(self.tools),
            "template": dict(self.template),
            "continues": self.continues,
            "sampling": dict(self.sampling),
            "choices": list(self.choices),
            "raw": self.is_raw,
            "tool_choice": self.tool_choice,
            "answer_format": self.answer_format,
            "single_call": self.is_single,
        }
        return {name: part for name, part in parts.items() if part}

    @classmethod
    def from_value(cls, value: Mapping[str, Any]) -> Served:
        if not value:
            return AS_ASKED
        return cls(
            tuple(value.get("tools", ())),
            value.get("template", {}),
            value.get("continues", False),
            value.get("sampling", {}),
            tuple(value.get("choices", ())),
            value.get("raw", False),
            value.get("tool_choice"),
            value.get("answer_format"),
            value.get("single_call", False),
        )

    def without_sampling(self) -> Served:
        kept = replace(self, sampling={})
        return AS_ASKED if kept == AS_ASKED else kept


AS_ASKED = Served()
