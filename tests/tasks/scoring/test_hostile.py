"""No answer keeps a scorer busy, and none makes it break."""

from __future__ import annotations

import importlib.util
import time

import pytest

from tasks.scoring import KINDS, instrument
from tasks.scoring.registry import Kind

_MB = 1_000_000
HOSTILE = {
    "digits": "1" * _MB,
    "grouped": "1,111" * (_MB // 5) + "x",
    "letters": "a" * _MB,
    "blanks": " \n" * (_MB // 2),
    "brackets": "[" * _MB,
    "braces": '{"a":' * (_MB // 5),
    "calls": '{"name": "a", "arguments": {}}' * (_MB // 30),
    "stars": "*" * _MB,
    "angles": "<<" * (_MB // 2),
    "marks": "e\u0301" * (_MB // 2),
    "wide": "\ufdfa" * (_MB // 20),
    "surrogates": "\ud800" * 1000,
    "nul": "\0" * 1000,
    "deep": '{"name": ' + "[" * 400 + "]" * 400 + "}",
}
#: targets at which much is looked at
_TARGETS = {
    "regex": r"(a+)+\Z!",
    "json_fields": '{"a": 1}',
    "json_schema": '{"pattern": "^(1+)+$", "type": ["string", "array", "object"]}',
    "tool_call": '{"name": "a", "arguments": {}}',
    "refusal": "refusal",
    "language": "en",
    "numeric": "11",
    "code_execution": "assert True",
    "instructions": '{"instruction_id_list": ["detectable_content:number_placeholders", '
    '"detectable_content:postscript", "detectable_format:number_bullet_lists", '
    '"detectable_format:title", "detectable_format:number_highlighted_sections", '
    '"detectable_format:json_format", "length_constraints:number_paragraphs"], "kwargs": '
    '[{"num_placeholders": 9}, {"postscript_marker": "P.S."}, {"num_bullets": 1}, {}, '
    '{"num_highlights": 2}, {}, {"num_paragraphs": 2}]}',
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_an_answer_of_a_megabyte_takes_seconds_and_breaks_nothing(kind: Kind) -> None:
    if kind.package and importlib.util.find_spec(kind.package) is None:
        pytest.skip(f"not installed: {kind.package} (make test-all)")
    declared = {"name": kind.name, **({"timeout_s": 1} if kind.name == "maths" else {})}
    scorer = instrument(declared, allow_code=True)
    for name, text in HOSTILE.items():
        start = time.monotonic()
        result = scorer.score(text, _TARGETS.get(kind.name, "a target"))
        took = time.monotonic() - start
        assert "broke" not in result.explanation, (name, result.explanation[:300])
        assert took < 20, (name, took)


@pytest.mark.needs("math_verify")
def test_a_formula_that_takes_for_ever_is_unscored_and_the_next_one_judged() -> None:
    scorer = instrument({"name": "maths", "timeout_s": 1})
    result = scorer.score("$9^{9^{9^{9}}}$", "$9^{9^{9^{9}}}+1$")
    assert result.unscored_reason == "equals failed: it takes more than 1 s of processor time"
    assert scorer.score("$7$", "7").value == 1.0


def test_nothing_is_fetched_for_a_schema() -> None:
    schema = '{"$ref": "http://127.0.0.1:9/schema.json"}'
    result = instrument("json_schema").score("{}", schema)
    assert "Unresolvable" in (result.unscored_reason or "")
