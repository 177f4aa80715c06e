"""Run by worker.py for json_shape.py: whether a JSON text follows a JSON schema."""

import json
from typing import Any

from jsonschema.validators import Draft202012Validator, validator_for
from referencing import Registry


def follows(answer: str, target: str) -> dict[str, Any]:
    value, schema = json.loads(answer), json.loads(target)
    validator = validator_for(schema, default=Draft202012Validator)(schema, registry=Registry())
    error = min(
        validator.iter_errors(value), key=lambda one: list(map(str, one.path)), default=None
    )
    if error is None:
        return {"value": 1, "answer": answer, "explanation": "it follows the schema"}
    place = error.json_path.removeprefix("$").removeprefix(".") or "it"
    return {"value": 0, "answer": answer, "explanation": f"{place}: {error.message[:300]}"}
