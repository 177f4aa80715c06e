"""What the sieve leaves out has nothing in it: all at once finds what one by one finds."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.planted import IN_CONTEXT, TOKENS, texts
from tasks.privacy.masking import KINDS, Redactor
from tasks.privacy.policy import JSON_COLUMNS, TEXT_COLUMNS, Policy, redact_table
from tests.tasks.privacy.test_masking import FOUND, SIGNS
from tests.tasks.privacy.test_spellings import CARDS, SPELLINGS

KEY = b"test"


def table_of(values: list[Any]) -> pa.Table:
    names = (*JSON_COLUMNS, *TEXT_COLUMNS)
    columns: dict[str, Any] = {name: [None] * len(values) for name in names}
    columns["messages"] = [orjson.dumps(value).decode() for value in values]
    return pa.table({name: pa.array(column, pa.string()) for name, column in columns.items()})


def check(values: list[Any]) -> None:
    whole = redact_table(table_of(values), Policy({}, Redactor(KINDS, KEY)))
    one_by_one = Redactor(KINDS, KEY)
    for value, masked in zip(values, whole["messages"].to_pylist(), strict=True):
        assert json.loads(masked) == one_by_one.value(value), value


def test_whatever_is_found_alone_is_found_in_a_table():
    texts_found = [value for of in FOUND.values() for value in of]
    values: list[Any] = [*texts_found, *SPELLINGS, *CARDS]
    values += [text for name in (*TOKENS, *IN_CONTEXT) for text, _ in texts(name, 10)]
    values += [{"a": [value]} for value in values]
    values += [
        json.dumps({"to": value}) for value in values[: len(values) // 2] if isinstance(value, str)
    ]
    values += [
        {"password": 12345678}, {"cookie": "a=bcdef"}, {"x": 4111111111111111},
        [{"name": "Authorization", "value": "correcthorse"}], {"conn_str": "abcdef"},
        {"phone": 4917012345}, [["x-api-key", "abcd1234"]], {"jwt": "abcd1234efgh"},
    ]  # fmt: skip
    check(values)


@settings(max_examples=300)
@given(st.lists(SIGNS, max_size=14).map("".join), st.booleans())
@example("password\n\n= x1y2", False)
@example("Bearer a.deghp_37040044", False)
@example("4111\n\n1111\n\n1111\n\n1111", True)
def test_the_sieve_never_loses_anything(text: str, nested: bool):
    check([json.dumps({"a": text}) if nested else {"a": text}])
