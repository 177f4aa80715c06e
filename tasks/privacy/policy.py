"""What becomes of each field of a call or of its feedback: masked, hashed, dropped or kept.

A field is a column, or a member of a column that holds an object ("tags.customer"). Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from tasks.errors import did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

    from tasks.privacy.masking import Redactor

MASK, HASH, DROP, KEEP = ACTIONS = ("mask", "hash", "drop", "keep")
#: values are masked, keys stay
JSON_COLUMNS = (
    "messages",
    "response",
    "tool_calls",
    "params",
    "guardrail_verdicts",
    "tags",
)
#: short texts that users or errors fill in; names of models, prompts and releases are the
#: operator's own (and a version such as 1.2.3.4 is no address)
TEXT_COLUMNS = ("session_id", "error_type")
FEEDBACK_TEXTS = ("comment", "corrected")
FIELDS = (*JSON_COLUMNS, *TEXT_COLUMNS, *FEEDBACK_TEXTS)


def check_fields(fields: Mapping[str, str]) -> None:
    """Raises ValueError for a field or action that there is not."""
    for field, action in fields.items():
        column, _, member = field.partition(".")
        if column not in FIELDS:
            hint = did_you_mean(column, FIELDS) or f"; there are {', '.join(FIELDS)}"
            raise ValueError(f"fields: nothing is redacted in {field!r}{hint}")
        if member and column not in JSON_COLUMNS:
            raise ValueError(f"fields: {field!r}: {column} has no members")
        if action not in ACTIONS:
            raise ValueError(f"fields: {field} = {action!r}: it is one of {', '.join(ACTIONS)}")
        if action == HASH and not member and column in JSON_COLUMNS:
            raise ValueError(f"fields: {field!r} is no text, so it cannot be hashed; a member can")


def hidden_columns(fields: Mapping[str, str]) -> frozenset[str]:
    """Columns of which no value may be shown as it came in."""
    return frozenset(
        field.partition(".")[0] for field, action in fields.items() if action in (HASH, DROP)
    )


class Policy:
    """Applies the actions; whatever no action names is masked."""

    def __init__(self, fields: Mapping[str, str], redactor: Redactor) -> None:
        self._redactor = redactor
        self._columns = {field: action for field, action in fields.items() if "." not in field}
        self._members: dict[str, dict[str, str]] = {}
        for field, action in fields.items():
            column, _, member = field.partition(".")
            if member:
                self._members.setdefault(column, {})[member] = action

    def text(self, column: str, value: str) -> str | None:
        match self._columns.get(column, MASK):
            case "drop":
                self._redactor.counts["dropped"] += 1
                return None
            case "hash":
                return self._redactor.hashed(value)
            case "keep":
                return value
        return self._redactor.text(value)

    def json(self, column: str, text: str) -> str | None:
        """`text`: JSON, as the result is."""
        action = self._columns.get(column, MASK)
        if action == DROP:
            self._redactor.counts["dropped"] += 1
            return None
        if column in self._members:
            value = orjson.loads(text)
            if isinstance(value, dict):
                members = self._by_member(value, self._members[column], action)
                return orjson.dumps(members, option=orjson.OPT_SORT_KEYS).decode()
        return text if action == KEEP else self._redactor.json(text)

    def _by_member(
        self, value: dict[str, object], actions: Mapping[str, str], action: str
    ) -> dict[str, object]:
        others = {name: member for name, member in value.items() if name not in actions}
        redacted: dict[str, object] = others if action == KEEP else self._redactor.value(others)
        for name in actions.keys() & value.keys():
            member = value[name]
            match actions[name]:
                case "drop":
                    self._redactor.counts["dropped"] += 1
                case "hash":
                    plain = member if isinstance(member, str) else orjson.dumps(member).decode()
                    redacted[name] = None if member is None else self._redactor.hashed(plain)
                case "keep":
                    redacted[name] = member
                case _:
                    redacted |= self._redactor.value({name: member})
        return redacted


def redact_table(table: pa.Table, policy: Policy) -> pa.Table:
    """Same rows, same columns, with the policy applied to each field."""
    import pyarrow as pa

    for names, redacted in ((JSON_COLUMNS, policy.json), (TEXT_COLUMNS, policy.text)):
        for name in names:
            position = table.schema.get_field_index(name)
            values: list[Any] = [
                None if value is None else redacted(name, value)
                for value in table.column(position).to_pylist()
            ]
            table = table.set_column(position, name, pa.array(values, type=pa.string()))
    return table
