"""Names of persons, found by Presidio with a spaCy model: the extra `ner`.

What is a person is Presidio's own decision, with its defaults; here it is asked for nothing else.
Hundreds of texts a second, where the patterns do thousands.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from tasks.errors import UsageError
from tasks.privacy.finder import Finder, Span

PERSON = "person"
#: spaCy refuses texts of a million
_MAX_CHARS = 100_000


def require_installed(model: str) -> None:
    """Raises UsageError where what finds persons is not there; imports none of it."""
    for package in ("spacy", "presidio_analyzer"):
        if find_spec(package) is None:
            raise UsageError(
                f"finding persons needs {package}",
                received=f'"{PERSON}" in redact.kinds',
                next="pip install 'llm-flywheel[ner]'",
            )
    is_package = model.isidentifier() and find_spec(model) is not None
    if not is_package and not Path(model).is_dir():
        raise UsageError(
            f"the spaCy model {model!r} is not installed",
            received=f"redact.person_model = {model!r}",
            next=f"python -m spacy download {model}, or name one that is installed",
        )


def person_finder(model: str) -> Finder:
    """`model`: a spaCy model that is installed, by name or path; nothing is downloaded.

    Raises UsageError where Presidio or the model is missing.
    """
    require_installed(model)
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    models = [{"lang_code": "en", "model_name": model}]
    provider = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models})
    analyzer = AnalyzerEngine(nlp_engine=provider.create_engine(), supported_languages=["en"])

    def find(text: str) -> Iterator[Span]:
        for start, stop in pieces(text):
            for person in analyzer.analyze(text[start:stop], language="en", entities=["PERSON"]):
                yield start + person.start, start + person.end

    return Finder(PERSON, (), find, group=PERSON, sieve="[A-Za-z]|[^\\x00-\\x7f]")


def pieces(text: str, max_chars: int = _MAX_CHARS) -> Iterator[Span]:
    """The text cut at blanks, where there are any."""
    start = 0
    while start < len(text):
        stop = start + max_chars
        if stop < len(text):
            blank = text.rfind(" ", start + 1, stop)
            stop = blank if blank > 0 else stop
        yield start, min(stop, len(text))
        start = stop
