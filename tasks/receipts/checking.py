"""Whether a file is a receipt that its key has signed, and where it is not one. Needs no store and
no settings: the file, and a public key."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import UsageError
from tasks.receipts.canonical import exact
from tasks.receipts.differences import Difference, first_difference
from tasks.receipts.envelope import Opened, RefusedError, opened
from tasks.receipts.keys import PUBLIC, read_public
from tasks.receipts.statement import ADDED_LATER, RECEIPT, TEST_RESULT, Statement

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey

_SCHEMAS = {RECEIPT: "receipt-1.json", TEST_RESULT: "test-result-0.1.json"}


def checked(data: bytes, keys: Sequence[SSlibKey]) -> Opened:
    """Raises RefusedError, which names the place."""
    found = opened(data, keys)
    kind = found.statement.get("predicateType")
    if kind not in _SCHEMAS:
        raise RefusedError("schema", f"$.predicateType is {kind!r}", found.statement)
    wrong = min(
        _validator(_SCHEMAS[kind]).iter_errors(found.statement),
        key=lambda error: (error.json_path, error.message),
        default=None,
    )
    if wrong is not None:
        why = f"{wrong.json_path}: {wrong.message[:200]}"
        raise RefusedError("schema", why, found.statement)
    return found


def keys_beside(file: Path) -> list[SSlibKey]:
    """Public keys in the folder of a receipt."""
    found = []
    for path in sorted(file.parent.glob(f"*{PUBLIC}")):
        try:
            found.append(read_public(path))
        except UsageError:  # another program's
            continue
    return found


def differs_from(made: Statement, said: Any, *, is_signed: bool = False) -> Difference | None:
    """The first field in which a receipt says something else than what `made` says of the run; what
    is added later is left out. `is_signed`: nothing was taken out of it, so a key that it does not
    have is one that the build which wrote it did not know."""
    then, now = (exact(value) for value in (made, said))
    if is_signed:
        then = _as_far_as(then, now)
    # what the limits say follows from the rest
    found = first_difference(*(_without(value, (*ADDED_LATER, "limits")) for value in (then, now)))
    return found or first_difference(*(_without(value, ADDED_LATER) for value in (then, now)))


def _as_far_as(made: Any, said: Any) -> Any:
    """Without keys that the other does not have."""
    if isinstance(made, dict) and isinstance(said, dict):
        return {key: _as_far_as(part, said[key]) for key, part in made.items() if key in said}
    if isinstance(made, list) and isinstance(said, list) and len(made) == len(said):
        return [_as_far_as(one, other) for one, other in zip(made, said, strict=True)]
    return made


def _without(statement: Any, keys: Sequence[str]) -> Any:
    """Of the predicate."""
    if not isinstance(statement, dict) or not isinstance(statement.get("predicate"), dict):
        return statement
    predicate = statement["predicate"]
    kept = {key: value for key, value in predicate.items() if key not in keys}
    return {**statement, "predicate": kept}


@cache
def _validator(name: str) -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(schema_text(name)))


def schema_text(name: str = "receipt-1.json") -> str:
    return files("tasks.model").joinpath("schemas", name).read_text(encoding="utf-8")
