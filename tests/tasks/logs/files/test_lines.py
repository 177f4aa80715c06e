from __future__ import annotations

import io
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.logs.files import lines
from tasks.logs.files.lines import MAX_KEPT_BYTES, iterate_lines


def read(data: bytes, limit: int = 1000, offset: int = 0) -> list[lines.Line]:
    return list(iterate_lines(io.BytesIO(data), limit, offset=offset))


def test_lines_have_numbers_offsets_and_know_whether_they_ended():
    found = read(b"a\nbc\n\nd")
    assert [(x.number, x.offset, x.data, x.ended) for x in found] == [
        (1, 0, b"a", True), (2, 2, b"bc", True), (3, 5, b"", True), (4, 6, b"d", False),
    ]  # fmt: skip


def test_crlf_and_byte_order_mark_are_no_part_of_the_line_but_count_in_offsets():
    found = read(b"\xef\xbb\xbfa\r\nb\r\n")
    assert [(x.data, x.offset, x.next_offset) for x in found] == [(b"a", 0, 6), (b"b", 6, 9)]


def test_byte_order_mark_counts_only_at_the_start_of_the_file():
    assert read(b"\xef\xbb\xbfa\n", offset=10)[0].data == b"\xef\xbb\xbfa"


def test_an_over_long_line_keeps_its_first_bytes_and_its_length():
    found = read(b"x" * (MAX_KEPT_BYTES + 500) + b"\nok\n", limit=MAX_KEPT_BYTES + 100)
    assert (found[0].too_long, found[0].length) == (True, MAX_KEPT_BYTES + 500)
    assert len(found[0].data) == MAX_KEPT_BYTES
    assert (found[1].data, found[1].too_long) == (b"ok", False)


def test_a_line_of_exactly_the_limit_is_not_too_long():
    assert [x.too_long for x in read(b"x" * 10 + b"\r\n" + b"y" * 11, limit=10)] == [False, True]


def test_an_over_long_line_across_many_chunks_is_never_held(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lines, "_CHUNK_BYTES", 64)
    (found,) = read(b"z" * 10_000, limit=100)
    assert (found.too_long, found.length, found.ended) == (True, 10_000, False)


@given(st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"\n", b"").replace(b"\r", b""))))
def test_lines_join_back_to_the_file(parts: list[bytes]):
    data = b"".join(part + b"\n" for part in parts)
    found = read(data.removeprefix(b"\xef\xbb\xbf"))
    assert b"".join(x.data + b"\n" for x in found) == data.removeprefix(b"\xef\xbb\xbf")
    assert all(x.next_offset == y.offset for x, y in itertools.pairwise(found))
