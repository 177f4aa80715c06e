"""Users' scorers: functions `(answer, target, **parameters)` in a module beside flywheel.toml.

    scorer = { function = "my_scorers:polite", threshold = 0.5, timeout_s = 5 }

The function gives a value from 0 to 1, true or false, or a dict with `value`, `answer` and
`explanation`, or with `unscored_reason`. It is found and its parameters are checked by reading its
source, and it is run in a process with limits; an exception leaves the sample unscored. Scores are
kept under a digest of that file: what else it imports is not part of it.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from tasks.errors import UsageError, did_you_mean
from tasks.scoring.process import FunctionError, LimitedFunction, Source
from tasks.settings.section import Section

_NAME = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*):([^\W\d]\w*)")
#: of how such a function is called and what it may give
VERSION = 1


class FunctionLimits(Section):
    timeout_s: int = Field(
        5, ge=1, le=3600,
        description="processor seconds an answer may take; twelve times as many by the clock",
    )  # fmt: skip
    memory_bytes: int = Field(
        2 * 2**30, ge=64 * 2**20, description="address space it may take beyond an idle Python"
    )


def find_source(declared: Any, parameters: Mapping[str, Any], key: str, base: Path) -> Source:
    """Raises UsageError where there is no such function, and where it does not take these."""
    matched = _NAME.fullmatch(declared) if isinstance(declared, str) else None
    if matched is None:
        raise _bad("a function is named as module:function", repr(declared)[:120], key)
    module, name = matched.groups()
    path = base.joinpath(*module.split(".")).with_suffix(".py")
    try:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
    except OSError as error:
        what = f"the module of the scorer {declared} cannot be read: {error.strerror}"
        raise _bad(what, str(path), key) from None
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        what = f"the module of the scorer {declared} is not Python: {error}"
        raise _bad(what, str(path), key) from None
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if name not in functions:
        what = f"{path.name} defines no function {name!r}" + did_you_mean(name, functions)
        raise _bad(what, str(path), key, allowed=", ".join(functions))
    _check_parameters(functions[name], parameters, declared, key)
    return Source(module, name, path, text, base)


def limited(source: Source, limits: FunctionLimits) -> LimitedFunction:
    return LimitedFunction(source, limits.timeout_s, limits.memory_bytes)


def source_digest(source: Source) -> str:
    return "#" + hashlib.sha256(source.text.encode()).hexdigest()[:12]


def refused(function: str, error: FunctionError, key: str) -> UsageError:
    return _bad(f"the scorer {function} cannot be used: {error}", function, key)


def _check_parameters(
    function: ast.FunctionDef, parameters: Mapping[str, Any], declared: str, key: str
) -> None:
    try:
        json.dumps(dict(parameters), allow_nan=False)
    except (TypeError, ValueError) as error:
        what = f"a parameter of the scorer {declared} cannot be passed on: {error}"
        raise _bad(what, repr(dict(parameters))[:120], key) from None
    if function.decorator_list:  # what it takes is for the decorator to say
        return
    asked = function.args
    in_turn = [one.arg for one in (*asked.posonlyargs, *asked.args)]
    if len(in_turn) < 2 and asked.vararg is None:
        raise _bad(
            f"the scorer {declared} takes no answer and target",
            f"{function.name}({', '.join(in_turn)})",
            key,
            allowed=f"def {function.name}(answer, target)",
        )
    known = [one.arg for one in (*asked.args, *asked.kwonlyargs) if one.arg not in in_turn[:2]]
    for name in parameters:
        if name not in known and (asked.kwarg is None or name in in_turn):
            raise _bad(
                f"the scorer {declared} has no parameter {name!r}" + did_you_mean(name, known),
                f"{key}.{name}",
                key,
                allowed=", ".join([*known, *FunctionLimits.model_fields]),
            )
    with_default = in_turn[len(in_turn) - len(asked.defaults) :]
    with_default += [
        one.arg
        for one, default in zip(asked.kwonlyargs, asked.kw_defaults, strict=True)
        if default is not None
    ]
    missing = [name for name in known if name not in with_default and name not in parameters]
    if missing:
        raise _bad(f"the scorer {declared} needs {missing[0]!r}", key, key)


def _bad(what: str, received: str, key: str, allowed: str = "") -> UsageError:
    return UsageError(
        what,
        received=received,
        allowed=allowed or "a function (answer, target, **parameters) in a module beside the file",
        next=f"correct `{key}` in flywheel.toml, or the module",
    )
