"""Hand-written suites: JSON lines, or tables of TOML, with what to ask and what a right answer is.

Owns the file format and its error messages; reads the one file it is pointed at.

    {"input": "text", "target": "answer"}
    {"messages": [{"role": "user", "content": "…"}], "target": {"city": "Oslo"}, "task": "extract",
     "slices": {"language": "en"}, "must_pass": true, "cluster": "invoice 7"}

A suite that chooses (modes.py) has the texts to choose from as well:

    {"input": "2 + 2 = ", "choices": ["4", "5"], "target": 0}

The same as tables stand in the file of a whole suite (suite_items.py):

    [[items]]
    input = "text"
    target = "answer"

A file of TensorZero datapoints is taken as it is (datapoints.py).

    {"messages": […, {"role": "assistant", "content": "It is"}], "target": "Oslo",
     "tools": [{"type": "function", "function": {"name": "find", "parameters": {…}}}],
     "chat_template_kwargs": {"enable_thinking": false}, "continue_final_message": true}

    {"input": "Where is FW-7?", "target": {"name": "find", "arguments": {"order": "FW-7"}},
     "tools": […], "tool_choice": "required"}
    {"input": "…", "target": {"city": "Oslo"}, "response_format": {"type": "json_object"}}

    {"session": "7", "tools": […], "messages": [user, assistant, tool, …, assistant],
     "target": "what the last answer should be, where it is not what was recorded"}

A session is a recorded one: every turn of its assistant becomes a sample of its own (sessions.py).

A leading system message is kept apart, for releases without a prompt. `id` and `comment` are for
the author and are not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tasks.curate import datapoints
from tasks.curate.evalset import Draft
from tasks.curate.modes import GENERATE, Mode, in_mode
from tasks.curate.sessions import steps
from tasks.curate.suite_items import toml_items
from tasks.errors import UsageError
from tasks.json_lines import bad_line, numbered, parse_line, refuse_unknown, text_of
from tasks.logs.formats import tensorzero
from tasks.model.answer_format import read_format
from tasks.model.canonical import canonical_json, well_formed, writable
from tasks.model.functions import read_choice, read_tools
from tasks.model.logged_call import Conversation, conversation_from
from tasks.model.served import AS_ASKED, Served
from tasks.settings.suite_files import ENDING

KEYS = (
    "input", "messages", "target", "task", "slices", "must_pass", "cluster", "tools",
    "chat_template_kwargs", "continue_final_message", "tool_choice", "response_format",
    "parallel_tool_calls", "session", "choices", "id", "comment",
)  # fmt: skip
WHAT = "a suite line"
_SERVED_KEYS = frozenset({
    "tools", "chat_template_kwargs", "continue_final_message", "tool_choice", "response_format",
    "parallel_tool_calls",
})  # fmt: skip


def read_suite(name: str, task: str, path: Path, mode: Mode = GENERATE) -> tuple[Draft, ...]:
    """The samples of a suite file in order. Raises UsageError that names the first wrong line."""
    return all_or_error(suite_lines(name, task, path, mode))


def parse_suite(
    name: str, task: str, data: bytes, source: str, mode: Mode = GENERATE
) -> tuple[Draft, ...]:
    """The samples in the bytes of a suite file. `task` is taken where a line names none."""
    return all_or_error(_lines(name, task, data, source, mode))


def all_or_error(lines: Iterable[Draft | UsageError]) -> tuple[Draft, ...]:
    """The samples. Raises the first error."""
    samples: list[Draft] = []
    for line in lines:
        if isinstance(line, UsageError):
            raise line
        samples.append(line)
    return tuple(samples)


def suite_lines(
    name: str, task: str, path: Path, mode: Mode = GENERATE
) -> Iterator[Draft | UsageError]:
    """Every line of a suite file, or item of a TOML file, as a sample or as what is wrong with
    it."""
    is_toml = path.suffix == ENDING
    try:
        lines = (
            _drafts(name, task, list(toml_items(path)), str(path), mode)
            if is_toml
            else _lines(name, task, path.read_bytes(), str(path), mode)
        )
    except UsageError as error:
        yield error
        return
    except OSError as error:
        yield UsageError(
            f"the samples of suite {name!r} cannot be read: {error.strerror}",
            received=str(path),
            allowed="a file of JSON lines",
            next=f"fix suites.{name}.samples in flywheel.toml",
        )
        return
    is_empty = True
    for line in lines:
        is_empty = False
        yield line
    if is_empty:
        yield UsageError(
            f"the {'file' if is_toml else 'samples file'} of suite {name!r} "
            + ("has no items" if is_toml else "is empty"),
            received=str(path),
            allowed="[[items]] with input and target"
            if is_toml
            else 'JSON lines such as {"input": "…", "target": "…"}',
            next=f"add {'items' if is_toml else f'samples, or remove suites.{name}.samples'}",
        )


def _lines(
    name: str, task: str, data: bytes, source: str, mode: Mode
) -> Iterator[Draft | UsageError]:
    lines: list[tuple[int, Mapping[str, Any]] | UsageError] = []
    for number, line in numbered(data):
        try:
            lines.append((number, parse_line(line, f"{source}:{number}", WHAT)))
        except UsageError as error:
            lines.append(error)
    return _drafts(name, task, lines, source, mode)


def _drafts(
    name: str,
    task: str,
    found: Sequence[tuple[int, Mapping[str, Any]] | UsageError],
    source: str,
    mode: Mode,
) -> Iterator[Draft | UsageError]:
    seen: dict[str, int] = {}
    sessions: dict[str, int] = {}
    yield from (line for line in found if isinstance(line, UsageError))
    lines = [line for line in found if not isinstance(line, UsageError)]
    foreign = bool(lines) and all(tensorzero.is_datapoint(record) for _, record in lines)
    for number, record in datapoints.newest(lines) if foreign else lines:
        where = f"{source}:{number}"
        try:
            read = (
                datapoints.to_line(record) if foreign else refuse_unknown(record, KEYS, where, WHAT)
            )
            if read is None:
                continue
            drafts = drafts_of(read, name, task, where, mode)
        except UsageError as error:
            yield error
            continue
        session = drafts[0].session
        if session is not None and sessions.setdefault(session, number) != number:
            shown = f"session {session!r} of line {sessions[session]}"
            yield bad_line("a session is given twice", where, shown, "a name of its own for each")
            continue
        for sample in drafts:
            asked = asked_of(sample)
            if asked in seen and foreign:
                continue
            if asked in seen:
                yield bad_line(
                    f"suite {name!r} asks the same twice",
                    where,
                    f"line {number} repeats line {seen[asked]}",
                    "each conversation once; the same text again tells nothing new",
                )
                continue
            seen[asked] = number
            yield sample


def asked_of(sample: Draft) -> str:
    """What a sample asks: two of a suite that are the same ask the same."""
    return canonical_json(
        [
            sample.task,
            sample.conversation.system,
            sample.conversation.messages,
            sample.conversation.served.to_value(),
            sample.session,
            sample.step,
        ]
    )


def drafts_of(
    read: Mapping[str, Any], suite: str, task: str, where: str, mode: Mode = GENERATE
) -> list[Draft]:
    """One, or of a session one a step."""
    session = text_of(read, "session", where, WHAT)
    draft = Draft(
        suite=suite,
        task=text_of(read, "task", where, WHAT) or task,
        conversation=_conversation(read, where),
        target="" if session is not None else _target(read, where),
        target_kind="gold",
        origin="suite",
        slices=_slices(read, where),
        must_pass=_flag(read, "must_pass", where),
        cluster=text_of(read, "cluster", where, WHAT) or session,
        session=session,
    )
    draft = in_mode(draft, read, mode, where)
    if session is None:
        return [draft]
    if draft.conversation.served.continues:
        raise bad_line(
            "a session of a suite line has no message to go on with", where,
            "continue_final_message", "every answer of a session is a whole one",
        )  # fmt: skip
    if draft.conversation.served.tool_choice not in (None, "none"):
        raise bad_line(
            "a session of a suite line asks for no call: its last answer has none", where,
            "tool_choice", "sessions without tool_choice, or each step as a line of its own",
        )  # fmt: skip
    try:
        found = steps(read.get("messages") or (), draft.conversation.served)
    except ValueError as error:
        raise bad_line(
            "a session of a suite line cannot be taken apart", where, str(error),
            "messages as they were recorded, up to the assistant's last",
        ) from None  # fmt: skip
    last = _target(read, where) if "target" in read else found[-1].recorded
    return [
        replace(
            draft,
            conversation=step.conversation,
            target=last if step is found[-1] else step.recorded,
            slices={"step": str(step.number), **draft.slices},
            step=step.number,
        )
        for step in found
    ]


def _conversation(record: Mapping[str, Any], where: str) -> Conversation:
    if ("input" in record) == ("messages" in record):
        raise bad_line(
            "a suite line needs either input or messages",
            where,
            ", ".join(record),
            "one of the two",
        )
    messages = record.get("messages")
    if "input" in record:
        messages = [{"role": "user", "content": record["input"]}]
    served = _served(record, messages, where)
    conversation = conversation_from(messages, served) if isinstance(messages, list) else None
    if conversation is None:
        raise bad_line(
            "a suite line asks nothing",
            where,
            repr(record.get("input", messages))[:80],
            'text in "input", or "messages": [{"role": "user", "content": "text"}, …]',
        )
    return conversation


def _served(record: Mapping[str, Any], messages: Any, where: str) -> Served:
    """What a line tells the model beside its messages, by the names of the engine's JSON lines."""
    if record.keys().isdisjoint(_SERVED_KEYS):
        return AS_ASKED
    tools, template = record.get("tools") or [], record.get("chat_template_kwargs") or {}
    known = read_tools(tools) if isinstance(tools, list) else []
    if not isinstance(tools, list) or len(known) != len(tools):
        raise bad_line(
            "tools of a suite line cannot be read",
            where,
            repr(tools)[:80],
            'functions by name: [{"type": "function", "function": {"name": "…", …}}, …]',
        )
    if not isinstance(template, Mapping):
        raise bad_line(
            "chat_template_kwargs of a suite line is not an object",
            where,
            repr(template)[:80],
            'arguments of a chat template: {"enable_thinking": false}',
        )
    continues = _flag(record, "continue_final_message", where)
    last = messages[-1] if isinstance(messages, list) and messages else None
    if continues and not (isinstance(last, Mapping) and last.get("role") == "assistant"):
        raise bad_line(
            "continue_final_message of a suite line has no message to go on with",
            where,
            repr(last)[:80],
            "a last message of the assistant",
        )
    return Served(
        tuple(writable(known)),
        writable(dict(template)),
        continues,
        tool_choice=_tool_choice(record, known, where),
        answer_format=_answer_format(record, where),
        is_single=bool(known) and not _flag(record, "parallel_tool_calls", where, default=True),
    )


def _tool_choice(
    record: Mapping[str, Any], tools: list[dict[str, Any]], where: str
) -> str | Mapping[str, Any] | None:
    given = record.get("tool_choice")
    choice = None if given is None else read_choice(given, tools)
    if given not in (None, "auto") and choice is None:
        raise bad_line(
            "tool_choice of a suite line fits none of its tools", where, repr(given)[:80],
            'auto, none, required, or {"type": "function", "function": {"name": "…"}} of a tool',
        )  # fmt: skip
    return choice


def _answer_format(record: Mapping[str, Any], where: str) -> Mapping[str, Any] | None:
    given = record.get("response_format")
    read = None if given is None else read_format(writable(given))
    if given not in (None, {"type": "text"}) and read is None:
        raise bad_line(
            "response_format of a suite line cannot be read", where, repr(given)[:80],
            '{"type": "json_object"}, or {"type": "json_schema", "json_schema": {"schema": {…}}}',
        )  # fmt: skip
    return read


def _target(record: Mapping[str, Any], where: str) -> str:
    target = record.get("target")
    if target is None or (isinstance(target, str) and not target.strip()):
        is_open = "target" in record and target is None
        raise bad_line(
            "a suite line has no target" + (": it is null, for somebody to fill in" * is_open),
            where,
            ", ".join(record),
            "target: what a right answer is",
        )
    return well_formed(target) if isinstance(target, str) else canonical_json(target)


def _slices(record: Mapping[str, Any], where: str) -> dict[str, str]:
    value = record.get("slices")
    if not value:
        return {}
    if not isinstance(value, Mapping) or any(isinstance(v, list | dict) for v in value.values()):
        raise bad_line(
            "slices of a suite line cannot be read", where, repr(value)[:80], '{"name": "value", …}'
        )
    return {
        well_formed(key): well_formed(item) if isinstance(item, str) else canonical_json(item)
        for key, item in value.items()
    }


def _flag(record: Mapping[str, Any], key: str, where: str, *, default: bool = False) -> bool:
    value = record.get(key, default)
    if not isinstance(value, bool):
        raise bad_line(
            f"{key} of a suite line is not true or false", where, repr(value)[:80], "true, false"
        )
    return value
