from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tasks.curate.lines import line_of_call
from tasks.curate.suites import parse_suite, read_suite
from tasks.errors import UsageError
from tasks.model.logged_call import LoggedCall


def _parse(*lines: object) -> tuple[object, ...]:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    return parse_suite("route", "route-task", text.encode(), "route.jsonl")


def test_a_line_becomes_a_sample() -> None:
    line = {
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
        "target": "billing", "task": "other", "slices": {"language": "en", "turns": 2},
        "must_pass": True, "cluster": "c", "id": "7", "comment": "why",
    }  # fmt: skip
    (sample,) = parse_suite("route", "route", json.dumps(line).encode(), "x")
    assert (sample.task, sample.target, sample.must_pass, sample.cluster) == (
        "other", "billing", True, "c",
    )  # fmt: skip
    assert sample.conversation.system == "s"
    assert sample.slices == {"language": "en", "turns": "2"}


def test_defaults_are_the_task_of_the_suite_and_no_must_pass() -> None:
    (sample,) = parse_suite("route", "t", b'\xef\xbb\xbf{"input": "a", "target": "b"}\r\n\n', "x")
    assert (sample.task, sample.must_pass, sample.cluster) == ("t", False, None)


def test_a_target_that_is_not_text_is_kept_as_canonical_json() -> None:
    (sample,) = parse_suite("s", "s", b'{"input": "a", "target": {"b": 1, "a": [true]}}', "x")
    assert sample.target == '{"a":[true],"b":1}'


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1]", "not an object"),
        ({"input": "a"}, "no target"),
        ({"input": "a", "target": "  "}, "no target"),
        ({"input": "a", "target": None}, "no target"),
        ({"target": "a"}, "either input or messages"),
        ({"input": "a", "messages": [], "target": "b"}, "either input or messages"),
        ({"input": "", "target": "b"}, "asks nothing"),
        ({"input": 3, "target": "b"}, "asks nothing"),
        ({"messages": "text", "target": "b"}, "asks nothing"),
        ({"input": "a", "target": "b", "slices": [1]}, "slices"),
        ({"input": "a", "target": "b", "slices": {"x": {}}}, "slices"),
        ({"input": "a", "target": "b", "must_pass": "yes"}, "must_pass"),
        ({"input": "a", "target": "b", "cluster": 7}, "cluster"),
        ({"input": "a", "taget": "b"}, "did you mean 'target'"),
        ({"input": "a", "target": "b", "tools": {"name": "x"}}, "tools of a suite line"),
        ({"input": "a", "target": "b", "tools": [{"type": "function"}]}, "tools of a suite line"),
        ({"input": "a", "target": "b", "chat_template_kwargs": [1]}, "chat_template_kwargs"),
        ({"input": "a", "target": "b", "continue_final_message": True}, "no message to go on"),
        ({"input": "a", "target": "b", "continue_final_message": 1}, "not true or false"),
        ({"input": "a", "target": "b", "tool_choice": "required"}, "fits none of its tools"),
        (
            {
                "input": "a",
                "target": "b",
                "tools": [{"name": "x"}],
                "tool_choice": {"type": "tool"},
            },
            "fits none of its tools",
        ),
        (
            {"input": "a", "target": "b", "tools": [{"name": "x"}], "parallel_tool_calls": 0},
            "not true or false",
        ),
        ({"input": "a", "target": "b", "response_format": "yaml"}, "response_format of a suite"),
        (
            {"input": "a", "target": "b", "response_format": {"type": "json_schema"}},
            "response_format of a suite",
        ),
        (
            {
                "session": "s",
                "messages": [
                    {"role": "user", "content": "u"},
                    {"role": "assistant", "content": "a"},
                ],
                "tools": [{"name": "x"}],
                "tool_choice": "required",
            },
            "asks for no call",
        ),
    ],
)
def test_a_bad_line_is_named_with_its_number(line: object, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        _parse({"input": "good", "target": "x"}, line)
    assert what in caught.value.line()
    assert "route.jsonl:2" in caught.value.line()
    assert caught.value.exit_code == 2


def test_a_line_in_another_encoding_is_named() -> None:
    with pytest.raises(UsageError, match=r"not UTF-8.* r:1"):
        parse_suite("route", "route", '{"input": "größe", "target": "x"}'.encode("latin-1"), "r")


def test_the_same_question_twice_is_an_error_even_with_another_target() -> None:
    with pytest.raises(UsageError, match="line 3 repeats line 1"):
        _parse(
            {"input": "a", "target": "x"},
            {"input": "b", "target": "x"},
            {"input": "a", "target": "y"},
        )


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"suite 'route'.*cannot be read.*suites\.route\.samples"):
        read_suite("route", "route", tmp_path / "no.jsonl")


def test_an_empty_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(UsageError, match="is empty"):
        read_suite("route", "route", tmp_path / "empty.jsonl")


def test_what_a_line_tells_beside_its_messages_makes_another_sample() -> None:
    function = {"name": "find", "parameters": {"type": "object"}}
    messages = [{"role": "user", "content": "u"}, {"role": "assistant", "content": "It is"}]
    lines: list[dict[str, object]] = [
        {},
        {"tools": [{"type": "function", "function": function}]},
        {"tools": [{"type": "function", **function}], "continue_final_message": True},
        {"chat_template_kwargs": {"enable_thinking": False}},
    ]
    text = "\n".join(json.dumps({"messages": messages, "target": "t", **line}) for line in lines)
    plain, tools, both, template = parse_suite("route", "route", text.encode(), "x")
    assert plain.conversation.served.to_value() == {}
    assert tools.conversation.served.tools == both.conversation.served.tools
    assert both.conversation.served.continues
    assert template.conversation.served.template == {"enable_thinking": False}
    assert len({draft.sample_id for draft in (plain, tools, both, template)}) == 4


def test_a_sample_of_messages_alone_is_the_one_it_was_before_there_was_more() -> None:
    (sample,) = parse_suite("route", "t", b'{"input": "a", "target": "b"}', "x")
    text = '["route","t",null,[{"content":"a","role":"user"}],"b","gold","suite",{},false]'
    assert sample.sample_id == hashlib.sha256(text.encode()).hexdigest()


def test_a_choice_of_tools_and_a_form_make_another_sample_and_are_written_again() -> None:
    tools = [{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}]
    schema = {"type": "object", "properties": {"why": {}, "a": {}}}
    form = {"type": "json_schema", "json_schema": {"name": "r", "schema": schema, "strict": True}}
    more: list[dict[str, object]] = [
        {"tools": tools}, {"tools": tools, "tool_choice": "auto"},
        {"tools": tools, "tool_choice": "required"}, {"tools": tools, "tool_choice": "none"},
        {"tools": tools, "tool_choice": {"type": "function", "function": {"name": "find"}}},
        {"tools": tools, "parallel_tool_calls": False},
        {}, {"response_format": {"type": "text"}}, {"response_format": {"type": "json_object"}},
        {"response_format": form},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "r", "schema": {
            **schema, "properties": {"a": {}, "why": {}}}}}},
    ]  # fmt: skip
    lines = [{"messages": [{"role": "user", "content": "u"}], "target": "t", **m} for m in more]
    samples = [parse_suite("s", "t", json.dumps(line).encode(), "x")[0] for line in lines]
    # said or not, the default is the default; the order of a schema's members is what is asked
    assert len({sample.sample_id for sample in samples}) == len(more) - 2
    for sample, line, said in zip(samples, lines, more, strict=True):
        call = LoggedCall("1", sample.conversation)
        again = {**line_of_call(call), "target": "t"}
        kept = {k: v for k, v in said.items() if v not in ("auto", {"type": "text"})}
        assert again.keys() == {"messages", "target", *kept}
        assert json.dumps(again.get("response_format")) == json.dumps(kept.get("response_format"))
        (read,) = parse_suite("s", "t", json.dumps(again).encode(), "x")
        assert read.sample_id == sample.sample_id
        assert line["messages"] == again["messages"]


CALL = {"function": {"name": "find", "arguments": '{"b": 2, "a": "x"}'}}
SESSION = [
    {"role": "system", "content": "s"}, {"role": "user", "content": "u"},
    {"role": "assistant", "content": "Wait.", "tool_calls": [CALL]},
    {"role": "tool", "content": "42"},
    {"role": "assistant", "content": "It is 42."},
]  # fmt: skip


def test_every_turn_of_a_recorded_session_is_a_step_with_what_came_before() -> None:
    line = {"session": "7", "messages": SESSION, "tools": [CALL], "must_pass": True}
    first, last = parse_suite("route", "route", json.dumps(line).encode(), "x")
    assert [(draft.session, draft.step, draft.cluster) for draft in (first, last)] == [
        ("7", 1, "7"), ("7", 2, "7"),
    ]  # fmt: skip
    assert first.slices == {"step": "1"}
    assert first.must_pass
    said = '<tool_call>{"arguments":{"a":"x","b":2},"name":"find"}</tool_call>'
    assert (first.target, last.target) == (f"Wait.\n{said}", "It is 42.")
    assert [len(draft.conversation.messages) for draft in (first, last)] == [1, 3]
    assert first.conversation.system == last.conversation.system == "s"
    assert first.conversation.served.tools == last.conversation.served.tools != ()
    other = json.dumps({**line, "session": "8", "target": "42"}).encode()
    assert parse_suite("route", "route", other, "x")[1].target == "42"
    assert first.sample_id != parse_suite("route", "route", other, "x")[0].sample_id


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"messages": SESSION[:4]}, "does not end with a message of the assistant"),
        ({"messages": SESSION[:2]}, "does not end with a message of the assistant"),
        ({"messages": [*SESSION[:2], {"role": "assistant", "content": ""}]}, "says and calls"),
        ({"messages": [SESSION[0], *SESSION[4:]]}, "nothing can be asked before message 2"),
        ({"continue_final_message": True}, "no message to go on with"),
        ({"session": 7}, "session of a suite line is not a text"),
    ],
)
def test_a_session_that_cannot_be_taken_apart_is_told(change: dict[str, object], what: str) -> None:
    line = {"session": "7", "messages": SESSION, **change}
    with pytest.raises(UsageError, match=what) as caught:
        parse_suite("route", "route", json.dumps(line).encode(), "x.jsonl")
    assert "x.jsonl:1" in caught.value.line()


def test_a_session_is_given_once() -> None:
    lines = [{"session": "7", "messages": [*SESSION[:1], {"role": "user", "content": text},
                                           *SESSION[2:]]} for text in "ab"]  # fmt: skip
    with pytest.raises(UsageError, match="given twice"):
        parse_suite("s", "s", "\n".join(map(json.dumps, lines)).encode(), "x")
