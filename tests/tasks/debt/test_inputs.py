"""Which files a pattern names, against what `glob` finds."""

from __future__ import annotations

import glob
import os
from pathlib import Path

import pytest

from tasks.debt.inputs import covers

_FILES = (
    "a.jsonl", "b.json", "x1.jsonl", "day/a.jsonl", "day/deep/a.jsonl", "day/deep/er/b.jsonl",
    "night/a.jsonl",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in _FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    "pattern",
    [
        "*.jsonl", "*", "?.jsonl", "x[0-9].jsonl", "[!x]*.json*", "*/a.jsonl", "day/*",
        "**/*.jsonl", "day/**/*.jsonl", "day/**", "**/deep/**", "**/er/*", "**/**/a.jsonl",
        "nowhere/*", "a.jsonl",
    ],
)  # fmt: skip
def test_a_pattern_names_what_glob_finds(folder: Path, pattern: str):
    found = {
        path for path in glob.glob(str(folder / pattern), recursive=True) if os.path.isfile(path)
    }
    covered = {
        str(folder / name) for name in _FILES if covers(str(folder / pattern), str(folder / name))
    }
    assert covered == found


def test_a_folder_names_all_that_is_in_it_and_an_address_what_it_begins():
    assert covers("/logs", "/logs/a/b.jsonl")
    assert covers("/logs/", "/logs/a.jsonl")
    assert not covers("/logs", "/logs-2/a.jsonl")
    assert covers("s3://bucket/2026/*.jsonl", "s3://bucket/2026/a.jsonl")
    assert not covers("s3://bucket/2026/*.jsonl", "s3://other/2026/a.jsonl")


def test_many_stars_take_no_time():
    pattern = "/" + "**/" * 40 + "x"
    assert not covers(pattern, "/" + "a/" * 200 + "y")
