"""Bytes that nobody has parsed: what tells whose they are, and what does not."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tasks.logs.shapes.coerce import user_hash
from tasks.safekeeping.searching import Search, is_packed, lines_with, without_lines

ANN = user_hash("ann@x.org") or ""
TEXT = "my parcel of last week has not come yet"


@pytest.mark.parametrize(
    "data",
    [
        b'{"user": "ann@x.org", "broken',
        b"2026-11-01 user=ann@x.org status=500",
        b"id,user\n7,ann@x.org\n",
        f'{{"user_hash": "{ANN}"'.encode(),
        b'{"id":call-7}',
        b'{"request_id": "call-7"',
        json.dumps({"record": json.dumps({"deep": json.dumps({"id": "call-7"})})}).encode(),
        json.dumps({"messages": [{"content": TEXT}]}).encode(),
    ],
)
def test_a_line_is_of_a_user_a_call_or_a_text(data: bytes):
    assert Search({"call-7"}, {ANN}, [TEXT]).holds(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b'{"request_id": "call-77", "user": "xann@x.org"}',
        b'{"request_id": "a-call-7"}',
        json.dumps({"content": f"{TEXT} and more"}).encode(),
        b'\\"\xff\xfe"',
    ],
)
def test_what_only_looks_like_it_is_not(data: bytes):
    assert not Search({"call-7"}, {ANN}, [TEXT]).holds(data)


def test_of_nobody_nothing_is_found():
    assert not Search((), ()).holds(b'"" "null" {} call')
    assert not Search((), ()).quotes("a sentence (with words)")


def test_an_id_that_is_stored_as_a_pseudonym_is_found_as_it_was_written():
    pseudonym = "<hashed:a1>"
    search = Search({pseudonym}, (), safe_id={"ann@x.org-7": pseudonym}.get)
    assert search.holds(b'{"id": "ann@x.org-7"}')
    assert not search.holds(b'{"id": "bob@x.org-7"}')


def test_a_sentence_quotes_by_an_id_or_by_how_a_text_begins():
    search = Search({"call-7"}, (), [TEXT])
    assert search.quotes("the pin of call-7 expired.")
    assert search.quotes(f"a line: [{{'content': '{TEXT[:30]}")
    assert not search.quotes("/logs/call-7.jsonl")
    assert not search.quotes("the pin of call-70 expired")


def test_lines_leave_a_file_and_the_others_stay_byte_for_byte(tmp_path: Path):
    path = tmp_path / "stdin-a"
    path.write_bytes(b'{"user": "bob"}\r\n{"user": "ann@x.org"}\n\n{"user": "cyd"}')
    search = Search((), {ANN})
    assert lines_with([path, tmp_path / "none"], search) == [f"{path}:2"]
    assert without_lines(path, search.holds) == 1
    assert path.read_bytes() == b'{"user": "bob"}\r\n\n{"user": "cyd"}'
    assert without_lines(path, search.holds) == 0
    assert [one.name for one in tmp_path.iterdir()] == ["stdin-a"]


def test_what_is_packed_is_told(tmp_path: Path):
    path = tmp_path / "stdin-a"
    path.write_bytes(gzip.compress(b"{}"))
    assert is_packed(path)
    path.write_bytes(b"{}")
    assert not is_packed(path)
