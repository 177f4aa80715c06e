from __future__ import annotations

from dataclasses import replace

from tasks.releases.factors import changed, factors, is_same, sentence
from tests.tasks.releases.made import hosted, local


def test_two_releases_that_differ_in_one_factor_say_so():
    old = local("old")
    for other, name in (
        (local("new", prompt="Sort!"), "prompt"),
        (local("new", model="n"), "model"),
        (local("new", dtype="bfloat16"), "engine"),
        (replace(old, digest="x", sampling={**old.sampling, "temperature": 1.0}), "sampling"),
    ):
        assert changed(old, other) == [name]
        assert sentence(factors(old, other)) == f"they differ in one factor: {name}"
    both = local("new", prompt="Sort!", model="n")
    assert sentence(factors(old, both)) == "they differ in 2 factors: model, prompt"
    assert sentence(factors(old, local("copy"))) == "they are the same release"


def test_what_differs_is_told_by_its_key():
    old = local("old")
    new = replace(old, sampling={**old.sampling, "stop": ["."], "top_k": 5})
    _, _, sampling, _ = factors(old, new)
    told = {change.what: (change.old, change.new) for change in sampling.changes}
    assert told == {"stop": ("[]", '["."]'), "top_k": ("–", "5")}
    (*_, engine) = factors(old, local("new", versions={"torch": "2.14.0"}))
    assert [(c.what, c.old, c.new) for c in engine.changes] == [
        ("versions.torch", "2.13.0", "2.14.0")
    ]
    (model, *_) = factors(old, replace(old, model="elsewhere/m.gguf"))
    assert model.is_same, "a model is what is in it"


def test_an_api_and_what_is_sent_to_it_are_the_model():
    old = hosted("old")
    assert changed(old, hosted("new", model="gpt-2")) == ["model"]
    assert changed(old, hosted("new", body={"effort": "low"})) == ["model"]
    assert changed(old, hosted("new", base_url="https://b.example/v1")) == ["model"]
    assert changed(old, local("new")) == ["model", "prompt", "sampling"]
    assert changed(local("new"), old) == ["model", "prompt", "sampling"]


def test_another_machine_or_build_is_the_same_release():
    old = local("old")
    assert is_same(old, local("old", versions={"torch": "2.14.0"}))
    assert is_same(old, local("other name"))
    assert not is_same(old, local("old", dtype="bfloat16"))
    assert not is_same(old, local("old", prompt="Sort!"))
    assert not is_same(hosted("old"), hosted("old", body={"effort": "low"}))
