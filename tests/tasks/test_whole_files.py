"""A file is there whole, whoever else writes it meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasks.whole_files import write_whole


def test_two_writers_of_one_process_number_do_not_share_a_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As in two containers on one state folder: each sees itself as the same process."""
    file, fsync = tmp_path / "page", os.fsync

    def with_another_between(descriptor: int) -> None:
        monkeypatch.setattr(os, "fsync", fsync)
        write_whole(file, b"theirs")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", with_another_between)
    write_whole(file, b"ours, and longer")
    assert file.read_bytes() == b"ours, and longer"
    assert [path.name for path in tmp_path.iterdir()] == ["page"]
