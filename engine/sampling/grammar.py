"""Structured output: which tokens may come next so that the answer follows a JSON schema, or a
grammar made of several.

Owns the door to llguidance (an extra, imported when first needed). Schemas may be hostile input:
schema.py refuses what is too large or leads nowhere before the library sees it, and the library
works under limits of its own. A GrammarState is a function of the tokens it has accepted; the batch
cannot change it. Knows tokens, never tensors.
Source: https://github.com/guidance-ai/llguidance (docs/json_schema.md).
"""

from __future__ import annotations

import contextlib
import importlib
from collections import OrderedDict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import InvalidRequestError, MachineError, failure_of
from engine.sampling.schema import check_schema

__all__ = ["OPTIONS", "GrammarState", "Grammars", "Guide"]

INSTALL = "pip install 'llm-flywheel[structured]'"
MAX_GRAMMARS = 32
#: spaces and line ends between the parts, but not so many that a weak model never gets further
OPTIONS = {"whitespace_flexible": True, "whitespace_pattern": r"[\x20\x0A]{1,24}"}
#: of the library, below its defaults: symbols of the grammar, work of building and of one token
LIMITS = {
    "max_grammar_size": 100_000,
    "initial_lexer_fuel": 500_000,
    "step_lexer_fuel": 200_000,
    "max_lexer_states": 50_000,
    "verbose_errors": False,
}


@dataclass(frozen=True, slots=True)
class Guide:
    """What an answer must follow: a JSON schema's text, or a grammar in llguidance's form of Lark,
    whose schemas were checked. `name`: of the field that asked for it, for messages."""

    text: str
    name: str = "json_schema"
    is_lark: bool = False


class GrammarState:
    """Where one answer stands in its grammar. The matcher is copied when it is first needed."""

    def __init__(self, prototype: Any, vocab_size: int, name: str) -> None:
        self._prototype = prototype
        self._matcher: Any = None
        self._vocab_size = vocab_size
        self._name = name

    def restart(self) -> GrammarState:
        """A state of its own before the first token."""
        return GrammarState(self._prototype, self._vocab_size, self._name)

    def allowed(self) -> NDArray[np.bool_]:
        """[vocab_size], True where the token may come next. Raises InvalidRequestError."""
        with _told(self._name):
            bits = np.frombuffer(self._open.compute_bitmask(), dtype=np.uint8)
        allowed = np.zeros(self._vocab_size, dtype=np.bool_)
        known = np.unpackbits(bits, bitorder="little")[: self._vocab_size]
        allowed[: known.size] = known
        if self._open.is_error() or not allowed.any():
            reason = _first_line(self._open.get_error()) or "no token may come next"
            raise InvalidRequestError(f"The answer cannot go on under its {self._name}: {reason}")
        return allowed

    def accept(self, token: int) -> None:
        """The answer has got one more token (one that was allowed). Raises InvalidRequestError."""
        with _told(self._name):
            self._open.consume_token(token)

    @property
    def is_complete(self) -> bool:
        """Nothing but the end can follow."""
        return bool(self._open.is_stopped() and not self._open.is_error())

    @property
    def _open(self) -> Any:
        if self._matcher is None:
            self._matcher = self._prototype.deep_copy()
        return self._matcher


class Grammars:
    """The last few guides, compiled once each for one tokenizer (a fast Hugging Face one)."""

    def __init__(self, tokenizer: Any, vocab_size: int, end_ids: Collection[int]) -> None:
        self._tokenizer = tokenizer
        self._vocab_size = vocab_size
        self._end_ids = sorted(end_ids)
        self._vocabulary: Any = None
        self._compiled: OrderedDict[Guide, Any] = OrderedDict()

    def start(self, guide: Guide) -> GrammarState:
        """The state before the first token. Raises InvalidRequestError, MachineError."""
        if guide not in self._compiled:
            self._compiled[guide] = self._compile(guide)
            if len(self._compiled) > MAX_GRAMMARS:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(guide)
        return GrammarState(self._compiled[guide], self._vocab_size, guide.name)

    def _compile(self, guide: Guide) -> Any:
        if not guide.is_lark:
            check_schema(guide.text)
        library = _llguidance(guide.name)
        try:
            if self._vocabulary is None:
                self._vocabulary = importlib.import_module("llguidance.hf").from_tokenizer(
                    self._tokenizer, n_vocab=self._vocab_size, eos_token=self._end_ids or None
                )
            if guide.is_lark:
                grammar = library.LLMatcher.grammar_from_lark(guide.text)
            else:
                grammar = library.LLMatcher.grammar_from_json_schema(guide.text, overrides=OPTIONS)
        except (ValueError, TypeError) as error:
            raise InvalidRequestError(
                f"{guide.name} cannot be used with this model: {_first_line(str(error))}"
            ) from error
        limits = library.LLParserLimits(**LIMITS)
        with _told(guide.name):
            matcher = library.LLMatcher(self._vocabulary, grammar, log_level=0, limits=limits)
        if matcher.is_error():
            raise InvalidRequestError(
                f"{guide.name} is refused: {_first_line(matcher.get_error())}"
            )
        return matcher


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """Whatever the library raises, a panic included, is the fault of what it was given."""
    try:
        yield
    except BaseException as error:
        reason = _first_line(str(failure_of(error)))
        raise InvalidRequestError(f"{name} cannot be followed: {reason}") from error


def _llguidance(name: str) -> Any:
    try:
        return importlib.import_module("llguidance")
    except ImportError:
        raise MachineError(
            f"{name} needs the package llguidance, which is not installed: {INSTALL}"
        ) from None


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0][:300]
