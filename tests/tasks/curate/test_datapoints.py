from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.curate.evalset import Draft
from tasks.curate.suites import parse_suite, read_suite
from tasks.errors import UsageError


def datapoint(own: str = "1", **changes: Any) -> dict[str, Any]:
    asked = {"system": {"style": "x"}, "messages": [
        {"role": "user", "content": [{"type": "text", "text": f"question {own}"}]}]}  # fmt: skip
    return {
        "dataset_name": "d", "function_name": "haiku", "id": own, "input": json.dumps(asked),
        "output": json.dumps([{"type": "text", "text": f"answer {own}"}]), "is_deleted": False,
        "updated_at": "2025-01-01", **changes,
    }  # fmt: skip


def read(*rows: Any) -> tuple[Draft, ...]:
    data = "\n".join(json.dumps(row) for row in rows).encode()
    return parse_suite("s", "task", data, "d.jsonl")


def test_a_datapoint_becomes_a_sample_of_its_function():
    (sample,) = read(datapoint())
    assert (sample.task, sample.target, sample.slices) == ("haiku", "answer 1", {"dataset": "d"})
    assert sample.conversation.system == '{"style": "x"}'
    assert [m["content"] for m in sample.conversation.messages] == ["question 1"]


def test_the_newest_row_of_a_key_counts_and_a_deleted_one_not():
    newer = datapoint("1", updated_at="2025-02-01", output='[{"type": "text", "text": "new"}]')
    gone = datapoint("2", updated_at="2025-02-01", is_deleted=True)
    samples = read(newer, datapoint("1"), datapoint("2"), gone, datapoint("3", dataset_name="e"))
    assert [sample.target for sample in samples] == ["new", "answer 3"]


def test_json_functions_have_an_object_as_target_and_templates_their_arguments():
    asked = {"messages": [{"role": "user", "content": [
        {"type": "template", "name": "user", "arguments": {"topic": "sea"}}]}]}  # fmt: skip
    (sample,) = read(datapoint(input=asked, output={"raw": "{}", "parsed": {"b": 1, "a": 2}}))
    assert sample.target == '{"a":2,"b":1}'
    assert sample.conversation.messages[0]["content"] == '{"topic": "sea"}'


def test_without_an_output_or_asked_again_is_passed_over():
    again = datapoint("1", dataset_name="e")
    silent = [datapoint("4", output=None), datapoint("5", output="")]
    assert len(read(datapoint(), again, *silent)) == 1


def test_among_other_lines_a_datapoint_is_an_unknown_line():
    with pytest.raises(UsageError, match="dataset_name"):
        read({"input": "a", "target": "b"}, datapoint())


@pytest.mark.realdata
def test_real_datapoints(shared: Path):
    folder = shared / "log_formats" / "tensorzero"
    chat = read_suite("s", "t", folder / "chat_datapoint_fixture.jsonl")
    objects = read_suite("s", "t", folder / "json_datapoint_fixture.jsonl")
    assert (len(chat), len(objects)) == (16, 3)  # those with an output
