"""A scorer as a suite declares it: which one, with which parameters, under which name it is kept.

Parameters are part of the name that scores are kept under, because a changed parameter is a changed
instrument: `numeric(tolerance=0.01)`, and with its version `numeric@1(tolerance=0.01)`. Parameters
at their default are left out. What is too long to read stands there as a digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from engine.reading.reasoning import answer_in
from tasks.errors import UsageError, did_you_mean
from tasks.model.canonical import canonical_json
from tasks.scoring import composite, functions
from tasks.scoring.base import Score, shown, unscored, wrong
from tasks.scoring.process import FunctionError
from tasks.scoring.registry import KINDS
from tasks.settings.section import Section
from tasks.settings.sections import Mode

Parameters = TypeVar("Parameters", bound=Section)
_KEY = "suites.NAME.scorer"
_MAX_SHOWN = 40
_MAX_SHOWN_PARTS = 160
_EXTRA = "pip install 'llm-flywheel[scorers]'"


@dataclass(frozen=True, slots=True)
class Instrument:
    """`metric`: name with parameters. `version`: that with the version, which scores are kept
    under."""

    metric: str
    version: str
    _judge: Callable[[str, str], Score]
    #: raises UsageError where it cannot be used after all; may start a process
    try_out: Callable[[], None] = lambda: None
    #: of the suites whose answers it can read
    mode: Mode = "generate"

    def score(self, text: str, target: str) -> Score:
        """Score one completion, without what a model thought before it answered. A scorer that
        breaks leaves it unscored, with the reason."""
        try:
            return self._judge(answer_in(text), target)
        except Exception as error:  # a bug in one scorer must not lose a night's run
            return unscored(f"the scorer {self.metric} broke: {type(error).__name__}: {error}")


def instrument(
    declared: str | Mapping[str, Any],
    key: str = _KEY,
    base: Path = Path(),
    *,
    allow_code: bool = False,
) -> Instrument:
    """By name, or by name and parameters. Raises UsageError on a name or parameter that is not
    known, on a value that is not allowed and where a library is missing; `key` is the setting it
    stands in, `base` the folder of the settings, `allow_code` whether one may run an answer."""
    given = _table(declared)
    if "function" in given and "name" not in given:
        return _of_function(given, key, base)
    if composite.NAME in given and "name" not in given:
        return _of_parts(given, key, base, allow_code)
    name = given.pop("name", None)
    if not isinstance(name, str) or name not in KINDS:
        raise _unknown(name, declared, key)
    kind = KINDS[name]
    if kind.unless_allowed is not None and not allow_code:
        raise kind.unless_allowed(key)
    if kind.package and kind.bound is None and find_spec(kind.package) is None:
        raise UsageError(
            f"the scorer {name} needs {kind.package.replace('_', '-')}, which is not installed",
            received=key,
            next=_EXTRA,
        )
    parameters = validated(kind.parameters, given, f"the scorer {kind.name}", key)
    told = parameters.model_dump(mode="json", exclude_defaults=True)
    if kind.bound is not None:
        function, files = kind.bound(parameters, key, base)
        told |= files
    else:
        takes = (parameters,) if kind.parameters.model_fields else ()
        function = partial(_called, kind.function, takes)

    def judge(text: str, target: str) -> Score:
        if len(text) > kind.max_chars:
            return wrong(None, f"{shown(text)} has {len(text)} characters: it was not read")
        return function(text, target)

    return Instrument(
        *_names(name, kind.version, told), judge, lambda: kind.try_out(key), mode=kind.mode
    )


def _table(declared: str | Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(declared, str):
        return dict(declared)
    return {"function" if ":" in declared else "name": declared}


def _called(
    function: Callable[..., Score], parameters: tuple[Any, ...], text: str, target: str
) -> Score:
    return function(text, target, *parameters)


def _of_parts(given: Mapping[str, Any], key: str, base: Path, allow_code: bool) -> Instrument:
    """The weighted mean of several; their versions and weights are part of its name."""
    listed = composite.parts_of(given)
    if listed is None:
        raise _not_composite(
            "a composite scorer is one list of two parts or more, each a table with its scorer and "
            "weight",
            given,
            key,
        )
    parts = []
    for place, part in enumerate(listed, 1):
        declared = validated(composite.Declared, part, f"part {place} of the composite scorer", key)
        if composite.NAME in _table(declared.scorer):
            raise _not_composite("a part of a composite scorer cannot be one", part, key)
        part_of = instrument(declared.scorer, key, base, allow_code=allow_code)
        parts.append(composite.Part(part_of, declared.weight))
    # in whatever order they are written, they are the same scorer
    parts.sort(key=lambda part: part.scorer.version)
    versions = [part.scorer.version for part in parts]
    if len(set(versions)) < len(versions):
        raise _not_composite("a composite scorer has the same part twice", given, key)
    modes = {part.scorer.mode for part in parts}
    if len(modes) > 1:
        raise _not_composite("parts of a composite scorer read different modes", given, key)
    told = " + ".join(part.told for part in parts)
    told = told if len(told) <= _MAX_SHOWN_PARTS else _digest(told)

    def try_out() -> None:
        for part in parts:
            part.scorer.try_out()

    return Instrument(
        f"{composite.NAME}({told})",
        f"{composite.NAME}@{composite.VERSION}({told})",
        lambda text, target: composite.composite(parts, text, target),
        try_out,
        modes.pop(),
    )


def _not_composite(what: str, received: Mapping[str, Any], key: str) -> UsageError:
    return UsageError(
        what,
        received=repr(dict(received))[:120],
        allowed='{ composite = [{ scorer = "exact_match", weight = 0.7 }, { scorer = "length" }] }',
        next=f"correct `{key}` in flywheel.toml",
    )


def _of_function(given: dict[str, Any], key: str, base: Path) -> Instrument:
    """A user's function with its limits and parameters."""
    name = given.pop("function")
    own = {key: given.pop(key) for key in functions.FunctionLimits.model_fields if key in given}
    source = functions.find_source(name, given, key, base)
    limits = validated(functions.FunctionLimits, own, f"the scorer {name}", key)
    function = functions.limited(source, limits)
    told = {
        **given,
        **limits.model_dump(exclude_defaults=True),
        "source": functions.source_digest(source),
    }

    def try_out() -> None:
        try:
            function.load()
        except FunctionError as error:
            raise functions.refused(name, error, key) from None

    return Instrument(
        *_names(name, functions.VERSION, told),
        lambda text, target: function.score(text, target, given),
        try_out,
    )


def _names(name: str, version: int, told: Mapping[str, Any]) -> tuple[str, str]:
    with_parameters = ", ".join(f"{key}={_short(value)}" for key, value in sorted(told.items()))
    suffix = f"({with_parameters})" if told else ""
    return name + suffix, f"{name}@{version}{suffix}"


def parts(scorer: str) -> tuple[str, int]:
    """exact_match@10 → ("exact_match", 10); -1 where there is no version."""
    name, _, rest = scorer.partition("@")
    version, bracket, told = rest.partition("(")
    return name + bracket + told, int(version) if version.isdigit() else -1


def _short(value: Any) -> str:
    text = canonical_json(value)
    if len(text) <= _MAX_SHOWN and "@" not in text:
        return text
    return _digest(text)


def _digest(text: str) -> str:
    return "#" + hashlib.sha256(text.encode()).hexdigest()[:12]


def _unknown(name: Any, declared: Any, key: str) -> UsageError:
    what = f"unknown scorer {name!r}" if name is not None else "a scorer without a name"
    return UsageError(
        what + (did_you_mean(name, KINDS) if isinstance(name, str) else ""),
        received=name if isinstance(name, str) else repr(declared)[:120],
        allowed=", ".join(sorted(KINDS)),
        next=f"correct `{key}` in flywheel.toml",
    )


def validated(model: type[Parameters], given: Mapping[str, Any], of: str, key: str) -> Parameters:
    known = list(model.model_fields)
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = min(
            error.errors(include_url=False), key=lambda item: item["type"] != "extra_forbidden"
        )
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        what = f"{of} has no parameter {place!r}" + did_you_mean(place, known)
    else:
        message = first["msg"].removeprefix("Value error, ")
        what = f"{place or 'parameters'} of {of}: {message[:1].lower()}{message[1:]}"
    raise UsageError(
        what,
        received=f"{key}.{place}"
        if first["type"] == "extra_forbidden"
        else repr(first["input"])[:120],
        allowed=", ".join(known) or "no parameter",
        next=f"correct `{key}` in flywheel.toml; docs/scorers.md lists every parameter",
    )
