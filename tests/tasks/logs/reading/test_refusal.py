from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tasks.logs.foreign import by_keys, by_lines, by_magic, looks
from tasks.logs.reading import refusal
from tasks.store.held.dead_letters import WITHOUT_DATA
from tests.tasks.logs.foreign import KINDS
from tests.tasks.logs.foreign_writers import Draw


def told(name: str, data: bytes) -> str:
    """What is said of a file that no format takes."""
    early = refusal.by_name(name, data[:65_536])
    if early is not None:
        return early
    lines = [line for line in data.splitlines() if line.strip()][:50]
    try:
        return refusal.of_document([json.loads(data)])
    except ValueError:
        pass
    values: list[Any] = []
    for line in lines:
        try:
            values.append(json.loads(line))
        except ValueError:
            continue
    return refusal.of_lines(data[:65_536], lines, values)


#: tables are told by their columns, see below
_NO_TABLES = [kind for kind in KINDS if not kind.name.endswith((".csv", ".tsv", ".parquet"))]


@pytest.mark.parametrize("kind", _NO_TABLES, ids=[kind.name for kind in _NO_TABLES])
def test_a_file_of_others_is_called_by_its_kind_or_by_its_keys(kind):
    for seed in range(3):
        said = told(kind.name.format(n=seed), kind.write(Draw(seed)))
        assert kind.told in said


@pytest.mark.parametrize("kind", [kind for kind in by_keys._KINDS if not kind.holds])
def test_no_row_of_the_table_of_keys_is_hidden_by_one_before_it(kind):
    assert by_keys.told({group[0]: 1 for group in kind.needs}) == kind.what


def test_what_is_quoted_of_a_file_stands_behind_the_first_colon():
    """So that a store that seals what it holds keeps the kind, and no word of the file."""
    quoted = [
        refusal.of_lines(b"", [b"secret words here"], []),
        refusal.of_document([{"secret": 1}]),
        refusal.of_csv(["secret", "more"]),
        refusal.of_parquet(["secret", "more"]),
        refusal.by_name("a.xml", b"<secret><a/></secret>") or "",
        refusal.of_broken([b"{secret"], "unexpected character 'secret'"),
    ]
    for what in quoted:
        assert "secret" in what
        kept = "".join(re.findall(WITHOUT_DATA, refusal.reason(what)))
        assert len(kept) > len(refusal.UNREAD) + 5
        assert "secret" not in kept


def test_no_kind_is_cut_by_an_apostrophe_or_a_quotation_mark():
    words = [kind.what for kind in by_keys._KINDS] + [kind.what for kind in by_lines._KINDS]
    words += [what for _, what in (*by_magic._MAGIC, *by_magic._LETTERS)]
    for what in words:
        assert not set("'\"") & set(what.partition(":")[0]), what


@pytest.mark.parametrize(
    ("value", "what"),
    [({"order_no": 1, "total": 2}, "without messages or an answer: the keys order_no, total"),
     ({"messages": [], "n": 1}, "without an answer: the keys messages, n"),
     ({"prompt": "a", "answer": "b", "x": 1}, "that no format knows: the keys prompt, answer, x"),
     ([{"a": 1}, {"b": 2}], "with a list of objects without messages or an answer: the keys a, b"),
     ([], "with nothing in it"), ("a", "a JSON document of texts"), (None, "nothing but null"),
     ({}, "without any key"), ([[1], [2]], "of lists"), (True, "of booleans"),
     ({f"k{n}": n for n in range(20)}, "k7 and 12 more")],
)  # fmt: skip
def test_what_is_of_no_kind_is_told_by_its_keys(value, what):
    assert what in refusal.of_document([value])


def test_keys_and_words_that_are_data_are_not_quoted():
    said = refusal.of_document([{"ann@example.com": 1, "4111111111111111": 2, "x" * 90: 3}])
    assert "ann" not in said
    assert "41111" not in said
    assert "x" * 41 not in said
    said = refusal.of_lines(b"", [b"Dear Ann Smith, your card 4111 is lost"], [])
    assert said == "a text that is no JSON: it begins with … your card … is lost"


def test_a_table_without_a_heading_is_told_by_its_width():
    assert refusal.of_csv(["2026-11-01", "12.5", "ann"]) == (
        "a CSV table of 3 columns without a heading; where they are those of calls, "
        "[ingest.columns] says what each means"
    )
    assert "asks for T, U" in refusal.of_csv(["a", "b"], ["T", "U"])


def test_a_table_of_a_known_kind_is_called_by_it():
    assert refusal.of_parquet(["metric", "value", "time"]) == (
        "a Parquet table, metrics: the columns metric, value, time"
    )
    assert "flywheel suite import" in refusal.of_csv(["question", "choices", "answer"])


def test_a_long_line_is_told_with_the_limit():
    assert refusal.of_long_line(20_971_520, 8_388_608) == (
        "which begins with a line of 20,971,520 bytes; a line may have 8,388,608 "
        "([ingest] max_line_bytes)"
    )


def test_binary_data_of_an_unknown_kind_is_told_by_its_first_bytes():
    data = bytes(range(1, 9)) * 40
    assert refusal.of_lines(data, [data], []) == (
        "binary data of an unknown kind: it begins with the bytes 01 02 03 04 05 06 07 08"
    )
    assert not by_magic.is_binary("Grüße, 日本\n".encode())
    assert not by_magic.is_binary('{"a": 1}'.encode("utf-16"))


def test_a_text_that_begins_like_a_magic_number_is_no_binary_file():
    for text in (b"ORC army sighted\n", b"MZ is short\n", b"BZh what\n", b"ID3 tags\n", b"<34>Oct"):
        assert by_magic.told(text) is None


@pytest.mark.parametrize("hostile", ["a,a=" * 600, "1" * 2_000 + "x", "a." * 1_000, "[" * 2_000,
                                     "a " * 1_000, "\x00" * 50, "{" * 900, '"' * 999])  # fmt: skip
def test_hostile_lines_are_told_in_no_time(hostile):
    lines = [hostile.encode()] * 50
    assert refusal.of_lines(lines[0], lines, [])
    assert looks.of_columns("a CSV table", [hostile] * 3)


@pytest.mark.parametrize("value", [5, None, [], {}, "text", [5], {"a": {}}])
def test_any_value_under_any_key_is_told(value):
    keys = {key for kind in by_keys._KINDS for group in kind.needs for key in group}
    assert refusal.of_document([dict.fromkeys(keys, value)])
    for key in keys:
        assert refusal.of_document([{key: value, "type": value, "id": value}])
