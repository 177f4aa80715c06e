"""A suite from logged calls: which ones, which wording, and what is known to be right."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.curate.evalset import Draft
from tasks.curate.suites import drafts_of, parse_suite, suite_lines
from tasks.errors import UsageError
from tasks.model.logged_call import Conversation, LoggedCall, Opinion
from tasks.suites.drafted import drafted

FILLER = "the printer on the second floor stopped again this morning and nobody knows why it is so"


def call(number: int, text: str, *, task: str | None = "route", system: str | None = None,
         **opinion: object) -> LoggedCall:  # fmt: skip
    return LoggedCall(
        request_id=f"q{number:03}",
        conversation=Conversation(system, ({"role": "user", "content": text},)),
        response=f"answer {number}",
        task=task,
        opinion=Opinion(**opinion),  # type: ignore[arg-type]
    )


def test_corrected_and_typical_calls_share_the_places_by_how_often_they_are_asked():
    calls = [call(n, "opening hours please tell me now") for n in range(5)]
    calls += [call(10 + n, "refund of my broken bicycle lamp") for n in range(3)]
    calls += [call(20, "one strange question about cats"), call(21, "another thing on dogs")]
    calls += [call(30, "why is the sky so blue today", corrected="scattering")]
    calls += [call(40 + n, "how high is the tower over there", corrected=f"{n} m")
              for n in range(2)]  # fmt: skip
    made = drafted("new", calls, (), threshold=0.8, limit=3)
    assert [line["input"] for line in made.lines] == [
        "how high is the tower over there",
        "why is the sky so blue today",
        "opening hours please tell me now",
    ]
    assert made.lines[0]["target"] == "1 m"  # of two corrections the last
    assert made.lines[2]["target"] is None
    assert made.lines[2]["comment"] == "asked by 5 calls; fill in target; answered: answer 0"
    assert (made.num_calls, made.num_questions, made.num_covered) == (13, 6, 8)
    assert (made.num_corrected, made.num_open) == (2, 1)
    everything = drafted("new", list(reversed(calls)), (), threshold=0.8, limit=100)
    assert len(everything.lines) == 6
    assert everything.num_covered == 13


def test_a_call_that_stands_for_others_counts_as_many():
    calls = [call(n, "opening hours please tell me now") for n in range(5)]
    calls.append(replace(call(9, "refund of my broken bicycle lamp"), stands_for=12.6))
    made = drafted("new", calls, (), threshold=0.8, limit=1)
    assert [line["input"] for line in made.lines] == ["refund of my broken bicycle lamp"]
    assert (made.num_calls, made.num_covered) == (18, 13)
    assert made.lines[0]["comment"].startswith("asked by 13 calls")


def test_the_wording_that_stands_for_others_is_the_one_most_like_them():
    wordings = [FILLER, FILLER + " sad", FILLER + " sad today", "please " + FILLER + " sad"]
    calls = [call(n, text) for n, text in enumerate(wordings)]
    made = drafted("new", calls, (), threshold=0.7, limit=5)
    (line,) = made.lines

    def alike(one: str, other: str) -> float:
        words = [text.split() for text in (one, other)]
        sets = [{tuple(w[i : i + 3]) for i in range(len(w) - 2)} for w in words]
        return len(sets[0] & sets[1]) / len(sets[0] | sets[1])

    expected = max(wordings, key=lambda one: sum(alike(one, other) for other in wordings))
    assert line["input"] == expected


def test_what_is_known_to_be_right_and_what_a_suite_asks_already():
    (gold,) = drafts_of({"input": "asked already in a suite", "target": "x"}, "old", "route", "f:1")
    calls = [
        call(1, "asked already in a suite"),
        call(2, "somebody liked what this said", thumbs=1.0),
        call(3, "an audit looked into this matter", audited="7"),
        call(4, "nobody liked that one at all", thumbs=-1.0),
        call(5, "with instructions before the question", system="Be brief.", task=None),
    ]
    made = drafted("new", calls, [gold], threshold=0.8, limit=9)
    by_id = {line["id"]: line for line in made.lines}
    assert sorted(by_id) == ["q002", "q003", "q004", "q005"]
    targets = {name: line["target"] for name, line in by_id.items()}
    assert targets == {"q002": "answer 2", "q003": "7", "q004": None, "q005": None}
    assert by_id["q005"]["messages"][0] == {"role": "system", "content": "Be brief."}
    assert "task" not in by_id["q005"]
    assert by_id["q002"]["task"] == "route"


def test_what_is_written_is_a_suite_whose_open_targets_are_named(tmp_path: Path):
    calls = [call(1, "liked this answer very much", thumbs=1.0), call(2, "unknown to all of us")]
    made = drafted("new", calls, (), threshold=0.8, limit=9)
    path = tmp_path / "new.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in made.lines))
    read = list(suite_lines("new", "new", path))
    assert [type(one) for one in read] == [Draft, UsageError]
    assert isinstance(read[1], UsageError)
    assert f"{path}:2" in read[1].line()
    assert "target" in read[1].line()
    with pytest.raises(UsageError, match="it is null, for somebody to fill in"):
        parse_suite("new", "new", path.read_bytes(), str(path))
