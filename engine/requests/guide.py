"""What an answer must follow: the JSON schema that was asked for, a call of a tool that was forced,
or either where both are possible; after the thoughts, where the prompt has begun them.

A call is written as the model's own template writes calls, its arguments follow the schema of the
function, and what is read of it (engine/reading) is that call. Qwen's coder models, whose templates
write every argument between tags, are kept to Hermes' way: in tags a text has no bounds.
Source: OpenAI's API reference (tool_choice, response_format), llguidance's docs/syntax.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import InvalidRequestError
from engine.loading.chat import Chat, ToolChoice, checked_tools
from engine.loading.tokenizer import TextCodec
from engine.reading.reasoning import begins_inside
from engine.sampling.grammar import OPTIONS, Guide
from engine.sampling.schema import MAX_SCHEMA_CHARS, check_schema

__all__ = ["guide_of"]

#: tokens at the end of a prompt that may hold the mark that begins the thoughts
_TAIL_TOKENS = 8


@dataclass(frozen=True, slots=True)
class _Writing:
    """How a family writes calls: what stands before and after all of them and each, what between
    two (None: there is never a second), and what it calls the arguments. A text that is marked
    (`marks`) is one token where the vocabulary has it as one."""

    begins: str = ""
    opens: str = ""
    closes: str = ""
    between: str | None = None
    ends: str = ""
    arguments: str = "arguments"
    marks: tuple[str, ...] = ()


_HERMES = _Writing(
    opens="<tool_call>\n", closes="\n</tool_call>", between="\n",
    marks=("<tool_call>", "</tool_call>"),
)  # fmt: skip
_LLAMA = _Writing(arguments="parameters")
_MISTRAL = _Writing(
    begins="[TOOL_CALLS][", between=", ", ends="]", marks=("[TOOL_CALLS]",)
)  # fmt: skip


def guide_of(
    prompt: Any, schema: str | None, codec: TextCodec | None, prompt_ids: list[int]
) -> Guide | None:
    """`schema`: of the answer, as JSON text. Raises InvalidRequestError."""
    chat = prompt if isinstance(prompt, Chat) else None
    choice = chat.choice if chat is not None else ToolChoice(mode="none")
    may_call = chat is not None and bool(chat.tools) and choice.mode != "none"
    is_called = may_call and (choice.is_forced or schema is not None)
    if codec is None or not (is_called or schema is not None):
        return None if schema is None else Guide(schema)
    is_inside = chat is not None and begins_inside(codec.decode(prompt_ids[-_TAIL_TOKENS:]))
    if not is_called and not is_inside:
        return Guide(schema or "")
    rules = _Rules(codec)
    starts = []
    if schema is not None and not choice.is_forced:
        check_schema(schema)
        starts.append(rules.add(f"%json {_with_options(json.loads(schema))}"))
    if is_called:
        assert chat is not None
        starts.append(_calls(rules, chat, choice))
    answer = rules.add(" | ".join(starts))
    start = f"{_thoughts(rules)} {answer}" if is_inside else answer
    name = "tool_choice" if choice.is_forced else "json_schema"
    return Guide(f"start: {start}\n{rules.text}", name, is_lark=True)


class _Rules:
    """Rules of a grammar, each named when it is added."""

    def __init__(self, codec: TextCodec) -> None:
        self.codec = codec
        self._lines: list[str] = []

    def add(self, body: str, attributes: str = "") -> str:
        name = f"r{len(self._lines)}"
        self._lines.append(f"{name}{attributes}: {body}")
        return name

    def written(self, text: str, marks: tuple[str, ...] = ()) -> str:
        """A text as it is, but for the marks in it that are tokens."""
        if not text:
            return ""
        for mark in marks:
            token_id = self.codec.mark_id(mark)
            if token_id is not None and mark in text:
                before, _, after = text.partition(mark)
                parts = [self.written(before, marks), f"<[{token_id}]>", self.written(after, marks)]
                return " ".join(filter(None, parts))
        return json.dumps(text, ensure_ascii=False)

    @property
    def text(self) -> str:
        return "\n".join(self._lines)


def _thoughts(rules: _Rules) -> str:
    """Any text up to what ends the thoughts, and line ends."""
    mark = "</think>"
    written = rules.written(mark, (mark,))
    gap = rules.add("/\\n{1,2}/")
    if written.startswith("<"):
        return rules.add(f"/(?s:.*)/ {written} {gap}?")
    text = rules.add("/(?s:.*)/", f"[suffix={written}]")
    return rules.add(f"{text} {gap}?")


def _calls(rules: _Rules, chat: Chat, choice: ToolChoice) -> str:
    writing = _writing_of(rules.codec.chat_template(chat.tools))
    functions = [tool["function"] for tool in checked_tools(chat.tools)]
    allowed = [one for one in functions if choice.allows(one["name"])]
    texts = [_parameters(one) for one in allowed]
    if (num_chars := sum(map(len, texts))) > MAX_SCHEMA_CHARS:
        raise InvalidRequestError(
            f"The parameters of the tools have {num_chars} characters; {MAX_SCHEMA_CHARS} are "
            "allowed where a call is forced or may be the answer beside a schema."
        )
    calls = []
    for function, schema in zip(allowed, texts, strict=True):
        head = f'{{"name": {json.dumps(function["name"])}, "{writing.arguments}": '
        arguments = rules.add(f"%json {schema}" if schema else rules.written("{}"))
        calls.append(rules.add(f'{rules.written(head)} {arguments} "}}"'))
    opens, closes = (rules.written(t, writing.marks) for t in (writing.opens, writing.closes))
    call = rules.add(f"{opens} ({' | '.join(calls)}) {closes}".strip())
    more = ""
    if writing.between is not None and chat.parallel and not choice.is_one:
        more = f" ({rules.written(writing.between)} {call})*"
    begins, ends = (rules.written(t, writing.marks) for t in (writing.begins, writing.ends))
    return rules.add(f"{begins} {call}{more} {ends}".strip())


def _writing_of(template: str) -> _Writing:
    """Hermes' where a template says nothing of calls."""
    if "[TOOL_CALLS]" in template:
        return _MISTRAL
    is_llama = "ipython" in template and '"parameters": ' in template
    return _LLAMA if is_llama and "<tool_call>" not in template else _HERMES


def _parameters(function: Mapping[str, Any]) -> str:
    """The schema of a function's arguments as JSON text; empty where it has none. Raises
    InvalidRequestError."""
    given = function.get("parameters")
    if given is not None and not isinstance(given, Mapping):
        raise InvalidRequestError(
            f"The parameters of the tool {function['name']!r:.80} are no JSON schema."
        )
    if not given:
        return ""
    schema = {**given, "type": "object"}
    try:
        check_schema(json.dumps(schema))
    except InvalidRequestError as error:
        raise InvalidRequestError(f"The tool {function['name']!r:.80}: {error}") from None
    return _with_options(schema)


def _with_options(schema: Mapping[str, Any]) -> str:
    return json.dumps({**schema, "x-guidance": OPTIONS})
