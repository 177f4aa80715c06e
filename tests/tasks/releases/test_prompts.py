from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import UsageError
from tasks.releases.prompts import AS_LOGGED, PromptSet, load_prompts, messages_for

ASK = [{"role": "user", "content": "question"}]
FEW_SHOT = """messages = [
  { role = "system", content = "Sort." },
  { role = "user", content = "a" },
  { role = "assistant", content = "b" },
]
"""


def _load(folder: Path, name: str, text: str | bytes) -> PromptSet:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_prompts(file, "mine")


def test_no_prompt_keeps_the_logged_system_message() -> None:
    assert messages_for(AS_LOGGED, "any", "Be kind.", ASK) == [
        {"role": "system", "content": "Be kind."},
        *ASK,
    ]
    assert messages_for(AS_LOGGED, None, None, ASK) == ASK


def test_text_file_is_the_system_message_of_every_task(tmp_path: Path) -> None:
    prompts = _load(tmp_path, "p.md", "Be brief.\n")
    assert messages_for(prompts, "any", "logged", ASK) == [
        {"role": "system", "content": "Be brief."},
        *ASK,
    ]


@pytest.mark.parametrize("name", ["p.toml", "p.json"])
def test_messages_go_in_front_of_the_sample(tmp_path: Path, name: str) -> None:
    json_text = (
        '{"messages": [{"role": "system", "content": "Sort."}, {"role": "user", "content": "a"},'
        ' {"role": "assistant", "content": "b"}]}'
    )
    prompts = _load(tmp_path, name, FEW_SHOT if name.endswith("toml") else json_text)
    found = messages_for(prompts, None, "logged", ASK)
    assert [m["role"] for m in found] == ["system", "user", "assistant", "user"]


def test_folder_has_a_file_a_task_and_a_default(tmp_path: Path) -> None:
    for name, text in {
        "order.md": "Order.", "team/mood.toml": FEW_SHOT, "default.toml": "as_logged = true",
        ".hidden.md": "no", "README.md": "about",
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    prompts = load_prompts(tmp_path, "mine")
    assert sorted(prompts.by_task) == ["default", "order", "team/mood"]
    assert messages_for(prompts, "order", "logged", [])[0]["content"] == "Order."
    assert messages_for(prompts, "team/mood", "logged", [])[0]["content"] == "Sort."
    assert messages_for(prompts, "other", "logged", [])[0]["content"] == "logged"
    assert messages_for(prompts, None, "logged", [])[0]["content"] == "logged"


def test_digest_follows_the_contents_and_nothing_else(tmp_path: Path) -> None:
    one = _load(tmp_path, "a/p.md", "Be brief.")
    assert one.digest == _load(tmp_path, "b/p.txt", "Be brief.\n").digest
    assert one.digest != _load(tmp_path, "c/p.md", "Be brief!").digest
    assert one.digest != AS_LOGGED.digest


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.yaml", "a: b", "its ending '.yaml' is not known"),
        ("p.md", "  \n", "it is empty"),
        ("p.md", b"\xff\xfe", "it is not UTF-8 text"),
        ("p.toml", "messages = [", "it is not valid TOML"),
        ("p.json", "{", "it is not valid JSON"),
        ("p.json", "[" * 100_000, "it is not valid JSON"),
        ("p.json", "[]", "it holds list"),
        ("p.toml", "", "it holds nothing"),
        ("p.toml", 'message = "x"', "it holds message"),
        ("p.toml", "messages = []", "it has no list of messages"),
        ("p.toml", "as_logged = false", "it has no list of messages"),
        ("p.toml", "as_logged = true\n" + FEW_SHOT, "it has no list of messages"),
        ("p.json", '{"messages": [{"role": "robot", "content": "x"}]}', "message 1 is"),
        ("p.json", '{"messages": [{"role": "user", "content": 1}]}', "message 1 is"),
        ("p.json", '{"messages": [{"role": "user", "content": "x", "name": "y"}]}', "message 1"),
        (
            "p.json",
            '{"messages": [{"role": "user", "content": "x"}, {"role": "system", "content": "y"}]}',
            "message 2 is",
        ),
    ],
)
def test_malformed_prompt_is_one_clear_line(
    tmp_path: Path, name: str, text: str | bytes, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        _load(tmp_path, name, text)
    line = caught.value.line()
    assert message in line
    assert str(tmp_path / name) in line
    assert "\n" not in line


def test_missing_prompt_names_the_release(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'mine' does not exist"):
        load_prompts(tmp_path / "none.md", "mine")


def test_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no prompt"):
        load_prompts(tmp_path, "mine")


def test_two_files_for_one_task_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("x", encoding="utf-8")
    (tmp_path / "a.txt").write_text("y", encoding="utf-8")
    with pytest.raises(UsageError, match="two prompt files for the task 'a'"):
        load_prompts(tmp_path, "mine")


def test_oversized_prompt_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="larger than"):
        _load(tmp_path, "p.md", "x" * (2**20 + 1))
