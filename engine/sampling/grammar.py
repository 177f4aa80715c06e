"""Structured output: which tokens may come next so that the answer follows a JSON schema.

Owns the door to llguidance (an extra, imported when first needed) and the bounds on schemas, which
may be hostile input: text length, depth, and references that leave the schema are refused before
the library sees them, and the library works under limits of its own. A GrammarState is a function
of the tokens it has accepted; the batch cannot change it. Knows tokens, never tensors.
Source: https://github.com/guidance-ai/llguidance (docs/json_schema.md).
"""

from __future__ import annotations

import importlib
import json
from collections import OrderedDict
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import InvalidRequestError, MachineError

__all__ = ["GrammarState", "Grammars"]

INSTALL = "pip install 'llm-flywheel[structured]'"
MAX_SCHEMA_CHARS = 64 * 1024
MAX_SCHEMA_DEPTH = 32
MAX_JOINED = 12
MAX_GRAMMARS = 32
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
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


class GrammarState:
    """Where one answer stands in its grammar. The matcher is copied when it is first needed."""

    def __init__(self, prototype: Any, vocab_size: int) -> None:
        self._prototype = prototype
        self._matcher: Any = None
        self._vocab_size = vocab_size

    def restart(self) -> GrammarState:
        """A state of its own before the first token."""
        return GrammarState(self._prototype, self._vocab_size)

    def allowed(self) -> NDArray[np.bool_]:
        """[vocab_size], True where the token may come next. Raises InvalidRequestError."""
        bits = np.frombuffer(self._open.compute_bitmask(), dtype=np.uint8)
        allowed = np.zeros(self._vocab_size, dtype=np.bool_)
        known = np.unpackbits(bits, bitorder="little")[: self._vocab_size]
        allowed[: known.size] = known
        if self._open.is_error() or not allowed.any():
            reason = _first_line(self._open.get_error()) or "no token may come next"
            raise InvalidRequestError(f"The answer cannot go on under its json_schema: {reason}")
        return allowed

    def accept(self, token: int) -> None:
        """The answer has got one more token (one that was allowed)."""
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
    """The last few schemas, compiled once each for one tokenizer (a fast Hugging Face one)."""

    def __init__(self, tokenizer: Any, vocab_size: int, end_ids: Collection[int]) -> None:
        self._tokenizer = tokenizer
        self._vocab_size = vocab_size
        self._end_ids = sorted(end_ids)
        self._vocabulary: Any = None
        self._compiled: OrderedDict[str, Any] = OrderedDict()

    def start(self, schema: str) -> GrammarState:
        """The state before the first token. Raises InvalidRequestError, MachineError."""
        if schema not in self._compiled:
            self._compiled[schema] = self._compile(schema)
            if len(self._compiled) > MAX_GRAMMARS:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(schema)
        return GrammarState(self._compiled[schema], self._vocab_size)

    def _compile(self, schema: str) -> Any:
        _check(schema)
        library = _llguidance()
        try:
            if self._vocabulary is None:
                self._vocabulary = importlib.import_module("llguidance.hf").from_tokenizer(
                    self._tokenizer, n_vocab=self._vocab_size, eos_token=self._end_ids or None
                )
            grammar = library.LLMatcher.grammar_from_json_schema(schema, overrides=OPTIONS)
        except (ValueError, TypeError) as error:
            raise InvalidRequestError(
                f"json_schema cannot be used with this model: {_first_line(str(error))}"
            ) from error
        limits = library.LLParserLimits(**LIMITS)
        matcher = library.LLMatcher(self._vocabulary, grammar, log_level=0, limits=limits)
        if matcher.is_error():
            raise InvalidRequestError(f"json_schema is refused: {_first_line(matcher.get_error())}")
        return matcher


def _llguidance() -> Any:
    try:
        return importlib.import_module("llguidance")
    except ImportError:
        raise MachineError(
            f"json_schema needs the package llguidance, which is not installed: {INSTALL}"
        ) from None


def _check(text: str) -> None:
    if len(text) > MAX_SCHEMA_CHARS:
        raise InvalidRequestError(
            f"json_schema has {len(text)} characters; {MAX_SCHEMA_CHARS} are allowed."
        )
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "it is too deep" if isinstance(error, RecursionError) else _first_line(str(error))
        raise InvalidRequestError(f"json_schema is not valid JSON: {reason}") from None
    if not isinstance(schema, dict):
        raise InvalidRequestError(
            f"json_schema is a {type(schema).__name__}, but it must be an object."
        )
    num_joined = 0
    for depth, node in _nodes(schema):
        if depth > MAX_SCHEMA_DEPTH:
            raise InvalidRequestError(
                f"json_schema is more than {MAX_SCHEMA_DEPTH} levels deep; no more are allowed."
            )
        # how many patterns may have to hold at once because of this object
        members = node.get("allOf")
        num_joined += len(members) if isinstance(members, list) else 0
        num_joined += "pattern" in node and any(key in node for key in REFERENCES)
        for target in (node[key] for key in REFERENCES if key in node):
            if isinstance(target, str) and not target.startswith("#"):
                raise InvalidRequestError(
                    f"json_schema refers to {target[:80]!r}. Allowed: references within the "
                    "schema, which begin with '#'; nothing is fetched."
                )
    if num_joined > MAX_JOINED:
        raise InvalidRequestError(
            f"json_schema joins {num_joined} schemas by allOf, or by a pattern beside a reference; "
            f"{MAX_JOINED} are allowed, because the work doubles with each."
        )


def _nodes(schema: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every object in it with its depth, without recursion; an object in a list is one deeper."""
    stack: list[tuple[int, Any]] = [(1, schema)]
    while stack:
        depth, value = stack.pop()
        if isinstance(value, dict):
            yield depth, value
        inner = value.values() if isinstance(value, dict) else value
        stack += [(depth + 1, item) for item in inner if isinstance(item, (dict, list))]


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0][:300]
