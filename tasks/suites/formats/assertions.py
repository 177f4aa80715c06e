"""Assertions of promptfoo as scorers and targets of a suite.

Demands on the text hold together as one regular expression; whether an answer is JSON, is alike in
meaning or is right to a model is for another scorer each. Source: promptfoo's "Assertions &
metrics". Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.model.canonical import canonical_json
from tasks.suites import patterns
from tasks.suites.imported import Item, LeftOut, ScorerValue
from tasks.suites.templates import filled

JUDGED = frozenset(
    ("llm-rubric", "g-eval", "factuality", "model-graded-factuality", "model-graded-closedqa",
     "answer-relevance", "context-faithfulness", "context-recall", "context-relevance", "pi",
     "select-best", "max-score", "search-rubric")
)  # fmt: skip
_USE = {
    "cost": "a guardrail measures cost",
    "latency": "a guardrail measures tokens and cost",
    "javascript": "write a scorer of your own",
    "python": "write a scorer of your own",
}
_ALL, _ANY = ("contains-all", "icontains-all"), ("contains-any", "icontains-any")
_ONE = ("equals", "contains", "icontains", "starts-with", "regex")
_TEXTS = (*_ONE, *_ALL, *_ANY)
_OTHERS = ("is-json", "similar", "is-refusal")
#: of a cell: not-contains-any(0.5): a, b
_CELL = re.compile(
    r"(?P<type>(?:not-)?[a-z][a-z0-9-]*)(?:\((?P<threshold>\d*\.?\d+)\))?(?::(?P<value>.*))?",
    re.DOTALL,
)
_CELL_NAMES = {"fn": "javascript", "eval": "javascript", "grade": "llm-rubric"}
_KNOWN = frozenset(
    (*_TEXTS, *_OTHERS, *JUDGED, *_USE, "contains-json", "contains-sql", "contains-xml", "is-sql",
     "is-xml", "is-html", "contains-html", "levenshtein", "rouge-n", "bleu", "gleu", "meteor",
     "perplexity", "perplexity-score", "webhook", "ruby", "moderation", "classifier", "f-score",
     "guardrails", "finish-reason", "word-count", "tool-call-f1", "is-valid-openai-tools-call",
     "is-valid-function-call", "is-valid-openai-function-call", "trace-span-count")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """A test without its assertions: the line so far, its variables, and where it stood."""

    line: Mapping[str, Any]
    values: Mapping[str, Any]
    where: str


def of_cell(text: str) -> Mapping[str, Any]:
    """An assertion as a cell of a CSV writes it; a plain text is to be equalled."""
    found = _CELL.fullmatch(text.strip())
    kind = "" if found is None else _CELL_NAMES.get(found["type"], found["type"])
    if found is None or kind.removeprefix("not-") not in _KNOWN:
        return {"type": "equals", "value": text}
    value: Any = None if found["value"] is None else found["value"].strip()
    if kind.removeprefix("not-") in (*_ALL, *_ANY) and value is not None:
        value = [part.strip() for part in value.split(",")]
    threshold = {} if found["threshold"] is None else {"threshold": float(found["threshold"])}
    return {"type": kind, "value": value, **threshold}


def items_of(asked: Asked, asserted: Sequence[Any], left_out: LeftOut) -> Iterator[Item]:
    """One item a scorer; at least one, without a target where no assertion has an equivalent."""
    demands: list[str] = []
    equal: list[str] = []
    others: list[Item] = []
    for one in _flat(asserted, asked.where, left_out):
        name = str(one.get("type") or "")
        kind = name.removeprefix("not-")
        value = _value(one.get("value"), asked, left_out)
        if one.get("weight") not in (None, 1, 1.0):
            left_out.add("weight of an assertion: all that are taken count the same", asked.where)
        if one.get("transform"):
            left_out.add("transform of an answer is not run", asked.where)
        if kind in _TEXTS and value is not None and (demand := _demand(kind, value)):
            demands.append(patterns.negated(demand) if kind != name else demand)
            equal += [_text(value)] if name == "equals" else []
        elif name in JUDGED:
            others.append(_item(asked, _text(value), "", is_judged=True))
            left_out.add(f"assertion {name} is for a model: declare a judge", asked.where)
        elif name in _OTHERS:
            others.append(_other(name, value, one, asked))
        else:
            use = _USE.get(kind, "")
            told = f"assertion {name or '(no type)'} has no equivalent here"
            left_out.add(told + (f": {use}" if use else ""), asked.where)
    if len(demands) == len(equal) == 1:
        yield _item(asked, equal[0], "exact")
    elif demands:
        yield _item(asked, patterns.together(demands), "regex")
    yield from others
    if not demands and not others:
        yield _item(asked, None, "")


def as_one_kind(items: Sequence[Item]) -> list[Item]:
    """Where some texts are looked for by expressions, those to be equalled are too: one suite."""
    if not any(item.scorer == "regex" for item in items):
        return list(items)
    return [
        item
        if item.scorer != "exact"
        else Item(
            item.where,
            {**item.line, "target": patterns.together([patterns.equals(item.line["target"])])},
            "regex",
        )
        for item in items
    ]


def _flat(asserted: Sequence[Any], where: str, left_out: LeftOut) -> Iterator[Mapping[str, Any]]:
    for one in asserted:
        if isinstance(one, str):
            left_out.add("an assertion that is only named has no equivalent here", where)
        elif isinstance(one, Mapping) and one.get("type") == "assert-set":
            if one.get("threshold") is not None:
                left_out.add("threshold of an assert-set: here all of it has to hold", where)
            inner = one.get("assert")
            yield from _flat(inner if isinstance(inner, list) else (), where, left_out)
        elif isinstance(one, Mapping):
            yield one


def _value(value: Any, asked: Asked, left_out: LeftOut) -> Any:
    if isinstance(value, list):
        return [_value(one, asked, left_out) for one in value]
    if not isinstance(value, str):
        return value
    if value.startswith("file://"):
        left_out.add("value of an assertion in a file is not read", asked.where)
        return None
    text, unknown = filled(value, asked.values)
    if unknown:
        left_out.add(f"mark {unknown[0]} in an assertion is left as it is", asked.where)
    return text


def _demand(kind: str, value: Any) -> str:
    """Empty where the value does not fit the kind."""
    if kind in (*_ALL, *_ANY):
        texts = [_text(one) for one in (value if isinstance(value, list) else [value])]
        ignore_case = kind.startswith("i")
        if kind in _ANY:
            return patterns.contains_any(texts, ignore_case=ignore_case)
        # one demand, so that it can be negated as a whole
        inner = "".join(patterns.contains(text, ignore_case=ignore_case) for text in texts)
        return f"(?={inner})"
    text = _text(value)
    if kind == "equals":
        return patterns.equals(text)
    if kind == "starts-with":
        return patterns.starts_with(text)
    if kind == "regex":
        return patterns.found(text) if patterns.compiles(text) else ""
    return patterns.contains(text, ignore_case=kind == "icontains")


def _other(name: str, value: Any, one: Mapping[str, Any], asked: Asked) -> Item:
    if name == "is-json":
        return _item(asked, "-" if value is None else value,
                     "json_valid" if value is None else "json_schema")  # fmt: skip
    if name == "is-refusal":
        return _item(asked, "refusal", "refusal")
    threshold = one.get("threshold")
    at_least = (
        float(threshold) if isinstance(threshold, int | float) and 0 < threshold <= 1 else 0.75
    )
    return _item(asked, _text(value), {"name": "semantic", "at_least": at_least})


def _item(asked: Asked, target: Any, scorer: ScorerValue, *, is_judged: bool = False) -> Item:
    return Item(asked.where, {**asked.line, "target": target}, scorer, is_judged)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else canonical_json(value)
