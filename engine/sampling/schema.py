"""What a JSON schema may be before a grammar is made of it: bounds on its size, and references that
lead somewhere.

Schemas come with requests and may be hostile. Knows JSON; nothing of grammars or tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from engine.errors import InvalidRequestError

__all__ = ["check_schema"]

MAX_SCHEMA_CHARS = 64 * 1024
MAX_SCHEMA_DEPTH = 32
MAX_JOINED = 12
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


def check_schema(text: str) -> None:
    """Raises InvalidRequestError."""
    if len(text) > MAX_SCHEMA_CHARS:
        raise InvalidRequestError(
            f"json_schema has {len(text)} characters; {MAX_SCHEMA_CHARS} are allowed."
        )
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "it is too deep" if isinstance(error, RecursionError) else str(error)[:300]
        raise InvalidRequestError(f"json_schema is not valid JSON: {reason}") from None
    if not isinstance(schema, dict):
        raise InvalidRequestError(
            f"json_schema is a {type(schema).__name__}, but it must be an object."
        )
    num_joined = 0
    for depth, node in _nodes(schema):
        if depth > MAX_SCHEMA_DEPTH:
            raise InvalidRequestError(
                f"json_schema is more than {MAX_SCHEMA_DEPTH} levels deep; no more are allowed."
            )
        # how many patterns may have to hold at once because of this object
        members = node.get("allOf")
        num_joined += len(members) if isinstance(members, list) else 0
        num_joined += "pattern" in node and any(key in node for key in REFERENCES)
        for target in (node[key] for key in REFERENCES if key in node):
            if isinstance(target, str) and not target.startswith("#"):
                raise InvalidRequestError(
                    f"json_schema refers to {target[:80]!r}. Allowed: references within the "
                    "schema, which begin with '#'; nothing is fetched."
                )
    if num_joined > MAX_JOINED:
        raise InvalidRequestError(
            f"json_schema joins {num_joined} schemas by allOf, or by a pattern beside a reference; "
            f"{MAX_JOINED} are allowed, because the work doubles with each."
        )
    _refuse_circles(schema)


def _nodes(schema: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every object in it with its depth, without recursion; an object in a list is one deeper."""
    stack: list[tuple[int, Any]] = [(1, schema)]
    while stack:
        depth, value = stack.pop()
        if isinstance(value, dict):
            yield depth, value
        inner = value.values() if isinstance(value, dict) else value
        stack += [(depth + 1, item) for item in inner if isinstance(item, (dict, list))]


def _refuse_circles(schema: dict[str, Any]) -> None:
    """A value that has to be, first of all, a value of this very kind: no text is one. A reference
    back through a member or an item is a tree, and fine.
    """
    done: set[int] = set()
    for _, start in _nodes(schema):
        path: dict[int, None] = {}
        stack = [start]
        while stack:
            node = stack.pop()
            if id(node) in path:
                del path[id(node)]  # the way back: all it needs was looked at
                done.add(id(node))
                continue
            if id(node) in done:
                continue
            path[id(node)] = None
            stack.append(node)
            for needed in _needed_first(schema, node):
                if id(needed) in path:
                    raise InvalidRequestError(
                        f"json_schema refers in a circle by {node.get('$ref', 'allOf')!r:.80}: "
                        "it leads to nothing but itself."
                    )
                stack.append(needed)


def _needed_first(schema: dict[str, Any], node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The other schemas that a value of this one has to follow as a whole."""
    joined = node.get("allOf")
    targets = [*joined] if isinstance(joined, list) else []
    if isinstance(node.get("$ref"), str):
        targets.append(_at(schema, node["$ref"]))
    yield from (target for target in targets if isinstance(target, dict))


def _at(schema: Any, pointer: str) -> Any:
    """What a JSON pointer (RFC 6901) as a fragment leads to; None: to nothing."""
    if pointer != "#" and not pointer.startswith("#/"):
        return None
    for step in unquote(pointer).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(schema, dict):
            schema = schema.get(name)
        elif isinstance(schema, list) and name.isdecimal() and int(name[:9]) < len(schema):
            schema = schema[int(name[:9])]
        else:
            return None
    return schema
