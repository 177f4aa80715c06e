from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.errors import UsageError
from tasks.logs.files import opening
from tasks.logs.files.log_file import LogFile
from tasks.logs.files.opening import LogStream, fingerprint, open_stream
from tasks.logs.files.sources import find_files

Pack = Callable[[bytes], bytes]


def log_file(path: Path, data: bytes) -> LogFile:
    path.write_bytes(data)
    (found,) = find_files([str(path)]).files
    return found


def read_all(
    file: LogFile, max_bytes: int = 2**30, max_ratio: float = 1e9, step: int = 7
) -> tuple[bytes, str | None]:
    with open_stream(file, max_bytes, max_ratio) as stream:
        data = b"".join(iter(lambda: stream.read(step), b""))
        return data, stream.problem


def zstd(data: bytes) -> bytes:
    packed: bytes = pa.Codec("zstd").compress(data, asbytes=True)
    return packed


both_packings = pytest.mark.parametrize("pack", [gzip.compress, zstd])


def test_fingerprint_of_the_whole_and_of_a_prefix(tmp_path: Path):
    file = log_file(tmp_path / "a", b"abcdef")
    prints = fingerprint(file, 3)
    assert prints.digest == hashlib.sha256(b"abcdef").hexdigest()
    assert prints.prefix_digest == hashlib.sha256(b"abc").hexdigest()
    assert fingerprint(file).prefix_digest is None
    assert fingerprint(file, 0).prefix_digest == hashlib.sha256().hexdigest()
    assert fingerprint(file, 99).prefix_digest is None


def test_bytes_that_arrive_after_the_file_was_found_wait_for_the_next_run(tmp_path: Path):
    file = log_file(tmp_path / "a", b"abc")
    with file.path.open("ab") as handle:
        handle.write(b"def")
    assert read_all(file) == (b"abc", None)
    assert fingerprint(file).digest == hashlib.sha256(b"abc").hexdigest()


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_gzip_members_one_behind_the_other_with_padding(tmp_path: Path, step: int):
    data = gzip.compress(b"one" * 100) + gzip.compress(b"two" * 100) + b"\x00" * 50
    file = log_file(tmp_path / "a.gz", data)
    assert read_all(file, step=step) == (b"one" * 100 + b"two" * 100, None)


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_zstd_frames_one_behind_the_other(tmp_path: Path, step: int):
    file = log_file(tmp_path / "a", zstd(b"one" * 100) + zstd(b"two" * 100))
    assert read_all(file, step=step) == (b"one" * 100 + b"two" * 100, None)


def test_the_name_of_what_is_inside():
    assert opening.bare_name("Calls.CSV.zst") == opening.bare_name("calls.csv.gz") == "calls.csv"


@both_packings
def test_the_digest_is_that_of_the_file_as_it_lies_there(tmp_path: Path, pack: Pack):
    file = log_file(tmp_path / "a", pack(b"abc" * 100))
    with open_stream(file, 1000, 1e9) as stream:
        assert stream.is_encoded
        stream.read(1)
        assert stream.digest() == fingerprint(file).digest


@both_packings
def test_skipping_counts_line_ends(tmp_path: Path, pack: Pack):
    file = log_file(tmp_path / "a", pack(b"a\nb\nc\nd"))
    with open_stream(file, 1000, 1e9) as stream:
        assert stream.skip(4) == 2
        assert (stream.position, stream.read(10)) == (4, b"c\nd")
        assert stream.skip(5) == 0


@both_packings
def test_a_cut_off_and_a_damaged_file_end_with_a_problem_after_what_could_be_read(
    tmp_path: Path, pack: Pack
):
    packed = pack(bytes(range(256)) * 40)
    data, problem = read_all(log_file(tmp_path / "a.gz", packed[:-20]))
    assert "cut off" in (problem or "")
    assert data == (bytes(range(256)) * 40)[: len(data)]
    assert "damaged" in (read_all(log_file(tmp_path / "b.gz", packed + b"rubbish"))[1] or "")


@both_packings
def test_decompression_is_bounded_in_bytes_and_in_ratio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Pack
):
    file = log_file(tmp_path / "a.gz", pack(b"0" * 1_000_000))
    data, problem = read_all(file, max_bytes=10_000, step=1000)
    assert len(data) <= 10_000
    assert "more than 10000 bytes" in (problem or "")
    monkeypatch.setattr(opening, "_RATIO_COUNTS_FROM_BYTES", 100_000)
    data, problem = read_all(file, max_ratio=200.0, step=1000)
    assert len(data) <= 101_000
    assert "bomb" in (problem or "")


def test_a_file_that_vanished_is_a_usage_error(tmp_path: Path):
    file = log_file(tmp_path / "a", b"abc")
    file.path.unlink()
    with pytest.raises(UsageError, match="cannot be read"):
        fingerprint(file)


def test_an_error_of_the_reader_is_not_taken_for_one_of_the_file(tmp_path: Path):
    file = log_file(tmp_path / "a", b"abc")
    with pytest.raises(OSError, match="mine"), open_stream(file, 10, 10):
        raise OSError("mine")


def test_an_empty_stream_is_plain(tmp_path: Path):
    with (tmp_path / "a").open("wb+") as handle:
        stream = LogStream(handle, 0, 10, 10)
        assert (stream.is_encoded, stream.read(5)) == (False, b"")
