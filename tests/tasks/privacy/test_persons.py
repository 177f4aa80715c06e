"""Persons need the extra `ner`; without it, asking for them is one clear line."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from tasks.errors import UsageError
from tasks.privacy.masking import Redactor

HAS_NER = all(map(importlib.util.find_spec, ("presidio_analyzer", "spacy")))
needs_ner = pytest.mark.skipif(not HAS_NER, reason="the extra `ner` is not installed")


def test_persons_without_the_extra_name_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(UsageError, match="finding persons needs spacy") as raised:
        Redactor(["person"], person_model="en_core_web_lg")
    assert "llm-flywheel[ner]" in str(raised.value)


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A spaCy pipeline of our own that knows one person."""
    import spacy

    pipeline = spacy.blank("en")
    ruler = pipeline.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "PERSON", "pattern": [{"LOWER": "ann"}, {"LOWER": "lee"}]}])
    pipeline.to_disk(tmp_path / "model")
    return str(tmp_path / "model")


@needs_ner
def test_persons_have_pseudonyms_like_all_else(model: str):
    redactor = Redactor(["person", "email"], b"key", model)
    masked = redactor.text("Ann Lee (ann.lee@example.com) met Ann Lee")
    assert masked.count("<person:") == 2
    assert len({word for word in masked.split() if word.startswith("<person:")}) == 1
    assert "<email:" in masked
    assert redactor.counts == {"person": 2, "email": 1}


@needs_ner
def test_what_presidio_finds_is_what_is_masked(model: str):
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    models = [{"lang_code": "en", "model_name": model}]
    engine = NlpEngineProvider(
        nlp_configuration={"nlp_engine_name": "spacy", "models": models}
    ).create_engine()
    analyzer = AnalyzerEngine(nlp_engine=engine, supported_languages=["en"])
    text = "I am ann lee, not Bob. ANN LEE!"
    theirs = {(r.start, r.end) for r in analyzer.analyze(text, "en", entities=["PERSON"])}
    ours = {(a, b) for a, b, _ in Redactor(["person"], person_model=model).spans(text)}
    assert ours == theirs
    assert len(ours) == 2


@needs_ner
def test_a_model_that_is_not_installed_is_named_and_not_downloaded():
    with pytest.raises(UsageError, match="'en_none_sm' is not installed"):
        Redactor(["person"], person_model="en_none_sm")
