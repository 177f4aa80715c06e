"""Evals of OpenAI's hosted service as its API gives them: an eval (`data_source_config`,
`testing_criteria`), runs of it, their output items, and rows of data ({"item": {…}}).

In one JSON file, or in a folder with a file each. The question is the run's template with a row's
values put in, else what an output item says was asked, else a column. Each criterion that has an
equivalent makes a suite of its own; several string checks are one. Source: the reference of the
Evals API.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.errors import UsageError
from tasks.referee.files import ResultFile
from tasks.suites import patterns
from tasks.suites.formats.inspect_samples import message_of
from tasks.suites.formats.rows import INPUTS
from tasks.suites.imported import Imported, Item, LeftOut, Mapped, ScorerValue
from tasks.suites.templates import filled, is_only

FORMAT = "openai-evals"
OUTPUT_ITEM = "eval.run.output_item"
_ANSWER = "sample.output_text"
_SIMILAR: Mapping[str, str] = {
    "fuzzy_match": "fuzzy", "bleu": "bleu", "rouge_l": "rouge_l", "cosine": "semantic",
}  # fmt: skip
#: what takes the threshold of a criterion
_WITH_THRESHOLD = ("fuzzy", "semantic")
_JUDGES = ("label_model", "score_model")


@dataclass(slots=True)
class _Found:
    """What the files hold. `rows`: values of each, where it stood, and what was asked with it."""

    evals: list[Mapping[str, Any]] = field(default_factory=list)
    templates: list[Sequence[Any]] = field(default_factory=list)
    rows: list[tuple[str, Mapping[str, Any], Any]] = field(default_factory=list)
    asked: list[tuple[str, Mapping[str, Any], Any]] = field(default_factory=list)


def is_eval(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("testing_criteria"), list)


def holds(value: Any) -> bool:
    """Whether an eval is anywhere in a document of theirs: by itself, in a list, in an export."""
    if is_eval(value):
        return True
    if not isinstance(value, dict):
        return False
    return is_eval(value.get("eval")) or any(map(is_eval, _listed(value.get("data"))))


def read(files: Sequence[ResultFile], source: Path, mapped: Mapped) -> Imported:
    found = _Found()
    for file in files:
        for where, value in _values(file):
            _take(value, where, found)
    evals = {str(one.get("id") or one.get("name")): one for one in found.evals}
    if len(evals) != 1:
        raise UsageError(
            "there is no eval with testing_criteria" if not evals else "there are several evals",
            received=str(source),
            allowed=", ".join(evals)[:200] or "an eval as the API gives it",
            next="import them one at a time" if evals else "save the eval beside its rows",
        )
    (chosen,) = evals.values()
    rows = found.rows or found.asked
    if not rows:
        raise UsageError(
            "the eval is there, and none of its rows is",
            received=str(source),
            allowed='JSON lines of {"item": {…}}, or the output items of a run',
            next="save them in one folder with the eval, then import the folder",
        )
    left_out, notes = LeftOut(), list[str]()
    if len(found.templates) > 1:
        notes.append(f"of {len(found.templates)} runs the first says how rows were asked")
    criteria = [one for one in chosen["testing_criteria"] if isinstance(one, dict)]
    items: list[Item] = []
    for where, row, asked in rows:
        values = {"item": row}
        line = _line(values, asked, found.templates, mapped, where, left_out)
        items += _judged(line, values, criteria, where, left_out)
    name = str(chosen.get("name") or source.stem)
    return Imported(FORMAT, name, str(source), tuple(items), left_out, tuple(notes))


def _values(file: ResultFile) -> Iterator[tuple[str, Any]]:
    if file.kind == "jsonl" or (isinstance(file.first_line, dict) and b"\n{" in file.data):
        yield from ((f"{file.path}:{number}", line) for number, line in file.lines)
    else:
        yield str(file.path), file.document


def _take(value: Any, where: str, found: _Found) -> None:
    if isinstance(value, list):
        for place, one in enumerate(value, 1):
            _take(one, f"{where}: {place}", found)
        return
    if not isinstance(value, dict):
        return
    if is_eval(value):
        found.evals.append(value)
    elif value.get("object") == OUTPUT_ITEM or "datasource_item" in value:
        item, sample = value.get("datasource_item"), value.get("sample")
        asked = sample.get("input") if isinstance(sample, dict) else None
        if isinstance(item, dict):
            inner = item.get("item")
            found.asked.append((where, inner if isinstance(inner, dict) else item, asked))
    elif isinstance(value.get("item"), dict):
        found.rows.append((where, value["item"], None))
    source = value.get("data_source")
    if isinstance(source, dict):
        told = source.get("input_messages")
        template = told.get("template") if isinstance(told, dict) else None
        if isinstance(template, list):
            found.templates.append(template)
        content = source.get("source")
        if isinstance(content, dict):
            _take(_listed(content.get("content")), f"{where}: content", found)
    for key in ("eval", "data", "items", "rows", "run", "runs", "output_items"):
        inner = value.get(key)
        if isinstance(inner, dict | list) and not (key == "data" and is_eval(value)):
            _take(inner, f"{where}: {key}", found)


def _line(
    values: Mapping[str, Any],
    asked: Any,
    templates: Sequence[Sequence[Any]],
    mapped: Mapped,
    where: str,
    left_out: LeftOut,
) -> dict[str, Any]:
    row = values["item"]
    if mapped.input:
        if mapped.input not in row:
            raise UsageError(
                "--input names a column that a row does not have",
                received=f"{mapped.input} in {where}",
                allowed=", ".join(map(str, row))[:200],
            )
        return {"input": row[mapped.input]}
    if templates:
        return {"messages": list(_filled(templates[0], values, where, left_out))}
    if isinstance(asked, list) and asked:
        return {"messages": [dict(message_of(one)) for one in asked if isinstance(one, dict)]}
    name = next((name for name in INPUTS if name in row), None)
    if name is None:
        raise UsageError(
            "no column is known to be the question, and no run says how rows were asked",
            received=f"{', '.join(map(str, row))[:160]} in {where}",
            allowed=", ".join(INPUTS),
            next="--input COLUMN, or save a run beside the eval",
        )
    return {"messages" if name == "messages" else "input": row[name]}


def _filled(
    template: Iterable[Any], values: Mapping[str, Any], where: str, left_out: LeftOut
) -> Iterator[dict[str, Any]]:
    for message in template:
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, dict):  # {"type": "input_text", "text": …}
            content = content.get("text")
        if not isinstance(content, str):
            left_out.add("a message of the template that is no text", where)
            continue
        text, unknown = filled(content, values)
        if unknown:
            left_out.add(f"mark {unknown[0]} in the template is left as it is", where)
        role = str(message.get("role") or "user")
        yield {"role": "system" if role == "developer" else role, "content": text}


def _judged(
    line: Mapping[str, Any],
    values: Mapping[str, Any],
    criteria: Sequence[Mapping[str, Any]],
    where: str,
    left_out: LeftOut,
) -> Iterator[Item]:
    """One item a scorer; at least one, without a target where no criterion has an equivalent."""
    demands: list[str] = []
    equal: list[str] = []
    num_items = 0
    for criterion in criteria:
        kind = str(criterion.get("type"))
        name = f"criterion {criterion.get('name') or kind} ({kind})"
        reference = criterion.get("reference")
        target = filled(reference, values)[0] if isinstance(reference, str) else None
        of_answer = isinstance(criterion.get("input"), str) and is_only(criterion["input"], _ANSWER)
        if kind in _JUDGES:
            num_items += 1
            left_out.add(f"{name} is for a model: declare a judge", where)
            yield Item(where, {**line, "target": _rubric(criterion, values)}, "", is_judged=True)
        elif target is None or not of_answer:
            left_out.add(f"{name} has no equivalent here", where)
        elif kind == "string_check" and (demand := _demand(criterion.get("operation"), target)):
            demands.append(demand)
            equal += [target] if criterion["operation"] == "eq" else []
        elif kind == "text_similarity" and (scorer := _similar(criterion)):
            num_items += 1
            yield Item(where, {**line, "target": target}, scorer)
        else:
            left_out.add(f"{name} has no equivalent here", where)
    if len(demands) == len(equal) == 1:
        yield Item(where, {**line, "target": equal[0]}, "exact")
    elif demands:
        yield Item(where, {**line, "target": patterns.together(demands)}, "regex")
    elif not num_items:
        yield Item(where, {**line, "target": None})


def _demand(operation: Any, target: str) -> str:
    """Their `like` is that the answer contains the reference; empty: not known."""
    if operation == "eq":
        return patterns.equals(target)
    if operation == "ne":
        return patterns.negated(patterns.equals(target))
    if operation in ("like", "ilike"):
        return patterns.contains(target, ignore_case=operation == "ilike")
    return ""


def _similar(criterion: Mapping[str, Any]) -> ScorerValue:
    scorer = _SIMILAR.get(str(criterion.get("evaluation_metric")), "")
    threshold = criterion.get("pass_threshold")
    if scorer in _WITH_THRESHOLD and isinstance(threshold, int | float) and 0 < threshold <= 1:
        return {"name": scorer, "at_least": float(threshold)}
    return scorer


def _rubric(criterion: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """What the grading model was told, for whoever writes the judge's rubric."""
    told = [
        filled(content, values)[0]
        for message in _listed(criterion.get("input"))
        if isinstance(message, dict) and isinstance(content := message.get("content"), str)
    ]
    passing = _listed(criterion.get("passing_labels"))
    return "\n".join([*told, *([f"right: {', '.join(map(str, passing))}"] if passing else [])])


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
