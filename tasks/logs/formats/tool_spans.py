"""Spans of tools: what a tool was asked and gave back, kept with the call that asked for it.

Sources: execute_tool spans of the GenAI conventions, OpenInference (kind TOOL), OpenLLMetry
(traceloop.span.kind tool), MLflow (type TOOL), the Vercel AI SDK, Pydantic AI, Google's ADK.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from tasks.logs.formats import mlflow_call, otlp_call
from tasks.logs.formats.openinference_call import KIND
from tasks.logs.formats.otlp_values import Attributes
from tasks.logs.formats.spans import hex_id, read_events, read_times
from tasks.logs.shapes import coerce
from tasks.logs.shapes.json_text import nested
from tasks.logs.shapes.records import Call, Json, UnreadableError

#: field of a result → attributes that may hold it
_NAMES = {
    "tool_call_id": (
        "gen_ai.tool.call.id", "ai.toolCall.id", "tool_call.id", "tool.id",
        "gcp.vertex.agent.tool_call_id",
    ),
    "name": (
        "gen_ai.tool.name", "ai.toolCall.name", "tool.name", "tool_name", "traceloop.entity.name",
    ),
    "arguments": (
        "gen_ai.tool.call.arguments", "ai.toolCall.args", "tool_arguments",
        "gcp.vertex.agent.tool_call_args", "traceloop.entity.input", "input.value",
        "mlflow.spanInputs",
    ),
    "result": (
        "gen_ai.tool.call.result", "ai.toolCall.result", "tool_response",
        "gcp.vertex.agent.tool_response", "traceloop.entity.output", "output.value",
        "mlflow.spanOutputs",
    ),
}  # fmt: skip


class Tools:
    """The tool spans of one or more traces."""

    def __init__(self) -> None:
        self._by_id: dict[str, dict[str, Json]] = {}
        #: (trace, name) → (start, result) of those without an id
        self._by_name: dict[tuple[str | None, str], list[tuple[datetime, dict[str, Json]]]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_id or self._by_name)

    def add(self, span: dict[str, Json], attrs: Attributes) -> None:
        """One that cannot be read is counted like any other span, and joins no call."""
        try:
            found = _result(span, attrs)
            started, _ = read_times(span, {})
        except UnreadableError:
            return
        own, name = found.get("tool_call_id"), found.get("name")
        if isinstance(own, str):
            self._by_id[own] = found
        elif isinstance(name, str) and started is not None:
            key = hex_id(span.get("traceId")), name
            self._by_name.setdefault(key, []).append((started, found))

    def in_order(self) -> None:
        """After the last one was added."""
        for waiting in self._by_name.values():
            waiting.sort(key=lambda each: each[0])

    def kept_with(self, call: Call) -> Call:
        """With what the tools that the call asked for gave back."""
        given = [found for asked in coerce.sequence(call.tool_calls)
                 if (found := self._given(call, asked)) is not None]  # fmt: skip
        return replace(call, tags={**call.tags, "tool_results": given}) if given else call

    def _given(self, call: Call, asked: Json) -> dict[str, Json] | None:
        own = coerce.first(asked, "id")
        if isinstance(own, str) and own in self._by_id:
            return self._by_id[own]
        name = coerce.first(coerce.first(asked, "function"), "name")
        trace = (call.request_id or "").partition(":")[0]
        waiting = self._by_name.get((trace, name)) if isinstance(name, str) else None
        # without an id: the first of that name that ran after the call
        for number, (started, found) in enumerate(waiting or ()):
            if waiting and call.started_at is not None and started >= call.started_at:
                del waiting[number]
                return {**found, "tool_call_id": own}
        return None


def of_trace(read: Iterable[tuple[dict[str, Json], Attributes, Attributes]]) -> Tools:
    tools = Tools()
    for span, attrs, _ in read:
        if is_tool(attrs):
            tools.add(span, attrs)
    tools.in_order()
    return tools


def is_tool(attrs: Attributes) -> bool:
    return (
        attrs.get("gen_ai.operation.name") == "execute_tool"
        or attrs.get("traceloop.span.kind") == "tool"
        or attrs.get(KIND) == "TOOL"
        or attrs.get(mlflow_call.TYPE) in ("TOOL", '"TOOL"')
        or "ai.toolCall.id" in attrs
    )


def _result(span: dict[str, Json], attrs: Attributes) -> dict[str, Json]:
    read = mlflow_call.value_of if mlflow_call.TYPE in attrs else nested
    found = {field: read(coerce.first(attrs, *names)) for field, names in _NAMES.items()}
    found["name"] = found["name"] or span.get("name")
    error = otlp_call.error_of(
        dict(attrs), read_events(span.get("events")), span.get("status"), {}
    )  # fmt: skip
    if error is not None:
        found["error"] = error
    return {field: item for field, item in found.items() if item is not None}
