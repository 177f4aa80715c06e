"""Items of suites in training data, planted in every way and not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows.commands.suite_traffic import find_leaks
from tasks.errors import UsageError
from tasks.suites.leaks import LeakFinder, Question

WORDS = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho"


def found(question: str, record: Any, target: str = "") -> tuple[str, float, bool] | None:
    finder = LeakFinder([Question("s", "id", question, target)], 0.8)
    finder.look("here", record)
    leak = finder.found.get(0)
    return None if leak is None else (leak.how, round(leak.share, 4), leak.with_target)


def test_every_way_in_which_a_question_may_stand_in_a_record():
    chat = {"messages": [{"role": "user", "content": "  WHAT is 2+2? "},
                         {"role": "assistant", "content": "It is 4."}]}  # fmt: skip
    assert found("What is 2+2?", chat, "4") == ("exact", 1.0, True)
    assert found("What is 2+2?", {"prompt": "What is 2+2? Tell me.", "completion": "5"}) is None
    # 17 words have 10 runs of eight; 15 of them in the middle of others have 8 of these
    text = "before it all " + " ".join(WORDS.split()[:15]) + " and after it very much more of that"
    assert found(WORDS, {"text": text}) == ("contained", 0.8, False)
    shorter = "before it all " + " ".join(WORDS.split()[:14]) + " and after it very much more"
    assert found(WORDS, {"text": shorter}) is None
    # 15 runs of three and one word more: 15 of 16 are shared
    assert found(WORDS, [["user", WORDS + " sigma"]]) == ("near", 15 / 16, False)
    middle = WORDS.split()
    middle[1] = "other"  # 13 of 17 runs of three, 8 of 10 of eight
    assert found(WORDS, " ".join(middle)) == ("contained", 0.8, False)
    nearly = WORDS + " sigma"
    # the last word differs: 15 of 17 runs of three
    assert found(nearly, WORDS + " tau") == ("near", round(15 / 17, 4), False)
    seven = "one two three four five six seven"
    assert found(seven, "so: " + seven + " and eight more words follow here today") is None
    assert found(seven, seven + " eight") == ("near", round(5 / 6, 4), False)


def test_the_strongest_find_is_kept_with_its_place():
    finder = LeakFinder([Question("s", "a", WORDS, "x"), Question("s", "b", "who am I", "y")], 0.8)
    finder.look("f:1", "text before " + WORDS)
    finder.look("f:2", WORDS.upper())
    finder.look("f:3", "text before " + WORDS)
    assert [(i, leak.where, leak.how) for i, leak in finder.found.items()] == [(0, "f:2", "exact")]


def test_files_of_every_kind_are_read_and_the_exit_code_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "flywheel.toml").write_text('[suites.route]\nsamples = "route.jsonl"\n')
    asked = ["What is the capital of Norway?", "Who wrote this?", WORDS]
    (tmp_path / "route.jsonl").write_text(
        "".join(json.dumps({"input": one, "target": "Oslo"}) + "\n" for one in asked)
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clean.jsonl").write_text('{"messages": [{"role": "user", "content": "Hello"}]}\n')
    (tmp_path / "notes.txt").write_text(f"First.\nSecond.\n\n\nIt says {WORDS} and more.\n")
    (tmp_path / "t.csv").write_text(
        'prompt,completion\nHi,ho\n"what is the CAPITAL of norway?",Oslo\n'
    )
    assert find_leaks(["clean.jsonl"], "", config=None, as_json=False) == 0
    assert "0 of 3 items stand in 1 records" in capsys.readouterr().out
    assert find_leaks(["clean.jsonl", "notes.txt", "t.csv"], "route", config=None,
                      as_json=True) == 1  # fmt: skip
    told = json.loads(capsys.readouterr().out)
    assert [(leak["where"], leak["how"], leak["with_target"]) for leak in told["leaks"]] == [
        ("t.csv:3", "exact", True), ("notes.txt:4", "contained", False),
    ]  # fmt: skip
    (tmp_path / "cut.jsonl").write_text('{"a": "b"}\n{"a": ')
    for named, suite, word in (("none.jsonl", "", "no such file"), ("t.csv", "rout", "'route'"),
                               ("cut.jsonl", "", "cut.jsonl:2")):  # fmt: skip
        with pytest.raises(UsageError) as caught:
            find_leaks([named], suite, config=None, as_json=True)
        assert word in caught.value.line()
