from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.scoring import KINDS, Score, instrument
from tasks.scoring.token_f1 import words

CASES = [
    ("exact_match", "Oslo", "oslo", 1.0),
    ("exact_match", ' "Oslo." \n', "Oslo", 1.0),
    ("exact_match", "Ｏｓｌｏ", "Oslo", 1.0),
    ("exact_match", "STRASSE", "straße", 1.0),
    ("exact_match", "Oslo, Norway", "Oslo", 0.0),
    ("exact_match", "Bergen", "Oslo\nBergen", 1.0),
    ("exact_match", "", "Oslo", 0.0),
    ("exact_match", "anything", " \n ", None),
    ("exact_match", "anything", "...", None),
    ("includes", "It is Oslo, of course.", "oslo", 1.0),
    ("includes", "Osloer", "Oslo", 0.0),
    ("includes", "a  b\nc", "b c", 1.0),
    ("includes", "text", "", None),
    ("choice", "good", "good | bad", 1.0),
    ("choice", "Good.", "good | bad", 1.0),
    ("choice", "The message is good", "good | bad", 1.0),
    ("choice", "bad", "good | bad", 0.0),
    ("choice", "good or bad", "good | bad", 0.0),
    ("choice", "goodness", "good | bad", 0.0),
    ("choice", "\n\ngood\nbad is worse", "good | bad", 1.0),
    ("choice", "", "good | bad", 0.0),
    ("choice", "unhappy", "happy", 0.0),
    ("choice", "happy", "happy", 1.0),
    ("choice", "no", " | no", None),
    ("numeric", "The total is 1,234.50 euros", "1234.5", 1.0),
    ("numeric", "3 + 4 = 7", "7", 1.0),
    ("numeric", "-3", "-3", 1.0),
    ("numeric", "−3", "-3", 1.0),
    ("numeric", "2e3", "2000", 1.0),
    ("numeric", "12%", "12", 1.0),
    ("numeric", "7.", "7", 1.0),
    ("numeric", "v12345", "12345", 0.0),
    ("numeric", "3-4", "4", 1.0),
    ("numeric", "none", "7", 0.0),
    ("numeric", "7", "seven", None),
    ("numeric", "7", "7 or 8", None),
    ("json_fields", '{"order": "FW-1"}', '{"order": "FW-1"}', 1.0),
    ("json_fields", 'Sure! ```json\n{"order": "fw-1"}\n```', '{"order": "FW-1"}', 1.0),
    ("json_fields", '{"a": 1, "b": 2}', '{"a": 1, "b": 3}', 0.5),
    ("json_fields", '{"a": 1.0, "c": 9}', '{"a": 1}', 1.0),
    ("json_fields", '{"a": true}', '{"a": 1}', 0.0),
    ("json_fields", '{"a": [1, {"b": null}]}', '{"a": [1, {"b": null}]}', 1.0),
    ("json_fields", "{broken} {\"a\": 1}", '{"a": 1}', 1.0),
    ("json_fields", "FW-1", '{"order": "FW-1"}', 0.0),
    ("json_fields", "[1]", '{"order": "FW-1"}', 0.0),
    ("json_fields", "{}", "[]", None),
    ("json_fields", "{}", "{}", None),
    ("json_fields", "{}", "not json", None),
    ("token_f1", "the cat sat", "a cat sat", 1.0),
    ("token_f1", "cat", "cat dog", 2 / 3),
    ("token_f1", "dog", "cat", 0.0),
    ("token_f1", "", "cat", 0.0),
    ("token_f1", "cat cat", "cat", 2 / 3),
    ("token_f1", "北京", "北京市", 0.8),
    ("token_f1", "anything", "?!", None),
    ("token_f1", "The", "the", 1.0),
]  # fmt: skip


def score(name: str, text: str, target: str) -> Score:
    return instrument(name).score(text, target)


@pytest.mark.parametrize(("name", "text", "target", "value"), CASES)
def test_scorer_gives_the_value_and_says_why(
    name: str, text: str, target: str, value: float | None
) -> None:
    result = score(name, text, target)
    assert result.value == (pytest.approx(value) if value is not None else None)
    assert result.explanation
    assert (result.unscored_reason is None) == (value is not None)


@given(
    st.sampled_from(sorted(name for name, kind in KINDS.items() if kind.bound is None)),
    st.text(max_size=60),
    st.text(max_size=60),
)
def test_no_text_breaks_a_scorer(name: str, text: str, target: str) -> None:
    result = score(name, text, target)
    assert result.value is None or 0 <= result.value <= 1
    assert "broke" not in result.explanation


@given(st.sampled_from(["exact_match", "includes", "token_f1"]), st.text(max_size=60))
def test_an_answer_equal_to_its_target_is_right_or_the_target_is_unusable(
    name: str, text: str
) -> None:
    result = score(name, text, text.splitlines()[0] if text.splitlines() else "")
    if text.splitlines() == [text]:
        assert result.value in (1.0, None)


def test_deeply_nested_json_is_wrong_not_an_error() -> None:
    deep = '{"a": ' * 5000
    assert score("json_fields", deep, '{"a": 1}').value == 0.0
    assert score("json_fields", '{"a": 1}', deep).value is None


def test_a_flood_of_braces_is_bounded() -> None:
    assert score("json_fields", "{" * 200_000, '{"a": 1}').value == 0.0


def test_scorer_that_breaks_leaves_the_sample_unscored(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: str, target: str) -> Score:
        raise RuntimeError("boom")

    kind = replace(KINDS["exact_match"], function=broken)
    monkeypatch.setitem(KINDS, "exact_match", kind)
    result = score("exact_match", "a", "a")
    assert result.value is None
    assert result.unscored_reason == "the scorer exact_match broke: RuntimeError: boom"


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_score_outside_its_range_is_a_bug(value: float) -> None:
    with pytest.raises(ValueError, match="0 to 1"):
        Score(value, None, "")


def test_a_score_has_either_a_value_or_a_reason() -> None:
    with pytest.raises(ValueError, match="never both"):
        Score(None, None, "")
    with pytest.raises(ValueError, match="never both"):
        Score(1.0, None, "", "reason")


def test_answers_and_explanations_can_be_audited() -> None:
    result = score("json_fields", 'x {"order": "FW-2"}', json.dumps({"order": "FW-1"}))
    assert result.answer == '{"order": "FW-2"}'
    assert result.explanation == "order is 'FW-2', not 'FW-1'"
    assert score("numeric", "about 8", "7").answer == "8"
    assert "several labels: good, bad" in score("choice", "good bad", "good|bad").explanation


def test_words_keep_their_marks_and_unspaced_scripts_split() -> None:
    assert words("हिन्दी भाषा") == ["हिन्दी", "भाषा"]
    assert words("naïve Café, x_y") == ["naïve", "café", "x", "y"]
    assert words("東京タワー2号") == ["東", "京", "タ", "ワ", "ー", "2", "号"]
