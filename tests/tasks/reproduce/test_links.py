"""The chain: order, states, and which link a changed file belongs to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.model.answer import CompletionKey
from tasks.model.likelihoods import Likelihood, to_text
from tasks.reproduce.apart import settings_apart
from tasks.reproduce.comparing import (
    compare_estimates,
    compare_likelihoods,
    compare_scores,
    compare_texts,
    compare_verdicts,
)
from tasks.reproduce.links import Link, engine_links, held, held_each, in_order, model_links
from tasks.settings import parse_settings

A, B = "a" * 64, "b" * 64


def states(links: object) -> dict[str, str]:
    return {link.name: link.state for link in links}  # type: ignore[attr-defined]


def test_the_first_link_is_the_one_that_others_rest_on() -> None:
    policy, prompt = held("policy", "", 1, 2), held("prompt", "x", "a", "b")
    chain = in_order([policy, held("log", "f", A, A), prompt, prompt, held("set", "", A, None)])
    assert chain.first == prompt
    assert [link.name for link in chain.links] == ["log", "set", "prompt", "policy"]
    assert [str(link) for link in chain.gone] == ["set is gone"]
    assert chain.missing is None  # a set can be gone, its samples cannot
    assert in_order([Link("weights", "x", "gone")]).missing is not None
    assert str(policy) == "policy: 1 → 2"
    assert held("log", "f", None, A).state == "unknown"


def test_of_what_is_long_it_is_shown_where_it_begins_to_differ() -> None:
    link = held("processor", "x", f"{'flag ' * 50}amx end", f"{'flag ' * 50}avx end")
    assert (len(link.then), link.then[0], link.then[-8:]) == (47, "…", " amx end")
    assert link.now.endswith("flag avx end")
    assert held("log", "f", A, B).then == "a" * 16


def test_what_is_on_one_side_alone_differs() -> None:
    (added,) = held_each("rule", {"a": 1}, {"a": 1, "b": 2})
    assert (added.of, added.then, added.now) == ("b", "nothing", "2")
    assert [link.state for link in held_each("rule", {"a": 1}, {"a": 1})] == ["same"]


@pytest.mark.parametrize(
    ("then", "now", "expected"),
    [
        ({"model.safetensors": A}, {"model.safetensors": B}, ("differs", "same")),
        ({"tokenizer.json": A}, {"tokenizer.json": B}, ("same", "differs")),
        ({"chat_template.jinja": A}, {}, ("same", "differs")),
        ({"x.gguf": A}, {"x.gguf": B}, ("differs", "same")),
        ({"config.json": A, "vocab.json": A}, {"config.json": B, "vocab.json": B},
         ("differs", "differs")),
        ({}, {"model.safetensors": B}, ("differs", "unknown")),
    ],
)  # fmt: skip
def test_a_changed_file_of_a_model_is_of_weights_or_tokenizer(
    then: dict[str, str], now: dict[str, str], expected: tuple[str, str]
) -> None:
    found = states(model_links("x", A, B, (then, now)))
    assert (found["weights"], found["tokenizer"]) == expected
    assert set(states(model_links("x", A, A, (then, now))).values()) == {"same"}
    assert set(states(model_links("x", A, None, (then, {}))).values()) == {"gone"}


def test_what_comes_of_another_device_is_moved_and_packages_still_differ() -> None:
    then = {"device": "cuda", "dtype": "bfloat16", "code": A, "kernels": "Triton",
            "versions": {"torch": "1", "triton": "3"}, "num_threads": None}  # fmt: skip
    now = {"device": "cpu", "dtype": "float32", "code": A, "kernels": "C++ x",
           "versions": {"torch": "2"}, "num_threads": 4}  # fmt: skip
    chain = in_order(engine_links("x", then, now, is_moved=True))
    assert str(chain.first) == "package (torch): 1 → 2"
    moved = {link.of for link in chain.links if link.state == "moved"}
    assert moved == {"x: device", "x: dtype", "x: kernels", "x: num_threads"}
    plain = in_order(engine_links("x", then, now, is_moved=False))
    assert str(plain.first) == "engine (x: dtype): bfloat16 → float32"
    assert "triton" in {link.of for link in plain.links}
    # the number of threads is recorded where it may change a bit, and nowhere else
    for was, is_now, state in ((1, 2, "differs"), (2, 2, "same"), (None, None, "same")):
        threads = states(
            engine_links("x", {"num_threads": was}, {"num_threads": is_now}, is_moved=False)
        )
        assert threads["threads"] == state


def test_texts_scores_and_verdicts_are_compared_one_by_one() -> None:
    keys = [CompletionKey("r", f"s{n}", 0) for n in range(4)]
    then = dict.fromkeys(keys[:3], ("x", None))
    now = {keys[0]: ("x", None), keys[1]: ("y", None), keys[2]: (None, "x"), keys[3]: ("z", None)}
    texts = compare_texts(then, now)
    assert (texts.compared, texts.differ, texts.not_recorded, texts.share) == (3, 2, 1, 2 / 3)
    assert "sample s1 of release r, seed 0" in texts.first
    scored_then = {(keys[0], "e@1"): (1.0, None), (keys[1], "e@1"): (0.25, None),
                   (keys[2], "e@1"): (None, "why")}  # fmt: skip
    scored_now = {(keys[0], "e@1"): (1.0, None), (keys[1], "e@1"): (1.0, None),
                  (keys[2], "e@1"): (None, "other")}  # fmt: skip
    scores = compare_scores(scored_then, scored_now)
    assert (scores.compared, scores.differ, scores.largest) == (3, 2, 0.75)
    assert scores.first == "sample s1 of release r, seed 0 by e@1"
    row = {"verdict": "worse", "suites": '[{"ci_low": -0.1}]'}
    assert compare_verdicts({"c": row}, {"c": row}) == ({"c": ("worse", "worse")}, "")
    other = {**row, "suites": '[{"ci_low": -0.2}]'}
    assert compare_verdicts({"c": row}, {"c": other})[1] == "c.suites[0].ci_low: -0.1 → -0.2"
    spaced = {**row, "suites": '[{"ci_low":-0.1}]'}
    assert compare_verdicts({"c": row}, {"c": spaced})[1] == "c.suites: its bytes alone"
    assert compare_verdicts({"c": row}, {})[0] == {"c": ("worse", "none")}


def weighed(*logprobs: float) -> tuple[str, None]:
    return to_text([Likelihood(f"choice {n}", one, 2) for n, one in enumerate(logprobs)]), None


def test_log_likelihoods_are_compared_choice_by_choice_and_written_answers_are_none() -> None:
    keys = [CompletionKey("r", f"s{n}", 0) for n in range(4)]
    then = {keys[0]: weighed(-1.0, -2.0), keys[1]: weighed(-3.0), keys[2]: ("written", None),
            keys[3]: (None, "failed")}  # fmt: skip
    now = {keys[0]: weighed(-1.0, -2.5), keys[1]: weighed(-3.0), keys[2]: ("otherwise", None),
           keys[3]: weighed(-4.0)}  # fmt: skip
    found = compare_likelihoods(then, now)
    assert (found.compared, found.differ, found.largest) == (3, 1, 0.5)
    assert found.first == "sample s0 of release r, seed 0, choice 2"
    assert compare_likelihoods(then, then).differ == 0
    texts = compare_texts(then, now)
    assert (texts.compared, texts.differ) == (2, 2), "those that were written, or failed"
    longer = {keys[1]: weighed(-3.0, -1.0)}
    assert compare_likelihoods(then, longer).compared == 0
    assert compare_texts(then, longer).differ == 1, "other texts were weighed"


def test_estimates_are_compared_suite_by_suite() -> None:
    then = {"c": {"suites": '[{"suite": "a", "champion": 0.5, "difference": null}]'}}
    now = {"c": {"suites": '[{"suite": "a", "champion": 0.25, "difference": 0.1},{"suite": "b"}]'}}
    found = compare_estimates(then, now)
    assert (found.compared, found.differ, found.largest) == (5, 2, 0.25)
    assert found.first == "c: champion of suite a"
    assert compare_estimates(then, {}).compared == 0


def test_what_a_build_without_the_setting_read_is_read_again_whole(tmp_path: Path) -> None:
    today = parse_settings({"curate": {"max_calls": 7}}, base=str(tmp_path))
    bound = {"suites": {"route": {}}, "curate": {"max_samples": 3}}
    curated = settings_apart(bound, today, tmp_path).curate
    assert (curated.max_samples, curated.max_calls) == (3, 0)
    now = settings_apart({"curate": {"max_calls": 9}}, today, tmp_path).curate
    assert now.max_calls == 9
