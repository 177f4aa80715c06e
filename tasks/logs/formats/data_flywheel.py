"""The five fields of NVIDIA's data flywheel: timestamp, workload_id, client_id, request, response.

Request and response are OpenAI chat bodies; `contract_version` and `error_details` may stand beside
them. An id that was made from the timestamp names more than one call and is not taken for a key.
Source: the NVIDIA data-flywheel blueprint, its log schema and loader.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tasks.logs.formats.pairs import openai_chat
from tasks.logs.shapes import coerce
from tasks.logs.shapes.records import Call, Json, Record

NAME = "data_flywheel"
VERSION = "data_flywheel@3"


def matches(value: Json) -> bool:
    if not isinstance(value, dict) or "workload_id" not in value:
        return False
    answered = "response" in value or "error_details" in value
    return answered and isinstance(value.get("request"), dict)


def records(value: Json) -> Iterator[Record]:
    value = coerce.an_object(value)
    line = {key: item for key, item in value.items() if key != "error_details"}
    line.setdefault("response", None)
    details = value.get("error_details")
    if details:
        line["error"] = details
        status = coerce.first(details, "status_code")
        if isinstance(status, int):
            line.setdefault("status_code", status)
    made_up = f"chatcmpl-{value.get('timestamp')}"
    for record in openai_chat.records(line):
        if isinstance(record, Call) and record.request_id == made_up:
            record = replace(record, request_id=None, tags={**record.tags, "response_id": made_up})
        yield record
