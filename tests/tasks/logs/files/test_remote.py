"""Object storage, by fsspec's file system in memory."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tasks.errors import StoreUnreachableError, UsageError
from tasks.ingest.task import ingest
from tasks.logs.files.sources import find_files
from tasks.model.receipt import Receipt
from tests.tasks.logs.builders import call, line, make_run, query


@pytest.fixture
def bucket() -> Iterator[MemoryFileSystem]:
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    yield fs
    fs.store.clear()


def lines(*values: Any) -> bytes:
    return b"".join(line(value) + b"\n" for value in values)


def counts(receipt: Receipt) -> tuple[int, int, int, int]:
    return (receipt.rows_in, receipt.rows_out, receipt.duplicates, receipt.dead_letters)


def names(*patterns: str) -> list[str]:
    return [file.source for file in find_files(patterns).files]


def test_files_folders_and_patterns(bucket: MemoryFileSystem):
    for name in ("/logs/a.jsonl", "/logs/deep/b.jsonl.gz", "/logs/deep/c.txt", "/logs/.hidden"):
        bucket.pipe_file(name, b"x")
    a, b, c = (f"memory:///logs/{name}" for name in ("a.jsonl", "deep/b.jsonl.gz", "deep/c.txt"))
    assert names("memory://logs") == [a, b, c]
    assert names("memory://logs/a.jsonl") == [a]
    assert names("memory://logs/*.jsonl") == [a]
    assert names("memory://logs/**/*.jsonl*", "memory://logs/a.jsonl") == [a, b]
    with pytest.raises(UsageError, match="no log file matches"):
        names("memory://nothing/here")
    with pytest.raises(UsageError, match="no log file matches"):
        names("memory://logs/*.csv")


def test_a_file_is_downloaded_read_once_and_leaves_no_copy(
    bucket: MemoryFileSystem, tmp_path: Path
):
    bucket.pipe_file("/logs/a.jsonl", lines(call(1), call(2), b"{broken"))
    bucket.pipe_file("/logs/b.jsonl.gz", gzip.compress(lines(call(3))))
    run = make_run(tmp_path, "memory://logs")
    assert counts(ingest(run)) == (4, 3, 0, 1)
    assert query(run, "SELECT sources[1] FROM landing WHERE request_id = 'r2'") == [
        ("memory:///logs/a.jsonl:2",)
    ]
    assert query(run, "SELECT source, line_number FROM dead_letters") == [
        ("memory:///logs/a.jsonl", 3)
    ]
    assert list((tmp_path / ".home" / "spool" / "remote").iterdir()) == []


def test_an_unchanged_object_is_not_downloaded_again(
    bucket: MemoryFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    bucket.pipe_file("/logs/a.jsonl", lines(call(1)))
    ingest(make_run(tmp_path, "memory://logs"))

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("downloaded again")

    monkeypatch.setattr(MemoryFileSystem, "get_file", refuse)
    again = ingest(make_run(tmp_path, "memory://logs", run_id="run-2"))
    assert counts(again) == (0, 0, 0, 0)
    assert again.notes["skipped_files"] == 1


def test_an_object_written_anew_with_the_same_bytes_is_nothing_new(
    bucket: MemoryFileSystem, tmp_path: Path
):
    bucket.pipe_file("/logs/a.jsonl", lines(call(1)))
    run = make_run(tmp_path, "memory://logs")
    ingest(run)
    (before,) = query(run, "SELECT etag FROM sources")
    bucket.pipe_file("/logs/a.jsonl", lines(call(1)))
    assert counts(ingest(make_run(tmp_path, "memory://logs", run_id="run-2"))) == (0, 0, 0, 0)
    (after,) = query(run, "SELECT etag FROM sources")
    assert before != after


def test_of_an_object_that_grew_only_the_tail_is_taken_in_and_a_changed_one_is_told(
    bucket: MemoryFileSystem, tmp_path: Path
):
    bucket.pipe_file("/logs/a.jsonl", lines(call(1), call(2)))
    ingest(make_run(tmp_path, "memory://logs"))
    bucket.pipe_file("/logs/a.jsonl", lines(call(1), call(2), call(3)))
    grown = ingest(make_run(tmp_path, "memory://logs", run_id="run-2"))
    assert counts(grown) == (1, 1, 0, 0)
    assert "changed_files" not in grown.notes
    bucket.pipe_file("/logs/a.jsonl", lines(call(4), call(2), call(3)))
    changed = ingest(make_run(tmp_path, "memory://logs", run_id="run-3"))
    assert counts(changed) == (3, 1, 2, 0)
    assert changed.notes["changed_files"] == ["memory:///logs/a.jsonl"]


@pytest.mark.parametrize("failing", ["info", "get_file"])
def test_a_storage_that_fails_is_a_transient_error_without_its_words(
    bucket: MemoryFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
):
    bucket.pipe_file("/logs/a.jsonl", lines(call(1)))

    def fail(*_: Any, **__: Any) -> None:
        raise PermissionError("signature=secret")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, failing, fail)
        with pytest.raises(StoreUnreachableError, match="PermissionError") as caught:
            ingest(make_run(tmp_path, "memory://logs/a.jsonl"))
    assert caught.value.transient
    assert "secret" not in caught.value.line()
    assert counts(ingest(make_run(tmp_path, "memory://logs/a.jsonl"))) == (1, 1, 0, 0)


def test_a_download_that_is_cut_off_takes_nothing_in(
    bucket: MemoryFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    bucket.pipe_file("/logs/a.jsonl", lines(call(1), call(2)))
    whole = MemoryFileSystem.cat_file

    def cut(_: Any, name: str, target: str, **__: Any) -> None:
        Path(target).write_bytes(whole(bucket, name)[:-5])

    run = make_run(tmp_path, "memory://logs")
    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "get_file", cut)
        with pytest.raises(StoreUnreachableError, match="another size"):
            ingest(run)
    assert query(run, "SELECT count(*) FROM landing") == [(0,)]
    assert counts(ingest(run)) == (2, 2, 0, 0)


def test_the_download_of_a_killed_run_is_deleted(bucket: MemoryFileSystem, tmp_path: Path):
    left = tmp_path / ".home" / "spool" / "remote" / "a.jsonl"
    left.parent.mkdir(parents=True)
    left.write_bytes(lines(call(9)))
    bucket.pipe_file("/logs/b.jsonl", lines(call(1)))
    assert counts(ingest(make_run(tmp_path, "memory://logs"))) == (1, 1, 0, 0)
    assert not left.exists()


def test_a_name_from_outside_never_leaves_the_spool(bucket: MemoryFileSystem, tmp_path: Path):
    name = "/logs/x\\..\n$(id);" + "é" * 300 + ".jsonl"
    bucket.pipe_file(name, lines(call(1)))
    before = set(tmp_path.parent.rglob("*"))
    run = make_run(tmp_path, "memory://logs")
    assert counts(ingest(run)) == (1, 1, 0, 0)
    assert query(run, "SELECT path FROM sources") == [(f"memory://{name}",)]
    made = {path.name for path in set(tmp_path.parent.rglob("*")) - before}
    assert made == {".home", "spool", "remote", "flywheel.duckdb", "pseudonym.key"}


@pytest.mark.parametrize(
    ("address", "told", "next_step"),
    [
        ("s3://bucket/x", "s3:// needs s3fs", "pip install 'llm-flywheel[object-storage]'"),
        ("sftp://user:secret@host/x", "sftp:// needs paramiko", "pip install paramiko"),
    ],
)
def test_a_missing_library_is_one_line_that_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch, address: str, told: str, next_step: str
):
    for name in ("s3fs", "paramiko"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=told) as caught:
        find_files([address])
    assert caught.value.next == next_step
    assert "secret" not in caught.value.line()


def test_without_fsspec_itself_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(UsageError, match="gs:// needs fsspec") as caught:
        find_files(["gs://bucket/x"])
    assert "object-storage" in caught.value.next


@pytest.mark.parametrize("address", ["nope://x", "zip://a.jsonl::s3://b/x.zip", "https://u:p@h/x"])
def test_other_addresses_are_refused(address: str):
    with pytest.raises(UsageError) as caught:
        find_files([address])
    assert "s3://" in caught.value.allowed
    assert "u:p" not in caught.value.line()


def test_a_file_address_is_the_file_itself(tmp_path: Path):
    path = tmp_path / "with space?.jsonl"
    path.write_bytes(lines(call(1)))
    ingest(make_run(tmp_path, path))
    assert names(f"file://{tmp_path}/with%20space?.jsonl") == [str(path)]
    run = make_run(tmp_path, f"file://{tmp_path}/*.jsonl", run_id="run-2")
    assert counts(ingest(run)) == (0, 0, 0, 0)
