"""Calls of tools that are forced, and answers in a form beside tools and thoughts: what a model of
random weights writes under them is read as such calls, and judged by jsonschema.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from engine import LLM, Chat, SamplingParams
from engine.errors import InvalidRequestError
from engine.loading.chat import ToolChoice, read_tool_choice
from engine.reading import reasoning, tool_calls
from engine.requests.guide import guide_of

pytest.importorskip("llguidance")

USER = {"role": "user", "content": "Where is FW-7?"}
PLACE = {"type": "object", "properties": {"x": {"type": "integer", "minimum": 0, "maximum": 9}},
         "required": ["x"], "additionalProperties": False}  # fmt: skip
FIND = {
    "type": "object",
    "properties": {
        "order": {"type": "string", "pattern": "^FW-[0-9]{1,3}$"},
        "kind": {"enum": ["parcel", "letter"]},
        "place": {"$ref": "#/$defs/place"},
    },
    "required": ["order", "kind", "place"],
    "additionalProperties": False,
    "$defs": {"place": PLACE},
}
#: the same name for another thing, as tools of different makers have it
MAIL = {"type": "object", "properties": {"to": {"$ref": "#/$defs/place"}}, "required": ["to"],
        "additionalProperties": False,
        "$defs": {"place": {"type": "string", "maxLength": 3, "pattern": "^[a-z]*$"}}}  # fmt: skip
SCHEMAS = {"find": FIND, "mail": MAIL, "now": {}}
TOOLS = [
    {"type": "function", "function": {"name": name, **({"parameters": s} if s else {})}}
    for name, s in SCHEMAS.items()
]
NAMED = {"type": "function", "function": {"name": "find"}}
ALLOWED = {
    "type": "allowed_tools",
    "allowed_tools": {
        "mode": "required",
        "tools": [NAMED, {"type": "function", "function": {"name": "now"}}],
    },
}
START = "{%- for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}<assistant>"
#: by what a family's template says of calls
TEMPLATES = {
    "Hermes": START + "{# <tool_call>\n{'name': …, 'arguments': …}\n</tool_call> #}",
    "nothing said": START,
    "Llama": START + '{# Environment: ipython, {"name": …, "parameters": …} #}',
    "Mistral": START + "{# [TOOL_CALLS][…] #}",
    "Qwen coder": START + "{# <tool_call>\n<function=…>\n<parameter=…> #}",
}


@pytest.fixture(params=TEMPLATES)
def written(request: pytest.FixtureRequest, chatty: LLM, monkeypatch: pytest.MonkeyPatch) -> str:
    template = TEMPLATES[request.param]
    monkeypatch.setattr(chatty._intake.text.tokenizer, "chat_template", template)
    return str(request.param)


def answers(
    llm: LLM, chat: Chat, count: int = 4, *, may_be_cut: bool = False, **params: Any
) -> Iterator[str]:
    """A model of random weights calls again and again, where it may."""
    drawn = [
        SamplingParams(**{"max_tokens": 700, "temperature": 1.0, "seed": seed, **params})
        for seed in range(count)
    ]
    done = llm.generate([chat] * count, drawn)
    for completion in done:
        assert completion.error is None
        assert may_be_cut or completion.finish_reason == "stop", completion.text
        if completion.finish_reason == "stop":
            yield completion.text
    assert any(completion.finish_reason == "stop" for completion in done)


def called(text: str) -> list[str]:
    """The names, after every call was judged by its tool's schema."""
    said = tool_calls.read(text, SCHEMAS)
    assert said.calls, text
    assert not said.text
    for call in said.calls:
        function = call["function"]
        jsonschema.validate(json.loads(function["arguments"]), SCHEMAS[function["name"]])
    return [call["function"]["name"] for call in said.calls]


def test_a_named_function_is_called_once(chatty: LLM, written: str):
    for text in answers(chatty, Chat([USER], TOOLS, tool_choice=NAMED)):
        assert called(text) == ["find"]
        begins = {"Llama": '{"name": "find", "parameters": {',
                  "Mistral": '[TOOL_CALLS][{"name": "find", "arguments": {'}  # fmt: skip
        hermes = '<tool_call>\n{"name": "find", "arguments": {'
        assert text.startswith(begins.get(written, hermes))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_required_is_one_call_or_more_of_any_tool(chatty: LLM, written: str, temperature: float):
    chat = Chat([USER], TOOLS, tool_choice="required")
    texts = answers(chatty, chat, 8, temperature=temperature, may_be_cut=True)
    found = [called(text) for text in texts]
    assert {name for names in found for name in names} <= set(SCHEMAS)
    if written == "Llama":  # its template takes no second one
        assert all(len(names) == 1 for names in found)


def test_one_call_alone_where_no_more_may_be_made(chatty: LLM, written: str):
    chat = Chat([USER], TOOLS, tool_choice="required", parallel=False)
    for text in answers(chatty, chat, 8):
        assert len(called(text)) == 1


def test_only_allowed_tools_are_called(chatty: LLM, written: str):
    chat = Chat([USER], TOOLS, tool_choice=ALLOWED)
    for text in answers(chatty, chat, 8, may_be_cut=True):
        assert set(called(text)) <= {"find", "now"}


def test_a_function_without_parameters_has_no_arguments(chatty: LLM):
    chat = Chat([USER], TOOLS, tool_choice={"type": "function", "function": {"name": "now"}})
    (text,) = set(answers(chatty, chat))
    assert json.loads(text.split("\n")[1])["arguments"] == {}


def test_beside_a_schema_an_answer_is_of_that_form_or_a_call(chatty: LLM):
    form = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"],
            "additionalProperties": False}  # fmt: skip
    kinds = set()
    for text in answers(chatty, Chat([USER], TOOLS), 12, json_schema=form, may_be_cut=True):
        kinds.add(is_call := bool(tool_calls.read(text, SCHEMAS).calls))
        if is_call:
            called(text)
        else:
            jsonschema.validate(json.loads(text), form)
    assert kinds == {True, False}
    for choice in (None, "none"):
        chat = Chat([USER], TOOLS if choice else (), tool_choice=choice)
        for text in answers(chatty, chat, json_schema=form):
            jsonschema.validate(json.loads(text), form)


def test_where_the_prompt_begins_the_thoughts_they_come_first(
    chatty: LLM, monkeypatch: pytest.MonkeyPatch
):
    """Else the call would be a thought, and the answer empty."""
    codec = chatty._intake.text
    monkeypatch.setattr(codec.tokenizer, "chat_template", START + "<think>\n")
    chat = Chat([USER], TOOLS, tool_choice=NAMED)
    form = {"type": "object", "properties": {}, "additionalProperties": False}
    for asked, schema in ((chat, None), (Chat([USER]), json.dumps(form))):
        guide = guide_of(asked, schema, codec, codec.encode_chat(asked))
        assert guide is not None
        state = chatty._intake.grammar(guide, [])
        spelled = "Hm: {a </thin b}.</think>\n\n"
        rest = "{}" if schema else '<tool_call>\n{"name": "find", "arguments": {"order":'
        for token in codec.encode(spelled + rest, with_special=False):
            assert state.allowed()[token]
            state.accept(token)
        assert reasoning.read(spelled + rest, inside=True).answer == rest
        assert state.is_complete == (schema is not None)


@pytest.fixture
def with_marks(chatty: LLM, tmp_path: Path) -> Any:
    """The same tokenizer whose vocabulary has the tags of calls and thoughts as tokens."""
    from tokenizers import AddedToken
    from transformers import AutoTokenizer

    from engine.loading.tokenizer import TextCodec
    from engine.requests.intake import Intake

    chatty._intake.text.tokenizer.save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    marks = ["<tool_call>", "</tool_call>", "</think>"]
    tokenizer.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in marks])
    tokenizer.chat_template = START
    codec = TextCodec(tokenizer)
    return Intake(codec, len(tokenizer), 4096)


@pytest.mark.parametrize("begins_thoughts", [False, True])
def test_marks_that_are_tokens_are_written_as_tokens(with_marks: Any, begins_thoughts: bool):
    """A model was taught the token; a grammar that lets it spell the tag is another question."""
    codec = with_marks.text
    if begins_thoughts:
        codec.tokenizer.chat_template = START + "<think>\n"
    chat = Chat([USER], TOOLS, tool_choice="required")
    guide = guide_of(chat, None, codec, codec.encode_chat(chat))
    assert guide is not None
    state = with_marks.grammar(guide, [])
    opens, closes, ends_thoughts = map(
        codec.tokenizer.convert_tokens_to_ids, ["<tool_call>", "</tool_call>", "</think>"]
    )
    thoughts = codec.encode("Hm {</tool", with_special=False)
    call = codec.encode('\n{"name": "now", "arguments": {}}\n', with_special=False)
    one = [opens, *call, closes]
    again = codec.encode("\n", with_special=False)
    tokens = [*(([*thoughts, ends_thoughts]) if begins_thoughts else ()), *one, *again, *one]
    for place, token in enumerate(tokens):
        allowed = state.allowed()
        assert allowed[token], codec.decode(tokens[:place])
        if token == opens and not begins_thoughts:
            spelled = codec.encode("<", with_special=False)[0]
            assert not allowed[spelled]
        state.accept(token)
    assert [c["function"]["name"] for c in tool_calls.read(
        codec.decode(one + again + one), SCHEMAS).calls] == ["now", "now"]  # fmt: skip


def test_none_is_not_told_of_tools_and_calls_none(chatty: LLM, monkeypatch: pytest.MonkeyPatch):
    codec = chatty._intake.text
    template = "{{ tools | tojson if tools else 'no tools' }}"
    monkeypatch.setattr(codec.tokenizer, "chat_template", template)
    assert codec.chat_text(Chat([USER], TOOLS, tool_choice="none")) == "no tools"
    assert codec.chat_text(Chat([USER], TOOLS, tool_choice="auto")) == codec.chat_text(
        Chat([USER], TOOLS)
    )
    # all are shown where a grammar keeps to some of them; else what is not allowed is not shown
    assert '"mail"' in codec.chat_text(Chat([USER], TOOLS, tool_choice=ALLOWED))
    some = {**ALLOWED, "allowed_tools": {**ALLOWED["allowed_tools"], "mode": "auto"}}  # type: ignore[dict-item]
    told = codec.chat_text(Chat([USER], TOOLS, tool_choice=some))
    assert '"find"' in told
    assert '"mail"' not in told


@pytest.mark.parametrize(
    ("value", "choice"),
    [
        (None, ToolChoice()), ("auto", ToolChoice()), ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        (NAMED, ToolChoice("required", ("find",), is_one=True)),
        (ALLOWED, ToolChoice("required", ("find", "now"))),
    ],
)  # fmt: skip
def test_choices_as_openai_puts_them(value: Any, choice: ToolChoice):
    assert read_tool_choice(value, TOOLS) == choice


@pytest.mark.parametrize(
    ("value", "tools", "why"),
    [
        ("required", [], "there are no tools"), (NAMED, [], "there are no tools"),
        ("any", TOOLS, "it must be none"), (3, TOOLS, "it must be none"),
        ({"type": "function"}, TOOLS, "it must be none"),
        ({"type": "web_search"}, TOOLS, "it must be none"),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required"}}, TOOLS, "it must be"),
        ({"type": "function", "function": {"name": "other"}}, TOOLS, "names 'other'"),
    ],
)  # fmt: skip
def test_a_choice_that_no_tool_fits_is_refused(chatty: LLM, value: Any, tools: Any, why: str):
    with pytest.raises(InvalidRequestError, match=why):
        read_tool_choice(value, tools)
    bad, good = chatty.generate(
        [Chat([USER], tools, tool_choice=value), "a"], SamplingParams(max_tokens=2)
    )
    assert why in (bad.error or "")
    assert good.error is None


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ([], "no JSON schema"), ({"properties": {"a": {"$ref": "https://x.y"}}}, "nothing is"),
        ({"properties": {"a": {"const": "x" * 70_000}}}, "65536 are allowed"),
        ({"properties": {"a": {"type": "nope"}}}, "tool_choice"),
    ],
)  # fmt: skip
def test_a_tool_whose_arguments_cannot_be_followed_is_told(chatty: LLM, parameters: Any, why: str):
    tool = {"type": "function", "function": {"name": "t", "parameters": parameters or [0]}}
    chat = Chat([USER], [tool], tool_choice="required")
    (bad,) = chatty.generate([chat], SamplingParams(max_tokens=2))
    assert why in (bad.error or "")
    many = [{"type": "function", "function": {"name": f"t{i}", "parameters": {
        "properties": {"a": {"const": "x" * 30_000}}}}} for i in range(3)]  # fmt: skip
    (bad,) = chatty.generate([Chat([USER], many, tool_choice="required")])
    assert "65536 are allowed" in (bad.error or "")


def test_an_answer_under_a_choice_is_the_same_in_any_batch(chatty: LLM):
    chats = [Chat([USER], TOOLS, tool_choice=choice) for choice in (NAMED, "required", ALLOWED)]
    params = [SamplingParams(max_tokens=300, temperature=1.0, seed=s, logprobs=1) for s in range(3)]
    together = chatty.generate([*chats, "free"], [*params, SamplingParams(max_tokens=30)])
    chatty._engine.reset()
    alone = [chatty.generate([c], p)[0] for c, p in zip(chats, params, strict=True)]
    assert [(c.token_ids, c.logprobs) for c in together[:-1]] == [
        (c.token_ids, c.logprobs) for c in alone
    ]
