from __future__ import annotations

import pytest

from tasks.logs.files.log_file import is_url, protocol_of, without_password


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/logs/a://b@c:d.jsonl", "/logs/a://b@c:d.jsonl"),
        ("s3://bucket/2026/*.jsonl", "s3://bucket/2026/*.jsonl"),
        ("sftp://user:pass@host/a.jsonl", "sftp://host/a.jsonl"),
        ("sftp://user:p@ss@host/a.jsonl", "sftp://host/a.jsonl"),
        ("abfs://container@account.dfs/a.jsonl", "abfs://container@account.dfs/a.jsonl"),
        ("s3://bucket/a:b@c.jsonl", "s3://bucket/a:b@c.jsonl"),
    ],
)
def test_an_address_is_shown_without_its_password_and_still_names_its_file(text: str, shown: str):
    assert without_password(text) == shown


def test_only_a_protocol_at_the_start_makes_an_address():
    assert [is_url(text) for text in ("s3://b/x", "S3://b/x", "./s3://b", "c:/x", "-")] == [
        True, True, False, False, False,
    ]  # fmt: skip
    assert (protocol_of("S3://b"), protocol_of("logs/x")) == ("s3", "")
