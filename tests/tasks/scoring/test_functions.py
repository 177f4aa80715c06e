"""Users' scorers: found by module:function, checked before they run, run with limits."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UsageError
from tasks.model.run import RunRequest
from tasks.preflight import find_problems
from tasks.scoring import Instrument, instrument
from tasks.scoring.suites import suite_instrument
from tasks.settings import parse_settings
from tests.conftest import REPOSITORY

_MODULE = """
import os, sys, time
print("loaded")
COUNT = 0

def polite(answer: str, target: str, word: str = "please") -> bool:
    return word in answer

def share(answer, target, *, of):
    return len(answer) / of

def told(answer, target):
    return {"value": 0.5, "answer": answer[:3], "explanation": "half of it"}

def unsure(answer, target):
    return {"unscored_reason": "nobody knows"}

def given(answer, target, what="nan"):
    return {"nan": float("nan"), "two": 2, "text": "1", "none": None, "keys": {"score": 1},
            "list": [1]}[what]

def breaks(answer, target, how="raise"):
    global COUNT
    COUNT += 1
    if answer == "good":
        return COUNT == 1
    if how == "raise":
        raise KeyError("x")
    if how == "loop":
        while True:
            pass
    if how == "memory":
        return len("x" * 10**12)
    if how == "leave":
        os._exit(3)
    if how == "killed":
        os.kill(os.getpid(), 9)
    if how == "speak":
        print("{}\\n" * 10)
        os.write(1, b"{}\\n")
        return bool(sys.stdin.read())
    return 1

def alone(answer):
    return 1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_scorers.py").write_text(_MODULE)
    return tmp_path


def _of(folder: Path, function: str, **more: Any) -> Instrument:
    declared = {"function": f"my_scorers:{function}", **more}
    return instrument(declared, "suites.mood.scorer", folder)


def test_a_function_gives_a_value_or_more(folder: Path) -> None:
    polite = _of(folder, "polite")
    assert polite.score("yes, please", "-").value == 1.0
    assert polite.score("yes", "-").value == 0.0
    assert _of(folder, "polite", word="yes").score("yes", "-").value == 1.0
    assert _of(folder, "share", of=4).score("abc", "-").value == 0.75
    told = _of(folder, "told").score("abcdef", "-")
    assert (told.value, told.answer, told.explanation) == (0.5, "abc", "half of it")
    assert _of(folder, "unsure").score("a", "-").unscored_reason == "nobody knows"
    assert polite.score("\ud800 please \0 " * 1000, "\n").value == 1.0


@pytest.mark.parametrize("what", ["nan", "two", "text", "none", "keys", "list"])
def test_what_is_no_value_is_unscored(folder: Path, what: str) -> None:
    result = _of(folder, "given", what=what).score("a", "-")
    assert result.value is None
    assert result.unscored_reason is not None
    assert result.unscored_reason.startswith("given failed: ")


@pytest.mark.parametrize(
    ("how", "reason", "is_new"),
    [
        ("raise", "KeyError: 'x'", False),
        ("memory", "more than 134217728 bytes of memory", False),
        ("loop", "more than 1 s of processor time", True),
        ("leave", "ended with code 3", True),
        ("killed", "was killed, as it is when memory runs out", True),
    ],
)
def test_what_fails_is_unscored_with_the_reason_and_the_next_is_judged(
    folder: Path, how: str, reason: str, is_new: bool
) -> None:
    scorer = _of(folder, "breaks", how=how, timeout_s=1, memory_bytes=2**27)
    result = scorer.score("bad", "-")
    assert result.value is None
    assert reason in (result.unscored_reason or "")
    assert scorer.score("good", "-").value == float(is_new)  # of a process that has just begun


def test_what_it_prints_and_reads_is_not_ours(folder: Path) -> None:
    assert _of(folder, "breaks", how="speak").score("bad", "-").value == 0.0


def test_no_process_outlives_its_scorer(folder: Path) -> None:
    scorer = _of(folder, "polite")
    scorer.score("a", "-")
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    commands = [Path(f"/proc/{child}/cmdline") for child in children]
    (ours,) = [path for path in commands if b"scoring/worker.py" in path.read_bytes()]
    del scorer
    assert not ours.exists()


def test_scores_are_kept_under_parameters_and_source(folder: Path) -> None:
    one = _of(folder, "polite")
    assert one.version.startswith("my_scorers:polite@1(source=")
    assert _of(folder, "polite", word="yes").version != one.version
    (folder / "my_scorers.py").write_text(_MODULE + "\n# another\n")
    assert _of(folder, "polite").version != one.version
    assert one.score("please", "-").value == 1.0  # by the source that it was made of


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"function": "polite"}, "module:function"),
        ({"function": "../x:polite"}, "module:function"),
        ({"function": "my_scorer:polite"}, "cannot be read: No such file"),
        ({"function": "my_scorers:pollite"}, "no function 'pollite': did you mean 'polite'"),
        ({"function": "my_scorers:COUNT"}, "no function 'COUNT'"),
        ({"function": "my_scorers:alone"}, "takes no answer and target"),
        (
            {"function": "my_scorers:polite", "wrod": "a"},
            "no parameter 'wrod': did you mean 'word'",
        ),
        ({"function": "my_scorers:polite", "answer": "a"}, "no parameter 'answer'"),
        ({"function": "my_scorers:share"}, "needs 'of'"),
        (
            {"function": "my_scorers:polite", "timeout_s": 0},
            "timeout_s of the scorer my_scorers:po",
        ),
        ({"function": "my_scorers:polite", "word": float("inf")}, "cannot be passed on"),
    ],
)
def test_what_is_wrong_is_told_without_running_it(folder: Path, declared: Any, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        instrument(declared, "suites.mood.scorer", folder)
    assert said in caught.value.line()
    assert "suites.mood.scorer" in caught.value.line()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import nowhere_at_all\ndef polite(a, t): ...", "No module named 'nowhere_at_all'"),
        ("def polite(a, t)", "is not Python: expected ':'"),
        ("raise SystemExit\ndef polite(a, t): ...", "cannot be run: SystemExit"),
    ],
)
def test_a_module_that_cannot_be_run_is_found_by_the_check(
    folder: Path, source: str, said: str
) -> None:
    (folder / "my_scorers.py").write_text(source)
    suites = {"mood": {"scorer": {"function": "my_scorers:polite"}}}
    settings = parse_settings({"suites": suites}, base=str(folder))
    (problem,) = find_problems(settings, RunRequest(stages=("gate",)), every_release=False)
    assert problem.key == "suites.mood.scorer"
    assert said in problem.message


def test_the_example_of_the_docs_is_what_it_says(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "scorers.md").read_text().partition("## Your own scorers")[2]
    module, declared = re.findall(r"```\w+\n(.*?)```", page, re.DOTALL)
    (tmp_path / "my_scorers.py").write_text(module)
    settings = parse_settings(tomllib.loads(declared), base=str(tmp_path))
    scorer = suite_instrument(settings, "mood")
    assert scorer.score("Thank you, Sir", "-").value == 1.0
    assert scorer.score("please", "-").value == 0.0


def test_a_module_finds_its_neighbours_and_hides_no_package(folder: Path) -> None:
    (folder / "neighbour.py").write_text("VALUE = 1")
    (folder / "json.py").write_text("raise ValueError")
    (folder / "my_scorers.py").write_text(
        "import json, neighbour\ndef polite(a, t):\n    return json.loads(a) == neighbour.VALUE\n"
    )
    assert _of(folder, "polite").score("1", "-").value == 1.0
