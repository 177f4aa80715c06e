"""A scorer as a suite declares it: parameters, names that scores are kept under, errors."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UsageError
from tasks.model.answer import Answer
from tasks.model.run import RunRequest
from tasks.model.sample import Sample
from tasks.preflight import find_problems
from tasks.scoring import KINDS, instrument
from tasks.scoring.effective import counted_scorers
from tasks.scoring.instrument import parts
from tasks.scoring.registry import Kind
from tasks.scoring.suites import suite_rules
from tasks.settings import parse_settings
from tests.sandboxed import require_sandbox


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_example_is_what_it_says(kind: Kind) -> None:
    example = kind.example
    if kind.package:
        pytest.importorskip(kind.package)
    if kind.unless_allowed:
        require_sandbox()
    scorer = instrument({"name": kind.name, **example.parameters}, allow_code=True)
    right, wrong = (scorer.score(text, example.target) for text in (example.right, example.wrong))
    assert right.value == 1.0, right
    assert wrong.value == 0.0, wrong


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_parameter_is_explained(kind: Kind) -> None:
    assert all(field.description for field in kind.parameters.model_fields.values())


def test_parameters_are_part_of_the_name_that_scores_are_kept_under() -> None:
    plain, wide = instrument("numeric"), instrument({"name": "numeric", "tolerance": 0.01})
    assert (plain.metric, plain.version) == ("numeric", "numeric@1")
    assert (wide.metric, wide.version) == ("numeric(tolerance=0.01)", "numeric@1(tolerance=0.01)")
    assert plain.score("3.14", "3.14159").value == 0.0
    assert wide.score("3.14", "3.14159").value == 1.0
    assert instrument({"name": "numeric", "tolerance": 1e-9}).metric == "numeric"
    assert parts(wide.version) == (wide.metric, 1)
    assert parts("exact_match@10") == ("exact_match", 10)
    assert parts("exact_match") == ("exact_match", -1)


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ("exact_mach", "unknown scorer 'exact_mach': did you mean 'exact_match'"),
        ({"name": "nummeric"}, "did you mean 'numeric'"),
        ({"tolerance": 1}, "a scorer without a name"),
        ({"name": "numeric", "tolerence": 1}, "no parameter 'tolerence': did you mean 'tolerance'"),
        ({"name": "numeric", "tolerance": -1}, "of the scorer numeric: input should be g"),
        ({"name": "numeric", "tolerance": "1"}, "tolerance of the scorer numeric: input should be"),
        ({"name": "numeric", "tolerance": float("nan")}, "should be a finite number"),
        ({"name": "exact_match", "case": True}, "the scorer exact_match has no parameter 'case'"),
        ({"name": ["numeric"]}, "unknown scorer"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_that_names_the_nearest(declared: Any, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        instrument(declared, "suites.sums.scorer")
    assert said in caught.value.line()
    assert "suites.sums.scorer" in caught.value.line()
    assert "\n" not in caught.value.line()


def test_a_missing_library_is_one_line_that_names_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = importlib.import_module("tasks.scoring.instrument")
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(UsageError) as caught:
        instrument("maths", "suites.sums.scorer")
    assert "the scorer maths needs math-verify, which is not installed" in caught.value.line()
    assert "pip install 'llm-flywheel[scorers]'" in caught.value.line()
    assert instrument("rouge_l").score("a", "a").value == 1.0


def test_the_check_before_a_run_tells_it_by_its_key(tmp_path: Path) -> None:
    suites = {
        "sums": {"scorer": {"name": "numeric", "tolerence": 1}},
        "words": {"scorer": {"name": "numeric", "tolerance": 0.1}},
    }
    settings = parse_settings({"suites": suites}, base=str(tmp_path))
    (problem,) = find_problems(settings, RunRequest(stages=("gate",)), every_release=False)
    assert problem.key == "suites.sums.scorer"
    assert "did you mean 'tolerance'" in problem.message
    with pytest.raises(UsageError, match="a table with its name"):
        parse_settings({"suites": {"sums": {"scorer": 3}}}, base=".")


def test_scores_by_other_parameters_are_not_counted() -> None:
    declared = {"suites": {"sums": {"scorer": {"name": "numeric", "tolerance": 0.01}}}}
    (rule,) = suite_rules(parse_settings(declared, base="."), {"sums"})
    sample = Sample("s", "sums", None, (), None, "1", "gold", "suite")
    kept = [
        Answer(0.0, scorer="numeric@7"),
        Answer(1.0, scorer="numeric@2(tolerance=0.01)"),
        Answer(1.0, scorer="numeric@9(tolerance=0.1)"),
    ]
    counted = counted_scorers([sample], [{("s", 0): kept}], {"sums": rule.metric})
    assert counted == {"sums": "numeric@2(tolerance=0.01)"}
