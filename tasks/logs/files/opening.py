"""The bytes of a log file: plain, gzip or zstd, UTF-8 or UTF-16, bounded, and their digest.

A file is read up to the size it had when it was found, so that digest and size belong together
while somebody appends to it.
"""

from __future__ import annotations

import codecs
import hashlib
import io
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from tasks.logs.files.log_file import LogFile, unreadable

_CHUNK_BYTES = 1 << 20
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
#: in file names; what counts is the content
_SUFFIXES = (".gz", ".zst", ".zstd")
#: the ratio of a small file says nothing
_RATIO_COUNTS_FROM_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """sha256 over the whole file, and over its first bytes where that was asked for."""

    digest: str
    prefix_digest: str | None


def fingerprint(file: LogFile, prefix_bytes: int | None = None) -> Fingerprint:
    digest = hashlib.sha256()
    prefix: str | None = None
    done = 0
    if prefix_bytes == 0:
        prefix = digest.hexdigest()
    with _open(file.path) as handle:
        while done < file.size_bytes:
            size = min(_CHUNK_BYTES, file.size_bytes - done)
            if prefix_bytes is not None and done < prefix_bytes:
                size = min(size, prefix_bytes - done)
            chunk = _read(handle, size)
            if not chunk:
                break
            digest.update(chunk)
            done += len(chunk)
            if done == prefix_bytes:
                prefix = digest.hexdigest()
    return Fingerprint(digest.hexdigest(), prefix)


def _read(handle: BinaryIO, size: int) -> bytes:
    try:
        return handle.read(size)
    except OSError as error:
        raise unreadable(Path(handle.name), error) from None


def first_bytes(file: LogFile, max_bytes: int) -> bytes:
    """As they stand in the file, compressed or not."""
    with _open(file.path) as handle:
        return _read(handle, min(max_bytes, file.size_bytes))


class LogStream:
    """Reads forward through a file, decompressing, UTF-16 as UTF-8; stops with a `problem` instead
    of raising.

    `position` counts the bytes it gave. `problem` says why the stream ended before its end.
    `heard` is called at every read. Raises UnreadableLogError where the file system fails.
    """

    def __init__(
        self,
        handle: BinaryIO,
        size_bytes: int,
        max_decompressed_bytes: int,
        max_ratio: float,
        heard: Callable[[], object] | None = None,
    ) -> None:
        self._handle = handle
        self._left = size_bytes
        self._read = 0
        self._max_bytes = max_decompressed_bytes
        self._max_ratio = max_ratio
        self._heard = heard
        head = _read(handle, min(4, size_bytes))
        handle.seek(0)
        self._inflate = zlib.decompressobj(wbits=31) if head.startswith(_GZIP) else None
        compressed = pa.PythonFile(_Compressed(self._raw), "r")
        self._zstd = pa.CompressedInputStream(compressed, "zstd") if head == _ZSTD else None
        self._is_compressed = self._inflate is not None or self._zstd is not None
        self._utf16: _FromUtf16 | None = None
        self._is_begun = not self._is_compressed
        if not self._is_compressed:
            self._look_at_text(head)
        self._pending = b""
        self._sha256 = hashlib.sha256()
        self.position = 0
        self.problem: str | None = None

    @property
    def is_encoded(self) -> bool:
        """Whether its bytes are others than the file's."""
        return self._is_compressed or self._utf16 is not None

    def read(self, size: int, /) -> bytes:
        data = self._plain(size) if self._utf16 is None else self._as_utf8(self._utf16, size)
        if not self._is_begun:
            self._is_begun = True
            self._look_at_text(data)
            if self._utf16 is not None:
                self._utf16.take(data)
                data = self._as_utf8(self._utf16, size)
        self.position += len(data)
        return data

    def _plain(self, size: int) -> bytes:
        if not self._is_compressed:
            return self._raw(size)
        if self.problem is not None:
            return b""
        return self._from_gzip(size) if self._zstd is None else self._from_zstd(self._zstd, size)

    def _look_at_text(self, head: bytes) -> None:
        encoding = _utf16_of(head)
        self._utf16 = None if encoding is None else _FromUtf16(encoding)

    def _as_utf8(self, text: _FromUtf16, size: int) -> bytes:
        while not text.num_ready and (data := self._plain(_CHUNK_BYTES)):
            text.take(data)
        if not text.num_ready and self.problem is None:
            self.problem = text.end()
        return text.give(size)

    def digest(self) -> str:
        """sha256 of the whole file, once the rest of it is read."""
        while self._raw(_CHUNK_BYTES):
            pass
        return self._sha256.hexdigest()

    def skip(self, count: int) -> int:
        """Skip bytes; returns how many line ends were among them."""
        lines = 0
        while count > 0:
            data = self.read(min(count, _CHUNK_BYTES))
            if not data:
                break
            lines += data.count(b"\n")
            count -= len(data)
        return lines

    def _raw(self, size: int) -> bytes:
        if self._heard is not None:
            self._heard()
        data = _read(self._handle, min(size, self._left))
        self._sha256.update(data)
        self._left -= len(data)
        self._read += len(data)
        return data

    def _from_zstd(self, stream: pa.CompressedInputStream, size: int) -> bytes:
        try:
            data: bytes = stream.read(size)
        except OSError as error:
            cut = "Truncated" in str(error)
            self.problem = f"the compressed file is {'cut off' if cut else f'damaged: {error}'}"
            return b""
        self._check_limits(len(data))
        return data if self.problem is None else b""

    def _from_gzip(self, size: int) -> bytes:
        assert self._inflate is not None
        while True:
            if not self._pending:
                self._pending = self._raw(1 << 16)
            if not self._pending:
                # all input is consumed, but output may wait inside
                data = b"" if self._inflate.eof else self._inflate.decompress(b"", size)
                if data:
                    self._check_limits(len(data))
                    return data if self.problem is None else b""
                if not self._inflate.eof:
                    self.problem = "the compressed file is cut off"
                return b""
            if self._inflate.eof:
                # a gzip file may be several, one behind the other; zeros may fill it up
                self._pending = self._pending.lstrip(b"\x00")
                if not self._pending:
                    continue
                self._inflate = zlib.decompressobj(wbits=31)
            try:
                data = self._inflate.decompress(self._pending, size)
            except zlib.error as error:
                self.problem = f"the compressed file is damaged: {error}"
                return b""
            self._pending = self._inflate.unconsumed_tail or self._inflate.unused_data
            if data:
                self._check_limits(len(data))
                return data if self.problem is None else b""

    def _check_limits(self, arrived: int) -> None:
        total = self.position + arrived
        used = max(1, self._read - len(self._pending))
        if total > self._max_bytes:
            self.problem = f"decompresses to more than {self._max_bytes} bytes"
        elif is_bomb(total, used, self._max_ratio):
            self.problem = (
                f"decompresses to more than {self._max_ratio:g} bytes a byte: taken for a bomb"
            )


class _FromUtf16:
    """UTF-16 → UTF-8, some bytes at a time. What is no UTF-16 becomes U+FFFD."""

    def __init__(self, encoding: str) -> None:
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._ready = b""

    @property
    def num_ready(self) -> int:
        return len(self._ready)

    def take(self, data: bytes) -> None:
        self._ready += self._decoder.decode(data).encode("utf-8", "replace")

    def give(self, size: int) -> bytes:
        data, self._ready = self._ready[:size], self._ready[size:]
        return data

    def end(self) -> str | None:
        """Why what was taken is not all of it."""
        held, _ = self._decoder.getstate()
        return "the UTF-16 text is cut off in a character" if held else None


def _utf16_of(head: bytes) -> str | None:
    """By its byte order mark, or by the zeros beside the first signs, as JSON begins in ASCII."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if len(head) < 4:
        return None
    first, second = head[0::2][:2], head[1::2][:2]
    if second == b"\x00\x00" and 0 not in first:
        return "utf-16-le"
    return "utf-16-be" if first == b"\x00\x00" and 0 not in second else None


def is_bomb(num_bytes: int, size_bytes: int, max_ratio: float) -> bool:
    """Whether bytes that came out of `size_bytes` are too many to be a log."""
    return num_bytes > _RATIO_COUNTS_FROM_BYTES and num_bytes / max(1, size_bytes) > max_ratio


class _Compressed(io.RawIOBase):
    """What Arrow asks of a file, for a function that reads."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        return self._read(size)


def bare_name(name: str) -> str:
    """A file's name in small letters, without the suffix that says how it is compressed."""
    name = name.lower()
    return next((name.removesuffix(s) for s in _SUFFIXES if name.endswith(s)), name)


@contextmanager
def open_stream(
    file: LogFile,
    max_decompressed_bytes: int,
    max_ratio: float,
    heard: Callable[[], object] | None = None,
) -> Iterator[LogStream]:
    with _open(file.path) as handle:
        yield LogStream(handle, file.size_bytes, max_decompressed_bytes, max_ratio, heard)


class PlainStretch(LogStream):
    """Some bytes from the middle of a file that is not compressed."""

    def __init__(self, handle: BinaryIO, size_bytes: int) -> None:
        super().__init__(handle, 0, 0, 0.0)
        self._left = size_bytes
        self._is_begun = True  # what looks like UTF-16 in the middle is none

    def _raw(self, size: int) -> bytes:
        data = _read(self._handle, min(size, self._left))
        self._left -= len(data)
        return data


@contextmanager
def open_stretch(path: Path, offset: int, size_bytes: int) -> Iterator[LogStream]:
    """Bytes `offset` to `offset + size_bytes` of a plain file."""
    with _open(path) as handle:
        stream = PlainStretch(handle, size_bytes)
        handle.seek(offset)
        yield stream


def _without_waiting(path: str, flags: int) -> int:
    """What was a file when it was found may be a pipe by now, which nobody writes to."""
    return os.open(path, flags | os.O_NONBLOCK)


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    """Only what the file system refuses becomes a user's error, never one raised by the reader."""
    try:
        handle = open(path, "rb", opener=_without_waiting)  # noqa: SIM115
    except OSError as error:
        raise unreadable(path, error) from None
    with handle:
        yield handle
