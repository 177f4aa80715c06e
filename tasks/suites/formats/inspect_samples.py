"""Samples in a log of Inspect (.eval, .json), with the scorer that its task had.

Source: inspect_ai's EvalLog and Sample. A sample that was answered in several epochs is one item.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tasks.referee.files import ResultFile
from tasks.referee.formats import inspect_log
from tasks.referee.values import texts
from tasks.suites.imported import Imported, Item, LeftOut, ScorerValue, joined

FORMAT = "inspect"
_SCORERS: Mapping[str, ScorerValue] = {
    "exact": "exact_match", "includes": "includes", "f1": "token_f1", "math": "maths",
    "choice": "choice",
}  # fmt: skip
_JUDGES = ("model_graded_qa", "model_graded_fact")


def read(file: ResultFile) -> Imported:
    _, told, samples = inspect_log.parts(file)
    left_out = LeftOut()
    scorer, is_judged = _scorer(told.get("scorers"), str(file.path), left_out)
    items: dict[str, Item] = {}
    for place, sample in enumerate(samples, 1):
        if not isinstance(sample, dict):
            raise file.refused("a sample is no object", None, repr(sample))
        where = f"{file.path}: sample {sample.get('id', place)}"
        if str(sample.get("id", place)) not in items:
            line = line_of(sample, where, left_out)
            items[str(sample.get("id", place))] = Item(where, line, scorer, is_judged)
    if not items:
        raise file.refused("holds no samples", next="inspect eval without --no-log-samples")
    name = str(told.get("task") or file.stem).rpartition("/")[2]
    return Imported(FORMAT, name, str(file.path), tuple(items.values()), left_out)


def line_of(sample: Mapping[str, Any], where: str, left_out: LeftOut) -> dict[str, Any]:
    """A sample of Inspect as a line of a suite; also of its datasets."""
    line: dict[str, Any] = {}
    if sample.get("id") not in (None, ""):
        line["id"] = str(sample["id"])
    asked = sample.get("input")
    choices = sample.get("choices")
    if isinstance(choices, list) and choices:
        asked = with_choices(asked, [str(choice) for choice in choices])
    if isinstance(asked, list):
        line["messages"] = [dict(message_of(one)) for one in asked if isinstance(one, dict)]
    else:
        line["input"] = str(asked) if isinstance(asked, int | float) else asked
    line["target"] = joined(sample.get("target"))
    metadata = sample.get("metadata")
    if isinstance(metadata, dict) and (slices := texts(metadata)):
        line["slices"] = slices
    for key in ("sandbox", "files", "setup"):
        if sample.get(key):
            left_out.add(f"{key} of a sample: nothing is run beside the model", where)
    return line


def message_of(message: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key in ("role", "content", "name", "tool_calls", "tool_call_id"):
        if message.get(key) is not None:
            yield key, message[key]


def with_choices(asked: Any, choices: Sequence[str]) -> Any:
    """The question with its choices below it, A to Z, as `multiple_choice` of Inspect has them."""
    listed = "\n".join(f"{chr(65 + place)}) {choice}" for place, choice in enumerate(choices[:26]))
    if isinstance(asked, str):
        return f"{asked}\n\n{listed}"
    if isinstance(asked, list) and asked and isinstance(asked[-1], dict):
        last = asked[-1]
        if isinstance(last.get("content"), str):
            return [*asked[:-1], {**last, "content": f"{last['content']}\n\n{listed}"}]
    return asked


def _scorer(scorers: Any, where: str, left_out: LeftOut) -> tuple[ScorerValue, bool]:
    """The first that has an equivalent; a model that grades, where there is none."""
    is_judged = False
    found: ScorerValue = ""
    for one in scorers if isinstance(scorers, list) else ():
        name = str(one.get("name") if isinstance(one, dict) else one).rpartition("/")[2]
        options = one.get("options") if isinstance(one, dict) else None
        options = options if isinstance(options, dict) else {}
        mapped = _mapped(name, options)
        if name in _JUDGES:
            is_judged = True
            left_out.add(f"scorer {name} is a model: declare a judge", where)
        elif not mapped:
            left_out.add(f"scorer {name} has no equivalent here", where)
        elif found:
            left_out.add(f"scorer {name}: a suite decides by one; add it to `also`", where)
        else:
            found = mapped
            if name == "match" and mapped == "includes":
                place = options.get("location", "end")
                left_out.add(f"scorer match looks at the {place} of an answer, includes at all of "
                             "it", where)  # fmt: skip
    return found, is_judged and not found


def _mapped(name: str, options: Mapping[str, Any]) -> ScorerValue:
    if name == "match":
        if options.get("numeric"):
            return "numeric"
        return "exact_match" if options.get("location") == "exact" else "includes"
    if name == "pattern" and isinstance(options.get("pattern"), str):
        return {"name": "regex", "pattern": options["pattern"],
                "ignore_case": options.get("ignore_case", True) is True}  # fmt: skip
    return _SCORERS.get(name, "")
