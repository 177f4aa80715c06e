"""Answers that follow a JSON schema, schemas that are refused, the extra that may be missing."""

from __future__ import annotations

import importlib.util
import json
import sys
from typing import Any
from unittest.mock import Mock

import pytest

from engine import LLM, SamplingParams
from engine.errors import InvalidRequestError
from engine.sampling import grammar
from engine.sampling.grammar import Guide
from engine.sampling.schema import check_schema
from tests.work import Work, assert_linear

needs_library = pytest.mark.skipif(
    importlib.util.find_spec("llguidance") is None, reason="the extra `structured` is not installed"
)
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 5, "pattern": "^[a-z]+$"},
        "mood": {"enum": ["good", "bad"]},
        "age": {"type": "integer", "minimum": 0, "maximum": 99},
    },
    "required": ["name", "mood", "age"],
    "additionalProperties": False,
}


def follow(schema: Any, **changes: Any) -> SamplingParams:
    return SamplingParams(**({"max_tokens": 120, "json_schema": schema} | changes))


@needs_library
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_answer_follows_the_schema(chatty: LLM, temperature: float):
    params = [
        follow(PERSON, temperature=temperature, seed=seed, max_tokens=500) for seed in range(4)
    ]
    for completion in chatty.generate(["Tell me:"] * 4, params):
        assert completion.finish_reason == "stop"
        value = json.loads(completion.text)
        assert list(value) == ["name", "mood", "age"]
        assert value["mood"] in ("good", "bad")
        assert 0 <= value["age"] <= 99
        assert value["name"].isalpha()


@needs_library
def test_same_answer_alone_in_a_batch_and_after_preemption(chatty: LLM, tiny_model: Any):
    params = [follow(PERSON, temperature=1.0, seed=seed, logprobs=1) for seed in range(5)]
    prompts = [f"{'x' * (30 + 9 * i)} Who?" for i in range(5)]
    together = chatty.generate([*prompts, "free"], [*params, SamplingParams(max_tokens=30)])
    chatty._engine.reset()
    alone = [chatty.generate([p], s)[0] for p, s in zip(prompts, params, strict=True)]
    assert [(c.token_ids, c.logprobs) for c in together[:-1]] == [
        (c.token_ids, c.logprobs) for c in alone
    ]
    block_bytes = 2 * 2 * 2 * 8 * 4 * 32
    tight = LLM(tiny_model, device="cpu", dtype="float32", kv_cache_bytes=9 * block_bytes)
    assert [c.text for c in tight.generate(prompts, params)] == [c.text for c in alone]
    assert tight.stats().num_preemptions > 0


@needs_library
def test_cut_answer_says_so_and_is_still_a_beginning(chatty: LLM):
    completion = chatty.generate(["x"], follow(PERSON, max_tokens=9))[0]
    assert completion.finish_reason == "length"
    assert completion.text.replace(" ", "").replace("\n", "")[:2] in ("{", '{"')


@needs_library
def test_schema_is_compiled_once_and_few_are_kept(chatty: LLM):
    grammars = grammar.Grammars(chatty.tokenizer, 259, [2])
    first = grammars.start(Guide(json.dumps(PERSON)))
    assert grammars.start(Guide(json.dumps(PERSON)))._prototype is first._prototype
    for number in range(grammar.MAX_GRAMMARS + 3):
        grammars.start(Guide(json.dumps({"const": number})))
    assert len(grammars._compiled) == grammar.MAX_GRAMMARS


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


HOSTILE = {
    "endless": ('{"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}', "in a circle"),
    "too long": ('{"const": "' + "x" * 70_000 + '"}', "65536 are allowed"),
    "too deep": (nested(40), "32 levels deep"),
    "far too deep": ("[" * 30_000, "too deep"),
    "out to the network": ('{"$ref": "https://example.com/schema.json"}', "nothing is fetched"),
    "a file": ('{"items": {"$ref": "file:///etc/passwd"}}', "nothing is fetched"),
    "work that doubles": (
        json.dumps({"allOf": [{"type": "string", "pattern": f"^.*a.{{{i}}}$"} for i in range(40)]}),
        "12 are allowed",
    ),
    "no JSON": ("{", "not valid JSON"),
    "no object": ("3", "must be an object"),
}
REFUSED = {
    "unknown type": ('{"type": "nope"}', "Invalid type: nope"),
    "pointer to nowhere": ('{"$ref": "#/$defs/x"}', "does not exist"),
    "regex beyond the library": ('{"type": "string", "pattern": "a(?=b)"}', "refused"),
}


@pytest.fixture
def library(chatty: LLM, monkeypatch: pytest.MonkeyPatch) -> Mock:
    """llguidance, and what it is asked for; nothing is compiled yet."""
    installed = importlib.util.find_spec("llguidance") is not None
    spy = Mock(wraps=importlib.import_module("llguidance") if installed else None)
    monkeypatch.setattr(grammar, "_llguidance", lambda _: spy)
    monkeypatch.setattr(chatty._intake, "_grammars", None)
    return spy


def asked(library: Mock) -> list[str]:
    return [call[0] for call in library.mock_calls if "." not in call[0].removeprefix("LLMatcher.")]


#: of the library, once for a schema: it counts the work of building and of each token by itself
COMPILED_ONCE = ["LLMatcher.grammar_from_json_schema", "LLParserLimits", "LLMatcher"]


@pytest.mark.parametrize(
    ("schema", "reason", "work"),
    [
        *(pytest.param(*case, [], id=name) for name, case in HOSTILE.items()),
        *(
            pytest.param(*case, COMPILED_ONCE, id=name, marks=needs_library)
            for name, case in REFUSED.items()
        ),
    ],
)
def test_hostile_schema_is_refused_and_the_others_finish(
    chatty: LLM, library: Mock, schema: str, reason: str, work: list[str]
):
    bad, good = chatty.generate(["a", "b"], [follow(schema), SamplingParams(max_tokens=3)])
    assert reason in (bad.error or "")
    assert bad.finish_reason == "error"
    assert good.error is None
    # what is refused before the library sees it costs it nothing
    assert asked(library) == work


@pytest.mark.parametrize(
    "schema_of",
    [
        lambda n: {"enum": [f"x{i}" for i in range(n)]},
        lambda n: {"properties": {f"x{i}": {"allOf": []} for i in range(n)}},
        lambda n: {"items": [{"type": "string"}] * n},
    ],
    ids=["enum", "properties", "list"],
)
def test_a_schema_is_checked_in_linear_work(schema_of: Any):
    assert_linear(lambda n: Work().of(lambda: check_schema(json.dumps(schema_of(n)))), 400)


@needs_library
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "(a|b|c|d){1,5000}{1,5000}"},
        {"type": "array", "minItems": 10**6, "items": {"type": "array", "minItems": 10**6}},
        {"type": "string", "minLength": 10**9},
        {"enum": [f"x{i}" for i in range(6000)]},
    ],
    ids=["regex", "arrays", "length", "enum"],
)
def test_large_but_harmless_schema_costs_little(
    chatty: LLM, library: Mock, monkeypatch: pytest.MonkeyPatch, schema: dict[str, Any]
):
    masks = Mock(side_effect=grammar.GrammarState.allowed, autospec=True)
    monkeypatch.setattr(grammar.GrammarState, "allowed", lambda state: masks(state))
    chatty.generate(["a"], follow(schema, max_tokens=4))
    assert asked(library) == COMPILED_ONCE
    assert 1 <= masks.call_count <= 4
    library.LLParserLimits.assert_called_once_with(**grammar.LIMITS)
    assert library.LLMatcher.call_args.kwargs["limits"].initial_lexer_fuel == 500_000
    assert library.LLMatcher.call_args.kwargs["limits"].step_lexer_fuel == 200_000


@needs_library
def test_the_work_of_the_library_is_bounded_below_its_defaults():
    defaults = importlib.import_module("llguidance").LLParserLimits()
    for name, limit in grammar.LIMITS.items():
        assert limit <= getattr(defaults, name)


def test_missing_extra_prints_the_install_line(chatty: LLM, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "llguidance", None)
    monkeypatch.setattr(chatty._intake, "_grammars", None)
    bad, good = chatty.generate(["a", "b"], [follow(PERSON), SamplingParams(max_tokens=2)])
    assert "pip install 'llm-flywheel[structured]'" in (bad.error or "")
    assert good.error is None


def test_model_without_tokenizer_cannot_follow_a_schema(plain: LLM):
    assert "no tokenizer" in (plain.generate([[1]], follow(PERSON))[0].error or "")


def test_schema_that_is_no_json_value_is_refused_when_made():
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    for schema in (loop, {"a": object()}):
        with pytest.raises(InvalidRequestError, match="cannot be written as JSON"):
            SamplingParams(json_schema=schema)
    with pytest.raises(InvalidRequestError, match="min_tokens is 3"):
        SamplingParams(json_schema="{}", min_tokens=3)


def test_params_with_a_schema_are_hashable():
    assert hash(SamplingParams(json_schema=PERSON)) == hash(SamplingParams(json_schema=PERSON))


A_TO_B = {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/a", "$defs": A_TO_B},
        {"type": "object", "$ref": "#"},
        {"allOf": [{"type": "object"}, {"$ref": "#"}]},
        {"type": "object", "properties": {"x": {"$ref": "#/properties/x"}}, "required": ["x"]},
        {"items": {"allOf": [{"allOf": [{"$ref": "#/items"}]}]}},
        {"$defs": {"a/b~": {"$ref": "#/$defs/a~1b~0"}}},
        {"anyOf": [{"$ref": "#/%61nyOf/0"}, {"type": "null"}]},
        {"$defs": A_TO_B, "properties": {"x": {"type": "string"}}},
    ],
)
def test_reference_that_leads_to_nothing_but_itself_is_refused(chatty: LLM, schema: dict[str, Any]):
    [completion] = chatty.generate(["a"], follow(schema))
    assert "refers in a circle" in (completion.error or "")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"x": {"$ref": "#"}}},
        {"type": "array", "items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"$ref": "#"}}},
        {
            "$ref": "#/$defs/a",
            "$defs": {
                "a": {
                    "allOf": [{"$ref": "#/$defs/b"}] * 2,
                },
                "b": {},
            },
        },
        {"$ref": "#/nowhere"},
        {"$ref": "#/items/7", "items": [{}]},
        {"anyOf": [{"type": "array", "items": {"$ref": "#"}}, {"type": "null"}]},
    ],
)
def test_reference_through_a_member_or_twice_to_one_place_is_no_circle(schema: dict[str, Any]):
    check_schema(json.dumps(schema))


def test_circles_are_looked_for_in_linear_work():
    def chain(n: int) -> str:
        return json.dumps({f"{i}": {"$ref": f"#/{i + 1}"} for i in range(n)})

    assert_linear(lambda n: Work().of(lambda: check_schema(chain(n))), 400)
