"""Our gate against every conformance case, and the case files against their own description."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tests.conformance import ours
from tests.conformance.reading import PROPERTIES, SOURCES, VERDICTS, Case, load, to_json
from tests.conformance.replies import (
    Reply,
    failures,
    only_lacks_a_margin,
    questions,
    reply_of_json,
)

CASES = {case.id: case for case in load()}


@cache
def _replies(case_id: str) -> dict[str, Reply]:
    return {name: ours.reply(asked) for name, asked in questions(CASES[case_id]).items()}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_our_gate_answers_as_the_case_says(case: Case) -> None:
    wrong = failures(case, _replies(case.id), lambda other: _replies(other)["base"])
    assert not wrong, f"{case.told['title']}: {'; '.join(wrong)}\n{case.told['why']}"


def test_there_are_cases_of_every_kind() -> None:
    told = [case.told for case in CASES.values()]
    assert len(told) >= 40
    assert {kind for kind in SOURCES if any(kind in str(t["source"]) for t in told)} == set(SOURCES)
    assert {p for case in CASES.values() for p in case.properties} == set(PROPERTIES)
    single = {next(iter(case.verdicts)) for case in CASES.values() if len(case.verdicts) == 1}
    assert single == set(VERDICTS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": ""}, "no source"),
        ({"source": "everybody knows"}, "source begins with"),
        ({"why": ""}, "no why"),
        ({"verdict": ["fine"]}, "unknown verdict fine"),
        ({"verdict": []}, "either a verdict or refused"),
        ({"holds_under": ["luck"]}, "unknown property luck"),
        ({"difference": {"elsewhere": 0.0}}, "unknown suite elsewhere"),
        ({"same_as": "nothing"}, "same_as names no case"),
        ({"verdcit": ["better"]}, "unknown key verdcit"),
        ({"samples": [{"n": 1, "champion": 1, "challenger": "cat"}]}, "unknown fault cat"),
        ({"samples": [{"n": 1, "champion": 1, "challenger": 1, "wieght": 2}]}, "wieght"),
        ({"suites": [{"name": "main", "role": "judge"}]}, "unknown role judge"),
        ({"guardrails": [{"name": "length", "margin": 0.1}]}, "used is not of the guardrails"),
        ({"ratio": {"length": 1.0}}, "unknown guardrail length"),
    ],
)
def test_a_case_that_is_not_as_described_is_refused(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    told = {"id": "one", "title": "t", "why": "w", "source": "arithmetic: 1", "verdict": ["better"],
            "samples": [{"n": 1, "champion": 0, "challenger": 1}], **change}  # fmt: skip
    (tmp_path / "one.toml").write_text(f"[[case]]\n{_toml(told)}")
    with pytest.raises(ValueError, match=message):
        load(tmp_path)


def test_a_wrong_reply_is_seen_in_every_way_a_case_can_speak() -> None:
    """Each case refuses at least one reply: the verdicts that it does not name."""
    for case in CASES.values():
        asked = questions(case)
        if case.told.get("refused"):
            assert failures(case, {"base": Reply(verdicts=frozenset(VERDICTS))})
            continue
        others = frozenset(VERDICTS) - case.verdicts
        assert failures(case, {name: Reply(verdicts=others) for name in asked})
    mixed = CASES["each-win-more-keeps-shipping"]
    replies = dict(_replies(mixed.id))
    assert not failures(mixed, replies)
    for name, wrong in {
        "base": replace(replies["base"], differences={"main": 0.01}),
        "again": replace(replies["base"], intervals={"main": (-0.02, 0.03)}),
        "order": replace(replies["base"], intervals={"main": (-0.02, 0.05)}),
        "raise 5": Reply(verdicts=frozenset(("cannot_tell",))),
    }.items():
        assert failures(mixed, {**replies, name: wrong}), name


def test_a_gate_without_a_margin_is_told_from_one_that_is_wrong() -> None:
    case = CASES["zero-discordance-73"]
    held = Reply(verdicts=frozenset(("cannot_tell",)), has_margin=False)
    replies = dict.fromkeys(questions(case), held)
    assert only_lacks_a_margin(case, held, failures(case, replies))
    with_margin = replace(held, has_margin=True)
    assert not only_lacks_a_margin(case, with_margin, failures(case, replies))
    lost = CASES["certain-loss"]
    assert not only_lacks_a_margin(lost, held, ["says cannot_tell, not worse"])


def test_groups_are_laid_out_as_described() -> None:
    items = CASES["forty-clusters-each-won-a-little"].question.items
    assert len(items) == 400
    sizes = Counter(item.cluster for item in items)
    assert set(sizes.values()) == {10}
    won = Counter(item.cluster for item in items if item.champion == (0.0,))
    assert set(won.values()) == {1}
    assert len(won) == 40
    pairs = Counter(item.cluster for item in CASES["swapped-arms-mirror"].question.items)
    assert sorted(pairs.values()) == [2] * 75
    small = Counter(i.slices["customer"] for i in CASES["harmless-small-slices"].question.items)
    assert set(small.values()) == {5}
    assert len({item.id for item in items}) == 400


def test_the_question_as_json_is_what_the_case_says() -> None:
    told = json.loads(json.dumps(to_json(CASES["not-counted-and-must-pass"].question)))
    assert [s["counted"] for s in told["samples"]] == [True] * 200 + [False]
    assert told["samples"][-1]["must_pass"]
    assert told["suites"] == [{"name": "main", "role": "primary", "margin": 0.05, "slices": {}}]
    reply = {"verdicts": ["better"], "says": "GO", "intervals": {"main": [0.1, 0.2]}}
    assert reply_of_json(reply).intervals == {"main": (0.1, 0.2)}


def _toml(told: dict[str, object]) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in told.items())


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(v)}" for key, v in value.items()) + " }"
    return (
        json.dumps(value) if not isinstance(value, list) else f"[{', '.join(map(_value, value))}]"
    )
