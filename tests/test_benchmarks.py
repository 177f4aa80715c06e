"""What all benchmarks share."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.results import command, write


def test_a_result_file_has_the_command_as_typed_without_folders():
    typed = ["/home/ada/flywheel/benchmarks/hosted.py", "--rounds", "3", "--out", "/srv/a.json",
             "--prepared=../kept", "--kinds=redrawn", "logs/b.jsonl", "c.jsonl"]  # fmt: skip
    assert command(typed) == [
        "python", "-m", "benchmarks.hosted", "--rounds", "3", "--out", "a.json",
        "--prepared=kept", "--kinds=redrawn", "b.jsonl", "c.jsonl",
    ]  # fmt: skip


def test_results_go_to_the_file_or_to_a_new_one_in_the_folder(tmp_path: Path):
    there = write({"a": 1}, tmp_path / "deep" / "kept.json", "name")
    assert there == tmp_path / "deep" / "kept.json"
    new = write({"a": 2}, tmp_path / "folder", "name")
    assert new.parent == tmp_path / "folder"
    assert new.name.startswith("name-")
    assert [json.loads(path.read_text()) for path in (there, new)] == [{"a": 1}, {"a": 2}]
