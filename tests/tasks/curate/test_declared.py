from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.curate import declared
from tasks.errors import UsageError
from tasks.settings import Settings, parse_settings


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read, from now on."""
    read: list[Path] = []
    lines = declared.suite_lines

    def counted(name: str, task: str, path: Path, mode: Any) -> Any:
        read.append(path)
        return lines(name, task, path, mode)

    monkeypatch.setattr(declared, "suite_lines", counted)
    return read


def _write(folder: Path, *asked: str) -> Path:
    file = folder / "sums.jsonl"
    file.write_text("".join(json.dumps({"input": text, "target": "4"}) + "\n" for text in asked))
    return file


def _settings(folder: Path, **suite: str) -> Settings:
    return parse_settings(
        {"suites": {"sums": {"samples": "sums.jsonl", **suite}}}, base=str(folder)
    )


def test_what_was_looked_over_is_read_once_more_only_after_that(tmp_path: Path, reads: list[Path]):
    file, settings = _write(tmp_path, "2 + 2", "1 + 3"), _settings(tmp_path)
    looked = declared.look_over(settings, "sums")
    assert list(declared.read_declared(settings, "sums")) == looked
    assert reads == [file]
    assert list(declared.read_declared(settings, "sums")) == looked
    assert reads == [file, file]


def test_a_file_that_was_changed_meanwhile_is_read(tmp_path: Path, reads: list[Path]):
    _write(tmp_path, "2 + 2")
    settings = _settings(tmp_path)
    declared.look_over(settings, "sums")
    _write(tmp_path, "3 + 1")
    (sample,) = declared.read_declared(settings, "sums")
    assert sample.conversation.messages[0]["content"] == "3 + 1"
    assert len(reads) == 2


def test_another_task_or_mode_is_another_reading(tmp_path: Path, reads: list[Path]):
    _write(tmp_path, "2 + 2")
    declared.look_over(_settings(tmp_path), "sums")
    (sample,) = declared.read_declared(_settings(tmp_path, task="arithmetic"), "sums")
    assert sample.task == "arithmetic"
    assert len(reads) == 2


def test_a_wrong_line_that_was_looked_over_is_still_an_error(tmp_path: Path):
    (tmp_path / "sums.jsonl").write_text('{"input": "2 + 2"}\n')
    settings = _settings(tmp_path)
    assert isinstance(declared.look_over(settings, "sums")[0], UsageError)
    with pytest.raises(UsageError, match="has no target"):
        declared.read_declared(settings, "sums")


def test_a_file_that_is_not_there_is_told_by_both(tmp_path: Path):
    settings = _settings(tmp_path)
    (error,) = declared.look_over(settings, "sums")
    assert isinstance(error, UsageError)
    with pytest.raises(UsageError, match="cannot be read"):
        declared.read_declared(settings, "sums")
