from __future__ import annotations

from typing import Any

from tasks.model.reading import Group, Reading
from tasks.model.receipt import Receipt
from tasks.report import intake


def receipt(**notes: Any) -> Receipt:
    return Receipt("ingest", "r", 0, 0, notes={"files": 40, **notes})


def unrecognised(num: int, num_new: int, *names: str) -> dict[str, Any]:
    files = [{"file": name, "reason": "a ZIP archive: unpack it"} for name in names]
    return {"num": num, "num_new": num_new, "files": files, "next": "flywheel run --format NAME"}


def test_a_receipt_without_such_notes_says_nothing():
    bare = receipt()
    assert (intake.unread(bare), intake.unread_keys(bare)) == ((), ())
    assert (intake.sessions(bare), intake.without_calls(bare)) == ("", "")


def test_unread_files_are_named_with_the_reason_and_the_command():
    told = intake.unread(
        receipt(unrecognised=unrecognised(2, 2, "/logs/a.zip", "/logs/more/b.zip"))
    )
    assert told == (
        "2 of 40 files, which no format recognises; flywheel run --format NAME reads one as what "
        "you say it is",
        "a.zip: a ZIP archive: unpack it",
        "more/b.zip: a ZIP archive: unpack it",
    )


def test_of_many_unread_files_the_number_of_the_others_is_told():
    told = intake.unread(receipt(unrecognised=unrecognised(1_234, 3, "s3://b/x/a", "s3://b/y/b")))
    assert told[0].startswith("1,234 of 40 files (3 of them new), ")
    assert told[1].startswith("x/a: ")
    assert told[-1].startswith("and 1,232 more: flywheel sql ")


def test_keys_that_mean_nothing_to_us_are_counted_file_by_file():
    keys = {"/l/calls.jsonl": {"bar": 3, "foo": 1_200}, "/l/b": {f"k{n}": 1 for n in range(10)}}
    assert intake.unread_keys(receipt(unread_keys=keys)) == (
        "calls.jsonl: keys not understood: foo (1,200), bar (3); they are kept as tags",
        "b: keys not understood: k0 (1), k1 (1), k2 (1), k3 (1), k4 (1), k5 (1), k6 (1), k7 (1) "
        "and 2 more; they are kept as tags",
    )
    more = receipt(unread_keys=keys, num_files_with_unread_keys=1_002)
    assert intake.unread_keys(more)[2:] == ("and of 1,000 more files",)


def test_files_that_hold_no_call_are_named():
    files = {f"/l/{n}.jsonl": "openai_batch" for n in range(5)}
    assert intake.without_calls(receipt(without_calls={"num": 30, "files": files})) == (
        "0.jsonl (openai_batch), 1.jsonl (openai_batch), 2.jsonl (openai_batch) and 27 more: read, "
        "and no call in it"
    )


def test_sessions_and_tools_are_told_where_there_are_some():
    counts = {
        "num_sessions": 1_234, "median_calls": 2.5, "max_calls": 40,
        "num_tool_calls": 1, "num_tool_results": 7, "num_tool_errors": 2,
    }  # fmt: skip
    assert intake.sessions(receipt(sessions=counts)) == (
        "1,234 sessions with 2.5 calls in the median and 40 at most; 1 tool call and 7 tool "
        "results, of which 2 say that they failed"
    )
    alone = {**dict.fromkeys(counts, 0), "num_tool_calls": 3}
    assert intake.sessions(receipt(sessions=alone)) == "3 tool calls and 0 tool results"


def test_a_history_that_was_read_in_part_is_told_kind_by_kind():
    groups = (
        Group("judged", "route", 40, 40, 1.0),
        Group("unjudged", "mood", 460, 100, 0.2),
        Group("unjudged", "route", 1_500, 150, 0.1),
    )
    assert intake.read_in_part(None) == ""
    assert intake.read_in_part(Reading(2_000, 290, groups).to_json()) == (
        "290 of 2,000 calls of the history were read, each stands for 1 / its chance: judged 40 of "
        "40 (chance 1), unjudged 250 of 1,960 (chance 0.1 to 0.2); [curate] max_calls"
    )
