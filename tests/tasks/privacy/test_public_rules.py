"""The rules that were taken over: each is an expression of Python, and finds what it is for."""

from __future__ import annotations

import random
import re
import string
from re import _parser  # type: ignore[attr-defined]
from typing import Any

import pytest

from benchmarks.planted import IN_CONTEXT, TOKENS, leaks, texts
from tasks.privacy.masking import Redactor
from tasks.privacy.public_rules import (
    PublicRule,
    find_by_public_rules,
    public_rules,
    python_expression,
)
from tests.work import Work, assert_linear, counting

#: for classes that leave nearly everything open
_ANY = string.ascii_letters + string.digits
MIN_RECALL = 0.95


class Sampler:
    """Draws a text that an expression matches."""

    def __init__(self, seed: str) -> None:
        self._draw = random.Random(seed)

    def text(self, expression: str) -> str:
        return self._sequence(_parser.parse(expression))

    def _sequence(self, parts: Any) -> str:
        return "".join(self._part(operator, argument) for operator, argument in parts)

    def _part(self, operator: Any, argument: Any) -> str:
        if operator is _parser.LITERAL:
            return chr(argument)
        if operator is _parser.IN:
            return self._draw.choice(self._signs(argument))
        if operator is _parser.ANY:
            return "."
        if operator in (_parser.MAX_REPEAT, _parser.MIN_REPEAT, _parser.POSSESSIVE_REPEAT):
            least, most, inner = argument
            more = 2 if int(most) < 1000 else 12
            count = least if least >= 20 else min(int(most), least + self._draw.randint(0, more))
            return "".join(self._sequence(inner) for _ in range(count))
        if operator is _parser.BRANCH:
            return self._sequence(self._draw.choice(argument[1]))
        if operator is _parser.SUBPATTERN:
            return self._sequence(argument[3])
        assert operator in (_parser.AT, _parser.ASSERT, _parser.ASSERT_NOT), operator
        return ""

    def _signs(self, argument: Any) -> str:
        pieces = ""
        for kind, what in argument:
            if kind is _parser.NEGATE:
                return " "
            if kind is _parser.LITERAL:
                pieces += chr(what)
            elif kind is _parser.RANGE:
                pieces += "".join(map(chr, range(what[0], min(what[1], 126) + 1)))
            elif what is _parser.CATEGORY_DIGIT:
                pieces += string.digits
            elif what is _parser.CATEGORY_WORD:
                pieces += _ANY
            else:
                pieces += " "
        return "".join(sign for sign in pieces if sign in _ANY) or pieces


@pytest.mark.parametrize("rule", public_rules(), ids=lambda rule: rule.rule_id)
def test_each_rule_is_an_expression_of_python_and_finds_its_own(rule: PublicRule):
    sampler = Sampler(rule.rule_id)
    expression = python_expression(rule.expression)
    re.compile(expression)
    found = 0
    for _ in range(20):
        text = sampler.text(expression)
        spans = list(find_by_public_rules(f"{rule.keywords[0]} {text} "))
        found += any(end - start >= 8 for start, end in spans)
    assert found >= 5, f"{found} of 20, the last {text!r}"


@pytest.mark.parametrize(
    ("written", "read"),
    [(r"""\b(p8e-(?i)[a-z]{3})(?:\\?['"\x60]|[\s;]|\\[nr]|$)""",
      r"\b(p8e-(?i:[a-z]{3}))(?![A-Za-z0-9_])"),
     (r"a(?i)[(]b(c)", r"a(?i:[(]b(c))"), (r"x(?:$|\z)", r"x(?:$|\Z)"),
     (r"[[:alnum:]]{2}", r"[A-Za-z0-9]{2}"), (r"(?i)abc", r"(?i)abc")],
)  # fmt: skip
def test_what_re2_writes_otherwise(written: str, read: str):
    assert python_expression(written) == read


def test_a_word_under_the_name_of_a_service_is_no_secret():
    for text in ("dropbox: infrastructure", "linear = combination of vectors and matrices",
                 "monday: eyJust kidding", "discord, zendesk: internationalization"):  # fmt: skip
        assert list(find_by_public_rules(text)) == []


@pytest.mark.parametrize("name", [*TOKENS, *IN_CONTEXT])
def test_of_each_kind_that_is_promised_nearly_all_are_found(name: str):
    redactor = Redactor(key=b"test")
    made = texts(name, 40)
    leaked = [text for text, secret in made if leaks(secret, redactor.text(text))]
    assert len(leaked) <= (1 - MIN_RECALL) * len(made), leaked[:2]


def test_a_text_of_nothing_but_keywords_takes_linear_work(monkeypatch: pytest.MonkeyPatch):
    work = Work()
    module = counting(monkeypatch, work, "tasks.privacy.public_rules")
    keywords = [keyword for rule in module.public_rules()[::9] for keyword in rule.keywords]
    text = "".join(f"{keyword}=a1b2c3d4e5f6g7h8 " for keyword in keywords)[:1500]
    assert_linear(
        lambda n: work.of(lambda: list(module.find_by_public_rules((text * 4)[:n]))), 2_000
    )
