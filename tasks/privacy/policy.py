"""What becomes of each field of a call or of its feedback: masked, hashed, dropped or kept.

A field is a column, or a member of a column that holds an object ("tags.customer"). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import orjson

from tasks.errors import did_you_mean
from tasks.privacy.sieve import Groups

if TYPE_CHECKING:
    import pyarrow as pa

    from tasks.privacy.masking import Redactor

MASK, HASH, DROP, KEEP = ACTIONS = ("mask", "hash", "drop", "keep")
#: every value of any type and the names of members, at any depth
JSON_COLUMNS = (
    "messages",
    "response",
    "tool_calls",
    "params",
    "guardrail_verdicts",
    "tags",
)
TEXT_COLUMNS = (
    "provider",
    "model",
    "release",
    "prompt_name",
    "prompt_version",
    "session_id",
    "operation",
    "finish_reason",
    "status",
    "error_type",
)
FEEDBACK_TEXTS = ("comment", "corrected")
FIELDS = (*JSON_COLUMNS, *TEXT_COLUMNS, *FEEDBACK_TEXTS)
#: the other columns of calls and feedback, and why their values are safe
EXEMPT = {
    "masked when it came in, so that it joins": ("request_id",),
    "a hash since it came in": ("user_hash", "by_hash"),
    "a number or a time by its type": (
        "started_at", "input_tokens", "output_tokens", "total_tokens", "cached_tokens",
        "reasoning_tokens", "ttft_s", "latency_s", "cost_usd", "http_status", "retries",
        "value", "given_at", "ingested_at",
    ),
    "ours: digests, ids of runs, names of log files and formats": (
        "sources", "source", "format", "content_digest", "feedback_id", "run_id",
    ),
}  # fmt: skip
#: of models and prompts: 1.2.3.4 is no address there
_VERSION = re.compile(r"v?[0-9]+(?:\.[0-9]+)*")
_NOTHING: Groups = frozenset()
_VERSIONED = frozenset({"model", "release", "prompt_name", "prompt_version"})


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
        if column in _VERSIONED and _VERSION.fullmatch(value):
            return value
        return self._redactor.text(value)

    def json(self, column: str, text: str, groups: Groups = None) -> str | None:
        """`text`: JSON, as the result is. `groups`: what the sieve says of it."""
        action = self._columns.get(column, MASK)
        if action == DROP:
            self._redactor.counts["dropped"] += 1
            return None
        if column in self._members:
            value = orjson.loads(text)
            if isinstance(value, dict):
                members = self._by_member(value, self._members[column], action)
                return orjson.dumps(members, option=orjson.OPT_SORT_KEYS).decode()
        return text if action == KEEP else self._redactor.json(text, groups)

    def only_masks(self, column: str) -> bool:
        """Whether what is found in it is masked and nothing else is done with it."""
        return self._columns.get(column, MASK) == MASK and column not in self._members

    def may_hold(self, texts: pa.Array) -> list[Groups]:
        return self._redactor.sieve.groups_of(texts)

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
    for names, redacted in ((JSON_COLUMNS, _jsons), (TEXT_COLUMNS, _texts)):
        for name in names:
            position = table.schema.get_field_index(name)
            column = table.column(position)
            if column.null_count < len(column):
                changed = redacted(name, column, policy)
                table = table.set_column(position, name, changed)
    return table


def _jsons(name: str, column: pa.ChunkedArray, policy: Policy) -> pa.Array:
    """Only texts are read in which the sieve says that there may be something."""
    import pyarrow as pa

    texts = column.combine_chunks()
    values: list[str | None] = texts.to_pylist()
    groups = policy.may_hold(texts) if policy.only_masks(name) else [None] * len(values)
    for row, (value, may_hold) in enumerate(zip(values, groups, strict=True)):
        if value is not None and may_hold != _NOTHING:
            values[row] = policy.json(name, value, may_hold)
    return pa.array(values, type=pa.string())


def _texts(name: str, column: pa.ChunkedArray, policy: Policy) -> pa.Array:
    """Names come again and again: one that stays as it is is looked at once."""
    import pyarrow as pa

    values: list[str | None] = column.to_pylist()
    same: set[str | None] = {None}
    for row, value in enumerate(values):
        if value is None or value in same:
            continue
        values[row] = redacted = policy.text(name, value)
        if redacted == value:
            same.add(value)
    return pa.array(values, type=pa.string())
