"""Ingest of files of one call each, the layout logs/2026/11/29/UUID.json, and the night after it.

    python -m benchmarks.small_files                      100,000 files of about 2 KB
    python -m benchmarks.small_files --files 2000

Each night is a process of its own; imports and generation are left out. Prints a table with the
project's target and writes JSON to results/.
"""

from __future__ import annotations

import argparse
import gzip
import random
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import orjson

from benchmarks.ingest import ROOT, Prose, canonical, line, measured, print_table

#: 100,000 files in six minutes
_MAX_S_A_FILE = 0.0036
_FILES_A_DAY = 4_000


def write_files(folder: Path, count: int) -> None:
    """One in ten is compressed."""
    prose, draw = Prose(0), random.Random(0)
    for number in range(count):
        day = folder / "2026" / "11" / f"{1 + number // _FILES_A_DAY:02}"
        day.mkdir(parents=True, exist_ok=True)
        name = uuid.UUID(int=draw.getrandbits(128))
        data = orjson.dumps(canonical(number, prose))
        if number % 10:
            (day / f"{name}.json").write_bytes(data)
        else:
            (day / f"{name}.json.gz").write_bytes(gzip.compress(data))


def lines(count: int, folder: Path) -> Iterator[dict[str, Any]]:
    logs, store = folder / "logs", folder / "store"
    store.mkdir()
    write_files(logs, count)
    first, second = (measured("ours", logs, store) for _ in range(2))
    yield line("files of one call", count, "")
    yield line("first night", first.seconds, "s", _MAX_S_A_FILE * count)
    yield line("first night, processor time a file", 1000 * first.processor_s / count, "ms")
    yield line("first night, peak memory", first.peak_mib, "MiB", 2048)
    yield line("second night", second.seconds, "s")
    yield line("second night, processor time a file", 1000 * second.processor_s / count, "ms")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    from benchmarks import results

    with tempfile.TemporaryDirectory() as folder:
        found = list(lines(options.files, Path(folder)))
    print_table(found)
    results.write({**results.header(), "lines": found}, options.out, "small-files")


if __name__ == "__main__":
    main()
