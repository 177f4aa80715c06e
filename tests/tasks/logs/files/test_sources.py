from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import UsageError
from tasks.logs.files.sources import find_files


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "logs"
    (root / "deep" / "er").mkdir(parents=True)
    for name in ("b.jsonl", "a.jsonl", "deep/c.jsonl", "deep/er/d.txt", ".hidden"):
        (root / name).write_text(name)
    (root / ".git").mkdir()
    (root / ".git" / "x.jsonl").write_text("x")
    return root


def names(*patterns: str | Path) -> list[str]:
    return [file.path.name for file in find_files([str(each) for each in patterns]).files]


def test_folders_patterns_and_paths(tree: Path):
    assert names(tree) == ["a.jsonl", "b.jsonl", "c.jsonl", "d.txt"]
    assert names(tree / "*.jsonl") == ["a.jsonl", "b.jsonl"]
    assert names(tree / "**" / "*.jsonl") == ["a.jsonl", "b.jsonl", "c.jsonl"]
    assert names(tree / "b.jsonl", tree / "*.jsonl") == ["a.jsonl", "b.jsonl"]
    assert names() == []


def test_a_file_whose_name_looks_like_a_pattern_is_found_by_its_name(tmp_path: Path):
    (tmp_path / "a[1].jsonl").write_text("x")
    assert names(tmp_path / "a[1].jsonl") == ["a[1].jsonl"]


def test_relative_patterns_are_relative_to_here(tree: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tree)
    assert names("*.jsonl", "deep") == ["a.jsonl", "b.jsonl", "c.jsonl", "d.txt"]


@pytest.mark.parametrize("pattern", ["nothing.jsonl", "*.csv", "", "a\x00b", "gone/**/*.x"])
def test_a_pattern_that_matches_nothing_is_a_usage_error(tmp_path: Path, pattern: str):
    with pytest.raises(UsageError, match="no log file matches") as caught:
        find_files([str(tmp_path / pattern) if pattern else ""])
    assert caught.value.exit_code == 2
    assert caught.value.next


def test_an_empty_folder_is_a_usage_error(tmp_path: Path):
    with pytest.raises(UsageError, match="no log file matches"):
        find_files([str(tmp_path)])


def test_links_out_of_the_tree_are_refused_and_told_but_links_inside_are_one_file(
    tree: Path, tmp_path: Path
):
    secret = tmp_path / "secret.txt"
    secret.write_text("s")
    (tree / "out.jsonl").symlink_to(secret)
    (tree / "in.jsonl").symlink_to(tree / "a.jsonl")
    found = find_files([str(tree), str(tree / "*.jsonl")])
    assert "secret.txt" not in [file.path.name for file in found.files]
    assert len(found.files) == 4
    assert found.links_out == (secret,)


def test_a_link_that_the_user_names_is_followed(tree: Path, tmp_path: Path):
    (tmp_path / "current").symlink_to(tree / "a.jsonl")
    assert names(tmp_path / "current") == ["a.jsonl"]


def test_a_dangling_link_and_a_pipe_are_told(tmp_path: Path):
    import os

    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    with pytest.raises(UsageError, match="cannot be read"):
        find_files([str(tmp_path / "dangling")])
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="not a regular file"):
        find_files([str(tmp_path / "pipe")])
