"""Files of results as bytes and JSON, within limits: they come from elsewhere.

Every refusal is a UsageError that names the file and, where there is one, the line.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, ZipInfo

from tasks.errors import UsageError
from tasks.logs.shapes.json_text import deeper_than
from tasks.model.canonical import writable

MAX_BYTES = 2 * 2**30
MAX_DEPTH = 100
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_MAX_SHOWN = 80
_ZSTD_METHOD = 93


@dataclass(frozen=True)
class ResultFile:
    """One file, read once. `stem`: its name without endings."""

    path: Path

    @property
    def stem(self) -> str:
        name = self.path.name.removesuffix(".gz")
        return name.rpartition(".")[0] or name

    @property
    def kind(self) -> str:
        """How its name ends, without .gz: csv, json, jsonl, eval."""
        return self.path.name.removesuffix(".gz").rpartition(".")[2].lower()

    @cached_property
    def raw(self) -> bytes:
        try:
            size = self.path.stat().st_size
            if size > MAX_BYTES:
                raise self.refused(f"has {size:,} bytes", allowed=f"at most {MAX_BYTES:,}")
            return self.path.read_bytes()
        except OSError as error:
            raise self.refused(f"cannot be read: {error.strerror or error}") from None

    @cached_property
    def data(self) -> bytes:
        """What it holds, unpacked."""
        if not self.raw.startswith(_GZIP):
            return self.raw
        try:
            unpacked = zlib.decompressobj(wbits=31)
            data = unpacked.decompress(self.raw, MAX_BYTES)
            if unpacked.unconsumed_tail:
                raise self.refused(f"unpacks to more than {MAX_BYTES:,} bytes")
            if not unpacked.eof:
                raise self.refused("is cut off: its compressed data has no end")
            if unpacked.unused_data:  # several members, one after the other
                with gzip.open(self.path) as handle:
                    data = handle.read(MAX_BYTES)
        except (zlib.error, OSError, EOFError) as error:
            raise self.refused(f"cannot be unpacked: {error}") from None
        return data

    @property
    def is_zip(self) -> bool:
        return self.raw.startswith(_ZIP)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.raw).hexdigest()

    @cached_property
    def text(self) -> str:
        try:
            return self.data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise self.refused(f"is not UTF-8: byte {error.start:,}") from None

    @cached_property
    def document(self) -> Any:
        """The file as one JSON value. Raises UsageError."""
        return self.value(self.data)

    @cached_property
    def lines(self) -> list[tuple[int, dict[str, Any]]]:
        """JSON lines with their numbers, from 1 on; each an object."""
        found = []
        for number, line in enumerate(self.data.split(b"\n"), 1):
            if line.strip():
                value = self.value(line, number)
                if not isinstance(value, dict):
                    raise self.refused("a line is not a JSON object", number, repr(value))
                found.append((number, value))
        return found

    @property
    def first_line(self) -> Any:
        """Of JSON lines the first value; None where the file is no JSON lines."""
        line = next((line for line in self.data.split(b"\n", 64)[:64] if line.strip()), b"")
        try:
            return json.loads(line)
        except (ValueError, RecursionError):
            return None

    def value(self, data: bytes, line: int | None = None, inside: str = "") -> Any:
        if deeper_than(data, MAX_DEPTH):
            raise self.refused(f"JSON is nested deeper than {MAX_DEPTH}", line, inside)
        try:
            return writable(json.loads(data))
        except UnicodeDecodeError:
            raise self.refused("is not UTF-8", line, inside) from None
        except json.JSONDecodeError as error:
            cut = " (is the file cut off?)" if error.pos >= len(error.doc.rstrip()) else ""
            what = f"is not JSON: {error.msg.lower()} at character {error.pos:,}{cut}"
            raise self.refused(what, line, inside) from None
        except ValueError as error:
            raise self.refused(f"is not JSON: {error}", line, inside) from None

    def members(self, wanted: str) -> Iterator[tuple[str, Any]]:
        """Of a zip file the JSON members whose names begin so, with their values."""
        room = MAX_BYTES
        try:
            with ZipFile(io.BytesIO(self.raw)) as archive:
                for member in archive.infolist():
                    if not member.filename.startswith(wanted) or member.is_dir():
                        continue
                    data = self._member(archive, member, room)
                    room -= len(data)
                    if room < 0:
                        raise self.refused(f"unpacks to more than {MAX_BYTES:,} bytes")
                    yield member.filename, self.value(data, inside=member.filename)
        except (BadZipFile, NotImplementedError, zlib.error, EOFError, OSError) as error:
            raise self.refused(f"is a zip file that cannot be read: {error}") from None

    def _member(self, archive: ZipFile, member: ZipInfo, room: int) -> bytes:
        """Its bytes, at most one more than there is room for. Inspect packs by Zstandard, which
        zipfile learns with Python 3.14."""
        if member.compress_type != _ZSTD_METHOD:
            with archive.open(member) as handle:
                return handle.read(room + 1)
        import pyarrow as pa

        # after the local header: 30 bytes, then a name and an extra field of any length
        header = self.raw[member.header_offset : member.header_offset + 30]
        if len(header) < 30 or not header.startswith(_ZIP):
            raise BadZipFile(f"{member.filename} is not where it should be")
        start = member.header_offset + 30 + sum(struct.unpack("<HH", header[26:30]))
        packed = pa.BufferReader(self.raw[start : start + member.compress_size])
        with pa.CompressedInputStream(packed, "zstd") as stream:
            data: bytes = stream.read(room + 1)
        if len(data) <= room and zlib.crc32(data) != member.CRC:
            raise BadZipFile(f"{member.filename} is damaged")
        return data

    def refused(
        self, what: str, line: int | None = None, received: str = "", *, allowed: str = "",
        next: str = "",
    ) -> UsageError:  # fmt: skip
        place = str(self.path) + ("" if line is None else f":{line}")
        return UsageError(
            f"{self.path.name}: {what}" + (f", line {line}" if line is not None else ""),
            received=f"{received[:_MAX_SHOWN]} in {place}" if received else place,
            allowed=allowed,
            next=next,
        )
