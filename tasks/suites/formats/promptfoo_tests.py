"""Tests of promptfoo: a configuration (YAML, JSON), a file of tests (YAML, JSON, JSON lines, CSV).

A prompt of theirs belongs to a release here; the question is the first prompt with its variables
put in, as it is asked there. Source: promptfoo's "Test case configuration".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from tasks.errors import UsageError
from tasks.referee.files import ResultFile
from tasks.referee.formats.table import csv_records
from tasks.referee.values import texts
from tasks.suites.formats.assertions import Asked, as_one_kind, items_of, of_cell
from tasks.suites.formats.inspect_samples import message_of
from tasks.suites.formats.yaml_text import read_yaml
from tasks.suites.imported import Imported, Item, LeftOut, Mapped
from tasks.suites.templates import filled

FORMAT = "promptfoo"
_QUESTIONS = ("input", "question", "prompt", "query", "message", "text", "user_input")
_MAX_OF_ONE = 1000
_IGNORED = ("transform", "postprocess", "repeat")


def is_config(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and "tests" in value
        and bool({"prompts", "providers"} & value.keys())
    )


def are_tests(value: Any) -> bool:
    """A list of tests by itself."""
    return isinstance(value, list) and bool(value) and all(
        isinstance(one, dict) and ("vars" in one or "assert" in one) for one in value
    )  # fmt: skip


def is_csv(columns: Sequence[str]) -> bool:
    return any(str(column).startswith("__") for column in columns)


def read(file: ResultFile, mapped: Mapped) -> Imported:
    value = document(file)
    config = value if isinstance(value, dict) else {"tests": value}
    left_out, notes = LeftOut(), list[str]()
    prompt = _prompt(file, config, notes)
    default = config.get("defaultTest")
    if isinstance(default, str):
        left_out.add("defaultTest in a file is not read", str(file.path))
    default = default if isinstance(default, dict) else {}
    items: list[Item] = []
    for where, test in _tests(file, config.get("tests"), left_out):
        for values in _each(_of(default, "vars") | _of(test, "vars"), where, left_out):
            asked = _asked(test, default, values, prompt, mapped, where, left_out)
            asserted = [*_list(default.get("assert")), *_list(test.get("assert"))]
            items += items_of(asked, asserted, left_out)
    if not items:
        raise file.refused("holds no tests")
    name = file.stem.removesuffix("config") or file.stem
    return Imported(FORMAT, name, str(file.path), tuple(as_one_kind(items)), left_out, tuple(notes))


def document(file: ResultFile) -> Any:
    if file.kind == "csv":
        return [_of_row(record) for _, record in csv_records(file)]
    if file.kind in ("yaml", "yml"):
        return read_yaml(file)
    if file.kind == "jsonl":
        return [line for _, line in file.lines]
    return file.document


def _of_row(record: Mapping[str, str]) -> dict[str, Any]:
    """A row of a CSV as a test."""
    asserted = [
        of_cell(cell)
        for column, cell in record.items()
        if column.startswith("__expected") and cell.strip()
    ]
    told = {c.removeprefix("__metadata:"): v for c, v in record.items()
            if c.startswith("__metadata:") and v}  # fmt: skip
    options = {key: record[f"__{key}"] for key in ("prefix", "suffix") if record.get(f"__{key}")}
    test: dict[str, Any] = {
        "vars": {c: v for c, v in record.items() if not c.startswith("__")},
        "assert": asserted, "metadata": told, "options": options,
        "description": record.get("__description") or "",
    }  # fmt: skip
    if record.get("__threshold"):
        test["threshold"] = record["__threshold"]
    return test


def _tests(
    file: ResultFile, tests: Any, left_out: LeftOut
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Where each stands and the test; those in other files too."""
    for place, one in enumerate(tests if isinstance(tests, list) else [tests], 1):
        path = one if isinstance(one, str) else one.get("path") if isinstance(one, dict) else None
        if isinstance(path, str) and not (isinstance(one, dict) and "vars" in one):
            for beside in _beside(file, path):
                inner = document(beside)
                listed = (
                    inner.get("tests") if isinstance(inner, dict) and "tests" in inner else inner
                )
                yield from _tests(beside, listed, left_out)
        elif isinstance(one, dict):
            yield f"{file.path}: test {place}", one
        else:
            raise file.refused("a test is no object", None, repr(one))


def _beside(file: ResultFile, named: str) -> list[ResultFile]:
    """Files that a configuration names; none outside of its folder."""
    folder = file.path.parent.resolve()
    pattern = named.removeprefix("file://").partition("#")[0]
    if "://" in pattern or pattern.startswith(("/", "~")) or ".." in Path(pattern).parts:
        raise file.refused("tests outside of its folder are not read", None, named,
                           next="import that file by itself")  # fmt: skip
    try:
        found = sorted(one for one in folder.glob(pattern) if one.is_file())
    except (ValueError, OSError, NotImplementedError):
        found = []
    known = [one for one in found if one.suffix[1:] in ("csv", "yaml", "yml", "json", "jsonl")
             and one.resolve() != file.path.resolve()]  # fmt: skip
    if not known:
        raise file.refused(
            "names tests that are not there or cannot be read",
            None,
            named,
            allowed="a file of CSV, YAML, JSON or JSON lines in its folder",
        )
    return [ResultFile(one) for one in known]


def _prompt(file: ResultFile, config: Mapping[str, Any], notes: list[str]) -> Any:
    """The first prompt: a text, or messages; None where there is none."""
    prompts = config.get("prompts")
    prompts = prompts if isinstance(prompts, list) else [] if prompts is None else [prompts]
    if len(prompts) > 1:
        notes.append(f"of {len(prompts)} prompts the first is put into the questions; the others "
                     "are prompt files of other releases")  # fmt: skip
    first = prompts[0] if prompts else None
    if isinstance(first, dict):
        first = first.get("raw") or first.get("id")
    if isinstance(first, str) and first.startswith("file://"):
        path = file.path.parent / first.removeprefix("file://")
        inside = path.resolve().is_relative_to(file.path.parent.resolve())
        if not inside or path.suffix not in (".txt", ".md", ".json") or not path.is_file():
            raise file.refused("names a prompt that cannot be read here", None, first,
                               allowed=".txt, .md or .json in its folder")  # fmt: skip
        told = ResultFile(path)
        return told.document if path.suffix == ".json" else told.text.strip()
    if isinstance(first, str) and first.lstrip().startswith("["):
        try:
            return file.value(first.encode())
        except UsageError:
            return first
    return first


def _each(values: Mapping[str, Any], where: str, left_out: LeftOut) -> Iterator[Mapping[str, Any]]:
    """A variable with a list of values makes a test of each, as there."""
    lists = {name: value for name, value in values.items() if isinstance(value, list) and value}
    combined = 1
    for value in lists.values():
        combined *= len(value)
    if combined > _MAX_OF_ONE:
        raise UsageError(
            "a test's lists of values make too many tests",
            received=f"{combined:,} of {where}",
            allowed=f"{_MAX_OF_ONE:,}",
        )
    for chosen in product(*lists.values()):
        yield {**values, **dict(zip(lists, chosen, strict=True))}


def _asked(
    test: Mapping[str, Any],
    default: Mapping[str, Any],
    values: Mapping[str, Any],
    prompt: Any,
    mapped: Mapped,
    where: str,
    left_out: LeftOut,
) -> Asked:
    options = _of(default, "options") | _of(test, "options")
    for name, value in values.items():
        if isinstance(value, str) and value.startswith("file://"):
            left_out.add(f"variable {name} in a file is not read", where)
    for key in _IGNORED:
        if options.get(key):
            left_out.add(f"option {key} of a test is not run", where)
    if test.get("threshold") is not None:
        left_out.add("threshold of a test: here all that is taken has to hold", where)
    line: dict[str, Any] = {}
    question = _question(prompt, values, mapped, where, left_out)
    if isinstance(question, str):
        around = [str(options.get(key) or "") for key in ("prefix", "suffix")]
        line["input"] = f"{around[0]}{question}{around[1]}"
    else:
        line["messages"] = question
    metadata = texts(_of(default, "metadata") | _of(test, "metadata"))
    if metadata:
        line["slices"] = metadata
    if isinstance(test.get("description"), str) and test["description"]:
        line["comment"] = test["description"]
    return Asked(line, values, where)


def _question(
    prompt: Any, values: Mapping[str, Any], mapped: Mapped, where: str, left_out: LeftOut
) -> Any:
    if mapped.input:
        if mapped.input not in values:
            raise UsageError(
                "--input names a variable that a test does not have",
                received=f"{mapped.input} in {where}",
                allowed=", ".join(values)[:200],
            )
        return str(values[mapped.input])
    if isinstance(prompt, list):
        return [
            {**dict(message_of(one)), "content": _put(one.get("content"), values, where, left_out)}
            for one in prompt
            if isinstance(one, dict)
        ]
    if isinstance(prompt, str):
        return _put(prompt, values, where, left_out)
    named = next((name for name in _QUESTIONS if name in values), None)
    if len(values) == 1 or named is not None:
        return str(values[named] if named is not None else next(iter(values.values())))
    return "\n".join(f"{name}: {value}" for name, value in values.items())


def _put(template: Any, values: Mapping[str, Any], where: str, left_out: LeftOut) -> Any:
    if not isinstance(template, str):
        return template
    text, unknown = filled(template, values)
    if unknown:
        left_out.add(f"mark {unknown[0]} in a prompt is left as it is", where)
    return text


def _of(value: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = value.get(key)
    return dict(found) if isinstance(found, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
