"""How much work code does, counted and not timed, so that every machine gets the same answer.

Two counts. Calls: of Python functions and of C functions from Python. Steps of regular expressions,
which run inside one call: an expression that was compiled while `counting` is walked here a second
time by a plain backtracking matcher, which counts, and must find what `re` finds.
"""

from __future__ import annotations

import importlib
import math
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from re import _compiler, _parser  # type: ignore[attr-defined]
from types import FrameType, ModuleType
from typing import Any

import pytest

_REPEATS = {
    _parser.MAX_REPEAT: "greedy", _parser.MIN_REPEAT: "lazy",
    _parser.POSSESSIVE_REPEAT: "possessive",
}  # fmt: skip
_ONE_CHARACTER = (_parser.LITERAL, _parser.NOT_LITERAL, _parser.IN, _parser.ANY)
_LOOKS = (_parser.ASSERT, _parser.ASSERT_NOT, _parser.AT)

Span = tuple[int, int]
#: where the rest of the expression ends when it goes on at a place, or None
Then = Callable[[int], "int | None"]
#: (text, place, end of the text, the rest) → where all of it ends, or None
Matcher = Callable[[Any, int, int, Then], "int | None"]


class Work:
    """`calls` and regular expressions' `steps` since it was made."""

    def __init__(self) -> None:
        self.calls = 0
        self.steps = 0

    def of(self, work: Callable[[], object]) -> int:
        """Calls and steps of this piece of work."""
        before = self.calls + self.steps

        def count(_frame: FrameType, event: str, _argument: Any) -> None:
            self.calls += event in ("call", "c_call")

        with _profile(count):
            work()
        return self.calls + self.steps - before


@contextmanager
def _profile(count: Any) -> Iterator[None]:
    outer = sys.getprofile()
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(outer)


def assert_linear(measure: Callable[[int], int], size: int) -> None:
    """`measure(n)` is the work for input of size n. Twice the input, twice the work: a quadratic
    algorithm needs four times as much.
    """
    once, twice = measure(size), measure(2 * size)
    assert once
    assert twice <= 2.5 * once, f"{once} for {size}, {twice} for twice as much"


def counting(
    patch: pytest.MonkeyPatch, work: Work, module: str, *, with_package: bool = False
) -> ModuleType:
    """The module, imported anew (with all of its package) so that its expressions count steps."""
    package = module.rpartition(".")[0]
    for name in sorted(sys.modules, reverse=True):  # what is inside before its package
        if name == module or (with_package and f"{name}.".startswith(f"{package}.")):
            parent, _, own = name.rpartition(".")
            # the import puts the new one there; undoing the patch brings the old one back
            patch.setattr(sys.modules[parent], own, sys.modules[name])
            patch.delitem(sys.modules, name)
    real = re.compile
    with pytest.MonkeyPatch.context() as only_while_imported:
        only_while_imported.setattr(
            re, "compile", lambda pattern, flags=0: _Counting(real(pattern, flags), work)
        )
        return importlib.import_module(module)


class _Counting:
    """Stands for a compiled expression."""

    def __init__(self, real: re.Pattern[Any], work: Work) -> None:
        self._real = real
        self._work = work
        parsed = _parser.parse(real.pattern, real.flags & ~re.TEMPLATE)
        self._matcher = _Compiler(parsed.state, work).sequence(parsed, real.flags)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def match(self, text: Any, pos: int = 0, endpos: int = sys.maxsize) -> re.Match[Any] | None:
        match = self._real.match(text, pos, endpos)
        assert self._end(text, pos, endpos, whole=False) == (match and match.end())
        return match

    def fullmatch(self, text: Any, pos: int = 0, endpos: int = sys.maxsize) -> re.Match[Any] | None:
        match = self._real.fullmatch(text, pos, endpos)
        assert self._end(text, pos, endpos, whole=True) == (match and match.end())
        return match

    def search(self, text: Any, pos: int = 0, endpos: int = sys.maxsize) -> re.Match[Any] | None:
        match = self._real.search(text, pos, endpos)
        assert self._spans(text, pos, endpos, most=1) == ([match.span()] if match else [])
        return match

    def finditer(
        self, text: Any, pos: int = 0, endpos: int = sys.maxsize
    ) -> Iterator[re.Match[Any]]:
        matches = list(self._real.finditer(text, pos, endpos))
        assert self._spans(text, pos, endpos) == [match.span() for match in matches]
        return iter(matches)

    def sub(self, new: Any, text: Any) -> Any:
        self.finditer(text)
        return self._real.sub(new, text)

    def _end(self, text: Any, pos: int, endpos: int, whole: bool) -> int | None:
        last = min(endpos, len(text))
        with _profile(None):
            return self._matcher(text, pos, last, lambda p: None if whole and p < last else p)

    def _spans(self, text: Any, pos: int, endpos: int, most: float = math.inf) -> list[Span]:
        spans: list[Span] = []
        last = min(endpos, len(text))
        with _profile(None):
            while pos <= last and len(spans) < most:
                self._work.steps += 1
                end = self._matcher(text, pos, last, lambda place: place)
                if end is not None:
                    spans.append((pos, end))
                pos = pos + 1 if end is None or end == pos else end
        return spans


class _Compiler:
    """Parts of a parsed expression → matchers that count."""

    def __init__(self, state: Any, work: Work) -> None:
        self._state = state
        self._work = work
        self._groups: dict[int, Span] = {}

    def sequence(self, parts: Any, flags: int) -> Matcher:
        matchers = [self._part(operator, argument, flags) for operator, argument in parts]

        def match(text: Any, place: int, end: int, then: Then) -> int | None:
            def from_part(number: int, place: int) -> int | None:
                if number == len(matchers):
                    return then(place)
                return matchers[number](text, place, end, lambda p: from_part(number + 1, p))

            return from_part(0, place)

        return match

    def _part(self, operator: Any, argument: Any, flags: int) -> Matcher:
        if operator in _REPEATS:
            least, most, repeated = argument
            return self._repeat(_REPEATS[operator], least, most, repeated, flags)
        if operator in _ONE_CHARACTER:
            return self._repeat("possessive", 1, 1, [(operator, argument)], flags)
        if operator in _LOOKS:
            return self._look(operator, argument, flags)
        if operator is _parser.BRANCH:
            return self._branch([self.sequence(branch, flags) for branch in argument[1]])
        if operator is _parser.SUBPATTERN:
            group, added, removed, inner = argument
            return self._group(group, self.sequence(inner, (flags | added) & ~removed))
        if operator is _parser.ATOMIC_GROUP:
            return self._repeat("possessive", 1, 1, argument, flags)
        if operator is _parser.GROUPREF:
            return self._reference(argument)
        raise NotImplementedError(f"counting the steps of {operator}")

    def _branch(self, branches: list[Matcher]) -> Matcher:
        def match(text: Any, place: int, end: int, then: Then) -> int | None:
            self._work.steps += 1
            tried = (branch(text, place, end, then) for branch in branches)
            return next((last for last in tried if last is not None), None)

        return match

    def _group(self, group: int | None, inner: Matcher) -> Matcher:
        def match(text: Any, place: int, end: int, then: Then) -> int | None:
            def close(last: int) -> int | None:
                if group is not None:
                    self._groups[group] = (place, last)
                return then(last)

            return inner(text, place, end, close)

        return match

    def _reference(self, group: int) -> Matcher:
        def match(text: Any, place: int, end: int, then: Then) -> int | None:
            first, last = self._groups[group]
            self._work.steps += last - first
            return then(place + last - first) if text.startswith(text[first:last], place) else None

        return match

    def _look(self, operator: Any, argument: Any, flags: int) -> Matcher:
        """Takes no characters; `re` decides, and every character it may look at is a step."""
        part = _parser.SubPattern(self._state, [(operator, argument)])
        width = 1 if operator is _parser.AT else argument[1].getwidth()[1]
        assert width < 1_000, "a look without bounds"
        real = _compiler.compile(part, flags)

        def match(text: Any, place: int, end: int, then: Then) -> int | None:
            self._work.steps += 1 + width
            return then(place) if real.match(text, place, end) else None

        return match

    def _repeat(self, kind: str, least: int, most: Any, inner: Any, flags: int) -> Matcher:
        if len(inner) == 1 and inner[0][0] in _ONE_CHARACTER:
            return self._run(kind, least, int(most), list(inner), flags)
        matcher = self.sequence(inner, flags)

        def match(text: Any, place: int, end: int, then: Then) -> int | None:
            def again(number: int, place: int) -> int | None:
                self._work.steps += 1
                if kind == "lazy" and number >= least and (last := then(place)) is not None:
                    return last
                if number < most:

                    def on(next_place: int) -> int | None:
                        is_endless = next_place == place and number >= least
                        return None if is_endless else again(number + 1, next_place)

                    if (last := matcher(text, place, end, on)) is not None:
                        return last
                return then(place) if kind == "greedy" and number >= least else None

            return again(0, place)

        def possessive(text: Any, place: int, end: int, then: Then) -> int | None:
            number = 0
            while number < most:
                self._work.steps += 1
                last = matcher(text, place, end, lambda p: p)
                if last is None or (last == place and number >= least):
                    break
                number, place = number + 1, last
            return then(place) if number >= least else None

        return possessive if kind == "possessive" else match

    def _run(self, kind: str, least: int, most: int, inner: Any, flags: int) -> Matcher:
        """Of single characters, which `re` says whether they fit."""
        one = _compiler.compile(_parser.SubPattern(self._state, inner), flags)
        fits: dict[Any, bool] = {}

        def is_fit(text: Any, place: int) -> bool:
            character = text[place : place + 1]
            if character not in fits:
                fits[character] = one.match(character) is not None
            self._work.steps += 1
            return fits[character]

        def match(text: Any, place: int, end: int, then: Then) -> int | None:
            count, limit = 0, min(most, end - place)
            wanted = least if kind == "lazy" else limit
            while count < wanted and count < limit and is_fit(text, place + count):
                count += 1
            if count < least:
                return None
            if kind == "possessive":
                return then(place + count)
            while True:
                self._work.steps += 1
                if (last := then(place + count)) is not None:
                    return last
                if kind == "greedy":
                    count -= 1
                    if count < least:
                        return None
                elif count < limit and is_fit(text, place + count):
                    count += 1
                else:
                    return None

        return match
