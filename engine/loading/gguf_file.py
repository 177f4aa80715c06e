"""The GGUF container: metadata and where each tensor lies. Reads the header itself: gguf.GGUFReader
takes seconds for it.

Knows the file format (version 2 and 3, little-endian), nothing of models. The file is hostile
input: every length is checked against the file's size before it is believed. Source: the GGUF
specification in ggml-org/ggml, docs/gguf.md.
"""

from __future__ import annotations

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ModelLoadError

__all__ = ["GGUFFile", "TensorEntry", "read_gguf"]

MAGIC = b"GGUF"
STRING, ARRAY = 8, 9
SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
FLOATS = {"F32": np.float32, "F16": np.float16}
LENGTH = struct.Struct("<Q")
MAX_DIMENSIONS = 4
#: far above any model's; a file of a gigabyte has room to announce a hundred million of them
MAX_VALUES, MAX_TENSORS = 1 << 16, 1 << 20
CHUNK_WEIGHTS = 1 << 17  # dequantised at a time: half a MiB, so that the steps stay in the cache


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """shape in numpy order (rows first); kind is the ggml quantisation type."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


@dataclass(frozen=True, slots=True)
class GGUFFile:
    path: Path
    metadata: dict[str, Any]
    tensors: tuple[TensorEntry, ...]
    data: NDArray[np.uint8]

    def check_sizes(self) -> None:
        """Raises ModelLoadError if a tensor reaches beyond the end of the file, or all together are
        larger than it: tensors that lie upon each other would make much memory of a small file.
        """
        total = 0
        for entry in self.tensors:
            end = entry.offset + self.num_bytes(entry)
            if end > self.data.size:
                raise ModelLoadError(
                    f"{self.path}: the file ends at byte {self.data.size}, but tensor "
                    f"{entry.name!r:.80} reaches to byte {end}. "
                    "It was probably cut off while downloading; fetch it again."
                )
            total += end - entry.offset
        if total > self.data.size:
            raise ModelLoadError(
                f"{self.path}: its tensors have {total} bytes together, but the file has "
                f"{self.data.size}: they lie upon each other."
            )

    def num_bytes(self, entry: TensorEntry) -> int:
        """Of the tensor in the file. Raises ModelLoadError if it cannot be so."""
        kind, block_length, block_bytes = self._quantisation(entry)
        row_length = entry.shape[-1]
        if row_length % block_length:
            raise ModelLoadError(
                f"{self.path}: tensor {entry.name!r:.80} has rows of {row_length}, not whole "
                f"blocks of {kind.name}."
            )
        return math.prod(entry.shape) // block_length * block_bytes

    def dequantised(self, entry: TensorEntry) -> NDArray[np.float32]:
        """The tensor in float32, shape as in the entry."""
        from gguf import dequantize

        kind, block_length, block_bytes = self._quantisation(entry)
        end = entry.offset + self.num_bytes(entry)
        raw = self.data[entry.offset : end].reshape(-1, block_bytes)
        values = np.empty((raw.shape[0], block_length), dtype=np.float32)
        step = max(1, CHUNK_WEIGHTS // block_length)
        try:
            for first in range(0, raw.shape[0], step):
                part = raw[first : first + step].reshape(1, -1)
                if kind.name in FLOATS:
                    part = part.view(FLOATS[kind.name])
                values[first : first + step] = dequantize(part, kind).reshape(-1, block_length)
        except NotImplementedError:
            raise ModelLoadError(
                f"{self.path}: tensor {entry.name!r:.80}: quantisation {kind.name} cannot be read."
            ) from None
        return values.reshape(entry.shape)

    def _quantisation(self, entry: TensorEntry) -> tuple[Any, int, int]:
        """Its kind, and the weights and bytes of a block."""
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

        try:
            kind = GGMLQuantizationType(entry.kind)
            return (kind, *GGML_QUANT_SIZES[kind])
        except (ValueError, KeyError):
            raise ModelLoadError(
                f"{self.path}: tensor {entry.name!r:.80} has unknown quantisation type "
                f"{entry.kind}."
            ) from None


class _Cursor:
    """Reads little-endian values one after another and never beyond the end."""

    def __init__(self, buffer: mmap.mmap, path: Path) -> None:
        self.buffer = buffer
        self.size = len(buffer)
        self.path = path
        self.position = 0

    def bytes(self, count: int) -> bytes:
        end = self.position + count
        if end > self.size:
            raise ModelLoadError(
                f"{self.path}: the GGUF header needs byte {end}, but the file has "
                f"{self.size}. It is cut off or damaged."
            )
        chunk = self.buffer[self.position : end]
        self.position = end
        return chunk

    def number(self, code: str) -> Any:
        return struct.unpack("<" + code, self.bytes(struct.calcsize("<" + code)))[0]

    def string(self) -> str:
        return self.bytes(self.number("Q")).decode("utf-8", errors="replace")

    def strings(self, count: int) -> list[str]:
        """As `string` reads them, but without calls in the loop: a vocabulary has 100,000s."""
        found: list[str] = []
        buffer, position, last = self.buffer, self.position, self.size - LENGTH.size
        for _ in range(count):
            start = position + LENGTH.size
            position = start + LENGTH.unpack_from(buffer, position)[0] if position <= last else -1
            if not start <= position <= self.size:
                return [self.string() for _ in range(count)]  # says where the file ends
            found.append(buffer[start:position].decode("utf-8", errors="replace"))
        self.position = position
        return found

    def value(self, kind: int) -> Any:
        if kind in SCALARS:
            return self.number(SCALARS[kind])
        if kind == STRING:
            return self.string()
        if kind != ARRAY:
            raise ModelLoadError(
                f"{self.path}: the GGUF header has a value of unknown type {kind}."
            )
        item_kind, count = self.number("I"), self.number("Q")
        if item_kind in SCALARS:
            code = SCALARS[item_kind]
            width = struct.calcsize("<" + code)
            return list(struct.unpack(f"<{count}{code}", self.bytes(count * width)))
        if count > (self.size - self.position) // LENGTH.size:
            raise ModelLoadError(
                f"{self.path}: the GGUF header announces an array of {count} items; the "
                "file is smaller."
            )
        if item_kind == STRING:
            return self.strings(count)
        raise ModelLoadError(
            f"{self.path}: the GGUF header has an array of unsupported type {item_kind}."
        )


def read_gguf(path: Path) -> GGUFFile:
    """Raises ModelLoadError if the file is no GGUF, is cut off, is of another version or byte
    order, or announces what is not in it.
    """
    if path.stat().st_size < 24:
        raise ModelLoadError(f"{path}: {path.stat().st_size} bytes are too few for a GGUF file.")
    with path.open("rb") as file:
        buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    cursor = _Cursor(buffer, path)
    if (magic := cursor.bytes(4)) != MAGIC:
        raise ModelLoadError(
            f"{path}: starts with {magic!r}, not with {MAGIC!r}: this is not a GGUF file."
        )
    version = cursor.number("I")
    if version not in (2, 3):
        raise ModelLoadError(
            f"{path}: GGUF version {version} is not supported. Supported: 2 and 3, little-endian."
        )
    num_tensors, num_values = cursor.number("Q"), cursor.number("Q")
    if num_tensors > MAX_TENSORS or num_values > MAX_VALUES:
        raise ModelLoadError(
            f"{path}: the GGUF header announces {num_tensors} tensors and {num_values} settings; "
            f"at most {MAX_TENSORS} and {MAX_VALUES} are read."
        )
    metadata: dict[str, Any] = {}
    for _ in range(num_values):
        key = cursor.string()
        metadata[key] = cursor.value(cursor.number("I"))
    entries = [_entry(cursor) for _ in range(num_tensors)]
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1:
        raise ModelLoadError(
            f"{path}: general.alignment is {alignment!r:.80}, but it must be a whole number of at "
            "least 1."
        )
    base = -(-cursor.position // alignment) * alignment
    tensors = tuple(TensorEntry(e.name, e.shape, e.kind, base + e.offset) for e in entries)
    found = GGUFFile(path, metadata, tensors, np.frombuffer(buffer, dtype=np.uint8))
    found.check_sizes()
    return found


def _entry(cursor: _Cursor) -> TensorEntry:
    name = cursor.string()
    num_dimensions = cursor.number("I")
    if not 1 <= num_dimensions <= MAX_DIMENSIONS:
        raise ModelLoadError(
            f"{cursor.path}: tensor {name!r} has {num_dimensions} dimensions; 1 to 4 are possible."
        )
    shape = tuple(cursor.number("Q") for _ in range(num_dimensions))[::-1]
    return TensorEntry(name, shape, cursor.number("I"), cursor.number("Q"))
