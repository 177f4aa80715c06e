"""TensorZero datapoints → lines of a suite.

A datapoint's key is (dataset_name, id): of several rows with one key the newest counts, and a
deleted one not at all. One without an output has no target and is passed over, as is the same
question asked again. Source: TensorZero's ChatInferenceDatapoint and JsonInferenceDatapoint.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.logs.shapes.json_text import nested


def newest(rows: Sequence[tuple[int, Mapping[str, Any]]]) -> list[tuple[int, Mapping[str, Any]]]:
    """Of (line number, datapoint) the newest of each key, in order, without deleted ones."""
    last: dict[tuple[str, str], tuple[int, Mapping[str, Any]]] = {}
    for number, row in rows:
        key = (str(row["dataset_name"]), str(row.get("id")))
        known = last.get(key)
        if known is None or _updated(row) >= _updated(known[1]):
            last[key] = (number, row)
    return sorted(
        ((number, row) for number, row in last.values() if row.get("is_deleted") is not True),
        key=lambda numbered: numbered[0],
    )


def to_line(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """{"messages", "target", "task", "slices", "id"}; None where there is no target."""
    target = _target(nested(row.get("output")))
    asked = nested(row["input"])
    if target is None or not isinstance(asked, Mapping):
        return None
    messages = []
    if asked.get("system") is not None:
        messages.append({"role": "system", "content": _as_text(asked["system"])})
    turns = asked.get("messages")
    for turn in turns if isinstance(turns, list) else []:
        if isinstance(turn, Mapping):
            content = _content(turn.get("content"))
            messages.append({"role": turn.get("role", "user"), "content": content})
    return {
        "messages": messages,
        "target": target,
        "task": row["function_name"],
        "slices": {"dataset": str(row["dataset_name"])},
        "id": row.get("id"),
    }


def _updated(row: Mapping[str, Any]) -> str:
    return str(row.get("updated_at") or "")


def _content(blocks: Any) -> str:
    """Text as it is; the arguments of a template as JSON, for the template is not at hand."""
    if not isinstance(blocks, list):
        return _as_text(blocks)
    return "\n".join(_block(block) for block in blocks)


def _block(block: Any) -> str:
    if isinstance(block, Mapping):
        for key in ("text", "value", "arguments", "result"):
            if block.get(key) is not None:
                return _as_text(block[key])
    return _as_text(block)


def _target(output: Any) -> Any:
    """Chat: the text of the blocks. JSON functions: the parsed object."""
    if isinstance(output, Mapping):
        parsed = output.get("parsed")
        return parsed if parsed is not None else output.get("raw")
    if isinstance(output, list):
        texts = [block["text"] for block in output
                 if isinstance(block, Mapping) and isinstance(block.get("text"), str)]  # fmt: skip
        return "\n".join(texts) or None
    return output if isinstance(output, str) and output.strip() else None


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
