"""Files of JSON lines through LLM.generate and LLM.score.

A line that cannot be understood is refused with its number before anything runs. Results are
written to a temporary file beside the output and renamed when complete, so that an interrupt leaves
no half of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from engine.errors import EngineError, InvalidRequestError
from engine.llm import LLM, Progress
from engine.loading.chat import Chat
from engine.options import EngineOptions
from engine.requests.request import Completion, SamplingParams, Score

__all__ = ["Files", "generate_lines", "score_lines"]

#: beside "messages", as OpenAI's API and vLLM name them: field of a Chat, its type
CHAT: dict[str, tuple[str, type | tuple[type, ...]]] = {
    "tools": ("tools", list),
    "chat_template_kwargs": ("variables", dict),
    "continue_final_message": ("continues", bool),
    "tool_choice": ("tool_choice", (str, dict)),
    "parallel_tool_calls": ("parallel", bool),
}
PARAMS = {field.name for field in fields(SamplingParams)}


@dataclass(frozen=True, slots=True)
class Files:
    """source, target: paths, or - for standard input and output. as_json: tell how the run went."""

    model: str
    engine: EngineOptions
    replicas: int
    source: str
    target: str
    as_json: bool


def generate_lines(files: Files, sampling: Mapping[str, Any]) -> None:
    """Every line of `source` becomes a Completion in `target`, in the same order. A line may have
    an "id", which is repeated, and fields of SamplingParams, which go before `sampling`.
    """
    _check_output(files)
    read = _read(files.source)
    lines = [{"prompt": line} if isinstance(line, (str, list)) else line for line in read]
    prompts: list[Any] = []
    params = []
    for number, line in enumerate(lines, 1):
        given = {name: line[name] for name in line.keys() & PARAMS}
        is_chat = "messages" in line
        known = PARAMS | CHAT.keys() if is_chat else PARAMS
        _check_keys(number, line, ("prompt", "messages"), known)
        try:
            prompts.append(_chat(line) if is_chat else line.get("prompt"))
            params.append(SamplingParams(**{**sampling, **given}))
        except InvalidRequestError as error:
            raise InvalidRequestError(f"Line {number}: {error}") from None
    _run(files, "generate", lines, lambda llm, told: llm.generate(prompts, params, told))


def _chat(line: Mapping[str, Any]) -> Chat:
    given = {name: line[name] for name in CHAT if line.get(name) is not None}
    for name, value in (("messages", line["messages"]), *given.items()):
        if not isinstance(value, CHAT.get(name, ("", list))[1]):
            raise InvalidRequestError(f"{name} is a {type(value).__name__}.")
    return Chat(line["messages"], **{CHAT[name][0]: value for name, value in given.items()})


def score_lines(files: Files) -> None:
    """Every line of `source` becomes a Score in `target`, in the same order, with its "id"."""
    _check_output(files)
    lines = [line if isinstance(line, dict) else {} for line in _read(files.source)]
    for number, line in enumerate(lines, 1):
        _check_keys(number, line, ("context",), {"continuation"})
        _check_keys(number, line, ("continuation",), {"context"})
    pairs = [(line["context"], line["continuation"]) for line in lines]
    _run(files, "score", lines, lambda llm, told: llm.score(pairs, told))


def _read(source: str) -> list[Any]:
    """JSON objects, texts or lists; blank lines are skipped."""
    with contextlib.ExitStack() as stack:
        file = sys.stdin if source == "-" else stack.enter_context(open(source, encoding="utf-8"))
        values = []
        number = 0
        try:
            for line in file:
                number += 1
                if line.strip():
                    values.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise InvalidRequestError(f"{source}: line {number}: not JSON: {error}") from None
    wrong = next((i for i, v in enumerate(values, 1) if not isinstance(v, (dict, str, list))), None)
    if wrong is not None:
        raise InvalidRequestError(f"{source}: value {wrong} must be an object or a text.")
    return values


def _check_keys(number: int, line: dict[str, Any], one_of: Sequence[str], more: set[str]) -> None:
    if sum(name in line for name in one_of) != 1:
        raise InvalidRequestError(f"Line {number} must have {' or '.join(map(repr, one_of))}.")
    unknown = sorted(line.keys() - {*one_of, *more, "id"})
    if unknown:
        allowed = ", ".join(["id", *one_of, *sorted(more)])
        raise InvalidRequestError(f"Line {number} has {unknown[0]!r}. Allowed: {allowed}.")


def _check_output(files: Files) -> None:
    """Before a long run, not after it."""
    target = files.target
    if target == "-" and files.as_json:
        raise EngineError("--json says how the run went on standard output: give --output a file.")
    folder = Path(target).resolve().parent
    if target != "-" and not os.access(folder, os.W_OK):
        raise OSError(f"{target}: the folder {folder} is not there or cannot be written to.")


@contextlib.contextmanager
def _progress(title: str) -> Iterator[Progress | None]:
    """A bar on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (title, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _run(
    files: Files,
    title: str,
    lines: Sequence[dict[str, Any]],
    answer: Callable[[LLM, Progress | None], Sequence[Completion | Score]],
) -> None:
    engine = LLM(files.model, **asdict(files.engine), replicas=files.replicas)
    with contextlib.closing(engine) as llm, _progress(title) as told:
        results = answer(llm, told)
        stats = llm.stats()
    text = "".join(
        json.dumps(_row(line, result), ensure_ascii=False, allow_nan=False) + "\n"
        for line, result in zip(lines, results, strict=True)
    )
    if files.target == "-":
        sys.stdout.write(text)
    else:
        _write(Path(files.target), text)
    failed = sum(result.error is not None for result in results)
    print(f"{len(results)} requests, {failed} failed.", file=sys.stderr)
    if files.as_json:
        counts = {"output": files.target, "requests": len(results), "failed": failed}
        print(json.dumps(counts | {"stats": asdict(stats)}))


def _row(line: Mapping[str, Any], result: Completion | Score) -> dict[str, Any]:
    """The number that a failed score does not have is null."""
    row = ({"id": line["id"]} if "id" in line else {}) | asdict(result)
    return row | ({"logprob": None} if isinstance(result, Score) and result.error else {})


def _write(target: Path, text: str) -> None:
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with partial.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
