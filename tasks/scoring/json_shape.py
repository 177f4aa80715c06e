"""json_valid and json_schema: the whole answer, but for a Markdown fence around it, is JSON, and
follows a JSON schema.

Schemas are judged by the jsonschema package, by the draft they name (else 2020-12), in a process
with limits, because a pattern in one can keep it busy for ever. Nothing is fetched: a reference
has to lead to a place in the schema itself.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import Field, field_validator

from tasks.scoring.base import Score, right, shown, unscored, wrong
from tasks.scoring.json_text import UnreadableJsonError, parse, unfenced
from tasks.scoring.process import LimitedFunction, Source
from tasks.settings.section import Section

_PROCESSOR_S = 5
_MEMORY_BYTES = 2**30


class JsonValidParameters(Section):
    fence: bool = Field(True, description="a Markdown fence around the whole answer is allowed")


class JsonSchemaParameters(JsonValidParameters):
    json_schema: str = Field(
        "", description="the schema's text, for every answer; empty: the target is the schema"
    )

    @field_validator("json_schema")
    @classmethod
    def _is_schema(cls, value: str) -> str:
        if value and (reason := unusable(value)):
            raise ValueError(reason)
        return value


def json_valid(text: str, target: str, parameters: JsonValidParameters) -> Score:
    answer = unfenced(text) if parameters.fence else text
    try:
        parse(answer)
    except UnreadableJsonError as error:
        return wrong(answer, f"{shown(answer)} is not JSON: {error}")
    return right(answer, f"{shown(answer)} is JSON")


def json_schema(text: str, target: str, parameters: JsonSchemaParameters) -> Score:
    schema = parameters.json_schema or target
    if not parameters.json_schema and (reason := unusable(schema)):
        return unscored(f"the target {reason}")
    valid = json_valid(text, target, parameters)
    if valid.value == 0.0:
        return valid
    return _in_process().score(valid.answer or "", schema, {})


def unusable(schema: str) -> str:
    """Why a text is no JSON schema; empty where it is one."""
    from jsonschema import SchemaError
    from jsonschema.validators import Draft202012Validator, validator_for

    try:
        value = parse(schema)
        validator_for(value, default=Draft202012Validator).check_schema(value)
    except UnreadableJsonError as error:
        return f"is not JSON: {error}"
    except SchemaError as error:
        return f"is no JSON schema: {error.message[:200]}"
    return "" if isinstance(value, dict | bool) else "is no JSON schema"


@cache
def _in_process() -> LimitedFunction:
    path = Path(__file__).with_name("json_schema_worker.py")
    source = Source(path.stem, "follows", path, path.read_text(encoding="utf-8"), path.parent)
    return LimitedFunction(source, _PROCESSOR_S, _MEMORY_BYTES)
