from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UsageError
from tasks.review.labels import Label, add_label, answer_digest, latest, read_labels, value_of

_AT = "2026-11-30T10:00:00+00:00"


def _label(value: float | None = 1.0, by: str = "ada", at: str = _AT, why: str = "") -> Label:
    return Label("s1", answer_digest("yes"), value, by, at, why)


def test_labels_of_two_people_are_kept_apart_and_read_together(tmp_path: Path) -> None:
    add_label(tmp_path / "reviews", _label(1.0, why="as it should be"))
    add_label(tmp_path / "reviews", _label(0.0, by="bo"))
    assert {path.name for path in (tmp_path / "reviews").iterdir()} == {"ada.jsonl", "bo.jsonl"}
    labels = read_labels(tmp_path / "reviews")
    assert labels["s1", answer_digest("yes")]["ada"].why == "as it should be"
    assert value_of(labels, "s1", "yes") == 0.5
    assert value_of(labels, "s1", "no") is None
    assert read_labels(tmp_path / "none") == {}


def test_of_what_is_said_twice_the_last_holds_whatever_the_zone_it_is_written_in() -> None:
    early = _label(1.0, at="2026-11-30T12:30:00+02:00")  # 10:30 UTC
    late = _label(0.0, at="2026-11-30T11:00:00+00:00")
    for order in ([early, late], [late, early]):
        assert value_of(latest(order), "s1", "yes") == 0.0


def test_who_cannot_tell_says_nothing_of_the_value() -> None:
    assert value_of(latest([_label(None), _label(1.0, by="bo")]), "s1", "yes") == 1.0
    assert value_of(latest([_label(None)]), "s1", "yes") is None


def test_a_line_cut_off_by_a_crash_does_not_swallow_the_next(tmp_path: Path) -> None:
    path = tmp_path / "ada.jsonl"
    path.write_text('{"sample_id": "s')
    add_label(tmp_path, _label())
    assert json.loads(path.read_text().splitlines()[1])["sample_id"] == "s1"
    with pytest.raises(UsageError, match=r"not JSON.*ada\.jsonl:1"):
        read_labels(tmp_path)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"value": 2}, "not 0 to 1"),
        ({"value": True}, "no number"),
        ({"value": float("nan")}, "not 0 to 1"),
        ({"at": "yesterday"}, "time of a label is none"),
        ({"by": "../../etc/x"}, "name of a person"),
        ({"answer": None}, "has no answer"),
        ({"valeu": 1}, "did you mean 'value'"),
        ({"why": 3}, "not a text"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    add_label(tmp_path, _label())
    record = json.loads((tmp_path / "ada.jsonl").read_text())
    with (tmp_path / "ada.jsonl").open("a") as file:
        file.write(json.dumps(record | changes) + "\n")
    with pytest.raises(UsageError) as caught:
        read_labels(tmp_path)
    assert told in caught.value.line()
    assert "ada.jsonl:2" in caught.value.line()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\nb", "x" * 81, "a\x00b", " ada"])
def test_a_name_that_could_be_another_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="name of a person"):
        add_label(tmp_path, _label(by=name))
