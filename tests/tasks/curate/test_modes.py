"""Suite lines whose texts are weighed, and what is refused of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.curate.evalset import Draft
from tasks.curate.modes import GENERATE, Mode
from tasks.curate.suites import parse_suite
from tasks.errors import UsageError
from tasks.model.served import Served

CHOOSE, RAW, WEIGH = Mode("choose"), Mode("choose", is_raw=True), Mode("perplexity")


def _read(mode: Mode, **line: Any) -> Draft:
    data = json.dumps({"input": "Where?", **line}).encode()
    (draft,) = parse_suite("s", "s", data, "s.jsonl", mode)
    return draft


@pytest.mark.parametrize("target", [1, " Oslo", "Oslo"])
def test_a_target_is_a_choice_by_its_place_or_its_text(target: Any):
    draft = _read(CHOOSE, choices=[" Rome", " Oslo"], target=target)
    assert draft.target == " Oslo"
    assert draft.conversation.served.choices == (" Rome", " Oslo")
    assert not draft.conversation.served.is_raw


def test_perplexity_weighs_the_target_alone():
    draft = _read(WEIGH, target="In Oslo.")
    assert (draft.conversation.served.choices, draft.target) == (("In Oslo.",), "In Oslo.")


def test_what_a_sample_is_asked_is_in_its_id():
    plain = _read(GENERATE, target="Oslo")
    # of a sample written before there were modes
    assert plain.sample_id == ("569c7b37db8826057cac83b982aac24652eb7bbd10485d1eba9f1c078f74bcd8")
    ids = {
        draft.sample_id
        for draft in (
            plain,
            _read(Mode("generate", is_raw=True), target="Oslo"),
            _read(WEIGH, target="Oslo"),
            _read(CHOOSE, choices=["Oslo", "Rome"], target="Oslo"),
            _read(CHOOSE, choices=["Rome", "Oslo"], target="Oslo"),
            _read(RAW, choices=["Oslo", "Rome"], target="Oslo"),
        )
    }
    assert len(ids) == 6


def test_what_is_asked_comes_back_from_the_store():
    served = _read(RAW, choices=["a", "b"], target=0).conversation.served
    assert Served.from_value(json.loads(json.dumps(served.to_value()))) == served


@pytest.mark.parametrize(
    ("mode", "line", "message"),
    [
        (GENERATE, {"choices": ["a", "b"], "target": "a"}, 'mode = "choose"'),
        (WEIGH, {"choices": ["a", "b"], "target": "a"}, 'mode = "choose"'),
        (WEIGH, {"target": 3}, "no text"),
        (CHOOSE, {"target": "a"}, "nothing to choose from"),
        (CHOOSE, {"choices": "ab", "target": "a"}, "nothing to choose from"),
        (CHOOSE, {"choices": ["a"], "target": "a"}, "nothing to choose from"),
        (CHOOSE, {"choices": ["a", 3], "target": "a"}, "nothing to choose from"),
        (CHOOSE, {"choices": ["a", " a"], "target": "a"}, "nothing to choose from"),
        (CHOOSE, {"choices": ["a", " "], "target": "a"}, "nothing to choose from"),
        (CHOOSE, {"choices": ["a", "b"], "target": "c"}, "none of its choices"),
        (CHOOSE, {"choices": ["a", "b"], "target": 2}, "none of its choices"),
        (CHOOSE, {"choices": ["a", "b"], "target": -1}, "none of its choices"),
        (CHOOSE, {"choices": ["a", "b"], "target": True}, "none of its choices"),
        (CHOOSE, {"choices": ["a", "b"]}, "no target"),
        (CHOOSE, {"choices": ["a", "b"], "target": "a", "session": "1"}, "is answered"),
        (RAW, {"choices": ["a", "b"], "target": "a", "chat_template_kwargs": {"x": 1}},
         "needs a chat template"),
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_asked_is_refused_with_its_place(
    mode: Mode, line: dict[str, Any], message: str
):
    with pytest.raises(UsageError, match=message) as caught:
        _read(mode, **line)
    assert "s.jsonl:1" in str(caught.value)
