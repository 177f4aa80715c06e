"""The scorer `code_execution`: which code is read, which targets are tests, what a failure says,
and that it is off. What hostile code reaches: test_sandbox.py."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
from pathlib import Path

import pytest

from tasks.model.run import RunRequest
from tasks.preflight import find_problems
from tasks.scoring import Score, instrument, sandbox
from tasks.scoring.code_execution import CodeTests, UnusableTestsError, code_in, read_tests
from tasks.scoring.instrument import Instrument
from tasks.scoring.suites import suite_instrument
from tasks.scoring.system_calls import UnknownMachineError, refusing_filter
from tasks.settings import Settings, parse_settings
from tests.sandboxed import require_sandbox

ADD = "def add(a, b):\n    return a + b\n"
CHECK = "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(0, 0) == 0\n"


def _score(text: str, target: str, **parameters: int) -> Score:
    declared = {"name": "code_execution", **parameters}
    return instrument(declared, allow_code=True).score(text, target)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (ADD, ADD),
        (f"Here:\n```python\n{ADD}```\nDone.", ADD),
        (f"```\n{ADD}```", ADD),
        (f"```Py\n{ADD}", ADD),
        (f"```bash\npip install x\n```\nand\n```python3\n{ADD}```\n```python\nadd(1, 2)\n```", ADD),
        (f"````python\n{ADD}# ```\n````", f"{ADD}# ```\n"),
        ('```python title="a.py"\nx = 1\n```', "x = 1\n"),
        ("```json\n{}\n```", None),
        ("```sql\nselect", None),
        ("", ""),
        ("    return a + b", "    return a + b"),
    ],
)  # fmt: skip
def test_the_code_is_the_first_block_of_python_or_the_whole(text: str, code: str | None) -> None:
    assert code_in(text) == code


@pytest.mark.parametrize(
    ("target", "tests"),
    [
        ("assert add(1, 2) == 3", CodeTests("assert add(1, 2) == 3")),
        ('["assert a", "assert b"]', CodeTests("assert a\nassert b")),
        ("[1 / 0 for _ in [1]]\nassert x", CodeTests("[1 / 0 for _ in [1]]\nassert x")),
        (CHECK + "check(add)", CodeTests(CHECK + "check(add)")),
        (json.dumps({"test": CHECK, "entry_point": "add", "prompt": "P"}),
         CodeTests(CHECK + "\ncheck(add)", "P")),
        (json.dumps({"test": "assert add", "task_id": "x"}), CodeTests("assert add")),
        (r"assert len('\d') == 2", CodeTests(r"assert len('\d') == 2")),
    ],
)  # fmt: skip
def test_a_target_is_statements_a_list_or_an_object(target: str, tests: CodeTests) -> None:
    assert read_tests(target) == tests


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("", "asserts nothing"),
        ("add(1, 2) == 3", "asserts nothing"),
        ("it adds", "is not Python"),
        (CHECK, "runs nothing of what it defines"),
        (json.dumps({"test": CHECK}), "runs nothing"),
        (json.dumps({"entry_point": "add"}), "needs `test`"),
        (json.dumps({"test": CHECK, "entry_point": "add);x("}), "which is no name"),
        ("[1, 2]", "no list of statements"),
        ("assert '\0'", "is not Python"),
    ],
)
def test_a_target_that_tests_nothing_is_unscored_without_a_sandbox(target: str, said: str) -> None:
    with pytest.raises(UnusableTestsError, match=re.escape(said)):
        read_tests(target)
    assert said in (_score(ADD, target).unscored_reason or "")


def test_an_answer_without_code_is_wrong_without_a_sandbox() -> None:
    score = _score("```json\n{}\n```", "assert 1")
    assert (score.value, score.explanation) == (0.0, "the answer holds no Python code")
    assert _score(" \n", "assert 1").value == 0.0


def test_all_tests_pass_or_the_first_that_fails_is_told() -> None:
    require_sandbox()
    target = "import math\n\nassert add(1, 2) == 3\nassert add(2, 2) == 5, 'four'\nassert 0"
    right = _score(f"So:\n```python\n{ADD}```", "assert add(1, 2) == 3")
    assert (right.value, right.answer) == (1.0, ADD)
    assert re.fullmatch(r"the tests pass, in \d\.\d\d s", right.explanation)
    wrong = _score(ADD, target)
    assert wrong.value == 0.0
    assert "a test fails, line 4: \"assert add(2, 2) == 5, 'four'\": AssertionError: four, in" in (
        wrong.explanation
    )
    for code, said in {
        "def add(a, b): return c": "line 3: 'assert add(1, 2) == 3': NameError: name 'c'",
        "def add(a, b) return": "the code fails, line 1: 'def add(a, b) return': SyntaxError",
        "x = 1\nimport numpy": "the code fails, line 2: 'import numpy': ModuleNotFoundError",
        "\ud800": "the code fails, line 1: '\\ud800': SyntaxError",
        "x = '\0'": "the code fails: ",
    }.items():
        score = _score(code, target)
        assert score.value == 0.0
        assert said in score.explanation


def test_human_eval_is_read_as_it_stands() -> None:
    require_sandbox()
    prompt = 'import math\n\ndef add(a, b):\n    """ Add them. """\n'
    target = json.dumps({"prompt": prompt, "entry_point": "add", "test": CHECK})
    assert _score("    return int(math.fsum((a, b)))", target).value == 1.0
    assert _score(f"```python\n{ADD}```", target).value == 1.0
    wrong = _score("    return 3", target)
    assert "line 3: 'assert candidate(0, 0) == 0': AssertionError" in wrong.explanation


@pytest.mark.realdata
def test_solutions_of_human_eval_pass_and_none_does_not(shared: Path) -> None:
    require_sandbox()
    with gzip.open(shared / "datasets" / "humaneval.jsonl.gz", "rt") as file:
        tasks = [json.loads(line) for line in file][::8]
    for task in tasks:
        target = json.dumps({key: task[key] for key in ("prompt", "test", "entry_point")})
        assert _score(task["canonical_solution"], target).value == 1.0, task["task_id"]
        assert _score("    return None", target).value == 0.0, task["task_id"]


def test_classes_modules_and_threads_work() -> None:
    require_sandbox()
    code = """
from __future__ import annotations
import abc, array, ast, asyncio, base64, bisect, collections, contextlib, copy, csv, dataclasses
import datetime, decimal, enum, fractions, functools, hashlib, heapq, inspect, io, itertools, json
import logging, math, operator, pathlib, pickle, queue, random, re, sqlite3, statistics, string
import struct, sys, tempfile, textwrap, threading, time, traceback, typing, unittest, uuid, warnings
from concurrent.futures import ThreadPoolExecutor

@dataclasses.dataclass
class Point:
    x: int
    y: typing.ClassVar[int] = 2

Pair = collections.namedtuple("Pair", "a b")
Colour = enum.Enum("Colour", "RED BLUE")

def work():
    logging.error("nothing is shown")
    print("nor this")
    seen = []
    threads = [threading.Thread(target=seen.append, args=(n,)) for n in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    return sorted(seen)

def shows_its_error():
    try:
        return 1 // 0
    except ZeroDivisionError:
        traceback.print_exc()
        warnings.warn("careful")
        return tempfile.mkdtemp()

async def later():
    await asyncio.sleep(0)
    return decimal.Decimal("0.1")

if __name__ == "__main__":
    raise SystemExit("a script")
"""
    tests = [
        "assert Point(1) == Point(1) and Pair(1, 2).b == 2 and Colour.RED.value == 1",
        "assert work() == list(range(8))",
        "import asyncio\nassert str(asyncio.run(later())) == '0.1'",
        "assert shows_its_error().startswith('/tmp/')",
        "assert list(ThreadPoolExecutor(3).map(abs, [-1])) == [1]",
        "assert pickle.loads(pickle.dumps(Point(1))) == Point(1)",
        "assert json.loads('[1]') == [1]",
        "assert list({'b', 'a', 'c'}) == list({'b', 'a', 'c'})",
    ]
    score = _score(code, json.dumps(tests))
    assert score.value == 1.0, score.explanation


def test_limits_are_parameters_and_the_version_of_python_is_part_of_the_name() -> None:
    require_sandbox()
    made = instrument({"name": "code_execution", "timeout_s": 1}, allow_code=True)
    assert re.fullmatch(r'code_execution\(python="3\.\d+", timeout_s=1\)', made.metric)
    big = f"x = bytearray({200 * 2**20})"
    assert _score(big, "assert x is not None").value == 1.0
    score = _score(big, "assert x is not None", memory_bytes=2**26)
    assert score.value == 0.0
    assert "MemoryError" in score.explanation


def test_a_sandbox_that_does_not_start_is_unscored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sandbox, "_command", lambda: ("/bin/sh", "-c", "echo no rights >&2; exit 1")
    )
    score = _score(ADD, "assert add(1, 2) == 3")
    assert score.value is None
    assert score.unscored_reason == "the sandbox does not start: no rights"
    monkeypatch.setattr(sandbox, "_command", lambda: ("/nowhere/bwrap",))
    assert "No such file" in (_score(ADD, "assert add(1, 2) == 3").unscored_reason or "")


def _settings(tmp_path: Path, *, allowed: bool, **suite: object) -> Settings:
    values = {"suites": {"code": {"scorer": "code_execution", **suite}}}
    return parse_settings(
        values | ({"allow_code_execution": True} if allowed else {}), base=str(tmp_path)
    )


@pytest.mark.parametrize(
    "suite",
    [
        {},
        {"scorer": "exact_match", "also": ["code_execution"]},
        {"scorer": {"composite": [{"scorer": "code_execution"}, {"scorer": "length"}]}},
    ],
)
def test_it_is_off_until_it_is_allowed(tmp_path: Path, suite: dict[str, object]) -> None:
    settings = _settings(tmp_path, allowed=False, **suite)
    (problem,) = find_problems(settings, RunRequest(stages=("gate",)), every_release=False)
    assert problem.key == f"suites.code.{'also' if 'also' in suite else 'scorer'}"
    assert "runs code that a model wrote, on this machine" in problem.message
    assert "write allow_code_execution = true at the top of flywheel.toml" in problem.message
    assert "\n" not in problem.message
    allowed = _settings(tmp_path, allowed=True, **suite)
    scorers = [suite_instrument(allowed, "code"), *_also(allowed)]
    assert "code_execution" in "".join(one.metric for one in scorers)
    assert allowed.digest == settings.digest


def _also(settings: Settings) -> tuple[Instrument, ...]:
    from tasks.scoring.suites import also_instruments

    return also_instruments(settings, "code")


def test_the_check_starts_one_and_tells_why_it_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, asked = _settings(tmp_path, allowed=True), RunRequest(stages=("gate",))
    sandbox._command.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    (problem,) = find_problems(settings, asked, every_release=False)
    monkeypatch.undo()
    assert problem.key == "suites.code.scorer"
    assert "bwrap is not installed" in problem.message
    assert "apt-get install bubblewrap" in problem.message
    require_sandbox()
    assert find_problems(settings, asked, every_release=False) == ()


def test_a_machine_without_a_filter_of_system_calls_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(UnknownMachineError, match="riscv64, only for x86_64, aarch64"):
        refusing_filter("riscv64")
    assert len(refusing_filter("aarch64")) % 8 == 0
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(sandbox.SandboxError, match="riscv64"):
        sandbox.try_out()


def test_the_filter_allows_what_it_does_not_name() -> None:
    """The worker's own calls pass, under the filter alone and without a sandbox."""
    require_sandbox()
    source = sandbox._filter_pipe()
    command = ["bwrap", "--ro-bind", "/", "/", "--seccomp", str(source), "/bin/sh", "-c", "echo a"]
    done = subprocess.run(command, pass_fds=(source,), capture_output=True, text=True)
    assert done.stdout == "a\n"
