"""Labels of people: the file, line by line, and feedback on calls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UsageError
from tasks.judges.asked import Item
from tasks.judges.labels import Label, label_lines, labels_of_calls, read_labels
from tasks.model.logged_call import Conversation, LoggedCall, Opinion

SCALE = (1, 5)


def written(folder: Path, *records: Any) -> Path:
    path = folder / "labels.jsonl"
    path.write_text("\n".join(map(json.dumps, records)) + "\n\n", encoding="utf-8")
    return path


def test_labels_are_read_on_the_judges_scale(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"input": "q", "answer": "a", "label": 4, "by": "ann", "why": "nearly"},
        {"messages": [{"role": "user", "content": "q2"}], "answer": "b", "label": False},
    )
    found = read_labels(path, "j", "pointwise", SCALE)
    assert found == (Label(Item("q", ("a",)), 0.75), Label(Item("q2", ("b",)), 0.0))


def test_what_two_people_said_of_one_answer_is_one_label(tmp_path: Path) -> None:
    one = {"input": "q", "answer_a": "x", "answer_b": "y"}
    path = written(tmp_path, {**one, "label": "a"}, {**one, "label": "tie"})
    assert read_labels(path, "j", "pairwise", SCALE) == (Label(Item("q", ("x", "y")), 0.25),)


@pytest.mark.parametrize(
    ("kind", "record", "message"),
    [
        ("pointwise", {"input": "q", "answer": "a"}, "`label` is None"),
        ("pointwise", {"input": "q", "answer": "a", "label": 6}, "`label` is 6"),
        ("pointwise", {"input": "q", "answer": "a", "label": float("nan")}, "`label` is nan"),
        ("pointwise", {"input": "q", "anwser": "a", "label": 5}, "did you mean"),
        ("pointwise", {"answer": "a", "label": 5}, "`input` or `messages`"),
        ("pointwise", {"messages": "q", "answer": "a", "label": 5}, "no conversation"),
        ("reference", {"input": "q", "answer": "a", "label": 5}, "`target` is missing"),
        ("pairwise", {"input": "q", "answer_a": "a", "label": "a"}, "`answer_b` is missing"),
        ("pairwise", {"input": "q", "answer_a": "a", "answer_b": 1, "label": "a"}, "not a text"),
        ("pairwise", {"input": "q", "answer_a": "a", "answer_b": "b", "label": 1}, "is 1"),
        ("pointwise", ["q"], "not an object"),
    ],
)
def test_a_wrong_line_is_told_with_its_place(
    tmp_path: Path, kind: Any, record: Any, message: str
) -> None:
    good = {"input": "q", "answer": "a", "label": 5}
    path = written(tmp_path, *([good] if kind == "pointwise" else []), record)
    errors = [one for one in label_lines(path, "j", kind, SCALE) if isinstance(one, UsageError)]
    assert len(errors) == 1
    assert message in errors[0].line()
    assert f"{path}:{2 if kind == 'pointwise' else 1}" in errors[0].line()


def test_a_file_that_is_not_there_or_empty_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_labels(tmp_path / "none", "j", "pointwise", SCALE)
    with pytest.raises(UsageError, match="is empty"):
        read_labels(written(tmp_path), "j", "pointwise", SCALE)


def test_thumbs_and_corrections_are_labels_and_an_audit_is_none() -> None:
    def call(number: int, opinion: Opinion, **more: Any) -> LoggedCall:
        asked = Conversation("sys", ({"role": "user", "content": f"q{number}"},))
        values: dict[str, Any] = {"response": f"a{number}", "task": "t", **more}
        return LoggedCall(f"c{number}", asked, opinion=opinion, **values)

    calls = [
        call(1, Opinion(thumbs=1.0)),
        call(2, Opinion(corrected="x", thumbs=1.0)),
        call(3, Opinion(audited="x")),
        call(4, Opinion(thumbs=-1.0), response=None),
        call(5, Opinion(thumbs=-1.0), task="other"),
        call(6, Opinion()),
    ]
    found = labels_of_calls(calls, "t")
    assert [(one.item.answers, one.value) for one in found] == [(("a2",), 0.0), (("a1",), 1.0)]
    assert found[0].item.question == "system: sys\n\nuser: q2"
    assert len(labels_of_calls(calls)) == 3
