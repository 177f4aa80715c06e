"""What all benchmarks share."""

from __future__ import annotations

from benchmarks.results import command


def test_a_result_file_has_the_command_as_typed_without_folders():
    typed = ["/home/ada/flywheel/benchmarks/hosted.py", "--rounds", "3", "--out", "/srv/a.json",
             "--prepared=../kept", "--kinds=redrawn", "logs/b.jsonl", "c.jsonl"]  # fmt: skip
    assert command(typed) == [
        "python", "-m", "benchmarks.hosted", "--rounds", "3", "--out", "a.json",
        "--prepared=kept", "--kinds=redrawn", "b.jsonl", "c.jsonl",
    ]  # fmt: skip
