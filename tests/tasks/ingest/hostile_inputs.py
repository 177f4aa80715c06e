"""Files that cost more to read than they weigh, are not what they say, or are no files at all.

Each is written by a function of its path. What they hold is described, not copied, so that whoever
changes a limit can change them. They are as large as they must be to meet the limit they are about:
beyond a MiB a process parses them, beyond 16 MiB no line is parsed at all.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import random
import socket
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq

from tests.tasks.logs.builders import call, line

MIB = 2**20
Writer = Callable[[Path], None]


def _bytes(data: bytes) -> Writer:
    return lambda path: path.write_bytes(data) and None


def _pieces(pieces: Iterable[bytes]) -> Writer:
    def write(path: Path) -> None:
        with path.open("wb") as file:
            file.writelines(pieces)

    return write


def _gzip(*pieces: bytes) -> Writer:
    def write(path: Path) -> None:
        with gzip.open(path, "wb", compresslevel=9) as file:
            file.writelines(pieces)

    return write


def _cut(write: Writer, size_bytes: int) -> Writer:
    def cut(path: Path) -> None:
        write(path)
        os.truncate(path, size_bytes)

    return cut


def _zstd(data: bytes) -> Writer:
    return lambda path: path.write_bytes(pa.compress(data, "zstd", asbytes=True)) and None


def _parquet(columns: dict[str, Any], **options: Any) -> Writer:
    return lambda path: pq.write_table(pa.table(columns), path, **options)


def _dictionary(values: list[str], num_rows: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array([0] * num_rows, pa.int32()), values)


def _cell_of_100_mb(path: Path) -> None:
    table = pa.table({"request_id": ["r"], "response": [b"x" * (100 * 10**6)]})
    pq.write_table(table, path, compression="zstd", use_dictionary=False)


def _list_of_one_text(path: Path) -> None:
    texts = _dictionary(["x" * 400_000], 50_000)
    pq.write_table(pa.table({"messages": pa.ListArray.from_arrays([0, 50_000], texts)}), path)


def _flipped(path: Path) -> None:
    table = pa.table({"request_id": [f"r{n}" for n in range(500)], "response": ["text"] * 500})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    data = bytearray(sink.getvalue())
    draw = random.Random(0)
    for _ in range(60):
        data[draw.randrange(4, len(data) - 8)] = draw.randrange(256)
    path.write_bytes(data)


def _deep_parquet(path: Path) -> None:
    value: pa.Array = pa.array([1])
    for _ in range(150):
        value = pa.StructArray.from_arrays([value], names=["a"])
    pq.write_table(pa.table({"params": value}), path)


def _odd_parquet(path: Path) -> None:
    """Values that Python or JSON has no word for."""
    columns = {
        "request_id": ["a", "b"],
        "started_at": pa.array([2**62, 1], pa.timestamp("us")),
        "params": pa.array([float("nan"), 1.0]),
        "tags": pa.array([b"\xff\xfe", b"x"]),
    }
    pq.write_table(pa.table(columns), path)


def _arrow(path: Path) -> None:
    table = pa.table({"response": _dictionary(["x" * 400_000], 2000)})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _feather(path: Path) -> None:
    pyarrow.feather.write_feather(pa.table({"response": ["x"] * 100}), str(path))


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for number in range(4):
            archive.writestr(f"{number}.jsonl", b"0" * MIB)


def _nested_gzip(path: Path) -> None:
    data = b"0" * MIB
    for _ in range(10):
        data = gzip.compress(data)
    path.write_bytes(data)


def _flood_of_spans(path: Path) -> None:
    """One name of 6 MiB in the resource, and spans that are all of it."""

    def pairs(**values: str) -> list[Any]:
        return [{"key": k.replace("__", "."), "value": {"stringValue": v}}
                for k, v in values.items()]  # fmt: skip

    spans = [
        {"traceId": f"{n:032x}", "spanId": f"{n:016x}", "name": "chat", "startTimeUnixNano": "1",
         "endTimeUnixNano": "2", "attributes": pairs(gen_ai__operation__name="chat",
                                                      gen_ai__request__model="m")}
        for n in range(600)
    ]  # fmt: skip
    resource = {"attributes": pairs(service__name="s" * 6 * MIB)}
    path.write_bytes(line({"resourceSpans": [{"resource": resource,
                                              "scopeSpans": [{"spans": spans}]}]}))  # fmt: skip


def _json_in_json(path: Path) -> None:
    value = "x"
    while len(value) < 4 * MIB:
        value = json.dumps([value])
    path.write_bytes(line(call(1, request_id="json-in-json", response=value)))


def _socket(path: Path) -> None:
    place = os.open(path.parent, os.O_RDONLY)  # the path itself may be too long for a socket
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(f"/proc/self/fd/{place}/{path.name}")
    finally:
        os.close(place)


GOOD = line(call(1, request_id="the good line")) + b"\n"
DEAD: dict[str, Writer] = {
    # tables
    "one text, 2,000 rows.parquet": _parquet(
        {
            "request_id": [f"r{n}" for n in range(2000)],
            "response": _dictionary(["x" * 400_000], 2000),
        }
    ),
    "a cell of 100 MB.parquet": _cell_of_100_mb,
    "a list of one text.parquet": _list_of_one_text,
    "flipped.parquet": _flipped,
    "cut.parquet": _cut(_flipped, 900),
    "magic only.parquet": _bytes(b"PAR1"),
    "endless footer.parquet": _bytes(b"PAR1" + b"\xff" * 100 + b"\xff\xff\xff\x7fPAR1"),
    "blank before.parquet": _bytes(b"\n\nPAR1" + b"\x15\x04" * 50 + b"\x40\x00\x00\x00PAR1"),
    "deep.parquet": _deep_parquet,
    "odd values.parquet": _odd_parquet,
    "20,000 columns.parquet": _parquet({f"c{n}": [1] for n in range(20_000)}),
    "3 million nulls.parquet": _parquet({"request_id": pa.nulls(3_000_000, pa.string())}),
    "dictionary.arrow": _arrow,
    "some.feather": _feather,
    # lines
    "500,000 empty objects.jsonl": _bytes(b"{}\n" * 500_000),
    "empty objects in one line.jsonl": _bytes(b"[" + b"{}," * 800_000 + b"{}]\n"),
    "empty lists in one line.jsonl": _bytes(GOOD + b"[" + b"[]," * 400_000 + b"[]]\n"),
    "a line of 20 MiB.jsonl": _pieces([GOOD, *[b"x" * MIB] * 20, b"\n", GOOD]),
    "two lines of 5 MiB, not closed.jsonl": _bytes((b'{"a": "' + b"x" * 5 * MIB + b"\n") * 2),
    "backslashes.jsonl": _bytes(b'{"a": "' + b"\\" * 3 * MIB + b"\n" + GOOD),
    "quotes.jsonl": _bytes(b'"' * 3 * MIB + b"\n" + GOOD),
    "brackets.jsonl": _bytes(b"[" * 3 * MIB + b"\n" + b'{"a":' * MIB + b"\n"),
    "200,000 keys.jsonl": _bytes(
        b"{" + b",".join(b'"k%d":{}' % n for n in range(200_000)) + b"}\n"
    ),
    "one key 300,000 times.jsonl": _bytes(b"{" + b'"k":1,' * 300_000 + b'"k":1}\n'),
    "an integer of 2 MB.jsonl": _bytes(b'{"input_tokens": ' + b"9" * 2 * MIB + b"}\n"),
    "many long integers.jsonl": _bytes(b"[" + b"99999999999999999999999," * 80_000 + b"1]\n"),
    "NULs.jsonl": _bytes(b"\x00" * 2 * MIB),
    "utf-16.jsonl": _bytes(
        "".join(f'{{"request_id": "{n}"}}\n' for n in range(50_000)).encode("utf-16")
    ),
    "utf-32.json": _bytes(('{"request_id": "x"}\n' * 100).encode("utf-32")),
    "latin-1.jsonl": _bytes('{"request_id": "\xe9"}\n'.encode("latin-1") * 20_000),
    "carriage returns.jsonl": _bytes(b'{"request_id": "x"}\r' * 80_000),
    "random.jsonl": _bytes(random.Random(1).randbytes(2 * MIB)),
    "200,000 small tags.jsonl": _bytes(
        line(call(1, request_id="tags", **{f"k{n}": n for n in range(200_000)}))
    ),
    # documents
    "empty lists.json": _bytes(b"[\n" + b"[],\n" * 500_000 + b"[]\n]"),
    "objects in objects.json": _bytes(b"[\n" + b'{"a":{"b":{}}},\n' * 150_000 + b"0\n]"),
    "not closed.json": _bytes(b'{\n"a": [\n' + b'"x",\n' * 400_000),
    "an alias in an alias.yaml": _bytes(
        b"interactions:\n- &a0 [x, x]\n"
        + b"".join(b"- &a%d [*a%d, *a%d]\n" % (n, n - 1, n - 1) for n in range(1, 40))
    ),
    "long.yaml": _bytes(b"interactions:\n" + b"- {a: 1, b: [1, 2, 3], c: x}\n" * 150_000),
    "deep.yaml": _bytes(b"interactions: " + b"[" * 100_000),
    "wide.yaml": _bytes(b"interactions: [" + b"{}," * 1_000_000 + b"]"),
    "a tag.yaml": _bytes(b"interactions: !!python/object/apply:os.system ['true']\n"),
    # CSV, with [ingest.columns]
    "a cell of 20 MiB.csv": _pieces(
        [b"id,question,answer\n1,", *[b"x" * MIB] * 20, b",b\n2,a,b\n"]
    ),
    "a quote that never closes.csv": _pieces(
        [b'id,question,answer\n1,"', *[b"x" * 1000 + b"\n"] * 20_000]
    ),
    "a row that never ends.csv": _pieces([b'id,question,answer\n1,"', *[b'a\n","' * 20_000] * 15]),
    "blank lines in a quote.csv": _pieces([b'id,question,answer\n1,"', b"\n" * 2 * MIB]),
    "a million columns.csv": _pieces([b"id,question,answer\n", b"a," * 1_000_000, b"\n"]),
    "NULs.csv": _bytes(b"id,question,answer\n" + b"\x00" * 2 * MIB + b"\n"),
    # compressed
    "zeros.jsonl.gz": _gzip(GOOD, *[b"0" * MIB] * 120),
    "empty objects.jsonl.gz": _gzip(GOOD, *[b"{}\n" * 100_000] * 4),
    "blank lines.jsonl.gz": _gzip(GOOD, *[b"\n" * MIB] * 100),
    "empty objects.jsonl.zst": _zstd(GOOD + b"{}\n" * 400_000),
    "zeros.jsonl.zst": _zstd(b"0" * 40 * MIB),
    "cut.jsonl.gz": _cut(_gzip(GOOD * 10_000), 200),
    "gzip in gzip.jsonl.gz": _nested_gzip,
    "zeros behind.jsonl.gz": _bytes(gzip.compress(GOOD) + b"\x00" * 1000 + b"\x1f\x8b\xff"),
    "zeros.jsonl.bz2": _bytes(bz2.compress(b"0" * 2 * MIB)),
    "zeros.jsonl.xz": _bytes(lzma.compress(b"0" * 2 * MIB)),
    "zeros.zip": _zip,
    "30,000 members.jsonl.gz": _bytes(gzip.compress(b"{") * 30_000),
    # traces
    "a name in every span.jsonl": _flood_of_spans,
    "deep.otlp.json": _bytes(
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"attributes": [{"key": "k", "value": '
        + b'{"arrayValue": {"values": [' * 5000
        + b"]}}" * 5000
        + b"}]}]}]}]}"
    ),
}
#: odd, and yet a log: a row comes in
ODD: dict[str, Writer] = {
    "json in json.jsonl": _json_in_json,
    "name \x1b[31m\n.jsonl": _bytes(line(call(1, request_id="of a bad name")) + b"\n"),
    "15 MiB in a text.jsonl": _bytes(line(call(1, request_id="long", response="x" * 15 * MIB))),
    "15 MiB of escapes.jsonl": _bytes(
        line(call(1, request_id="escapes", response="\u0001" * 2 * MIB))
    ),
    "50,000 judgements.jsonl": _bytes(
        line(call(1, request_id="judged", feedback=[{"kind": "thumbs", "value": 1}] * 50_000))
    ),
}
#: what the file system refuses, or has no bytes of
REFUSED: dict[str, Writer] = {
    "not utf-8 \udcff.jsonl": _bytes(line(call(1)) + b"\n"),
    "pipe.jsonl": lambda path: os.mkfifo(path),
    "itself.jsonl": lambda path: path.symlink_to(path),
    "nowhere.jsonl": lambda path: path.symlink_to(path.with_name("gone")),
    "socket.jsonl": _socket,
}
#: nothing to tell of
SILENT: dict[str, Writer] = {
    "folder.jsonl": lambda path: path.mkdir(),
    "zeros.jsonl": lambda path: path.symlink_to("/dev/zero"),
    "empty.jsonl": _bytes(b""),
    "blank lines.jsonl": _bytes(b"\n" * 10 * MIB),
    "nothing.jsonl.gz": _bytes(gzip.compress(b"")),
}
