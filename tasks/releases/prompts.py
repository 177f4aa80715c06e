"""Prompts of a release: which messages go in front of a sample's own.

Owns the file formats of prompts and the choice of the prompt for a task. Pure but for reading the
files it is pointed at; knows nothing of models, stores or the engine.

    (no prompt)        the logged system message is kept
    NAME.md, NAME.txt  the text is the system message
    NAME.toml, .json   messages = [{role, content}, …]: system message and example turns;
                       or as_logged = true: keep the logged system message
    a folder           one file a task, in subfolders where a task's name has slashes;
                       default.* answers for tasks without a file of their own
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tasks.errors import UsageError
from tasks.settings.toml import read_toml

SUFFIXES = (".md", ".txt", ".toml", ".json")
ROLES = ("system", "user", "assistant")
DEFAULT = "default"
_MAX_BYTES = 2**20
_KEYS = ("messages", "as_logged")


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a prompt."""

    role: str
    content: str


#: None: the logged system message is kept
Prompt = tuple[Turn, ...] | None


@dataclass(frozen=True, slots=True)
class PromptSet:
    """Prompts by task; the task `default` answers for every task without a prompt of its own."""

    by_task: Mapping[str, Prompt]
    source: str

    def covers(self, task: str | None) -> bool:
        return task in self.by_task or DEFAULT in self.by_task

    def prompt(self, task: str | None) -> Prompt:
        """The prompt for a task. Raises KeyError where `covers` says no."""
        return self.by_task[task if task is not None and task in self.by_task else DEFAULT]

    def to_value(self) -> dict[str, list[dict[str, str]] | None]:
        """task → messages as JSON values; None: as logged."""
        return {
            task: None
            if prompt is None
            else [{"role": t.role, "content": t.content} for t in prompt]
            for task, prompt in sorted(self.by_task.items())
        }

    @property
    def digest(self) -> str:
        """sha256 over the contents; where the files lie and how they are written is left out."""
        text = json.dumps(self.to_value(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def prompt_text(messages: Sequence[Mapping[str, Any]] | None) -> str:
    """A prompt as people read it, of its JSON value."""
    if messages is None:
        return "(as logged)"
    return "\n".join(f"[{message['role']}] {message['content']}" for message in messages)


AS_LOGGED = PromptSet(MappingProxyType({DEFAULT: None}), "as logged")


def messages_for(
    prompts: PromptSet, task: str | None, system: str | None, sample: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """What the model is given for a sample: the release's prompt (or the logged system message),
    then the sample's own messages."""
    prompt = prompts.prompt(task)
    if prompt is not None:
        return [{"role": turn.role, "content": turn.content} for turn in prompt] + sample
    return ([{"role": "system", "content": system}] if system else []) + sample


def load_prompts(path: Path, release: str) -> PromptSet:
    """Read the prompt file or folder of a release. Raises UsageError naming the wrong file."""
    if path.is_dir():
        found: dict[str, Prompt] = {}
        for file in sorted(p for p in path.rglob("*") if p.is_file() and not _is_hidden(p, path)):
            task = file.relative_to(path).with_suffix("").as_posix()
            prompt = parse_prompt(_read(file, release), file)
            if task in found:
                raise UsageError(
                    f"release {release!r} has two prompt files for the task {task!r}",
                    received=", ".join(sorted(str(p) for p in file.parent.glob(f"{file.stem}.*"))),
                    next="keep one of them",
                )
            found[task] = prompt
        if not found:
            raise UsageError(
                f"the prompt folder of release {release!r} holds no prompt",
                received=str(path),
                allowed=f"one file a task, ending in {', '.join(SUFFIXES)}",
                next=f"add TASK.md or {DEFAULT}.md to it",
            )
        return PromptSet(MappingProxyType(found), str(path))
    if not path.is_file():
        raise UsageError(
            f"the prompt of release {release!r} does not exist",
            received=str(path),
            allowed=f"a file ending in {', '.join(SUFFIXES)}, or a folder of them",
            next=f"correct releases.{release}.prompt in flywheel.toml",
        )
    return PromptSet(
        MappingProxyType({DEFAULT: parse_prompt(_read(path, release), path)}), str(path)
    )


def parse_prompt(text: str, file: Path) -> Prompt:
    """The messages a prompt file stands for. Raises UsageError naming the file."""
    if file.suffix not in SUFFIXES:
        raise _malformed(file, f"its ending {file.suffix or '(none)'!r} is not known", "")
    if file.suffix in (".md", ".txt"):
        if not text.strip():
            raise _malformed(file, "it is empty", "a text, or as_logged = true in a .toml file")
        return (Turn("system", text.strip()),)
    try:
        value: Any = read_toml(text) if file.suffix == ".toml" else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _malformed(file, f"it is not valid {file.suffix[1:].upper()}: {error}", "") from None
    if not isinstance(value, dict) or not value or set(value) - set(_KEYS):
        received = ", ".join(map(str, value)) if isinstance(value, dict) else type(value).__name__
        raise _malformed(file, f"it holds {received or 'nothing'}", "messages, or as_logged = true")
    if value.get("as_logged") is True and "messages" not in value:
        return None
    turns = value.get("messages")
    if "as_logged" in value or not isinstance(turns, list) or not turns:
        raise _malformed(file, "it has no list of messages", "messages = [{role, content}, …]")
    return tuple(_turn(turn, number, file) for number, turn in enumerate(turns, 1))


def _turn(value: Any, number: int, file: Path) -> Turn:
    is_right = (
        isinstance(value, dict)
        and set(value) == {"role", "content"}
        and value["role"] in ROLES
        and isinstance(value["content"], str)
        and (value["role"] != "system" or number == 1)
    )
    if not is_right:
        raise _malformed(
            file,
            f"message {number} is {value!r}"[:160],
            f"role ({', '.join(ROLES)}; system first) and content (text), nothing else",
        )
    return Turn(value["role"], value["content"].strip())


def _is_hidden(file: Path, folder: Path) -> bool:
    parts = file.relative_to(folder).parts
    return any(part.startswith(".") for part in parts) or file.stem.upper() == "README"


def _read(file: Path, release: str) -> str:
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise _malformed(file, f"it is larger than {_MAX_BYTES} bytes", "")
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise _malformed(file, "it is not UTF-8 text", "UTF-8") from None
    except OSError as error:
        raise UsageError(
            f"a prompt of release {release!r} cannot be read: {error.strerror}", received=str(file)
        ) from None


def _malformed(file: Path, what: str, allowed: str) -> UsageError:
    return UsageError(
        f"the prompt file {file.name} cannot be used: {what}",
        received=str(file),
        allowed=allowed or f"a file ending in {', '.join(SUFFIXES)}",
        next="fix that file",
    )
