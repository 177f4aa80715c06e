"""A logged call as a line of a suite file, without what is right. Pure."""

from __future__ import annotations

from typing import Any

from tasks.model.answer_format import response_format
from tasks.model.logged_call import LoggedCall


def line_of_call(call: LoggedCall) -> dict[str, Any]:
    """What it asks, and what the model was told beside, by the names of a suite line."""
    system, served = call.conversation.system, call.conversation.served
    leading = [] if system is None else [{"role": "system", "content": system}]
    form = served.answer_format
    told = {
        "tools": list(served.tools),
        "tool_choice": served.tool_choice,
        "response_format": response_format(form) if form else None,
        "parallel_tool_calls": False if served.is_single else None,
        "chat_template_kwargs": dict(served.template),
        "continue_final_message": served.continues or None,
    }
    return {
        "messages": [*leading, *map(dict, call.conversation.messages)],
        **{name: value for name, value in told.items() if value or value is False},
        **({"task": call.task} if call.task else {}),
    }
