"""The form that an answer was to have, in the words of whichever API: JSON, or JSON by a schema.

Sources: the API references of OpenAI (Chat, Responses), Anthropic (Messages), Google
(generateContent), AWS (Converse), Mistral, Cohere and Ollama, and the further parameters of vLLM,
llama.cpp and TGI. A form that is none of both (a grammar, a choice of words) is passed over.

{"type": "json_object"}, or {"type": "json_schema", "name", "schema": TEXT} with `description` and
`strict` where they were told. The schema is a text because a model writes members in its order, and
a JSON value of the store has none of its own. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tasks.model.canonical import parsed_text
from tasks.model.openapi import ORDERINGS, json_schema_of

#: names in small letters without underscores whose value says the form, and those of a schema
_FORMS = ("responseformat", "outputformat", "format")
_SCHEMAS = ("guidedjson", "jsonschema", "outputschema")
#: what holds one of them
_HOLDERS = (("text", "format"), ("outputconfig", "format"), ("outputconfig", "textFormat"))
_IS_JSON = {"type": "json_object"}
_NAME = "answer"


def format_of(found: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Of parameters by their names in small letters without underscores; None: any text."""
    told = [found[name] for name in _FORMS if name in found]
    held = [(parsed_text(found.get(name)), key) for name, key in _HOLDERS]
    told += [holder[key] for holder, key in held if isinstance(holder, Mapping) and key in holder]
    outputs = parsed_text(found.get("structuredoutputs"))
    schemas = [found[name] for name in _SCHEMAS if name in found]
    if isinstance(outputs, Mapping) and "json" in outputs:  # vLLM
        schemas.append(outputs["json"])
    grammar = parsed_text(found.get("grammar"))
    if isinstance(grammar, Mapping) and grammar.get("type") == "json":  # TGI
        schemas.append(grammar.get("value"))
    read = [_of_gemini(found)] if "responsemimetype" in found else []
    read += [read_format(_in_order(parsed_text(value))) for value in told]
    read += [_by_schema(_in_order(parsed_text(schema))) for schema in schemas]
    return next((one for one in read if one is not None), None)


def read_format(value: Any) -> Mapping[str, Any] | None:
    """What such a parameter's value says, the members of a schema in the order given; None for
    text, and for what is no form of an answer."""
    value = parsed_text(value)
    if value == "json":  # Ollama
        return _IS_JSON
    if not isinstance(value, Mapping):
        return None
    kind = value.get("type")
    schema = _schema_in(value)
    if schema is not None and kind in ("json_schema", "json_object", "json"):
        return _by_schema(*schema)
    if kind == "json_object":
        return _IS_JSON
    is_schema = kind == "object" or "properties" in value  # Ollama
    return _by_schema(value) if is_schema else None


def schema_of(answer_format: Mapping[str, Any]) -> str:
    """The JSON schema that such an answer follows, as a text."""
    return str(answer_format.get("schema", '{"type": "object"}'))


def response_format(answer_format: Mapping[str, Any]) -> dict[str, Any]:
    """As OpenAI's Chat API has it."""
    if answer_format["type"] != "json_schema":
        return dict(answer_format)
    named = {key: item for key, item in answer_format.items() if key != "type"}
    named["schema"] = json.loads(named["schema"])
    return {"type": "json_schema", "json_schema": named}


def _in_order(value: Any) -> Any:
    """Members of schemas as they were written, as far as that is told: the keys of a logged call
    are sorted, but lists are not, and the members that are required are one, in OpenAI's strict
    mode all of them; Gemini has a list for the order alone."""
    if isinstance(value, list):
        return [_in_order(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    told = {key: _in_order(item) for key, item in value.items()}
    properties = told.get("properties")
    if isinstance(properties, dict):
        listed = [told.get(key) for key in (*ORDERINGS, "required")]
        names = [name for one in listed if isinstance(one, list) for name in one]
        first = [name for name in names if isinstance(name, str) and name in properties]
        told["properties"] = {
            name: properties[name] for name in dict.fromkeys([*first, *properties])
        }
    return told


def _schema_in(value: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]] | None:
    """The schema and what names it."""
    named = parsed_text(value.get("json_schema"))
    structure = value.get("structure")  # Converse
    if isinstance(structure, Mapping):
        named = structure.get("jsonSchema")
    if isinstance(named, Mapping):
        inner = parsed_text(named.get("schema"))
        if isinstance(inner, Mapping):
            return inner, named
        return (named, {}) if value.get("type") == "json_object" else None  # Cohere
    for key in ("schema", "value"):
        inner = parsed_text(value.get(key))
        if isinstance(inner, Mapping):
            return inner, value
    return None


def _by_schema(schema: Any, named: Mapping[str, Any] = {}) -> Mapping[str, Any] | None:
    if not isinstance(schema, Mapping):
        return None
    name, about = named.get("name"), named.get("description")
    told: dict[str, Any] = {"name": name if isinstance(name, str) and name else _NAME}
    if isinstance(about, str) and about:
        told["description"] = about
    told["schema"] = json.dumps(schema, ensure_ascii=False)
    if isinstance(named.get("strict"), bool):
        told["strict"] = named["strict"]
    return {"type": "json_schema", **told}


def _of_gemini(found: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if found["responsemimetype"] != "application/json":
        return None
    schema = next((found[name] for name in ("responsejsonschema", "responseschema")
                   if found.get(name) is not None), None)  # fmt: skip
    if schema is None:
        return _IS_JSON
    return _by_schema(json_schema_of(_in_order(parsed_text(schema)))) or _IS_JSON
