"""Which importer a file is for, by its content; a folder by what lies in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tasks.errors import UsageError, did_you_mean
from tasks.logs.formats.results_of_others import (
    is_inspect_log,
    is_lm_eval_sample,
    results_of_promptfoo,
)
from tasks.referee.files import ResultFile
from tasks.suites.formats import inspect_samples, lm_eval, openai_evals, promptfoo_tests, rows
from tasks.suites.imported import Imported, Item, Mapped

AUTO = "auto"
FORMATS = (
    lm_eval.FORMAT,
    inspect_samples.FORMAT,
    promptfoo_tests.FORMAT,
    openai_evals.FORMAT,
    rows.FORMAT,
)
_DOCUMENTS = ("json", "jsonl")


def read_suite_of(named: str, said: str, mapped: Mapped) -> Imported:
    """What a file or folder holds, as items of a suite. `said`: the format, or auto. Raises
    UsageError, in one line that names file and line, on what cannot be read."""
    path = Path(named).expanduser()
    if said not in (AUTO, *FORMATS):
        raise UsageError(f"no such format{did_you_mean(said, FORMATS)}", received=said,
                         allowed=", ".join((AUTO, *FORMATS)))  # fmt: skip
    if not path.exists():
        raise UsageError("there is nothing to import there", received=named,
                         allowed="a file or a folder")  # fmt: skip
    read = _READERS[said if said != AUTO else _format_of(path)]
    found = read(path, mapped)
    if mapped.scorer:
        items = tuple(
            Item(one.where, one.line, mapped.scorer, mode=one.mode) for one in found.items
        )
        return replace(found, items=items)
    return found


def _format_of(path: Path) -> str:
    if path.is_dir():
        return _format_of_folder(path)
    file = ResultFile(path)
    if file.kind == "parquet":
        return rows.FORMAT
    if not file.raw.strip():
        raise file.refused("is empty")
    if file.is_zip:
        return inspect_samples.FORMAT
    if file.kind in ("yaml", "yml"):
        return promptfoo_tests.FORMAT
    if file.kind == "csv":
        columns = file.text.partition("\n")[0].split(",")
        is_tests = promptfoo_tests.is_csv([column.strip(' "\r') for column in columns])
        return promptfoo_tests.FORMAT if is_tests else rows.FORMAT
    if file.kind in ("js", "ts", "mjs", "py", "xlsx"):
        raise file.refused(
            "is a program or workbook and is not run", next="export it as JSON or CSV"
        )
    first = file.first_line
    if is_lm_eval_sample(first):
        return lm_eval.FORMAT
    if isinstance(first, dict) and (file.kind == "jsonl" or b"\n{" in file.data):
        is_rows = _is_row_of_eval(first)
        return openai_evals.FORMAT if is_rows or openai_evals.is_eval(first) else (
            promptfoo_tests.FORMAT if promptfoo_tests.are_tests([first]) else rows.FORMAT
        )  # fmt: skip
    return _format_of_document(file, file.document)


def _is_row_of_eval(value: dict[str, Any]) -> bool:
    return isinstance(value.get("item"), dict) or "datasource_item" in value


def _format_of_document(file: ResultFile, value: Any) -> str:
    if is_inspect_log(value):
        return inspect_samples.FORMAT
    if openai_evals.holds(value):
        return openai_evals.FORMAT
    if results_of_promptfoo(value) is not None:
        raise file.refused("holds results of promptfoo, not tests",
                           next="import its configuration or its tests")  # fmt: skip
    if promptfoo_tests.is_config(value) or promptfoo_tests.are_tests(value):
        return promptfoo_tests.FORMAT
    return rows.FORMAT


def _format_of_folder(path: Path) -> str:
    if any(path.rglob("samples_*.jsonl")):
        return lm_eval.FORMAT
    if any(path.glob("promptfooconfig.y*ml")) or (path / "promptfooconfig.json").is_file():
        return promptfoo_tests.FORMAT
    if any(path.glob("*.eval")):
        return inspect_samples.FORMAT
    for one in sorted(path.glob("*.json")):
        if b"testing_criteria" in ResultFile(one).data and openai_evals.holds(
            ResultFile(one).document
        ):
            return openai_evals.FORMAT
    return rows.FORMAT


def _one(path: Path, *patterns: str) -> ResultFile:
    """A file, or of a folder the only one of a pattern. Raises UsageError."""
    if path.is_file():
        return ResultFile(path)
    found = sorted({one for pattern in patterns for one in path.rglob(pattern)})
    if len(found) != 1:
        raise UsageError(
            "the folder holds several to import" if found else "the folder holds none to import",
            received=str(path),
            allowed=", ".join(str(one.relative_to(path)) for one in found[:8]) or patterns[0],
            next="name one of the files",
        )
    return ResultFile(found[0])


def _of_evals(path: Path, mapped: Mapped) -> Imported:
    """A file by itself too: an eval whose rows lie beside it is met in its folder."""
    paths = [path] if path.is_file() else sorted(
        one for one in path.rglob("*.json*") if one.suffix[1:] in _DOCUMENTS
    )  # fmt: skip
    return openai_evals.read([ResultFile(one) for one in paths], path, mapped)


_READERS: dict[str, Callable[[Path, Mapped], Imported]] = {
    lm_eval.FORMAT: lambda path, _: lm_eval.read(_one(path, "samples_*.jsonl")),
    inspect_samples.FORMAT: lambda path, mapped: _inspect(path, mapped),
    promptfoo_tests.FORMAT: lambda path, mapped: promptfoo_tests.read(
        _one(path, "promptfooconfig.yaml", "promptfooconfig.yml", "promptfooconfig.json"), mapped
    ),
    openai_evals.FORMAT: _of_evals,
    rows.FORMAT: rows.read,
}


def _inspect(path: Path, mapped: Mapped) -> Imported:
    """A log, or one of its data sets, which is a table."""
    file = _one(path, "*.eval")
    is_log = file.is_zip or (file.kind == "json" and is_inspect_log(file.document))
    return inspect_samples.read(file) if is_log else rows.read(path, mapped)
