from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.answering import needs
from tasks.errors import UsageError
from tasks.model.answer import CompletionKey
from tasks.model.sample import Sample
from tasks.model.served import Served
from tasks.releases.prompts import AS_LOGGED, PromptSet, Turn
from tasks.releases.resolve import ResolvedRelease
from tasks.releases.source import EngineSource
from tasks.scoring.suites import suite_rules
from tasks.settings import SAMPLING_NAMES, SamplingSettings, parse_settings
from tests.tasks.releases.engines import CPU

BRIEF = PromptSet({"words": (Turn("system", "Be brief."),)}, "prompts/one")


def _release(name: str, prompts: PromptSet = AS_LOGGED, model: str = "m") -> ResolvedRelease:
    return ResolvedRelease(
        name=name, digest=f"digest-{name}", model="x",
        source=EngineSource(Path("x"), model, batch_invariant=True, identity=CPU),
        prompts=prompts, sampling=SamplingSettings(),
    )  # fmt: skip


def _sample(number: int, task: str | None = "words", suite: str = "words") -> Sample:
    asked = {"role": "user", "content": f"q{number}"}
    return Sample(f"s{number}", suite, task, (asked,), "logged", "target", "gold", "suite")


def test_both_releases_of_a_sample_stand_side_by_side() -> None:
    wanted = needs.needs([_release("a"), _release("b")], [_sample(1), _sample(2)], range(1))
    assert [(n.release.name, n.sample.sample_id) for n in wanted] == [
        ("a", "s1"), ("b", "s1"), ("a", "s2"), ("b", "s2"),
    ]  # fmt: skip


def test_both_releases_draw_with_the_same_seed() -> None:
    one, two, other = needs.needs([_release("a"), _release("b")], [_sample(1)], range(2))[:3]
    assert one.ask().sampling.seed == two.ask().sampling.seed != other.ask().sampling.seed


def test_every_sampling_key_reaches_the_engine() -> None:
    changed = {"max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "stop": ("x",), "top_k": 4,
               "min_p": 0.1, "repetition_penalty": 1.2, "stop_token_ids": (3,)}  # fmt: skip
    for values in (changed, {"min_tokens": 2}, {"json_schema": "{}"}):
        release = replace(_release("a"), sampling=SamplingSettings(**values))
        params = needs.needs([release], [_sample(1)], range(1))[0].ask().sampling
        assert {name: getattr(params, name) for name in values} == values
    assert {*changed, "min_tokens", "json_schema"} == SAMPLING_NAMES


def test_neighbours_share_a_prompt() -> None:
    samples = [_sample(1, "b"), _sample(2, "a"), _sample(3, "b"), _sample(4, None)]
    wanted = needs.needs([_release("a")], samples, range(1))
    assert [n.sample.sample_id for n in wanted] == ["s4", "s2", "s1", "s3"]


def test_task_without_prompt_names_what_there_is() -> None:
    with pytest.raises(UsageError, match="no prompt for the task other") as caught:
        needs.needs([_release("a", BRIEF)], [_sample(1), _sample(2, "other")], range(1))
    assert "tasks with a prompt: words" in caught.value.line()
    with pytest.raises(UsageError, match=r"\(no name\)"):
        needs.needs([_release("a", BRIEF)], [_sample(1, None)], range(1))


def test_many_tasks_without_prompt_are_counted() -> None:
    samples = [_sample(n, f"t{n}") for n in range(8)]
    with pytest.raises(UsageError, match="t4 and 3 more"):
        needs.needs([_release("a", BRIEF)], samples, range(1))


def test_releases_that_share_an_engine_share_its_chunks() -> None:
    releases = [_release("a"), _release("b"), _release("c", model="other")]
    wanted = needs.needs(releases, [_sample(n) for n in range(3)], range(1))
    found = {
        group[0].release.source.model_digest: needs.chunks(group, 4)
        for group in needs.by_source(wanted)
    }
    assert [len(chunk) for chunk in found["m"]] == [4, 2]
    assert {need.release.name for need in found["m"][0]} == {"a", "b"}
    assert {need.release.name for need in found["other"][0]} == {"c"}


def test_chunk_that_is_half_full_ends_with_its_task() -> None:
    samples = [_sample(n, task) for n, task in enumerate("aaabccd")]
    wanted = needs.needs([_release("a")], samples, range(1))
    chunks = needs.chunks(wanted, 4)
    assert ["".join(need.sample.task or "" for need in chunk) for chunk in chunks] == [
        "aaa", "bcc", "d",
    ]  # fmt: skip


def test_what_is_known_is_not_missing() -> None:
    wanted = needs.needs([_release("a")], [_sample(1), _sample(2)], range(2))
    known = {CompletionKey("digest-a", "s1", 1)}
    assert [need.key for need in needs.missing(wanted, known)] == [
        need.key for need in wanted if need.key not in known
    ]


def test_release_against_itself_is_wanted_once() -> None:
    assert len(needs.distinct([_release("a"), _release("a")])) == 1


def _as_logged(**told: Any) -> SamplingSettings:
    return SamplingSettings(as_logged=True, **told)


def test_what_the_call_told_its_model_is_told_again() -> None:
    tool = {"type": "function", "function": {"name": "find"}}
    served = Served((tool,), {"enable_thinking": False}, True, {"temperature": 0.7})
    (need,) = needs.needs([_release("a")], [replace(_sample(1), served=served)], range(1))
    asked = need.ask()
    assert (asked.tools, asked.template, asked.continues) == (
        (tool,), {"enable_thinking": False}, True,
    )  # fmt: skip
    assert asked.sampling.temperature == 0.0


BY_SCHEMA = {"type": "json_schema", "name": "r", "schema": "{}"}


def test_the_form_of_an_answer_is_the_calls_unless_the_release_has_one() -> None:
    tool = {"type": "function", "function": {"name": "find"}}
    served = Served((tool,), tool_choice="required", answer_format=BY_SCHEMA)
    sample = replace(_sample(1), served=served)
    releases = [
        _release("a"), replace(_release("b"), sampling=SamplingSettings(json_schema='{"a": 1}')),
    ]  # fmt: skip
    asked, other = (need.ask() for need in needs.needs(releases, [sample], range(1)))
    assert (asked.tool_choice, asked.answer_format) == ("required", BY_SCHEMA)
    assert asked.sampling.json_schema is None
    assert (other.tool_choice, other.answer_format) == ("required", None)
    assert other.sampling.json_schema == '{"a": 1}'


def test_a_form_without_the_library_for_it_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(needs, "is_installed", lambda _: False)
    tool = {"type": "function", "function": {"name": "find"}}
    for served in (Served(answer_format=BY_SCHEMA), Served((tool,), tool_choice="required")):
        sample = replace(_sample(1), served=served)
        with pytest.raises(UsageError, match=r"1 samples ask for JSON.*llm-flywheel\[structured\]"):
            needs.needs([_release("a")], [sample], range(1))
    free = replace(_sample(1), served=Served((tool,), tool_choice="none"))
    assert needs.needs([_release("a")], [free], range(1))


def test_what_a_release_sets_goes_before_the_log_and_the_seed_is_the_runs() -> None:
    logged = {"temperature": 0.7, "max_tokens": 300, "stop": ["x"], "seed": 3, "top_k": 5}
    release = replace(_release("a"), sampling=_as_logged(temperature=0.0, top_k=0))
    sample = replace(_sample(1), served=Served(sampling=logged))
    sampling = needs.needs([release], [sample], range(1))[0].ask().sampling
    assert (sampling.temperature, sampling.top_k) == (0.0, 0)
    assert (sampling.max_tokens, sampling.stop) == (300, ("x",))
    assert sampling.seed == needs.sample_seed(0, "s1")


def test_a_release_that_draws_as_logged_is_another_one() -> None:
    dumps = [
        sampling.model_dump(mode="json")
        for sampling in (SamplingSettings(), _as_logged(), _as_logged(temperature=0.0))
    ]
    assert "as_logged" not in dumps[0]
    assert dumps[1:] == [{"as_logged": True}, {"as_logged": True, "temperature": 0.0}]
    assert [
        s.is_sampled for s in (SamplingSettings(), _as_logged(), _as_logged(temperature=0))
    ] == [False, True, False]


def test_suites_name_their_scorer_and_logged_has_its_own() -> None:
    settings = parse_settings({"suites": {"words": {"scorer": "choice"}}}, base=".")
    rules = suite_rules(settings, {"words", "logged"})
    assert {rule.name: rule.metric for rule in rules} == {"words": "choice", "logged": "token_f1"}


@pytest.mark.parametrize("suites", [{}, {"words": {}}])
def test_logged_answers_never_gate(suites: dict[str, Any]) -> None:
    rules = suite_rules(parse_settings({"suites": suites}, base="."), {"logged"})
    assert [rule.is_gating for rule in rules if rule.name == "logged"] == [False]
    for role in ("primary", "guard"):
        declared = parse_settings({"suites": {**suites, "logged": {"role": role}}}, base=".")
        with pytest.raises(UsageError, match=r"suites\.logged\.role"):
            suite_rules(declared, {"logged"})
    own = {"logged": {"role": "report", "scorer": "exact_match"}}
    (rule,) = suite_rules(parse_settings({"suites": own}, base="."), {"logged"})
    assert (rule.role, rule.metric) == ("report", "exact_match")


def test_undeclared_suite_and_unknown_scorer_are_one_clear_line() -> None:
    settings = parse_settings({"suites": {"words": {"scorer": "chioce"}}}, base=".")
    with pytest.raises(UsageError, match="did you mean 'choice'"):
        suite_rules(settings, {"words"})
    with pytest.raises(UsageError, match="does not declare") as caught:
        suite_rules(settings, {"other"})
    assert caught.value.received == "other"
