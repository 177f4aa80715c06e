"""code_execution: the answer's code passes the target's tests, in a sandbox (pass@1 of one answer).

What the code does wrong is the answer's fault, its time and its memory too: 0. A sandbox that is
missing or does not start, and a target that tests nothing, leave it unscored.
"""

from __future__ import annotations

import ast
import platform
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from tasks.errors import UsageError
from tasks.scoring import sandbox
from tasks.scoring.base import Score, right, shown, unscored, wrong
from tasks.scoring.json_text import UnreadableJsonError, parse
from tasks.settings.section import Section

#: the key of the settings without which nothing is run
ALLOWED_BY = "allow_code_execution"
_OPENING = re.compile(r"^ {0,3}(`{3,})[ \t]*([^\s`{]*)[^\n`]*$", re.MULTILINE)
_PYTHON = ("", "py", "python", "python3")
#: what only defines, and runs nothing
_DEFINITIONS = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign,
    ast.AnnAssign, ast.Pass,
)  # fmt: skip


class CodeExecutionParameters(Section):
    timeout_s: int = Field(
        5, ge=1, le=600,
        description="processor seconds that code and tests may take; twelve times as many by the "
        "clock",
    )  # fmt: skip
    memory_bytes: int = Field(
        512 * 2**20, ge=64 * 2**20, description="address space they may take beyond an idle Python"
    )


@dataclass(frozen=True, slots=True)
class CodeTests:
    """`before`: what is put before the answer's code."""

    text: str
    before: str = ""


class UnusableTestsError(ValueError):
    """Why a target is no tests, for people."""


def bound(
    parameters: CodeExecutionParameters, key: str, base: Path
) -> tuple[Callable[[str, str], Score], dict[str, Any]]:
    """The scorer, and the Python that its scores are a function of."""

    def judge(text: str, target: str) -> Score:
        return code_execution(text, target, parameters)

    return judge, {"python": ".".join(platform.python_version_tuple()[:2])}


def code_execution(text: str, target: str, parameters: CodeExecutionParameters) -> Score:
    try:
        tests = read_tests(target)
    except UnusableTestsError as error:
        return unscored(f"the target {error}")
    code = code_in(text)
    if code is None or not code.strip():
        return wrong(None, "the answer holds no Python code")
    program = f"{tests.before}\n{code}" if tests.before else code
    try:
        ran = sandbox.run(program, tests.text, parameters.timeout_s, parameters.memory_bytes)
    except sandbox.SandboxError as error:
        return unscored(f"the sandbox does not start: {error}", code)
    if ran.passed:
        return right(code, f"the tests pass, in {ran.seconds:.2f} s")
    what = f"{ran.error}, in {ran.seconds:.2f} s"
    if ran.phase == "answer":
        at = f", line {ran.line}: {_line(program, ran.line)}" if ran.line else ""
        return wrong(code, f"the code fails{at}: {what}")
    at = f", line {ran.line}: {_line(tests.text, ran.line)}" if ran.line else ""
    return wrong(code, f"a test fails{at}: {what}")


def require(key: str) -> None:
    """Raises UsageError where there is no sandbox to run code in; starts one."""
    try:
        sandbox.try_out()
    except sandbox.SandboxError as error:
        raise UsageError(
            f"code cannot be run in a sandbox here, so the scorer code_execution cannot be used: "
            f"{error}",
            received=key,
            allowed="Linux with bubblewrap 0.7 or newer, and namespaces for users without rights",
            next="apt-get install bubblewrap, or take another scorer",
        ) from None


def not_allowed(key: str) -> UsageError:
    return UsageError(
        "the scorer code_execution runs code that a model wrote, on this machine: in a sandbox, "
        "whose faults and those of the kernel are what remains of the risk",
        received=f"{key}, without {ALLOWED_BY}",
        allowed=f"{ALLOWED_BY} = true",
        next=f"write {ALLOWED_BY} = true at the top of flywheel.toml where you accept that",
    )


def code_in(text: str) -> str | None:
    """The first fenced block that is marked as Python or not marked, whole or cut off; without a
    fence the whole text; None where all blocks are of another language."""
    place, is_fenced = 0, False
    while opening := _OPENING.search(text, place):
        is_fenced = True
        closing = re.compile(rf"^ {{0,3}}`{{{len(opening[1])},}}[ \t]*$", re.MULTILINE)
        end = closing.search(text, opening.end())
        if opening[2].lower() in _PYTHON:
            return text[opening.end() + 1 : end.start() if end else len(text)]
        if end is None:
            break
        place = end.end()
    return None if is_fenced else text


def read_tests(target: str) -> CodeTests:
    """Of statements, of a JSON list of them (as in MBPP), or of a JSON object with `test`,
    `entry_point` and perhaps `prompt` (as in HumanEval). Raises UnusableTestsError."""
    tests = _as_text(target)
    try:
        with warnings.catch_warnings(action="ignore"):  # of escapes in texts, which are theirs
            tree = ast.parse(tests.text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UnusableTestsError(f"is not Python: {shown(str(error))}") from None
    if not any(isinstance(node, ast.Assert | ast.Raise) for node in ast.walk(tree)):
        raise UnusableTestsError("asserts nothing")
    if all(isinstance(node, _DEFINITIONS) for node in tree.body):
        raise UnusableTestsError(
            "runs nothing of what it defines: call it, or give test and entry_point as JSON"
        )
    return tests


def _as_text(target: str) -> CodeTests:
    if target.lstrip()[:1] not in ("{", "["):
        return CodeTests(target)
    try:
        value = parse(target)
    except UnreadableJsonError:
        return CodeTests(target)
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return CodeTests("\n".join(value))
    if not isinstance(value, dict):
        raise UnusableTestsError("is JSON, but no list of statements and no object")
    texts = [value.get(name, "") for name in ("test", "entry_point", "prompt")]
    if not all(isinstance(one, str) for one in texts) or not texts[0]:
        raise UnusableTestsError("needs `test`, and `entry_point` and `prompt` are texts")
    test, entry_point, prompt = texts
    if entry_point and not entry_point.isidentifier():
        raise UnusableTestsError(f"has the entry_point {shown(entry_point)}, which is no name")
    return CodeTests(f"{test}\ncheck({entry_point})" if entry_point else test, prompt)


def _line(text: str, number: int) -> str:
    lines = text.splitlines()
    return shown(lines[number - 1]) if number <= len(lines) else "?"
