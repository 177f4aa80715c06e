"""A composite scorer: its value, its name, and what is refused."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.commands.scorers import scorers_markdown
from tasks.errors import UsageError
from tasks.model.run import RunRequest
from tasks.preflight import find_problems
from tasks.scoring import instrument
from tasks.scoring.instrument import parts
from tasks.scoring.policy import policy
from tasks.scoring.suites import also_instruments, gate_rule, suite_instrument, suite_rules
from tasks.settings import parse_settings

_EXACT = {"scorer": "exact_match", "weight": 0.7}
_SHORT = {"scorer": {"name": "length", "at_most": 3}, "weight": 0.3}
_BOTH = {"composite": [_EXACT, _SHORT]}
_WEIGHTS = st.floats(1e-3, 1e6)


@given(st.tuples(_WEIGHTS, _WEIGHTS, _WEIGHTS), st.text(alphabet="ab ", max_size=12))
def test_the_value_is_the_weighted_mean_of_the_parts(
    weights: tuple[float, float, float], text: str
) -> None:
    declared: list[Any] = ["token_f1", "exact_match", {"name": "length", "at_most": 2}]
    scorer = instrument(
        {
            "composite": [
                {"scorer": part, "weight": weight}
                for part, weight in zip(declared, weights, strict=True)
            ]
        }
    )
    alone = [instrument(part).score(text, "a b").value for part in declared]
    assert scorer.score(text, "a b").value == pytest.approx(np.average(alone, weights=weights))


def test_it_tells_what_every_part_gave_and_why() -> None:
    scorer = instrument(_BOTH)
    assert scorer.score("Oslo.", "oslo").value == 1.0
    told = scorer.score("It is Oslo", "oslo")
    assert told.value == pytest.approx(0.3)
    assert "exact_match 0 ('It is Oslo' is not 'oslo')" in told.explanation
    assert "length(at_most=3) 1 (3 words, 1 to 3 are right)" in told.explanation
    assert instrument(_BOTH).score("a b c d", "a").value == 0.0


def test_a_part_that_is_unscored_leaves_the_whole_unscored_with_its_reason() -> None:
    score = instrument(_BOTH).score("Oslo", "")
    assert (score.value, score.unscored_reason) == (None, "exact_match: the target is empty")


def test_parts_versions_and_weights_are_its_name_and_their_order_is_not() -> None:
    scorer = instrument(_BOTH)
    assert scorer.version == "composite@1(0.7 exact_match/1 + 0.3 length/1(at_most=3))"
    assert parts(scorer.version) == (scorer.metric, 1)
    assert "@" not in scorer.metric
    assert instrument({"composite": [_SHORT, _EXACT]}).version == scorer.version
    others: list[Any] = [
        [{**_EXACT, "weight": 0.6}, _SHORT],
        [_EXACT, {**_SHORT, "scorer": {"name": "length", "at_most": 4}}],
        [_EXACT, {**_SHORT, "scorer": "json_fields"}],
        [{"scorer": "exact_match"}, _SHORT],
    ]
    versions = {instrument({"composite": listed}).version for listed in others}
    assert len(versions | {scorer.version}) == 5
    assert any("json_fields/2" in version for version in versions)
    long = [{"scorer": {"name": "length", "at_most": n}} for n in range(1, 20)]
    assert len(instrument({"composite": long}).version) < 40


def test_the_suites_of_the_page_about_scorers_are_as_it_says(tmp_path: Path) -> None:
    page = scorers_markdown()
    (tmp_path / "my_scorers.py").write_text(re.findall(r"```python\n(.*?)```", page, re.S)[0])
    blocks = re.findall(r"```toml\n(.*?)```", page, re.S)
    told = [
        one.version
        for block in blocks
        for values in [tomllib.loads(block)]
        for name in values["suites"]
        for settings in [parse_settings(values, base=str(tmp_path))]
        for one in (suite_instrument(settings, name), *also_instruments(settings, name))
    ]
    composite = "composite@1(0.3 length/1(at_most=60) + 0.7 token_f1/1)"
    assert f"`{composite}`" in page
    assert told[:5] == [
        "numeric@1(tolerance=0.01)", "choice@1", "length@1(at_most=3)", "refusal@1", composite,
    ]  # fmt: skip
    assert told[5].startswith("code_execution@1(python=")
    assert told[6].startswith("my_scorers:polite@1(")
    assert len(told) == 7


def test_a_function_of_ones_own_is_a_part_too(tmp_path: Path) -> None:
    module = "def polite(answer, target, weight=1):\n    return 'please' in answer\n"
    (tmp_path / "mine.py").write_text(module)
    own = {"scorer": "mine:polite", "weight": 3}
    scorer = instrument({"composite": [own, {"scorer": "exact"}]}, base=tmp_path)
    scorer.try_out()
    assert scorer.score("please", "x").value == 0.75
    assert instrument("mine:polite", base=tmp_path).metric.startswith("mine:polite(source=")
    (tmp_path / "mine.py").write_text("import nothing_of_that_name\n" + module)
    changed = instrument({"composite": [own, {"scorer": "exact"}]}, base=tmp_path)
    assert changed.version != scorer.version
    with pytest.raises(UsageError, match="nothing_of_that_name"):
        changed.try_out()


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"composite": []}, "one list of two parts or more"),
        ({"composite": [_EXACT]}, "one list of two parts or more"),
        ({"composite": "exact"}, "one list of two parts or more"),
        ({"composite": ["exact", "exact_match"]}, "one list of two parts or more"),
        ({"composite": [_EXACT, _SHORT], "weight": 1}, "one list of two parts or more"),
        ({"composite": [_EXACT, {**_EXACT, "weight": 0.1}]}, "the same part twice"),
        ({"composite": [{"scorer": "exact", "weigth": 1}, _EXACT]}, "did you mean 'weight'"),
        ({"composite": [{"weight": 1}, _EXACT]}, "scorer of part 1 of the composite scorer: field"),
        ({"composite": [_EXACT, {**_SHORT, "weight": 0}]}, "weight of part 2 of the composite"),
        ({"composite": [_EXACT, {**_SHORT, "weight": -1}]}, "should be greater than 0"),
        ({"composite": [_EXACT, {**_SHORT, "weight": float("nan")}]}, "weight of part 2"),
        ({"composite": [_EXACT, {**_SHORT, "weight": float("inf")}]}, "a finite number"),
        ({"composite": [_EXACT, {**_SHORT, "weight": True}]}, "a valid number"),
        ({"composite": [_EXACT, {"scorer": _BOTH}]}, "a part of a composite scorer cannot be one"),
        ({"composite": [_EXACT, {"scorer": "lenth"}]}, "did you mean 'length'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_that_says_where(declared: Any, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        instrument(declared, "suites.sums.scorer")
    line = caught.value.line()
    assert said in line
    assert "suites.sums.scorer" in line
    assert "\n" not in line


def test_the_check_before_a_run_tells_what_is_wrong_with_more_scorers(tmp_path: Path) -> None:
    suites = {
        "sums": {"scorer": "numeric", "also": ["exact", {"name": "length", "at_mots": 3}]},
        "twice": {"scorer": "exact", "also": ["exact_match", "exact"]},
        "fine": {"scorer": _BOTH, "also": ["exact", _BOTH["composite"][1]["scorer"]]},
    }
    settings = parse_settings({"suites": suites}, base=str(tmp_path))
    found = find_problems(settings, RunRequest(stages=("gate",)), every_release=False)
    assert [problem.key for problem in found] == ["suites.sums.also", "suites.twice.also"]
    assert "did you mean 'at_most'" in found[0].message
    assert "the suite 'twice' has the scorer exact twice" in found[1].message
    with pytest.raises(UsageError, match="a table with its name"):
        parse_settings({"suites": {"sums": {"also": ["exact", 3]}}}, base=".")


def test_more_scorers_are_no_part_of_what_is_decided_by() -> None:
    def declared(**more: Any) -> Any:
        settings = parse_settings({"suites": {"sums": {"scorer": "exact", **more}}}, base=".")
        (rule,) = suite_rules(settings, {"sums"})
        return rule.also, policy([rule], gate_rule(settings))

    also, decides = declared(also=["exact_match", {"name": "length", "at_most": 3}])
    assert also == ("exact_match", "length(at_most=3)")
    assert decides == declared()[1]
