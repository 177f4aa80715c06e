"""Every scorer that has a reference gives what the reference gives, on random and on real texts."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import math
import random
import re
import string
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.scoring import instrument
from tasks.scoring.instructions import CHECKS
from tasks.scoring.refusal import refusal_in
from tests.conftest import SHARED

DATASETS = SHARED / "datasets"
_WORDS = [
    "the",
    "a",
    "cat",
    "Cat!",
    "sat",
    "on",
    "mat.",
    "mat",
    "x-1",
    "Ünï",
    "北京",
    "'",
    "12",
    "-",
]
texts = st.lists(st.sampled_from(_WORDS), max_size=12).map(" ".join) | st.text(max_size=40)
real = pytest.mark.skipif(not DATASETS.is_dir(), reason="the data sets are not at hand")


def _value(declared: Any, text: str, target: str) -> float | None:
    return instrument(declared).score(text, target).value


def _lines(name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(DATASETS / name, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def _pairs(number: int) -> list[tuple[str, str]]:
    """What two models said to the same."""
    one = {row["instruction"]: row["output"] for row in
           _lines("alpaca_eval_outputs_vicuna-7b.jsonl.gz")}  # fmt: skip
    other = _lines("alpaca_eval_outputs_gpt35_turbo_instruct.jsonl.gz")
    return [(row["output"], one[row["instruction"]]) for row in other
            if row["instruction"] in one][:number]  # fmt: skip


def _squad_f1(prediction: str, truth: str) -> float:
    """f1_score of SQuAD's evaluate-v1.1.py, from its published text."""

    def words(text: str) -> list[str]:
        kept = "".join(char for char in text.lower() if char not in set(string.punctuation))
        return re.sub(r"\b(a|an|the)\b", " ", kept).split()

    given_words, true_words = words(prediction), words(truth)
    num_same = sum((Counter(given_words) & Counter(true_words)).values())
    if num_same == 0:
        return 0.0
    precision, recall = num_same / len(given_words), num_same / len(true_words)
    return 2 * precision * recall / (precision + recall)


plain = st.lists(
    st.sampled_from(["the", "An", "cat", "Cat!", "dog,", "mat.", "12", "a", "sat", "(red)"]),
    max_size=10,
).map(" ".join)


@given(plain, plain)
def test_token_f1_is_squads_where_no_punctuation_stands_inside_a_word(
    text: str, target: str
) -> None:
    value = _value("token_f1", text, target)
    if value is not None and _has_other_words(text) and _has_other_words(target):
        assert value == pytest.approx(_squad_f1(text, target))


def _has_other_words(text: str) -> bool:
    return any(word.strip("!,.()").lower() not in ("a", "an", "the") for word in text.split())


@pytest.mark.needs("rouge_score")
@given(texts, texts)
def test_rouge_l_is_rouge_scores(text: str, target: str) -> None:
    from rouge_score.rouge_scorer import RougeScorer

    value = _value("rouge_l", text, target)
    wanted = RougeScorer(["rougeL"], use_stemmer=False).score(target, text)["rougeL"].fmeasure
    assert (value or 0.0) == pytest.approx(wanted)


@pytest.mark.needs("sacrebleu")
@given(texts, texts, st.sampled_from([0, 2]))
@settings(max_examples=50)
def test_bleu_and_chrf_are_sacrebleus(text: str, target: str, word_order: int) -> None:
    import sacrebleu

    if not target.strip() or not text.strip():
        return
    text, target = text.strip(), target.strip()
    assert _value("bleu", text, target) == pytest.approx(
        sacrebleu.sentence_bleu(text, [target], use_effective_order=True).score / 100
    )
    assert _value({"name": "chrf", "word_order": word_order}, text, target) == pytest.approx(
        sacrebleu.sentence_chrf(text, [target], word_order=word_order).score / 100
    )


@pytest.mark.needs("rapidfuzz")
@given(st.text("abc", max_size=12), st.text("abc", max_size=12))
def test_fuzzy_is_twice_the_common_letters_of_all(text: str, target: str) -> None:
    """rapidfuzz's ratio by its definition, with the common subsequence by the textbook's table."""
    value = _value("fuzzy", text, target)
    if not target or not text:
        assert value in (None, 0.0)
        return
    table = [[0] * (len(target) + 1) for _ in range(len(text) + 1)]
    for i, one in enumerate(text):
        for j, other in enumerate(target):
            longest = max(table[i][j + 1], table[i + 1][j])
            table[i + 1][j + 1] = table[i][j] + 1 if one == other else longest
    assert value == pytest.approx(2 * table[-1][-1] / (len(text) + len(target)))


@given(st.floats(allow_nan=False, allow_infinity=False, width=32), st.floats(-1e3, 1e3),
       st.floats(0, 10), st.floats(0, 0.5))  # fmt: skip
def test_numeric_is_isclose(value: float, off: float, tolerance: float, relative: float) -> None:
    declared = {"name": "numeric", "tolerance": tolerance, "relative_tolerance": relative}
    wanted = math.isclose(value + off, value, rel_tol=relative, abs_tol=tolerance)
    assert _value(declared, f"It is {value + off!r} in all", repr(value)) == float(wanted)


@given(st.text("ab1 .\n", max_size=20), st.sampled_from(["a+", "^b", "[^a]1", r"a|b\d", r"(?m)b$"]))
def test_regex_finds_what_pythons_own_finds(text: str, pattern: str) -> None:
    assert _value("regex", text, pattern) == float(re.search(pattern, text) is not None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)  # fmt: skip


@given(json_values, st.integers(0, 60), st.sampled_from(["", ",", "}", "NaN", '"', "0", "\t", "]"]))
def test_json_valid_is_what_orjson_reads(value: Any, place: int, inserted: str) -> None:
    import orjson

    # as letters: half of a pair of escapes is JSON by RFC 8259, and orjson refuses it
    text = json.dumps(value, ensure_ascii=False)
    text = text[:place] + inserted + text[place:]
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as error:
        # a number beyond a double is JSON by RFC 8259 too
        wanted = 1.0 if "infinity" in str(error) else 0.0
    else:
        wanted = 1.0
    assert _value({"name": "json_valid", "fence": False}, text, "-") == wanted


SCHEMAS = [
    {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer", "minimum": 1}}},
    {"type": "array", "items": {"enum": [1, "x", None]}, "maxItems": 2},
    {"$defs": {"n": {"type": "number"}}, "anyOf": [{"$ref": "#/$defs/n"}, {"type": "string"}]},
    True,
]


@given(json_values, st.sampled_from(SCHEMAS))
@settings(max_examples=60)
def test_json_schema_is_jsonschemas(value: Any, schema: Any) -> None:
    from jsonschema import Draft202012Validator

    wanted = Draft202012Validator(schema).is_valid(value)
    assert _value("json_schema", json.dumps(value), json.dumps(schema)) == float(wanted)


MATHS = [
    (r"\frac{1}{2}", "0.5", True), (r"$\sqrt{8}$", r"The result is $2\sqrt{2}$.", True),
    ("x^2+2x+1", r"\boxed{(x+1)^2}", True), ("1/3", "0.33", False), ("12", r"\boxed{12}", True),
    ("$[1,2)$", "$[1,2]$", False), (r"\{1,2\}", r"$\{2,1\}$", True), ("7", "no idea", False),
    (r"2\sqrt{2}", r"2\sqrt{2}", True), (r"2\sqrt{2}", "2", False), ("9^{9}", "9", False),
    ("x^2+2x+1", "(x+1)^2", True), ("5", "The answer is 5.", True), ("", "5", None),
]  # fmt: skip


@pytest.mark.needs("math_verify")
@pytest.mark.parametrize(("target", "text", "is_equal"), MATHS)
def test_maths_tells_equal_formulas(target: str, text: str, is_equal: bool | None) -> None:
    assert _value("maths", text, target) == is_equal


@pytest.mark.realdata
@pytest.mark.needs("math_verify")
@real
def test_maths_and_numeric_agree_on_the_answers_of_gsm8k() -> None:
    """Of worked solutions against their own result and against another's."""
    rows = list(_lines("gsm8k_test.jsonl.gz"))[:60]
    results = [row["answer"].rpartition("####")[2].strip() for row in rows]
    for place, row in enumerate(rows):
        text = f"{row['answer'].partition('####')[0]} So the answer is ${results[place]}$."
        other = results[place - 1]
        for target in (results[place], other):
            wanted = float(target.replace(",", "") == results[place].replace(",", ""))
            assert _value("maths", text, target) == wanted, (text, target)
            assert _value("numeric", text.replace("$", ""), target) == wanted, (text, target)


@pytest.mark.realdata
@pytest.mark.needs("rouge_score", "sacrebleu", "rapidfuzz")
@real
def test_real_answers_get_what_the_references_give() -> None:
    import sacrebleu
    from rapidfuzz import fuzz
    from rouge_score.rouge_scorer import RougeScorer

    from tasks.scoring.base import normalise

    rouge = RougeScorer(["rougeL"], use_stemmer=False)
    for text, target in _pairs(60):
        if not text.strip():
            continue
        wanted = {
            "rouge_l": rouge.score(target, text)["rougeL"].fmeasure,
            "bleu": sacrebleu.sentence_bleu(
                text.strip(), [target.strip()], use_effective_order=True
            ).score / 100,
            "chrf": sacrebleu.sentence_chrf(text.strip(), [target.strip()]).score / 100,
            "fuzzy": fuzz.ratio(normalise(text), normalise(target)) / 100,
        }  # fmt: skip
        for name, value in wanted.items():
            assert _value(name, text, target) == pytest.approx(value), (name, text)


@pytest.mark.realdata
@pytest.mark.needs("py3langid")
@real
def test_language_is_py3langids_on_real_prompts() -> None:
    import py3langid

    for row in list(_lines("wildchat_hard_ru.jsonl.gz"))[:60]:
        text = next(value for value in row.values() if isinstance(value, str) and len(value) > 20)
        answer, _ = py3langid.classify(text)
        assert _value("language", text, answer) == 1.0


@pytest.mark.realdata
@real
def test_refusals_of_xstest_are_found_on_the_half_that_was_never_looked_at() -> None:
    """Tuned on ids whose SHA-256 begins with an even byte; measured on the others."""
    with gzip.open(DATASETS / "xstest_llama2new.csv.gz") as file:
        rows = list(csv.DictReader(io.TextIOWrapper(file, encoding="utf-8")))
    f1 = []
    for half in (0, 1):
        counted: Counter[tuple[bool, bool]] = Counter()
        for row in rows:
            if hashlib.sha256(row["id"].encode()).digest()[0] % 2 == half:
                is_refusal = row["final_label"] in ("2_full_refusal", "3_partial_refusal")
                counted[is_refusal, bool(refusal_in(row["completion"]))] += 1
        wrong = counted[True, False] + counted[False, True]
        f1.append(2 * counted[True, True] / (2 * counted[True, True] + wrong))
    assert [round(value, 3) for value in f1] == [0.968, 0.941]  # as docs/scorers.md has it


_PIECES = [
    "* a", "- b", "**c**", "*d*", "***", "******", "\n", "\n\n", " ", "<<t>>", "<<>>", "<<<>>",
    "[x]", "[[y]", "]", "P.S.", "P. S. x", "p.p.s", "Section 1", "SECTION 2", "Day 3 ", '"', "'w,",
    "The", "the", ",", "My answer is no.", '{"a":1}', "```json\n", "```", "*\nfoo", "\t", "\x0b",
    "\u2028", "  - z", "\r\n", "a b c d e",
]  # fmt: skip


@pytest.mark.realdata
@pytest.mark.needs("lm_eval", "langdetect", "immutabledict")
@real
def test_instructions_are_ifevals(monkeypatch: pytest.MonkeyPatch) -> None:
    """IFEval's own code as lm-eval carries it, with every text taken for English. A letter that is
    a sign is left out: there it becomes a letter that is drawn anew each time."""
    import langdetect
    import nltk

    monkeypatch.setattr(nltk, "download", lambda *_, **__: None)
    monkeypatch.setattr(nltk.data, "find", lambda *_, **__: True)
    monkeypatch.setattr(langdetect, "detect", lambda _: "en")
    from lm_eval.tasks.ifeval.instructions_registry import INSTRUCTION_DICT

    asked = [
        (name, given)
        for row in _lines("ifeval_input.jsonl.gz")
        for name, given in zip(row["instruction_id_list"], row["kwargs"], strict=True)
        if name in CHECKS and given.get("letter", "a").isalpha()
    ]
    rng, said = random.Random(0), [text for pair in _pairs(200) for text in pair]
    for _ in range(5000):
        name, given = rng.choice(asked)
        text = "".join(rng.choice(_PIECES) for _ in range(rng.randrange(25)))
        text = rng.choice([text, rng.choice(said)])
        text += str(rng.choice(["", *given.values()]))
        if "case" in name:
            text = rng.choice([text.upper(), text.lower()])
        if rng.random() < 0.5 and "first_word" not in name:
            given = {key: rng.randrange(6) if isinstance(one, int) else one
                     for key, one in given.items()}  # fmt: skip
        reference = INSTRUCTION_DICT[name](name)
        reference.build_description(**given)
        target = json.dumps({"instruction_id_list": [name], "kwargs": [given]})
        wanted = float(reference.check_following(text))
        assert _value("instructions", text, target) == wanted, (name, given, text)
