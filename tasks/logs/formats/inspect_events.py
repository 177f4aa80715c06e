"""Logs of Inspect with events: each model event of a sample is a call, of an evaluation.

A log without model events holds results alone, and is refused as such (results_of_others). The ZIP
form (.eval) is not read; `inspect log convert --to json` makes a document of it. The model is the
one that was asked, as Inspect names it. Source: inspect_ai, EvalLog and ModelEvent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tasks.logs.formats.results_of_others import is_inspect_log
from tasks.logs.shapes import coerce
from tasks.logs.shapes.answers import Answer, finish
from tasks.logs.shapes.dead import or_dead
from tasks.logs.shapes.json_text import dump
from tasks.logs.shapes.messages import tool_call
from tasks.logs.shapes.parts import message_of
from tasks.logs.shapes.records import Call, Json, Other, Record, UnreadableError
from tasks.logs.shapes.usage import Reported

NAME = "inspect"
VERSION = "inspect@1"

_ATTACHMENT = "attachment://"
_PROVIDERS = {
    "google": "gcp.gemini", "vertex": "gcp.vertex_ai", "bedrock": "aws.bedrock",
    "azureai": "azure.ai.inference", "mistral": "mistral_ai", "grok": "x_ai",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Sample:
    """`texts`: long ones, which its events refer to."""

    session_id: str
    texts: dict[str, Json]
    tags: dict[str, Json]
    task: str | None


def matches(value: Json) -> bool:
    if not is_inspect_log(value):
        return False
    samples = coerce.sequence(value.get("samples"))
    return any(
        _is_call(event) for sample in samples for event in _events(sample)
    )  # fmt: skip


def records(value: Json) -> Iterator[Record]:
    value = coerce.an_object(value)
    if not is_inspect_log(value):
        raise UnreadableError("no log of Inspect")
    told = coerce.mapping(value.get("eval"))
    for sample in coerce.sequence(value.get("samples")):
        if not isinstance(sample, dict):
            continue
        own = (
            sample.get("uuid") or f"{told.get('eval_id')}/{sample.get('id')}/{sample.get('epoch')}"
        )
        tags: dict[str, Json] = {"eval_task": told.get("task"), "sample_id": sample.get("id"),
                                 "epoch": sample.get("epoch")}  # fmt: skip
        texts = coerce.mapping(sample.get("attachments"))
        task = told.get("task")
        named = task if isinstance(task, str) else None
        within = _Sample(str(own), texts, {k: v for k, v in tags.items() if v is not None}, named)
        num_other = 0
        for number, event in enumerate(_events(sample), 1):
            if _is_call(event):
                yield or_dead(event, _call, event, within, number)
            else:
                num_other += 1
        if num_other:
            yield Other(num_other)


def _events(sample: Json) -> list[Json]:
    return coerce.sequence(coerce.first(sample, "events"))


def _is_call(event: Json) -> bool:
    """`pending`: it was written while the model still worked."""
    model = isinstance(event, dict) and event.get("event") == "model"
    return model and event.get("pending") is not True


def _call(event: dict[str, Json], sample: _Sample, number: int) -> Call:
    output = coerce.mapping(event.get("output"))
    choices = coerce.sequence(output.get("choices"))
    first = coerce.mapping(choices[0] if choices else None)
    said = [message for choice in choices
            for message in _message(coerce.first(choice, "message"), sample)]  # fmt: skip
    usage = coerce.mapping(output.get("usage"))
    names = ("input_tokens", "output_tokens", "total_tokens", "input_tokens_cache_read",
             "input_tokens_cache_write", "reasoning_tokens")  # fmt: skip
    counts = [coerce.integer(name, usage.get(name)) for name in names]
    named = coerce.text("model", event.get("model"))
    prefix = (named or "").partition("/")[0]
    tags = dict(sample.tags)
    if output.get("model") not in (None, named):
        tags["response_model"] = output["model"]
    if event.get("cache") is not None:
        tags["cache"] = event["cache"]
    tools = coerce.sequence(event.get("tools"))
    config = {k: v for k, v in coerce.mapping(event.get("config")).items() if v is not None}
    error = event.get("error") or output.get("error")
    seconds = coerce.first(output, "time")
    seconds = event.get("working_time") if seconds is None else seconds
    asked = [message for item in coerce.sequence(event.get("input"))
             for message in _message(item, sample)]  # fmt: skip
    own = coerce.text("uuid", event.get("uuid"))
    return finish(Call(
        request_id=own or f"{sample.session_id}:{number}",
        started_at=coerce.moment("timestamp", event.get("timestamp")),
        provider=_PROVIDERS.get(prefix, prefix) or None, model=named, session_id=sample.session_id,
        prompt_name=sample.task, operation="chat", messages=asked or None,
        params={**config, **({"tools": tools} if tools else {})} or None,
        latency_s=coerce.number("time", seconds),
        retries=coerce.small_integer("retries", event.get("retries")), tags=tags,
    ), Answer(
        said[0] if said else None,
        finish_reason=coerce.text("stop_reason", first.get("stop_reason")),
        tokens=Reported(
            input=counts[0], output=counts[1], total=counts[2], cached=counts[3],
            cache_written=counts[4], reasoning=counts[5],
        ).canonical(),
        other_choices=[*said[1:]], error=error, body=output,
    ))  # fmt: skip


def _message(item: Json, sample: _Sample) -> list[dict[str, Json]]:
    if not isinstance(item, dict):
        return []
    role = item.get("role")
    content = _resolved(item.get("content"), sample)
    read = message_of(role if isinstance(role, str) else "user", content)
    message: dict[str, Any] = read[0] if read and isinstance(read[0], dict) else {"role": role}
    calls = [_tool_call(call) for call in coerce.sequence(item.get("tool_calls"))]
    if calls:
        message["tool_calls"] = calls
    if item.get("tool_call_id") is not None:
        message["tool_call_id"] = item["tool_call_id"]
    if item.get("error") is not None:  # of a tool
        message["is_error"] = True
    return [message]


def _tool_call(call: Json) -> Json:
    if not isinstance(call, dict):
        return call
    said = call.get("arguments")
    arguments = said if isinstance(said, str) else dump(said)
    return tool_call(call.get("id"), call.get("function"), arguments)


def _resolved(content: Json, sample: _Sample) -> Json:
    """Texts that stand once in the sample, in their place."""
    if isinstance(content, str) and content.startswith(_ATTACHMENT):
        return sample.texts.get(content[len(_ATTACHMENT) :], content)
    if isinstance(content, list):
        return [
            {key: _resolved(part, sample) if isinstance(part, str) else part
             for key, part in block.items()} if isinstance(block, dict) else block
            for block in content
        ]  # fmt: skip
    return content
