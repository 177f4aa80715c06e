"""Which reader a file of results is for. A folder is read as one run: all its files of one format.

FILE#NAME names one of several releases in a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from pathlib import Path

from tasks.errors import UsageError, did_you_mean
from tasks.logs.formats.results_of_others import (
    is_alpaca_record,
    is_inspect_log,
    is_lm_eval_sample,
    is_nemo_result,
    results_of_promptfoo,
)
from tasks.model.visible import one_line
from tasks.referee.files import ResultFile
from tasks.referee.formats import alpaca, inspect_log, lm_eval, nemo, promptfoo, table
from tasks.referee.values import Results

FORMATS = (
    "Inspect logs (.json, .eval), lm-eval samples_*.jsonl, promptfoo results (.json), "
    "NeMo Evaluator results.jsonl, AlpacaEval outputs and annotations, MLflow tables and "
    "mlflow:RUN, CSV and JSON lines with id and score"
)
#: of a folder, what one format calls its files
_IN_FOLDER = (nemo.ROWS, "**/samples_*.jsonl", "*.eval", "*.json", "*.jsonl", "*.csv")
_MAX_NAMED = 8


def read_results(named: str) -> Results:
    """The run in a file or folder. Raises UsageError on what cannot be read, and where a file holds
    several releases and none is named."""
    path, _, release = named.partition("#")
    if not Path(path).exists() and Path(named).exists():
        path, release = named, ""
    target = Path(path).expanduser()
    if target.is_dir():
        results = _read_folder(target)
    elif target.is_file():
        results = _read(ResultFile(target))
    else:
        raise UsageError(
            "there are no results there", received=named, allowed="a file, a folder, or mlflow:RUN"
        )
    return of_release(results, release, named)


def of_release(results: Results, release: str, named: str) -> Results:
    """The rows of one release. Raises UsageError where it is not there, or not said which."""
    names = list(dict.fromkeys(row.release for row in results.rows if row.release))
    if not names and release:
        raise UsageError("the file does not tell releases apart", received=named,
                         next=f"name it without #{release}")  # fmt: skip
    if len(names) > 1 and not release:
        raise UsageError(
            "the file holds several releases, and it is not said which",
            received=results.source,
            allowed=", ".join(names[:_MAX_NAMED]),
            next=f"name one: {results.source}#{names[0]}",
        )
    if release and release not in names:
        raise UsageError(
            f"the file has no release {release!r}{did_you_mean(release, names)}",
            received=named,
            allowed=", ".join(names[:_MAX_NAMED]),
        )
    if not names:
        return results
    chosen = release or names[0]
    rows = [row for row in results.rows if row.release == chosen]
    digest = _digest((results.digest, chosen))
    return replace(results, name=chosen, digest=digest, rows=rows)


def _read_folder(folder: Path) -> Results:
    for pattern in _IN_FOLDER:
        paths = sorted(path for path in folder.glob(pattern) if path.is_file())
        if pattern == "*.json":  # bundles, configurations and metrics lie beside results
            paths = [path for path in paths if is_inspect_log(ResultFile(path).document)]
        if paths:
            return _together(folder, [_read(ResultFile(path)) for path in paths])
    raise UsageError("the folder holds no results", received=str(folder), allowed=FORMATS)


def _together(folder: Path, parts: list[Results]) -> Results:
    """Of several files with a suite each, one run."""
    if len(parts) == 1:
        return parts[0]
    seen: dict[str, str] = {}
    for part in parts:
        for suite in dict.fromkeys(row.suite for row in part.rows):
            if suite in seen:
                raise UsageError(
                    f"two files of the folder hold results of {one_line(suite)}",
                    received=f"{seen[suite]}, {part.source}",
                    next="name the file to judge instead of the folder",
                )
            seen[suite] = part.source
    names = list(dict.fromkeys(part.name for part in parts))
    return Results(
        name=names[0] if len(names) == 1 else folder.name,
        source=str(folder),
        format=parts[0].format,
        digest=_digest(part.digest for part in parts),
        rows=list(chain.from_iterable(part.rows for part in parts)),
        notes=tuple(chain.from_iterable(part.notes for part in parts)),
        metrics=parts[0].metrics,
    )


def _digest(digests: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _read(file: ResultFile) -> Results:
    if not file.raw.strip():
        raise file.refused("is empty")
    if file.is_zip:
        return inspect_log.read(file)
    if file.kind == "csv":
        return table.read_csv(file)
    if file.kind == "tsv":
        raise file.refused("is a table with tabs", next="save it as CSV")
    first = file.first_line
    if is_nemo_result(first):
        return nemo.read(file)
    if is_lm_eval_sample(first):
        return lm_eval.read(file)
    if isinstance(first, dict) and (file.kind == "jsonl" or _has_lines(file)):
        return _of_records(file, file.lines)
    return _of_document(file)


def _has_lines(file: ResultFile) -> bool:
    """Whether the file is a JSON object a line, more than one of them."""
    lines = [line for line in file.data.split(b"\n", 65)[:64] if line.strip()]
    return len(lines) > 1 and all(line.lstrip().startswith(b"{") for line in lines[:2])


def _of_document(file: ResultFile) -> Results:
    if not file.data.lstrip().startswith((b"{", b"[")):
        raise file.refused("is in no format that is known", allowed=FORMATS)
    value = file.document
    if is_inspect_log(value):
        return inspect_log.read(file)
    if results_of_promptfoo(value) is not None:
        return promptfoo.read(file)
    records = table.split(value) if isinstance(value, dict) else value
    if not isinstance(records, list) or not all(isinstance(one, dict) for one in records):
        raise file.refused("is in no format that is known", allowed=FORMATS)
    return _of_records(file, list(enumerate(records, 1)))


def _of_records(file: ResultFile, records: list[tuple[int, dict[str, object]]]) -> Results:
    if records and is_alpaca_record(records[0][1]):
        return alpaca.read(file, [record for _, record in records])
    return table.read(file, records)
