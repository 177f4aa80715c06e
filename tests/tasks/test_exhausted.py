"""A full disk and a lack of memory, in the words of those who say so."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import duckdb
import numpy as np
import pytest
import torch

from tasks.exhausted import exhausted

_TOO_MANY = 2**50


def _fill(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA max_page_count = 1")
        database.execute("CREATE TABLE t (x)")


def _out_of_duckdb() -> None:
    with duckdb.connect(config={"memory_limit": "1MB", "threads": 1}) as connection:
        connection.execute("SELECT list(md5(i::VARCHAR)) FROM range(1_000_000) t(i)").fetchall()


@pytest.mark.parametrize(
    "ask",
    [
        lambda _: np.zeros(_TOO_MANY),
        lambda _: torch.zeros(_TOO_MANY),
        lambda _: bytearray(2**62),
        lambda _: _out_of_duckdb(),
    ],
    ids=["numpy", "torch", "python", "duckdb"],
)
def test_a_lack_of_memory_is_told(ask, tmp_path: Path) -> None:
    with pytest.raises((MemoryError, RuntimeError, duckdb.Error)) as raised:
        ask(tmp_path)
    told = exhausted(raised.value)  # type: ignore[arg-type]
    assert told is not None
    assert told.what == "this machine has not enough memory"


def test_a_full_disk_is_told_by_whoever_meets_it(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError) as raised:
        _fill(tmp_path / "full.db")
    for error in (raised.value, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x")):
        told = exhausted(error)
        assert told is not None
        assert told.what == "no space left on device"


def _over_a_lack_of_memory() -> None:
    try:
        raise MemoryError
    except MemoryError:
        raise ValueError("cannot go on") from None


def test_what_is_raised_over_a_lack_of_memory_is_one_and_nothing_else_is() -> None:
    with pytest.raises(ValueError) as raised:
        _over_a_lack_of_memory()
    assert exhausted(raised.value) is not None
    assert exhausted(ValueError("no such thing")) is None
