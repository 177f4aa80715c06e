"""Sessions of an agent with tools, made up: a desk that refunds orders.

    python -m data.agent > agent.jsonl          fifty sessions, as lines of a suite

Of three or five steps: find the order, read what the rule is, refund that share of its price (or
say that there is none), tell the customer, answer. `next_turn` is the agent itself, so that a
scripted server can play it; what it does is in what was said before, nothing is remembered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

SYSTEM = "You are the refund desk. Use the tools; refund only what the rule allows."
#: reason → share of the price that is refunded
SHARES = {"damaged": 100, "late": 50, "changed mind": 0}
_PARAMETERS = {
    "find_order": {"order": "string"},
    "read_rule": {"reason": "string"},
    "refund": {"order": "string", "amount": "number"},
    "notify": {"order": "string", "text": "string"},
}
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {
        "type": "object", "required": list(members),
        "properties": {member: {"type": kind} for member, kind in members.items()},
    }}}
    for name, members in _PARAMETERS.items()
]  # fmt: skip

Message = Mapping[str, Any]


def sessions(number: int = 50) -> list[dict[str, Any]]:
    """Lines of a suite, each a whole recorded session."""
    return [_session(place) for place in range(number)]


def next_turn(messages: Sequence[Message]) -> tuple[str, dict[str, Any]] | str:
    """What the recorded agent does after these messages: a call of a tool, or what it says."""
    order, reason = question(messages)
    answers = [json.loads(str(m["content"])) for m in messages if m["role"] == "tool"]
    if not answers:
        return "find_order", {"order": order}
    if len(answers) == 1:
        return "read_rule", {"reason": reason}
    amount = answers[0]["price"] * answers[1]["share"] / 100
    if not amount:
        return f"There is no refund for order {order}."
    if len(answers) == 2:
        return "refund", {"order": order, "amount": amount}
    if len(answers) == 3:
        return "notify", {"order": order, "text": f"Refunded {amount:.2f}"}
    return f"Order {order}: {amount:.2f} are on their way."


def question(messages: Sequence[Message]) -> tuple[str, str]:
    """Order and reason of what was asked."""
    asked = next(str(message["content"]) for message in messages if message["role"] == "user")
    order, reason = asked.removeprefix("Please refund ").split(": ", 1)
    return order, reason.rstrip(".")


def tool(name: str, arguments: Mapping[str, Any], place: int) -> dict[str, Any]:
    """What a tool of the desk answers in the session at this place."""
    if name == "find_order":
        return {"order": arguments["order"], "price": 20.0 + place}
    if name == "read_rule":
        return {"reason": arguments["reason"], "share": SHARES[arguments["reason"]]}
    return {"done": True}


def _session(place: int) -> dict[str, Any]:
    reason = list(SHARES)[place % len(SHARES)]
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": f"Please refund FW-{1000 + 7 * place}: {reason}."},
    ]
    while isinstance(turn := next_turn(messages), tuple):
        name, arguments = turn
        call_id = f"call_{len(messages)}"
        function = {"name": name, "arguments": json.dumps(arguments)}
        call = {"id": call_id, "type": "function", "function": function}
        said = json.dumps(tool(name, arguments, place))
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call_id, "content": said},
        ]
    messages.append({"role": "assistant", "content": turn})
    return {"session": f"refund-{place}", "messages": messages, "tools": TOOLS}


if __name__ == "__main__":
    for line in sessions():
        print(json.dumps(line))
